from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.loop import run_unit
from benchmarks.parsing import parse_suite
from benchmarks.planning import make_plan
from benchmarks.report import write_report
from benchmarks.results import UnitResult, read_result
from benchmarks.runner import encode_pending, make_tasks, prepare_run
from benchmarks.single_fit import HeldOut, SingleFitSettings, fit_metrics
from benchmarks.suggestions import SuiteError
from benchmarks.worker import execute, load_unit_data
from tests.tiny_models import checkpoint, topic_texts

PUBLISHERS = ("laptop", "browser", "chip", "keyboard")


@pytest.fixture(scope="module")
def articles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of two biases by two publishers each, who sign them; others sign the test set."""
    path = tmp_path_factory.mktemp("articles") / "articles.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["article", "bias", "publisher", "split"])
        for number, text in enumerate(topic_texts(100, 2)):
            bias, is_test = ("left", "right")[number % 2], number >= 80
            publisher = PUBLISHERS[number % 4] if not is_test else f"other {number % 2}"
            signed = f"{text} {publisher}" if not is_test else text
            writer.writerow([signed, bias, publisher, "test" if is_test else "train"])
    return path


def suite(articles: Path, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - raw TOML
    tiny = {"kind": "alignment", "model": checkpoint(), "num_epochs": 4, "lr": 4e-3}
    tiny |= {"loss": "cosine_mse", "memory": "none", "batch_size": 20}
    raw: dict[str, Any] = {
        "name": "bias",
        "seeds": 1,
        "initial_size": 4,
        "initial_minority": 1,
        "datasets": [
            {
                "name": f"csv:{articles}",
                "id": "articles",
                "text_column": "article",
                "label_column": "bias",
                "second_label_column": "publisher",
            }
        ],
        "classifiers": {
            "pulled": {**tiny, "second_task": "pull"},
            "pushed": {**tiny, "second_task": "push"},
        },
        "methods": {"bias": {"preset": "single-fit", "development_share": 0.1}},
    }
    return {**raw, **changes}


def held_out(labels: list[int], second: list[int], train: int) -> HeldOut:
    return HeldOut(
        list(range(len(labels))),
        np.array(labels),
        np.array(second),
        np.arange(train),
        np.arange(train, len(labels)),
    )


class Fixed:
    """A fitted classifier with given vectors, whose datasets are arrays of rows."""

    def __init__(self, vectors: Any, predictions: Any) -> None:  # noqa: ANN401
        self.vectors, self.predictions = np.asarray(vectors, np.float32), np.asarray(predictions)

    def predict(self, rows: Any) -> Any:  # noqa: ANN401
        return self.predictions[rows]

    def embed(self, rows: Any) -> Any:  # noqa: ANN401
        return self.vectors[rows]


class Rows(np.ndarray[Any, Any]):
    """Rows that can be cloned, as a dataset can."""

    def clone(self) -> Any:  # noqa: ANN401
        return np.asarray(self)


def test_accuracies_of_the_second_label_by_hand() -> None:
    labels, second = [0, 0, 1, 1, 0, 1, 0], [0, 1, 2, 2, 1, 2, 0]
    held = held_out(labels, second, train=4)
    held = HeldOut(np.arange(7).view(Rows), held.labels, held.second, held.train, held.development)
    # Of the development set, the first text lies with its publisher, the second with another
    # class, and the third with the other publisher of its class.
    vectors = [[1, 0], [0, 1], [-1, 0], [-1, -0.1], [0, 1], [0.1, 1], [0, 1]]
    fixed = Fixed(vectors, [0, 0, 1, 1, 0, 0, 0])
    test = np.array([0, 2, 3])
    found = fit_metrics(fixed, held, test, np.array([0, 0, 1]), SingleFitSettings(k=1))
    assert found["test_accuracy"] == pytest.approx(2 / 3)
    assert found["development_accuracy"] == pytest.approx(2 / 3)
    assert found["second_accuracy"] == pytest.approx(1 / 3)
    assert found["second_within_accuracy"] == pytest.approx(2 / 3)
    # Publisher 0 is taken for all of class 0, the lower of two that are as common, and 2 for 1.
    assert found["second_floor"] == pytest.approx(2 / 3)


def test_what_there_is_no_data_for_is_left_out() -> None:
    held = held_out([0, 1, 0], [0, 0, 0], train=2)
    rows = np.arange(3).view(Rows)
    alone = HeldOut(rows, held.labels, None, held.train, held.development)
    fixed = Fixed(np.eye(3), [0, 1, 0])
    test = (np.array([0]), np.array([1]))
    found = fit_metrics(fixed, alone, *test, SingleFitSettings())
    assert found == {"test_accuracy": 0.0, "development_accuracy": 1.0}
    whole = HeldOut(rows, held.labels, held.second, np.arange(3), np.arange(0))
    assert fit_metrics(fixed, whole, *test, SingleFitSettings()) == {"test_accuracy": 0.0}


@pytest.mark.usefixtures("shared_cache")
def test_a_pulled_publisher_shows_and_a_pushed_one_does_not(articles: Path, tmp_path: Path) -> None:
    run = prepare_run(parse_suite(suite(articles)), tmp_path)
    sources = encode_pending(run, "cpu", show_progress=False)
    results: dict[str, UnitResult] = {}
    for task in make_tasks(run.pending, sources, tmp_path, threads=1, device="cpu"):
        outcome = execute(task)
        assert outcome.status == "passed", outcome.message
        path = tmp_path / task.unit.spec.relative_path
        results[task.unit.spec.classifier.id] = read_result(path)
    metrics = {name: result.rounds[0].metrics for name, result in results.items()}
    shown = metrics["pulled"]["second_within_accuracy"]
    hidden = metrics["pushed"]["second_within_accuracy"]
    assert shown is not None
    assert hidden is not None
    assert shown > hidden
    assert results["pushed"].rounds[0].num_labeled == 72
    assert all(found["development_accuracy"] for found in metrics.values())
    assert all(found["test_accuracy"] for found in metrics.values())
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "## Single fits" in page
    assert "| `pushed` | bias | 1 |" in page


@pytest.mark.usefixtures("shared_cache")
def test_a_second_task_is_planned(articles: Path, tmp_path: Path) -> None:
    plan = make_plan(prepare_run(parse_suite(suite(articles)), tmp_path))
    assert (plan.fits, plan.failures) == (2, ())


@pytest.mark.usefixtures("shared_cache")
def test_a_classifier_of_one_label_is_judged_by_both(articles: Path, tmp_path: Path) -> None:
    head = {"mlp": {"num_epochs": 2}}
    run = prepare_run(parse_suite(suite(articles, classifiers=head)), tmp_path)
    (unit,) = run.units
    sources = encode_pending(run, "cpu", show_progress=False)
    data = load_unit_data(unit.spec, sources["articles"])
    (record,) = run_unit(unit.spec, data, "cpu")
    assert record.metrics["second_accuracy"] is not None
    assert run_unit(unit.spec, data, "cpu")[0].metrics == record.metrics


def test_other_labels_are_part_of_the_fingerprint(articles: Path, tmp_path: Path) -> None:
    def fingerprint(column: str | None) -> str:
        raw = suite(articles, classifiers={"mlp": {}})
        if column is None:
            del raw["datasets"][0]["second_label_column"]
        else:
            raw["datasets"][0]["second_label_column"] = column
        return prepare_run(parse_suite(raw), tmp_path).datasets[0].record.fingerprint

    assert len({fingerprint("publisher"), fingerprint("split"), fingerprint(None)}) == 3


@pytest.mark.parametrize(
    ("changes", "column", "message"),
    [
        ({"methods": {"full-data": {}}}, "publisher", "'full-data' has no labels"),
        ({}, None, "data set 'articles' has no labels: set second_label_column"),
    ],
)
def test_a_second_task_without_labels_is_refused_before_the_first_unit(
    articles: Path, tmp_path: Path, changes: dict[str, Any], column: str | None, message: str
) -> None:
    raw = suite(articles, **changes)
    if column is None:
        del raw["datasets"][0]["second_label_column"]
    with pytest.raises(SuiteError, match=message):
        prepare_run(parse_suite(raw), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"development_share": 1.0}, r"development_share is 1\.0"),
        ({"k": 0}, "k is 0"),
    ],
)
def test_refused_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SingleFitSettings(**options)
