from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import calibration
from benchmarks.calibration import STAND_IN, Calibration, make_calibration, on_texts
from benchmarks.datasets import LabeledTexts
from benchmarks.loop import run_unit
from benchmarks.results import FULL_DATA, LABELED_SAMPLE, ClassifierRecord, MethodRecord, UnitSpec
from benchmarks.specs import DatasetEntry
from benchmarks.units import PreparedDataset
from tests.benchmarks.synthetic import make_spec

TRANSFORMER = ClassifierRecord(id="t", kind="transformer", params={"num_epochs": 3})
LOGISTIC = ClassifierRecord(id="logistic", kind="sklearn:LogisticRegression")
SPEC = make_spec("random", 0, protocol={"rounds": 4, "query_size": 5, "initial_size": 20})


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    rows = np.random.default_rng(0).normal(size=(50, 6))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def made(vectors: NDArray[np.float32]) -> Calibration:
    return make_calibration(SPEC, [], vectors, largest_pool=300)


def test_a_calibration_begins_in_the_middle_and_is_as_large_as_the_pool(
    made: Calibration, vectors: NDArray[np.float32]
) -> None:
    assert made.pool_size == 300
    assert made.spec.protocol.initial_size == 20 + 5 * 4 // 2
    assert made.spec.protocol.rounds == 2
    assert len(make_calibration(SPEC, [], vectors, largest_pool=10).data.pool_labels) == 80
    assert make_calibration(SPEC, [], vectors, largest_pool=90_000).pool_size == 5_000


@pytest.mark.parametrize(
    ("method", "rows"),
    [
        (MethodRecord(id="r", strategy="RandomSampling"), 0),
        (MethodRecord(id="l", strategy="LeastConfidence"), 300),
        (
            MethodRecord(
                id="s", strategy="RandomSubset", base="LeastConfidence", params={"subpool_size": 40}
            ),
            40 + 30 + 5,
        ),
    ],
    ids=lambda value: value.strategy if isinstance(value, MethodRecord) else "",
)
@pytest.mark.parametrize("classifier", [LOGISTIC, TRANSFORMER], ids=lambda record: record.id)
def test_what_a_query_scores_is_counted_with_any_classifier(
    made: Calibration, classifier: ClassifierRecord, method: MethodRecord, rows: int
) -> None:
    costs = made.time_queries(classifier, method)
    assert costs.rows == rows
    assert (costs.score > 0) == (rows > 0)
    assert min(costs.fit, costs.evaluate, costs.first_query, costs.later_query) >= 0


def test_a_classifier_on_texts_has_a_stand_in_for_queries(
    made: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[UnitSpec] = []

    def spy(spec: UnitSpec, *arguments: object) -> object:
        seen.append(spec)
        return run_unit(spec, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(calibration, "run_unit", spy)
    ceiling = MethodRecord(id="full", strategy=FULL_DATA, params={"warmup": 0.5})
    for _ in range(2):
        made.time_queries(TRANSFORMER, ceiling)
        made.time_queries(LOGISTIC, MethodRecord(id="r", strategy="RandomSampling"))
    assert [spec.classifier for spec in seen] == [STAND_IN, LOGISTIC], "measured once each"
    assert seen[0].method.params == {}
    assert on_texts(TRANSFORMER)
    assert not on_texts(STAND_IN)


class Recorded:
    """A factory whose classifiers remember what they were given."""

    def __init__(self) -> None:
        self.fits: list[list[str]] = []
        self.scored: list[list[str]] = []

    def new(self) -> Recorded:
        return self

    def fit(self, data_set: LabeledTexts) -> None:
        self.fits.append(list(data_set.x))  # type: ignore[attr-defined]

    def predict_proba(self, data_set: LabeledTexts) -> None:
        self.scored.append(list(data_set.x))  # type: ignore[attr-defined]


def test_texts_are_real_labels_those_of_the_middle_round_and_what_is_scored_is_bounded(
    made: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.where(np.arange(1_000) % 20 == 0, 1, 0)
    texts = tuple(f"text {number} {'radio' * label}" for number, label in enumerate(labels))
    data = LabeledTexts("made", texts, labels, ("other", "radio"), "", "")
    record = SPEC.dataset.model_copy(update={"num_texts": 1_000})
    dataset = PreparedDataset(DatasetEntry(name="csv:made"), data, record)
    factories: list[tuple[ClassifierRecord, Recorded]] = []

    def build(classifier: ClassifierRecord, *_: object) -> Recorded:
        factories.append((classifier, Recorded()))
        return factories[-1][1]

    monkeypatch.setattr(calibration, "build_factory", build)
    made = replace(made, datasets={record.id: dataset})
    unit = SPEC.model_copy(update={"classifier": TRANSFORMER, "dataset": record})
    ceiling = MethodRecord(id="full", strategy=FULL_DATA, params={"num_epochs": 9})
    first = made.time_texts(unit)
    other = MethodRecord(id="l", strategy="LeastConfidence")
    assert made.time_texts(unit.model_copy(update={"method": other})) is first
    made.time_texts(unit.model_copy(update={"method": ceiling}))
    assert [classifier.params["num_epochs"] for classifier, _ in factories] == [3, 9]
    recorded = factories[0][1]
    assert first.num_labels == 30
    assert [len(fit) for fit in recorded.fits] == [8, 30], "four of each class warm it up"
    assert sum("radio" in text for text in recorded.fits[1]) >= 5
    sample = MethodRecord(id="labels-90", strategy=LABELED_SAMPLE, params={"per_class": 90})
    some_of_each = made.time_texts(unit.model_copy(update={"method": sample}))
    assert some_of_each.num_labels == 40
    assert 0 <= some_of_each.fixed <= some_of_each.fit
    assert [len(fit) for fit in factories[2][1].fits] == [8, 8, 40]
    assert sum("radio" in text for text in factories[2][1].fits[2]) == 20
    (scored,) = recorded.scored
    assert len(scored) == len(set(scored)) == 512
    assert set(scored) | set(recorded.fits[1]) <= set(texts)


@pytest.mark.parametrize(
    ("few", "many", "fixed"),
    [(1.8, 5.0, 1.0), (8.0, 40.0, 0.0), (4.0, 40.0, 0.0), (5.0, 5.0, 5.0), (6.0, 5.0, 5.0)],
)
def test_what_two_fits_have_in_common_is_told_from_what_grows(
    few: float, many: float, fixed: float
) -> None:
    assert calibration._fixed_seconds(few, 8, many, 40) == pytest.approx(fixed)
    assert calibration._fixed_seconds(few, 40, many, 40) == 0.0
