// Numbers and sentences as people read them.

export const RULE_WORDS = { smi: "SMI", cmi: "CMI", bag: "the model’s pooling" };

export function clock(seconds) {
  const hundredths = Math.round(seconds * 100);
  const rest = String(hundredths % 6000).padStart(4, "0");
  return `${Math.floor(hundredths / 6000)}:${rest.slice(0, 2)}.${rest.slice(2)}`;
}

export function probabilityWords(scene) {
  if (!scene.calibrated) {
    return "No probability that this is correct: the model has no calibration. Its scores are no probabilities, and " +
      "sound unlike the training data is not marked.";
  }
  if (scene.familiar === false) {
    return "No probability that this is correct: it is known only for recordings like those of the training data.";
  }
  const short = scene.familiar === null ? " This one is too short to tell whether it is." : "";
  return `Calibrated probability that this is correct: ${scene.probability.toFixed(2)}, for recordings like those of ` +
    `the training data.${short}`;
}
