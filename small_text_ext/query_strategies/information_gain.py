"""What a label is expected to teach: scores from the probabilities of models that differ."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr, xlogy

Probabilities = NDArray[np.float64]
LabelDistribution = Literal["expected", "pseudo", "optimistic"]

# Rounding of single precision, and of numbers that were written to a file with three digits.
_SUM_TOLERANCE = 1e-2


def expected_reducible_loss(
    informed: ArrayLike,
    current: ArrayLike,
    variant: LabelDistribution = "expected",
    multi_label: bool = False,
    smallest: float = 1e-3,
) -> Probabilities:
    """Return how much of the current model's loss on each text a better-informed one would remove.

    The reducible loss of a text with the label y is ``log p_informed(y) - log p_current(y)``. An
    unlabelled text has no y yet, so it is taken from the informed model. What both find easy, and
    what both find ambiguous, scores zero.

    Parameters
    ----------
    informed : array_like of float, shape (m, num_classes)
        Probabilities of the better-informed model.
    current : array_like of float, shape (m, num_classes)
        Probabilities of the current model.
    variant : {"expected", "pseudo", "optimistic"}, default="expected"
        Which label. "expected" is the mean over what the informed model expects,
        ``KL(informed || current)``, and never negative. "pseudo" is the label it finds likeliest:
        a mistake of it counts in full, and so does a guess. "optimistic" is the label that would
        teach most, the largest log ratio, and never negative: an improbable label will do, so that
        it is about the tails, and asks for well-calibrated models.
    multi_label : bool, default=False
        Whether classes are independent: then the scores of the binary tasks are summed.
    smallest : float, default=1e-3
        Probabilities are raised to it, or to a tenth of an even share where that is less (0.05 of
        two classes, 0.001 of a hundred: larger values have no effect there), then normalised
        again, so that one probability near zero does not outweigh the pool. Larger values forgive
        models that are too sure.

    Returns
    -------
    numpy.ndarray of float64, shape (m,)
        Scores in nats.

    Raises
    ------
    ValueError
        If shapes differ, a row is no distribution, or an option is out of range.

    Notes
    -----
    Where the current model is surer than the informed one, that is a loss as well: models that are
    too sure, or not sure enough, should be calibrated before they are compared.

    The label must not be taken from the current model. The mean over *its* expectation is
    ``-KL(current || informed)``: at most zero, and largest where the two agree, so that it asks for
    what is known already.

    References
    ----------
    S. Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and
    Not Yet Learnt", ICML 2022: the reducible loss of a known label. A. Kirsch and Y. Gal, "Unifying
    Approaches in Active Learning and Active Sampling via Fisher Information and
    Information-Theoretic Quantities", TMLR 2022: how it relates to the label-free scores.

    Examples
    --------
    Not learnt yet, learnt, and ambiguous for both:

    >>> informed = [[0.9, 0.1], [0.9, 0.1], [0.5, 0.5]]
    >>> current = [[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]]
    >>> expected_reducible_loss(informed, current).round(3).tolist()
    [0.368, 0.0, 0.0]
    """
    if variant not in get_args(LabelDistribution):
        raise ValueError(
            f"variant is {variant!r}: pass one of {list(get_args(LabelDistribution))}."
        )
    if not 0 < smallest < 0.5:
        raise ValueError(f"smallest is {smallest}: pass a probability above 0 and below 0.5.")
    known, present = _checked_pair(informed, current, multi_label)
    known = _raised(_tasks(known, multi_label), smallest)
    present = _raised(_tasks(present, multi_label), smallest)
    ratios = np.log(known) - np.log(present)
    if variant == "expected":
        # The sum is never negative, but may round to it.
        return np.asarray(np.maximum((known * ratios).sum(axis=2), 0.0).sum(axis=1))
    if variant == "optimistic":
        return np.asarray(ratios.max(axis=2).sum(axis=1))
    likeliest = known.argmax(axis=2)[:, :, None]
    return np.asarray(np.take_along_axis(ratios, likeliest, axis=2)[:, :, 0].sum(axis=1))


def committee_disagreement(probabilities: ArrayLike, multi_label: bool = False) -> Probabilities:
    """Return how far the members of a committee are from their mean, on each text.

    It is the expected reducible loss where each member in turn is the better-informed model and
    the committee's mean the current one; and it is BALD, the mutual information of label and
    model, ``H[mean_k p_k] - mean_k H[p_k]``.

    Parameters
    ----------
    probabilities : array_like of float, shape (num_members, m, num_classes)
        Of each member; of one member alone the disagreement is zero.
    multi_label : bool, default=False
        Whether classes are independent: then the disagreements of the binary tasks are summed.

    Returns
    -------
    numpy.ndarray of float64, shape (m,)
        ``mean_k KL(p_k || mean)`` in nats, at most ``log(num_members)``, or so much a label.

    Raises
    ------
    ValueError
        If the shape does not fit, or a row is no distribution.

    References
    ----------
    A. McCallum and K. Nigam, "Employing EM and Pool-Based Active Learning for Text Classification",
    ICML 1998. N. Houlsby et al., "Bayesian Active Learning for Classification and Preference
    Learning", 2011.

    Examples
    --------
    >>> first, second = [[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]
    >>> committee_disagreement([first, second]).round(3).tolist()
    [0.693, 0.0]
    """
    members = _tasks(_checked_committee("probabilities", probabilities, multi_label), multi_label)
    return np.asarray(rel_entr(members, members.mean(axis=0)).sum(axis=(2, 3)).mean(axis=0))


def expected_predictive_information_gain(
    probabilities: ArrayLike,
    target_probabilities: ArrayLike,
    multi_label: bool = False,
    block_size: int = 4_194_304,
) -> Probabilities:
    """Return EPIG: what the label of each text tells of the labels of target texts.

    BALD asks for what tells most of the model, anywhere. EPIG asks for what tells most of the
    predictions that will be made: the mutual information of a text's label and that of a target
    text, averaged over targets. A text far from all targets tells little of them, however unsure
    the model is.

    Parameters
    ----------
    probabilities : array_like of float, shape (num_members, m, num_classes)
        Of each member of a committee (each sample of the posterior) for the texts to rate.
    target_probabilities : array_like of float, shape (num_members, t, num_classes)
        Of the same members, in the same order, for the targets. Dropout that draws another mask
        for each text makes no such members: labels are then independent, and the score is noise.
    multi_label : bool, default=False
        Whether classes are independent: then each class is a binary task of its own, and their
        scores are summed.
    block_size : int, default=4194304
        Joint probabilities that are held at a time: 8 bytes each, three times over.

    Returns
    -------
    numpy.ndarray of float64, shape (m,)
        Scores in nats, never negative, and up to rounding at most those of
        `committee_disagreement`.

    Raises
    ------
    ValueError
        If shapes do not fit, or a row is no distribution.

    Notes
    -----
    Time is that of ``m * t * num_classes ** 2`` logarithms (multi-label:
    ``m * t * num_classes * 4``).

    Differences from the authors' code: the joint distribution of the two labels is one matrix
    product over the members, block by block, and entropies of the single labels are taken out of
    the sum; there are no importance weights over targets.

    References
    ----------
    F. Bickford Smith et al., "Prediction-Oriented Bayesian Active Learning", AISTATS 2023.

    Examples
    --------
    The members disagree on both texts; the targets depend on the first disagreement alone:

    >>> texts = [[[0.9, 0.1], [0.9, 0.1]], [[0.1, 0.9], [0.9, 0.1]],
    ...          [[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.1, 0.9]]]
    >>> targets = [[[0.8, 0.2]], [[0.2, 0.8]], [[0.8, 0.2]], [[0.2, 0.8]]]
    >>> expected_predictive_information_gain(texts, targets).round(3).tolist()
    [0.12, 0.0]
    """
    rated = _checked_committee("probabilities", probabilities, multi_label)
    targets = _checked_committee("target_probabilities", target_probabilities, multi_label)
    if rated.shape[::2] != targets.shape[::2] or targets.shape[1] == 0:
        raise ValueError(
            f"probabilities have the shape {rated.shape}, target_probabilities {targets.shape}: "
            "pass the same members and classes, and at least one target."
        )
    if block_size < 1:
        raise ValueError(f"block_size is {block_size}: pass at least 1.")
    texts, aims = _tasks(rated, multi_label), _tasks(targets, multi_label)
    scores = np.zeros(rated.shape[1])
    for task in range(texts.shape[2]):
        scores += _information(texts[:, :, task], aims[:, :, task], block_size)
    return scores


def _checked_pair(
    informed: ArrayLike, current: ArrayLike, multi_label: bool
) -> tuple[Probabilities, Probabilities]:
    """Return the probabilities of two models as arrays of one shape."""
    known = np.asarray(informed, dtype=np.float64)
    present = np.asarray(current, dtype=np.float64)
    if known.ndim != 2 or known.shape != present.shape:
        raise ValueError(
            f"informed has the shape {known.shape}, current {present.shape}: pass one row a text "
            "and one column a class for both."
        )
    _check_distributions("informed", known, multi_label)
    _check_distributions("current", present, multi_label)
    return known, present


def _checked_committee(name: str, probabilities: ArrayLike, multi_label: bool) -> Probabilities:
    """Return the probabilities of a committee, (members, m, classes), as an array."""
    members = np.asarray(probabilities, dtype=np.float64)
    if members.ndim != 3 or members.shape[0] == 0:
        raise ValueError(
            f"{name} has the shape {members.shape}: pass (members, texts, classes), and at least "
            "one member."
        )
    _check_distributions(name, members.reshape(-1, members.shape[2]), multi_label)
    return members


def _check_distributions(name: str, rows: Probabilities, multi_label: bool) -> None:
    # Written so that NaN is caught too.
    valid = ((rows >= 0) & (rows <= 1 + _SUM_TOLERANCE)).all(axis=1)
    if not multi_label:
        valid &= np.abs(rows.sum(axis=1) - 1) <= _SUM_TOLERANCE
    if not valid.all():
        row = int(np.argmin(valid))
        kind = "probabilities" if multi_label else "probabilities that sum to one"
        raise ValueError(f"Row {row} of {name} is {rows[row].tolist()}: pass {kind}.")


def _tasks(probabilities: Probabilities, multi_label: bool) -> Probabilities:
    """Return distributions (..., tasks, outcomes): one task, or a binary one for each label."""
    if not multi_label:
        return probabilities[..., None, :]
    return np.stack([1 - probabilities, probabilities], axis=-1)


def _raised(distributions: Probabilities, smallest: float) -> Probabilities:
    # What is added to the improbable classes stays below a tenth, however many there are.
    raised = np.maximum(distributions, min(smallest, 0.1 / distributions.shape[-1]))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _information(texts: Probabilities, targets: Probabilities, block_size: int) -> Probabilities:
    """Return the mean mutual information of each text's label and a target's, one task."""
    num_members, num_targets, num_classes = targets.shape
    aims = targets.reshape(num_members, -1)
    of_targets = -xlogy(targets.mean(axis=0), targets.mean(axis=0)).sum() / num_targets
    rows = max(1, block_size // (num_targets * num_classes**2))
    scores = np.empty(texts.shape[1])
    for start in range(0, texts.shape[1], rows):
        block = texts[:, start : start + rows]
        joint = block.reshape(num_members, -1).T @ aims / num_members
        # Where the time goes; numpy's logarithms are vectorised, xlogy's are not. 0 log 0 is 0.
        logs = np.log(np.maximum(joint, np.finfo(np.float64).tiny))
        shape = (block.shape[1], -1)
        sums = np.einsum("ij,ij->i", joint.reshape(shape), logs.reshape(shape))
        both = sums / num_targets
        mean = block.mean(axis=0)
        scores[start : start + rows] = both - xlogy(mean, mean).sum(axis=1) + of_targets
    # Equal distributions leave a rounding error of either sign.
    return np.maximum(scores, 0.0)
