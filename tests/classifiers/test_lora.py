"""Low-rank adapters in encoders of ten architectures."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from small_text_ext import TransformerArguments, TransformerClassification
from small_text_ext.classifiers.lora import (
    adapters_of,
    add_adapters,
    merged,
    read_adapters,
    resolve_lora,
    write_adapters,
)
from small_text_ext.classifiers.pretrained import Pretrained, load_pretrained
from small_text_ext.classifiers.transformer import LoRATransformerClassificationFactory
from tests.classifiers import texts
from tests.classifiers.texts import NO_DROPOUT, all_proba, classifier, history_of
from tests.tiny_models import ARCHITECTURES, checkpoint, tiny_model

peft = pytest.importorskip("peft", reason="needs the extra 'lora'")


def adapted(architecture: str, **config: Any) -> Pretrained:  # noqa: ANN401
    """Return an encoder whose adapters are not zero, as they are before a fit."""
    pretrained = load_pretrained(TransformerArguments(checkpoint(architecture)), 3, False, seed=0)
    resolved = resolve_lora(config)
    assert resolved is not None
    add_adapters(pretrained.model, resolved, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in pretrained.model.named_parameters():
            if "lora_B" in name:
                value.copy_(torch.randn(value.shape, generator=generator))
    return pretrained


def logits_of(pretrained: Pretrained) -> torch.Tensor:
    tokens = pretrained.tokenizer.tokenizer(
        ["goal striker the of", "market a"], padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        return torch.as_tensor(pretrained.model(**tokens).logits)


def lora(architecture: str = "roberta", **options: Any) -> TransformerClassification:  # noqa: ANN401
    return classifier(architecture, **{"peft_config": {}, "lr": 2e-2, "num_epochs": 8, **options})


@pytest.fixture(scope="module")
def fitted() -> TransformerClassification:
    return lora().fit(texts.single(72))


# What is adapted


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_adapters_the_head_and_its_pooling_layer_are_trained(architecture: str) -> None:
    model = adapted(architecture).model
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    adapters = {name for name in trained if "lora_" in name}
    whole = {name.split(".")[0] for name in trained - adapters if "pooler" not in name}
    assert adapters
    assert whole
    assert model.base_model_prefix not in whole
    # Every layer of the encoder has some, which one matrix or two of each are adapted by.
    layers = {name.split(".lora_")[0] for name in adapters}
    assert len(layers) >= (1 if architecture == "albert" else 2)
    frozen = sum(value.numel() for value in model.parameters() if not value.requires_grad)
    assert frozen > 2 * sum(
        value.numel() for name, value in model.named_parameters() if name in adapters
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_merged_adapters_compute_the_same_and_leave_no_trace(architecture: str) -> None:
    pretrained = adapted(architecture)
    plain = load_pretrained(TransformerArguments(checkpoint(architecture)), 3, False, seed=0)
    before = {name: value.clone() for name, value in pretrained.model.state_dict().items()}
    trained = {name for name, value in pretrained.model.named_parameters() if value.requires_grad}
    beside = logits_of(pretrained)
    with merged(pretrained.model):
        within = logits_of(pretrained)
        layers = [
            m for m in pretrained.model.modules() if isinstance(m, peft.tuners.lora.LoraLayer)
        ]
        assert all(layer.merged for layer in layers)
        # Autocast keeps its copies of these alone from batch to batch.
        assert all(value.requires_grad for value in pretrained.model.parameters())
    torch.testing.assert_close(within, beside, atol=1e-4, rtol=1e-4)
    assert (beside - logits_of(plain)).abs().max() > 1e-3
    assert trained == {n for n, v in pretrained.model.named_parameters() if v.requires_grad}
    after = pretrained.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    torch.testing.assert_close(logits_of(pretrained), beside, atol=0, rtol=0)


def test_what_fails_while_merged_leaves_the_encoder_as_it_was() -> None:
    pretrained = adapted("bert")
    before = logits_of(pretrained)
    with pytest.raises(RuntimeError, match="on purpose"), merged(pretrained.model):
        raise RuntimeError("on purpose")
    torch.testing.assert_close(logits_of(pretrained), before, atol=0, rtol=0)


def test_a_model_without_adapters_is_left_alone() -> None:
    model = load_pretrained(TransformerArguments(checkpoint()), 3, False, seed=0).model
    assert adapters_of(model) is None
    with merged(model):
        assert all(value.requires_grad for value in model.parameters())


def test_adapters_are_drawn_from_the_seed() -> None:
    def drawn(seed: int) -> torch.Tensor:
        model = load_pretrained(TransformerArguments(checkpoint()), 3, False, seed=0).model
        config = resolve_lora({})
        assert config is not None
        state = torch.random.get_rng_state()
        add_adapters(model, config, seed)
        assert torch.equal(torch.random.get_rng_state(), state)
        return torch.cat([v.flatten() for n, v in model.named_parameters() if "lora_A" in n])

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_modules_may_be_named() -> None:
    model = adapted("bert", target_modules=["key"], r=2).model
    names = [name for name, _ in model.named_parameters() if "lora_A" in name]
    assert len(names) == 2
    assert all(".key." in name for name in names)


def test_an_encoder_without_known_projections_asks_for_names() -> None:
    config = resolve_lora({})
    assert config is not None
    with pytest.raises(ValueError, match=r"target_modules.*'0'"):
        add_adapters(torch.nn.Sequential(torch.nn.Linear(2, 2)), config, seed=0)


# Configurations


def test_an_empty_mapping_is_what_was_published() -> None:
    config = resolve_lora({})
    assert config is not None
    assert (config.r, config.lora_alpha, config.lora_dropout) == (8, 16, 0.0)
    given = peft.LoraConfig(r=4)
    resolved = resolve_lora(given)
    assert resolved == given
    assert resolved is not given
    assert resolve_lora(None) is None


@pytest.mark.parametrize(
    ("config", "kind", "message"),
    [
        ({"rank": 8}, TypeError, "'rank'"),
        ("lora", TypeError, "'lora'.*mapping"),
        ({"modules_to_save": ["classifier"]}, ValueError, "modules_to_save"),
        ({"init_lora_weights": "pissa"}, ValueError, "pissa"),
        ({"r": 0}, ValueError, "r"),
    ],
)
def test_refused_configurations(config: Any, kind: type[Exception], message: str) -> None:  # noqa: ANN401
    with pytest.raises(kind, match=message):
        lora(peft_config=config)


def test_without_peft_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"small-text-ext\[lora\]"):
        lora()
    assert classifier().peft_config is None


def test_the_factory_has_the_published_settings() -> None:
    clf = LoRATransformerClassificationFactory(checkpoint(), 3, {"lr": 1e-3, "seed": 4}).new()
    assert (clf.lr, clf.warmup, clf.weight_decay, clf.peft_config) == (1e-3, 0.06, 0.1, {})
    assert LoRATransformerClassificationFactory(checkpoint(), 3).new().lr == 5e-4


# Fits


def test_it_learns_and_the_encoder_stays(fitted: TransformerClassification) -> None:
    test = texts.single(60, seed=9)
    assert (fitted.predict(test) == test.y).mean() > 0.8
    plain = load_pretrained(fitted.model_args, 3, False, seed=0).model
    of_plain = dict(plain.named_parameters())
    frozen = {n: v for n, v in fitted.model.named_parameters() if not v.requires_grad}
    assert len(frozen) > 10
    for name, value in frozen.items():
        assert torch.equal(value, of_plain[name.replace(".base_layer", "")]), name
    assert any(v.abs().max() > 0 for n, v in fitted.model.named_parameters() if "lora_B" in n)


def test_same_seed_same_parameters(fitted: TransformerClassification) -> None:
    again, other = lora().fit(texts.single(72)), lora(seed=2).fit(texts.single(72))
    test = texts.single(20, seed=3)
    np.testing.assert_array_equal(again.predict_proba(test), fitted.predict_proba(test))
    assert np.abs(other.predict_proba(test) - fitted.predict_proba(test)).max() > 1e-4


def test_another_fit_goes_on_from_the_adapters(fitted: TransformerClassification) -> None:
    first = history_of(fitted).train_losses
    again = pickle.loads(pickle.dumps(fitted))
    again.num_epochs = 1
    again.fit(texts.single(72))
    assert history_of(again).train_losses[0] < first[0] / 2


def test_several_labels_or_none() -> None:
    train = texts.multi(60)
    clf = lora("bert", multi_label=True).fit(train)
    assert ((all_proba(clf, train) > 0.5) == train.y.toarray()).mean() > 0.8


def test_gradient_checkpointing_trains_adapters() -> None:
    options = {"training_arguments": {"gradient_checkpointing": True}, "dropout": False}
    clf, plain = (
        lora("bert", num_epochs=1, **choice).fit(texts.single(24))
        for choice in (options, {"dropout": False})
    )
    others = dict(plain.model.named_parameters())
    for name, value in clf.model.named_parameters():
        torch.testing.assert_close(value, others[name], atol=1e-5, rtol=1e-4)


def test_samples_have_the_dropout_of_the_adapters() -> None:
    clf = classifier(
        "bert", dropout=False, peft_config={"lora_dropout": 0.5}, lr=2e-2, num_epochs=4
    ).fit(texts.single(36))
    assert clf.model_args.config_kwargs == NO_DROPOUT
    samples = clf.predict_proba(texts.single(6, seed=4), dropout_sampling=3)
    assert np.abs(samples[:, 0] - samples[:, 1]).max() > 1e-4


def test_bfloat16_fits_too() -> None:
    clf = lora(precision="bfloat16").fit(texts.single(48))
    test = texts.single(30, seed=9)
    assert (clf.predict(test) == test.y).mean() > 0.7


# Files


@pytest.mark.parametrize("library", [pickle, dill], ids=["pickle", "dill"])
def test_a_pickle_predicts_the_same(library: Any, fitted: TransformerClassification) -> None:  # noqa: ANN401
    test = texts.single(20, seed=3)
    again = library.loads(library.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(test), fitted.predict_proba(test))


def test_a_saved_classifier_is_small_and_predicts_the_same(
    fitted: TransformerClassification, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "clf")
    names = {path.name for path in (tmp_path / "clf").iterdir()}
    assert "adapter_model.safetensors" in names
    assert "model.safetensors" not in names
    written = (tmp_path / "clf" / "adapter_model.safetensors").stat().st_size
    assert written < 4 * sum(v.numel() for v in fitted.model.parameters()) / 3
    loaded = TransformerClassification.load(tmp_path / "clf", num_epochs=1)
    test, more = texts.single(20, seed=3), texts.single(24, seed=6)
    np.testing.assert_array_equal(loaded.predict_proba(test), fitted.predict_proba(test))
    assert (loaded.num_epochs, loaded.lr, loaded.peft_config.r) == (1, fitted.lr, 8)
    twin = pickle.loads(pickle.dumps(fitted))
    twin.num_epochs = 1
    np.testing.assert_array_equal(
        loaded.fit(more).predict_proba(test), twin.fit(more).predict_proba(test)
    )
    loaded.save(tmp_path / "again")
    again = TransformerClassification.load(tmp_path / "again")
    np.testing.assert_array_equal(again.predict_proba(test), loaded.predict_proba(test))


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        *((name, {}) for name in ("roberta", "bert", "gpt2", "t5")),
        *(
            (name, {"target_modules": modules})
            for name in ("roberta", "bert")
            for modules in (["query", "value", "dense"], "all-linear")
        ),
        ("bert", {"target_modules": ["query", "dense"], "exclude_modules": r".*\.0\..*"}),
    ],
)
def test_peft_reads_what_is_saved(
    architecture: str, config: dict[str, Any], tmp_path: Path
) -> None:
    pretrained = adapted(architecture, **config)
    beside = [name for name, _ in pretrained.model.named_parameters() if "lora_" in name]
    assert beside
    # What is trained whole has no adapter beside it.
    assert not any(part in name for name in beside for part in ("pooler", "classifier"))
    write_adapters(tmp_path, pretrained.model)
    base = AutoModelForSequenceClassification.from_pretrained(
        checkpoint(architecture), config=pretrained.model.config
    )
    found = peft.PeftModel.from_pretrained(base, str(tmp_path)).eval()
    torch.testing.assert_close(
        logits_of(Pretrained(found, pretrained.tokenizer)),
        logits_of(pretrained),
        atol=1e-5,
        rtol=1e-5,
    )


def test_another_encoder_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "encoder"
    tiny_model(home, "roberta")
    clf = lora(num_epochs=1)
    clf.model_args = TransformerArguments(str(home))
    clf.fit(texts.single(24)).save(tmp_path / "clf")
    shutil.rmtree(home)
    with pytest.raises(OSError, match="could not be loaded"):
        TransformerClassification.load(tmp_path / "clf")
    tiny_model(home, "roberta", seed=1)
    with pytest.raises(ValueError, match="not those that the adapters"):
        TransformerClassification.load(tmp_path / "clf")
    elsewhere = tiny_model(tmp_path / "elsewhere", "roberta")
    loaded = TransformerClassification.load(
        tmp_path / "clf", model_args=TransformerArguments(str(elsewhere))
    )
    np.testing.assert_array_equal(
        loaded.predict_proba(texts.single(9)), clf.predict_proba(texts.single(9))
    )


def test_a_missing_parameter_is_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    fingerprint = write_adapters(tmp_path, adapted("bert").model)
    path = tmp_path / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop("base_model.model.classifier.bias")
    save_file(tensors, path)
    model = load_pretrained(TransformerArguments(checkpoint("bert")), 3, False, seed=0).model
    with pytest.raises(ValueError, match=r"classifier\.bias"):
        read_adapters(tmp_path, model, fingerprint)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["task_type"] == "SEQ_CLS"
