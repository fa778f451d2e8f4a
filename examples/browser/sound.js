// A file as mono samples at the model's rate; what mil_asc refuses is refused here in the same words.

import { Problem } from "./problem.js";
import { resample } from "./resample.js";
import { statedRate } from "./stated-rate.js";
import { readWav, wavHeader } from "./wav.js";

const MIN_RATE = 1000;
const MAX_RATE = 768000;
const MAX_AMPLITUDE = 2 ** 32;
const MOST_BYTES = 1e9;
const USUAL_RATE = 48000; // to which a file is decoded that does not say its rate
const PATIENCE = 5000; // for the length that a file states (in ms): some telephones tell it only when it plays

// A File -> Float32Array. ``facts`` are those of the model. ``report`` is called with the share of resampling that is
// done, and returns false to give up; the answer is then null.
export async function decode(file, facts, mostMinutes, report) {
  if (file.size === 0) {
    throw new Problem("empty (0 bytes)");
  }
  if (file.size > MOST_BYTES) {
    throw new Problem(`${(file.size / 1e6).toFixed(0)} MB, at most ${MOST_BYTES / 1e6} MB are taken here: cut it into parts`);
  }
  const buffer = await file.arrayBuffer();
  const header = wavHeader(buffer);
  const sound = header ? fromWav(buffer, header, mostMinutes) : await fromBrowser(file, buffer, mostMinutes);
  checkMinutes(sound.mono.length / sound.rate, mostMinutes);
  checkLength(Math.round(sound.mono.length * facts.sample_rate / sound.rate), facts);
  checkSamples(sound.mono);
  if (sound.rate === facts.sample_rate) {
    return sound.mono;
  }
  const samples = await resample(sound.mono, sound.rate, facts.sample_rate, report);
  if (samples !== null) {
    checkSamples(samples);
  }
  return samples;
}

function fromWav(buffer, header, mostMinutes) {
  const { frames, rate } = header;
  if (frames === 0) {
    throw new Problem("empty (0 frames)");
  }
  if (rate < MIN_RATE || rate > MAX_RATE) {
    throw new Problem(`the header states a sampling rate of ${rate} Hz, ${MIN_RATE} to ${MAX_RATE} Hz are allowed`);
  }
  checkMinutes(frames / rate, mostMinutes);
  return { mono: readWav(buffer, header), rate };
}

async function fromBrowser(file, buffer, mostMinutes) {
  checkMinutes(await statedSeconds(file), mostMinutes);
  const rate = statedRate(buffer) ?? USUAL_RATE;
  const sound = await decoded(buffer, rate);
  const mono = sound.getChannelData(0).slice();
  for (let channel = 1; channel < sound.numberOfChannels; channel += 1) {
    sound.getChannelData(channel).forEach((value, n) => { mono[n] += value; });
  }
  const share = Math.fround(1 / sound.numberOfChannels);
  return { mono: sound.numberOfChannels > 1 ? mono.map((value) => value * share) : mono, rate };
}

// An AudioBuffer at the rate that the file has
async function decoded(buffer, rate) {
  try {
    return await new OfflineAudioContext(1, 1, rate).decodeAudioData(buffer);
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotSupportedError") {
      throw new Problem(`this browser does not take a sampling rate of ${rate} Hz: convert it to WAV`);
    }
    throw new Problem("no audio that this browser can decode, or corrupt");
  }
}

// The length that a file states, before it fills the memory; 0 where it states none
function statedSeconds(file) {
  const audio = new Audio();
  const url = URL.createObjectURL(file);
  return new Promise((resolve) => {
    audio.preload = "metadata";
    audio.onloadedmetadata = () => resolve(Number.isFinite(audio.duration) ? audio.duration : 0);
    audio.onerror = () => resolve(0);
    setTimeout(() => resolve(0), PATIENCE);
    audio.src = url;
  }).finally(() => {
    audio.removeAttribute("src");
    URL.revokeObjectURL(url);
  });
}

function checkMinutes(seconds, mostMinutes) {
  if (seconds > mostMinutes * 60) {
    throw new Problem(`${(seconds / 60).toFixed(1)} minutes, at most ${mostMinutes} are taken here: cut it into parts, or use mil-asc classify`);
  }
}

function checkLength(count, { sample_rate: rate, min_samples: least }) {
  if (count < least) {
    const digits = (count / rate).toFixed(3) === (least / rate).toFixed(3) ? 6 : 3; // one sample too short
    throw new Problem(`too short: ${(count / rate).toFixed(digits)} s, at least ${(least / rate).toFixed(digits)} s needed`);
  }
}

function checkSamples(samples) {
  let most = 0;
  for (const value of samples) {
    if (!Number.isFinite(value)) {
      throw new Problem("holds NaN or infinite samples");
    }
    most = Math.max(most, Math.abs(value));
  }
  if (most === 0) {
    throw new Problem("silent (every sample is zero)");
  }
  if (most > MAX_AMPLITUDE) {
    throw new Problem(`samples up to ${most.toPrecision(3)}, at most ${MAX_AMPLITUDE.toPrecision(3)} allowed (1 is full scale)`);
  }
}
