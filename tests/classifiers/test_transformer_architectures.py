"""Ten architectures: what is fitted once for each is looked at from all sides."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
from small_text import TextDataset
from transformers import AutoTokenizer
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

from small_text_ext import TextPairDataset, TransformerArguments, TransformerClassification
from tests.classifiers import texts
from tests.classifiers.texts import classifier, dense, history_of
from tests.contract.states import random_states
from tests.tiny_models import ARCHITECTURES, HIDDEN_SIZE, checkpoint, tiny_model, topic_texts


@dataclass(frozen=True)
class Fitted:
    name: str
    clf: TransformerClassification


@pytest.fixture(scope="module", params=ARCHITECTURES)
def fitted(request: pytest.FixtureRequest) -> Fitted:
    return Fitted(request.param, classifier(request.param, num_epochs=6).fit(texts.single(72)))


def some_quick(*quick: str) -> list[Any]:
    """Return all architectures, of which only some run in the quick lane."""
    return [
        name if name in quick else pytest.param(name, marks=pytest.mark.slow)
        for name in ARCHITECTURES
    ]


def text_set(*given: str, num_classes: int = 3) -> TextDataset:
    """Return texts whose labels nobody looks at."""
    return TextDataset(
        list(given), np.zeros(len(given), dtype=np.int64), target_labels=np.arange(num_classes)
    )


SHORT = topic_texts(5)
MEDIUM = topic_texts(4, seed=1, length=30)
LONG = topic_texts(3, seed=2, length=140)


def test_it_learns(fitted: Fitted) -> None:
    test = texts.single(60, seed=9)
    assert (fitted.clf.predict(test) == test.y).mean() > 0.8
    losses = history_of(fitted.clf).train_losses
    assert losses[-1] < 0.7 * losses[0]


def test_probabilities_sum_to_one(fitted: Fitted) -> None:
    proba = fitted.clf.predict_proba(texts.single(20, seed=3))
    assert proba.shape == (20, 3)
    assert proba.min() >= 0
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("method", ["avg", "cls"])
@pytest.mark.parametrize("layer", [-1, 0, 1, "mean"])
def test_embeddings(fitted: Fitted, method: str, layer: Any) -> None:  # noqa: ANN401
    test = text_set(*SHORT, *MEDIUM)
    options: dict[str, Any] = {"embedding_method": method, "hidden_layer_index": layer}
    vectors, proba = fitted.clf.embed(test, return_proba=True, **options)
    assert vectors.shape == (9, HIDDEN_SIZE)
    assert np.isfinite(vectors).all()
    assert len(np.unique(vectors.round(4), axis=0)) == 9, "texts share a vector"
    np.testing.assert_allclose(proba, fitted.clf.predict_proba(test), atol=1e-5)
    np.testing.assert_array_equal(fitted.clf.embed(test, **options), vectors)


def test_the_layer_mean_is_the_mean_of_the_layers(fitted: Fitted) -> None:
    test = text_set(*SHORT)
    first, last, negative, mean = (
        fitted.clf.embed(test, hidden_layer_index=index) for index in (0, 1, -1, "mean")
    )
    np.testing.assert_array_equal(negative, last)
    assert not np.allclose(first, last, atol=1e-2)
    np.testing.assert_allclose(mean, (first + last) / 2, atol=1e-5)


@pytest.mark.parametrize("method", ["avg", "cls"])
def test_a_text_does_not_depend_on_its_neighbours(fitted: Fitted, method: str) -> None:
    """Alone, beside much longer texts, and in any order: the same probabilities and vectors."""
    clf, many = fitted.clf, [*SHORT, *MEDIUM, *LONG]
    options: dict[str, Any] = {"embedding_method": method, "return_proba": True}
    vectors, proba = clf.embed(text_set(*many), **options)
    for position, text in enumerate(many):
        alone, alone_proba = clf.embed(text_set(text), **options)
        np.testing.assert_allclose(alone[0], vectors[position], atol=1e-4)
        np.testing.assert_allclose(alone_proba[0], proba[position], atol=1e-4)
    order = np.random.default_rng(0).permutation(len(many))
    turned, turned_proba = clf.embed(text_set(*(many[i] for i in order)), **options)
    np.testing.assert_allclose(turned, vectors[order], atol=1e-4)
    np.testing.assert_allclose(turned_proba, proba[order], atol=1e-4)
    assert np.abs(proba[: len(SHORT)] - proba[0]).max() > 0.05, "the model tells nothing apart"


def test_small_batches_give_what_large_ones_give(fitted: Fitted) -> None:
    """``max_tokens`` is a matter of memory and speed alone."""
    test = text_set(*SHORT, *LONG, *MEDIUM)
    small: Any = dill.loads(dill.dumps(fitted.clf))
    small.max_tokens = 1
    np.testing.assert_allclose(small.predict_proba(test), fitted.clf.predict_proba(test), atol=1e-4)


def test_texts_longer_than_the_model_are_cut(fitted: Fitted) -> None:
    endless = " ".join(topic_texts(1, length=1500))
    proba, vectors = (
        fitted.clf.predict_proba(text_set(endless)),
        fitted.clf.embed(text_set(endless)),
    )
    assert np.isfinite(proba).all()
    assert np.isfinite(vectors).all()
    cut = " ".join(endless.split()[:700])
    np.testing.assert_allclose(fitted.clf.predict_proba(text_set(cut)), proba, atol=1e-5)


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "   ",
        "</s>",
        "[SEP] [CLS] </s> <pad> [PAD]",
        "<|endoftext|>",
        "goal <|endoftext|>",
        "é 中 🙂",
    ],
    ids=["empty", "spaces", "end", "special", "endoftext", "goal-endoftext", "foreign"],
)
def test_odd_texts_are_texts(fitted: Fitted, odd: str) -> None:
    """Special tokens may be spelt out in a text, and the pool's texts may be empty."""
    many = [odd, *SHORT]
    vectors, proba = fitted.clf.embed(text_set(*many), return_proba=True)
    assert np.isfinite(proba).all()
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(fitted.clf.predict_proba(text_set(odd))[0], proba[0], atol=1e-4)
    np.testing.assert_allclose(fitted.clf.predict_proba(text_set(*SHORT)), proba[1:], atol=1e-4)


def test_saved_pickled_and_loaded(fitted: Fitted, tmp_path: Path) -> None:
    test = text_set(*SHORT, *LONG)
    vectors, proba = fitted.clf.embed(test, return_proba=True)
    fitted.clf.save(tmp_path / "clf")
    assert list((tmp_path / "clf").rglob("*.safetensors"))
    assert not list((tmp_path / "clf").rglob("*.bin"))
    twins = [
        TransformerClassification.load(tmp_path / "clf"),
        pickle.loads(pickle.dumps(fitted.clf)),
        dill.loads(dill.dumps(fitted.clf)),
    ]
    for twin in twins:
        twin_vectors, twin_proba = twin.embed(test, return_proba=True)
        np.testing.assert_array_equal(twin_proba, proba)
        np.testing.assert_array_equal(twin_vectors, vectors)


def test_predictions_leave_the_random_states_alone(fitted: Fitted) -> None:
    before = random_states()
    fitted.clf.predict_proba(text_set(*SHORT))
    fitted.clf.predict_proba(text_set(*SHORT), dropout_sampling=2)
    fitted.clf.embed(text_set(*LONG))
    assert random_states() == before


def test_dropout_samples_differ(fitted: Fitted) -> None:
    samples = fitted.clf.predict_proba(text_set(*SHORT), dropout_sampling=3)
    assert samples.shape == (5, 3, 3)
    np.testing.assert_allclose(samples.sum(axis=2), 1, atol=1e-6)
    assert np.abs(samples[:, 0] - samples[:, 1]).max() > 1e-3
    np.testing.assert_allclose(
        fitted.clf.predict_proba(text_set(*SHORT)), fitted.clf.predict_proba(text_set(*SHORT))
    )


def _epochs(usual: int, architecture: str) -> int:
    """BigBird learns the same as the others, in more steps."""
    return 2 * usual if architecture == "bigbird" else usual


@pytest.mark.parametrize("architecture", some_quick("bert", "roberta", "t5"))
def test_pairs_of_texts(architecture: str) -> None:
    """Only the second text tells the class, so whoever drops it learns nothing."""
    clf = classifier(architecture, num_epochs=_epochs(12, architecture)).fit(texts.pairs(72))
    test = texts.pairs(45, seed=9)
    assert (clf.predict(test) == test.y).mean() > 0.55  # a third by chance
    alone = TextPairDataset(test.x[:1], test.y[:1], target_labels=np.arange(3))
    long = TextPairDataset([test.x[0], (LONG[0], LONG[1])], test.y[:2], target_labels=np.arange(3))
    np.testing.assert_allclose(clf.predict_proba(alone)[0], clf.predict_proba(long)[0], atol=1e-4)
    turned = TextPairDataset([test.x[0][::-1]], test.y[:1], target_labels=np.arange(3))
    assert np.abs(clf.embed(turned) - clf.embed(alone)).max() > 1e-3


@pytest.mark.parametrize("architecture", some_quick("bert"))
@pytest.mark.parametrize("num_classes", [2, 3])
def test_multi_label(architecture: str, num_classes: int) -> None:
    epochs = _epochs(16, architecture)
    clf = classifier(architecture, num_classes, multi_label=True, num_epochs=epochs)
    clf.fit(texts.multi(90, num_classes))
    test = texts.multi(45, num_classes, seed=9)
    assert (dense(clf.predict(test)) == dense(test.y)).mean() > 0.8
    assert len({tuple(row) for row in dense(clf.predict(test))}) >= 3, "labels exclude each other"


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_two_classes(architecture: str) -> None:
    clf = classifier(architecture, 2).fit(texts.single(60, 2))
    test = texts.single(45, 2, seed=9)
    assert (clf.predict(test) == test.y).mean() > 0.8


@pytest.mark.parametrize("architecture", ["roberta", "longformer", "bert", "deberta-v2", "gpt2"])
def test_a_tokenizer_that_does_not_know_its_models_length(
    architecture: str, tmp_path: Path
) -> None:
    """Many published tokenizers carry no limit; RoBERTa's 514 positions are 512 tokens."""
    folder = tiny_model(tmp_path / architecture, architecture)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = VERY_LARGE_INTEGER
    tokenizer.save_pretrained(folder)
    arguments = TransformerArguments(str(folder))
    clf = TransformerClassification(arguments, 3, num_epochs=1, precision="float32", seed=1)
    clf.fit(texts.single(6))
    assert np.isfinite(clf.predict_proba(text_set(topic_texts(1, length=1500)[0]))).all()


def test_bigbird_does_not_remember_short_texts() -> None:
    """It turns its sparse attention off for good at the first batch that is too short for it."""
    long = topic_texts(4, seed=2, length=1200)
    sizes = [len(text.split()) for text in long]
    assert sum(size > 704 for size in sizes) >= 2, "all are short enough for full attention"
    clf = classifier("bigbird", max_length=1024, num_epochs=1, batch_size=4).fit(text_set(*long))
    after_long = clf.predict_proba(text_set(*long))
    for _ in range(2):
        short = clf.predict_proba(text_set(*SHORT))
        np.testing.assert_allclose(clf.predict_proba(text_set(*long)), after_long, atol=1e-4)
    mixed = clf.predict_proba(text_set(*SHORT, *long))
    np.testing.assert_allclose(mixed, np.concatenate([short, after_long]), atol=1e-4)
    for position, text in enumerate(long):
        alone = clf.predict_proba(text_set(text))[0]
        np.testing.assert_allclose(alone, after_long[position], atol=1e-4)


def test_checkpoints_are_not_written_to() -> None:
    folder = Path(checkpoint("bert"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    classifier(num_epochs=1).fit(texts.single(6)).predict(texts.single(6))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
