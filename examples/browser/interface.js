// What the page must know of a network, from the metadata of its file: the values of mil_asc.model.interface.

import { Problem } from "./problem.js";
import { POOLINGS } from "./poolings.js";

export const RULES = ["smi", "cmi", "bag"];

const count = (value) => Number.isSafeInteger(value) && value > 0;
const numbers = (values) => values.every((value) => typeof value === "number" && Number.isFinite(value));
const LEGAL = {
  labels: (value) => Array.isArray(value) && value.length > 0 && value.every((label) => typeof label === "string") &&
    new Set(value).size === value.length,
  sample_rate: count,
  min_samples: count,
  step_samples: count,
  hop_samples: count,
  context_instances: (value) => value === null || value === 0 || count(value),
  rule: (value) => RULES.includes(value),
  pooling: (value) => Object.hasOwn(POOLINGS, value),
  pooling_options: (value) => value !== null && typeof value === "object" && numbers(Object.values(value)),
  sharpness: (value) => value === null || (Array.isArray(value) && numbers(value)),
  has_attention: (value) => typeof value === "boolean",
};

// Map of text by name -> an object with the values above
export function readInterface(metadata) {
  const found = {};
  for (const [name, legal] of Object.entries(LEGAL)) {
    if (!metadata.has(name)) {
      throw new Problem(`the model’s metadata have no ${name}: export it with mil-asc export`);
    }
    found[name] = parsed(metadata.get(name));
    if (!legal(found[name])) {
      throw new Problem(`the model’s metadata have a ${name} that this page does not know: ${metadata.get(name).slice(0, 80)}`);
    }
  }
  if (found.sharpness !== null && found.sharpness.length !== found.labels.length) {
    throw new Problem("the model’s sharpness is not one number per class");
  }
  return found;
}

// Start and end of instance ``position`` (in seconds) of a recording of so many samples
export function instanceTimes(facts, position, numSamples) {
  const edge = (place) => Math.min(Math.max(place * facts.step_samples - facts.hop_samples / 2, 0), numSamples);
  return [edge(position) / facts.sample_rate, edge(position + 1) / facts.sample_rate];
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
