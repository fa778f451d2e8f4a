// From instance logits to the bag logit of one class, as mil_asc.mil.bag_logits has it. ``z`` are the logits of all
// instances, ``options`` those of the pooling, ``learned`` has ``attention`` (a score per instance) and ``sharpness``.

export function sigmoid(z) {
  return 1 / (1 + Math.exp(-z));
}

export function logSigmoid(z) {
  return -(Math.max(0, -z) + Math.log1p(Math.exp(-Math.abs(z))));
}

export function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

export function greatest(values) {
  return values.reduce((most, value) => Math.max(most, value), -Infinity);
}

function logSumExp(values) {
  const most = greatest(values);
  return most === -Infinity ? most : most + Math.log(sum(values.map((value) => Math.exp(value - most))));
}

const TINIEST = 2 ** -1022;

// Logit of exp(logP), logP < 0
function logitOf(logP) {
  return logP - Math.log(-Math.expm1(Math.min(logP, -TINIEST)));
}

// Logit of the mean confidence under weights that are given by their logarithms
function weightedMean(z, logWeights) {
  const side = (sign) => logSumExp(z.map((value, place) => logWeights[place] + logSigmoid(sign * value)));
  return side(1) - side(-1);
}

function mean(z) {
  return weightedMean(z, z.map(() => 0));
}

function noisyOr(z) {
  const logNot = sum(z.map((value) => logSigmoid(-value)));
  const logSum = logSumExp(z.map(logSigmoid));
  const tiny = logSum < Math.log(Number.EPSILON);
  return (tiny ? logSum : Math.log(-Math.expm1(logNot))) - logNot;
}

function attention(z, options, learned) {
  const total = logSumExp(learned.attention);
  return sum(z.map((value, place) => Math.exp(learned.attention[place] - total) * value));
}

export const POOLINGS = {
  max: greatest,
  mean,
  mean_logits: (z) => sum(z) / z.length,
  geometric_mean: (z) => logitOf(sum(z.map(logSigmoid)) / z.length),
  linear_softmax: (z) => weightedMean(z, z.map(logSigmoid)),
  exponential_softmax: (z) => weightedMean(z, z.map(sigmoid)),
  auto: (z, options, learned) => weightedMean(z, z.map((value) => learned.sharpness * sigmoid(value))),
  log_sum_exp: (z, { sharpness = 5 }) =>
    (logSumExp(z.map((value) => sharpness * value)) - Math.log(z.length)) / sharpness,
  top_k_mean: (z, { k = 5 }) => mean([...z].sort((one, other) => other - one).slice(0, k)),
  noisy_or: noisyOr,
  attention,
  gated_attention: attention,
};

// Bag logits of all classes: ``rows`` has an array of C logits per instance, ``facts`` the pooling of the model.
export function pool(facts, rows, attentionScores) {
  return facts.labels.map((_, c) => {
    const learned = { attention: attentionScores, sharpness: facts.sharpness?.[c] };
    return POOLINGS[facts.pooling](rows.map((row) => row[c]), facts.pooling_options, learned);
  });
}
