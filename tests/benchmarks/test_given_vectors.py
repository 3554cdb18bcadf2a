from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from benchmarks.datasets import LabeledTexts
from benchmarks.encoders import (
    ResolvedEncoder,
    embeddings_folder,
    encode_dataset,
    encoder_of,
    missing_texts,
)
from benchmarks.given_vectors import GivenVectors
from benchmarks.suggestions import SuiteError

ROWS = [[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]]
ENCODER = ResolvedEncoder("another", "/nowhere", "f" * 64)


def make_vectors(rows: list[list[float]], positions: tuple[int, ...] = (0, 1, 2)) -> GivenVectors:
    table = Dataset.from_dict({"vector": rows})
    return GivenVectors("published", table, "vector", np.array(positions))


def make_data(vectors: GivenVectors | None) -> LabeledTexts:
    labels = np.zeros(3, dtype=np.int64)
    return LabeledTexts("made", ("a", "b", "c"), labels, ("x",), "", "", vectors=vectors)


def test_they_are_read_in_the_order_of_the_texts() -> None:
    vectors = make_vectors(ROWS, (2, 0, 1))
    assert len(vectors) == 3
    assert vectors.width == 2
    assert next(vectors.chunks()).tolist() == [ROWS[2], ROWS[0], ROWS[1]]
    assert next(vectors.rows(np.array([2, 0])).chunks()).tolist() == [ROWS[1], ROWS[2]]


def test_the_fingerprint_sees_values_order_and_name() -> None:
    first = make_vectors(ROWS)
    others = [
        make_vectors([[3.0, 4.1], *ROWS[1:]]),
        make_vectors(ROWS, (1, 0, 2)),
        make_vectors(ROWS, (0, 1)),
        GivenVectors("renamed", first.table, "vector", first.positions),
    ]
    assert make_vectors(ROWS).fingerprint == first.fingerprint
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 5


@pytest.mark.parametrize(
    "rows", [[[1.0, 2.0], [1.0], [3.0, 4.0]], [[1.0, 2.0], None, [3.0, 4.0]]], ids=["ragged", "gap"]
)
def test_rows_of_several_widths_are_refused(rows: list[list[float]]) -> None:
    with pytest.raises(SuiteError, match=r"embeddings 'published': column 'vector' holds rows of"):
        next(make_vectors(rows).chunks())


def test_numbers_are_no_vectors() -> None:
    table = Dataset.from_dict({"vector": [1.0, 2.0]})
    with pytest.raises(SuiteError, match="holds rows of shape"):
        next(GivenVectors("published", table, "vector", np.arange(2)).chunks())


def test_they_take_the_place_of_an_encoder(shared_cache: Path) -> None:
    data = make_data(make_vectors(ROWS))
    assert encoder_of(data, ENCODER).id == "published"
    assert missing_texts(data, ENCODER, "float32", "float32") == 0
    vectors = encode_dataset(data, ENCODER)
    expected = [[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]]
    assert np.asarray(vectors) == pytest.approx(np.array(expected))
    folder = embeddings_folder(data, ENCODER, "float32", "float32")
    assert folder.is_relative_to(shared_cache)
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    encode_dataset(data, ENCODER)
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    plain = make_data(None)
    assert encoder_of(plain, ENCODER) is ENCODER
    with pytest.raises(ValueError, match="brings no vectors"):
        encoder_of(plain)


def test_there_is_one_for_each_text() -> None:
    with pytest.raises(ValueError, match="3 texts, but 2 vectors"):
        make_data(make_vectors(ROWS, (0, 1)))
