// The result of a recording: its scene, when it was found, and all scores.

import { byId, make } from "./dom.js";
import { RULES } from "./interface.js";
import { Player } from "./player.js";
import { asJson } from "./recording-scores.js";
import { Timeline } from "./timeline.js";
import { RULE_WORDS, clock, probabilityWords } from "./words.js";

const MOST_MOMENTS = 200;

let close = () => {};

export function clearResult() {
  close();
  close = () => {};
  byId("result").replaceChildren();
  byId("result").hidden = true;
}

// ``took`` are the times of decoding and classifying (in ms)
export function showResult(scene, { name, samples, took }, rate) {
  clearResult();
  const order = ranked(scene);
  const other = order.find((c) => c !== scene.winner) ?? null;
  const player = new Player(samples, rate);
  const timeline = new Timeline(scene, other);
  const url = URL.createObjectURL(new Blob([JSON.stringify(asJson(scene, name))], { type: "application/json" }));
  byId("result").append(
    ...verdict(scene, name),
    make("h3", {}, "Along time"),
    timeline.element,
    ...position(scene, other, player),
    make("h3", {}, "Positive moments"),
    ...momentButtons(scene, player),
    make("h3", {}, "Scores"),
    scoreTable(scene, order),
    make("p", {}, make("a", { class: "button", href: url, download: `${name}.json` }, "Save as JSON")),
    make("p", { class: "soft took" }, `Decoded in ${took.decoding.toFixed(0)} ms, classified in ` +
      `${took.classifying.toFixed(0)} ms. A confidence says which moments led to the decision; it is not a detection ` +
      "of sound events."),
  );
  byId("result").hidden = false;
  player.addEventListener("time", () => { timeline.time = player.time; });
  close = () => {
    player.close();
    timeline.close();
    URL.revokeObjectURL(url);
  };
}

function verdict(scene, name) {
  const positive = scene.instances.filter((one) => one.positive).length;
  const warning = make("p", { class: "warning", role: "alert" },
    make("strong", {}, "This recording is unlike the training data. "),
    "The model knows only its own classes and names one of them for any sound: the result means little here " +
    `(score ${Number(scene.unfamiliarity?.toPrecision(3))}).`);
  return [
    make("p", { class: "soft" }, make("span", { class: "name" }, name), ` · ${clock(scene.seconds)}`),
    make("h2", { id: "scene", class: "scene" }, scene.label),
    make("p", { class: "decided-by" }, `Decided by ${RULE_WORDS[scene.rule]} with a score of ` +
      `${scene.scores[scene.rule][scene.winner].toFixed(2)}. ${positive} of ${scene.instances.length} instances are positive.`),
    ...(scene.familiar === false ? [warning] : []),
    make("p", { class: "probability" }, probabilityWords(scene)),
  ];
}

// A slider along the recording (keys move it too), and what the model scores there
function position(scene, other, player) {
  const whole = { start: 0, end: scene.seconds };
  const slider = make("input", {
    type: "range", class: "position", min: 0, max: scene.seconds, step: 0.01, value: 0,
    "aria-label": "Position in the recording", input: () => player.seek(Number(slider.value)),
  });
  const play = make("button", {
    type: "button",
    class: "button",
    click: () => player.toggle(player.stretch ?? fromHere(whole, player.time)),
  }, "Play");
  const here = make("span", { class: "digits here" });
  const show = () => {
    slider.value = player.time;
    here.textContent = `${clock(player.time)}: ${scoredAt(scene, player.time)}`;
    slider.setAttribute("aria-valuetext", here.textContent);
  };
  player.addEventListener("time", show);
  player.addEventListener("state", () => { play.textContent = player.stretch ? "Stop" : "Play"; });
  show();
  const unjudged = scene.seconds - scene.end > 0.0005
    ? ` The last ${(scene.seconds - scene.end).toFixed(2)} s are shorter than an instance and were not judged.` : "";
  const keys = [make("span", { class: "key" }), ` confidence of ${scene.label}`,
    ...(other === null ? [] : [", ", make("span", { class: "key other" }), ` of ${scene.labels[other]}`])];
  return [slider, make("p", {}, play, " ", here),
    make("p", { class: "soft" }, ...keys, `, from 0 (bottom) to 1 (top); the band below them marks positive moments.${unjudged}`)];
}

function fromHere(whole, time) {
  return time < whole.end - 0.05 ? { start: time, end: whole.end } : whole;
}

function scoredAt(scene, seconds) {
  const found = scene.instances.find((one) => one.start <= seconds && seconds <= one.end);
  if (!found) {
    return "not judged";
  }
  const own = `${scene.label} ${found.confidences[scene.winner].toFixed(2)}`;
  return found.positive ? own : `${own}, most confident ${scene.labels[found.first]} ${found.confidences[found.first].toFixed(2)}`;
}

function momentButtons(scene, player) {
  if (scene.moments.length === 0) {
    return [make("p", {}, `No moment is most confident of ${scene.label}.`)];
  }
  const shown = [...scene.moments].sort((one, two) => two.confidence - one.confidence).slice(0, MOST_MOMENTS)
    .sort((one, two) => one.start - two.start);
  const buttons = shown.map((moment) => {
    const words = `${clock(moment.start)} to ${clock(moment.end)}`;
    const label = `Play ${words}, confidence ${moment.confidence.toFixed(2)}`;
    return make("button", {
      type: "button", class: "moment", "aria-pressed": "false", "aria-label": label, click: () => player.toggle(moment),
    }, `${words} · ${moment.confidence.toFixed(2)}`);
  });
  player.addEventListener("state", () => buttons.forEach((one, place) =>
    one.setAttribute("aria-pressed", String(player.stretch === shown[place]))));
  const note = shown.length < scene.moments.length ? ` These are the ${shown.length} most confident of ${scene.moments.length}.` : "";
  return [
    make("p", { class: "soft" }, `Stretches most confident of ${scene.label}; a button plays exactly its stretch.${note}`),
    make("ul", { class: "moments" }, ...buttons.map((one) => make("li", {}, one))),
  ];
}

function scoreTable(scene, order) {
  const mark = (rule) => (rule === scene.rule ? { class: "decides" } : {});
  const heads = RULES.map((rule) => make("th", { scope: "col", ...mark(rule) }, RULE_WORDS[rule]));
  const rows = order.map((c) => make("tr", { class: c === scene.winner ? "decided" : "" },
    make("th", { scope: "row" }, scene.labels[c]),
    ...RULES.map((rule) => make("td", mark(rule), scene.scores[rule][c].toFixed(3)))));
  return make("table", { class: "scores" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "class"), ...heads)), make("tbody", {}, ...rows));
}

// Positions of the classes by their scores, the one decided first
function ranked(scene) {
  const scores = scene.scores[scene.rule];
  return scores.map((_, c) => c).sort((one, two) =>
    (two === scene.winner) - (one === scene.winner) || scores[two] - scores[one] || one - two);
}
