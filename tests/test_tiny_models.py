from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from tests.contract.states import random_states
from tests.tiny_models import ARCHITECTURES, STAND_INS_ONLY, TOPICS, tiny_model, topic_texts

ALL = (*ARCHITECTURES, *STAND_INS_ONLY)

SHORT, LONG = "the goal was new", " ".join(topic_texts(20, num_topics=4))

SPECIAL = {
    "bert": "[CLS] goal [SEP] chip [SEP]",
    "albert": "[CLS] ▁goal [SEP] ▁chip [SEP]",
    "deberta-v2": "[CLS] ▁goal [SEP] ▁chip [SEP]",
    "roberta": "<s> goal </s> </s> chip </s>",
    "electra": "[CLS] goal [SEP] chip [SEP]",
    "distilbert": "[CLS] goal [SEP] chip [SEP]",
    "gpt2": "goal chip",
    "t5": "▁goal </s> ▁chip </s>",
    "longformer": "<s> goal </s> </s> chip </s>",
    "bigbird": "[CLS] ▁goal [SEP] ▁chip [SEP]",
    "bart": "<s> goal </s> </s> chip </s>",
    "mpnet": "<s> goal </s> </s> chip </s>",
}


def classifier(folder: Path) -> Any:  # noqa: ANN401
    config = AutoConfig.from_pretrained(folder)
    # No published decoder names a token to pad with: whoever pads must choose one.
    if config.pad_token_id is None:
        config.pad_token_id = config.eos_token_id
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_pretrained(folder, config=config).eval()


@pytest.mark.parametrize("architecture", ALL)
def test_padding_changes_no_logits_but_words_do(architecture: str, tmp_path: Path) -> None:
    folder = tiny_model(tmp_path, architecture, num_labels=3)
    model, tokenizer = classifier(folder), AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    with torch.inference_mode():
        alone = model(**tokenizer(SHORT, return_tensors="pt")).logits
        other = model(**tokenizer("the bank was new", return_tensors="pt")).logits
        batch = model(**tokenizer([SHORT, LONG], padding=True, return_tensors="pt")).logits
    assert batch.shape == (2, 3)
    torch.testing.assert_close(batch[:1], alone, atol=1e-5, rtol=1e-5)
    assert (alone - other).abs().max() > 0.01
    assert (alone - batch[1:]).abs().max() > 0.01


@pytest.mark.parametrize("architecture", ALL)
def test_checkpoints_are_laid_out_as_the_hubs(architecture: str, tmp_path: Path) -> None:
    """Without ``num_labels`` the encoder alone is saved, and a classifier's head is new."""
    folder = tiny_model(tmp_path, architecture)
    _, loading = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    _, loading = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=5, output_loading_info=True
    )
    assert 0 < len(loading["missing_keys"]) <= 4
    assert list(folder.glob("*.safetensors"))
    assert (folder / "tokenizer.json").exists()


@pytest.mark.parametrize("architecture", ALL)
def test_tokenizers_have_the_special_tokens_of_their_architecture(
    architecture: str, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model(tmp_path, architecture))
    assert tokenizer.is_fast
    pair = tokenizer("goal", "chip")
    assert tokenizer.convert_ids_to_tokens(pair["input_ids"]) == SPECIAL[architecture].split()
    if architecture in ("bert", "electra", "deberta-v2"):
        assert pair["token_type_ids"] == [0, 0, 0, 1, 1]
    assert (tokenizer.pad_token is None) == (architecture == "gpt2")
    assert (tokenizer.model_max_length > 10_000) == (architecture == "deberta-v2")
    assert 80 < len(tokenizer) < 800
    words = [word for topic in TOPICS for word in topic]
    assert len(tokenizer.tokenize(" " + " ".join(words))) == len(words)


def test_weights_follow_from_the_seed_and_the_global_states_are_left_alone(
    tmp_path: Path,
) -> None:
    before = random_states()
    folders = [tiny_model(tmp_path / str(n), seed=seed) for n, seed in enumerate((1, 1, 2))]
    assert random_states() == before
    first, second, third = ((f / "model.safetensors").read_bytes() for f in folders)
    assert first == second != third


def test_words_of_given_texts_are_tokens(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model(tmp_path, texts=["zebra stripes"]))
    assert tokenizer.tokenize("zebra stripes goal") == [
        "zebra",
        "stripes",
        "g",
        "##o",
        "##a",
        "##l",
    ]


def test_texts_are_about_their_topic() -> None:
    texts = topic_texts(60, num_topics=4, length=10)
    for number, text in enumerate(texts):
        topical = [[word in topic for word in text.split()].count(True) for topic in TOPICS]
        assert int(np.argmax(topical)) == number % 4
        assert sum(topical) == max(topical) >= 1
    assert len(set(texts)) == 60
    assert texts == topic_texts(60, num_topics=4, length=10)
    assert texts != topic_texts(60, num_topics=4, length=10, seed=1)
    lengths = [len(text.split()) for text in texts]
    assert (min(lengths), max(lengths)) == (5, 15)
