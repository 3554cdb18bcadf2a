from __future__ import annotations

import pytest

from benchmarks.hub_data import EmbeddingsOptions
from benchmarks.specs import ClassifierEntry, DatasetEntry, MethodEntry, Suite, method_record


@pytest.fixture
def suite() -> Suite:
    return Suite(
        name="made",
        datasets=(
            DatasetEntry(name="bbc-news", minority=("tech",)),
            DatasetEntry(name="bbc-news", minority=("sports",), prevalence=0.1),
            DatasetEntry(name="debian-sections"),
        ),
        classifiers={"mlp": ClassifierEntry(kind="mlp")},
        methods={
            "everywhere": MethodEntry(strategy="RandomSampling"),
            "by-name": MethodEntry(strategy="RandomSampling", datasets=("bbc-news",)),
            "by-id": MethodEntry(strategy="RandomSampling", datasets=("bbc-news:sports@0.1",)),
        },
    )


@pytest.mark.parametrize(
    ("dataset", "names"),
    [
        ("bbc-news:tech", ["everywhere", "by-name"]),
        ("bbc-news:sports@0.1", ["everywhere", "by-name", "by-id"]),
        ("debian-sections:electronics", ["everywhere"]),
    ],
)
def test_methods_are_bound_to_a_name_or_to_an_id(
    suite: Suite, dataset: str, names: list[str]
) -> None:
    assert [record.id for record in suite.method_records(dataset)] == names


def test_the_last_name_of_a_data_set_wins() -> None:
    on = {"id": {"k": 2}, "name": {"k": 1, "m": 1}}
    entry = MethodEntry(strategy="SEALS", base="LeastConfidence", params={"k": 0, "n": 0}, on=on)
    assert method_record("x", entry).params == {"k": 0, "n": 0}
    assert method_record("x", entry, ("name", "id")).params == {"k": 2, "m": 1, "n": 0}


def test_a_method_within_a_method_is_taken_on_the_same_data_set() -> None:
    inner = MethodEntry(strategy="AnchorAL", params={"k": 1}, on={"name": {"k": 2}})
    outer = MethodEntry(strategy="RandomSubset", params={"subpool_size": inner})
    size = method_record("x", outer, ("name",)).params["subpool_size"]
    assert size == {"strategy": "AnchorAL", "base": None, "params": {"k": 2}}


def test_options_of_the_hub_are_those_that_were_given() -> None:
    entry = DatasetEntry(name="hub:some/data", text_column="body")
    assert entry.options == {"text_column": "body"}
    assert entry.wanted == ()


def test_options_of_the_hub_reach_its_loader() -> None:
    entry = DatasetEntry.model_validate(
        {
            "name": "hub:some/data",
            "train_split": "train+validation",
            "label_groups": {"rare": [1, "two"]},
            "drop_unlabeled": True,
            "embeddings": {"name": "mpnet", "column": "vectors", "key": "uid"},
        }
    )
    assert entry.options == {
        "train_split": "train+validation",
        "label_groups": {"rare": (1, "two")},
        "drop_unlabeled": True,
        "embeddings": EmbeddingsOptions("mpnet", "vectors", key="uid"),
    }
    with pytest.raises(ValueError, match="max_test_majority keeps all wanted texts, but no class"):
        DatasetEntry(name="hub:some/data", max_test_majority=10)


def test_a_classifier_may_be_bound_to_data_sets_and_to_methods(suite: Suite) -> None:
    bound = ClassifierEntry(kind="mlp", datasets=("bbc-news",), methods=("everywhere",))
    suite = suite.model_copy(update={"classifiers": {**suite.classifiers, "bound": bound}})
    found = {
        (dataset.id, name): [record.id for record in suite.method_records(dataset.id, name)]
        for dataset in suite.datasets
        for name in suite.classifiers
    }
    assert found["bbc-news:tech", "bound"] == ["everywhere"]
    assert found["debian-sections:electronics", "bound"] == []
    assert found["bbc-news:tech", "mlp"] == ["everywhere", "by-name"]
    assert suite.runs_with("bound", "everywhere")
    assert not suite.runs_with("bound", "by-name")


def test_a_data_set_may_have_a_loop_of_its_own(suite: Suite) -> None:
    own = DatasetEntry(name="bbc-news", minority=("politics",), rounds=3, initial_size=50)
    suite = suite.model_copy(update={"datasets": (*suite.datasets, own)})
    changed = suite.protocol_on("bbc-news:politics")
    assert (changed.rounds, changed.initial_size) == (3, 50)
    assert changed.query_size == suite.query_size
    assert suite.protocol_on("bbc-news:tech") == suite.protocol
