// What the network gave for a recording, and the scene that it decides under a rule.

import { instanceTimes } from "./interface.js";
import { pool, sigmoid } from "./poolings.js";
import { argmax, judge } from "./verdicts.js";

export class RecordingScores {
  // ``rows``: an array of C logits per instance; ``attention``: a score per instance, or null; ``traits``: the means of
  // the calibration's traits, or null
  constructor(facts, calibration, numSamples, { rows, attention, traits }) {
    this.facts = facts;
    this.calibration = calibration;
    this.numSamples = numSamples;
    this.rows = rows;
    this.traits = traits;
    this.verdicts = judge(rows, pool(facts, rows, attention));
  }

  // The scene under ``smi``, ``cmi`` or ``bag``; scores are in the order of the labels
  scene(rule) {
    const { facts, calibration, rows, verdicts, traits } = this;
    const { winner } = verdicts[rule];
    const instances = rows.map((row, position) => {
      const [start, end] = instanceTimes(facts, position, this.numSamples);
      const first = argmax(row);
      return { start, end, first, confidences: row.map(sigmoid), positive: first === winner };
    });
    const familiar = calibration ? calibration.familiar(traits, rows.length) : null;
    return {
      rule,
      winner,
      label: facts.labels[winner],
      labels: facts.labels,
      scores: Object.fromEntries(Object.entries(verdicts).map(([name, verdict]) => [name, verdict.scores])),
      instances,
      moments: moments(instances, winner),
      seconds: this.numSamples / facts.sample_rate,
      end: instances.at(-1).end,
      calibrated: calibration !== null,
      familiar,
      unfamiliarity: calibration ? calibration.score(traits, rows.length) : null,
      probability: calibration && familiar !== false
        ? calibration.confidence(rule, verdicts[rule].scores[winner]) : null,
    };
  }
}

// Stretches of consecutive positive instances, with their greatest confidence
function moments(instances, winner) {
  const found = [];
  let open = null;
  for (const one of instances) {
    if (!one.positive) {
      open = null;
    } else if (open === null) {
      open = { start: one.start, end: one.end, confidence: one.confidences[winner] };
      found.push(open);
    } else {
      open.end = one.end;
      open.confidence = Math.max(open.confidence, one.confidences[winner]);
    }
  }
  return found;
}

// All of a scene as ``mil-asc explain --format json`` writes it
export function asJson(scene, name) {
  const byLabel = (values) => Object.fromEntries(scene.labels.map((label, c) => [label, values[c]]));
  return {
    path: name,
    label: scene.label,
    assumption: scene.rule,
    start: scene.instances[0].start,
    end: scene.end,
    probability: scene.probability,
    familiar: scene.familiar,
    unfamiliarity: scene.unfamiliarity,
    scores: Object.fromEntries(Object.entries(scene.scores).map(([rule, values]) => [rule, byLabel(values)])),
    instances: scene.instances.map((one) => ({
      start: one.start,
      end: one.end,
      label: scene.labels[one.first],
      confidence: one.confidences[one.first],
      positive: one.positive,
    })),
  };
}
