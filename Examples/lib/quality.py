"""How good probabilities are for labels of 0 and 1."""

import math


def auc(labels, scores):
    """The probability that a positive is above a negative; ties count half."""
    order = sorted(range(len(scores)), key=scores.__getitem__)
    positives = sum(labels)
    negatives = len(labels) - positives
    if not positives or not negatives:
        raise ValueError("AUC needs both labels")
    rank_sum, start = 0.0, 0
    while start < len(order):
        end = start
        while end < len(order) and scores[order[end]] == scores[order[start]]:
            end += 1
        rank = (start + 1 + end) / 2
        rank_sum += rank * sum(labels[position] for position in order[start:end])
        start = end
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def logloss(labels, scores):
    """Mean, in nats."""
    return -sum(math.log(score if label else 1 - score) for label, score in zip(labels, scores)) / len(labels)


def calibration(labels, scores):
    """Mean predicted over mean observed."""
    return sum(scores) / sum(labels)
