"""The aligned encoder: what it learns, what it embeds and when, and what it does at the edges."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sentence_transformers import SentenceTransformer
from small_text import SetFitModelArguments, TextDataset
from transformers import AutoModel, AutoTokenizer

from small_text_ext import (
    EmbeddingAlignmentClassification,
    EmbeddingAlignmentClassificationFactory,
    TransformerArguments,
    TransformerClassification,
    knn_evaluate,
)
from small_text_ext.classifiers.alignment_heads import KNNHead
from small_text_ext.training.alignment import AlignmentObjective
from small_text_ext.training.contrastive import cosine_mse_loss
from tests.classifiers import texts
from tests.classifiers.texts import NO_DROPOUT, dense
from tests.tiny_models import checkpoint, sentence_model, topic_texts

TRAIN, TEST = texts.single(48), texts.single(60, seed=1)


def aligner(
    architecture: str = "bert",
    num_classes: int = 3,
    *,
    dropout: bool = True,
    **options: Any,  # noqa: ANN401
) -> EmbeddingAlignmentClassification:
    """Return a tiny classifier that learns topics in a second."""
    arguments = TransformerArguments(
        checkpoint(architecture), config_kwargs={} if dropout else NO_DROPOUT
    )
    small: dict[str, Any] = {
        "num_epochs": 6,
        "lr": 4e-3,
        "batch_size": 12,
        "precision": "float32",
        "seed": 1,
    }
    return EmbeddingAlignmentClassification(arguments, num_classes, **{**small, **options})


def cosines(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean cosine within classes, and between them."""
    products, same = vectors @ vectors.T, labels[:, None] == labels
    between = ~same
    np.fill_diagonal(same, False)
    return float(products[same].mean()), float(products[between].mean())


def separation(clf: EmbeddingAlignmentClassification, data_set: TextDataset = TEST) -> float:
    """Return by how much closer texts are within classes than between them."""
    within, between = cosines(clf.embed(data_set), data_set.y)
    return within - between


class Texts:
    """Counts the texts that a model is shown."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        self.count = 0
        self.handle = model.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, module: Any, args: Any, kwargs: Any) -> None:  # noqa: ANN401
        self.count += len(kwargs["input_ids"])


def test_classes_come_apart_on_texts_that_were_not_trained() -> None:
    frozen, clf = aligner(num_epochs=0).fit(TRAIN), aligner().fit(TRAIN)
    assert separation(frozen) < 0.1
    assert separation(clf) > 0.3
    assert (clf.predict(TEST) == TEST.y).mean() > 0.9
    assert clf.history_ is not None
    assert clf.history_.num_steps == 24


def test_a_frozen_encoder_is_the_checkpoint_with_the_pooling() -> None:
    model = AutoModel.from_pretrained(checkpoint()).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint())
    found = {
        (pooling, layer_mean): aligner(num_epochs=0, pooling=pooling, layer_mean=layer_mean)
        .fit(TRAIN)
        .embed(TEST)
        for pooling in ("mean", "cls")
        for layer_mean in (False, True)
    }
    for row, text in enumerate(TEST.x[:5]):
        with torch.no_grad():
            out = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
        layers = torch.stack(out.hidden_states[1:]).squeeze(1)
        for (pooling, layer_mean), vectors in found.items():
            states = layers.mean(dim=0) if layer_mean else layers[-1]
            vector = states.mean(dim=0) if pooling == "mean" else states[0]
            unit = (vector / vector.norm()).numpy()
            np.testing.assert_allclose(vectors[row], unit, atol=1e-5)


def test_training_texts_are_not_encoded_again() -> None:
    clf = aligner(head="logistic").fit(TRAIN)
    seen = Texts(clf.model)
    vectors, proba = clf.embed(TEST, return_proba=True)
    assert seen.count == len(TEST)
    clf.predict(TEST, return_proba=True)
    assert seen.count == 2 * len(TEST)
    seen.handle.remove()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_what_is_kept_of_the_training_set() -> None:
    clf = aligner().fit(TRAIN)
    assert clf.train_embeddings_ is not None
    np.testing.assert_allclose(clf.train_embeddings_, clf.embed(TRAIN), atol=1e-5)
    np.testing.assert_array_equal(clf.train_labels_, TRAIN.y)
    known = knn_evaluate(clf.train_embeddings_, clf.train_labels_)
    assert known.accuracy > 0.9


@pytest.mark.parametrize(
    "variant",
    [
        {"pairs": "one", "memory": "none"},
        {"pairs": "all", "memory": "none"},
        {"pairs": "one", "memory": "detached"},
        {"pairs": "one", "memory": "mixed"},
        {"pairs": "one", "memory": "datapoint"},
        {"pairs": "all", "memory": "datapoint"},
    ],
    ids=lambda variant: "-".join(variant.values()),
)
def test_the_variants_of_the_reference(variant: dict[str, Any]) -> None:
    published: dict[str, Any] = {
        "loss": "cosine_mse",
        "pooling": "cls",
        "votes": "hard",
        "batches": "random",
        "training_arguments": {"max_grad_norm": 5.0},
    }
    clf = aligner(**published, **variant).fit(TRAIN)
    assert (clf.predict(TEST) == TEST.y).mean() > 0.6  # a third by chance
    assert separation(clf) > separation(aligner(**published, num_epochs=0).fit(TRAIN)) + 0.1


@pytest.mark.parametrize("head", ["knn", "prototypes", "logistic"])
def test_several_labels(head: Any) -> None:  # noqa: ANN401
    train, test = texts.multi(60), texts.multi(60, seed=1)
    frozen, clf = (
        aligner(multi_label=True, head=head, num_epochs=epochs).fit(train) for epochs in (0, 8)
    )
    predictions = clf.predict(test)
    assert isinstance(predictions, csr_matrix)
    right, before = (
        (dense(found) == dense(test.y)).mean() for found in (predictions, frozen.predict(test))
    )
    # Two thirds by predicting nothing.
    assert right > max(0.72, before + 0.015)


def test_chunks_change_nothing_but_memory() -> None:
    options: dict[str, Any] = {"dropout": False, "training_arguments": {"optim": "sgd"}, "lr": 0.1}
    whole = aligner(**options).fit(TRAIN)
    parts = aligner(gradient_cache_chunk=5, **options).fit(TRAIN)
    np.testing.assert_allclose(parts.embed(TEST), whole.embed(TEST), atol=1e-4)


@pytest.mark.parametrize("architecture", ["t5", "gpt2", "longformer"])
def test_architectures(architecture: str) -> None:
    clf = aligner(architecture, num_epochs=1).fit(TRAIN)
    assert clf.embed(TEST).shape == (60, 32)
    assert not hasattr(clf.model, "decoder") or architecture != "t5"


# Edges


def data(rows: list[int], labels: list[int]) -> TextDataset:
    return TextDataset([TRAIN.x[row] for row in rows], np.array(labels), np.arange(3))


@pytest.mark.parametrize("batches", ["class_balanced", "random"])
@pytest.mark.parametrize("memory", ["none", "ring", "datapoint"])
def test_a_class_with_one_text(batches: Any, memory: Any) -> None:  # noqa: ANN401
    rows = [0, 1, 3, 4, 6, 7, 2]
    train = data(rows, [row % 3 for row in rows])
    options: dict[str, Any] = {"batches": batches, "memory": memory, "num_neighbors": 1}
    frozen, clf = (aligner(**options, num_epochs=epochs).fit(train) for epochs in (0, 6))
    np.testing.assert_array_equal(clf.predict(train), train.y)
    # The one text is the last, and leaves the others.
    nearest = [float((v[:-1] @ v[-1]).max()) for v in (frozen.embed(train), clf.embed(train))]
    assert nearest[1] < nearest[0] - 0.2


@pytest.mark.parametrize("head", ["knn", "prototypes", "logistic"])
@pytest.mark.parametrize("rows", [[1], [1, 4, 7]], ids=["one text", "one class"])
def test_one_class(head: Any, rows: list[int]) -> None:  # noqa: ANN401
    clf = aligner(head=head).fit(data(rows, [1] * len(rows)))
    assert clf.history_ is not None
    assert clf.history_.num_steps == 0
    assert set(clf.predict(TEST)) == {1}
    assert clf.predict_proba(TEST)[:, [0, 2]].min() > 0


def test_duplicates() -> None:
    """Texts twice, and twice with different labels: the vote is shared."""
    rows = [*range(24), *range(6), 0, 0]
    train = data(rows, [*(row % 3 for row in rows[:30]), 2, 2])
    clf = aligner(votes="hard", num_neighbors=4).fit(train)
    first = clf.predict_proba(train)[0]
    np.testing.assert_allclose(first, [0.5, 0, 0.5], atol=1e-3)


def test_a_class_that_is_not_in_the_training_set() -> None:
    rows = [row for row in range(48) if row % 3 != 2]
    clf = aligner().fit(data(rows, [row % 3 for row in rows]))
    proba = clf.predict_proba(TEST)
    assert 2 not in clf.predict(TEST)
    assert proba[:, 2].min() > 0


def test_an_empty_set() -> None:
    clf = aligner(num_epochs=1).fit(TRAIN)
    empty = TRAIN[[]]
    assert len(clf.predict(empty)) == 0
    assert clf.embed(empty).shape == (0, 32)
    with pytest.raises(ValueError, match="train_set is empty"):
        aligner().fit(empty)


def test_a_failed_fit_leaves_the_classifier_as_it_was() -> None:
    clf = aligner(num_epochs=1).fit(TRAIN)
    before = clf.predict_proba(TEST)
    clf.objective = "broken"  # type: ignore[assignment]
    with pytest.raises(TypeError):
        clf.fit(texts.single(24, seed=2))
    np.testing.assert_array_equal(clf.predict_proba(TEST), before)


# Saving


@pytest.mark.parametrize("head", ["knn", "prototypes", "logistic"])
def test_a_saved_classifier_is_the_same(head: Any, tmp_path: Path) -> None:  # noqa: ANN401
    weights = np.linspace(1, 3, 48)
    options: dict[str, Any] = {"num_epochs": 1, "layer_mean": True, "class_weight": "balanced"}
    clf = aligner(head=head, num_neighbors=3, **options).fit(TRAIN, weights=weights)
    clf.save(tmp_path / "clf")
    loaded = EmbeddingAlignmentClassification.load(tmp_path / "clf")
    assert loaded.head == clf.head
    assert loaded.objective == clf.objective
    assert loaded.model_args == clf.model_args
    np.testing.assert_array_equal(loaded.train_embeddings_, clf.train_embeddings_)
    np.testing.assert_allclose(loaded.predict_proba(TEST), clf.predict_proba(TEST), atol=1e-6)
    np.testing.assert_array_equal(loaded.fit(TEST).embed(TRAIN), clf.fit(TEST).embed(TRAIN))


def test_other_heads_and_several_labels_are_saved(tmp_path: Path) -> None:
    train = texts.multi(30)
    clf = aligner("t5", multi_label=True, num_epochs=1, batches="random").fit(train)
    clf.save(tmp_path / "clf")
    kind = EmbeddingAlignmentClassification
    same, hard = kind.load(tmp_path / "clf"), kind.load(tmp_path / "clf", votes="hard")
    linear = kind.load(tmp_path / "clf", head="logistic", batch_size=7)
    expected = texts.all_proba(clf, train)
    np.testing.assert_allclose(texts.all_proba(same, train), expected, atol=1e-6)
    assert isinstance(hard.head_, KNNHead)
    assert hard.head_.votes == "hard"
    assert linear.batch_size == 7
    assert linear.batches == "random"
    assert np.abs(texts.all_proba(linear, train) - expected).max() > 0.01


def test_what_cannot_be_saved_or_loaded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not fitted"):
        aligner().save(tmp_path / "clf")
    clf = aligner(num_epochs=0).fit(TRAIN)
    clf.objective = AlignmentObjective(functools.partial(cosine_mse_loss, flip=True))
    with pytest.raises(TypeError, match="loss is"):
        clf.save(tmp_path / "clf")
    assert not (tmp_path / "clf").exists()
    clf.objective = AlignmentObjective()
    clf.save(tmp_path / "clf")
    with pytest.raises(ValueError, match="holds a EmbeddingAlignmentClassification"):
        TransformerClassification.load(tmp_path / "clf")
    with pytest.raises(ValueError, match="pooling belongs to the saved embeddings"):
        EmbeddingAlignmentClassification.load(tmp_path / "clf", pooling="cls")
    with pytest.raises(FileNotFoundError, match=r"EmbeddingAlignmentClassification\.save"):
        EmbeddingAlignmentClassification.load(checkpoint())


# Arguments


@pytest.mark.parametrize("pooling", [None, "mean"])
def test_a_sentence_model_keeps_its_pooling(pooling: Any, tmp_path: Path) -> None:  # noqa: ANN401
    folder = sentence_model(tmp_path / "model", "cls")
    clf = EmbeddingAlignmentClassification(
        folder, 3, num_epochs=0, pooling=pooling, precision="float32", seed=1
    ).fit(TRAIN)
    expected = SentenceTransformer(folder, device="cpu").encode(
        TEST.x, normalize_embeddings=True, convert_to_numpy=True
    )
    same = np.abs(clf.embed(TEST) - expected).max() < 1e-5
    assert same == (pooling is None)
    restored = dill.loads(dill.dumps(clf))
    clf.save(tmp_path / "clf")
    loaded = EmbeddingAlignmentClassification.load(tmp_path / "clf")
    for again in (restored, loaded, clf.fit(TRAIN)):
        assert again.pooling_ == (pooling or "cls")
        np.testing.assert_array_equal(again.embed(TEST), clf.embed(TEST))


def test_a_loss_and_a_head_of_ones_own() -> None:
    flipped = functools.partial(cosine_mse_loss, flip=True, reduction="mean")
    clf = aligner(loss=flipped, memory="none", head=KNNHead(k=1)).fit(TRAIN)
    frozen = aligner(num_epochs=0).fit(TRAIN)
    within, before = (cosines(c.embed(TRAIN), TRAIN.y)[0] for c in (clf, frozen))
    assert within < before - 0.1
    np.testing.assert_array_equal(clf.predict(TRAIN), TRAIN.y)


def test_the_hosts_arguments_of_setfit() -> None:
    host = SetFitModelArguments(checkpoint(), max_length=9, train_batch_size=(24, 2))
    factory = EmbeddingAlignmentClassificationFactory(host, 3, {"num_epochs": 1, "seed": 1})
    clf = factory.new()
    assert clf.model_args.max_length == 9
    assert clf.batch_size == 24
    assert clf.fit(TRAIN).predict(TEST).shape == (60,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "triplet"}, "loss is 'triplet'"),
        ({"memory": "xbm"}, "memory is 'xbm'"),
        ({"memory_size": 0}, "memory_size is 0"),
        ({"memory_warm_start": -1}, "memory_warm_start is -1"),
        ({"batches": "sorted"}, "batches is 'sorted'"),
        ({"pooling": "max"}, "pooling is 'max'"),
        ({"head": "svm"}, "head is 'svm'"),
        ({"num_neighbors": 0}, "num_neighbors is 0"),
        ({"votes": "loud"}, "votes is 'loud'"),
        ({"gradient_cache_chunk": 0}, "gradient_cache_chunk is 0"),
        ({"samples_per_class": 0}, "samples_per_class is 0"),
        ({"num_epochs": -1}, "num_epochs is -1"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"training_arguments": {"bf16": True}}, "training_arguments holds 'bf16'"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aligner(**options)


@pytest.mark.parametrize("kind", ["pairs", "tokenized"])
def test_other_kinds_of_texts(kind: str) -> None:
    clf = aligner(num_epochs=1).fit(TRAIN)
    if kind == "tokenized":
        known = texts.tokenized(TRAIN, clf.tokenizer)
        same = aligner(num_epochs=1).fit(known)
        np.testing.assert_allclose(same.embed(known), clf.embed(TRAIN), atol=1e-5)
    else:
        pairs = texts.pairs(48)
        assert aligner(num_epochs=1).fit(pairs).embed(pairs).shape == (48, 32)


def test_bfloat16() -> None:
    clf = aligner(precision="bfloat16", gradient_cache_chunk=6).fit(TRAIN)
    assert separation(clf) > 0.3
    assert {parameter.dtype for parameter in clf.model.parameters()} == {torch.float32}


# Adapters


def test_adapters_are_aligned_in_place_of_the_encoder(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="needs the extra 'lora'")
    clf = aligner("roberta", peft_config={}, lr=2e-2, num_epochs=10).fit(TRAIN)
    assert (clf.predict(TEST) == TEST.y).mean() > 0.8
    trained = {name for name, value in clf.model.named_parameters() if value.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    clf.save(tmp_path / "clf")
    assert not (tmp_path / "clf" / "model.safetensors").exists()
    loaded = EmbeddingAlignmentClassification.load(tmp_path / "clf")
    np.testing.assert_array_equal(loaded.predict_proba(TEST), clf.predict_proba(TEST))
    again = dill.loads(dill.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(TEST), clf.predict_proba(TEST))


def published(num_texts: int, seed: int = 0) -> tuple[TextDataset, NDArray[np.int64]]:
    """Return texts on three topics, and which of two publishers signs each with a word."""
    second = np.arange(num_texts) // 3 % 2
    signed = [
        f"{text} {('laptop', 'browser')[publisher]}"
        for text, publisher in zip(topic_texts(num_texts, 3, seed), second, strict=True)
    ]
    return TextDataset.from_arrays(signed, np.arange(num_texts) % 3, np.arange(3)), second


def test_a_second_label_is_pushed_out_of_the_space_or_pulled_in() -> None:
    train, second = published(48)
    test, other = published(60, seed=1)
    one_class = test.y == 0
    gaps = {}
    for task in ("push", "pull"):
        clf = aligner(dropout=False, second_task=task, loss="cosine_mse", memory="none")
        clf.fit(train, second_labels=second)
        if task == "push":
            assert (clf.predict(test) == test.y).mean() > 0.9
        near, far = cosines(clf.embed(test)[one_class], other[one_class])
        gaps[task] = near - far
    assert gaps["pull"] > gaps["push"] + 0.1


def test_the_second_label_alone() -> None:
    second = np.arange(48) // 3 % 2
    options: Any = {"second_task": "pull", "task_weights": (0.0, 1.0), "dropout": False}
    clf = aligner(**options).fit(TRAIN, second_labels=second)
    other = aligner(**options).fit(TRAIN, second_labels=1 - second)
    assert clf.train_embeddings_ is not None
    assert other.train_embeddings_ is not None
    # Which number a second label has does not matter, and the first label does not count.
    np.testing.assert_allclose(clf.train_embeddings_, other.train_embeddings_, atol=1e-5)
    near, far = cosines(clf.train_embeddings_, second)
    assert near > far


@pytest.mark.parametrize(
    ("task", "second", "message"),
    [
        (None, [0] * 48, "given, and second_task is None"),
        ("push", None, "missing, and second_task is 'push'"),
        ("push", [0] * 47, r"shape \(47,\) for 48"),
        ("push", [0.5] * 48, "float64"),
    ],
)
def test_second_labels_that_do_not_fit(
    task: Any,  # noqa: ANN401
    second: Any,  # noqa: ANN401
    message: str,
) -> None:
    clf = aligner(second_task=task)
    with pytest.raises(ValueError, match=message):
        clf.fit(TRAIN, second_labels=second)
    assert clf.model is None


def test_the_second_task_is_saved(tmp_path: Path) -> None:
    options: Any = {"second_task": "mix", "task_weights": [1.0, 0.5], "num_epochs": 1}
    aligner(**options).fit(TRAIN, second_labels=np.arange(48) % 2).save(tmp_path / "clf")
    loaded = EmbeddingAlignmentClassification.load(tmp_path / "clf")
    assert (loaded.second_task, loaded.task_weights) == ("mix", (1.0, 0.5))
