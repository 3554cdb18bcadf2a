"""Online batch selection: one fit, of which every step trains what a score chose.

The pool's labels are made noisy where that is asked for, and classes are taken out of the test set;
the model is judged after each epoch, which is one pass over the candidates. What is chosen is known
to be wrong, learnt already, or irrelevant, so its shares can be counted.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.irreducible import find_irreducible
from benchmarks.kinds import Features
from benchmarks.noise import flip_labels
from benchmarks.side_classifiers import (
    IRREDUCIBLE,
    PROXY,
    SideClassifier,
    check_vocabulary,
    new_side_model,
    side_record,
    side_title,
)

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
NoiseKind = Literal["uniform", "structured"]

CORE_SETS: Mapping[str, str] = {
    "core-set-entropy": "entropy",
    "core-set-least-confidence": "least_confidence",
    "core-set-forgetting": "forgetting",
}
"""Selection before training, by a proxy: name of the score to method of the core-set."""

_HOLD_OUT_DRAWS, _CLASS_DRAWS = 31, 32
_FOLDS = 5


@dataclass(frozen=True)
class SelectionSettings:
    """The parameters of a fit with selected batches.

    Parameters
    ----------
    score : str, default="reducible_loss"
        A name in `SELECTION_SCORES`, or in :data:`CORE_SETS`.
    selected_fraction : float, default=0.1
        The share of each candidate batch that is trained; of a core-set, the share of the pool.
    noise : float, default=0.0
        Share of the pool's labels that are wrong, those of the hold-out set among them.
    noise_kind : {"uniform", "structured"}, default="uniform"
        Wrong labels are of any other class, or of the one that follows in the list of classes.
    irrelevant : float, default=0.0
        Share of the classes that are absent from test set and hold-out set.
    hold_out : float, default=0.0
        Share of the relevant pool that is set aside for irreducible losses and not trained; 0 takes
        them out of fold.
    num_folds : int, default=5
        Folds without a hold-out set; 2 is the paper's variant.
    hold_out_used : float, default=1.0
        Share of what is set aside, class by class, that irreducible losses are learnt from; the
        rest is used by nobody, so that what is trained stays the same.
    irreducible_classifier : mapping or None, default=None
        The classifier behind irreducible losses, see :mod:`benchmarks.side_classifiers`; on a
        hold-out set its epoch is the one of the lowest loss on what is trained, as published. None
        is logistic regression on the frozen vectors.
    irreducible_temperature : float, "fit" or "sharp", default="sharp"
        Scales the probabilities behind irreducible losses; 1.0 leaves them, as published.
    irreducible_smallest : float, default=1e-3
        Probabilities are raised to it first; the smaller, the nearer to what is published.
    update_irreducible : bool, default=False
        Let the model behind irreducible losses go on learning from what is selected, at a hundredth
        of the rate: the authors' ablation. It needs a hold-out set, and an
        ``irreducible_classifier`` that reads what the trained one reads. Its losses are neither
        scaled nor clipped.
    proxy_classifier : mapping or None, default=None
        A cheaper classifier that scores candidates in the place of the trained one, and learns from
        what is selected; of a core-set, the one that chooses it. None is the trained one, and of a
        core-set logistic regression on the frozen vectors.
    passes : float, default=1.0
        Multiplies the classifier's epochs: what a score saves in forward passes may go into steps.
    lr : float or None, default=None
        The learning rate, where it is not the classifier's.
    options : mapping of str to Any
        Further arguments of `ScoreSelector`.

    Raises
    ------
    ValueError, TypeError
        If one is unknown or out of range.
    """

    score: str = "reducible_loss"
    selected_fraction: float = 0.1
    noise: float = 0.0
    noise_kind: NoiseKind = "uniform"
    irrelevant: float = 0.0
    hold_out: float = 0.0
    num_folds: int = _FOLDS
    hold_out_used: float = 1.0
    irreducible_classifier: Mapping[str, Any] | None = None
    irreducible_temperature: float | Literal["fit", "sharp"] = "sharp"
    irreducible_smallest: float = 1e-3
    update_irreducible: bool = False
    proxy_classifier: Mapping[str, Any] | None = None
    passes: float = 1.0
    lr: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("noise", "irrelevant", "hold_out"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}: pass a share of at least 0 and below 1.")
        if self.noise_kind not in get_args(NoiseKind):
            raise ValueError(f"noise_kind is {self.noise_kind!r}: pass 'uniform' or 'structured'.")
        if self.num_folds < 2:
            raise ValueError(f"num_folds is {self.num_folds}: pass at least 2.")
        if not self.passes > 0:
            raise ValueError(f"passes is {self.passes}: pass a number above 0.")
        if self.lr is not None and not self.lr > 0:
            raise ValueError(f"lr is {self.lr}: pass a number above 0.")
        self._check_sides()
        if self.is_core_set:
            if self.options:
                raise TypeError(f"{self.score} takes no {', '.join(self.options)}: leave it out.")
            return
        self._check_proxy(self.selector())

    def _check_sides(self) -> None:
        for name in (IRREDUCIBLE, PROXY):
            if getattr(self, name) is not None:
                side_record(getattr(self, name), name)
        if not 0 < self.hold_out_used <= 1:
            raise ValueError(
                f"hold_out_used is {self.hold_out_used}: pass a share above 0 and at most 1."
            )
        if self.hold_out_used < 1 and not self.hold_out:
            raise ValueError("hold_out_used is a share of what is set aside: pass hold_out, too.")
        if not 0 < self.irreducible_smallest < 0.5:
            raise ValueError(
                f"irreducible_smallest is {self.irreducible_smallest}: pass a probability above 0 "
                "and below 0.5."
            )
        updates = self.hold_out and self.irreducible_classifier is not None
        if self.update_irreducible and not updates:
            raise ValueError(
                "update_irreducible goes on training a model of a hold-out set: pass hold_out and "
                "irreducible_classifier, too."
            )

    def _check_proxy(self, selector: Any) -> None:  # noqa: ANN401
        if self.proxy_classifier is None:
            return
        if not selector.score.needs_logits or selector.num_samples > 1:
            raise ValueError(
                f"proxy_classifier makes one pass over the candidates, which {self.score} has no "
                "use for: leave it out, or take a score of one pass, such as 'reducible_loss'."
            )

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> SelectionSettings:
        """Make settings of a method's parameters; what is not among them is the selector's."""
        own = {name for name in inspect.signature(cls).parameters if name != "options"}
        options = {name: value for name, value in params.items() if name not in own}
        return cls(**{k: v for k, v in params.items() if k in own}, options=options)

    @property
    def is_core_set(self) -> bool:
        """Whether it selects once, before training."""
        return self.score in CORE_SETS

    @property
    def is_scored(self) -> bool:
        """Whether every candidate costs a forward pass."""
        return not self.is_core_set and bool(self.selector().score.needs_logits)

    @property
    def is_uniform(self) -> bool:
        """Whether it chooses at random."""
        return self.score == "uniform"

    @property
    def irreducible_source(self) -> str:
        """Where irreducible losses come from, in words.

        Examples
        --------
        >>> SelectionSettings(hold_out=0.5, hold_out_used=0.25).irreducible_source
        'hold-out of 0.5, 0.25 of it used'
        """
        parts = [f"hold-out of {self.hold_out:g}" if self.hold_out else f"{self.num_folds} folds"]
        parts += [f"{self.hold_out_used:g} of it used"] if self.hold_out_used < 1 else []
        if self.irreducible_classifier is not None:
            parts.append(side_title(self.irreducible_classifier))
        return ", ".join([*parts, *(["updated"] if self.update_irreducible else [])])

    @property
    def needs_irreducible(self) -> bool:
        """Whether it compares with irreducible losses."""
        return not self.is_core_set and bool(self.selector().score.needs_irreducible)

    def selector(self, **further: Any) -> Any:  # noqa: ANN401
        """Return a `ScoreSelector` that measures itself."""
        from benchmarks.measured_selector import MeasuredSelector

        options = {"selected_fraction": self.selected_fraction, **self.options, **further}
        return MeasuredSelector(self.score, **options)


def selection_parameters() -> frozenset[str]:
    """Return the names that a method with selected batches may set."""
    from small_text_ext.training.online_selection import ScoreSelector

    own = set(inspect.signature(SelectionSettings).parameters) - {"options"}
    # Models and arrays cannot stand in a suite.
    left_out = {"self", "irreducible", "known_noisy", "scorer", "irreducible_model"}
    return frozenset(own | (set(inspect.signature(ScoreSelector.__init__).parameters) - left_out))


@dataclass(frozen=True)
class SelectionTask:
    """What is trained, and what it is judged by.

    Parameters
    ----------
    settings : SelectionSettings
        Its parameters.
    factory : small_text_ext.classifiers.base.TrainedClassifierFactory
        Makes the suite's classifier.
    pool_set, vectors : callable
        From labels to the pool as a dataset: as the classifier takes it, and as vectors.
    test_set, test_vectors : small_text.data.Dataset
        The test set, likewise.
    labels, test_labels : numpy.ndarray of int64
        True labels.
    num_classes : int
        Number of classes.
    seed : int
        Flips labels, sets aside, deals folds.
    key : str
        Of all that the data depend on: irreducible losses are computed once for each.
    vector_seconds : float, default=0.0
        What a vector took to make, in seconds: on the bill of a classifier that does not work on
        vectors itself, where irreducible losses or a proxy need them.
    features : {"vectors", "texts"}, default="vectors"
        What the classifier reads.
    side_classifier : callable or None, default=None
        Makes a classifier beside of its record; None: the settings name none.
    judge : callable or None, default=None
        From the fitted classifier to further metrics, of the last evaluation.
    """

    settings: SelectionSettings
    factory: Any
    pool_set: Any
    vectors: Any
    test_set: Any
    test_vectors: Any
    labels: Labels
    test_labels: Labels
    num_classes: int
    seed: int
    key: str
    vector_seconds: float = 0.0
    features: Features = "vectors"
    side_classifier: Callable[[Mapping[str, Any]], SideClassifier] | None = None
    judge: Callable[[Any], Mapping[str, float | None]] | None = None

    def side(self, named: Mapping[str, Any]) -> SideClassifier:
        """Return a classifier that the settings name."""
        if self.side_classifier is None:
            raise ValueError(
                "The settings name a classifier: pass side_classifier, which makes it."
            )
        return self.side_classifier(named)

    def beside(self, named: Mapping[str, Any]) -> SideClassifier:
        """Return a classifier that is shown what the trained one is shown.

        Raises
        ------
        ValueError
            If it reads something else.
        """
        side = self.side(named)
        if side.features != self.features:
            raise ValueError(
                f"The trained classifier reads {self.features}, and the one beside it reads "
                f"{side.features}: name one of the same kind."
            )
        if self.features == "texts":
            check_vocabulary(self.factory.new(), side.factory.new())
        return side


@dataclass(frozen=True)
class Evaluation:
    """The model after one pass over the candidates.

    Parameters
    ----------
    step : int
        Gradient steps so far.
    metrics : dict of str to float or None
        ``accuracy`` and ``macro_f1`` on the relevant test set; of what was selected in the epoch,
        ``selected_correct``, ``selected_noisy``, ``selected_irrelevant``, and of the candidates
        ``negative``; ``irreducible_accuracy`` of the model behind the irreducible losses.
    seconds : dict of str to float
        ``fit``, of which ``select``; ``evaluate``; and, of the first, ``irreducible``.
    """

    step: int
    metrics: dict[str, float | None]
    seconds: dict[str, float]

    @property
    def total_seconds(self) -> float:
        """All seconds; selection is a part of the fit."""
        return sum(value for name, value in self.seconds.items() if name != "select")


@dataclass(frozen=True)
class SelectionResult:
    """All evaluations of a fit, and on how many texts it was."""

    evaluations: tuple[Evaluation, ...]
    rows: Rows


def structured_flips(
    labels: Labels, num_classes: int, noise: float, seed: int
) -> tuple[Labels, Mask]:
    """Give a share of the labels to the class that follows in the list, the last one to the first.

    Parameters
    ----------
    labels : numpy.ndarray of int64, shape (n,)
        True labels.
    num_classes : int
        Number of classes, at least two.
    noise : float
        The share.
    seed : int
        Same seed, same items as `flip_labels` flips.

    Returns
    -------
    labels : numpy.ndarray of int64, shape (n,)
        With the wrong ones.
    flipped : numpy.ndarray of bool, shape (n,)
        Which are wrong.

    Examples
    --------
    >>> labels, flipped = structured_flips(np.arange(4) % 2, 2, noise=0.5, seed=0)
    >>> bool((labels[flipped] == (np.arange(4) % 2 + 1)[flipped] % 2).all())
    True
    """
    flipped = flip_labels(labels, num_classes, noise, seed)[1]
    return np.where(flipped, (labels + 1) % num_classes, labels), flipped


def run_selection(task: SelectionTask) -> SelectionResult:
    """Train with selected batches, and judge the model after each epoch.

    Parameters
    ----------
    task : SelectionTask
        What to train.

    Returns
    -------
    SelectionResult
        One evaluation an epoch.

    Raises
    ------
    ValueError
        If the pool is too small to choose from.
    """
    settings = task.settings
    labels, flipped = _noisy(task)
    irrelevant = irrelevant_classes(task.num_classes, settings.irrelevant, task.seed)
    test_rows = np.flatnonzero(~np.isin(task.test_labels, irrelevant))
    rows, held = _split(task, irrelevant)
    chosen, seconds, always = rows, 0.0, dict[str, float | None]()
    selector, num_vectors = None, 0
    if settings.is_core_set:
        chosen, seconds, is_on_vectors = _core_set(task, labels, rows)
        num_vectors = len(rows) + len(held) if is_on_vectors else 0
        always["selected_noisy"] = float(flipped[chosen].mean())
        always["selected_irrelevant"] = float(np.isin(task.labels[chosen], irrelevant).mean())
    else:
        beside: dict[str, Any] = {"scorer": _proxy(task)}
        if settings.needs_irreducible:
            found = find_irreducible(task, labels, rows, held, test_rows)
            beside |= {"irreducible": found.losses[chosen], "irreducible_model": found.model}
            seconds, num_vectors = found.seconds, found.num_vectors
            always["irreducible_accuracy"] = found.accuracy
        selector = settings.selector(known_noisy=np.flatnonzero(flipped[chosen]), **beside)
        selector.irrelevant = np.isin(task.labels[chosen], irrelevant)
    recorder = _CurveRecorder(task.test_set[test_rows], selector)
    clf = _classifier(task, recorder, selector)
    clf.fit(task.pool_set(labels)[chosen])
    recorder.check(len(chosen))
    evaluations = [
        _evaluation(recorder, epoch, task.test_labels[test_rows], len(chosen), clf.batch_size)
        for epoch in range(len(recorder.predicted))
    ]
    if task.judge is not None:
        last = evaluations[-1]
        evaluations[-1] = replace(last, metrics={**last.metrics, **task.judge(clf)})
    seconds += task.vector_seconds * num_vectors
    return SelectionResult(_with_beginning(evaluations, always, seconds), chosen)


def irrelevant_classes(num_classes: int, share: float, seed: int) -> Rows:
    """Draw the classes that are absent from the test set; at least one class stays.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    share : float
        Their share.
    seed : int
        Same seed, same classes.

    Returns
    -------
    numpy.ndarray of int64
        Sorted.

    Examples
    --------
    >>> len(irrelevant_classes(10, 0.5, seed=0)), len(irrelevant_classes(2, 0.9, seed=0))
    (5, 1)
    """
    number = min(round(share * num_classes), num_classes - 1)
    order = np.random.default_rng([seed, _CLASS_DRAWS]).permutation(num_classes)
    return np.sort(order[:number])


def _noisy(task: SelectionTask) -> tuple[Labels, Mask]:
    settings = task.settings
    if settings.noise == 0:
        return task.labels, np.zeros(len(task.labels), dtype=bool)
    flip = flip_labels if settings.noise_kind == "uniform" else structured_flips
    return flip(task.labels, task.num_classes, settings.noise, task.seed)


def _split(task: SelectionTask, irrelevant: Rows) -> tuple[Rows, Rows]:
    """Return what is trained, and what is set aside: relevant texts alone."""
    everything = np.arange(len(task.labels))
    if task.settings.hold_out == 0:
        return everything, everything[:0]
    relevant = np.flatnonzero(~np.isin(task.labels, irrelevant))
    order = np.random.default_rng([task.seed, _HOLD_OUT_DRAWS]).permutation(relevant)
    held = np.sort(order[: max(1, round(task.settings.hold_out * len(relevant)))])
    return np.setdiff1d(everything, held), held


def _core_set(task: SelectionTask, labels: Labels, rows: Rows) -> tuple[Rows, float, bool]:
    """Return what is kept, the seconds it took, and whether the proxy read frozen vectors."""
    from small_text_ext.classifiers.core_sets import core_set
    from small_text_ext.classifiers.crossfit import default_factory

    settings, start = task.settings, time.perf_counter()
    if settings.proxy_classifier is None:
        train_set, is_on_vectors = task.vectors(labels)[rows], True
        factory: Any = default_factory(train_set)
    else:
        proxy = task.side(settings.proxy_classifier)
        train_set, is_on_vectors = proxy.pool_set(labels)[rows], proxy.features == "vectors"
        factory = proxy.factory
    method: Any = CORE_SETS[settings.score]
    kept = core_set(train_set, factory, method, settings.selected_fraction, seed=task.seed)
    return rows[kept], time.perf_counter() - start, is_on_vectors


def _proxy(task: SelectionTask) -> Any:  # noqa: ANN401
    named = task.settings.proxy_classifier
    if named is None:
        return None
    return new_side_model(task.beside(named), task.num_classes, task.seed)


def _classifier(task: SelectionTask, recorder: _CurveRecorder, selector: Any) -> Any:  # noqa: ANN401
    from small_text_ext.classifiers.crossfit import recording_classifier

    settings = task.settings
    clf: Any = recording_classifier(task.factory, recorder)
    if not clf.num_epochs:
        raise ValueError("num_epochs of the classifier is None: name a number in the suite.")
    clf.batch_selector = selector
    clf.num_epochs = max(1, round(clf.num_epochs * settings.passes))
    clf.lr = clf.lr if settings.lr is None else settings.lr
    return clf


class _CurveRecorder:
    """Keeps what the model predicts for the test set after each epoch, and how long that took."""

    observe: Literal["held_out"] = "held_out"

    def __init__(self, held_out: Any, selector: Any) -> None:  # noqa: ANN401
        self.held_out, self.selector = held_out, selector
        self.predicted: list[Rows] = []
        self.fit_seconds: list[float] = []
        self.evaluate_seconds: list[float] = []
        self.select_seconds: list[float] = []
        self._mark = 0.0

    def begin(self, plan: Any) -> None:  # noqa: ANN401
        """Start the clock."""
        self._mark = time.perf_counter()

    def epoch_trained(self, epoch: int) -> None:
        """Stop the clock of training: what follows is a pass over the test set."""
        _wait_for_gpu()
        now = time.perf_counter()
        aside, selecting = self.selector.take() if self.selector is not None else (0.0, 0.0)
        self.predicted.append(np.full(len(self.held_out), -1))
        self.fit_seconds.append(now - self._mark - aside)
        self.select_seconds.append(selecting)
        self.evaluate_seconds.append(aside)
        self._mark = now

    def record(self, ids: Any, logits: Any, labels: Any, epoch: int) -> None:  # noqa: ANN401
        """Take predictions."""
        self.predicted[epoch][ids.numpy()] = logits.argmax(dim=1).cpu().numpy()
        now = time.perf_counter()
        self.evaluate_seconds[-1] += now - self._mark
        self._mark = now

    def end(self, num_epochs: int) -> None:
        """Nothing is left to do."""

    def check(self, num_texts: int) -> None:
        """Refuse a curve of a fit that chose nothing."""
        if self.selector is not None and not self.selector.log.rows:
            raise ValueError(
                f"There is nothing to choose: {num_texts} texts are fewer than two candidate "
                "batches; raise selected_fraction, or lower batch_size."
            )


def _steps_and_shares(
    selector: Any,  # noqa: ANN401
    epoch: int,
    num_trained: int,
    batch_size: int,
) -> tuple[int, dict[str, float | None]]:
    """Return the steps up to the end of an epoch, and shares of what was selected in it."""
    if selector is None:
        return math.ceil(num_trained / batch_size) * (epoch + 1), {}
    frame = selector.log.frame()
    now = frame[frame["epoch"] == epoch]
    shares = {
        "selected_correct": now["already_correct"],
        "selected_noisy": now["noisy"],
        "selected_irrelevant": now["irrelevant"],
        "negative": now["negative"],
    }
    steps = int((frame["epoch"] <= epoch).sum())
    return steps, {name: _mean(values) for name, values in shares.items()}


def _evaluation(
    recorder: _CurveRecorder, epoch: int, test_labels: Labels, num_trained: int, batch_size: int
) -> Evaluation:
    from sklearn.metrics import f1_score

    predicted = recorder.predicted[epoch]
    step, metrics = _steps_and_shares(recorder.selector, epoch, num_trained, batch_size)
    metrics["accuracy"] = float((predicted == test_labels).mean())
    classes = np.unique(test_labels)
    metrics["macro_f1"] = float(
        f1_score(test_labels, predicted, labels=classes, average="macro", zero_division=0)
    )
    seconds = {
        "fit": recorder.fit_seconds[epoch],
        "select": recorder.select_seconds[epoch],
        "evaluate": recorder.evaluate_seconds[epoch],
    }
    return Evaluation(step, metrics, seconds)


def _with_beginning(
    evaluations: list[Evaluation], metrics: dict[str, float | None], seconds: float
) -> tuple[Evaluation, ...]:
    """Note what was computed before the first step, and what holds for the whole fit."""
    first = evaluations[0]
    evaluations[0] = replace(first, seconds={**first.seconds, "irreducible": seconds})
    return tuple(replace(e, metrics={**e.metrics, **metrics}) for e in evaluations)


def _wait_for_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _mean(values: Any) -> float | None:  # noqa: ANN401
    mean = float(values.mean())
    return None if np.isnan(mean) else mean
