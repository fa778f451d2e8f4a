// WAV files of plain samples, read without the browser: Chromium scales 16 bits by 32767 where others take 32768, and
// browsers accept files that are cut off.

import { Problem } from "./problem.js";

const PLAIN = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xFFFE;
const UNKNOWN_BYTES = 0x7FFFF000; // a file written into a pipe states this length or more
const MOST_SURPLUS_BYTES = 65536;
const READERS = {
  "1/8": (view, at) => (view.getUint8(at) - 128) / 2 ** 7,
  "1/16": (view, at) => view.getInt16(at, true) / 2 ** 15,
  "1/24": (view, at) => (view.getInt8(at + 2) * 2 ** 16 + view.getUint16(at, true)) / 2 ** 23,
  "1/32": (view, at) => view.getInt32(at, true) / 2 ** 31,
  "3/32": (view, at) => view.getFloat32(at, true),
  "3/64": (view, at) => view.getFloat64(at, true),
};

// Whether it is a WAV file that readWav knows; ``null`` where the browser must decode it.
export function wavHeader(buffer) {
  const view = new DataView(buffer);
  if (view.byteLength < 12 || text(view, 0) !== "RIFF" || text(view, 8) !== "WAVE") {
    return null;
  }
  let format = null;
  for (const { name, start, size } of chunks(view, 12)) {
    if (name === "fmt " && size >= 16 && start + size <= view.byteLength) {
      format = readFormat(view, start, size);
    }
    if (name === "data") {
      if (format === null || !READERS[format.kind] || format.frameBytes !== format.channels * format.sampleBytes) {
        return null;
      }
      const found = view.byteLength - start;
      const stated = size < UNKNOWN_BYTES ? size : found;
      if (stated > found) {
        throw new Problem(`truncated: the header states ${stated} bytes, the file has ${found}`);
      }
      checkRest(view, start + stated + (stated % 2));
      return { ...format, start, frames: Math.floor(stated / format.frameBytes) };
    }
  }
  throw new Problem("truncated: the file ends before its samples");
}

// The mean of the channels, in float32 as mil_asc computes it
export function readWav(buffer, { kind, channels, frames, start, frameBytes, sampleBytes }) {
  const view = new DataView(buffer);
  const read = READERS[kind];
  const mono = new Float32Array(frames);
  const share = Math.fround(1 / channels);
  for (let n = 0; n < frames; n += 1) {
    const at = start + n * frameBytes;
    let value = Math.fround(read(view, at));
    for (let channel = 1; channel < channels; channel += 1) {
      value = Math.fround(value + Math.fround(read(view, at + channel * sampleBytes)));
    }
    mono[n] = channels === 1 ? value : value * share;
  }
  return mono;
}

function readFormat(view, start, size) {
  let code = view.getUint16(start, true);
  if (code === EXTENSIBLE && size >= 26) {
    code = view.getUint16(start + 24, true);
  }
  const bits = view.getUint16(start + 14, true);
  return {
    kind: `${code}/${bits}`,
    channels: view.getUint16(start + 2, true),
    rate: view.getUint32(start + 4, true),
    frameBytes: view.getUint16(start + 12, true),
    sampleBytes: bits / 8,
  };
}

// A recorder that stopped without an end leaves an old length: what follows the samples must be chunks or zeros
function checkRest(view, position) {
  let behind = position;
  for (const { name, start, size } of chunks(view, position)) {
    if (!/^[ -~]{4}$/.test(name) || start + size > view.byteLength) {
      break;
    }
    behind = start + size + (size % 2);
  }
  const rest = view.byteLength - behind;
  if (rest > MOST_SURPLUS_BYTES && new Uint8Array(view.buffer, behind, MOST_SURPLUS_BYTES).some((byte) => byte > 0)) {
    throw new Problem(`corrupt: ${rest} bytes after the samples that the header states, which may be samples too`);
  }
}

function* chunks(view, first) {
  for (let at = first; at + 8 <= view.byteLength;) {
    const size = view.getUint32(at + 4, true);
    yield { name: text(view, at), start: at + 8, size };
    at += 8 + size + (size % 2);
  }
}

function text(view, at) {
  return String.fromCharCode(...new Uint8Array(view.buffer, at, 4));
}
