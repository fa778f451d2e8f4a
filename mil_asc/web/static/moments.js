// The positive moments as buttons that play exactly that stretch.

import { make } from "./dom.js";
import { clock, score } from "./words.js";

export const MOST = 200;

// The most confident moments, in the order of time.
export function shownMoments(result) {
  const strongest = [...result.moments].sort((one, other) => other.confidence - one.confidence).slice(0, MOST);
  return strongest.sort((one, other) => one.start - other.start);
}

export function momentButtons(result, moments, player) {
  if (moments.length === 0) {
    return [make("p", {}, `No moment is most confident of ${result.label}.`)];
  }
  const buttons = moments.map((moment) => button(moment, player));
  const list = make("ul", { class: "moments" }, ...buttons.map((one) => make("li", {}, one)));
  const update = () => buttons.forEach((one, place) => show(one, player.playing && player.moment === moments[place]));
  player.addEventListener("state", update);
  player.addEventListener("unplayable", () => buttons.forEach((one) => { one.disabled = true; }));
  if (result.moments.length <= moments.length) {
    return [list];
  }
  return [list, make("p", { class: "soft" }, `The ${moments.length} most confident of ${result.moments.length}.`)];
}

function button(moment, player) {
  const words = `${clock(moment.start)} to ${clock(moment.end)}`;
  return make("button", {
    type: "button",
    class: "moment",
    "aria-pressed": "false",
    "aria-label": `Play ${words}, confidence ${score(moment.confidence)}`,
    click: () => player.playMoment(moment),
  }, make("span", { class: "sign", "aria-hidden": "true" }), words, " ", make("b", {}, score(moment.confidence)));
}

function show(one, playing) {
  one.setAttribute("aria-pressed", String(playing));
}
