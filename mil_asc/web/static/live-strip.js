// The instances of the last minute: a row per class, what is provisional pale and hatched.

import { colour, hatch, make, redrawn, sharpContext } from "./dom.js";

const SECONDS = 60;
const ROW = 22; // pixels
const MOST_ROWS = 12;

export class LiveStrip {
  #labels;
  #names = make("div", { class: "strip-names", "aria-hidden": "true" });
  #canvas = make("canvas", { role: "img", "aria-label": "Confidence of the classes in the last 60 seconds" });
  #instances = new Map(); // position -> instance; a final one takes the place of the provisional one
  #rows = [];
  #time = 0;

  constructor(labels) {
    this.#labels = labels;
    this.element = make("div", { class: "strip" }, this.#names, this.#canvas,
      make("span", {}), make("div", { class: "strip-axis soft", "aria-hidden": "true" },
        make("span", {}, "60 s ago"), make("span", {}, "now")));
    this.#canvas.style.height = `${ROW * Math.min(labels.length, MOST_ROWS)}px`;
    redrawn(this.#canvas, () => this.draw());
  }

  add(instances, time) {
    this.#time = time;
    for (const one of instances) {
      this.#instances.set(one.position, one);
    }
    for (const [position, one] of this.#instances) {
      if (one.end < time - SECONDS) {
        this.#instances.delete(position);
      }
    }
    this.draw();
  }

  draw() {
    this.#choose();
    const { context, width, height } = sharpContext(this.#canvas);
    context.clearRect(0, 0, width, height);
    const left = this.#time - SECONDS;
    for (const one of this.#instances.values()) {
      const x = ((one.start - left) / SECONDS) * width;
      const wide = ((one.end - one.start) / SECONDS) * width;
      this.#rows.forEach((label, row) => {
        const high = one.scores[label] * (ROW - 4);
        context.globalAlpha = (one.final ? 1 : 0.45) * (0.25 + 0.75 * one.scores[label]);
        context.fillStyle = colour("--accent");
        context.fillRect(x, (row + 1) * ROW - 2 - high, wide + 0.3, high);
      });
      context.globalAlpha = 1;
      if (!one.final) {
        hatch(context, x, 0, wide, height, colour("--hatch"), 5);
      }
    }
    context.fillStyle = colour("--line");
    this.#rows.forEach((_, row) => context.fillRect(0, (row + 1) * ROW - 1, width, 1));
  }

  // All classes, or those that were most confident of late, in the order of the model.
  #choose() {
    let rows = this.#labels;
    if (rows.length > MOST_ROWS) {
      const all = [...this.#instances.values()];
      const top = new Map(rows.map((label) => [label, Math.max(0, ...all.map((one) => one.scores[label]))]));
      const first = [...rows].sort((one, other) => top.get(other) - top.get(one)).slice(0, MOST_ROWS);
      rows = this.#labels.filter((label) => first.includes(label));
    }
    if (rows.join("\n") !== this.#rows.join("\n")) {
      this.#rows = rows;
      this.#names.replaceChildren(...rows.map((label) => make("span", { title: label }, label)));
    }
  }
}
