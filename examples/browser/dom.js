// Elements of the page. What comes from a file becomes text, never markup.

export function byId(id) {
  return document.getElementById(id);
}

// make("button", {type: "button", click: run}, "Play"): functions listen, the others are attributes
export function make(tag, settings = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === "function") {
      element.addEventListener(name, value);
    } else {
      element.setAttribute(name, value);
    }
  }
  element.append(...children);
  return element;
}
