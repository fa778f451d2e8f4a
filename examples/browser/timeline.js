// The confidence of the class decided, and of the one behind it, along time; positive moments are marked below.

import { make } from "./dom.js";

const BAND = 8; // height of the band of positive moments
const MARGIN = 6;

export class Timeline {
  #scene;
  #other;
  #time = 0;
  #observer;

  // ``other``: position of the class that is drawn dashed, or null
  constructor(scene, other) {
    this.#scene = scene;
    this.#other = other;
    const words = `Confidence of ${scene.label} along time; ${scene.moments.length} positive moments.`;
    this.element = make("canvas", { class: "timeline", role: "img", "aria-label": words });
    this.#observer = new ResizeObserver(() => this.#draw());
    this.#observer.observe(this.element);
  }

  set time(seconds) {
    this.#time = seconds;
    this.#draw();
  }

  close() {
    this.#observer.disconnect();
  }

  #draw() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    this.element.width = Math.round(width * ratio);
    this.element.height = Math.round(height * ratio);
    const context = this.element.getContext("2d");
    context.scale(ratio, ratio);
    const { seconds, end, winner, moments } = this.#scene;
    const x = (time) => (time / seconds) * width;
    context.fillStyle = colour("--line");
    context.fillRect(x(end), 0, width - x(end), height); // shorter than an instance: not judged
    context.fillStyle = colour("--accent");
    moments.forEach((one) => context.fillRect(x(one.start), height - BAND, Math.max(x(one.end) - x(one.start), 1), BAND));
    if (this.#other !== null) {
      this.#curve(context, this.#other, x, height, "--other", [6, 4]);
    }
    this.#curve(context, winner, x, height, "--accent", []);
    context.fillStyle = colour("--cursor");
    context.fillRect(Math.min(x(this.#time), width - 2), 0, 2, height);
  }

  #curve(context, c, x, height, name, dashes) {
    const y = (confidence) => MARGIN + (1 - confidence) * (height - BAND - 2 * MARGIN);
    context.beginPath();
    this.#scene.instances.forEach(({ start, end, confidences }) => {
      context.lineTo(x(start), y(confidences[c]));
      context.lineTo(x(end), y(confidences[c]));
    });
    context.setLineDash(dashes);
    context.lineWidth = 2;
    context.strokeStyle = colour(name);
    context.stroke();
  }
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}
