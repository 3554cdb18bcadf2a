"""What fits, queries and scorings take on this machine, measured in seconds on small pools.

Vectors are made up: shifted copies of some real ones, with labels that can be learnt. Texts are
those of the data set, since what an encoder takes depends on how long they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.classifiers import build_factory, classifier_kind
from benchmarks.experiments import EXPERIMENTS, changes_classifier
from benchmarks.loop import Labels, UnitData, Vectors, prepare_data, run_unit, unit_classifier
from benchmarks.results import (
    ClassifierRecord,
    MethodRecord,
    ProtocolRecord,
    UnitSpec,
    canonical_json,
)
from benchmarks.side_classifiers import without_text_sides
from benchmarks.single_fit import SECOND_TASK
from benchmarks.splits import Rows, seed_triple
from benchmarks.units import PreparedDataset
from small_text_ext._random import preserved_global_state

SCORED_TEXTS = 512
STAND_IN = ClassifierRecord(
    id="stand-in", kind="mlp", params={"num_epochs": 1, "validation_set_size": 0.0}
)
"""What queries are measured with in place of a classifier on texts: it learns and scores for next
to nothing, and what it scores is counted."""

_SEED = 0
_ROUNDS = 2
_MAX_POOL = 5_000
_TEST_TEXTS = 1_000
_WARM_UP_TEXTS, _WARM_UP_CLASSES = 4, 2
# Of a fit on a number of labels, of which every class has some.
_SAMPLE_LABELS = 40
# A copy of a vector is no neighbour as a text has them; a shifted one is.
_SHIFT = 0.5


@dataclass(frozen=True)
class UnitCosts:
    """Seconds of a unit of one classifier and one method on the calibration's pool.

    Parameters
    ----------
    fit : float
        A fit at the middle round; of a one-shot experiment, all its fits on the whole pool.
    evaluate : float
        Scoring one text of the test set.
    first_query, later_query : float
        What the classifier does not take of the first query, which builds an index where there is
        one, and of any other.
    harness : float
        All the rest of a round.
    rows : int, default=0
        Texts that the classifier scores or embeds in a query.
    score : float, default=0.0
        Scoring one of them.
    """

    fit: float
    evaluate: float
    first_query: float
    later_query: float
    harness: float
    rows: int = 0
    score: float = 0.0


@dataclass(frozen=True)
class TextCosts:
    """Seconds of a classifier on the texts of one data set.

    Parameters
    ----------
    fit : float
        A fit on ``num_labels`` texts.
    score : float
        Scoring one text.
    num_labels : int
        Labels at the middle round; fewer of fits on a number of labels.
    fixed : float, default=0.0
        What of a fit on a number of labels does not grow with them.
    """

    fit: float
    score: float
    num_labels: int
    fixed: float = 0.0


@dataclass
class Calibration:
    """Measures what units cost; what was measured once is remembered.

    Parameters
    ----------
    spec : UnitSpec
        A unit of two rounds that begins with the labels of the middle round.
    data : UnitData
        Its data: vectors.
    datasets : mapping of str to PreparedDataset
        The real data sets, by id.
    device : str or None
        Where classifiers are trained.
    load : float
        Opening and splitting a data set, for one text.
    """

    spec: UnitSpec
    data: UnitData
    datasets: Mapping[str, PreparedDataset]
    device: str | None
    load: float
    _queries: dict[str, UnitCosts] = field(default_factory=dict)
    _texts: dict[str, TextCosts] = field(default_factory=dict)

    @property
    def pool_size(self) -> int:
        """Texts in the pool of vectors."""
        return len(self.data.pool_labels)

    def warm_up(self) -> None:
        """Fit once: the first fit of a process is slower than all later ones."""
        classifier = _on_vectors(self.spec.classifier)
        method = MethodRecord(id="random", strategy="RandomSampling")
        changes = {"classifier": classifier, "method": method}
        # What fails here fails again where it is timed, and is told then.
        with suppress(Exception):
            run_unit(self.spec.model_copy(update=changes), self.data, self.device)

    def time_queries(self, classifier: ClassifierRecord, method: MethodRecord) -> UnitCosts:
        """Run two rounds on vectors.

        Parameters
        ----------
        classifier : ClassifierRecord
            In the place of one on texts stands :data:`STAND_IN`.
        method : MethodRecord
            The method.

        Returns
        -------
        UnitCosts
            With a stand-in, its fit and its scoring are those of no real classifier.
        """
        if on_texts(classifier) and changes_classifier(method.strategy):
            # What a ceiling changes are parameters of the classifier, not of the stand-in.
            method = method.model_copy(update={"params": {}})
        records = {"classifier": _on_vectors(classifier), "method": without_text_sides(method)}
        key = canonical_json([record.model_dump(mode="json") for record in records.values()])
        if key not in self._queries:
            spec = self.spec.model_copy(update=records)
            self._queries[key] = _unit_costs(spec, self.data, self.device)
        return self._queries[key]

    def time_texts(self, spec: UnitSpec) -> TextCosts:
        """Fit and score with a classifier on texts.

        Parameters
        ----------
        spec : UnitSpec
            A unit; its method counts where it is a ceiling, which changes parameters, or a fit on a
            number of labels, which is timed on 8 and on some 40.

        Returns
        -------
        TextCosts
            Measured on the texts of its data set.
        """
        classifier = unit_classifier(spec)
        is_sample = _is_sample(spec)
        key = canonical_json([classifier.model_dump(mode="json"), spec.dataset.id, is_sample])
        if key not in self._texts:
            dataset = self.datasets[spec.dataset.id]
            self._texts[key] = _time_texts(classifier, spec, dataset, self.device)
        return self._texts[key]


def make_calibration(
    spec: UnitSpec,
    datasets: Iterable[PreparedDataset],
    vectors: Vectors,
    largest_pool: int,
    device: str | None = None,
) -> Calibration:
    """Make the pool that queries are measured on.

    Parameters
    ----------
    spec : UnitSpec
        Any unit of the run.
    datasets : iterable of PreparedDataset
        Its data sets.
    vectors : numpy.ndarray of float32, shape (n, d)
        Some real vectors, which are copied and shifted as often as needed.
    largest_pool : int
        Texts of the largest real pool; above 5,000 the calibration's is smaller.
    device : str or None, default=None
        Where classifiers are trained.

    Returns
    -------
    Calibration
        Ready to measure.
    """
    spec = _calibration_spec(spec, largest_pool)
    points, labels = _calibration_points(spec, vectors)
    start = time.perf_counter()
    data = prepare_data(spec, points, labels)
    load = (time.perf_counter() - start) / spec.dataset.num_texts
    by_id = {dataset.record.id: dataset for dataset in datasets}
    return Calibration(spec, data, by_id, device, load)


def on_texts(classifier: ClassifierRecord) -> bool:
    """Return whether a classifier is fitted on texts."""
    return classifier_kind(classifier.kind).features == "texts"


def _on_vectors(classifier: ClassifierRecord) -> ClassifierRecord:
    return STAND_IN if on_texts(classifier) else classifier


def _middle_labels(protocol: ProtocolRecord) -> int:
    return protocol.initial_size + protocol.query_size * protocol.rounds // 2


def _calibration_spec(spec: UnitSpec, largest_pool: int) -> UnitSpec:
    protocol = spec.protocol
    middle = _middle_labels(protocol)
    needed = 2 * (middle + _ROUNDS * protocol.query_size)
    pool = max(needed, min(largest_pool, _MAX_POOL))
    changes = {
        "rounds": _ROUNDS,
        "initial_size": middle,
        "initial_minority": min(protocol.initial_minority, middle),
        "test_size": _TEST_TEXTS / (pool + _TEST_TEXTS),
        "time_limit": None,
    }
    data = {
        "class_names": ("other", "wanted"),
        "minority": ("wanted",),
        "num_texts": pool + _TEST_TEXTS,
        "prevalence": None,
    }
    return spec.model_copy(
        update={
            "dataset": spec.dataset.model_copy(update=data),
            "protocol": protocol.model_copy(update=changes),
        }
    )


def _calibration_points(spec: UnitSpec, vectors: Vectors) -> tuple[Vectors, Labels]:
    generator = np.random.default_rng(_SEED)
    shape = (spec.dataset.num_texts, vectors.shape[1])
    shift = generator.normal(scale=_SHIFT / np.sqrt(shape[1]), size=shape)
    x = np.asarray(np.resize(vectors, shape) + shift, dtype=np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    # Labels that can be learnt: a fit on noise would run to its last epoch.
    y = (x[:, 0] > np.median(x[:, 0])).astype(np.int64)
    return x, y


def _unit_costs(spec: UnitSpec, data: UnitData, device: str | None) -> UnitCosts:
    rounds = run_unit(spec, data, device)
    seconds = [record.seconds for record in rounds]
    rests = [each["query"] - each.get("query.classifier", 0.0) for each in seconds]
    last, rows = seconds[-1], rounds[-1].rows_scored
    return UnitCosts(
        fit=last["fit"],
        evaluate=last["evaluate"] / len(data.test_labels),
        first_query=rests[1] if len(rests) > 1 else 0.0,
        later_query=rests[-1],
        harness=last["harness"],
        rows=rows,
        score=last["query.classifier"] / rows if rows else 0.0,
    )


def _time_texts(
    classifier: ClassifierRecord, spec: UnitSpec, dataset: PreparedDataset, device: str | None
) -> TextCosts:
    data = _text_data(spec, dataset)
    labeled, scored = _drawn_rows(data, _middle_labels(spec.protocol))
    warm_up = _few_of_each_class(data, labeled, _WARM_UP_TEXTS, _WARM_UP_CLASSES)
    is_sample = _is_sample(spec)
    if is_sample:
        pool, _ = _drawn_rows(data, len(data.pool_labels))
        labeled = _few_of_each_class(data, pool, max(1, _SAMPLE_LABELS // data.num_classes))
    factory = build_factory(_of_one_label(classifier), data.num_classes, spec.seed.model, device)
    with preserved_global_state(_SEED, torch=True):
        _timed_fit(factory, _text_set(data, warm_up))
        few = _timed_fit(factory, _text_set(data, warm_up))[0] if is_sample else 0.0
        fit, fitted = _timed_fit(factory, _text_set(data, labeled))
        start = time.perf_counter()
        fitted.predict_proba(_text_set(data, scored))
        score = (time.perf_counter() - start) / len(scored)
    fixed = _fixed_seconds(few, len(warm_up), fit, len(labeled)) if is_sample else 0.0
    return TextCosts(fit, score, len(labeled), fixed)


def _fixed_seconds(few: float, num_few: int, many: float, num_many: int) -> float:
    """Return what two fits have in common, where seconds grow with labels in a straight line."""
    if num_many <= num_few:
        return 0.0
    slope = (many - few) / (num_many - num_few)
    return min(max(0.0, few - slope * num_few), many)


def _of_one_label(classifier: ClassifierRecord) -> ClassifierRecord:
    """Leave out a second label, which costs no more than another matrix product a step."""
    params = {name: value for name, value in classifier.params.items() if name != SECOND_TASK}
    return classifier.model_copy(update={"params": params})


def _text_data(spec: UnitSpec, dataset: PreparedDataset) -> UnitData:
    """Return a data set as a unit has it, with vectors that nobody looks at."""
    data = dataset.data
    vectors = np.ones((len(data), 1), dtype=np.float32)
    seeded = spec.model_copy(update={"seed": seed_triple(_SEED)})
    return prepare_data(seeded, vectors, data.labels, data.is_test, data.groups, data.items)


def _drawn_rows(data: UnitData, num_labels: int) -> tuple[Rows, Rows]:
    """Return rows of the pool to fit on, the first labels among them, and rows to score."""
    order = np.random.default_rng(_SEED).permutation(len(data.pool_labels))
    others = order[~np.isin(order, data.initial)]
    labeled = np.concatenate([data.initial, others])[:num_labels]
    return labeled, order[:SCORED_TEXTS]


def _is_sample(spec: UnitSpec) -> bool:
    """Return whether a unit is a fit on a number of labels that its method says."""
    experiment = EXPERIMENTS.get(spec.method.strategy)
    return experiment is not None and experiment.num_labels is not None


def _few_of_each_class(
    data: UnitData, rows: Rows, num_texts: int, num_classes: int | None = None
) -> Rows:
    """Return so many rows of each class, or of each of the largest ones."""
    labels = data.pool_labels[rows]
    classes, counts = np.unique(labels, return_counts=True)
    largest = classes[np.argsort(-counts, kind="stable")[:num_classes]]
    return np.concatenate([rows[labels == label][:num_texts] for label in np.sort(largest)])


def _text_set(data: UnitData, rows: Rows) -> Any:  # noqa: ANN401
    return data.pool_set("texts", data.pool_labels)[rows].clone()


def _timed_fit(factory: Any, data_set: Any) -> tuple[float, Any]:  # noqa: ANN401
    classifier = factory.new()
    start = time.perf_counter()
    classifier.fit(data_set)
    return time.perf_counter() - start, classifier
