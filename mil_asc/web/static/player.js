// Playback of the recording, and its waveform with the moments as regions. A stretch stops at its end.

import { colour, recoloured } from "./dom.js";
import Regions from "./vendor/regions.esm.js";
import WaveSurfer from "./vendor/wavesurfer.esm.js";

// Events: "time" (the position changed), "state" (playing or not, and which moment), "unplayable".
export class Player extends EventTarget {
  #audio;
  #duration;
  #url;
  #waves;
  #regions;
  #unwatch;
  #until = null;
  #position = 0;
  moment = null;
  playable = true;

  // ``audio`` and ``container`` are elements; ``moments`` those that get a region.
  constructor(audio, container, result, moments, file) {
    super();
    this.#audio = audio;
    this.#duration = result.duration;
    this.#url = URL.createObjectURL(file);
    audio.src = this.#url;
    audio.addEventListener("pause", () => this.#paused());
    audio.addEventListener("ended", () => this.#paused());
    audio.addEventListener("timeupdate", () => this.#follow());
    audio.addEventListener("seeked", () => this.#say("time"));
    audio.addEventListener("play", () => {
      this.#say("state");
      this.#frame();
    });
    audio.addEventListener("error", () => this.#fail());
    this.#draw(container, result, moments);
    this.#unwatch = recoloured(() => {
      this.#waves.setOptions(colours());
      this.#regions.getRegions().forEach((region) => region.setOptions({ color: colour("--region") }));
    });
  }

  get time() {
    return this.playable ? this.#audio.currentTime : this.#position;
  }

  get playing() {
    return this.playable && !this.#audio.paused;
  }

  // Plays on from here, or pauses.
  toggle() {
    if (this.playing) {
      this.pause();
      return;
    }
    this.#until = null;
    this.moment = null;
    this.#start();
  }

  // Plays exactly a moment; the moment that is playing stops.
  playMoment(moment) {
    if (this.playing && this.moment === moment) {
      this.pause();
      return;
    }
    this.moment = moment;
    this.#until = Math.min(moment.end, this.#duration);
    this.#audio.currentTime = moment.start;
    this.#start();
  }

  pause() {
    this.#audio.pause();
  }

  seek(seconds) {
    this.#until = null;
    this.moment = null;
    this.#position = Math.min(Math.max(seconds, 0), this.#duration);
    if (this.playable) {
      this.#audio.currentTime = this.#position;
    }
    this.#say("state");
    this.#say("time");
  }

  destroy() {
    this.#unwatch();
    this.#waves.destroy();
    this.#audio.pause();
    this.#audio.removeAttribute("src");
    URL.revokeObjectURL(this.#url);
  }

  #draw(container, result, moments) {
    const high = result.peaks.filter((_, place) => place % 2 === 1);
    const low = result.peaks.filter((_, place) => place % 2 === 0);
    this.#regions = Regions.create();
    this.#waves = WaveSurfer.create({
      container,
      media: this.#audio,
      peaks: [high, low],
      duration: result.duration,
      height: 96,
      normalize: true,
      cursorWidth: 2,
      hideScrollbar: true,
      dragToSeek: true,
      plugins: [this.#regions],
      ...colours(),
    });
    this.#waves.on("interaction", (seconds) => this.seek(seconds));
    this.#waves.on("ready", () => {
      for (const moment of moments) {
        this.#regions.addRegion({
          id: String(moment.start), start: moment.start, end: moment.end, color: colour("--region"), drag: false,
          resize: false,
        });
      }
    });
    this.#regions.on("region-clicked", (region, event) => {
      event.stopPropagation();
      const moment = moments.find((one) => one.start === region.start);
      if (moment && this.playable) {
        this.playMoment(moment);
      }
    });
  }

  #start() {
    this.#audio.play().catch((error) => {
      if (error.name !== "AbortError") { // paused before it began
        this.#fail();
      }
    });
    this.#say("state"); // another moment may have begun while it played
  }

  #frame() {
    if (this.playing) {
      this.#follow();
      requestAnimationFrame(() => this.#frame());
    }
  }

  #follow() {
    if (this.#until !== null && this.#audio.currentTime >= this.#until) {
      const end = this.#until;
      this.#until = null;
      this.#audio.pause();
      this.#audio.currentTime = end;
    }
    this.#say("time");
  }

  #paused() {
    if (!this.playing) { // unless it was started again at once
      this.#until = null;
      this.moment = null;
    }
    this.#say("state");
  }

  #fail() {
    if (this.playable) {
      this.#until = null;
      this.moment = null;
      this.playable = false;
      this.#say("unplayable");
    }
  }

  #say(name) {
    this.dispatchEvent(new Event(name));
  }
}

function colours() {
  return { waveColor: colour("--wave"), progressColor: colour("--wave-played"), cursorColor: colour("--cursor") };
}
