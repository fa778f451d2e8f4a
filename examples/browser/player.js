// Plays stretches of the samples that were classified, as the model got them: mono, at its rate.

// Events: "time" (the position changed), "state" (another stretch, or none, is playing).
export class Player extends EventTarget {
  #samples;
  #rate;
  #context = null;
  #buffer = null;
  #source = null;
  #began = 0;
  time = 0;
  stretch = null; // what is playing: {start, end}

  constructor(samples, rate) {
    super();
    this.#samples = samples;
    this.#rate = rate;
  }

  // Plays exactly a stretch; the one that is playing stops.
  async toggle(stretch) {
    const again = this.stretch === stretch;
    this.stop();
    if (again) {
      return;
    }
    this.stretch = stretch;
    this.#say("state");
    await this.#open();
    if (this.stretch !== stretch || this.#source !== null) { // another button was pressed meanwhile
      return;
    }
    this.#source = new AudioBufferSourceNode(this.#context, { buffer: this.#buffer });
    this.#source.connect(this.#context.destination);
    this.#source.addEventListener("ended", (event) => {
      if (event.target === this.#source) {
        this.#source = null;
        this.seek(stretch.end);
      }
    });
    this.#began = this.#context.currentTime;
    this.#source.start(0, stretch.start, stretch.end - stretch.start);
    this.#follow(this.#source);
  }

  stop() {
    this.#source?.stop();
    this.#source = null;
    if (this.stretch !== null) {
      this.stretch = null;
      this.#say("state");
    }
  }

  seek(seconds) {
    this.stop();
    this.time = seconds;
    this.#say("time");
  }

  close() {
    this.stop();
    this.#context?.close();
  }

  async #open() {
    if (this.#context === null) {
      this.#context = new AudioContext({ sampleRate: this.#rate });
      this.#buffer = new AudioBuffer({ length: this.#samples.length, sampleRate: this.#rate });
      this.#buffer.copyToChannel(this.#samples, 0);
    }
    await this.#context.resume();
  }

  #follow(source) {
    if (source === this.#source) {
      const { start, end } = this.stretch;
      this.time = Math.min(start + this.#context.currentTime - this.#began, end);
      this.#say("time");
      requestAnimationFrame(() => this.#follow(source));
    }
  }

  #say(name) {
    this.dispatchEvent(new Event(name));
  }
}
