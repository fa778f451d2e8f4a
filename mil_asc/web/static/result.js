// The result of a recording: its scene, what speaks for it, and when.

import { breakable, byId, make } from "./dom.js";
import { downloadLinks } from "./downloads.js";
import { momentButtons, shownMoments } from "./moments.js";
import { Player } from "./player.js";
import { scoreTable } from "./scores.js";
import { Timeline, instanceAt } from "./timeline.js";
import { RULES, clock, probabilityWords, ranked, score, unfamiliarWords } from "./words.js";

let free = () => {};

export function clearResult() {
  free();
  free = () => {};
  byId("result").replaceChildren();
  byId("result").hidden = true;
}

// Shows an answer of the server for a file; the file is what is played.
export function showResult(result, file) {
  clearResult();
  const place = byId("result");
  place.hidden = false;
  const audio = make("audio", { preload: "auto" });
  const waves = make("div", { class: "waves", "aria-hidden": "true" });
  const moments = shownMoments(result);
  const runnerUp = ranked(result.scores[result.assumption]).find((label) => label !== result.label) ?? "";
  const timeline = new Timeline(result, runnerUp);
  const downloads = downloadLinks(result);
  place.append(
    ...verdict(result),
    make("h3", {}, "Along time"),
    audio,
    waves,
    timeline.element,
  );
  const player = new Player(audio, waves, result, moments, file);
  const controls = playControls(result, player, runnerUp);
  place.append(
    ...controls.elements,
    legend(result, timeline, controls, runnerUp),
    ...notes(result),
    make("div", { class: "pair" },
      make("div", {},
        make("h3", {}, "Positive moments"),
        make("p", { class: "soft" }, `Stretches most confident of ${result.label}, with their greatest confidence. ` +
          "A button plays exactly its stretch."),
        ...momentButtons(result, moments, player)),
      make("div", {}, make("h3", {}, "Scores"), ...scoreTable(result))),
    make("div", { class: "actions downloads" }, ...downloads.links),
    make("p", { class: "soft" },
      `Model ${result.model}, mil_asc ${result.version}. A confidence says which moments led to the decision; it is ` +
      "not a detection of sound events."),
  );
  player.addEventListener("time", () => { timeline.time = player.time; });
  timeline.element.addEventListener("click", (event) => {
    const box = timeline.element.getBoundingClientRect();
    player.seek(((event.clientX - box.left) / box.width) * result.duration);
  });
  free = () => {
    player.destroy();
    timeline.destroy();
    downloads.free();
  };
}

function verdict(result) {
  const positive = result.instances.filter((one) => one.positive).length;
  const alert = make("div", { class: "unfamiliar", role: "alert" },
    make("strong", {}, "This recording is unlike the training data. "), unfamiliarWords(result));
  return [
    make("p", { class: "file" }, make("span", { class: "name" }, result.name), ` · ${clock(result.duration)}`),
    make("h2", { id: "scene", class: "scene" }, ...breakable(result.label)),
    make("p", { class: "decided-by" },
      `Decided by ${RULES[result.assumption]} with a score of ${score(result.scores[result.assumption][result.label])}. ` +
      `${positive} of ${result.instances.length} instances are positive.`),
    ...(result.familiar === false ? [alert] : []),
    make("p", { class: "probability" }, probabilityWords(result)),
  ];
}

// Play, the position as a slider (which keys move too), and what the model scores there.
function playControls(result, player, runnerUp) {
  const play = make("button", { type: "button", class: "button play", click: () => player.toggle() },
    make("span", { class: "sign", "aria-hidden": "true" }), make("span", {}, "Play"));
  const slider = make("input", {
    type: "range", min: "0", max: String(result.duration), step: "0.01", value: "0", class: "position",
    "aria-label": "Position in the recording", input: () => player.seek(Number(slider.value)),
    keydown: (event) => {
      if (event.key === " ") {
        event.preventDefault();
        player.toggle();
      }
    },
  });
  const time = make("span", { class: "digits" });
  const here = make("span", { class: "here" });
  const sorry = make("p", { class: "notice", hidden: true },
    "This browser cannot play this kind of file; the result is complete all the same. Most browsers play WAV, FLAC and MP3.");
  const state = { other: runnerUp, show: null, elements: [] };
  state.show = () => {
    const at = player.time;
    const found = instanceAt(result, at);
    slider.value = String(at);
    time.textContent = `${clock(at)} / ${clock(result.duration)}`;
    here.textContent = found ? scored(found, result, state.other) : "not judged";
    slider.setAttribute("aria-valuetext", `${clock(at)}, ${here.textContent}`);
  };
  player.addEventListener("time", state.show);
  player.addEventListener("state", () => {
    play.classList.toggle("playing", player.playing);
    play.lastChild.textContent = player.playing ? "Pause" : "Play";
  });
  player.addEventListener("unplayable", () => {
    play.disabled = true;
    sorry.hidden = false;
  });
  state.elements = [slider, make("div", { class: "controls" }, play, time, here), sorry];
  state.show();
  return state;
}

function scored(instance, result, other) {
  const parts = [result.label, other].filter(Boolean).map((label) => `${label} ${score(instance.scores[label])}`);
  const first = instance.label === result.label || instance.label === other ? "" : ` (first: ${instance.label})`;
  return parts.join(", ") + first;
}

function legend(result, timeline, controls, runnerUp) {
  const labels = Object.keys(result.scores.smi).filter((label) => label !== result.label);
  const choice = make("select", {
    id: "compare",
    change: () => {
      controls.other = choice.value;
      timeline.other = choice.value;
      controls.show();
    },
  }, make("option", { value: "" }, "no class"), ...labels.map((label) => make("option", { value: label }, label)));
  choice.value = runnerUp;
  return make("div", { class: "legend" },
    make("span", {}, make("span", { class: "line", "aria-hidden": "true" }), `confidence of ${result.label}`),
    make("span", {}, make("span", { class: "line other", "aria-hidden": "true" }),
      make("label", { for: "compare" }, "confidence of "), choice));
}

function notes(result) {
  const loudest = result.peaks.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
  const picture = result.spectrogram.is_mel
    ? "Below the waveform: the log-mel spectrogram, low frequencies at the bottom."
    : "Below the waveform: a spectrogram for orientation; the network takes the waveform itself.";
  const rest = result.duration - result.end;
  const unjudged = rest > 0.0005
    ? ` Hatched: the last ${rest.toFixed(2)} s are shorter than an instance and were not judged.`
    : "";
  return [make("p", { class: "soft" },
    `The waveform is scaled to its loudest sample (${loudest.toFixed(2)} of full scale). ${picture} Lines run from ` +
    `confidence 0 (bottom) to 1 (top); the band below them marks positive instances.${unjudged}`)];
}
