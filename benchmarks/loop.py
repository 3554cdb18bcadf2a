"""One unit of a benchmark: the active learning loop, measured.

Nothing here reads arguments, prints or knows a path: data and specification in, records out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.batch_selection import (
    Evaluation,
    SelectionSettings,
    SelectionTask,
    run_selection,
)
from benchmarks.classifiers import build_factory, classifier_kind
from benchmarks.datasets import Item, joined_text
from benchmarks.encoders import Precision, encoding_seconds
from benchmarks.experiments import changes_classifier, is_one_shot
from benchmarks.frozen_evaluation import FrozenSettings, frozen_metrics, frozen_vectors
from benchmarks.kinds import JUDGE_EPOCHS, Features
from benchmarks.labeled_samples import SampleSettings, draw_sample
from benchmarks.measured import MeasuredFactory, MeasuredStrategy, Stopwatch
from benchmarks.memory import peak_memory
from benchmarks.methods import StrategyContext, build_strategy, needed_recording
from benchmarks.metrics import evaluate_predictions, unweighted_metrics
from benchmarks.noise import NoiseSettings, NoiseTask, detect_noise, flip_some_labels
from benchmarks.out_of_distribution import OtherTestSet, judge_others
from benchmarks.results import (
    BATCH_SELECTION,
    FROZEN_EVALUATION,
    FULL_DATA,
    LABELED_SAMPLE,
    MAP_SUBSET,
    NOISE_DETECTION,
    SINGLE_FIT,
    ZERO_SHOT,
    ClassifierRecord,
    RoundRecord,
    UnitSpec,
    canonical_json,
)
from benchmarks.side_classifiers import SideClassifier, side_record
from benchmarks.single_fit import (
    SECOND_TASK,
    HeldOut,
    SingleFitSettings,
    fit_metrics,
)
from benchmarks.splits import Rows, draw_rows
from benchmarks.statistics import normalized_area
from benchmarks.zero_shot import ZeroShotSettings, entailed_description, nearest_description

Labels = NDArray[np.int64]
Vectors = NDArray[np.float32]

UNLABELED = -1
"""small-text's mark of a text without a label."""

_TIMED_TEXTS = 128
_JUDGED = ("last_accuracy", "best_accuracy")


@dataclass(frozen=True)
class UnitData:
    """The data of a unit: what all methods and classifiers of one seed share.

    Parameters
    ----------
    pool_vectors : PoolEmbeddings, shape (pool, d)
        Vectors of the pool.
    pool_labels : numpy.ndarray of int64, shape (pool,)
        True labels: what an annotator would answer.
    test_vectors : numpy.ndarray of float32, shape (test, d)
        Vectors of the test set.
    test_labels : numpy.ndarray of int64, shape (test,)
        Labels of the test set.
    pool_rows : numpy.ndarray of int64, shape (pool,)
        Positions of the pool in the complete data set.
    initial : numpy.ndarray of int64, shape (initial,)
        Positions in the pool of the first labels.
    class_names : tuple of str
        The classes.
    minority : tuple of int
        The wanted ones.
    pool_texts, test_texts : list of str, list of (str, str), or None
        The texts of both, or the pairs of them, for classifiers that are fitted on texts.
    others : tuple of OtherTestSet
        Test sets of other distributions.
    pool_second : numpy.ndarray of int64, shape (pool,), or None
        Something else that is known of each text of the pool.
    """

    pool_vectors: Any
    pool_labels: Labels
    test_vectors: Vectors
    test_labels: Labels
    pool_rows: Rows
    initial: Rows
    class_names: tuple[str, ...]
    minority: tuple[int, ...]
    pool_texts: list[Item] | None = None
    test_texts: list[Item] | None = None
    others: tuple[OtherTestSet, ...] = ()
    pool_second: Labels | None = None

    @cached_property
    def pool_matrix(self) -> Vectors:
        """The pool's vectors as one matrix."""
        return np.asarray(self.pool_vectors, dtype=np.float32)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def pool_prior(self) -> NDArray[np.float64]:
        """Share of each class in the pool."""
        counts = np.bincount(self.pool_labels, minlength=self.num_classes)
        return np.asarray(counts / counts.sum())

    def pool_set(self, features: Features, labels: Labels) -> Any:  # noqa: ANN401
        """Return the pool as a small-text dataset with these labels."""
        x = self.pool_matrix if features == "vectors" else self.pool_texts
        return self._dataset(features, x, labels)

    def test_set(self, features: Features) -> Any:  # noqa: ANN401
        """Return the test set as a small-text dataset."""
        x = self.test_vectors if features == "vectors" else self.test_texts
        return self._dataset(features, x, self.test_labels)

    def other_set(self, features: Features, other: OtherTestSet) -> Any:  # noqa: ANN401
        """Return a test set of another distribution as a small-text dataset."""
        x = other.vectors if features == "vectors" else other.texts
        return self._dataset(features, x, other.labels)

    def _dataset(self, features: Features, x: Any, labels: Labels) -> Any:  # noqa: ANN401
        from small_text import SklearnDataset

        from benchmarks.text_dataset import text_dataset

        if x is None:
            raise ValueError("A classifier on texts needs them: pass texts to prepare_data.")
        make = SklearnDataset if features == "vectors" else text_dataset
        return make(x, labels, np.arange(self.num_classes))

    def counts(self, labels: Labels) -> dict[str, int]:
        """Return the number of each class among these labels."""
        numbers = np.bincount(labels, minlength=self.num_classes).tolist()
        return dict(zip(self.class_names, numbers, strict=True))


def prepare_data(
    spec: UnitSpec,
    vectors: Any,  # noqa: ANN401 - PoolEmbeddings, or any array-like of rows
    labels: Labels,
    is_test: NDArray[np.bool_] | None = None,
    groups: Labels | None = None,
    texts: Sequence[Item] | None = None,
    second_labels: Labels | None = None,
) -> UnitData:
    """Split a data set for one seed, make the wanted classes rare, and draw the first labels.

    Parameters
    ----------
    spec : UnitSpec
        The data set, the protocol and the seed count; method and classifier don't.
    vectors : array-like, shape (n, d)
        Unit vectors of the complete data set.
    labels : numpy.ndarray of int64, shape (n,)
        Labels of the complete data set.
    is_test : numpy.ndarray of bool, shape (n,), optional
        A split that comes with the data.
    groups : numpy.ndarray of int64, shape (n,), optional
        Groups that a split keeps together.
    texts : sequence of str or of (str, str), length n, optional
        The texts or pairs of them, where a classifier is fitted on them.
    second_labels : numpy.ndarray of int64, shape (n,), optional
        Something else that is known of each text.

    Returns
    -------
    UnitData
        The same for every method of the seed.

    Raises
    ------
    ValueError
        If there are not as many texts as labels.
    """
    from small_text_ext.pool.embeddings import PoolEmbeddings

    if texts is not None and len(texts) != len(labels):
        raise ValueError(f"There are {len(texts)} texts, but {len(labels)} labels: pass one each.")
    drawn = draw_rows(spec.dataset, spec.protocol, spec.seed.data, labels, is_test, groups)
    return UnitData(
        pool_vectors=PoolEmbeddings.from_array(vectors[drawn.pool]),
        pool_labels=labels[drawn.pool],
        test_vectors=np.asarray(vectors[drawn.test], dtype=np.float32),
        test_labels=labels[drawn.test],
        pool_rows=drawn.pool,
        initial=drawn.initial,
        class_names=spec.dataset.class_names,
        minority=drawn.minority,
        pool_texts=None if texts is None else [texts[row] for row in drawn.pool],
        test_texts=None if texts is None else [texts[row] for row in drawn.test],
        pool_second=None if second_labels is None else second_labels[drawn.pool],
    )


def run_unit(spec: UnitSpec, data: UnitData, device: str | None = None) -> tuple[RoundRecord, ...]:
    """Run one unit.

    Parameters
    ----------
    spec : UnitSpec
        What to run.
    data : UnitData
        What :func:`prepare_data` made for its seed.
    device : str or None, default=None
        Where classifiers are trained.

    Returns
    -------
    tuple of RoundRecord
        The curve: ``rounds + 1`` records, fewer where the pool or the time runs out; one for a
        one-shot experiment, or one for each epoch where those are what it compares.
    """
    if is_one_shot(spec.method.strategy):
        return _Loop(spec, data, device).once()
    return tuple(_Loop(spec, data, device).rounds())


def unit_classifier(spec: UnitSpec) -> ClassifierRecord:
    """Return the classifier of a unit; a ceiling may change its parameters, for far more labels."""
    if not changes_classifier(spec.method.strategy):
        return spec.classifier
    params = {**spec.classifier.params, **spec.method.params}
    return spec.classifier.model_copy(update={"params": params})


class _Loop:
    """The state of one unit: the learner, its measuring adapters and the clock."""

    def __init__(self, spec: UnitSpec, data: UnitData, device: str | None) -> None:
        self.spec = spec
        self.data = data
        self.device = device
        self.watch = Stopwatch()
        self.features = classifier_kind(spec.classifier.kind).features
        self.test_set = data.test_set(self.features)
        # Labels that nobody has asked for are hidden, so that no strategy can look at them.
        hidden = np.full(len(data.pool_labels), UNLABELED)
        hidden[data.initial] = data.pool_labels[data.initial]
        self.pool = data.pool_set(self.features, hidden)
        classifier = unit_classifier(spec)
        options = _recorder_option(spec, self.pool, self.test_set)
        self.base_factory = build_factory(
            classifier, data.num_classes, spec.seed.model, device, **options
        )
        self.factory = MeasuredFactory(self.base_factory, self.watch)

    def once(self) -> tuple[RoundRecord, ...]:
        """Run a one-shot experiment."""
        if self.spec.method.strategy == BATCH_SELECTION:
            return self._batch_selection()
        experiments: dict[str, Callable[[], RoundRecord]] = {
            FULL_DATA: self._full_data,
            MAP_SUBSET: self._map_subset,
            NOISE_DETECTION: self._noise_detection,
            LABELED_SAMPLE: self._labeled_sample,
            ZERO_SHOT: self._zero_shot,
            FROZEN_EVALUATION: partial(_frozen_evaluation, self),
            SINGLE_FIT: partial(_single_fit, self),
        }
        return (experiments[self.spec.method.strategy](),)

    def _full_data(self) -> RoundRecord:
        """Fit once on all true labels of the pool."""
        start = time.perf_counter()
        everything = np.arange(len(self.data.pool_labels))
        classifier = self._fitted_on_pool(self.factory)
        return self._record(0, everything, [], classifier, None, start)

    def _labeled_sample(self) -> RoundRecord:
        """Fit once on some true labels of each class."""
        start = time.perf_counter()
        data, seed = self.data, self.spec.seed
        settings = SampleSettings.from_params(self.spec.method.params)
        rows = draw_sample(data.pool_labels, data.num_classes, settings, seed.data)
        classifier = self.factory.new()
        with _seeded(seed.model, 0), peak_memory() as found:
            classifier.fit(data.pool_set(self.features, data.pool_labels)[rows].clone())
        record = self._record(0, rows, rows, classifier.classifier, None, start)
        metrics = {**record.metrics, "peak_memory": found.megabytes}
        return record.model_copy(update={"metrics": metrics})

    def _zero_shot(self) -> RoundRecord:
        """Classify the test set by descriptions of the classes."""
        start, data = time.perf_counter(), self.data
        settings = ZeroShotSettings.from_params(self.spec.method.params)
        with self.watch.measure("evaluate"):
            proba = self._described(settings, settings.sentences(data.class_names))
            metrics, per_class = evaluate_predictions(
                data.test_labels,
                proba,
                class_names=data.class_names,
                minority=data.minority,
                pool_prior=data.pool_prior,
            )
        accuracy = float((proba.argmax(axis=1) == data.test_labels).mean())
        return RoundRecord(
            round=0,
            num_labeled=0,
            metrics={**metrics, "last_accuracy": accuracy, "best_accuracy": accuracy},
            per_class=per_class,
            labeled_counts=dict.fromkeys(data.class_names, 0),
            seconds=self._seconds({}, start),
        )

    def _described(self, settings: ZeroShotSettings, sentences: list[str]) -> Any:  # noqa: ANN401
        data, encoder = self.data, self.spec.encoder.id
        if settings.nli_model is None:
            return nearest_description(data.test_vectors, sentences, encoder, settings)
        if data.test_texts is None:
            raise ValueError("nli_model reads texts: pass them to prepare_data.")
        texts = [joined_text(item) for item in data.test_texts]
        return entailed_description(texts, sentences, settings.nli_model)

    def _map_subset(self) -> RoundRecord:
        """Map the pool with all its true labels, and fit on a region of the map."""
        from small_text_ext.classifiers.cartography import CartographyClassificationFactory

        start = time.perf_counter()
        seed = self.spec.seed.query
        options = {**self.spec.method.params, "seed": seed}
        factory = CartographyClassificationFactory(self.base_factory, **options)
        classifier = self._fitted_on_pool(MeasuredFactory(factory, self.watch))
        record = self._record(0, classifier.kept_, classifier.kept_, classifier, None, start)
        reason = classifier.fallback_reason_
        return record.model_copy(update={"notes": () if reason is None else (reason,)})

    def _noise_detection(self) -> RoundRecord:
        """Flip labels of the pool, and rank all of them by suspicion."""
        start = time.perf_counter()
        data, seed = self.data, self.spec.seed
        settings = NoiseSettings(**self.spec.method.params)
        pool = data.pool_set(self.features, data.pool_labels)
        with _seeded(seed.model, 0):
            labels, flipped = flip_some_labels(
                settings, self.base_factory, pool, data.num_classes, seed.data
            )
        task = NoiseTask(
            settings,
            self.base_factory,
            train_set=data.pool_set(self.features, labels),
            vectors=data.pool_set("vectors", labels),
            flipped=flipped,
            seed=seed.query,
        )
        with _seeded(seed.model, 0):
            found = detect_noise(task)
        return RoundRecord(
            round=0,
            num_labeled=len(labels),
            metrics=found.metrics(flipped),
            per_class={},
            labeled_counts=data.counts(labels),
            seconds=self._seconds({}, start, found.seconds()),
            notes=found.notes,
        )

    def _batch_selection(self) -> tuple[RoundRecord, ...]:
        """Train with selected batches, and judge the model after each epoch."""
        start = time.perf_counter()
        data, seed = self.data, self.spec.seed
        task = SelectionTask(
            SelectionSettings.from_params(self.spec.method.params),
            self.base_factory,
            pool_set=partial(data.pool_set, self.features),
            vectors=partial(data.pool_set, "vectors"),
            test_set=self.test_set,
            test_vectors=data.test_set("vectors"),
            labels=data.pool_labels,
            test_labels=data.test_labels,
            num_classes=data.num_classes,
            seed=seed.data,
            key=_data_key(self.spec),
            vector_seconds=self._seconds_of_a_vector(),
            features=self.features,
            side_classifier=self._side_classifier,
            judge=self._other_accuracies,
        )
        with _seeded(seed.model, 0):
            found = run_selection(task)
        total = time.perf_counter() - start
        counts = data.counts(data.pool_labels[found.rows])
        measured = sum(each.total_seconds for each in found.evaluations)
        return tuple(
            _evaluation_record(number, each, counts, 0.0 if number else max(0.0, total - measured))
            for number, each in enumerate(found.evaluations)
        )

    def _side_classifier(self, named: Mapping[str, Any]) -> SideClassifier:
        data, classifier = self.data, side_record(named)
        features = classifier_kind(classifier.kind).features
        factory = build_factory(classifier, data.num_classes, self.spec.seed.model, self.device)
        return SideClassifier(
            factory, partial(data.pool_set, features), data.test_set(features), features
        )

    def _seconds_of_a_vector(self) -> float:
        """Return what the frozen encoder takes for a text, where the classifier does without it."""
        if self.features == "vectors" or self.data.pool_texts is None:
            return 0.0
        encoder, items = self.spec.encoder, self.data.pool_texts[:_TIMED_TEXTS]
        precision: Any = encoder.precision
        return encoding_seconds(encoder.id, precision, tuple(map(joined_text, items)))

    def _fitted_on_pool(self, factory: MeasuredFactory) -> Any:  # noqa: ANN401
        classifier = factory.new()
        with _seeded(self.spec.seed.model, 0):
            classifier.fit(self.data.pool_set(self.features, self.data.pool_labels))
        return classifier.classifier

    def rounds(self) -> list[RoundRecord]:
        """Run the initial fit and all rounds."""
        from small_text import PoolBasedActiveLearner

        begin = time.perf_counter()
        context = StrategyContext(self.data.pool_vectors, self.spec.seed.query, self.data.minority)
        strategy = MeasuredStrategy(build_strategy(self.spec.method, context), self.watch)
        learner = PoolBasedActiveLearner(self.factory, strategy, self.pool)
        records = [self._initial_round(learner)]
        for number in range(1, self.spec.protocol.rounds + 1):
            if self._is_over(learner, begin):
                break
            records.append(self._round(number, learner, strategy))
        return records

    def _is_over(self, learner: Any, begin: float) -> bool:  # noqa: ANN401
        limit = self.spec.protocol.time_limit
        if limit is not None and time.perf_counter() - begin > limit:
            return True
        return len(learner.indices_labeled) >= len(self.data.pool_labels)

    def _initial_round(self, learner: Any) -> RoundRecord:  # noqa: ANN401
        start = time.perf_counter()
        with _seeded(self.spec.seed.model, 0):
            learner.initialize(self.data.initial)
        classifier = learner.classifier.classifier
        return self._record(0, learner.indices_labeled, self.data.initial, classifier, None, start)

    def _round(self, number: int, learner: Any, strategy: MeasuredStrategy) -> RoundRecord:  # noqa: ANN401
        start = time.perf_counter()
        left = len(self.data.pool_labels) - len(learner.indices_labeled)
        with _seeded(self.spec.seed.query, number):
            picks = learner.query(num_samples=min(self.spec.protocol.query_size, left))
        with _seeded(self.spec.seed.model, number):
            learner.update(self.data.pool_labels[picks])
        classifier = learner.classifier.classifier
        return self._record(number, learner.indices_labeled, picks, classifier, strategy, start)

    def _record(
        self,
        number: int,
        labeled: Rows,
        picks: Sequence[int] | Rows,
        classifier: Any,  # noqa: ANN401
        strategy: MeasuredStrategy | None,
        start: float,
    ) -> RoundRecord:
        data = self.data
        with self.watch.measure("evaluate"):
            proba = _dense_proba(classifier, self.test_set)
            metrics, per_class = evaluate_predictions(
                data.test_labels,
                proba,
                class_names=data.class_names,
                minority=data.minority,
                pool_prior=data.pool_prior,
            )
            metrics |= self._other_accuracies(classifier)
        epochs: dict[str, tuple[float | None, ...]] = {}
        if _judges_epochs(self.spec):
            epochs = _judged_epochs(classifier, data.test_labels)
            accuracies = [value or 0.0 for value in epochs["test_accuracy"]]
            metrics |= {"last_accuracy": accuracies[-1], "best_accuracy": max(accuracies)}
        metrics |= unweighted_metrics(data.test_labels, proba, data.minority)
        counts = data.counts(data.pool_labels[labeled])
        found = _found(data, counts)
        for name in found:
            per_class[name] = {**per_class[name], "found": found[name]}
        wanted = [data.class_names[label] for label in data.minority]
        diagnostics = {} if strategy is None else _diagnostics(strategy, data)
        steps = diagnostics.pop("steps", {})
        return RoundRecord(
            round=number,
            num_labeled=len(labeled),
            metrics={
                **metrics,
                "found": _total_found(data, labeled),
                "minority_labeled": float(sum(counts[name] for name in wanted)),
            },
            per_class=per_class,
            labeled_counts=counts,
            picks=tuple(data.pool_rows[np.asarray(picks, dtype=np.int64)].tolist()),
            seconds=self._seconds(steps, start),
            epochs=epochs,
            **diagnostics,
        )

    def _other_accuracies(self, classifier: Any) -> dict[str, float | None]:  # noqa: ANN401
        """Judge a fitted classifier by the test sets of other distributions."""
        data = self.data
        return judge_others(
            lambda other: _dense_proba(classifier, data.other_set(self.features, other)),
            data.others,
        )

    def _seconds(
        self, steps: Mapping[str, float], start: float, detectors: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        others = dict(detectors or {})
        measured = {"query": 0.0, "fit": others.pop("fit", 0.0), "evaluate": 0.0}
        measured |= self.watch.take()
        total = time.perf_counter() - start
        harness = max(0.0, total - sum(measured.values()))
        details = {f"query.{name}": value for name, value in steps.items()} | others
        return {**measured, "harness": harness, **details}


def _single_fit(loop: _Loop) -> RoundRecord:
    """Fit on the pool but for a development set, and judge by this and by second labels."""
    start, spec, data = time.perf_counter(), loop.spec, loop.data
    settings = SingleFitSettings.from_params(spec.method.params)
    pool_set = data.pool_set(loop.features, data.pool_labels)
    share, seed = settings.development_share, spec.seed.data
    held = HeldOut.drawn(pool_set, data.pool_labels, data.pool_second, share, seed)
    second = spec.classifier.params.get(SECOND_TASK)
    options = {"second_labels": held.train_second} if second else {}
    classifier = loop.factory.new()
    with _seeded(spec.seed.model, 0):
        classifier.fit(held.train_set, **options)
    fitted = classifier.classifier
    with loop.watch.measure("evaluate"):
        judged = fit_metrics(fitted, held, loop.test_set, data.test_labels, settings)
    record = loop._record(0, held.train, [], fitted, None, start)
    return record.model_copy(update={"metrics": {**record.metrics, **judged}})


def _frozen_evaluation(loop: _Loop) -> RoundRecord:
    """Judge encoders as they are by the votes of neighbours."""
    start, data, seed = time.perf_counter(), loop.data, loop.spec.seed.data
    settings = FrozenSettings.from_params(loop.spec.method.params)
    labels = np.concatenate([data.pool_labels, data.test_labels])
    with loop.watch.measure("fit"):
        vectors = _own_vectors(loop, settings)
    with loop.watch.measure("evaluate"):
        metrics = frozen_metrics(vectors, labels, len(data.pool_labels), settings, seed)
    return RoundRecord(
        round=0,
        num_labeled=len(labels),
        metrics=metrics,
        per_class={},
        labeled_counts=data.counts(labels),
        seconds=loop._seconds({}, start),
    )


def _own_vectors(loop: _Loop, settings: FrozenSettings) -> Vectors:
    data, precision = loop.data, loop.spec.encoder.precision
    if data.pool_texts is None or data.test_texts is None:
        # A plan has made-up vectors, and times the encoders on real texts.
        return np.concatenate([data.pool_matrix, data.test_vectors])
    texts = [*data.pool_texts, *data.test_texts]
    return frozen_vectors(texts, settings, cast(Precision, precision), loop.device)


def _data_key(spec: UnitSpec) -> str:
    """Return a text of all that pool and labels of a unit follow from."""
    parts = (spec.dataset, spec.encoder, spec.protocol, spec.seed)
    return canonical_json([part.model_dump(mode="json") for part in parts])


def _evaluation_record(
    number: int, evaluation: Evaluation, counts: dict[str, int], harness: float
) -> RoundRecord:
    seconds = dict(evaluation.seconds)
    return RoundRecord(
        round=number,
        num_labeled=sum(counts.values()),
        step=evaluation.step,
        metrics=evaluation.metrics,
        per_class={},
        labeled_counts=counts,
        seconds={"query": 0.0, **seconds, "harness": harness},
    )


def _recorder_option(spec: UnitSpec, pool: Any, test_set: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what records fits, for a method's strategy or for the judge, as a factory's option."""
    needed = None if is_one_shot(spec.method.strategy) else needed_recording(spec.method)
    judged = _judges_epochs(spec)
    if needed is None and not judged:
        return {}
    from small_text_ext.training.dynamics import DynamicsRecorder, HeldOutRecorder

    if judged:
        return {"recorder": HeldOutRecorder(test_set)}
    return {"recorder": DynamicsRecorder() if needed == "training" else HeldOutRecorder(pool)}


def _judges_epochs(spec: UnitSpec) -> bool:
    # These have recorders of their own.
    own = spec.method.strategy in (BATCH_SELECTION, MAP_SUBSET, NOISE_DETECTION)
    return bool(spec.classifier.params.get(JUDGE_EPOCHS)) and not own


def _judged_epochs(
    classifier: Any,  # noqa: ANN401
    labels: Labels,
) -> dict[str, tuple[float | None, ...]]:
    """Return losses and accuracies after each epoch of a fit, None for what is not finite."""
    from scipy.special import log_softmax

    logits = np.asarray(classifier.recorder.logits, dtype=np.float64)
    history = classifier.history_
    losses = -log_softmax(logits, axis=2)[:, np.arange(len(labels)), labels].mean(axis=1)
    accuracies = (logits.argmax(axis=2) == labels).mean(axis=1)
    found = {
        "train_loss": history.train_losses,
        "validation_loss": history.validation_losses,
        "test_loss": losses,
        "test_accuracy": accuracies,
    }
    return {
        name: tuple(float(value) if np.isfinite(value) else None for value in values)
        for name, values in found.items()
        if len(values)
    }


def _seeded(seed: int, number: int) -> Any:  # noqa: ANN401 - a context manager
    """Seed the global generators for one step: small-text's own strategies draw from them."""
    from small_text_ext._random import preserved_global_state

    step = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return preserved_global_state(step, torch=True)


def _dense_proba(classifier: Any, dataset: Any) -> NDArray[np.float64]:  # noqa: ANN401
    from small_text_ext.protocols import dense_proba

    return dense_proba(classifier, dataset)


def _found(data: UnitData, counts: Mapping[str, int]) -> dict[str, float]:
    totals = data.counts(data.pool_labels)
    wanted = [data.class_names[label] for label in data.minority]
    return {name: counts[name] / totals[name] for name in wanted if totals[name]}


def _total_found(data: UnitData, labeled: Rows) -> float:
    wanted = np.isin(data.pool_labels, data.minority)
    return float(wanted[labeled].sum() / wanted.sum())


def _diagnostics(strategy: MeasuredStrategy, data: UnitData) -> dict[str, Any]:
    """Return what was measured of the last query, and what the strategy itself tells of it."""
    steps = {"classifier": strategy.seconds_scoring}
    found: dict[str, Any] = {"rows_scored": strategy.rows_scored, "steps": steps}
    last = getattr(strategy.strategy, "last_query", None)
    if last is None:
        return found
    note = getattr(last, "note", None)
    found["notes"] = () if note is None else (str(note),)
    subpool = np.asarray(last.subpool, dtype=np.int64)
    found["subpool_size"] = len(subpool)
    found["subpool_counts"] = data.counts(data.pool_labels[subpool])
    anchors = getattr(last, "anchors", None)
    found["num_anchors"] = None if anchors is None else len(anchors)
    found["steps"] = {name: float(value) for name, value in dict(last.seconds).items()} | steps
    return found


def summarize(records: Sequence[RoundRecord]) -> dict[str, float | None]:
    """Return areas under the curves, last values, and sums of seconds.

    The area is the mean height of a curve over labels (over gradient steps, where those are what a
    curve is over), and None where one of its values is missing.

    Parameters
    ----------
    records : sequence of RoundRecord
        The curve.

    Returns
    -------
    dict of str to float or None
        ``area_<metric>``, ``final_<metric>``, ``seconds_<step>``; where epochs are judged,
        ``gain_last_accuracy`` and ``gain_best_accuracy`` from the first round to the last.
    """
    last = records[-1].metrics
    labels = [record.num_labeled if record.step is None else record.step for record in records]
    areas = {
        f"area_{name}": normalized_area(labels, [record.metrics.get(name) for record in records])
        for name in last
    }
    finals = {f"final_{name}": value for name, value in last.items()}
    sums = {
        f"seconds_{step}": sum(record.seconds.get(step, 0.0) for record in records)
        for step in ("query", "fit", "evaluate", "harness")
    }
    return {**areas, **finals, **_gains(records), **sums}


def _gains(records: Sequence[RoundRecord]) -> dict[str, float | None]:
    first, last = records[0].metrics, records[-1].metrics
    pairs = {name: (first.get(name), last.get(name)) for name in _JUDGED}
    return {
        f"gain_{name}": end - start
        for name, (start, end) in pairs.items()
        if len(records) > 1 and start is not None and end is not None
    }
