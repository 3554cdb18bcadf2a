from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import encoders
from benchmarks.datasets import LabeledTexts
from benchmarks.encoders import MINILM_SHA256, encode_dataset, missing_texts, resolve_encoder
from benchmarks.suggestions import SuiteError


def make_texts(number: int) -> LabeledTexts:
    texts = tuple(f"a short text about {topic}" for topic in ("ships", "music", "rain")[:number])
    return LabeledTexts("made", texts, np.zeros(number, dtype=np.int64), ("a",), "", "")


def test_minilm_comes_from_the_package_with_the_hub_s_weights() -> None:
    encoder = resolve_encoder("minilm")
    assert encoder.fingerprint == MINILM_SHA256
    assert (Path(encoder.folder) / "modules.json").is_file()


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(encoders, "_packaged_minilm", lambda: tmp_path)
    with pytest.raises(ValueError, match=rf"{MINILM_SHA256}.*--encoder"):
        resolve_encoder("minilm")


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    first = resolve_encoder(str(tmp_path))
    assert first == resolve_encoder(str(tmp_path))
    (tmp_path / "modules.json").write_text("[ ]")
    assert resolve_encoder(str(tmp_path)).fingerprint != first.fingerprint


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="without model files"):
        resolve_encoder(str(tmp_path))


def test_without_the_hub_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(name: str, **options: object) -> str:
        raise OSError("the hub is out of reach")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(SuiteError, match=r"out of reach.*small-text-ext\[offline\]"):
        resolve_encoder("nobody/nothing")


@pytest.mark.usefixtures("shared_cache")
def test_texts_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, data = resolve_encoder("minilm"), make_texts(3)
    assert missing_texts(data, encoder, "float32", "float32") == 3
    vectors = encode_dataset(data, encoder, show_progress=False)
    assert vectors.shape == (3, 384)
    assert missing_texts(data, encoder, "float32", "float32") == 0
    assert missing_texts(make_texts(2), encoder, "float32", "float32") == 2
    assert missing_texts(data, encoder, "bfloat16", "float32") == 3

    def no_second_time(*_: object, **__: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr("small_text_ext.pool.embeddings.PoolEmbeddings.encode", no_second_time)
    again = encode_dataset(data, encoder)
    assert (np.asarray(again) == np.asarray(vectors)).all()
