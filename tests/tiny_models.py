"""Tiny random checkpoints of twelve architectures, as the hub's are laid out, and texts for them.

Nothing is trained and nothing is downloaded: vocabularies are made of the given texts, whole words
first and characters for the rest, and weights are drawn from a seed of their own. Special tokens,
segment ids, and what a published tokenizer lacks (GPT-2's pad token, DeBERTa's length limit) are
those of the published checkpoints, because it is there that architectures differ.
"""

from __future__ import annotations

import atexit
import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AlbertConfig,
    AlbertTokenizer,
    AutoModel,
    AutoModelForSequenceClassification,
    BartConfig,
    BartTokenizer,
    BertConfig,
    BertTokenizer,
    BigBirdConfig,
    BigBirdTokenizer,
    DebertaV2Config,
    DebertaV2Tokenizer,
    DistilBertConfig,
    DistilBertTokenizer,
    ElectraConfig,
    GPT2Config,
    GPT2Tokenizer,
    LongformerConfig,
    MPNetConfig,
    MPNetTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    RobertaConfig,
    RobertaTokenizer,
    T5Config,
    T5Tokenizer,
)

from small_text_ext._random import preserved_global_state

TOPICS: tuple[tuple[str, ...], ...] = (
    ("goal", "striker", "league", "coach", "penalty"),
    ("profit", "market", "inflation", "merger", "dividend"),
    ("senate", "ballot", "treaty", "campaign", "veto"),
    ("laptop", "software", "browser", "chip", "keyboard"),
)
FILLERS = ("the", "a", "of", "to", "in", "and", "was", "on", "for", "with", "by", "after", "new")
HIDDEN_SIZE = 32
# Above the published 0.02: in so narrow a model the logits of all texts would be the same.
INITIALIZER_RANGE = 0.15


def topic_texts(num_texts: int, num_topics: int = 3, seed: int = 0, length: int = 6) -> list[str]:
    """Return texts of which number i is about topic ``i % num_topics``.

    Parameters
    ----------
    num_texts : int
        How many.
    num_topics : int, default=3
        Of how many topics, at most four.
    seed : int, default=0
        Other seeds give other texts.
    length : int, default=6
        Mean number of words; a text has between half and one and a half times as many, half of
        them words of its topic.

    Returns
    -------
    list of str
        The texts.
    """
    generator = np.random.default_rng([seed, 5])
    texts = []
    for number in range(num_texts):
        size = int(generator.integers(max(1, length // 2), length + length // 2 + 1))
        num_topical = (size + 1) // 2
        words = [str(w) for w in generator.choice(TOPICS[number % num_topics], num_topical)]
        words += [str(w) for w in generator.choice(FILLERS, size - num_topical)]
        texts.append(" ".join(generator.permutation(words)))
    return texts


TEXTS: tuple[str, ...] = tuple(" ".join((*topic, *FILLERS)) + " ." for topic in TOPICS)


@dataclass(frozen=True)
class _Architecture:
    tokenizer: Callable[[Sequence[str]], PreTrainedTokenizerBase]
    config: Callable[..., PretrainedConfig]


def tiny_model(
    folder: Path,
    architecture: str = "bert",
    *,
    num_labels: int | None = None,
    texts: Iterable[str] = TEXTS,
    seed: int = 0,
) -> Path:
    """Save a checkpoint of two layers and 32 dimensions with its tokenizer.

    Parameters
    ----------
    folder : pathlib.Path
        Where to; made where it is missing.
    architecture : str, default="bert"
        One of ``ARCHITECTURES`` or ``STAND_INS_ONLY``.
    num_labels : int or None, default=None
        None saves the encoder without a classification head, as the hub's pre-trained checkpoints
        are; a number saves a sequence classifier.
    texts : iterable of str, default=TEXTS
        Whose words are one token each; others fall apart into characters.
    seed : int, default=0
        Same seed, same weights; the global random states are left alone.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    made = _ARCHITECTURES[architecture]
    tokenizer = made.tokenizer(_words(texts))
    ids = {
        name: getattr(tokenizer, name)
        for name in ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id")
        if getattr(tokenizer, name, None) is not None
    }
    config = made.config(vocab_size=len(tokenizer), **ids)
    kind: Any = AutoModel
    if num_labels is not None:
        config.num_labels = num_labels
        kind = AutoModelForSequenceClassification
    with preserved_global_state(seed, torch=True):
        model = kind.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _words(texts: Iterable[str]) -> list[str]:
    """Return the distinct words, the frequent ones first, then by the alphabet."""
    counts = Counter(word for text in texts for word in text.lower().split())
    return sorted(counts, key=lambda word: (-counts[word], word))


# Tokenizers

_LETTERS = tuple("abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'-/<>()&\"")


def _word_pieces(words: Sequence[str]) -> dict[str, int]:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *_LETTERS, *(f"##{letter}" for letter in _LETTERS), *words]
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}


def _bert_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerBase:
    """Return BERT's tokenizer, the one of these that transformers 4 makes, too: of a file."""
    pieces = _word_pieces(words)
    if int(transformers.__version__.partition(".")[0]) < 5:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "vocab.txt")
            file.write_text("\n".join(pieces), encoding="utf-8")
            old: Any = transformers  # what this version has is not what is type-checked
            made: PreTrainedTokenizerBase = old.BertTokenizerFast(str(file), model_max_length=512)
            return made
    return BertTokenizer(vocab=pieces, model_max_length=512)


def _distilbert_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerBase:
    return DistilBertTokenizer(vocab=_word_pieces(words), model_max_length=512)


def _byte_pairs(
    words: Sequence[str], special: Sequence[str], last: Sequence[str] = ()
) -> tuple[dict[str, int], Any]:
    """Return a vocabulary and merges that put words together letter by letter.

    Words after a space come first, so that their merges go before those of words at the start.
    """
    merges: dict[tuple[str, str], None] = {}
    for space in ("Ġ", ""):
        for word in words:
            letters = [*space, *word]
            starts = ["".join(letters[:end]) for end in range(1, len(letters))]
            merges.update(dict.fromkeys(zip(starts, letters[1:], strict=True)))
    pieces = [*special, *sorted(ByteLevel.alphabet()), *(a + b for a, b in merges), *last]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    return vocabulary, list(merges)


def _roberta_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerBase:
    special = ("<s>", "<pad>", "</s>", "<unk>")
    vocabulary, merges = _byte_pairs(words, special, last=("<mask>",))
    return RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=512)


def _bart_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerBase:
    special = ("<s>", "<pad>", "</s>", "<unk>")
    vocabulary, merges = _byte_pairs(words, special, last=("<mask>",))
    return BartTokenizer(vocab=vocabulary, merges=merges, model_max_length=1024)


def _mpnet_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerBase:
    """Return BERT's pieces after RoBERTa's special tokens."""
    pieces = ["<s>", "<pad>", "</s>", *_word_pieces(words), "<mask>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return MPNetTokenizer(vocab=vocabulary, model_max_length=512)


def _gpt2_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerBase:
    vocabulary, merges = _byte_pairs(words, (), last=("<|endoftext|>",))
    return GPT2Tokenizer(vocab=vocabulary, merges=merges, model_max_length=1024)


def _unigrams(words: Sequence[str], special: Sequence[str]) -> list[tuple[str, float]]:
    """Return pieces with log probabilities; a letter is so unlikely that whole words win."""
    likely = math.log(1 / (2 * len(words)))
    pieces = {f"▁{word}": likely for word in words}
    pieces.update(dict.fromkeys(["▁", *_LETTERS], likely - 10))
    return [(token, 0.0) for token in special] + list(pieces.items())


def _albert_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerBase:
    special = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
    return AlbertTokenizer(vocab=_unigrams(words, special), model_max_length=512)


def _deberta_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerBase:
    """Return a tokenizer without a limit on the length: DeBERTa-v3's has none."""
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    return DebertaV2Tokenizer(vocab=_unigrams(words, special))


def _big_bird_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerBase:
    special = ("<pad>", "</s>", "<s>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
    return BigBirdTokenizer(vocab=_unigrams(words, special), model_max_length=1024)


def _t5_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerBase:
    special = ("<pad>", "</s>", "<unk>")
    return T5Tokenizer(vocab=_unigrams(words, special), extra_ids=4, model_max_length=512)


# Models


def _bert_shape(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "hidden_size": HIDDEN_SIZE,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 512,
        "initializer_range": INITIALIZER_RANGE,
        **more,
    }


def _bert_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    return BertConfig(**_bert_shape(**more))


def _albert_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    return AlbertConfig(**_bert_shape(embedding_size=16, **more))


def _deberta_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    """Return the shape of version 3: relative positions in buckets, shared between the parts."""
    return DebertaV2Config(
        **_bert_shape(
            type_vocab_size=0,
            relative_attention=True,
            position_buckets=16,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            pos_att_type=["p2c", "c2p"],
            position_biased_input=False,
            **more,
        )
    )


def _roberta_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    """Return a table of 514 positions for 512 tokens: the first two are the padding's."""
    return RobertaConfig(
        **_bert_shape(max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5, **more)
    )


def _bart_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    sizes = {"layers": 2, "attention_heads": 2, "ffn_dim": 64}
    parts = ("encoder", "decoder")
    shape: dict[str, Any] = {f"{p}_{name}": size for p in parts for name, size in sizes.items()}
    more = {"decoder_start_token_id": 2, "forced_eos_token_id": 2, **more}
    return BartConfig(
        d_model=HIDDEN_SIZE,
        max_position_embeddings=1024,
        init_std=INITIALIZER_RANGE,
        **shape,
        **more,
    )


def _mpnet_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    return MPNetConfig(**_bert_shape(max_position_embeddings=514, layer_norm_eps=1e-5, **more))


def _electra_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    return ElectraConfig(**_bert_shape(embedding_size=16, **more))


def _distilbert_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    return DistilBertConfig(
        dim=HIDDEN_SIZE,
        hidden_dim=64,
        n_layers=2,
        n_heads=2,
        initializer_range=INITIALIZER_RANGE,
        **more,
    )


def _gpt2_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    return GPT2Config(
        n_embd=HIDDEN_SIZE,
        n_layer=2,
        n_head=2,
        n_positions=1024,
        initializer_range=INITIALIZER_RANGE,
        **more,
    )


def _t5_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    shape: dict[str, Any] = {"d_model": HIDDEN_SIZE, "d_kv": 16, "d_ff": 64}
    return T5Config(**shape, num_layers=2, num_heads=2, **{"decoder_start_token_id": 0, **more})


def _longformer_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    return LongformerConfig(
        **_bert_shape(
            attention_window=[16, 16],
            max_position_embeddings=514,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            **more,
        )
    )


def _big_bird_config(**more: Any) -> PretrainedConfig:  # noqa: ANN401
    """Return the published attention: sparse where a batch is longer than 704 tokens."""
    return BigBirdConfig(
        **_bert_shape(
            max_position_embeddings=1024,
            attention_type="block_sparse",
            block_size=64,
            num_random_blocks=3,
            **more,
        )
    )


_ARCHITECTURES: dict[str, _Architecture] = {
    "bert": _Architecture(_bert_tokenizer, _bert_config),
    "albert": _Architecture(_albert_tokenizer, _albert_config),
    "deberta-v2": _Architecture(_deberta_tokenizer, _deberta_config),
    "roberta": _Architecture(_roberta_tokenizer, _roberta_config),
    "electra": _Architecture(_bert_tokenizer, _electra_config),
    "distilbert": _Architecture(_distilbert_tokenizer, _distilbert_config),
    "gpt2": _Architecture(_gpt2_tokenizer, _gpt2_config),
    "t5": _Architecture(_t5_tokenizer, _t5_config),
    "longformer": _Architecture(_roberta_tokenizer, _longformer_config),
    "bigbird": _Architecture(_big_bird_tokenizer, _big_bird_config),
}
ARCHITECTURES: tuple[str, ...] = tuple(_ARCHITECTURES)
_ARCHITECTURES |= {
    "bart": _Architecture(_bart_tokenizer, _bart_config),
    "mpnet": _Architecture(_mpnet_tokenizer, _mpnet_config),
}
STAND_INS_ONLY: tuple[str, ...] = ("bart", "mpnet")
"""What published experiments use as it is, and nobody fine-tunes here."""


def checkpoint(architecture: str = "bert", num_labels: int | None = None) -> str:
    """Return the folder of a tiny model that the tests of this process share; nothing changes it.

    Parameters
    ----------
    architecture : str, default="bert"
        One of ``ARCHITECTURES`` or ``STAND_INS_ONLY``.
    num_labels : int or None, default=None
        As in `tiny_model`.

    Returns
    -------
    str
        A temporary folder, removed when the process ends.
    """
    return _shared(architecture, num_labels)


@cache
def _shared(architecture: str, num_labels: int | None) -> str:
    folder = Path(tempfile.mkdtemp(prefix="tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(tiny_model(folder, architecture, num_labels=num_labels))


def sentence_model(folder: Path, pooling: str = "mean", max_length: int = 8, *more: Any) -> str:  # noqa: ANN401
    """Save a tiny sentence-transformers model, which pools in its own way and cuts texts early.

    Parameters
    ----------
    folder : pathlib.Path
        Where to.
    pooling : str, default="mean"
        sentence-transformers' name of it.
    max_length : int, default=8
        Tokens of a text.
    *more : sentence_transformers module
        What comes after the pooling.

    Returns
    -------
    str
        The folder.
    """
    from sentence_transformers import SentenceTransformer

    words = sentence_module("Transformer", checkpoint(), max_seq_length=max_length)
    pool = sentence_module("Pooling", HIDDEN_SIZE, pooling_mode=pooling)
    SentenceTransformer(modules=[words, pool, *more], device="cpu").save(str(folder))
    return str(folder)


def sentence_module(name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    """Make a module of sentence-transformers, by the path that all its versions know.

    Its weights are the same whatever ran before.
    """
    with preserved_global_state(0, torch=True):
        return getattr(import_module("sentence_transformers.models"), name)(*args, **kwargs)
