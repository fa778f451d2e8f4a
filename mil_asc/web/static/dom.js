// Elements of the page. What comes from outside becomes text, never markup.

export function byId(id) {
  return document.getElementById(id);
}

// make("button", {type: "button", click: run, disabled: true}, "Play"): functions listen, booleans switch attributes
export function make(tag, settings = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === "function") {
      element.addEventListener(name, value);
    } else if (typeof value === "boolean") {
      element.toggleAttribute(name, value);
    } else {
      element.setAttribute(name, value);
    }
  }
  element.append(...children);
  return element;
}

// The colour that a custom property of style.css has now, in light or dark.
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Makes a canvas as sharp as the screen; returns its context, with lengths in CSS pixels, and its size.
export function sharpContext(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height };
}

// Diagonal lines over a rectangle: what was not judged, or is not final.
export function hatch(context, left, top, width, height, stroke, step = 6) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.strokeStyle = stroke;
  context.lineWidth = 1;
  context.beginPath();
  const first = Math.floor((left - height) / step) * step;
  for (let x = first; x < left + width; x += step) {
    context.moveTo(x, top + height);
    context.lineTo(x + height, top);
  }
  context.stroke();
  context.restore();
}

// Draws again when the element changes its size or the page changes between light and dark; returns what ends that.
export function redrawn(element, draw) {
  const observer = new ResizeObserver(draw);
  const end = recoloured(draw);
  observer.observe(element);
  return () => {
    observer.disconnect();
    end();
  };
}

// Calls ``draw`` when the page changes between light and dark; returns what ends that.
export function recoloured(draw) {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", draw);
  return () => dark.removeEventListener("change", draw);
}

// A label that may be broken after an underscore, a hyphen or a slash; its text stays as it is.
export function breakable(label) {
  const parts = label.split(/(?<=[_/-])/);
  return parts.flatMap((part, place) => (place ? [make("wbr"), part] : [part]));
}
