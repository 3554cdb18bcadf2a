from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.experiments import EXPERIMENTS, check_experiment
from benchmarks.frozen_evaluation import (
    FrozenSettings,
    draw_development,
    frozen_metrics,
    frozen_vectors,
    with_fingerprints,
)
from benchmarks.loop import prepare_data, run_unit
from benchmarks.parsing import parse_suite
from benchmarks.planning import make_plan
from benchmarks.results import FROZEN_EVALUATION, MethodRecord, spec_hash
from benchmarks.runner import prepare_run
from benchmarks.suggestions import SuiteError
from tests.benchmarks.test_results import make_spec
from tests.tiny_models import tiny_model, topic_texts

GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(3, size=60)
VECTORS = (np.eye(3)[LABELS] * 1.5 + GENERATOR.normal(size=(60, 3))).astype(np.float32)
SETTINGS = FrozenSettings(("any",))


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("encoders")
    return [str(tiny_model(folder / name, name)) for name in ("bert", "roberta")]


def method(models: list[str], **params: object) -> MethodRecord:
    return MethodRecord(
        id="frozen", strategy=FROZEN_EVALUATION, params={"models": models, **params}
    )


def test_the_published_mode_is_scikit_learns_with_own_votes() -> None:
    settings = FrozenSettings(("any",), development_share=0.2)
    found = frozen_metrics(VECTORS, LABELS, 45, settings, seed=3)
    train, development = draw_development(45, 0.2, seed=3)
    neighbours = KNeighborsClassifier(5, algorithm="brute")
    neighbours.fit(VECTORS, LABELS)
    assert found["parity_accuracy"] == neighbours.score(VECTORS, LABELS)
    neighbours.fit(VECTORS[train], LABELS[train])
    for name, rows in (
        ("train", train),
        ("development", development),
        ("test", np.arange(45, 60)),
    ):
        assert found[f"parity_{name}_accuracy"] == neighbours.score(VECTORS[rows], LABELS[rows])


def test_by_default_no_text_votes_for_itself() -> None:
    found = frozen_metrics(VECTORS, LABELS, 45, FrozenSettings(("any",), k=1), seed=0)
    assert found["parity_accuracy"] == found["parity_train_accuracy"] == 1.0
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    assert found["accuracy"] == (LABELS[cosines.argmax(axis=1)] == LABELS).mean()
    assert (
        found["test_accuracy"] == (LABELS[cosines[45:, :45].argmax(axis=1)] == LABELS[45:]).mean()
    )
    assert "development_accuracy" not in found


def test_f1_is_over_the_classes_that_occur() -> None:
    labels = np.array([0, 0, 2, 2, 0, 2])
    found = frozen_metrics(np.eye(3, dtype=np.float32)[labels], labels, 4, SETTINGS, seed=0)
    assert found["test_macro_f1"] == 1.0


def test_a_development_set_is_drawn_by_the_seed() -> None:
    train, development = draw_development(100, 0.1, seed=1)
    assert len(development) == 10
    assert sorted([*train, *development]) == list(range(100))
    assert draw_development(100, 0.1, seed=1)[1].tolist() == development.tolist()
    assert draw_development(100, 0.1, seed=2)[1].tolist() != development.tolist()
    assert len(draw_development(3, 0.01, seed=0)[1]) == 1
    assert len(draw_development(3, 0.0, seed=0)[1]) == 0


def test_vectors_of_several_encoders_stand_beside_each_other(encoders: list[str]) -> None:
    texts = topic_texts(6)
    both = frozen_vectors(texts, FrozenSettings(tuple(encoders), "cls"), "float32")
    first = frozen_vectors(texts, FrozenSettings((encoders[0],), "cls"), "float32")
    mean = frozen_vectors(texts, FrozenSettings((encoders[0],), "mean"), "float32")
    layers = frozen_vectors(texts, FrozenSettings((encoders[0],), "mean", True), "float32")
    assert both.shape == (6, 2 * first.shape[1])
    np.testing.assert_array_equal(both[:, : first.shape[1]], first)
    assert not np.allclose(first, mean)
    assert not np.allclose(layers, mean)


def test_a_unit_judges_pool_and_test_set(encoders: list[str]) -> None:
    texts = topic_texts(40, num_topics=2)
    labels = np.arange(40) % 2
    spec = make_spec(method=with_fingerprints(method(encoders[:1])))
    data = prepare_data(spec, np.ones((40, 2), dtype=np.float32), labels, texts=texts)
    (record,) = run_unit(spec, data, "cpu")
    assert record.num_labeled == 40
    assert record.labeled_counts == {"other": 20, "business": 20}
    assert record.metrics["parity_accuracy"] is not None
    assert 0.5 < record.metrics["parity_accuracy"] <= 1
    assert record.seconds["fit"] > 0
    (again,) = run_unit(spec, data, "cpu")
    assert again.metrics == record.metrics


def test_the_weights_are_part_of_the_hash(encoders: list[str]) -> None:
    known, others = (with_fingerprints(method([name])) for name in encoders)
    assert known.params["fingerprints"] != others.params["fingerprints"]
    moved = known.model_copy(update={"params": {**known.params, "fingerprints": ["0" * 64]}})
    assert spec_hash(make_spec(method=known), "1") != spec_hash(make_spec(method=moved), "1")
    with pytest.raises(SuiteError, match=r"fingerprint .* but 000000000000 when"):
        frozen_vectors(["a"], FrozenSettings.from_params(moved.params), "float32")


def test_a_suite_runs_and_plans_it(
    encoders: list[str], titles_csv: Path, shared_cache: Path, tmp_path: Path
) -> None:
    raw = {
        "name": "frozen",
        "seeds": 1,
        "initial_size": 10,
        "initial_minority": 1,
        "datasets": [{"name": f"csv:{titles_csv}", "id": "titles"}],
        "classifiers": {"logistic": {"kind": "sklearn:LogisticRegression"}},
        "methods": {"both": {"preset": "frozen-evaluation", "models": encoders, "pooling": "mean"}},
    }
    run = prepare_run(parse_suite(raw), tmp_path)
    assert run.text_datasets == {"titles"}
    assert len(run.units[0].spec.method.params["fingerprints"]) == 2
    plan = make_plan(run)
    assert (plan.fits, plan.failures) == (0, ())
    assert plan.unit_seconds > 0


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"models": []}, "models is empty"),
        ({"models": ["a"], "pooling": "max"}, "pooling is 'max'"),
        ({"models": ["a"], "k": 0}, "k is 0"),
        ({"models": ["a"], "max_length": 0}, "max_length is 0"),
        ({"models": ["a"], "development_share": 1.0}, r"development_share is 1\.0"),
    ],
)
def test_refused_settings(params: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EXPERIMENTS[FROZEN_EVALUATION].check(params)


def test_one_name_is_no_list_of_encoders() -> None:
    with pytest.raises(TypeError, match="pass a list"):
        FrozenSettings("roberta-base")  # type: ignore[arg-type]


def test_fingerprints_are_the_runners() -> None:
    with pytest.raises(SuiteError, match="'fingerprints'"):
        check_experiment(method(["a"], fingerprints=["b"]))
