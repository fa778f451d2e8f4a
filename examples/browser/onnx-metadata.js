// The metadata of an ONNX file, which onnxruntime-web does not hand out: read from the bytes that are run, so that
// labels and settings cannot be those of another model. The file is a message of Protocol Buffers (onnx.proto).

import { Problem } from "./problem.js";

const METADATA = 14; // ModelProto.metadata_props
const KEY = 1; // StringStringEntryProto
const VALUE = 2;
const FIXED_BYTES = { 1: 8, 5: 4 };

// Uint8Array -> Map of text by name
export function readMetadata(data) {
  const found = new Map();
  for (const [number, entry] of fields(data)) {
    if (number === METADATA) {
      const parts = new Map(fields(bytes(entry)));
      const name = text(parts.get(KEY));
      if (found.has(name)) {
        throw new Problem(`the model has two values of ${name}`);
      }
      found.set(name, text(parts.get(VALUE)));
    }
  }
  return found;
}

// [number of the field, its value]: a whole number, or the bytes of a text or message
function* fields(data) {
  let position = 0;
  while (position < data.length) {
    let tag;
    [tag, position] = varint(data, position);
    const kind = tag % 8;
    const number = (tag - kind) / 8;
    let size = FIXED_BYTES[kind];
    if (kind === 0) {
      let value;
      [value, position] = varint(data, position);
      yield [number, value];
      continue;
    }
    if (kind === 2) {
      [size, position] = varint(data, position);
    }
    if (size === undefined || position + size > data.length) {
      throw damaged();
    }
    yield [number, data.subarray(position, position + size)];
    position += size;
  }
}

// A number of 7 bits per byte (exact up to 2^53, which no length reaches), and the position behind it
function varint(data, position) {
  let value = 0;
  for (let place = 0; place < 10 && position + place < data.length; place += 1) {
    const byte = data[position + place];
    value += (byte % 128) * 2 ** (7 * place);
    if (byte < 128) {
      return [value, position + place + 1];
    }
  }
  throw damaged();
}

function bytes(value) {
  if (!(value instanceof Uint8Array)) {
    throw damaged();
  }
  return value;
}

function text(value) {
  return new TextDecoder().decode(bytes(value ?? new Uint8Array()));
}

function damaged() {
  return new Problem("the model is no ONNX file, or is cut off");
}
