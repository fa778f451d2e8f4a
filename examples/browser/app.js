// The page: loads the model, takes files, shows what the model finds in them.

import { byId, make } from "./dom.js";
import { openModel } from "./model.js";
import { Problem } from "./problem.js";
import { clearResult, showResult } from "./result.js";
import { decode } from "./sound.js";

const MODEL = "model.onnx";
const RUNTIME = "./ort/ort.wasm.bundle.min.mjs";
const CLOSED = "default-src 'none'; style-src 'self'; media-src blob:; img-src data:";

let model = null;
let shown = null; // {recording, name, samples, took}
let current = 0; // number of the file that was chosen last

async function start() {
  const ort = await import(RUNTIME).catch(() => {
    throw new Problem(`onnxruntime-web is not beside the page (${RUNTIME}): see its README.md`);
  });
  const answer = await fetch(MODEL);
  if (!answer.ok) {
    throw new Problem(`there is no ${MODEL} beside the page (status ${answer.status}): see its README.md`);
  }
  model = await openModel(ort, new Uint8Array(await answer.arrayBuffer()));
  // from here on the browser refuses every connection of this page
  document.head.append(make("meta", { "http-equiv": "Content-Security-Policy", content: CLOSED }));
  const { labels, sample_rate: rate, min_samples: least } = model.facts;
  const foreign = model.calibrated ? "" : " It has no calibration: sound unlike its training data is not marked.";
  byId("model").textContent = `A model of ${labels.length} scenes: ${labels.join(", ")}.${foreign}`;
  byId("limits").textContent = `${(least / rate).toFixed(2)} s to ${model.mostMinutes} min; any format that this browser ` +
    `plays. WAV at ${rate} Hz is taken exactly as it is.`;
  byId("file").disabled = false;
}

async function classify(file) {
  const own = ++current;
  clearResult();
  shown = null;
  byId("error").textContent = "";
  await progress("Decoding", file.name, null);
  try {
    const began = performance.now();
    const reporting = (words) => async (share) => {
      if (own === current) {
        await progress(words, file.name, share);
      }
      return own === current;
    };
    const samples = await decode(file, model.facts, model.mostMinutes, reporting("Resampling"));
    const ready = performance.now();
    const recording = samples && own === current && await model.classify(samples, reporting("Classifying"));
    if (recording && own === current) {
      const took = { decoding: ready - began, classifying: performance.now() - ready };
      shown = { recording, name: file.name, samples, took };
      show();
    }
  } catch (error) {
    if (own === current) {
      explain(error, `${file.name}: `);
    }
  }
  if (own === current) {
    byId("work").hidden = true;
  }
}

function show() {
  if (shown !== null) {
    const rule = byId("rule").value || model.facts.rule;
    showResult(shown.recording.scene(rule), shown, model.facts.sample_rate);
  }
}

// Says what is being done, and lets the browser draw it
async function progress(words, name, share) {
  byId("work").hidden = false;
  byId("work-words").textContent = `${words} ${name} …`;
  if (share === null) {
    byId("progress").removeAttribute("value");
  } else {
    byId("progress").value = share;
  }
  await new Promise((resolve) => { setTimeout(resolve); });
}

function explain(error, before = "") {
  if (error instanceof Problem) {
    byId("error").textContent = before + error.message;
    return;
  }
  byId("error").textContent = `${before}the page failed (${error.message}).`;
  console.error(error);
}

byId("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // the same file may be chosen again
  if (file) {
    classify(file);
  }
});
byId("rule").addEventListener("change", show);
const drop = byId("drop");
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.toggle("over", model !== null && drop.contains(event.target));
});
document.addEventListener("drop", (event) => {
  event.preventDefault(); // a file that misses the place must not replace the page
  drop.classList.remove("over");
  const file = event.dataTransfer?.files[0];
  if (file && model !== null && drop.contains(event.target)) {
    classify(file);
  }
});
start().catch((error) => {
  byId("model").textContent = "No model.";
  explain(error);
});
