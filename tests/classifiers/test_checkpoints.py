"""Folders that are there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from small_text_ext import TransformerArguments, TransformerClassification
from small_text_ext.classifiers import checkpoints
from tests.classifiers import texts
from tests.tiny_models import checkpoint


@pytest.fixture(scope="module")
def fitted() -> TransformerClassification:
    return texts.classifier(num_epochs=1, max_length=40, warmup=0.25).fit(texts.single(12))


def test_arguments_come_back(fitted: TransformerClassification, tmp_path: Path) -> None:
    fitted.save(tmp_path / "clf")
    loaded = TransformerClassification.load(tmp_path / "clf", num_epochs=7)
    assert loaded.num_epochs == 7
    assert loaded.warmup == 0.25
    assert loaded.model_args == fitted.model_args
    assert loaded._text_tokenizer.max_length == 40
    loaded.fit(texts.single(12))


def test_a_save_that_fails_leaves_nothing(
    fitted: TransformerClassification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        raise OSError("disk full")

    monkeypatch.setattr(checkpoints, "write_json", broken)
    with pytest.raises(OSError, match="disk full"):
        fitted.save(tmp_path / "clf")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(
    fitted: TransformerClassification, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="pass another folder"):
        fitted.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_is_no_json_is_named_before_anything_is_written(tmp_path: Path) -> None:
    arguments = TransformerArguments(checkpoint("bert"))
    clf = TransformerClassification(
        arguments, 3, num_epochs=1, training_arguments={"adam_beta1": 1j}
    )
    clf.model, clf._text_tokenizer = object(), object()
    with pytest.raises(TypeError, match="training_arguments"):
        clf.save(tmp_path / "clf")
    assert list(tmp_path.iterdir()) == []


def test_folders_of_others_are_refused(fitted: TransformerClassification, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="passed as model_args"):
        TransformerClassification.load(checkpoint("bert"))
    fitted.save(tmp_path / "clf")
    path = tmp_path / "clf" / "classifier.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        TransformerClassification.load(tmp_path / "clf")
