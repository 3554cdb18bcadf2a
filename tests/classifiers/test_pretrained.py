"""What is loaded, how it pads, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_text import TextDataset
from transformers import AutoConfig, AutoModel, AutoTokenizer

from small_text_ext import TransformerArguments, TransformerClassification
from small_text_ext.classifiers.pretrained import load_encoder, load_pretrained, own_pooling
from tests.classifiers import texts
from tests.tiny_models import checkpoint, sentence_model, tiny_model


def alone(clf: TransformerClassification, text: str) -> Any:  # noqa: ANN401
    """Return the probabilities of one text by itself."""
    data_set = TextDataset([text], np.zeros(1, dtype=int), target_labels=np.arange(3))
    return clf.predict_proba(data_set)[0]


def test_a_tokenizer_that_pads_on_the_left_does_not_shift_positions() -> None:
    arguments = TransformerArguments(checkpoint("gpt2"), tokenizer_kwargs={"padding_side": "left"})
    clf = TransformerClassification(
        arguments, 3, num_epochs=1, precision="float32", validation_set_size=0.0, seed=1
    ).fit(texts.single(12))
    batch = ["goal", "market goal coach " * 8]
    data_set = TextDataset(batch, np.zeros(2, dtype=int), target_labels=np.arange(3))
    np.testing.assert_allclose(clf.predict_proba(data_set)[0], alone(clf, batch[0]), atol=1e-5)


def test_bigbird_does_not_remember_what_it_saw(tmp_path: Path) -> None:
    long, short = "goal coach market " * 300, "goal coach"
    arguments = TransformerArguments(str(tiny_model(tmp_path, "bigbird")), max_length=1000)
    clf = TransformerClassification(
        arguments, 3, num_epochs=1, precision="float32", validation_set_size=0.0, seed=1
    ).fit(texts.single(12))
    before = alone(clf, long)
    alone(clf, short)
    np.testing.assert_allclose(alone(clf, long), before, atol=1e-6)


def test_the_longest_text_by_architecture() -> None:
    limits = {
        name: load_pretrained(TransformerArguments(checkpoint(name)), 2, False, 0).tokenizer
        for name in ("bert", "roberta", "deberta-v2", "t5", "gpt2")
    }
    assert {name: part.max_length for name, part in limits.items()} == dict.fromkeys(limits, 512)
    assert limits["deberta-v2"].max_positions is None
    assert limits["t5"].max_positions is None
    assert limits["roberta"].max_positions == 512
    longer = TransformerArguments(checkpoint("t5"), max_length=2000)
    assert load_pretrained(longer, 2, False, 0).tokenizer.max_length == 2000
    with pytest.raises(ValueError, match="has positions for 512"):
        load_pretrained(TransformerArguments(checkpoint("bert"), max_length=513), 2, False, 0)


def test_a_head_of_other_classes_is_replaced() -> None:
    arguments = TransformerArguments(checkpoint("bert", 3))
    kept = load_pretrained(arguments, 3, False, seed=1).model.classifier.weight
    again = load_pretrained(arguments, 3, False, seed=2).model.classifier.weight
    assert kept.equal(again)
    replaced = load_pretrained(arguments, 5, False, seed=1).model
    assert tuple(replaced.classifier.weight.shape) == (5, kept.shape[1])


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    """Its weights would all be new, and the fit would go on without a word."""
    tiny_model(tmp_path / "bert", "bert")
    config = AutoConfig.from_pretrained(checkpoint("distilbert"))
    model = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(tmp_path / "distilbert")
    arguments = TransformerArguments(
        str(tmp_path / "distilbert"),
        tokenizer=str(tmp_path / "bert"),
        config=str(tmp_path / "bert"),
    )
    with pytest.raises(ValueError, match="weights of the encoder"):
        load_pretrained(arguments, 2, False, 0)


def test_folders_may_be_paths(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path, "bert")
    assert TransformerArguments(folder).model == str(folder)  # type: ignore[arg-type]
    assert TransformerClassification(folder, 2).model_args.model == str(folder)
    assert len(AutoTokenizer.from_pretrained(folder)) > 0


@pytest.mark.parametrize("architecture", ["bert", "albert", "bigbird", "electra"])
def test_the_second_text_of_a_pair_is_of_the_second_segment(architecture: str) -> None:
    tokenizer = load_pretrained(
        TransformerArguments(checkpoint(architecture)), 2, False, 0
    ).tokenizer
    ((features),) = tokenizer.encode([("goal", "market coach")])
    types = features["token_type_ids"].tolist()
    assert types == sorted(types)
    assert set(types) == {0, 1}


def test_lower_precisions_see_few_lengths() -> None:
    tokenizer = load_pretrained(TransformerArguments(checkpoint("bert")), 2, False, 0).tokenizer
    shapes = {
        tuple(tokenizer.pad(tokenizer.encode(["goal " * n]), torch.bfloat16)["input_ids"].shape)
        for n in range(1, 23)
    }
    assert shapes == {(1, 8), (1, 16), (1, 24)}
    assert tokenizer.padded_length(510, torch.bfloat16) == 512
    assert tokenizer.padded_length(13) == 13


def test_an_encoder_has_no_head_and_no_decoder() -> None:
    loaded = {
        name: load_encoder(TransformerArguments(checkpoint(name)), 0) for name in ("bert", "t5")
    }
    assert type(loaded["bert"].model).__name__ == "BertModel"
    assert type(loaded["t5"].model).__name__ == "T5EncoderModel"
    assert not loaded["bert"].model.training
    assert loaded["bert"].tokenizer.max_length == 512


def test_an_encoder_is_that_of_a_classifiers_checkpoint() -> None:
    bare = load_encoder(TransformerArguments(checkpoint("bert", 3)), 0).model
    headed = load_pretrained(TransformerArguments(checkpoint("bert", 3)), 3, False, 0).model
    for name, values in bare.state_dict().items():
        assert torch.equal(values, headed.bert.state_dict()[name]), name


def test_an_encoder_from_weights_of_another_architecture() -> None:
    other = TransformerArguments(checkpoint("bert"), config=checkpoint("roberta"))
    with pytest.raises(ValueError, match="of the encoder that its configuration describes"):
        load_encoder(other, 0)


@pytest.mark.parametrize(
    ("pooling", "modules", "message"),
    [
        ({"pooling_mode": "max"}, [], "by max:"),
        ({"pooling_mode": ["mean", "cls"]}, [], "by mean and cls:"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, [], "by mean_sqrt_len:"),
        ({"pooling_mode": "mean"}, ["Dense", "Normalize"], "by mean and Dense and Normalize:"),
        (None, [], "by nothing:"),
    ],
)
def test_other_poolings_are_refused(
    pooling: dict[str, Any] | None, modules: list[str], message: str, tmp_path: Path
) -> None:
    arguments = described(tmp_path, pooling, *modules)
    with pytest.raises(ValueError, match=message):
        own_pooling(arguments)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": False}, "mean"),
    ],
)
def test_poolings_of_old_and_new_models(
    pooling: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    assert own_pooling(described(tmp_path, pooling, "Normalize")) == expected
    assert own_pooling(TransformerArguments(checkpoint())) == "mean"


def described(folder: Path, pooling: dict[str, Any] | None, *modules: str) -> TransformerArguments:
    """Write what a sentence-transformers model says of itself."""
    names = ["Transformer", *([] if pooling is None else ["Pooling"]), *modules]
    paths = ["" if name == "Transformer" else f"{place}_{name}" for place, name in enumerate(names)]
    steps = [
        {"path": path, "type": f"sentence_transformers.models.{name}"}
        for name, path in zip(names, paths, strict=True)
    ]
    (folder / "modules.json").write_text(json.dumps(steps))
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return TransformerArguments(str(folder))


def test_a_transformer_in_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = Path(sentence_model(tmp_path / "model", max_length=8))
    inner = folder / "0_Transformer"
    inner.mkdir()
    for path in list(folder.iterdir()):
        if path.is_file() and path.name not in ("modules.json", "README.md"):
            path.rename(inner / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    pretrained = load_encoder(TransformerArguments(str(folder)), seed=0)
    assert pretrained.tokenizer.max_length == 8
    whole = load_encoder(TransformerArguments(checkpoint()), seed=0)
    assert whole.tokenizer.max_length == 512
    for name, values in whole.model.state_dict().items():
        torch.testing.assert_close(pretrained.model.state_dict()[name], values)
