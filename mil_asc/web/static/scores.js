// The table of scores: a row per class, a column per rule, a bar behind each number.

import { breakable, make } from "./dom.js";
import { RULES, ranked } from "./words.js";

const FIRST = 15;

export function scoreTable(result) {
  const labels = ranked(result.scores[result.assumption]);
  const order = [result.label, ...labels.filter((label) => label !== result.label)];
  const heads = Object.entries(RULES).map(([rule, name]) => make("th", { scope: "col", class: mark(rule, result) },
    name, ...(rule === result.assumption ? [make("span", { class: "unseen" }, " (decides)")] : [])));
  const body = make("tbody", {}, ...order.slice(0, FIRST).map((label) => row(label, result)));
  const table = make("table", { class: "scores" },
    make("caption", { class: "unseen" }, "Scores of all classes, 0 to 1"),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "class"), ...heads)), body);
  if (order.length <= FIRST) {
    return [table];
  }
  const more = make("button", {
    type: "button",
    class: "button",
    click: () => {
      body.append(...order.slice(FIRST).map((label) => row(label, result)));
      more.remove();
      table.focus();
    },
  }, `Show all ${order.length} classes`);
  table.tabIndex = -1;
  return [table, more];
}

function row(label, result) {
  const cells = Object.keys(RULES).map((rule) => {
    const value = result.scores[rule][label];
    const bar = make("span", { class: "bar" }, value.toFixed(3));
    bar.style.setProperty("--share", String(value));
    return make("td", { class: mark(rule, result) }, bar);
  });
  const head = make("th", { scope: "row" }, ...breakable(label));
  return make("tr", { class: label === result.label ? "decided" : "" }, head, ...cells);
}

function mark(rule, result) {
  return rule === result.assumption ? "decides" : "";
}
