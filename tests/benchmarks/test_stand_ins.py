"""The stand-ins are what other tests rest on: each is opened, and read by the harness's loader."""

from __future__ import annotations

import pytest

from benchmarks.datasets import MissingSourceError, load_texts
from benchmarks.encoders import resolve_encoder
from benchmarks.hub_data import EmbeddingsOptions
from tests.benchmarks.stand_ins import ARCHITECTURES, MPNET, STAND_INS, LocalHub
from tests.tiny_models import checkpoint


@pytest.mark.parametrize("key", STAND_INS, ids=lambda key: "-".join(map(str, key)))
def test_each_has_the_splits_and_columns_of_its_schema(
    key: tuple[str, str | None], local_hub: LocalHub
) -> None:
    opened = local_hub.open_hub(*key)
    made = STAND_INS[key]
    assert {name: len(split) for name, split in opened.items()} == made.sizes
    for split in opened.values():
        assert split.features == made.features
    assert all(size <= 200 for size in made.sizes.values())


def test_what_has_none_is_missing(local_hub: LocalHub) -> None:
    with pytest.raises(MissingSourceError, match="nobody/nothing"):
        load_texts("hub:nobody/nothing")


@pytest.mark.parametrize(
    ("name", "options", "class_names"),
    [
        ("stanfordnlp/sst2", {"test_split": "validation"}, ("negative", "positive")),
        (
            "stanfordnlp/snli",
            {
                "text_column": "premise",
                "second_text_column": "hypothesis",
                "drop_unlabeled": True,
            },
            ("entailment", "neutral", "contradiction"),
        ),
        (
            "SetFit/TREC-QC",
            {"label_column": "label_coarse_original"},
            ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"),
        ),
    ],
)
def test_the_loader_reads_them(
    name: str,
    options: dict[str, object],
    class_names: tuple[str, ...],
    local_hub: LocalHub,
) -> None:
    data = load_texts(f"hub:{name}", options)
    assert data.class_names == class_names
    assert data.is_test is not None
    assert min(data.counts().values()) >= 8


def test_vectors_are_about_the_class_of_their_text(local_hub: LocalHub) -> None:
    embeddings = EmbeddingsOptions("mpnet", MPNET, config=MPNET, key="uid")
    data = load_texts("hub:pietrolesci/agnews", {"embeddings": embeddings})
    assert data.vectors is not None
    (rows,) = data.vectors.chunks()
    means = [rows[data.labels == label].mean(axis=0) for label in range(4)]
    spread = [rows[data.labels == label].std(axis=0).mean() for label in range(4)]
    assert max(spread) < 0.4 < abs(means[0] - means[1]).mean()


def test_models_are_those_of_the_architecture(local_hub: LocalHub) -> None:
    for name, architecture in ARCHITECTURES.items():
        assert local_hub.hub_snapshot(name).samefile(checkpoint(architecture))
    assert resolve_encoder("openai-community/gpt2").folder == checkpoint("gpt2")
