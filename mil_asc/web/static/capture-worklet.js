// In the audio thread: the mean of the microphone's channels, posted in blocks of float32 samples.

const BLOCK = 2048;

class Capture extends AudioWorkletProcessor {
  #block = new Float32Array(BLOCK);
  #filled = 0;

  process([channels]) {
    if (channels.length === 0) {
      return true;
    }
    for (let n = 0; n < channels[0].length; n += 1) {
      let sum = 0;
      for (const channel of channels) {
        sum += channel[n];
      }
      this.#block[this.#filled] = sum / channels.length;
      this.#filled += 1;
      if (this.#filled === BLOCK) {
        this.port.postMessage(this.#block, [this.#block.buffer]);
        this.#block = new Float32Array(BLOCK);
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
