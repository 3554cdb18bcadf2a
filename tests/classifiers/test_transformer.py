"""The transformer classifier on one tiny BERT: arguments, batches, vectors, samples, files."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from small_text import (
    EarlyStopping,
    SklearnDataset,
    TextDataset,
    TransformerModelArguments,
    TransformersDataset,
)
from small_text.training.metrics import Metric
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertModel

from small_text_ext import (
    TextPairDataset,
    TransformerArguments,
    TransformerClassification,
    TransformerClassificationFactory,
)
from small_text_ext.training.tokens import TextTokenizer
from small_text_ext.training.trainer import SelectiveTrainer
from tests.classifiers import texts
from tests.classifiers.texts import all_proba, classifier, dense, history_of
from tests.tiny_models import HIDDEN_SIZE, checkpoint, topic_texts
from tests.training.doubles import ListRecorder, assert_same_parameters, parameters


@pytest.fixture(scope="module")
def fitted() -> TransformerClassification:
    return classifier(num_epochs=6).fit(texts.single(72))


@pytest.fixture(scope="module")
def fitted_multi() -> TransformerClassification:
    return classifier(multi_label=True, num_epochs=10).fit(texts.multi(90))


def text_set(given: list[str], num_classes: int = 3) -> TextDataset:
    """Return texts whose labels nobody looks at."""
    return TextDataset(
        given, np.zeros(len(given), dtype=np.int64), target_labels=np.arange(num_classes)
    )


MIXED = [*topic_texts(20), *topic_texts(12, seed=1, length=40), *topic_texts(4, seed=2, length=150)]


# Which model


def test_a_name_our_arguments_and_the_hosts_mean_the_same() -> None:
    folder, test = checkpoint(), text_set(MIXED)
    options: dict[str, Any] = {"num_epochs": 1, "lr": 4e-3, "precision": "float32", "seed": 1}
    results = [
        TransformerClassification(arguments, 3, batch_size=8, **options)
        .fit(texts.single(20))
        .predict_proba(test)
        for arguments in (folder, TransformerArguments(folder), TransformerModelArguments(folder))
    ]
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


def test_batch_sizes_by_default() -> None:
    folder = checkpoint()
    assert TransformerClassification(folder, 3).batch_size == 32
    host = TransformerModelArguments(folder, train_batch_size=7)
    assert TransformerClassification(host, 3).batch_size == 7
    assert TransformerClassification(host, 3, batch_size=9).batch_size == 9


def test_tokenizer_and_configuration_from_other_folders() -> None:
    arguments = TransformerArguments(
        checkpoint(),
        tokenizer=checkpoint("distilbert"),
        config=checkpoint("bert", 3),
        config_kwargs={"hidden_dropout_prob": 0.25},
        tokenizer_kwargs={"do_lower_case": False},
    )
    clf = TransformerClassification(arguments, 4, num_epochs=1, seed=1).fit(texts.single(16, 4))
    assert type(clf.tokenizer).__name__.startswith("DistilBert")
    assert clf.model.config.hidden_dropout_prob == 0.25
    assert clf.model.config.num_labels == 4
    assert clf.tokenizer.tokenize("GOAL") == ["[UNK]"]


@pytest.mark.parametrize("max_length", [4, 9, 512])
def test_texts_are_cut_to_max_length(max_length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = watch_shapes(monkeypatch)
    clf = classifier(max_length=max_length, num_epochs=1, batch_size=36).fit(text_set(MIXED))
    clf.predict(text_set(MIXED))
    longest = max(columns for _, columns in shapes)
    assert longest == min(max_length, max(len(text.split()) for text in MIXED) + 2)


def test_max_length_beyond_the_model_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"max_length is 513.*512"):
        classifier(max_length=513).fit(texts.single(9))


def test_a_model_that_is_nowhere_is_an_error_that_names_it() -> None:
    with pytest.raises(OSError, match="no/such-model"):
        TransformerClassification("no/such-model", 3).fit(texts.single(9))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model_args": 7}, TypeError, "model_args is 7"),
        ({"num_classes": 0}, ValueError, "num_classes is 0"),
        ({"num_classes": 1}, ValueError, "num_classes is 1"),
        ({"num_epochs": 0}, ValueError, "num_epochs is 0"),
        ({"num_epochs": 1.5}, TypeError, "num_epochs is 1.5"),
        ({"lr": 0.0}, ValueError, "lr is 0.0"),
        ({"lr": float("nan")}, ValueError, "lr is nan"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"batch_size": -4}, ValueError, "batch_size is -4"),
        ({"max_tokens": 0}, ValueError, "max_tokens is 0"),
        ({"precision": "half"}, ValueError, "precision is 'half'"),
        ({"precision": "float16", "device": "cpu"}, ValueError, "float16"),
        ({"warmup": 1.0}, ValueError, "warmup is 1.0"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay is -0.1"),
        ({"lr_scheduler_type": "no-such-schedule"}, ValueError, "no-such-schedule"),
        ({"validation_set_size": 1.0}, ValueError, "validation_set_size is 1.0"),
        ({"validations_per_epoch": 0}, ValueError, "validations_per_epoch is 0"),
        ({"early_stopping_patience": 0}, ValueError, "early_stopping_patience is 0"),
        ({"min_steps": 0}, ValueError, "min_steps is 0"),
        ({"class_weight": "heavy"}, ValueError, "class_weight is 'heavy'"),
        ({"device": "gpu"}, (ValueError, RuntimeError), "gpu"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"training_arguments": {"seed": 3}}, ValueError, "seed"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_when_the_classifier_is_made(
    arguments: dict[str, Any],
    error: type[Exception] | tuple[type[Exception], ...],
    message: str,
) -> None:
    given = {"model_args": "a-model", "num_classes": 3, **arguments}
    with pytest.raises(error, match=message):
        TransformerClassification(**given)
    given.pop("model_args")
    given.pop("num_classes")
    if given and not {"model_args", "num_classes"} & set(arguments):
        with pytest.raises(error, match=message):
            TransformerClassificationFactory("a-model", 3, given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": ""}, "model is ''"),
        ({"model": "m", "max_length": 0}, "max_length is 0"),
        ({"model": "m", "config_kwargs": {"num_labels": 3}}, "num_labels"),
        ({"model": "m", "model_kwargs": {"config": None}}, "config"),
    ],
)
def test_wrong_model_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransformerArguments(**arguments)


def test_what_holds_no_texts_is_refused(fitted: TransformerClassification) -> None:
    vectors = SklearnDataset(np.eye(6), np.arange(6) % 3, target_labels=np.arange(3))
    numbers = TextDataset([1, 2, 3], np.arange(3), target_labels=np.arange(3))
    for wrong in (vectors, numbers):
        with pytest.raises(TypeError, match="text"):
            classifier().fit(wrong)
        with pytest.raises(TypeError, match="text"):
            fitted.predict(wrong)


# Batches


def watch_shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return a list that fills with the shape of every batch that a BERT is called with."""
    shapes: list[tuple[int, int]] = []
    original = BertModel.forward

    def forward(self: Any, input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        shapes.append((input_ids.shape[0], input_ids.shape[1]))
        return original(self, input_ids, *args, **kwargs)

    monkeypatch.setattr(BertModel, "forward", forward)
    return shapes


@pytest.mark.parametrize("max_tokens", [64, 200, 4096])
def test_inference_batches_are_packed_by_tokens(
    max_tokens: int, fitted: TransformerClassification, monkeypatch: pytest.MonkeyPatch
) -> None:
    clf = copy.deepcopy(fitted)
    clf.max_tokens = max_tokens
    shapes = watch_shapes(monkeypatch)
    clf.predict_proba(text_set(MIXED))
    tokens = sum(len(text.split()) + 2 for text in MIXED)
    padded = sum(rows * columns for rows, columns in shapes)
    assert sum(rows for rows, _ in shapes) == len(MIXED)
    assert all(rows == 1 or rows * columns <= max_tokens for rows, columns in shapes)
    if max_tokens <= 200:
        assert padded < 1.3 * tokens
    if max_tokens == 4096:
        assert len(shapes) == 1 + int(padded > 4096)


def test_a_training_batch_is_padded_to_its_own_longest_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data_set, recorder = text_set(MIXED), ListRecorder("training")
    shapes = watch_shapes(monkeypatch)
    classifier(num_epochs=2, batch_size=6, recorder=recorder).fit(data_set)
    sizes = np.array([len(text.split()) + 2 for text in MIXED])
    expected = [(len(ids), int(sizes[ids].max())) for ids, *_ in recorder.records]
    assert shapes == expected
    assert len(set(expected)) > 3


def test_only_what_is_trained_or_scored_is_tokenised(monkeypatch: pytest.MonkeyPatch) -> None:
    """The point of it all: a pool of millions is not tokenised to train on ten of its texts."""
    encoded: list[int] = []
    original = TextTokenizer.encode

    def encode(self: Any, given: Any) -> Any:  # noqa: ANN401
        encoded.append(len(given))
        return original(self, given)

    monkeypatch.setattr(TextTokenizer, "encode", encode)
    pool = texts.single(5000)
    clf = classifier(num_epochs=1, validation_set_size=0.2).fit(pool[:30])
    assert sum(encoded) == 30
    encoded.clear()
    clf.predict(pool[np.arange(100, 120)])
    clf.embed(pool[[7, 9]])
    assert sum(encoded) == 22


def test_many_texts_are_tokenised_part_by_part(
    fitted: TransformerClassification, monkeypatch: pytest.MonkeyPatch
) -> None:
    from small_text_ext.classifiers import encoder

    whole, parts = fitted.embed(text_set(MIXED), return_proba=True), []
    original = TextTokenizer.encode

    def encode(self: Any, given: Any) -> Any:  # noqa: ANN401
        parts.append(len(given))
        return original(self, given)

    monkeypatch.setattr(TextTokenizer, "encode", encode)
    monkeypatch.setattr(encoder, "_TEXTS_AT_A_TIME", 10)
    in_parts = fitted.embed(text_set(MIXED), return_proba=True)
    assert parts == [10, 10, 10, 6]
    for one, other in zip(whole, in_parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_hosts_tokenized_dataset_gives_what_the_texts_give(
    fitted: TransformerClassification,
) -> None:
    """It is padded to one length; the padding is taken off again."""
    data_set = text_set(MIXED[:30])
    padded = texts.tokenized(data_set, fitted.tokenizer, max_length=96)
    assert isinstance(padded, TransformersDataset)
    for one, other in zip(
        fitted.embed(data_set, return_proba=True),
        fitted.embed(padded, return_proba=True),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-5)
    view = padded[np.array([4, 2])]
    np.testing.assert_allclose(
        fitted.predict_proba(view), fitted.predict_proba(data_set)[[4, 2]], atol=1e-5
    )
    train = texts.single(30)
    on_texts = classifier(num_epochs=1, validation_set_size=0.2).fit(train)
    on_tokens = classifier(num_epochs=1, validation_set_size=0.2).fit(
        texts.tokenized(train, fitted.tokenizer)
    )
    np.testing.assert_allclose(
        all_proba(on_texts, data_set), all_proba(on_tokens, data_set), atol=1e-5
    )


def test_tokenized_texts_of_several_labels() -> None:
    train, test = texts.multi(90), texts.multi(30, seed=9)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint())
    clf = classifier(multi_label=True, num_epochs=10).fit(texts.tokenized(train, tokenizer))
    predictions = clf.predict(texts.tokenized(test, tokenizer))
    assert (dense(predictions) == dense(test.y)).mean() > 0.85


# Vectors


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize("layer", [-1, 0])
def test_vectors_are_those_of_the_text_alone(architecture: str, layer: int) -> None:
    """The mean over its tokens, or the token that has seen all of it: first, or last."""
    clf = classifier(architecture, num_epochs=1).fit(texts.single(12))
    given = topic_texts(4, length=9)
    means = clf.embed(text_set(given), hidden_layer_index=layer)
    tokens = clf.embed(text_set(given), embedding_method="cls", hidden_layer_index=layer)
    for row, text in enumerate(given):
        inputs = clf.tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            outputs = clf.model(**inputs, output_hidden_states=True)
        states = getattr(outputs, "hidden_states", None) or outputs.encoder_hidden_states
        hidden = states[1:][layer][0].numpy()
        np.testing.assert_allclose(means[row], hidden.mean(axis=0), atol=1e-5)
        summary = hidden[0] if architecture == "bert" else hidden[-1]
        np.testing.assert_allclose(tokens[row], summary, atol=1e-5)


def test_unknown_methods_and_layers(fitted: TransformerClassification) -> None:
    test = text_set(MIXED[:3])
    with pytest.raises(ValueError, match="embedding_method is 'max'"):
        fitted.embed(test, embedding_method="max")  # type: ignore[arg-type]
    wrong: list[Any] = [2, -3, "first"]
    for layer in wrong:
        with pytest.raises(ValueError, match=r"hidden_layer_index is .*-2 to 1"):
            fitted.embed(test, hidden_layer_index=layer)


def test_embed_of_nothing(fitted: TransformerClassification) -> None:
    vectors, proba = fitted.embed(text_set([]), return_proba=True, embedding_method="cls")
    assert vectors.shape == (0, HIDDEN_SIZE)
    assert proba.shape == (0, 3)


# Samples with dropout


def test_dropout_samples(fitted: TransformerClassification) -> None:
    test = text_set(MIXED[:24])
    samples = fitted.predict_proba(test, dropout_sampling=20)
    assert samples.shape == (24, 20, 3)
    np.testing.assert_allclose(samples.sum(axis=2), 1, atol=1e-6)
    assert (samples.std(axis=1).max(axis=1) > 1e-4).mean() > 0.9
    np.testing.assert_array_equal(fitted.predict_proba(test, dropout_sampling=20), samples)
    exact = fitted.predict_proba(test)
    assert np.abs(samples.mean(axis=1) - exact).mean() < 0.1
    np.testing.assert_array_equal(fitted.predict_proba(test), exact)
    assert not fitted.model.training


def test_dropout_samples_of_several_labels_are_dense(
    fitted_multi: TransformerClassification,
) -> None:
    samples = fitted_multi.predict_proba(texts.multi(10), dropout_sampling=3)
    assert isinstance(samples, np.ndarray)
    assert samples.shape == (10, 3, 3)
    assert (samples > 0).all()
    assert np.abs(samples.sum(axis=2) - 1).max() > 0.05
    assert not isinstance(fitted_multi.predict_proba(texts.multi(10)), np.ndarray)


@pytest.mark.parametrize("wrong", [0, -1, 1.5])
def test_a_wrong_number_of_samples(wrong: Any, fitted: TransformerClassification) -> None:  # noqa: ANN401
    with pytest.raises((TypeError, ValueError), match="dropout_sampling"):
        fitted.predict_proba(text_set(MIXED), dropout_sampling=wrong)


def test_samples_of_nothing(fitted: TransformerClassification) -> None:
    assert fitted.predict_proba(text_set([]), dropout_sampling=4).shape == (0, 4, 3)


# Labels


def test_a_label_can_be_missing_and_two_can_be_there(
    fitted_multi: TransformerClassification,
) -> None:
    test = texts.multi(60, seed=9)
    predictions = fitted_multi.predict(test)
    assert isinstance(predictions, csr_matrix)
    assert (dense(predictions) == dense(test.y)).mean() > 0.9
    assert set(np.unique(dense(predictions).sum(axis=1))) >= {0, 1, 2}


def test_the_threshold_is_respected(fitted_multi: TransformerClassification) -> None:
    """The host's own classifier ignores it when it predicts."""
    test = texts.multi(60, seed=9)
    proba = all_proba(fitted_multi, test)
    for threshold in (0.05, 0.5, 0.95):
        predictions = fitted_multi.predict(test, multi_label_threshold=threshold)
        np.testing.assert_array_equal(dense(predictions), proba > threshold)
    assert (proba > 0.05).sum() > (proba > 0.95).sum()


def test_balanced_classes_find_the_rare_one() -> None:
    y = np.array([0] * 54 + [1] * 6)
    given = [topic_texts(2, 2, seed=n)[label] for n, label in enumerate(y)]
    train = TextDataset(given, y, target_labels=np.arange(2))
    test = texts.single(40, 2, seed=9)
    shares = []
    for class_weight in (None, "balanced"):
        clf = classifier(num_classes=2, num_epochs=3, lr=1e-3, class_weight=class_weight)
        shares.append(clf.fit(train).predict_proba(test)[:, 1].mean())
    assert shares[1] > shares[0] + 0.1


# Stopping


@pytest.mark.parametrize(
    ("min_steps", "num_texts", "num_steps"),
    [(None, 12, 6), (6, 12, 6), (7, 12, 9), (100, 6, 100), (7, 48, 24)],
)
def test_a_small_training_set_is_gone_through_more_often(
    min_steps: int | None, num_texts: int, num_steps: int
) -> None:
    options: dict[str, Any] = {"num_epochs": 2, "batch_size": 4, "validation_set_size": 0}
    if num_texts == 6:
        options |= {"batch_size": 6}
    clf = classifier(min_steps=min_steps, **options).fit(texts.single(num_texts))
    assert history_of(clf).num_steps == num_steps


def test_the_hosts_handler_stops_a_fit() -> None:
    handler = EarlyStopping(Metric("train_acc", lower_is_better=False), threshold=0.5, patience=-1)
    long = classifier(num_epochs=20, early_stopping_patience=None)
    clf = long.fit(texts.single(72), early_stopping=handler)
    assert history_of(clf).num_steps < 20 * 9
    stopped = long.fit(texts.single(72), validation_set=texts.single(20, seed=4))
    assert history_of(stopped).num_steps == 20 * 9


def test_a_handler_is_told_what_the_host_tells() -> None:
    told: list[tuple[int, dict[str, float]]] = []

    class Handler:
        def check_early_stop(self, epoch: int, measured: dict[str, float]) -> bool:
            told.append((epoch, measured))
            return epoch >= 3

    data_set, validation = texts.single(24), texts.single(12, seed=4)
    clf = classifier(num_epochs=9, early_stopping_patience=1)
    clf.fit(data_set, validation, early_stopping=Handler())
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    history = history_of(clf)
    for number, (_, measured) in enumerate(told):
        assert measured["val_loss"] == pytest.approx(history.validation_losses[number])
        assert measured["train_loss"] == pytest.approx(history.train_losses[number], rel=1e-4)
        assert 0 <= measured["train_acc"] <= 1
        assert 0 <= measured["val_acc"] <= 1
    best = clf.predict(validation) == validation.y
    assert told[history.best_epoch][1]["val_acc"] == pytest.approx(best.mean())


def test_none_trains_every_epoch() -> None:
    y = np.random.default_rng(0).integers(0, 3, 24)
    noise = TextDataset(topic_texts(24), y, target_labels=np.arange(3))
    clf = classifier(num_epochs=12, early_stopping_patience=1, batch_size=24)
    clf.fit(noise, texts.single(9))
    assert history_of(clf).num_steps < 12
    clf.fit(noise, texts.single(9), early_stopping="none")
    assert history_of(clf).num_steps == 12


def test_what_is_no_handler_is_refused() -> None:
    with pytest.raises(TypeError, match="early_stopping is 5"):
        classifier().fit(texts.single(9), early_stopping=5)


# A second fit


def test_a_second_fit_goes_on_from_the_first() -> None:
    train = texts.single(72)
    clf = classifier(num_epochs=5).fit(train)
    first = history_of(clf).train_losses
    before = parameters(clf)
    clf.lr = 1e-30
    clf.fit(train)
    for name, value in parameters(clf).items():
        torch.testing.assert_close(value, before[name])
    assert history_of(clf).train_losses[0] < first[0] / 2


# Files


def test_a_saved_classifier_goes_on_where_it_was(
    fitted: TransformerClassification, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "a" / "clf")
    loaded = TransformerClassification.load(tmp_path / "a" / "clf")
    assert_same_parameters(parameters(loaded), parameters(fitted))
    assert loaded.num_classes == 3
    assert loaded.num_epochs == fitted.num_epochs
    assert loaded.seed == fitted.seed
    test, more = text_set(MIXED), texts.single(24, seed=6)
    np.testing.assert_array_equal(loaded.predict_proba(test), fitted.predict_proba(test))
    twin = copy.deepcopy(fitted)
    np.testing.assert_array_equal(
        loaded.fit(more).predict_proba(test), twin.fit(more).predict_proba(test)
    )


def test_a_saved_folder_is_what_hugging_face_reads(
    fitted: TransformerClassification, tmp_path: Path
) -> None:
    fitted.save(str(tmp_path / "clf"))
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "clf")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "clf")
    with torch.inference_mode():
        logits = model(**tokenizer(MIXED[:4], padding=True, return_tensors="pt")).logits
    np.testing.assert_allclose(
        logits.softmax(dim=1), fitted.predict_proba(text_set(MIXED[:4])), atol=1e-5
    )
    assert not list((tmp_path / "clf").glob("*.bin"))
    assert [path.name for path in tmp_path.iterdir()] == ["clf"]


def test_saved_multi_label_and_short_texts(
    fitted_multi: TransformerClassification, tmp_path: Path
) -> None:
    fitted_multi.save(tmp_path / "multi")
    loaded = TransformerClassification.load(tmp_path / "multi")
    assert loaded.multi_label
    test = texts.multi(20)
    np.testing.assert_array_equal(all_proba(loaded, test), all_proba(fitted_multi, test))
    short = classifier(max_length=5, num_epochs=1).fit(texts.single(12))
    short.save(tmp_path / "short")
    np.testing.assert_array_equal(
        TransformerClassification.load(tmp_path / "short").predict_proba(text_set(MIXED)),
        short.predict_proba(text_set(MIXED)),
    )


def test_options_may_differ_when_loaded(fitted: TransformerClassification, tmp_path: Path) -> None:
    fitted.save(tmp_path / "clf")
    loaded = TransformerClassification.load(tmp_path / "clf", max_tokens=50, num_epochs=2)
    assert (loaded.max_tokens, loaded.num_epochs, loaded.lr) == (50, 2, fitted.lr)
    with pytest.raises(TypeError, match="no_such_option"):
        TransformerClassification.load(tmp_path / "clf", no_such_option=1)


def test_what_cannot_be_saved_or_loaded(fitted: TransformerClassification, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not fitted"):
        classifier().save(tmp_path / "clf")
    with pytest.raises(FileNotFoundError, match="nothing"):
        TransformerClassification.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        TransformerClassification.load(checkpoint())
    fitted.save(tmp_path / "clf")
    before = {path: path.read_bytes() for path in (tmp_path / "clf").iterdir()}
    with pytest.raises(FileExistsError, match="clf"):
        fitted.save(tmp_path / "clf")
    assert {path: path.read_bytes() for path in (tmp_path / "clf").iterdir()} == before
    (description,) = [p for p in before if "format" in json_keys(p)]
    content = json.loads(description.read_text())
    description.write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(ValueError, match="99"):
        TransformerClassification.load(tmp_path / "clf")


def json_keys(path: Path) -> list[str]:
    return list(json.loads(path.read_text())) if path.suffix == ".json" else []


def test_a_failed_save_leaves_nothing(
    fitted: TransformerClassification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    clf = copy.deepcopy(fitted)
    monkeypatch.setattr(type(clf.tokenizer), "save_pretrained", full)
    with pytest.raises(OSError, match="no space"):
        clf.save(tmp_path / "clf")
    assert not (tmp_path / "clf").exists()
    monkeypatch.undo()
    clf.training_arguments = {"optim_args": object()}
    with pytest.raises(TypeError, match="training_arguments"):
        clf.save(tmp_path / "clf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("library", [pickle, dill], ids=["pickle", "dill"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_pickle_is_the_model_and_no_trainer(library: Any, precision: Any) -> None:  # noqa: ANN401
    clf = classifier(precision=precision, recorder=ListRecorder("epoch_end"))
    clf.fit(texts.single(20))
    clf.embed(texts.single(5))
    clf.predict_proba(texts.single(5), dropout_sampling=2)
    packed = library.dumps(clf)
    weights = sum(p.numel() * p.element_size() for p in clf.model.parameters())
    assert len(packed) < weights + 250_000
    for trainer_part in (b"SelectiveTrainer", b"AcceleratedOptimizer", b"Accelerator"):
        assert trainer_part not in packed
    twin = library.loads(packed)
    for one, other in zip(
        twin.embed(text_set(MIXED), return_proba=True),
        clf.embed(text_set(MIXED), return_proba=True),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    again = texts.single(30)
    np.testing.assert_array_equal(
        twin.fit(again).predict_proba(again), clf.fit(again).predict_proba(again)
    )


# The rest


def test_a_factory_loads_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    factory = TransformerClassificationFactory("no/such-model", 3, {"num_epochs": 2})
    first, second = factory.new(), factory.new()
    assert first.seed == second.seed
    assert first.num_epochs == 2
    with pytest.raises(TypeError, match="no_such_argument"):
        TransformerClassificationFactory("a-model", 3, {"no_such_argument": 2})


def test_progress_is_shown_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    for show, expected in ((True, True), (False, False), (None, False)):
        clf = classifier(num_epochs=1, show_progress=show)
        capfd.readouterr()
        clf.fit(texts.single(12)).predict(texts.single(5))
        printed = capfd.readouterr()
        assert printed.out == ""
        assert ("fit" in printed.err) == expected
    clf = classifier(num_epochs=1, show_progress=True, verbosity=0)
    clf.fit(texts.single(12))
    assert capfd.readouterr().err == ""


def test_bfloat16_is_near_float32() -> None:
    train, test = texts.single(72), texts.single(45, seed=9)
    proba = {}
    for precision in ("float32", "bfloat16"):
        clf = classifier(num_epochs=6, precision=precision).fit(train)
        assert all(p.dtype == torch.float32 for p in clf.model.parameters())
        proba[precision] = clf.predict_proba(test)
        assert (clf.predict(test) == test.y).mean() > 0.8
        assert clf.embed(test).dtype == np.float32
        clf.precision = "float32"
        exact = clf.predict_proba(test)
        assert (np.abs(exact - proba[precision]).max() > 0) == (precision == "bfloat16")
        np.testing.assert_allclose(exact, proba[precision], atol=0.05)


def test_the_trainer_is_public() -> None:
    import small_text_ext

    assert small_text_ext.SelectiveTrainer is SelectiveTrainer


def test_pairs_and_texts_may_meet_one_classifier(fitted: TransformerClassification) -> None:
    pairs = TextPairDataset(
        [("the", "goal"), ("a", "b")], np.zeros(2, dtype=np.int64), np.arange(3)
    )
    assert fitted.predict_proba(pairs).shape == (2, 3)


def test_a_generator_of_seeds() -> None:
    def made(seed: int) -> Iterator[TransformerClassification]:
        generator = np.random.default_rng(seed)
        yield from (TransformerClassification("a-model", 3, seed=generator) for _ in range(2))

    first, second = made(3)
    again, _ = made(3)
    assert first.seed == again.seed != second.seed
