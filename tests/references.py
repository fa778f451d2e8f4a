"""Slow, obvious versions of the paper's formulas, one clip and one class at a time."""

import math


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def weighted_bce(probabilities, target, alpha):
    """Eq. 3 for one vector of class confidences."""
    terms = [alpha * y * math.log(p) + (1 - y) * math.log(1 - p) for p, y in zip(probabilities, target)]
    return -sum(terms) / len(terms)


def bag_confidence(logits_IC):
    """Eq. 2: every class's greatest instance confidence."""
    return [max(sigmoid(z_C[c]) for z_C in logits_IC) for c in range(len(logits_IC[0]))]


def one_hot(label, num_classes):
    return [float(c == label) for c in range(num_classes)]


def bag_loss(logits_IC, label, alpha):
    return weighted_bce(bag_confidence(logits_IC), one_hot(label, len(logits_IC[0])), alpha)


def softmax(z_C):
    total = sum(math.exp(z) for z in z_C)
    return [math.exp(z) / total for z in z_C]


def frame_loss(logits_IC, label):
    """Squared confidences of absent classes, and squared steps of the true one, each averaged."""
    p_IC = [[sigmoid(z) for z in z_C] for z_C in logits_IC]
    absent = [p**2 for p_C in p_IC for c, p in enumerate(p_C) if c != label]
    steps = [(after[label] - before[label]) ** 2 for before, after in zip(p_IC, p_IC[1:])]
    return sum(absent) / len(absent) + sum(steps) / len(steps)


def argmax(values):
    return max(range(len(values)), key=lambda i: values[i])


def instance_label(z_C, label, kind):
    """Eq. 4 (pnl) and section 5.1.3 (gt)."""
    if kind == "gt" or argmax(z_C) == label:
        return one_hot(label, len(z_C))
    return [0.0] * len(z_C)


def instance_loss(logits_IC, label, alpha, kind):
    losses = [weighted_bce([sigmoid(z) for z in z_C], instance_label(z_C, label, kind), alpha) for z_C in logits_IC]
    return sum(losses) / len(losses)


def count_decision(logits_IC):
    """Eq. 10 with ties to the larger summed confidence."""
    classes = range(len(logits_IC[0]))
    votes = [sum(argmax(z_C) == c for z_C in logits_IC) for c in classes]
    sums = [sum(sigmoid(z_C[c]) for z_C in logits_IC) for c in classes]
    return max(classes, key=lambda c: (votes[c], sums[c]))


def pooled_confidence(name, p_I, k=5):
    """Bag confidence of one class from its instances' confidences, by the published formulas."""
    if name == "max":
        return max(p_I)
    if name == "mean":
        return sum(p_I) / len(p_I)
    if name == "linear_softmax":
        return sum(p**2 for p in p_I) / sum(p_I)
    if name == "exponential_softmax":
        return sum(p * math.exp(p) for p in p_I) / sum(math.exp(p) for p in p_I)
    if name == "auto":  # with a sharpness of 2
        return sum(p * math.exp(2 * p) for p in p_I) / sum(math.exp(2 * p) for p in p_I)
    if name == "noisy_or":
        return 1 - math.prod(1 - p for p in p_I)
    if name == "top_k_mean":
        top = sorted(p_I, reverse=True)[:k]
        return sum(top) / len(top)
    if name == "geometric_mean":
        return math.prod(p_I) ** (1 / len(p_I))
    z_I = [math.log(p / (1 - p)) for p in p_I]
    if name == "mean_logits":
        return sigmoid(sum(z_I) / len(z_I))
    assert name == "log_sum_exp"
    return sigmoid(math.log(sum(math.exp(5 * z) for z in z_I) / len(z_I)) / 5)
