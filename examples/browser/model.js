// The model beside the page, run by onnxruntime-web: samples in, scores out.

import { Calibration } from "./calibration.js";
import { readInterface } from "./interface.js";
import { readMetadata } from "./onnx-metadata.js";
import { Problem } from "./problem.js";
import { RecordingScores } from "./recording-scores.js";

export const MOST_MINUTES = 30;
const MOST_MINUTES_AT_ONCE = 1; // of networks in which every instance depends on the whole recording
const WINDOW_INSTANCES = 48;

// ``ort`` is the module of onnxruntime-web, ``data`` the bytes of a file that mil_asc exported for waveforms
export async function openModel(ort, data) {
  const metadata = readMetadata(data);
  const facts = readInterface(metadata);
  ort.env.wasm.numThreads = 1; // more need headers that static hosts do not send
  const session = await ort.InferenceSession.create(data, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  return new Model(ort, session, facts, metadata.get("calibration"));
}

class Model {
  #ort;
  #session;
  #outputs;
  #calibration = null;

  constructor(ort, session, facts, calibration) {
    this.#ort = ort;
    this.#session = session;
    this.facts = facts;
    this.#outputs = ["logits", ...(facts.has_attention ? ["attention"] : []), ...(calibration ? ["vectors"] : [])];
    if (session.inputNames.includes("logmel")) {
      throw new Problem("the model takes a spectrogram, not a recording: export it without --network-only");
    }
    const missing = ["waveform", ...this.#outputs].filter(
      (name) => ![...session.inputNames, ...session.outputNames].includes(name));
    if (missing.length) {
      throw new Problem(`the model has no ${missing.join(", ")}: export it with mil-asc export`);
    }
    if (calibration) {
      const vectors = session.outputMetadata.find((one) => one.name === "vectors");
      this.#calibration = new Calibration(calibration, vectors.shape.at(-1));
    }
  }

  get calibrated() {
    return this.#calibration !== null;
  }

  get mostMinutes() {
    return this.facts.context_instances === null ? MOST_MINUTES_AT_ONCE : MOST_MINUTES;
  }

  // Scores of a recording: ``samples`` are a Float32Array that was checked. ``report`` is called with the share that is
  // done, and returns false to give up; the answer is then null.
  async classify(samples, report) {
    const found = { rows: [], attention: [], traits: null };
    const sums = new Float64Array(this.#calibration?.size ?? 0);
    for (const { begin, end, skip, last } of windows(samples.length, this.facts)) {
      if (!await report(begin / samples.length)) {
        return null;
      }
      this.#add(await this.#run(samples.slice(begin, end)), skip, last, found, sums);
    }
    if (this.#calibration) {
      found.traits = sums.map((value) => value / found.rows.length);
    }
    const all = [...found.rows.flat(), ...found.attention, ...(found.traits ?? [])];
    if (!all.every(Number.isFinite)) {
      throw new Problem("the model’s scores are not finite, so there is no class");
    }
    return new RecordingScores(this.facts, this.#calibration, samples.length, found);
  }

  async #run(samples) {
    const waveform = new this.#ort.Tensor("float32", samples, [1, samples.length]);
    try {
      return await this.#session.run({ waveform }, this.#outputs);
    } catch (error) {
      throw new Problem(`onnxruntime-web failed (${String(error?.message ?? error).slice(0, 200)}): take a shorter recording`);
    }
  }

  // Keeps what a window says of its own instances
  #add(outputs, skip, last, found, sums) {
    const [, count, classes] = outputs.logits.dims;
    if (classes !== this.facts.labels.length) {
      throw new Problem(`the model gives ${classes} scores, not one for each of its ${this.facts.labels.length} labels`);
    }
    for (let i = skip; i < (last ? count : Math.min(count, skip + WINDOW_INSTANCES)); i += 1) {
      found.rows.push(Array.from(outputs.logits.data.subarray(i * classes, (i + 1) * classes)));
      if (outputs.attention) {
        found.attention.push(outputs.attention.data[i]);
      }
      if (outputs.vectors) {
        const size = outputs.vectors.dims[2];
        this.#calibration.addTraits(outputs.vectors.data.subarray(i * size, (i + 1) * size), sums);
      }
    }
  }
}

// Samples ``begin`` to before ``end``, of whose instances the first ``skip`` are context: see mil_asc.inference.windows
export function* windows(numSamples, { step_samples: step, context_instances: context }) {
  if (context === null) {
    yield { begin: 0, end: numSamples, skip: 0, last: true };
    return;
  }
  const rest = numSamples % step;
  for (let first = 0; ; first += WINDOW_INSTANCES) {
    const begin = Math.max(first - context, 0);
    const end = (first + WINDOW_INSTANCES + context) * step + rest;
    if (end >= numSamples) {
      yield { begin: begin * step, end: numSamples, skip: first - begin, last: true };
      return;
    }
    yield { begin: begin * step, end, skip: first - begin, last: false };
  }
}
