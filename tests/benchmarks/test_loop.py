from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import loop
from benchmarks.classifiers import build_factory
from benchmarks.loop import UnitData, prepare_data, run_unit, summarize
from benchmarks.metrics import evaluate_predictions
from benchmarks.noise import RECOMMENDED
from benchmarks.results import (
    FULL_DATA,
    LABELED_SAMPLE,
    MAP_SUBSET,
    NOISE_DETECTION,
    ClassifierRecord,
    MethodRecord,
    ProtocolRecord,
    RoundRecord,
    UnitSpec,
)
from benchmarks.splits import seed_triple
from tests.benchmarks.test_results import make_spec
from tests.tiny_models import tiny_model, topic_texts

LABELS = np.repeat([0, 1], [360, 40])
RANDOM = MethodRecord(id="random", strategy="RandomSampling")
UNCERTAIN = MethodRecord(id="least-confidence", strategy="LeastConfidence")
ANCHORAL = MethodRecord(
    id="anchoral",
    strategy="AnchorAL",
    base="LeastConfidence",
    params={"subpool_size": 60, "num_neighbors": 10},
)
CEILING = MethodRecord(id="full-data", strategy=FULL_DATA)
LOGISTIC = ClassifierRecord(id="logistic", kind="sklearn:LogisticRegression")


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    rows = np.random.default_rng(0).normal(size=(400, 8))
    rows[LABELS == 1] += 1.0
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def unit(method: MethodRecord, **protocol: Any) -> UnitSpec:  # noqa: ANN401 - fields of a model
    content: dict[str, Any] = {
        "rounds": 3,
        "query_size": 10,
        "initial_size": 20,
        "initial_minority": 3,
        "test_size": 0.2,
    }
    return make_spec(
        method=method, classifier=LOGISTIC, protocol=ProtocolRecord(**{**content, **protocol})
    )


def run(
    method: MethodRecord,
    vectors: NDArray[np.float32],
    **protocol: Any,  # noqa: ANN401
) -> tuple[UnitData, tuple[RoundRecord, ...]]:
    spec = unit(method, **protocol)
    data = prepare_data(spec, vectors, LABELS)
    return data, run_unit(spec, data)


def test_all_methods_of_a_seed_share_split_and_first_labels(vectors: NDArray[np.float32]) -> None:
    initial = {run(method, vectors)[1][0].picks for method in (RANDOM, UNCERTAIN, ANCHORAL)}
    first_models = {
        str(run(method, vectors)[1][0].metrics) for method in (RANDOM, UNCERTAIN, ANCHORAL)
    }
    assert len(initial) == len(first_models) == 1
    other = prepare_data(unit(RANDOM).model_copy(update={"seed": seed_triple(1)}), vectors, LABELS)
    assert set(other.pool_rows[other.initial]) != set(initial.pop())


@pytest.mark.parametrize("method", [RANDOM, UNCERTAIN, ANCHORAL], ids=lambda method: method.id)
def test_picks_are_new_and_of_the_pool(method: MethodRecord, vectors: NDArray[np.float32]) -> None:
    data, records = run(method, vectors)
    picks = [pick for record in records for pick in record.picks]
    assert len(set(picks)) == len(picks) == 50
    assert set(picks) <= set(data.pool_rows.tolist())
    assert [record.num_labeled for record in records] == [20, 30, 40, 50]
    for record in records:
        labeled = LABELS[picks[: record.num_labeled]]
        assert record.labeled_counts == {
            "other": int((labeled == 0).sum()),
            "business": int((labeled == 1).sum()),
        }
        assert record.metrics["minority_labeled"] == (labeled == 1).sum()
        assert record.metrics["found"] == (labeled == 1).sum() / 32


def test_two_runs_are_equal_but_for_time(vectors: NDArray[np.float32]) -> None:
    for method in (RANDOM, ANCHORAL):
        first, second = (run(method, vectors)[1] for _ in range(2))
        assert [record.model_copy(update={"seconds": {}}) for record in first] == [
            record.model_copy(update={"seconds": {}}) for record in second
        ]


def test_random_picks_differ_between_rounds_and_leave_the_global_state(
    vectors: NDArray[np.float32],
) -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    _, records = run(RANDOM, vectors)
    after = np.random.get_state()[1]  # type: ignore[index]  # noqa: NPY002
    assert (before == after).all()
    assert len({record.picks for record in records}) == len(records)


def test_rows_scored_and_subpool_are_recorded(vectors: NDArray[np.float32]) -> None:
    assert [record.rows_scored for record in run(RANDOM, vectors)[1]] == [0, 0, 0, 0]
    assert [record.rows_scored for record in run(UNCERTAIN, vectors)[1]] == [0, 320, 320, 320]
    for record in run(ANCHORAL, vectors)[1][1:]:
        assert record.subpool_size is not None
        assert record.subpool_counts is not None
        assert 10 <= record.subpool_size <= 60
        assert sum(record.subpool_counts.values()) == record.subpool_size
        assert record.rows_scored <= record.subpool_size + record.num_labeled - 10
        assert record.num_anchors


def test_seconds_are_complete(vectors: NDArray[np.float32]) -> None:
    for record in run(ANCHORAL, vectors)[1][1:]:
        assert {"query", "fit", "evaluate", "harness"} <= set(record.seconds)
        assert any(name.startswith("query.") for name in record.seconds)
        assert min(record.seconds.values()) >= 0


def test_the_harness_is_all_the_rest_of_a_round(
    vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        time.sleep(0.05)
        return original(*arguments)

    original = loop._diagnostics
    monkeypatch.setattr(loop, "_diagnostics", slow)
    for record in run(RANDOM, vectors)[1][1:]:
        assert record.seconds["harness"] >= 0.05


def test_metrics_are_taken_at_the_prior_of_the_pool(
    vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    priors = []

    def spy(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        priors.append(options["pool_prior"].tolist())
        return evaluate_predictions(*arguments, **options)

    monkeypatch.setattr(loop, "evaluate_predictions", spy)
    run(RANDOM, vectors)
    assert priors == [[0.9, 0.1]] * 4


def seeds_at_work(
    spec: UnitSpec, vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[int], list[float]]:
    """Return the seeds that factories got, and a number that each fit would have drawn."""
    from small_text import SklearnClassifier

    seeds, draws = [], []

    def build(classifier: Any, num_classes: int, seed: int, device: Any) -> Any:  # noqa: ANN401
        seeds.append(seed)
        return build_factory(classifier, num_classes, seed, device)

    def fit(self: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        draws.append(float(np.random.random()))  # noqa: NPY002 - what small-text draws from
        return original(self, *arguments, **options)

    original = SklearnClassifier.fit
    with monkeypatch.context() as patch:
        patch.setattr(loop, "build_factory", build)
        patch.setattr(SklearnClassifier, "fit", fit)
        run_unit(spec, prepare_data(spec, vectors, LABELS))
    return seeds, draws


@pytest.mark.parametrize("method", [RANDOM, CEILING], ids=lambda method: method.id)
def test_the_model_s_seed_reaches_the_factory_and_every_fit(
    method: MethodRecord, vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = unit(method)
    seed = spec.seed
    seeds, draws = seeds_at_work(spec, vectors, monkeypatch)
    assert seeds == [seed.model]
    assert len(set(draws)) == len(draws) == (1 if method is CEILING else 4)
    other_query = spec.model_copy(update={"seed": seed.model_copy(update={"query": 7})})
    assert seeds_at_work(other_query, vectors, monkeypatch)[1] == draws
    other_model = spec.model_copy(update={"seed": seed.model_copy(update={"model": 7})})
    seeds, changed = seeds_at_work(other_model, vectors, monkeypatch)
    assert seeds == [7]
    assert not set(changed) & set(draws)


def test_labels_that_nobody_asked_for_are_hidden(
    vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    from small_text import RandomSampling

    seen = []
    original = RandomSampling.query

    def spy(self: Any, clf: Any, dataset: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        seen.append(np.unique(dataset.y[args[0]]).tolist())
        return original(self, clf, dataset, *args, **kwargs)

    monkeypatch.setattr(RandomSampling, "query", spy)
    run(RANDOM, vectors)
    assert seen == [[-1]] * 3


def test_the_pool_s_end_is_the_end(vectors: NDArray[np.float32]) -> None:
    _, records = run(RANDOM, vectors, rounds=9, query_size=150)
    assert [record.num_labeled for record in records] == [20, 170, 320]
    assert records[-1].metrics["found"] == 1.0


def test_a_time_limit_ends_a_unit_after_a_round(vectors: NDArray[np.float32]) -> None:
    _, records = run(RANDOM, vectors, rounds=9, time_limit=1e-9)
    assert len(records) == 1


def test_the_ceiling_is_one_fit_on_everything(vectors: NDArray[np.float32]) -> None:
    data, records = run(CEILING, vectors)
    assert len(records) == 1
    assert records[0].num_labeled == len(data.pool_labels) == 320
    assert records[0].metrics["found"] == 1.0
    assert records[0].seconds["fit"] > 0
    first = run(RANDOM, vectors)[1][0].metrics["minority_average_precision"]
    best = records[0].metrics["minority_average_precision"]
    assert first is not None
    assert best is not None
    assert best > first


def test_a_ceiling_may_change_the_classifier_and_a_method_may_not(
    vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def spy(classifier: ClassifierRecord, *arguments: Any) -> Any:  # noqa: ANN401
        asked.append(dict(classifier.params))
        return build_factory(classifier, *arguments)

    monkeypatch.setattr(loop, "build_factory", spy)
    run(CEILING.model_copy(update={"params": {"C": 5.0}}), vectors)
    run(RANDOM, vectors)
    assert asked == [{"C": 5.0}, {}]


def test_prevalence_thins_the_pool_and_leaves_the_test_set(vectors: NDArray[np.float32]) -> None:
    spec = unit(RANDOM)
    rare = spec.model_copy(update={"dataset": spec.dataset.model_copy(update={"prevalence": 0.05})})
    full, thin = (prepare_data(each, vectors, LABELS) for each in (spec, rare))
    assert np.bincount(thin.pool_labels).tolist() == [288, 16]
    assert np.bincount(full.pool_labels).tolist() == [288, 32]
    assert thin.test_labels.tolist() == full.test_labels.tolist()
    assert thin.pool_prior.sum() == pytest.approx(1.0)


def test_without_wanted_classes_all_count_alike(vectors: NDArray[np.float32]) -> None:
    spec = unit(RANDOM)
    even = spec.model_copy(update={"dataset": spec.dataset.model_copy(update={"minority": ()})})
    data = prepare_data(even, vectors, LABELS)
    assert data.minority == (0, 1)
    assert "found" in run_unit(even, data)[0].per_class["other"]


def test_the_summary_holds_areas_last_values_and_sums() -> None:
    records = [
        RoundRecord(
            round=number,
            num_labeled=labels,
            metrics={"minority_f1": value, "ece": None},
            per_class={},
            labeled_counts={},
            seconds={"query": 1.0, "fit": 2.0},
        )
        for number, (labels, value) in enumerate([(10, 0.0), (20, 0.5), (40, 0.5)])
    ]
    summary = summarize(records)
    assert summary["area_minority_f1"] == pytest.approx((10 * 0.25 + 20 * 0.5) / 30)
    assert summary["final_minority_f1"] == 0.5
    assert summary["area_ece"] is None
    assert summary["seconds_query"] == 3.0
    assert summary["seconds_evaluate"] == 0.0


TEXTS = topic_texts(400, 2)
TEXT_LABELS = np.where(np.arange(400) % 10 == 1, 1, 0)
"""One text in ten is wanted; it is about another topic than most."""


@pytest.fixture(scope="module")
def tiny_transformer(tmp_path_factory: pytest.TempPathFactory) -> ClassifierRecord:
    folder: Path = tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    params = {"model": str(folder), "num_epochs": 1, "max_length": 12, "validation_set_size": 0}
    return ClassifierRecord(id="transformer", kind="transformer", params=params)


def on_texts(
    method: MethodRecord, classifier: ClassifierRecord, vectors: NDArray[np.float32]
) -> tuple[UnitData, tuple[RoundRecord, ...]]:
    spec = unit(method, rounds=2).model_copy(update={"classifier": classifier})
    data = prepare_data(spec, vectors, TEXT_LABELS, texts=TEXTS)
    return data, run_unit(spec, data, "cpu")


def test_texts_are_split_as_their_vectors_are(vectors: NDArray[np.float32]) -> None:
    data = prepare_data(unit(RANDOM), vectors, TEXT_LABELS, texts=TEXTS)
    assert data.pool_texts == [TEXTS[row] for row in data.pool_rows]
    assert data.test_texts is not None
    assert sorted(data.pool_texts + data.test_texts) == sorted(TEXTS)
    assert data.pool_set("texts", data.pool_labels).x == data.pool_texts
    assert data.test_set("texts").y.tolist() == data.test_labels.tolist()
    assert data.test_set("vectors").x.shape == (80, 8)


def test_pairs_are_fitted_on_as_pairs(
    vectors: NDArray[np.float32], tiny_transformer: ClassifierRecord
) -> None:
    spec = unit(RANDOM, rounds=1).model_copy(update={"classifier": tiny_transformer})
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    data = prepare_data(spec, vectors, TEXT_LABELS, texts=pairs)
    assert type(data.test_set("texts")).__name__ == "TextPairDataset"
    assert data.pool_texts == [pairs[row] for row in data.pool_rows]
    first, last = run_unit(spec, data, "cpu")
    assert len(set(first.picks + last.picks)) == last.num_labeled
    assert last.metrics["macro_f1"] is not None


def test_as_many_texts_as_labels_are_needed(vectors: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="There are 3 texts, but 400 labels"):
        prepare_data(unit(RANDOM), vectors, LABELS, texts=TEXTS[:3])
    with pytest.raises(ValueError, match="pass texts to prepare_data"):
        prepare_data(unit(RANDOM), vectors, LABELS).test_set("texts")


@pytest.mark.parametrize("method", [UNCERTAIN, ANCHORAL], ids=lambda method: method.id)
def test_a_classifier_is_fitted_on_texts_while_strategies_have_vectors(
    method: MethodRecord, vectors: NDArray[np.float32], tiny_transformer: ClassifierRecord
) -> None:
    data, records = on_texts(method, tiny_transformer, vectors)
    picks = [pick for record in records for pick in record.picks]
    assert len(set(picks)) == len(picks) == 40
    assert set(picks) <= set(data.pool_rows.tolist())
    for record in records[1:]:
        expected = 320 if method is UNCERTAIN else record.subpool_size
        assert expected is not None
        assert expected <= record.rows_scored <= expected + record.num_labeled
        assert 0 < record.seconds["query.classifier"] <= record.seconds["query"]
    again = on_texts(method, tiny_transformer, vectors)[1]
    assert [record.model_copy(update={"seconds": {}}) for record in records] == [
        record.model_copy(update={"seconds": {}}) for record in again
    ]


def test_a_strategy_that_embeds_and_scores_the_pool_has_scored_it_twice(
    vectors: NDArray[np.float32], tiny_transformer: ClassifierRecord
) -> None:
    pytest.importorskip("hnswlib")
    method = MethodRecord(
        id="host",
        strategy="AnchorSubsampling",
        base="LeastConfidence",
        params={"subsample_size": 60, "k": 20},
    )
    _, records = on_texts(method, tiny_transformer, vectors)
    assert [record.rows_scored for record in records] == [0, 640, 640]


def test_the_ceiling_of_a_classifier_on_texts_is_fitted_on_all_of_them(
    vectors: NDArray[np.float32], tiny_transformer: ClassifierRecord
) -> None:
    _, records = on_texts(CEILING, tiny_transformer, vectors)
    assert (len(records), records[0].num_labeled) == (1, 320)


MLP = ClassifierRecord(id="mlp", kind="mlp", params={"num_epochs": 4})


def subset(keep: str, **params: Any) -> MethodRecord:  # noqa: ANN401
    return MethodRecord(id=keep, strategy=MAP_SUBSET, params={"keep": keep, **params})


def once(
    method: MethodRecord, vectors: NDArray[np.float32], classifier: ClassifierRecord = MLP
) -> tuple[UnitData, RoundRecord]:
    spec = unit(method).model_copy(update={"classifier": classifier})
    data = prepare_data(spec, vectors, LABELS)
    (record,) = run_unit(spec, data)
    return data, record


def test_a_subset_is_the_region_of_the_map_of_the_whole_pool(
    vectors: NDArray[np.float32],
) -> None:
    from small_text_ext.classifiers.crossfit import fit_dynamics

    method = subset("easy", fraction=0.95)
    data, record = once(method, vectors)
    assert record.num_labeled == sum(record.labeled_counts.values()) == round(0.95 * 320)
    factory = build_factory(MLP, 2, unit(method).seed.model)
    dynamics = fit_dynamics(factory, data.pool_set("vectors", data.pool_labels))
    region = np.sort(dynamics.regions(0.95)["easy"])
    assert record.picks == tuple(data.pool_rows[region].tolist())
    assert record.seconds["fit"] > 0
    assert record.metrics["minority_average_precision"] is not None
    assert record.notes == ()


def test_a_region_without_a_class_is_not_trained_on_and_noted(
    vectors: NDArray[np.float32],
) -> None:
    _, record = once(subset("easy", fraction=0.05), vectors)
    (note,) = record.notes
    assert "lose class" in note
    assert record.num_labeled == 320


def test_a_sample_of_labels_is_fitted_once_and_measured(vectors: NDArray[np.float32]) -> None:
    method = MethodRecord(id="few", strategy=LABELED_SAMPLE, params={"per_class": 5})
    data, record = once(method, vectors, LOGISTIC)
    assert record.labeled_counts == {"other": 5, "business": 5}
    assert set(record.picks) <= set(data.pool_rows.tolist())
    assert record.seconds["fit"] > 0
    assert record.metrics["accuracy"] is not None
    if Path("/proc/self/clear_refs").exists():
        assert record.metrics["peak_memory"] is not None
    more = method.model_copy(update={"params": {"per_class": 9}})
    assert set(once(more, vectors, LOGISTIC)[1].picks) > set(record.picks)
    assert once(method, vectors, LOGISTIC)[1].picks == record.picks


def test_epochs_are_judged_on_the_test_set(vectors: NDArray[np.float32]) -> None:
    params = {"num_epochs": 4, "validation_set_size": 0.2, "judge_epochs": True}
    judging = MLP.model_copy(update={"params": {**MLP.params, **params}})
    spec = unit(RANDOM).model_copy(update={"classifier": judging})
    data = prepare_data(spec, vectors, LABELS)
    records = run_unit(spec, data)
    best = []
    for record in records:
        assert set(record.epochs) == {
            "train_loss",
            "validation_loss",
            "test_loss",
            "test_accuracy",
        }
        # A loss may be none that is finite; here all are.
        values = {name: [v for v in each if v is not None] for name, each in record.epochs.items()}
        accuracies = values["test_accuracy"]
        assert {len(each) for each in values.values()} == {4}
        assert record.metrics["last_accuracy"] == accuracies[-1]
        assert record.metrics["best_accuracy"] == max(accuracies)
        assert values["test_loss"][-1] > 0
        best.append(max(accuracies))
    assert summarize(records)["gain_best_accuracy"] == best[-1] - best[0]
    assert "gain_best_accuracy" not in summarize(records[:1])
    plain = spec.model_copy(update={"classifier": MLP})
    assert all("epochs" not in record.model_dump() for record in run_unit(plain, data))
    ceiling = spec.model_copy(update={"method": CEILING})
    assert run_unit(ceiling, data)[0].epochs


def test_the_last_epoch_is_the_model_where_none_is_chosen(vectors: NDArray[np.float32]) -> None:
    params = {"num_epochs": 3, "validation_set_size": 0.0, "judge_epochs": True}
    judging = MLP.model_copy(update={"params": params})
    spec = unit(RANDOM, test_size=0.3).model_copy(update={"classifier": judging})
    data = prepare_data(spec, vectors, LABELS)
    # The test set is mixed as the pool is, so that accuracy is that of the test set as it is.
    record = run_unit(spec, data)[-1]
    assert record.metrics["last_accuracy"] == pytest.approx(record.metrics["accuracy"], abs=0.02)
    for side, name in (("minority", "business"), ("majority", "other")):
        weighted = record.per_class[name]["f1"]
        assert record.metrics[f"unweighted_{side}_f1"] == pytest.approx(weighted, abs=0.05)


def test_random_subsets_differ_by_seed_and_repeat(vectors: NDArray[np.float32]) -> None:
    spec = unit(subset("random", fraction=0.3)).model_copy(update={"classifier": MLP})
    other = spec.model_copy(update={"seed": spec.seed.model_copy(update={"query": 7})})
    data = prepare_data(spec, vectors, LABELS)
    picks = [run_unit(each, data)[0].picks for each in (spec, spec, other)]
    assert picks[0] == picks[1] != picks[2]
    assert len(picks[2]) == 96


def test_flipped_labels_are_looked_for_in_the_pool(vectors: NDArray[np.float32]) -> None:
    pytest.importorskip("cleanlab")
    params = {"noise": 0.1, "num_folds": 3, "num_repeats": 2}
    method = MethodRecord(id="noisy", strategy=NOISE_DETECTION, params=params)
    data, record = once(method, vectors)
    true = data.counts(data.pool_labels)
    assert record.num_labeled == sum(record.labeled_counts.values()) == 320
    assert record.labeled_counts != true
    assert record.metrics[f"noise_ap.{RECOMMENDED}"] > 0.2  # type: ignore[operator]
    assert 0 < record.seconds[f"noise.{RECOMMENDED}"] <= record.seconds["fit"]
    assert record.seconds["harness"] >= 0
    assert summarize([record])[f"final_noise_ap.{RECOMMENDED}"] is not None
    again = once(method, vectors)[1]
    assert again.metrics == record.metrics
    _, left = once(method, vectors, LOGISTIC)
    assert "left out" in left.notes[0]


@pytest.mark.parametrize(
    ("strategy", "base", "params"),
    [
        ("CartographyFilter", "LeastConfidence", {}),
        ("CartographyActiveLearning", None, {"embeddings": "classifier"}),
        ("DynamicsUncertainty", None, {}),
        ("DynamicsUncertainty", None, {"measure": "flips", "over": "epochs"}),
    ],
    ids=str,
)
def test_strategies_find_the_training_dynamics_they_need(
    strategy: str, base: str | None, params: dict[str, Any], vectors: NDArray[np.float32]
) -> None:
    method = MethodRecord(id="x", strategy=strategy, base=base, params=params)
    spec = unit(method).model_copy(update={"classifier": MLP})
    data = prepare_data(spec, vectors, LABELS)
    records = run_unit(spec, data)
    assert [record.num_labeled for record in records] == [20, 30, 40, 50]
    plain = unit(RANDOM).model_copy(update={"classifier": MLP})
    first = run_unit(plain, data)[0]
    assert records[0].metrics == first.metrics  # a recorder changes no fit
