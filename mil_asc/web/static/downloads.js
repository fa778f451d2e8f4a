// Files made of an answer: the label track of Audacity, and the numbers as JSON.

import { make } from "./dom.js";

const PICTURES = ["peaks", "spectrogram", "audacity"];

// Links, and what frees their data.
export function downloadLinks(result) {
  const facts = Object.fromEntries(Object.entries(result).filter(([name]) => !PICTURES.includes(name)));
  const stem = result.name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N} ._-]+/gu, "_") || "recording";
  const made = [
    link("Labels for Audacity", `${stem}.labels.txt`, result.audacity, "text/plain"),
    link("Result as JSON", `${stem}.json`, `${JSON.stringify(facts, null, 1)}\n`, "application/json"),
  ];
  return { links: made, free: () => made.forEach((one) => URL.revokeObjectURL(one.href)) };
}

function link(text, name, content, type) {
  const href = URL.createObjectURL(new Blob([content], { type }));
  return make("a", { class: "button", href, download: name }, text);
}
