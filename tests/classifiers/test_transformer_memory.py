"""Memory: what does not fit is halved, and what a round took is given back."""

from __future__ import annotations

import ctypes
import gc
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from small_text import LeastConfidence, PoolBasedActiveLearner, TextDataset
from transformers import BertForSequenceClassification, Trainer

from small_text_ext import TransformerClassification, TransformerClassificationFactory
from small_text_ext.training.seams import CandidateBatch, FitPlan, Selection
from tests.classifiers import texts
from tests.classifiers.texts import classifier, history_of
from tests.tiny_models import TEXTS, tiny_model, topic_texts
from tests.training.doubles import ListRecorder, StepLog, assert_same_parameters, parameters

ERRORS: dict[str, Callable[[], Exception]] = {
    "gpu": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": lambda: RuntimeError(
        "[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "python": MemoryError,
}


@contextmanager
def small_memory(
    fails: Callable[[int, int], bool], error: Callable[[], Exception] = ERRORS["gpu"]
) -> Iterator[list[tuple[int, int]]]:
    """Let a BERT fail where ``fails(number of the call, padded tokens)``; notes the calls."""
    calls: list[tuple[int, int]] = []
    original = BertForSequenceClassification.forward

    def forward(self: Any, input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        calls.append((input_ids.shape[0], input_ids.shape[1]))
        if fails(len(calls) - 1, input_ids.numel()):
            raise error()
        return original(self, input_ids, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BertForSequenceClassification, "forward", forward)
        yield calls


def text_set(given: list[str]) -> TextDataset:
    return TextDataset(given, np.arange(len(given)) % 3, target_labels=np.arange(3))


MIXED = [*topic_texts(20), *topic_texts(10, seed=1, length=30)]


# What does not fit


@pytest.mark.parametrize("kind", ERRORS)
def test_a_prediction_that_does_not_fit_is_halved(kind: str) -> None:
    clf, test = classifier(num_epochs=1).fit(texts.single(20)), text_set(MIXED)
    expected = clf.embed(test, return_proba=True)
    with small_memory(lambda _, tokens: tokens > 150, ERRORS[kind]) as calls:
        with pytest.warns(RuntimeWarning, match="max_tokens"):
            results = clf.embed(test, return_proba=True)
        for one, other in zip(results, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
        failed = sum(rows * columns > 150 for rows, columns in calls)
        assert 1 <= failed <= 6
        calls.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            clf.predict(test)
        assert all(rows * columns <= 150 for rows, columns in calls), "the limit was forgotten"


def test_a_single_text_that_does_not_fit_is_an_error_that_names_the_remedy() -> None:
    clf, test = classifier(num_epochs=1).fit(texts.single(20)), text_set(MIXED)
    before = clf.predict_proba(test)
    with (
        small_memory(lambda _, tokens: tokens > 8),
        warnings.catch_warnings(),
        pytest.raises(MemoryError, match="max_length"),
    ):
        warnings.simplefilter("ignore")
        clf.predict(test)
    np.testing.assert_allclose(clf.predict_proba(test), before, atol=1e-6)


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    clf = classifier(num_epochs=1).fit(texts.single(20))
    for error in (RuntimeError("sizes of tensors must match"), ValueError("a value")):

        def raised(error: Exception = error) -> Exception:
            return error

        with small_memory(lambda *_: True, raised) as calls:
            with pytest.raises(type(error), match=str(error)):
                clf.predict(texts.single(5))
            with pytest.raises(type(error), match=str(error)):
                classifier(num_epochs=1).fit(texts.single(20))
        assert len(calls) == 2


def one_step(data_set: TextDataset, **options: Any) -> tuple[Any, list[dict[str, torch.Tensor]]]:  # noqa: ANN401
    """Return a classifier, and the gradients of the steps of one epoch that moves nothing."""
    arguments = {"max_grad_norm": 0.0, **options.pop("training_arguments", {})}
    clf = classifier(
        head=True, dropout=False, num_epochs=1, lr=1e-30, training_arguments=arguments, **options
    )
    with StepLog() as log:
        clf.fit(data_set, weights=np.linspace(1, 3, len(data_set)))
    return clf, [log.gradient(step, clf.model) for step in range(len(log))]


def assert_close(given: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    for name, gradient in expected.items():
        torch.testing.assert_close(given[name], gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("fails", "accumulate"),
    [
        (lambda call, tokens: tokens > 60, 1),
        (lambda call, tokens: call == 0, 1),
        (lambda call, tokens: call in (0, 2), 1),  # the second half fails after the first passed
        (lambda call, tokens: call == 1, 2),  # the second of two accumulated batches
        (lambda call, tokens: call in (1, 4), 2),
    ],
    ids=["many-tokens", "first", "second-half", "accumulated", "accumulated-again"],
)
def test_gradients_are_those_of_the_whole_batch(
    fails: Callable[[int, int], bool], accumulate: int
) -> None:
    options: dict[str, Any] = {
        "batch_size": 30 // accumulate,
        "training_arguments": {"gradient_accumulation_steps": accumulate},
    }
    data_set = text_set(MIXED)
    whole, (expected,) = one_step(data_set, recorder=ListRecorder("training"), **options)
    with small_memory(fails), pytest.warns(RuntimeWarning, match="same gradient"):
        pieces, (gradient,) = one_step(data_set, recorder=ListRecorder("training"), **options)
    assert_close(gradient, expected)
    assert sorted(pieces.recorder.ids_of(0)) == list(range(30))
    torch.testing.assert_close(
        pieces.recorder.logits_of(0), whole.recorder.logits_of(0), atol=1e-5, rtol=1e-4
    )
    assert history_of(pieces).train_losses == pytest.approx(
        history_of(whole).train_losses, rel=1e-5
    )
    assert history_of(pieces).num_steps == history_of(whole).num_steps


def test_later_batches_keep_to_the_smaller_size() -> None:
    with (
        small_memory(lambda _, tokens: tokens > 100) as calls,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        classifier(num_epochs=4, batch_size=15).fit(text_set(MIXED))
    failed = [rows * columns > 100 for rows, columns in calls]
    assert 1 <= sum(failed) <= 4
    assert not any(failed[len(failed) // 2 :])
    assert len([w for w in caught if "same gradient" in str(w.message)]) == sum(failed)


def test_a_single_text_that_does_not_fit_in_training() -> None:
    clf = classifier(num_epochs=1).fit(texts.single(20))
    before = parameters(clf)
    with (
        small_memory(lambda _, tokens: tokens > 20),
        warnings.catch_warnings(),
        pytest.raises(MemoryError, match="max_length"),
    ):
        warnings.simplefilter("ignore")
        clf.fit(text_set(MIXED))
    assert_same_parameters(parameters(clf), before)


def test_scores_of_candidates_that_do_not_fit_are_halved_too() -> None:
    class Scorer:
        def begin(self, plan: FitPlan) -> int:
            return 30

        def select(self, batch: CandidateBatch) -> Selection:
            self.logits, self.ids = batch.score(), batch.ids
            return Selection(batch.ids.argsort()[: batch.num_selected])

    data_set, selector = text_set(MIXED), Scorer()
    options: dict[str, Any] = {"batch_size": 5, "batch_selector": selector}
    _, (expected,) = one_step(data_set, **options)
    logits = selector.logits[selector.ids.argsort()]
    with small_memory(lambda _, tokens: tokens > 250), pytest.warns(RuntimeWarning, match="tokens"):
        _, (gradient,) = one_step(data_set, **options)
    assert_close(gradient, expected)
    torch.testing.assert_close(
        selector.logits[selector.ids.argsort()], logits, atol=1e-5, rtol=1e-4
    )


# What a round took


def resident_megabytes() -> float:
    """Return what this process holds, what malloc keeps for later not counted."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def count(*kinds: type) -> int:
    gc.collect()
    return sum(isinstance(thing, kinds) for thing in gc.get_objects())


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="asks glibc")
@pytest.mark.parametrize("reuse_model", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_twenty_rounds_do_not_grow_memory(reuse_model: bool, tmp_path: Path) -> None:
    """The host's classifiers were reported to hold on to what earlier rounds trained.

    The model has 2.6 MB of weights: 14 rounds of them would be 36 MB, with the optimizer's states
    three times as much.
    """
    rare_words = " ".join(f"w{number}" for number in range(20_000))
    folder = tiny_model(tmp_path, texts=[*TEXTS, rare_words])
    data_set = texts.single(200)
    options: dict[str, Any] = {
        "num_epochs": 1,
        "validation_set_size": 0.2,
        "batch_size": 16,
        # In bfloat16 oneDNN keeps code for every shape of a batch that it has met.
        "precision": "float32",
        "seed": 1,
    }
    factory = TransformerClassificationFactory(str(folder), 3, options)
    learner = PoolBasedActiveLearner(factory, LeastConfidence(), data_set, reuse_model=reuse_model)
    learner.initialize(np.arange(40))
    modules, megabytes = [], []
    for number in range(20):
        queried = learner.query(num_samples=5)
        learner.update(data_set.y[queried])
        learner.classifier.embed(data_set[:50])
        if number in (5, 19):
            megabytes.append(resident_megabytes())
            modules.append(count(torch.nn.Module))
            assert count(Trainer, Accelerator, torch.optim.Optimizer) == 0
    assert modules[0] == modules[1]
    assert megabytes[1] - megabytes[0] < 20


def test_a_fit_leaves_no_gradients_and_no_graph() -> None:
    clf = classifier(num_epochs=1, validation_set_size=0.2).fit(texts.single(20))
    assert all(parameter.grad is None for parameter in clf.model.parameters())
    before = count(torch.Tensor)
    for _ in range(3):
        clf.fit(texts.single(20))
        clf.predict(texts.single(20))
        clf.embed(texts.single(20))
    assert count(torch.Tensor) <= before + 2


def test_a_failed_fit_holds_on_to_nothing() -> None:
    class Broken(ListRecorder):
        def record(self, *_: Any) -> None:  # noqa: ANN401
            raise RuntimeError("broken recorder")

    def fail() -> None:
        with pytest.raises(RuntimeError, match="broken"):
            classifier(recorder=Broken("training")).fit(texts.single(20))

    fail()
    before = count(torch.nn.Module)
    for _ in range(3):
        fail()
    assert count(torch.nn.Module) == before
    assert count(Trainer, Accelerator, torch.optim.Optimizer) == 0


def test_classifiers_that_are_gone_are_gone() -> None:
    def models() -> int:
        return count(BertForSequenceClassification)

    before, kept = models(), list[TransformerClassification]()
    for _ in range(3):
        kept.append(classifier(num_epochs=1).fit(texts.single(12)))
    assert models() == before + 3
    kept.clear()
    assert models() == before
