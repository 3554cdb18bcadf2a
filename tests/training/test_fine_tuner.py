"""What is left of a fit through the Hugging Face Trainer, and how it is optimised."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from logging import Handler, LogRecord
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_text import TextDataset
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, BertModel
from transformers.utils import logging

from small_text_ext import TransformerClassification
from small_text_ext.training.seams import UniformSelector
from tests.classifiers import texts
from tests.classifiers.texts import all_proba, classifier, history_of
from tests.contract.states import random_states
from tests.sources import run_python
from tests.tiny_models import checkpoint, topic_texts
from tests.training.doubles import ListRecorder, StepLog, assert_same_parameters, parameters

# What is left of a fit


class Listener(Handler):
    """Keeps what is logged: the handlers that print are bound to the streams they began with."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: LogRecord) -> None:
        self.messages.append(record.getMessage())


def test_a_fit_leaves_no_file_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folders = {name: tmp_path / name for name in ("working", "temporary", "home", "cache")}
    for folder in folders.values():
        folder.mkdir()
    architectures = ("bert", "gpt2", "longformer", "bigbird")
    for architecture in architectures:
        checkpoint(architecture)
    # transformers says some things once in a process only, which may have been before.
    logging.warning_once.cache_clear()
    monkeypatch.chdir(folders["working"])
    monkeypatch.setenv("HOME", str(folders["home"]))
    monkeypatch.setattr(tempfile, "tempdir", str(folders["temporary"]))
    said = Listener()
    monkeypatch.setattr(logging.get_logger("transformers"), "handlers", [said])
    capfd.readouterr()
    for architecture in architectures:
        options: dict[str, Any] = {"validation_set_size": 0.2, "show_progress": False}
        clf = classifier(architecture, num_epochs=2, **options).fit(texts.single(20))
        clf.predict(texts.single(5))
        clf.predict_proba(texts.single(5), dropout_sampling=2)
        clf.embed(texts.single(5))
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""
    assert said.messages == []
    assert [path for folder in folders.values() for path in folder.rglob("*")] == []


def test_a_failed_fit_leaves_no_file_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(ListRecorder):
        def record(self, *_: Any) -> None:  # noqa: ANN401
            raise RuntimeError("broken recorder")

    checkpoint("bert")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = random_states()
    with pytest.raises(RuntimeError, match="broken recorder"):
        classifier(recorder=Broken("training")).fit(texts.single(20))
    assert list(tmp_path.rglob("*")) == []
    assert random_states() == before


def test_a_failed_fit_leaves_the_classifier_as_it_was() -> None:
    clf, test = classifier(num_epochs=1).fit(texts.single(20)), texts.single(9)
    before = all_proba(clf, test)

    class Broken(ListRecorder):
        def record(self, ids: Tensor, *record: Any) -> None:  # noqa: ANN401
            super().record(ids, *record)
            if len(self.records) > 2:
                raise RuntimeError("broken recorder")

    clf.recorder = Broken("training")
    with pytest.raises(RuntimeError, match="broken recorder"):
        clf.fit(texts.single(30))
    np.testing.assert_array_equal(all_proba(clf, test), before)
    clf.recorder = None
    clf.fit(texts.single(30))
    assert not np.array_equal(all_proba(clf, test), before)


def test_the_process_is_left_as_it_was() -> None:
    """Environment, random states, verbosity, progress bars, threads, precision, filters."""
    import warnings

    def settings() -> dict[str, Any]:
        return {
            "environment": dict(os.environ),
            "random states": random_states(),
            "verbosity": logging.get_verbosity(),
            "progress bars": logging.is_progress_bar_enabled(),
            "threads": torch.get_num_threads(),
            "default type": torch.get_default_dtype(),
            "gradients": torch.is_grad_enabled(),
            "determinism": torch.are_deterministic_algorithms_enabled(),
            "autocast": torch.is_autocast_enabled("cpu"),
            "warnings": list(warnings.filters),
            "exception hook": sys.excepthook,
        }

    before = settings()
    for precision in ("float32", "bfloat16"):
        options: dict[str, Any] = {"validation_set_size": 0.2, "precision": precision}
        clf = classifier(num_epochs=1, **options).fit(texts.single(20))
        clf.predict(texts.single(5))
        clf.embed(texts.single(5))
    after = settings()
    assert {name for name in before if after[name] != before[name]} == set()


def test_precisions_may_change_within_a_process() -> None:
    """accelerate keeps the precision of the first fit in a state of the process."""
    from transformers import Trainer, TrainingArguments

    data_set = texts.single(24)
    exact = parameters(classifier().fit(data_set))
    rounded = parameters(classifier(precision="bfloat16").fit(data_set))
    assert any(not torch.equal(value, rounded[name]) for name, value in exact.items())
    assert all(value.dtype == torch.float32 for value in rounded.values())
    assert_same_parameters(parameters(classifier().fit(data_set)), exact)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint("bert", 3))
    with tempfile.TemporaryDirectory() as folder:
        foreign = TrainingArguments(folder, bf16=True, use_cpu=True, report_to="none")
        assert Trainer(model, foreign).accelerator.mixed_precision == "bf16"
        plain = TrainingArguments(folder, use_cpu=True, report_to="none")
        assert Trainer(model, plain).accelerator.mixed_precision == "no"


def test_every_fit_computes_in_the_precision_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """accelerate marks a model that it has wrapped, and would not wrap it in a second fit."""
    lowered: list[bool] = []
    original = BertModel.forward

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        lowered.append(torch.is_autocast_enabled("cpu"))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(BertModel, "forward", forward)
    clf = classifier(precision="bfloat16", num_epochs=1)
    for precision in ("bfloat16", "bfloat16", "float32", "bfloat16"):
        clf.precision = precision
        lowered.clear()
        clf.fit(texts.single(12))
        assert lowered == [precision == "bfloat16"] * 2
    clf.embed(texts.single(12))
    assert lowered == [True] * 3


# Seeds


def test_the_same_seed_gives_the_same_parameters() -> None:
    data_set = texts.single(30)
    first = parameters(classifier(seed=1).fit(data_set))
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    assert_same_parameters(parameters(classifier(seed=1).fit(data_set)), first)
    other = parameters(classifier(seed=2).fit(data_set))
    assert not torch.equal(other["classifier.weight"], first["classifier.weight"])


def test_dropout_and_shuffling_follow_the_seed() -> None:
    """With a head in the checkpoint nothing else is left to be drawn."""
    data_set = texts.single(30)
    for options in ({"dropout": True, "batch_size": 30}, {"dropout": False, "batch_size": 8}):
        fits = [
            parameters(classifier(head=True, seed=seed, **options).fit(data_set))  # type: ignore[arg-type]
            for seed in (1, 1, 2)
        ]
        assert_same_parameters(fits[0], fits[1])
        assert not torch.equal(fits[0]["classifier.weight"], fits[2]["classifier.weight"])


@pytest.mark.slow
def test_a_fresh_process_repeats_a_fit_to_the_last_bit() -> None:
    code = (
        "import json\n"
        "from tests.classifiers import texts\n"
        "from tests.classifiers.texts import all_proba, classifier\n"
        "clf = classifier(validation_set_size=0.2).fit(texts.single(40))\n"
        "print(json.dumps(all_proba(clf, texts.single(12, seed=3)).tolist()))\n"
    )
    clf = classifier(validation_set_size=0.2).fit(texts.single(40))
    here = all_proba(clf, texts.single(12, seed=3)).tolist()
    assert json.loads(run_python(code).splitlines()[-1]) == here


def test_epochs_are_shuffled_anew() -> None:
    recorder = ListRecorder("training")
    classifier(num_epochs=3, recorder=recorder).fit(texts.single(30))
    orders = [tuple(recorder.ids_of(epoch)) for epoch in range(3)]
    assert len(set(orders)) == 3
    together = [
        {frozenset(ids.tolist()) for ids, _, _, number in recorder.records if number == epoch}
        for epoch in range(3)
    ]
    assert together[0] != together[1], "every epoch has the same batches"


# Optimisation


def test_the_learning_rate_falls_linearly_after_its_warm_up() -> None:
    with StepLog() as log:
        classifier(num_epochs=5, batch_size=8, lr=1e-3, warmup=0.2).fit(texts.single(32))
    assert len(log) == 20
    rates = np.array(log.rates) / 1e-3
    np.testing.assert_allclose(rates[:5], [0, 0.25, 0.5, 0.75, 1.0], atol=1e-6)
    np.testing.assert_allclose(np.diff(rates[4:]), -1 / 16, atol=1e-6)


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    with StepLog() as log:
        classifier(num_epochs=2, batch_size=8, lr=1e-3).fit(texts.single(32))
    np.testing.assert_allclose(np.array(log.rates) / 1e-3, 1 - np.arange(8) / 8, atol=1e-6)


def test_the_schedule_counts_optimizer_steps_under_accumulation_and_selection() -> None:
    options: dict[str, Any] = {
        "batch_selector": UniformSelector(8),
        "batch_size": 4,
        "training_arguments": {"gradient_accumulation_steps": 3},
    }
    with StepLog() as log:
        clf = classifier(num_epochs=2, lr=1e-3, **options).fit(texts.single(32))
    # Four candidate batches of 8 are two steps, of three batches and one.
    assert len(log) == 4 == history_of(clf).num_steps
    np.testing.assert_allclose(np.array(log.rates) / 1e-3, [1, 0.75, 0.5, 0.25], atol=1e-6)


@pytest.mark.parametrize("kind", ["constant", "cosine"])
def test_other_schedules(kind: str) -> None:
    with StepLog() as log:
        classifier(num_epochs=2, lr=1e-3, lr_scheduler_type=kind).fit(texts.single(32))
    expected = {
        "constant": np.ones(8),
        "cosine": (1 + np.cos(np.pi * np.arange(8) / 8)) / 2,
    }
    np.testing.assert_allclose(np.array(log.rates) / 1e-3, expected[kind], atol=1e-6)


def test_weight_decay_spares_biases_and_norms() -> None:
    with StepLog() as log:
        clf = classifier(num_epochs=1, weight_decay=0.3).fit(texts.single(8))
    decays = {group["weight_decay"] for group in log.groups[0]}
    assert decays == {0.3, 0.0}
    matrices = sum(p.ndim > 1 for p in clf.model.parameters())
    assert matrices > 0
    with StepLog() as log:
        classifier(num_epochs=1, weight_decay=0.0).fit(texts.single(8))
    assert {group["weight_decay"] for group in log.groups[0]} == {0.0}


# Validation


def noisy_split() -> tuple[TextDataset, TextDataset]:
    """Return training texts with wrong labels among them, and clean validation texts."""
    train, validation = texts.single(24), texts.single(30, seed=5)
    y = train.y.copy()
    y[:10] = (y[:10] + 1) % 3
    return TextDataset(train.x, y, target_labels=np.arange(3)), validation


def validation_loss(clf: TransformerClassification, data_set: TextDataset) -> float:
    proba = clf.predict_proba(data_set)
    return float(-np.log(proba[np.arange(len(data_set.y)), data_set.y]).mean())


def test_the_best_epoch_is_kept() -> None:
    train, validation = noisy_split()
    clf = classifier(num_epochs=12, early_stopping_patience=None).fit(train, validation)
    history = history_of(clf)
    losses = history.validation_losses
    assert len(losses) == len(history.train_losses) == 12
    assert history.best_epoch == int(np.argmin(losses)) < 11
    assert validation_loss(clf, validation) == pytest.approx(min(losses), rel=1e-4)
    assert losses[-1] > min(losses)


def test_early_stopping_waits_for_its_patience() -> None:
    train, validation = noisy_split()
    long = classifier(num_epochs=20, early_stopping_patience=None).fit(train, validation)
    short = classifier(num_epochs=20, early_stopping_patience=2).fit(train, validation)
    history = history_of(short)
    assert len(history.train_losses) == history.best_epoch + 3 < 20
    together = len(history.validation_losses)
    np.testing.assert_allclose(
        history.validation_losses, history_of(long).validation_losses[:together], rtol=1e-5
    )
    assert validation_loss(short, validation) == pytest.approx(
        min(history.validation_losses), rel=1e-4
    )


def test_several_validations_an_epoch() -> None:
    train, validation = noisy_split()
    clf = classifier(
        num_epochs=3, batch_size=4, validations_per_epoch=3, early_stopping_patience=None
    ).fit(train, validation)
    losses = history_of(clf).validation_losses
    assert len(losses) == 9
    assert history_of(clf).best_epoch == int(np.argmin(losses)) // 3
    assert validation_loss(clf, validation) == pytest.approx(min(losses), rel=1e-4)


def test_more_validations_than_steps() -> None:
    train, validation = noisy_split()
    clf = classifier(num_epochs=2, batch_size=24, validations_per_epoch=5).fit(train, validation)
    assert 2 <= len(history_of(clf).validation_losses) <= 10


def test_validation_weights_are_the_training_sets_class_weights() -> None:
    """A rare class counts in the choice of the epoch as much as in the loss."""
    y = np.array([0] * 20 + [1] * 4)
    train = TextDataset(topic_texts(24, 2), y, target_labels=np.arange(2))
    validation = TextDataset(topic_texts(8, 2), y[-8:], target_labels=np.arange(2))
    clf = classifier(num_classes=2, num_epochs=1, class_weight="balanced").fit(train, validation)
    proba = clf.predict_proba(validation)
    weights = np.where(y[-8:] == 0, 24 / 40, 24 / 8)
    expected = float((-np.log(proba[np.arange(8), y[-8:]]) * weights).mean())
    assert history_of(clf).validation_losses[0] == pytest.approx(expected, rel=1e-4)


def test_train_losses_are_the_means_of_what_was_trained() -> None:
    recorder, data_set = ListRecorder("training"), texts.single(20)
    clf = classifier(num_epochs=3, recorder=recorder).fit(data_set)
    for epoch, loss in enumerate(history_of(clf).train_losses):
        labels = torch.from_numpy(data_set.y)
        expected = float(functional.cross_entropy(recorder.logits_of(epoch), labels))
        assert loss == pytest.approx(expected, rel=1e-4)
    assert all(math.isfinite(loss) for loss in history_of(clf).train_losses)


def test_a_loss_that_is_no_number_is_an_error_that_names_the_remedy() -> None:
    with pytest.raises(FloatingPointError, match="smaller lr"):
        classifier(lr=1e30, num_epochs=6).fit(texts.single(20))


@pytest.mark.parametrize(
    "managed", ["output_dir", "num_train_epochs", "per_device_train_batch_size", "learning_rate"]
)
def test_training_arguments_that_the_classifier_sets_are_refused(managed: str) -> None:
    with pytest.raises(ValueError, match=managed):
        classifier(training_arguments={managed: 1})


def test_unknown_training_arguments_are_refused_when_the_classifier_is_made() -> None:
    with pytest.raises((TypeError, ValueError), match="gradient_acumulation_steps"):
        classifier(training_arguments={"gradient_acumulation_steps": 2})


@pytest.mark.parametrize(("times", "expected"), [(3, 2), (10, 2), (1, 1), (2, 2)])
def test_validations_are_counted_as_they_are_made(times: int, expected: int) -> None:
    """Two steps an epoch can be validated twice, whatever was asked for."""
    clf = classifier(num_epochs=3, batch_size=8, validations_per_epoch=times)
    history = history_of(clf.fit(texts.single(16), texts.single(9, seed=4)))
    assert len(history.validation_losses) == 3 * expected
    assert len(history.validation_accuracies) == 3 * expected
    lowest = int(np.argmin(history.validation_losses))
    assert history.best_epoch == lowest // expected
    step = 2 // expected
    assert history.validation_steps == list(range(step, 7, step))


def test_patience_is_in_epochs() -> None:
    """A loss that cannot fall: a learning rate so small that nothing is learnt."""
    options: dict[str, Any] = {"num_epochs": 9, "lr": 1e-30, "batch_size": 16}
    for times in (1, 8):
        clf = classifier(early_stopping_patience=2, validations_per_epoch=times, **options)
        history = history_of(clf.fit(texts.single(16), texts.single(9, seed=4)))
        assert len(history.train_losses) == 3


def test_a_handler_that_asks_for_what_was_not_measured_is_an_error() -> None:
    class Handler:
        def check_early_stop(self, epoch: int, measured: dict[str, float]) -> bool:
            return measured["val_loss"] < 0

    with pytest.raises(ValueError, match="val_loss"):
        classifier().fit(texts.single(12), early_stopping=Handler())


def test_what_the_trainer_does_not_do_is_refused() -> None:
    for name in ("label_smoothing_factor", "auto_find_batch_size"):
        with pytest.raises(ValueError, match=name):
            classifier(training_arguments={name: 1})


def test_recorders_learn_how_many_epochs_were_completed() -> None:
    for stop, completed in ((False, 4), (True, 2)):
        recorder = ListRecorder("training")

        class Handler:
            def check_early_stop(self, epoch: int, measured: dict[str, float]) -> bool:
                return stop and epoch == 2  # noqa: B023

        clf = classifier(recorder=recorder, num_epochs=4)
        clf.fit(texts.single(16), texts.single(9, seed=4), early_stopping=Handler())
        assert recorder.ends == [completed]
