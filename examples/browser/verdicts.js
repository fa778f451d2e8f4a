// The class decided under each rule, and the scores of all classes, as mil_asc.mil.verdicts has them.

import { greatest, sigmoid, sum } from "./poolings.js";

// Position of the greatest value, the first of equal ones
export function argmax(values) {
  return values.reduce((best, value, place) => (value > values[best] ? place : best), 0);
}

// ``rows``: an array of C logits per instance; ``bag``: C bag logits -> {winner, scores} by rule
export function judge(rows, bag) {
  const columns = bag.map((_, c) => rows.map((row) => row[c]));
  const most = columns.map(greatest);
  return {
    smi: { winner: argmax(most), scores: most.map(sigmoid) },
    cmi: counted(rows, columns),
    bag: { winner: argmax(bag), scores: bag.map(sigmoid) },
  };
}

// Most instances; a tie goes to the larger summed confidence, then to the larger summed logit
function counted(rows, columns) {
  const votes = columns.map(() => 0);
  rows.forEach((row) => { votes[argmax(row)] += 1; });
  let best = columns.map((_, c) => c);
  for (const values of [votes, columns.map((z) => sum(z.map(sigmoid))), columns.map(sum)]) {
    const most = greatest(best.map((c) => values[c]));
    best = best.filter((c) => values[c] === most);
  }
  return { winner: best[0], scores: votes.map((number) => number / rows.length) };
}
