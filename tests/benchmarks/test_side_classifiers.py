from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_text import SklearnDataset, TextDataset

from benchmarks.classifiers import build_factory, with_model
from benchmarks.results import ClassifierRecord, MethodRecord
from benchmarks.side_classifiers import (
    KeptFactory,
    SideClassifier,
    check_vocabulary,
    fitted_side_model,
    nested_classifier,
    new_side_model,
    reads_texts,
    side_record,
    side_title,
    with_side_models,
    without_text_sides,
)
from small_text_ext.training.seams import CandidateBatch, FitPlan
from small_text_ext.training.side_models import EncoderSideModel, HeadSideModel
from tests.tiny_models import tiny_model, topic_texts

HEAD = ClassifierRecord(id="head", kind="mlp", params={"hidden_size": 4, "num_epochs": 3})
PLAN = FitPlan(torch.arange(8), 3, 4, 1, False, 0)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> ClassifierRecord:
    folder = tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    params = {
        "model": str(folder),
        "num_epochs": 1,
        "validation_set_size": 0.0,
        "lr": 1e-3,
        "precision": "float32",
    }
    return ClassifierRecord(id="encoder", kind="transformer", params=params)


def method(**params: Any) -> MethodRecord:  # noqa: ANN401
    return MethodRecord(id="rho", strategy="BatchSelection", params=params)


def made(record: ClassifierRecord) -> Any:  # noqa: ANN401
    return build_factory(record, 3, seed=1, device="cpu")


def test_a_classifier_travels_as_a_value_and_comes_back(encoder: ClassifierRecord) -> None:
    value = nested_classifier(encoder)
    assert set(value) == {"kind", "params"}, "without a model it is written without one"
    back = side_record(value)
    assert (back.id, back.kind, back.params) == (
        "irreducible_classifier",
        "transformer",
        encoder.params,
    )


@pytest.mark.parametrize("value", ["mlp", {"kind": "mlp", "size": 3}, {"params": {}}, 3])
def test_what_is_no_classifier_is_refused(value: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match=r"proxy_classifier is .* name a classifier of the suite"):
        side_record(value, "proxy_classifier")


def test_the_model_beside_is_fingerprinted_once(
    encoder: ClassifierRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import side_classifiers

    asked: list[str] = []

    def spy(record: ClassifierRecord) -> ClassifierRecord:
        asked.append(record.kind)
        return with_model(record)

    monkeypatch.setattr(side_classifiers, "with_model", spy)
    known: dict[str, dict[str, Any]] = {}
    nested = nested_classifier(encoder)
    for _ in range(2):
        found = with_side_models(method(irreducible_classifier=nested, noise=0.1), known)
    value = found.params["irreducible_classifier"]
    assert asked == ["transformer"]
    assert len(value["model"]["fingerprint"]) == 64
    assert "model" not in value["params"]
    assert found.params["noise"] == 0.1
    assert side_title(value) == f"transformer {encoder.params['model']}"
    plain = method(score="loss")
    assert with_side_models(plain, known) is plain


def test_only_classifiers_on_texts_need_texts(encoder: ClassifierRecord) -> None:
    head, texts = nested_classifier(HEAD), nested_classifier(encoder)
    assert not reads_texts({"irreducible_classifier": head, "score": "loss"})
    assert reads_texts({"irreducible_classifier": head, "proxy_classifier": texts})


def test_a_calibration_on_vectors_leaves_encoders_out(encoder: ClassifierRecord) -> None:
    asked = method(
        irreducible_classifier=nested_classifier(encoder),
        proxy_classifier=nested_classifier(HEAD),
        update_irreducible=True,
        hold_out=0.5,
    )
    left = without_text_sides(asked).params
    assert left == {"proxy_classifier": nested_classifier(HEAD), "hold_out": 0.5}


def test_what_a_factory_made_is_kept() -> None:
    kept = KeptFactory(made(HEAD))
    first, second = kept.new(), kept.new()
    assert kept.made == [first, second]
    assert first is not second


def test_a_new_head_knows_nothing() -> None:
    side = SideClassifier(made(HEAD), None, None, "vectors")  # type: ignore[arg-type]
    proxy = new_side_model(side, 3, seed=0)
    assert isinstance(proxy, HeadSideModel)
    assert proxy.hidden_size == 4
    proxy.begin(PLAN)
    inputs = torch.eye(8)
    batch = CandidateBatch(torch.arange(8), torch.arange(8) % 3, inputs, lambda: inputs, 4, 0)
    assert torch.equal(proxy.logits(batch), torch.zeros(8, 3))


def test_a_new_encoder_has_the_classes_and_the_rate_of_the_classifier(
    encoder: ClassifierRecord,
) -> None:
    side = SideClassifier(made(encoder), None, None, "texts")  # type: ignore[arg-type]
    proxy = new_side_model(side, 3, seed=0)
    assert isinstance(proxy, EncoderSideModel)
    assert (proxy.model.config.num_labels, proxy.lr) == (3, 1e-3)


def test_a_fitted_classifier_goes_on_as_it_predicts(encoder: ClassifierRecord) -> None:
    texts, labels = topic_texts(8, 3), np.arange(8) % 3
    train_set = TextDataset(texts, labels, target_labels=np.arange(3))
    clf = made(encoder).new().fit(train_set)
    side = fitted_side_model(clf, lr=1e-5)
    side.begin(PLAN)
    features = clf._text_tokenizer.encode(texts)
    batch = CandidateBatch(
        torch.arange(8), torch.from_numpy(labels), features, lambda: torch.zeros(8, 3), 4, 0
    )
    assert side.lr == 1e-5
    np.testing.assert_allclose(
        side.logits(batch).softmax(dim=1).numpy(), clf.predict_proba(train_set), atol=1e-5
    )


def test_a_fitted_head_goes_on_at_a_hundredth_of_the_rate_of_a_new_one() -> None:
    x = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    clf = made(HEAD).new().fit(SklearnDataset(x, np.arange(30) % 3, target_labels=np.arange(3)))
    side = fitted_side_model(clf, lr=123.0)
    assert isinstance(side, HeadSideModel)
    assert side.lr == pytest.approx(HeadSideModel().lr / 100)


def test_another_vocabulary_is_refused(encoder: ClassifierRecord, tmp_path: Path) -> None:
    check_vocabulary(made(encoder).new(), made(encoder).new())
    folder = tiny_model(tmp_path / "other", texts=["quite other words"])
    other = ClassifierRecord(id="o", kind="transformer", params={"model": str(folder)})
    with pytest.raises(ValueError, match="have other vocabularies"):
        check_vocabulary(made(encoder).new(), made(other).new())
