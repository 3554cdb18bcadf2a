"""Which labels are probably wrong: detectors on training dynamics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from small_text_ext._random import Seed, derived_generator, resolve_seed

if TYPE_CHECKING:
    from small_text_ext.training.dynamics import TrainingDynamics

NoiseMethod = Literal["confidence", "logistic", "aum"]

_FLAGGED_PERCENTILE = 99

_logger = logging.getLogger(__name__)


def suspected_noise(
    dynamics: TrainingDynamics,
    method: NoiseMethod,
    known: tuple[TrainingDynamics, ArrayLike] | None,
) -> pd.DataFrame:
    """Rank items by suspicion; see `TrainingDynamics.suspected_noise`.

    Parameters
    ----------
    dynamics : TrainingDynamics
        The items.
    method : {"confidence", "logistic", "aum"}
        The detector.
    known : tuple of TrainingDynamics and array-like of bool, or None
        A run with labels that are known to be wrong.

    Returns
    -------
    pandas.DataFrame
        The ranking.

    Raises
    ------
    ValueError
        If the method is unknown, or lacks what it needs.
    """
    metrics = dynamics.metrics()
    predicted = _predicted(dynamics)
    if method == "confidence":
        scores = 1 - metrics["confidence"].to_numpy()
        suspected = _differ(predicted, dynamics.labels)
    elif method == "logistic":
        scores = 1 - metrics["confidence"].to_numpy()
        suspected = _below_threshold(1 - scores, _checked(known, method))
    elif method == "aum":
        scores = -metrics["aum"].to_numpy()
        suspected = scores > max(0.0, -_margin_threshold(known))
    else:
        raise ValueError(f"method is {method!r}: pass 'confidence', 'logistic' or 'aum'.")
    table = pd.DataFrame(
        {
            "guid": dynamics.ids,
            "index": np.arange(len(dynamics)),
            "label": _shown(dynamics.labels),
            "predicted": _shown(predicted),
            "score": scores,
            "suspected": suspected,
        }
    )
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def flip_easy_labels(
    dynamics: TrainingDynamics, fraction: float = 0.01, seed: Seed = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give wrong labels to some of the easiest items: known noise to train a detector on.

    Parameters
    ----------
    dynamics : TrainingDynamics
        Of a single-label task.
    fraction : float, default=0.01
        The share of all items that is flipped, as in the paper; at least ten items, where there are
        as many. They are drawn from the easiest third.
    seed : int, numpy.random.Generator or None, default=None
        Same seed, same flips.

    Returns
    -------
    labels : numpy.ndarray of int64, shape (items,)
        The labels, with the flipped ones.
    flipped : numpy.ndarray of int64
        Positions of the flipped items, in order.

    Raises
    ------
    ValueError
        If the task is multi-label, or ``fraction`` is not in (0, 1/3].

    References
    ----------
    S. Swayamdipta et al., "Dataset Cartography", EMNLP 2020, section 5.

    Examples
    --------
    >>> from small_text_ext.training.dynamics import TrainingDynamics
    >>> logits = np.random.default_rng(0).normal(size=(2, 90, 3))
    >>> dynamics = TrainingDynamics.from_logits(logits, np.zeros(90, dtype=int))
    >>> labels, flipped = flip_easy_labels(dynamics, seed=0)
    >>> len(flipped), bool((labels[flipped] != 0).all())
    (10, True)
    """
    if dynamics.multi_label:
        raise ValueError("Labels are flipped in single-label tasks only: this one is multi-label.")
    if not 0 < fraction <= 1 / 3:
        raise ValueError(f"fraction is {fraction}: pass a share above 0 and at most 1/3.")
    rng = derived_generator(resolve_seed(seed), len(dynamics))
    easy = dynamics.regions(fraction=1 / 3)["easy"]
    number = min(max(round(fraction * len(dynamics)), 10), len(easy))
    flipped = np.sort(rng.choice(easy, number, replace=False))
    labels = dynamics.labels.astype(np.int64)
    shift = rng.integers(1, dynamics.num_classes, size=number)
    labels[flipped] = (labels[flipped] + shift) % dynamics.num_classes
    return labels, flipped


def _predicted(dynamics: TrainingDynamics) -> NDArray[np.int64]:
    mean = dynamics.mean_probabilities()
    return (mean > 0.5).astype(np.int64) if dynamics.multi_label else mean.argmax(axis=1)


def _differ(predicted: NDArray[np.int64], labels: NDArray[Any]) -> NDArray[np.bool_]:
    differ = predicted != labels
    return np.asarray(differ.any(axis=1) if differ.ndim == 2 else differ, dtype=bool)


def _shown(labels: NDArray[Any]) -> Any:  # noqa: ANN401 - a column
    if labels.ndim == 1:
        return labels
    return [tuple(np.flatnonzero(row).tolist()) for row in labels]


def _checked(
    known: tuple[TrainingDynamics, ArrayLike] | None, method: str
) -> tuple[TrainingDynamics, NDArray[np.bool_]]:
    if known is None:
        raise ValueError(
            f"method={method!r} needs known=(dynamics of a run with wrong labels, which they are): "
            "make them with flip_easy_labels, or call find_label_noise, which does."
        )
    run, mask = known[0], np.asarray(known[1], dtype=bool)
    if mask.shape != (len(run),) or mask.all() or not mask.any():
        raise ValueError(
            f"known marks {int(mask.sum())} of {len(run)} items by an array of shape {mask.shape}: "
            "pass one bool per item, some of them true and some false."
        )
    return run, mask


def _below_threshold(
    confidence: NDArray[np.float64], known: tuple[TrainingDynamics, NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """Suspect what a linear classifier of known noise puts on the side of the flipped labels."""
    from sklearn.linear_model import LogisticRegression

    run, flipped = known
    feature = run.metrics()["confidence"].to_numpy()
    centre, spread = feature.mean(), feature.std() or 1.0
    # Balanced, and as good as without a penalty: one feature cannot overfit.
    detector = LogisticRegression(class_weight="balanced", C=1e4)
    detector.fit(((feature - centre) / spread)[:, None], flipped)
    if detector.coef_[0, 0] >= 0:
        _logger.warning(
            "Flipped labels have no lower confidence than others (%.3f, others %.3f): nothing is "
            "suspected. Record dynamics of a model that learns the labels, over more epochs.",
            feature[flipped].mean(),
            feature[~flipped].mean(),
        )
        return np.zeros(len(confidence), dtype=bool)
    return np.asarray(detector.predict(((confidence - centre) / spread)[:, None]), dtype=bool)


def _margin_threshold(known: tuple[TrainingDynamics, ArrayLike] | None) -> float:
    if known is None:
        return 0.0
    run, samples = _checked(known, "aum")
    margins = run.metrics()["aum"].to_numpy()[samples]
    return float(np.percentile(margins, _FLAGGED_PERCENTILE))
