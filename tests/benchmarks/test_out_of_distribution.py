from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.classifiers import build_factory
from benchmarks.datasets import MissingSourceError
from benchmarks.loop import prepare_data, run_unit
from benchmarks.out_of_distribution import (
    OtherTestSet,
    OutOfDistributionEntry,
    load_other_test,
    measure_titles,
)
from benchmarks.parsing import parse_suite
from benchmarks.planning import _missing_texts
from benchmarks.results import (
    BATCH_SELECTION,
    FULL_DATA,
    MAP_SUBSET,
    ClassifierRecord,
    DatasetRecord,
    MethodRecord,
    OtherDatasetRecord,
    spec_hash,
)
from benchmarks.runner import encode_pending, make_tasks, prepare_run
from benchmarks.suggestions import SuiteError
from benchmarks.worker import execute, load_unit_data
from tests.benchmarks.test_results import make_spec
from tests.tiny_models import tiny_model, topic_texts

LABELS = np.arange(200) % 2
TEXTS = topic_texts(200, 2)
GENERATOR = np.random.default_rng(0)
VECTORS = (GENERATOR.normal(size=(200, 6)) + 2.0 * LABELS[:, None]).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
# Of the other distribution every label is the wrong one.
OTHER = OtherTestSet("turned", VECTORS[:40], 1 - LABELS[:40], TEXTS[:40])
SAME = OtherTestSet("same", VECTORS[:40], LABELS[:40], TEXTS[:40])


def write(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return f"csv:{path}"


def entry(name: str, **changes: Any) -> OutOfDistributionEntry:  # noqa: ANN401
    return OutOfDistributionEntry(id="other", name=name, **changes)


def test_labels_become_those_of_the_training_set(tmp_path: Path) -> None:
    name = write(tmp_path / "x.csv", "text,label\none,yes\ntwo,no\nthree,perhaps\n")
    asked = entry(name, classes={"yes": "entailment", "no": "not", "perhaps": "not"})
    data = load_other_test(asked, ("not", "entailment"))
    assert data.texts == ("one", "two", "three")
    assert data.labels.tolist() == [1, 0, 0]
    assert data.class_names == ("not", "entailment")


def test_only_the_test_part_of_data_with_one_is_taken(tmp_path: Path) -> None:
    name = write(tmp_path / "x.csv", "text,label,split\none,a,train\ntwo,b,test\nthree,a,train\n")
    data = load_other_test(entry(name), ("a", "b"))
    assert (data.texts, data.labels.tolist(), data.is_test) == (("two",), [1], None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"has the class 'no', which the training set does not have \(a, b\)"),
        ({"classes": {"yes": "c", "no": "a"}}, "class that 'yes' of 'other' stands for"),
        ({"classes": {"yess": "a"}}, r"class of out_of_distribution 'other'.*yes"),
        ({"split": "test"}, "takes no train_split"),
    ],
)
def test_what_is_wrong_with_it_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    name = write(tmp_path / "x.csv", "text,label\none,yes\ntwo,no\n")
    with pytest.raises(SuiteError, match=message):
        load_other_test(entry(name, **changes), ("a", "b"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingSourceError, match=r"gone\.csv"):
        load_other_test(entry(f"csv:{tmp_path / 'gone.csv'}"), ("a", "b"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ClassifierRecord:
    folder = tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    params = {"model": str(folder), "num_epochs": 2, "max_length": 12, "validation_set_size": 0.0}
    return ClassifierRecord(id="tiny", kind="transformer", params=params)


HEAD = ClassifierRecord(id="head", kind="mlp", params={"num_epochs": 4, "batch_size": 8})


@pytest.mark.parametrize("kind", ["vectors", "texts"])
@pytest.mark.parametrize("strategy", [FULL_DATA, MAP_SUBSET, BATCH_SELECTION, "RandomSampling"])
def test_every_final_fit_is_judged_by_them(
    kind: str, strategy: str, tiny: ClassifierRecord
) -> None:
    params = {
        MAP_SUBSET: {"keep": "random", "fraction": 0.5},
        BATCH_SELECTION: {"score": "uniform", "selected_fraction": 0.5},
    }
    spec = make_spec(
        method=MethodRecord(id="m", strategy=strategy, params=params.get(strategy, {})),
        classifier=HEAD if kind == "vectors" else tiny,
        dataset=DatasetRecord(
            id="d", name="d", fingerprint="f", class_names=("a", "b"), minority=(), num_texts=200
        ),
    )
    protocol = {"rounds": 1, "query_size": 4, "initial_size": 20, "initial_minority": 5}
    spec = spec.model_copy(
        update={"protocol": spec.protocol.model_copy(update=protocol | {"test_size": 0.2})}
    )
    data = prepare_data(spec, VECTORS, LABELS, texts=TEXTS)
    data = replace(data, others=(OTHER, SAME))
    last = run_unit(spec, data, "cpu")[-1].metrics
    turned, same = last["accuracy.turned"], last["accuracy.same"]
    assert turned is not None
    assert same is not None
    assert turned + same == pytest.approx(1.0)
    assert "accuracy" in last
    if strategy == FULL_DATA:
        clf = build_factory(spec.classifier, 2, spec.seed.model, "cpu").new()
        clf.fit(data.pool_set(kind, data.pool_labels))  # type: ignore[arg-type]
        found = clf.predict(data.other_set(kind, SAME))  # type: ignore[arg-type]
        assert same == pytest.approx(float((found == SAME.labels).mean()))


def test_a_suite_loads_encodes_and_judges_them(
    titles_csv: Path, shared_cache: Path, tmp_path: Path
) -> None:
    other = write(
        tmp_path / "other.csv",
        "text,label\nShares fall after profits warning,money\nStriker scores twice,rest\n",
    )
    raw: dict[str, Any] = {
        "name": "made",
        "seeds": 1,
        "datasets": [
            {
                "name": f"csv:{titles_csv}",
                "id": "titles",
                "minority": ["business"],
                "out_of_distribution": [
                    {
                        "id": "money",
                        "name": other,
                        "classes": {"money": "business", "rest": "other"},
                    }
                ],
            }
        ],
        "classifiers": {"logistic": {"kind": "sklearn:LogisticRegression"}},
        "methods": {"full-data": {}},
        "initial_size": 12,
    }
    run = prepare_run(parse_suite(raw), tmp_path / "runs")
    (record,) = run.datasets[0].record.out_of_distribution
    assert (record.id, record.name, record.num_texts) == ("money", other, 2)
    assert _missing_texts(run)["titles"] >= 2, "they are encoded, too"
    sources = encode_pending(run, show_progress=False)
    assert _missing_texts(run) == {"titles": 0}
    (task,) = make_tasks(run.pending, sources, tmp_path / "runs", threads=1)
    data = load_unit_data(task.unit.spec, task.source)
    assert data.others[0].labels.tolist() == [1, 0]
    assert data.others[0].vectors.shape == (2, data.test_vectors.shape[1])
    outcome = execute(task)
    assert outcome.status == "passed", outcome.message


def test_two_of_one_id_are_refused(titles_csv: Path) -> None:
    other = {"id": "same", "name": f"csv:{titles_csv}"}
    raw = {
        "name": "made",
        "datasets": [{"name": "bbc-news", "out_of_distribution": [other, other]}],
        "classifiers": {"mlp": {}},
        "methods": {"random": {}},
    }
    with pytest.raises(SuiteError, match="two test sets 'same'"):
        parse_suite(raw)


def test_vectors_that_come_with_the_data_have_no_other_test_set(titles_csv: Path) -> None:
    vectors = {"name": "theirs", "column": "vector"}
    other = {"id": "other", "name": f"csv:{titles_csv}"}
    raw = {
        "name": "made",
        "datasets": [{"name": "hub:a/b", "embeddings": vectors, "out_of_distribution": [other]}],
        "classifiers": {"mlp": {}},
        "methods": {"random": {}},
    }
    with pytest.raises(SuiteError, match="'hub:a/b': its embeddings come with the data"):
        parse_suite(raw)


def test_they_count_in_the_hash_and_nothing_changes_without_them() -> None:
    spec = make_spec()
    assert "out_of_distribution" not in spec.dataset.model_dump()
    record = OtherDatasetRecord(id="wsc", name="hub:wsc", fingerprint="a", num_texts=3)
    with_one = spec.model_copy(
        update={"dataset": spec.dataset.model_copy(update={"out_of_distribution": (record,)})}
    )
    assert spec_hash(with_one, "1") != spec_hash(spec, "1")
    again = DatasetRecord.model_validate(with_one.dataset.model_dump(mode="json"))
    assert again == with_one.dataset


def test_each_is_a_column() -> None:
    assert measure_titles(["wsc"]) == {"accuracy on wsc": "accuracy.wsc"}
