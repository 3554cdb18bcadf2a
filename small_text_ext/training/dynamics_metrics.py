"""What training dynamics say of an item: the coordinates of a data map, as pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

REGIONS = {
    "easy": ("confidence", False),
    "ambiguous": ("variability", False),
    "hard": ("confidence", True),
}
"""By region the metric it is ranked by, and whether the lowest values come first."""

NEVER_LEARNT = 1000
"""The published forgetfulness of an item that was never predicted correctly."""

DIFFICULTIES = {"easy": 0.75, "medium": 0.5, "hard": 0.25}
"""By bucket the share of correct epochs that its items exceed; all others are "impossible"."""

# Of a block, in float64: half a megabyte stays in a core's cache.
_BLOCK_ELEMENTS = 65_536

Logits = NDArray[np.floating[Any]]
Labels = NDArray[np.int64] | NDArray[np.float32]


def map_metrics(
    logits: Logits, labels: Labels, confidence_interval: bool = False
) -> dict[str, NDArray[Any]]:
    """Compute the coordinates of all items.

    Parameters
    ----------
    logits : numpy.ndarray of float, shape (epochs, items, classes)
        Scores before the softmax, or before the sigmoid if multi-label; a mapped file is read block
        by block.
    labels : numpy.ndarray, shape (items,) of int64, or (items, classes) of float32 if multi-label
        Class ids, or zeros and ones.
    confidence_interval : bool, default=False
        Enlarge the variability to that of Active Bias; see `TrainingDynamics.metrics`.

    Returns
    -------
    dict of str to numpy.ndarray, shape (items,)
        The columns of `TrainingDynamics.metrics` but guid and index, in their order.
    """
    blocks = [
        _block_metrics(np.moveaxis(logits[:, rows], 2, 0), labels[rows], confidence_interval)
        for rows in _blocks(logits)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def mean_probabilities(logits: Logits, multi_label: bool) -> NDArray[np.float64]:
    """Average the predicted distributions over the epochs: what training made of each item.

    Parameters
    ----------
    logits : numpy.ndarray of float, shape (epochs, items, classes)
        Scores before the softmax, or before the sigmoid if multi-label.
    multi_label : bool
        Which of the two.

    Returns
    -------
    numpy.ndarray of float64, shape (items, classes)
        Mean probabilities.
    """
    parts = []
    for rows in _blocks(logits):
        block = np.ascontiguousarray(np.moveaxis(logits[:, rows], 2, 0), dtype=np.float64)
        probabilities = expit(block) if multi_label else _softmax(block)[0]
        parts.append(probabilities.mean(axis=1).T)
    return np.concatenate(parts)


def forgetting_events(correct: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count how often a correct prediction was followed by a wrong one.

    Parameters
    ----------
    correct : numpy.ndarray of bool, shape (epochs, items)
        Whether each prediction was right.

    Returns
    -------
    numpy.ndarray of int64, shape (items,)
        Numbers of events; `NEVER_LEARNT`, as published, where no prediction was right.

    References
    ----------
    M. Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network
    Learning", ICLR 2019.

    Examples
    --------
    >>> forgetting_events(np.array([[True, False], [False, False], [True, False], [False, False]]))
    array([   2, 1000])
    """
    events = (correct[:-1] & ~correct[1:]).sum(axis=0)
    return np.asarray(np.where(correct.any(axis=0), events, NEVER_LEARNT), dtype=np.int64)


def map_regions(
    metrics: pd.DataFrame | Mapping[str, Any], fraction: float = 0.33, exclusive: bool = False
) -> dict[str, NDArray[np.int64]]:
    """Rank items by the metric of each region, and take the first of each ranking.

    Parameters
    ----------
    metrics : pandas.DataFrame or mapping
        Columns ``confidence`` and ``variability``.
    fraction : float, default=0.33
        The share of the items in each region, rounded to whole items, at least one.
    exclusive : bool, default=False
        As published, regions overlap: on a data set that is easy as a whole, most hard items are
        ambiguous too. True gives each item to one region: regions take turns (ambiguous, hard,
        easy), each its best-ranked item that is not taken.

    Returns
    -------
    dict of str to numpy.ndarray of int64
        Positions, most typical first: "easy" has the highest confidence, "ambiguous" the highest
        variability, "hard" the lowest confidence. Ties go to the earlier position.

    Raises
    ------
    ValueError
        If ``fraction`` is not in (0, 1], or above a third with ``exclusive``.

    Examples
    --------
    >>> metrics = {"confidence": [0.9, 0.5, 0.1], "variability": [0.0, 0.4, 0.1]}
    >>> {name: rows.tolist() for name, rows in map_regions(metrics).items()}
    {'easy': [0], 'ambiguous': [1], 'hard': [2]}
    """
    largest = 1 / 3 if exclusive else 1.0
    if not 0 < fraction <= largest:
        raise ValueError(
            f"fraction is {fraction}: pass a share above 0 and at most {largest:.3g}"
            + (", since each of the three regions takes that many items." if exclusive else ".")
        )
    rankings = {}
    for name, (column, lowest_first) in REGIONS.items():
        values = np.asarray(metrics[column], dtype=np.float64)
        rankings[name] = np.argsort(values if lowest_first else -values, kind="stable")
    number = max(1, round(fraction * len(rankings["easy"])))
    if exclusive:
        if len(rankings["easy"]) < len(rankings):
            raise ValueError(
                f"There are {len(rankings['easy'])} items: three regions that share none need "
                "three; pass exclusive=False."
            )
        return _in_turns(rankings, min(number, len(rankings["easy"]) // 3))
    return {name: ranking[:number] for name, ranking in rankings.items()}


def difficulty_buckets(correctness_fraction: ArrayLike) -> NDArray[np.str_]:
    """Name the difficulty of items by how often a model predicted their label.

    Over a pool whose labels are all known, they tell what a strategy that did not know them has
    asked for: one that buys the impossible pays for outliers which no model learns.

    Parameters
    ----------
    correctness_fraction : array-like of float, shape (items,)
        The share of epochs in which the label was predicted, in [0, 1].

    Returns
    -------
    numpy.ndarray of str, shape (items,)
        "easy" above 0.75, "medium" above 0.5, "hard" above 0.25, and "impossible".

    Raises
    ------
    ValueError
        If a share is not in [0, 1]: counts of epochs are no shares.

    References
    ----------
    S. Karamcheti et al., "Mind Your Outliers! Investigating the Negative Impact of Outliers on
    Active Learning for Visual Question Answering", ACL 2021.

    Examples
    --------
    >>> difficulty_buckets([1.0, 0.75, 0.4, 0.25, 0.0]).tolist()
    ['easy', 'medium', 'hard', 'impossible', 'impossible']
    """
    shares = np.asarray(correctness_fraction, dtype=np.float64)
    outside = ~((shares >= 0) & (shares <= 1))
    if outside.any():
        raise ValueError(
            f"correctness_fraction holds {shares[outside][0]}: pass shares of epochs from 0 to 1, "
            "which are the counts of correctness divided by the number of epochs."
        )
    bounds = [shares > least for least in DIFFICULTIES.values()]
    return np.select(bounds, list(DIFFICULTIES), default="impossible")


def _blocks(logits: Logits) -> Iterator[slice]:
    num_epochs, num_items, num_classes = logits.shape
    size = max(1, _BLOCK_ELEMENTS // (num_epochs * num_classes))
    for start in range(0, num_items, size):
        yield slice(start, start + size)


def _block_metrics(
    block: Logits, labels: Labels, confidence_interval: bool
) -> dict[str, NDArray[Any]]:
    """Return the coordinates of a block of logits (classes, epochs, items)."""
    scores = np.ascontiguousarray(block, dtype=np.float64)
    observed = _multi_label(scores, labels) if labels.ndim == 2 else _single_label(scores, labels)
    gold, correct, margins, errors, entropies = observed
    confidence, variance = gold.mean(axis=0), gold.var(axis=0)
    if confidence_interval:
        variance = variance + variance**2 / (len(gold) - 1)
    count = correct.sum(axis=0)
    return {
        "threshold_closeness": confidence * (1 - confidence),
        "confidence": confidence,
        "variability": np.sqrt(variance),
        "correctness": count,
        "forgetfulness": forgetting_events(correct),
        "correctness_fraction": count / len(correct),
        "never_learnt": count == 0,
        "aum": margins.mean(axis=0),
        "el2n": errors.mean(axis=0),
        "entropy": entropies.mean(axis=0),
    }


_Observed = tuple[
    NDArray[np.float64],
    NDArray[np.bool_],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
]


def _single_label(scores: NDArray[np.float64], labels: Labels) -> _Observed:
    """Return gold probability, correctness, margin, error norm and entropy, (epochs, items)."""
    probabilities, shifted, log_total = _softmax(scores)
    epochs = np.arange(scores.shape[1])[:, None]
    index = (labels, epochs, np.arange(len(labels)))
    gold, gold_score = probabilities[index], scores[index]
    correct = scores.argmax(axis=0) == labels
    entropies = log_total - np.einsum("cei,cei->ei", probabilities, shifted)
    # The squared distance to a one in the place of the label.
    squared = np.einsum("cei,cei->ei", probabilities, probabilities) - 2 * gold + 1
    others = scores.copy()
    others[index] = -np.inf
    return (
        gold,
        correct,
        gold_score - others.max(axis=0),
        np.sqrt(np.maximum(squared, 0)),
        entropies,
    )


def _multi_label(scores: NDArray[np.float64], labels: Labels) -> _Observed:
    """Likewise; see the notes of `TrainingDynamics.metrics` on what each means."""
    truth = labels.T[:, None, :]
    signed = np.where(truth > 0, scores, -scores)
    probabilities = expit(scores)
    correct = ((scores > 0) == (truth > 0)).all(axis=0)
    # log(1 + exp(z)) - z * sigmoid(z), without overflow.
    entropies = np.logaddexp(0, scores) - scores * probabilities
    errors = np.sqrt(((probabilities - truth) ** 2).sum(axis=0))
    return expit(signed).mean(axis=0), correct, signed.mean(axis=0), errors, entropies.mean(axis=0)


def _softmax(
    scores: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return softmax over the first axis, the shifted scores, and the log of their total."""
    shifted = scores - scores.max(axis=0)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=0)
    return exponentials / total, shifted, np.log(total)


def _in_turns(
    rankings: Mapping[str, NDArray[np.int64]], number: int
) -> dict[str, NDArray[np.int64]]:
    taken: set[int] = set()
    queues = {name: iter(rankings[name].tolist()) for name in ("ambiguous", "hard", "easy")}
    chosen: dict[str, list[int]] = {name: [] for name in rankings}
    for _ in range(number):
        for name, queue in queues.items():
            item = next(row for row in queue if row not in taken)
            taken.add(item)
            chosen[name].append(item)
    return {name: np.array(rows, dtype=np.int64) for name, rows in chosen.items()}
