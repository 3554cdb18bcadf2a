"""Finding flipped labels: every detector on the same flips, and on shared fits.

What is flipped is known, so a ranking of the labels by suspicion has an average precision. Every
fit is made once; the seconds of a detector are those of all fits that it needs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from small_text_ext._extras import require_extra

if TYPE_CHECKING:
    from small_text_ext.training.dynamics import TrainingDynamics

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
Scores = NDArray[np.float64]

IN_SAMPLE, CROSSFIT, HEAD, REPEATED = "in-sample", "crossfit", "head", "head-repeated"
LATE, LAST = "-late", "-last"
CLEANLAB = "-cleanlab-"

RECOMMENDED = REPEATED + LAST
"""The default of ``find_label_noise``, with the folds and repeats of the experiment."""

CLEANLAB_SCORES = ("self_confidence", "normalized_margin")
CLEANLAB_ISSUES = "issues"

DETECTORS: Mapping[str, str] = {
    "in-sample": "dynamics of one fit of the suite's classifier, confidence",
    "in-sample-aum": "the same fit, area under the margin",
    "in-sample-logistic": "the same fit, the paper's detector, trained on a second fit",
    **{
        prefix + suffix: f"{source}, {what}"
        for prefix, source in {
            CROSSFIT: "out-of-fold dynamics of the suite's classifier",
            HEAD: "out-of-fold dynamics of a linear head on the vectors",
            REPEATED: "the same head, folds dealt again and averaged",
        }.items()
        for suffix, what in {
            "": "confidence over all epochs",
            LATE: "confidence over the later half of the epochs",
            LAST: "confidence in the last epoch",
            "-cleanlab-self-confidence": "cleanlab on the last epoch, self-confidence",
            "-cleanlab-normalized-margin": "cleanlab on the last epoch, normalized margin",
            "-cleanlab-issues": "cleanlab on the last epoch, find_label_issues",
        }.items()
    },
}
"""Detectors by name, in the order of tables, and what each does."""

_FLIP_DRAWS = 21
_FOLDS = 5
_REPEATS = 3
_EASY_SHARE = 1 / 3
_logger = logging.getLogger(__name__)
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class NoiseSettings:
    """The parameters of a search for flipped labels.

    Parameters
    ----------
    noise : float
        Share of the pool's labels that are flipped, above 0 and below 1.
    num_folds : int, default=5
        Folds of all detectors that judge out of fold.
    num_repeats : int, default=3
        How often the folds are dealt for the repeated rows.
    among : {"all", "easy"}, default="all"
        Which labels are flipped: any, or as published those of the easiest third, of which one more
        fit on the true labels makes the map.

    Raises
    ------
    ValueError
        If one is out of range.
    """

    noise: float
    num_folds: int = _FOLDS
    num_repeats: int = _REPEATS
    among: Literal["all", "easy"] = "all"

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 < self.noise < 1:
            raise ValueError(f"noise is {self.noise}: pass a share above 0 and below 1.")
        for name, value, least in (
            ("num_folds", self.num_folds, 2),
            ("num_repeats", self.num_repeats, 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is {value!r}: pass an integer of at least {least}.")
        if self.among not in ("all", "easy"):
            raise ValueError(f"among is {self.among!r}: pass 'all' or 'easy'.")
        if self.among == "easy" and self.noise > _EASY_SHARE:
            raise ValueError(
                f"noise is {self.noise}, and the easiest texts are a third: pass at most that, or "
                "among='all'."
            )


@dataclass(frozen=True)
class NoiseTask:
    """Where flipped labels are looked for.

    Parameters
    ----------
    settings : NoiseSettings
        Its parameters.
    factory : small_text.AbstractClassifierFactory
        Makes the suite's classifier.
    train_set : small_text.data.Dataset
        The pool as that classifier takes it, with flipped labels.
    vectors : small_text.SklearnDataset
        The pool's vectors, with the same labels.
    flipped : numpy.ndarray of bool, shape (n,)
        Which labels are wrong.
    seed : int
        Deals folds, and draws the further flips of the paper's detector.
    """

    settings: NoiseSettings
    factory: Any
    train_set: Any
    vectors: Any
    flipped: Mask
    seed: int


@dataclass(frozen=True)
class Detection:
    """What one detector says of every label.

    Parameters
    ----------
    name : str
        One of :data:`DETECTORS`.
    scores : numpy.ndarray of float64, shape (n,)
        The larger, the more suspicious.
    suspected : numpy.ndarray of bool, shape (n,), or None
        Which labels it calls wrong; None where it only ranks.
    training_seconds, ranking_seconds : float
        All fits that it needs, and the rest.
    """

    name: str
    scores: Scores
    suspected: Mask | None
    training_seconds: float
    ranking_seconds: float


@dataclass(frozen=True)
class NoiseResult:
    """What all detectors said.

    Parameters
    ----------
    detections : tuple of Detection
        In the order of :data:`DETECTORS`.
    fit_seconds : float
        All fits, each counted once.
    notes : tuple of str
        Which detectors are left out, and why.
    """

    detections: tuple[Detection, ...]
    fit_seconds: float
    notes: tuple[str, ...] = ()

    def metrics(self, flipped: Mask) -> dict[str, float | None]:
        """Return ``noise_ap.<detector>``, and precision, recall and F1 of what it calls wrong.

        Parameters
        ----------
        flipped : numpy.ndarray of bool, shape (n,)
            Which labels are wrong.

        Returns
        -------
        dict of str to float or None
            A precision is None where nothing is called wrong.
        """
        from sklearn.metrics import average_precision_score

        found: dict[str, float | None] = {}
        for each in self.detections:
            found[f"noise_ap.{each.name}"] = float(average_precision_score(flipped, each.scores))
            if each.suspected is not None:
                hits, called = int((each.suspected & flipped).sum()), int(each.suspected.sum())
                found[f"noise_precision.{each.name}"] = hits / called if called else None
                found[f"noise_recall.{each.name}"] = hits / int(flipped.sum())
                found[f"noise_f1.{each.name}"] = 2 * hits / (called + int(flipped.sum()))
        return found

    def seconds(self) -> dict[str, float]:
        """Return ``fit``, and of each detector ``noise.`` and ``noise_ranking.<detector>``."""
        found = {"fit": self.fit_seconds}
        for each in self.detections:
            found[f"noise.{each.name}"] = each.training_seconds
            found[f"noise_ranking.{each.name}"] = each.ranking_seconds
        return found


def flip_labels(labels: Labels, num_classes: int, noise: float, seed: int) -> tuple[Labels, Mask]:
    """Give a share of the labels to another class, each other class being as likely.

    Parameters
    ----------
    labels : numpy.ndarray of int64, shape (n,)
        True labels.
    num_classes : int
        Number of classes, at least two.
    noise : float
        The share, rounded to whole labels, at least one.
    seed : int
        Same seed, same flips; more noise flips the same labels and further ones.

    Returns
    -------
    labels : numpy.ndarray of int64, shape (n,)
        With the wrong ones.
    flipped : numpy.ndarray of bool, shape (n,)
        Which are wrong.

    Examples
    --------
    >>> labels, flipped = flip_labels(np.zeros(10, dtype=np.int64), 3, noise=0.2, seed=0)
    >>> int(flipped.sum()), bool((labels[flipped] > 0).all()), bool((labels[~flipped] == 0).all())
    (2, True, True)
    """
    generator = np.random.default_rng([seed, _FLIP_DRAWS])
    order = generator.permutation(len(labels))
    shifts = generator.integers(1, num_classes, size=len(labels))
    flipped = np.zeros(len(labels), dtype=bool)
    flipped[order[: max(1, round(noise * len(labels)))]] = True
    return np.where(flipped, (labels + shifts) % num_classes, labels), flipped


def flip_some_labels(
    settings: NoiseSettings,
    factory: Any,  # noqa: ANN401
    train_set: Any,  # noqa: ANN401
    num_classes: int,
    seed: int,
) -> tuple[Labels, Mask]:
    """Flip labels of a pool, any or those of easy texts.

    Parameters
    ----------
    settings : NoiseSettings
        How many, and among which.
    factory : TrainedClassifierFactory
        Makes the classifier that maps the pool.
    train_set : small_text.data.Dataset
        The pool with its true labels.
    num_classes : int
        Number of classes.
    seed : int
        Same seed, same flips.

    Returns
    -------
    labels : numpy.ndarray of int64, shape (n,)
        With the wrong ones.
    flipped : numpy.ndarray of bool, shape (n,)
        Which are wrong.
    """
    from small_text_ext.classifiers.crossfit import fit_dynamics
    from small_text_ext.training.label_noise import flip_easy_labels

    if settings.among == "all":
        return flip_labels(train_set.y, num_classes, settings.noise, seed)
    dynamics = fit_dynamics(factory, train_set)
    labels, rows = flip_easy_labels(dynamics, settings.noise, seed=seed)
    return labels, np.isin(np.arange(len(labels)), rows)


def detect_noise(task: NoiseTask) -> NoiseResult:
    """Rank the labels by suspicion with every detector.

    Parameters
    ----------
    task : NoiseTask
        The labels, and what judges them.

    Returns
    -------
    NoiseResult
        Without the detectors on the suite's classifier where it cannot be recorded, which is
        logged and noted.

    Raises
    ------
    MissingExtraError
        If cleanlab is not installed: rows without their rival would say nothing.
    """
    require_extra("cleanlab.filter", "bench")  # imported before anything is timed
    own: list[Detection] = []
    notes: list[str] = []
    seconds = 0.0
    reason = _not_recorded(task.factory)
    if reason is None:
        own, seconds = _own_detections(task)
    else:
        notes = [f"{IN_SAMPLE} and {CROSSFIT} detectors are left out: {reason}"]
        _logger.info("%s", notes[0])
    heads, head_seconds = _head_detections(task)
    return NoiseResult((*own, *heads), seconds + head_seconds, tuple(notes))


@dataclass(frozen=True)
class _Timed(Generic[_Value]):
    """A value, and how long it took to make."""

    value: _Value
    seconds: float


def _timed(make: Callable[[], _Value]) -> _Timed[_Value]:
    start = time.perf_counter()
    value = make()
    return _Timed(value, time.perf_counter() - start)


def _not_recorded(factory: Any) -> str | None:  # noqa: ANN401
    from small_text_ext.classifiers.wrapped import check_own_factory

    try:
        check_own_factory(factory)
    except TypeError as error:
        return str(error)
    return None


def _own_detections(task: NoiseTask) -> tuple[list[Detection], float]:
    """Return what dynamics of the suite's classifier say, in-sample and out of fold."""
    from small_text_ext.classifiers.crossfit import crossfit_dynamics, fit_dynamics, relabeled
    from small_text_ext.training.label_noise import flip_easy_labels

    fitted = _timed(lambda: fit_dynamics(task.factory, task.train_set))

    def fit_known() -> tuple[TrainingDynamics, Mask]:
        labels, rows = flip_easy_labels(fitted.value, seed=task.seed)
        wrong = np.isin(np.arange(len(labels)), rows)
        return fit_dynamics(task.factory, relabeled(task.train_set, labels)), wrong

    known = _timed(fit_known)
    folds = _timed(
        lambda: crossfit_dynamics(
            task.factory,
            task.train_set,
            task.settings.num_folds,
            seed=task.seed,
            show_progress=False,
        )
    )
    both = fitted.seconds + known.seconds
    found = [
        _ranked(IN_SAMPLE, fitted.value, fitted.seconds, "confidence"),
        _ranked(f"{IN_SAMPLE}-aum", fitted.value, fitted.seconds, "aum"),
        _ranked(f"{IN_SAMPLE}-logistic", fitted.value, both, "logistic", known.value),
        *_out_of_fold(CROSSFIT, folds.value, folds.seconds, 1),
    ]
    return found, both + folds.seconds


def _head_detections(task: NoiseTask) -> tuple[list[Detection], float]:
    """Return what a linear head on the vectors says: with folds dealt once, and repeatedly."""
    from small_text_ext.classifiers.crossfit import crossfit_dynamics
    from small_text_ext.training.dynamics import TrainingDynamics

    settings, repeats = task.settings, task.settings.num_repeats
    from small_text_ext.classifiers.crossfit import default_factory

    head = default_factory(task.vectors)
    all_runs = _timed(
        lambda: crossfit_dynamics(
            head, task.vectors, settings.num_folds, repeats, seed=task.seed, show_progress=False
        )
    )
    # Repeats follow one another as further epochs: the first is what one alone would be.
    together = all_runs.value
    first = TrainingDynamics(
        together.logits[: together.num_epochs // repeats], together.labels, together.ids
    )
    found = [
        *_out_of_fold(HEAD, first, all_runs.seconds / repeats, 1),
        *_out_of_fold(REPEATED, together, all_runs.seconds, repeats),
    ]
    return found, all_runs.seconds


def _ranked(
    name: str,
    dynamics: TrainingDynamics,
    training_seconds: float,
    method: Any,  # noqa: ANN401 - a literal of the package
    known: tuple[TrainingDynamics, Mask] | None = None,
) -> Detection:
    table = _timed(lambda: dynamics.suspected_noise(method, known).sort_values("index"))
    return Detection(
        name,
        table.value["score"].to_numpy(dtype=np.float64),
        table.value["suspected"].to_numpy(dtype=bool),
        training_seconds,
        table.seconds,
    )


def _out_of_fold(
    prefix: str, dynamics: TrainingDynamics, training_seconds: float, num_repeats: int
) -> Iterator[Detection]:
    """Yield our detectors and cleanlab's, on the very same fits."""
    from small_text_ext.classifiers.crossfit import SKIPPED_OUT_OF_FOLD

    yield _ranked(prefix, dynamics, training_seconds, "confidence")
    for suffix, skipped in ((LATE, 0.5), (LAST, SKIPPED_OUT_OF_FOLD)):
        kept = later_epochs(dynamics, num_repeats, skipped)
        yield _ranked(prefix + suffix, kept, training_seconds, "confidence")
    labels = np.asarray(dynamics.labels, dtype=np.int64)
    last = _timed(lambda: last_probabilities(dynamics, num_repeats))
    for score in CLEANLAB_SCORES:
        ranked = _timed(lambda score=score: _cleanlab_scores(labels, last.value, score))  # type: ignore[misc]
        name = f"{prefix}{CLEANLAB}{score.replace('_', '-')}"
        seconds = last.seconds + ranked.seconds
        yield Detection(name, ranked.value, None, training_seconds, seconds)
    issues = _timed(lambda: _cleanlab_issues(labels, last.value))
    scores, suspected = issues.value
    seconds = last.seconds + issues.seconds
    yield Detection(
        f"{prefix}{CLEANLAB}{CLEANLAB_ISSUES}", scores, suspected, training_seconds, seconds
    )


def later_epochs(
    dynamics: TrainingDynamics, num_repeats: int = 1, skipped: float = 0.5
) -> TrainingDynamics:
    """Leave out the first epochs of each repeat, as ``find_label_noise`` does.

    Parameters
    ----------
    dynamics : TrainingDynamics
        Repeats follow one another as further epochs, each as long as the others.
    num_repeats : int, default=1
        How many there are.
    skipped : float, default=0.5
        The share to leave out, rounded down.

    Returns
    -------
    TrainingDynamics
        The rest.
    """
    from small_text_ext.training.dynamics import TrainingDynamics

    length = dynamics.num_epochs // num_repeats
    kept = np.arange(dynamics.num_epochs) % length >= int(skipped * length)
    return TrainingDynamics(dynamics.logits[kept], dynamics.labels, dynamics.ids)


def last_probabilities(dynamics: TrainingDynamics, num_repeats: int = 1) -> Scores:
    """Return what the models of the last epoch predict, averaged over repeats.

    Parameters
    ----------
    dynamics : TrainingDynamics
        Out of fold; repeats follow one another as further epochs, each as long as the others.
    num_repeats : int, default=1
        How many there are.

    Returns
    -------
    numpy.ndarray of float64, shape (n, classes)
        Probabilities.
    """
    from scipy.special import softmax

    length = dynamics.num_epochs // num_repeats
    last = np.asarray(dynamics.logits[length - 1 :: length], dtype=np.float64)
    return np.asarray(softmax(last, axis=2).mean(axis=0))


def _cleanlab_scores(labels: Labels, probabilities: Scores, method: str) -> Scores:
    from cleanlab.rank import get_label_quality_scores

    # Quality: the larger, the less suspicious.
    return -np.asarray(get_label_quality_scores(labels, probabilities, method=method))


def _cleanlab_issues(labels: Labels, probabilities: Scores) -> tuple[Scores, Mask]:
    """Return the labels it calls wrong first, both parts by self-confidence."""
    from cleanlab.filter import find_label_issues

    suspected = np.asarray(find_label_issues(labels, probabilities, n_jobs=1), dtype=bool)
    scores = _cleanlab_scores(labels, probabilities, CLEANLAB_SCORES[0])
    return scores + 2.0 * suspected, suspected
