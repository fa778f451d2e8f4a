// The sampling rate that a compressed file states, for the browser to decode it without resampling.

const OPUS_RATE = 48000;
const MP3_RATES = [44100, 48000, 32000];
const MP3_SHIFTS = { 3: 0, 2: 1, 0: 2 }; // MPEG 1, 2 and 2.5

// In Hz; null for formats that are not known here
export function statedRate(buffer) {
  const view = new DataView(buffer);
  const has = (at, text) => at + text.length <= view.byteLength &&
    [...text].every((letter, place) => view.getUint8(at + place) === letter.charCodeAt(0));
  if (has(0, "fLaC") && view.byteLength > 22) {
    return (view.getUint32(18) >>> 12) || null;
  }
  if (has(0, "OggS") && has(28, "OpusHead")) {
    return OPUS_RATE;
  }
  if (has(0, "OggS") && has(28, "\x01vorbis") && view.byteLength > 44) {
    return view.getUint32(40, true) || null;
  }
  return mp3Rate(view, has(0, "ID3") && view.byteLength > 10 ? behindTag(view) : 0);
}

function behindTag(view) {
  return [6, 7, 8, 9].reduce((size, at) => size * 128 + view.getUint8(at), 0) + 10;
}

function mp3Rate(view, at) {
  if (at + 4 > view.byteLength) {
    return null;
  }
  const head = view.getUint32(at);
  const layer = (head >>> 17) & 3;
  const shift = MP3_SHIFTS[(head >>> 19) & 3];
  const rate = MP3_RATES[(head >>> 10) & 3];
  return head >>> 21 === 0x7FF && layer > 0 && shift !== undefined && rate !== undefined ? rate >> shift : null;
}
