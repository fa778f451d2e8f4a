// Numbers, times and sentences as people read them.

export const RULES = { smi: "SMI", cmi: "CMI", bag: "the model’s pooling" };

// 9.5 -> "0:09.50"; 3725 -> "1:02:05.00"
export function clock(seconds, digits = 2) {
  const unit = 10 ** digits;
  const all = Math.round(seconds * unit);
  const whole = Math.floor(all / unit);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const front = parts[0] ? `${parts[0]}:${String(parts[1]).padStart(2, "0")}` : `${parts[1]}`;
  const rest = digits ? `.${String(all % unit).padStart(digits, "0")}` : "";
  return `${front}:${String(parts[2]).padStart(2, "0")}${rest}`;
}

export function score(value) {
  return value.toFixed(2);
}

export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

// The calibrated probability, or why there is none; for scenes of recordings and of the live view.
export function probabilityWords(scene) {
  if (scene.familiar === false) {
    return "No probability that this is correct: it is known only for recordings like those of the training data.";
  }
  if (scene.probability === null) {
    return "No probability that this is correct: the model has no calibration. Its scores are no probabilities, and " +
      "sound unlike the training data is not marked.";
  }
  return `Calibrated probability that this is correct: ${score(scene.probability)}, for recordings like those of the ` +
    "training data.";
}

export function unfamiliarWords(scene) {
  const measured = scene.unfamiliarity === null ? "" : ` (score ${Number(scene.unfamiliarity.toPrecision(3))})`;
  return "The model knows only its own classes and names one of them for any sound: " +
    `the result means little here${measured}.`;
}

// Labels in the order of their scores, the greatest first; equal scores keep the order of the model.
export function ranked(scores) {
  return Object.keys(scores).sort((one, other) => scores[other] - scores[one]);
}
