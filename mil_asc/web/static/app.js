// The page: a recording from a file, a drop, an example or the microphone goes to the server, and its result is shown.

import { byId, make } from "./dom.js";
import { connectLive } from "./live.js";
import { microphoneMissing } from "./microphone.js";
import { connectRecorder } from "./recorder.js";
import { clearResult, showResult } from "./result.js";
import { Refused, classify, getFile, getJson } from "./server.js";
import { RULES, megabytes, score } from "./words.js";

const RULE_PAUSE = 250; // milliseconds: keys may pass over several rules

const ready = getJson("/model");
let model = null;
let shown = null; // {file, result} on the page
let job = null; // what cancels the request that is running
let pause = null;

start().catch(fail);

async function start() {
  connectInput();
  model = await ready;
  byId("model").textContent = [`Model ${model.name}.`, model.description].filter(Boolean).join(" ");
  byId("version").textContent = `mil_asc ${model.version}.`;
  byId("limits").textContent = `${model.formats.join(", ")}; at most ${model.limits.megabytes} MB and ` +
    `${model.limits.minutes} minutes, at least ${Number(model.min_seconds.toFixed(2))} s.`;
  byId("file").accept = ["audio/*", ...model.formats.map((name) => `.${name}`)].join(",");
  byId("rule").options[0].textContent = `the model’s own (${RULES[model.rule]})`;
  const most = { bytes: model.limits.megabytes * 1e6, seconds: 60 * model.limits.minutes };
  connectRecorder((file) => judge(() => file), fail, most);
  connectLive(model, () => byId("rule").value);
  showExamples((await getJson("/examples")).examples);
}

function connectInput() {
  const missing = microphoneMissing();
  if (missing) {
    byId("record").disabled = true;
    byId("record").title = missing;
  }
  byId("file").addEventListener("change", () => {
    const [file] = byId("file").files;
    if (file) {
      judge(() => file);
    }
    byId("file").value = ""; // so that the same file can be chosen again
  });
  byId("cancel").addEventListener("click", () => {
    job?.abort();
    byId("file").focus();
  });
  byId("rule").addEventListener("change", () => {
    clearTimeout(pause);
    pause = setTimeout(() => shown && judge(() => shown.file, true), RULE_PAUSE);
  });
  connectDrop();
}

function connectDrop() {
  const drop = byId("drop");
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (hasFiles(event)) {
      event.preventDefault();
      drop.classList.add("over");
    }
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) {
      drop.classList.remove("over");
    }
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) {
      return;
    }
    event.preventDefault();
    drop.classList.remove("over");
    const { files } = event.dataTransfer;
    if (files.length === 1) {
      judge(() => files[0]);
    } else {
      fail(new Refused(`One recording at a time, please: ${files.length} were dropped.`));
    }
  });
}

function showExamples(examples) {
  const buttons = examples.map((one) => make("button", {
    type: "button", class: "button small", click: () => judge((signal) => getFile(one.url, one.name, signal)),
  }, one.title));
  byId("examples").append(...buttons);
  byId("examples").hidden = buttons.length === 0;
}

// Classifies the file that ``get`` gives. The result before stays only if it is the same file, by another rule.
async function judge(get, isSameFile = false) {
  job?.abort();
  const own = new AbortController();
  job = own;
  byId("error").textContent = "";
  if (!isSameFile) {
    shown = null;
    clearResult();
  }
  try {
    working("Reading …", null);
    await ready;
    const file = await get(own.signal);
    checkSize(file);
    const result = await classify(file, byId("rule").value, (share) => {
      if (job === own) {
        working(share === 1 ? `Classifying ${file.name} …` : `Sending ${file.name} …`, share === 1 ? null : share);
      }
    }, own.signal);
    if (job === own) {
      show(result, file, isSameFile);
    }
  } catch (error) {
    if (job === own) {
      stopped(error);
    }
  } finally {
    if (job === own) {
      job = null;
      byId("work").hidden = true;
      byId("result").removeAttribute("aria-busy");
    }
  }
}

function checkSize(file) {
  const most = model.limits.megabytes * 1e6;
  if (file.size > most) {
    throw new Refused(
      `${file.name} is too large: ${megabytes(file.size)}; at most ${model.limits.megabytes} MB are allowed.`);
  }
  if (file.size === 0) {
    throw new Refused(`${file.name} is empty.`);
  }
}

function working(words, share) {
  byId("work").hidden = false;
  byId("work-words").textContent = words;
  byId("result").setAttribute("aria-busy", "true");
  if (share === null) {
    byId("progress").removeAttribute("value");
  } else {
    byId("progress").value = share;
  }
}

function show(result, file, isSameFile) {
  shown = { file, result };
  showResult(result, file);
  const unlike = result.familiar === false ? " Unlike the training data." : "";
  byId("status").textContent = `${result.label}, ${score(result.scores[result.assumption][result.label])} under ` +
    `${RULES[result.assumption]}.${unlike}`;
  if (!isSameFile) {
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    byId("result").scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
  }
}

function stopped(error) {
  if (shown) { // the result that stays was decided by another rule than the one that was just chosen
    byId("rule").value = shown.result.assumption === model.rule ? "" : shown.result.assumption;
  }
  if (error.name === "AbortError") {
    byId("status").textContent = "Cancelled.";
  } else {
    fail(error);
  }
}

function fail(error) {
  byId("error").textContent = error.message;
  if (!(error instanceof Refused)) {
    console.error(error);
  }
}
