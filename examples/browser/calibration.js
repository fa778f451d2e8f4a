// The calibration that a model carries: the probability that the class decided is correct, and whether a recording is
// like the training data. The same as mil_asc.packaging.familiarity computes from the same text.

import { sigmoid } from "./poolings.js";
import { Problem } from "./problem.js";

const FORMAT = 1;
const REJECTED = 0.01; // share of recordings like the training data that are marked as unlike it
const SCORE_MARGIN = 1e-12;
const LEAST_DEVIATION = 1e-3;

export class Calibration {
  #facts;

  // ``text`` is that of the metadata; ``dimensions`` those of the network's instance vectors
  constructor(text, dimensions) {
    try {
      this.#facts = JSON.parse(text);
    } catch {
      throw new Problem("the model’s calibration is no JSON");
    }
    const { format, projection, offset, centres, whitening } = this.#facts;
    if (format !== FORMAT) {
      throw new Problem(`the model’s calibration is of format ${format}, this page knows ${FORMAT}`);
    }
    const directions = offset[0].length;
    const fits = isTable(projection, dimensions, directions) && isTable(offset, 1, directions) &&
      isTable(centres, centres.length, 2 * directions) && isTable(whitening, 2 * directions, 2 * directions);
    if (!fits) {
      throw new Problem(`the model’s calibration does not fit its instance vectors of ${dimensions} dimensions`);
    }
  }

  // Number of traits
  get size() {
    return 2 * this.#facts.offset[0].length;
  }

  // Adds the traits of one instance vector to ``sums``: its directions, then their squares
  addTraits(vector, sums) {
    const { projection, offset } = this.#facts;
    const directions = offset[0].length;
    for (let k = 0; k < directions; k += 1) {
      let along = -offset[0][k];
      for (let d = 0; d < vector.length; d += 1) {
        along += vector[d] * projection[d][k];
      }
      along = Math.fround(along); // traits are float32 in mil_asc
      sums[k] += along;
      sums[directions + k] += Math.fround(along * along);
    }
  }

  // How foreign a recording is, from the means of its traits over so many instances; about 1 is typical
  score(means, instances) {
    const { centres, whitening, counts, scales } = this.#facts;
    const found = summary(means);
    const squares = centres.map((centre) => {
      const difference = found.map((value, k) => value - centre[k]);
      return meanSquare(whitening.map((_, column) =>
        difference.reduce((total, value, row) => total + value * whitening[row][column], 0)));
    });
    return Math.sqrt(Math.min(...squares)) / interpolate(Math.log(Math.max(instances, 1)), counts.map(Math.log), scales);
  }

  // true or false; null for recordings that are too short to judge
  familiar(means, instances) {
    const { counts, shares, thresholds } = this.#facts;
    if (instances < counts[0]) {
      return null;
    }
    return this.score(means, instances) <= interpolate(Math.log(REJECTED), shares.map(Math.log), thresholds);
  }

  // Probability that the class decided under a rule with this score is correct
  confidence(rule, score) {
    const { slope, intercept } = this.#facts.rules[rule];
    const kept = Math.min(Math.max(score, SCORE_MARGIN), 1 - SCORE_MARGIN);
    return sigmoid(slope * (rule === "cmi" ? score : Math.log(kept) - Math.log1p(-kept)) + intercept);
  }
}

// Means and log deviations of directions
function summary(means) {
  const half = means.length / 2;
  const first = Array.from(means.slice(0, half));
  const deviations = first.map((mean, k) => Math.sqrt(Math.max(means[half + k] - mean * mean, 0)));
  return [...first, ...deviations.map((value) => Math.log(value + LEAST_DEVIATION))];
}

function meanSquare(values) {
  return values.reduce((total, value) => total + value * value, 0) / values.length;
}

// Between ascending points; the first and last value beyond them
function interpolate(x, points, values) {
  const above = points.findIndex((point) => point >= x);
  if (above < 0) {
    return values.at(-1);
  }
  if (above === 0) {
    return values[0];
  }
  const share = (x - points[above - 1]) / (points[above] - points[above - 1]);
  return values[above - 1] + share * (values[above] - values[above - 1]);
}

function isTable(rows, height, width) {
  return Array.isArray(rows) && rows.length === height &&
    rows.every((row) => Array.isArray(row) && row.length === width && row.every(Number.isFinite));
}
