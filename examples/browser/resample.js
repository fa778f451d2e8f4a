// From one sampling rate to another by a windowed sinc, so that every browser gives the same samples: their own
// resamplers differ, and already damp the upper tenth of the band, which models are sensitive to.

import { Problem } from "./problem.js";

const ZEROS = 96; // zero crossings of the sinc on either side
const BETA = 12; // of the Kaiser window
const CUTOFF = 0.958; // share of the lower Nyquist frequency where half the amplitude is left, as in soxr's HQ
const MOST_COEFFICIENTS = 2 ** 24;
const BLOCK = 200000; // outputs between two reports

// ``report`` is called with the share that is done and returns false to give up; the answer is then null.
export async function resample(samples, from, to, report) {
  const divisor = commonDivisor(from, to);
  const [up, down] = [to / divisor, from / divisor];
  const { kernel, half } = kernels(from, to, up);
  const taps = 2 * half;
  const out = new Float32Array(Math.round(samples.length * to / from));
  for (let n = 0; n < out.length; n += 1) {
    if (n % BLOCK === 0 && !await report(n / out.length)) {
      return null;
    }
    const first = Math.floor(n * down / up) - half + 1;
    const row = ((n * down) % up) * taps - first;
    const end = Math.min(first + taps, samples.length);
    let total = 0;
    for (let at = Math.max(first, 0); at < end; at += 1) {
      total += samples[at] * kernel[row + at];
    }
    out[n] = total;
  }
  return out;
}

// The coefficients of each of ``up`` places between two samples
function kernels(from, to, up) {
  const scale = Math.min(1, to / from) * CUTOFF;
  const half = Math.ceil(ZEROS / scale);
  if (2 * half * up > MOST_COEFFICIENTS) {
    throw new Problem(`a sampling rate of ${from} Hz is not taken here: convert it to a usual one`);
  }
  const kernel = new Float32Array(2 * half * up);
  for (let place = 0; place < kernel.length; place += 1) {
    const distance = Math.floor(place / (2 * half)) / up - (place % (2 * half)) + half - 1;
    const window = bessel(BETA * Math.sqrt(Math.max(1 - (distance / half) ** 2, 0))) / bessel(BETA);
    kernel[place] = scale * sinc(scale * distance) * window;
  }
  return { kernel, half };
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

// The modified Bessel function of order 0, by its series
function bessel(x) {
  let term = 1;
  let total = 1;
  for (let k = 1; term > total * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    total += term;
  }
  return total;
}

function commonDivisor(one, other) {
  return other === 0 ? one : commonDivisor(other, one % other);
}
