// The confidence of two classes along time, drawn over the spectrogram; any number of instances.

import { colour, hatch, make, redrawn, sharpContext } from "./dom.js";

const BAND = 7; // height of the band that marks positive instances
const MARGIN = 6; // above the confidence 1 and below 0

export class Timeline {
  #result;
  #canvas;
  #unwatch;
  #other;

  constructor(result, other) {
    this.#result = result;
    this.#other = other;
    this.#canvas = make("canvas", {});
    const picture = make("img", { src: result.spectrogram.png, alt: "" });
    picture.style.left = `${100 * result.spectrogram.left}%`;
    picture.style.width = `${100 * result.spectrogram.width}%`;
    this.cursor = make("div", { class: "cursor" });
    this.element = make("div", { class: "track", role: "img", "aria-label": this.#words() },
      picture, this.#canvas, this.cursor);
    this.#unwatch = redrawn(this.element, () => this.draw());
  }

  // The class compared with the one decided.
  set other(label) {
    this.#other = label;
    this.element.setAttribute("aria-label", this.#words());
    this.draw();
  }

  set time(seconds) {
    this.cursor.style.left = `${100 * Math.min(seconds / this.#result.duration, 1)}%`;
  }

  destroy() {
    this.#unwatch();
  }

  draw() {
    const { context, width, height } = sharpContext(this.#canvas);
    if (width === 0) {
      return;
    }
    context.clearRect(0, 0, width, height);
    const { duration, end, label } = this.#result;
    if (end < duration) {
      const left = (end / duration) * width;
      context.fillStyle = "rgb(0 0 0 / 55%)";
      context.fillRect(left, 0, width - left, height);
      hatch(context, left, 0, width - left, height, "#ffffff");
    }
    this.#drawBand(context, width, height);
    if (this.#other) {
      this.#drawCurve(context, this.#other, width, height, colour("--curve-other"), [7, 4]);
    }
    this.#drawCurve(context, label, width, height, colour("--curve"), []);
  }

  #drawBand(context, width, height) {
    context.fillStyle = "#000000";
    context.fillRect(0, height - BAND, width * Math.min(this.#result.end / this.#result.duration, 1), BAND);
    context.fillStyle = colour("--band");
    for (const one of this.#result.moments) {
      const left = (one.start / this.#result.duration) * width;
      const right = (one.end / this.#result.duration) * width;
      context.fillRect(left, height - BAND + 1, Math.max(right - left, 1), BAND - 1);
    }
  }

  #drawCurve(context, label, width, height, stroke, dashes) {
    const top = columns(this.#result, label, Math.ceil(width));
    const y = (confidence) => MARGIN + (1 - confidence) * (height - BAND - 2 * MARGIN);
    const path = new Path2D();
    let drawn = false;
    for (let x = 0; x < top.length; x += 1) {
      if (Number.isNaN(top[x])) {
        drawn = false;
      } else if (drawn) {
        path.lineTo(x, y(top[x]));
      } else {
        path.moveTo(x, y(top[x]));
        drawn = true;
      }
    }
    context.lineJoin = "round";
    context.strokeStyle = "rgb(0 0 0 / 75%)";
    context.lineWidth = 5;
    context.stroke(path);
    context.setLineDash(dashes);
    context.strokeStyle = stroke;
    context.lineWidth = 2;
    context.stroke(path);
    context.setLineDash([]);
  }

  #words() {
    const { label, moments } = this.#result;
    const other = this.#other ? ` and of ${this.#other}` : "";
    return `Spectrogram with the confidence of ${label}${other} along time. ${moments.length} positive moments.`;
  }
}

// The greatest confidence of a class in each of ``count`` equal stretches; NaN where no instance lies.
export function columns(result, label, count) {
  const top = new Float32Array(count).fill(Number.NaN);
  const scale = count / result.duration;
  for (const one of result.instances) {
    const value = one.scores[label];
    const first = Math.min(Math.round(one.start * scale), count - 1);
    const last = Math.max(first + 1, Math.min(Math.round(one.end * scale), count));
    for (let x = first; x < last; x += 1) {
      if (!(top[x] >= value)) {
        top[x] = value;
      }
    }
  }
  return top;
}

// The last instance that begins before or at a time; null after the end of what was judged.
export function instanceAt(result, seconds) {
  const all = result.instances;
  let low = 0;
  let high = all.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (all[middle].start <= seconds) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low > 0 && seconds <= all[low - 1].end ? all[low - 1] : null;
}
