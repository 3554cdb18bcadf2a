"""What side models answer and learn, against the same steps written with torch alone."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from small_text_ext import (
    MLPClassificationFactory,
    MLPModelArguments,
    ReducibleLossClassification,
)
from small_text_ext.training.batch_selection import training_loss
from small_text_ext.training.online_selection import ScoreSelector
from small_text_ext.training.seams import CandidateBatch, FitPlan
from small_text_ext.training.side_models import EncoderSideModel, HeadSideModel
from small_text_ext.training.tokens import TextTokenizer
from tests.classifiers import texts
from tests.tiny_models import checkpoint, topic_texts
from tests.training.test_online_selection import NUM_CLASSES, NUM_ITEMS, dataset, fitted

Side = HeadSideModel | EncoderSideModel


def plan(num_classes: int = 3, multi_label: bool = False) -> FitPlan:
    return FitPlan(torch.arange(100), num_classes, 2, 4, multi_label, 0)


def vectors(seed: int = 0, labels: torch.Tensor | None = None) -> CandidateBatch:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(12, 5, generator=generator)
    if labels is None:
        labels = torch.randint(3, (12,), generator=generator)
    return CandidateBatch(torch.arange(12), labels, inputs, lambda: torch.zeros(12, 3), 4, 0)


def tokenizer() -> TextTokenizer:
    return TextTokenizer(AutoTokenizer.from_pretrained(checkpoint("distilbert", 3)), max_length=32)


def encoder(num_labels: int = 3) -> Any:  # noqa: ANN401
    folder = checkpoint("distilbert", num_labels)
    return AutoModelForSequenceClassification.from_pretrained(folder)


def encoded() -> CandidateBatch:
    inputs, labels = tokenizer().encode(topic_texts(12)), torch.arange(12) % 3
    return CandidateBatch(torch.arange(12), labels, inputs, lambda: torch.zeros(12, 3), 4, 0)


def begun(side: Any, **options: Any) -> Any:  # noqa: ANN401
    side.begin(plan(**options))
    return side


# A head on vectors


def test_a_given_head_takes_steps_of_plain_gradient_descent() -> None:
    module, batch, positions = nn.Linear(5, 3), vectors(), torch.tensor([7, 0, 3, 3])
    side = begun(HeadSideModel(module, lr=0.5))
    assert torch.equal(side.logits(batch), module(batch.inputs))
    assert not side.logits(batch).requires_grad
    expected = copy.deepcopy(module)
    optimizer = torch.optim.SGD(
        expected.parameters(), lr=0.5 / (1 + float((batch.inputs**2).sum(dim=1).mean()))
    )
    for _ in range(3):
        side.update(batch, positions)
        logits = expected(batch.inputs[positions])
        optimizer.zero_grad()
        functional.cross_entropy(logits, batch.labels[positions]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    torch.testing.assert_close(side.logits(batch), expected(batch.inputs).detach())
    assert not torch.allclose(side.logits(batch), module(batch.inputs), atol=1e-3)
    side.begin(plan())
    assert torch.equal(side.logits(batch), module(batch.inputs)), "a fit must start anew"


def test_the_updated_irreducible_model_learns_at_a_hundredth_of_the_rate() -> None:
    assert HeadSideModel(nn.Linear(5, 3)).lr == HeadSideModel().lr / 100


@pytest.mark.parametrize("hidden_size", [None, 6])
def test_a_new_head_knows_nothing_and_learns(hidden_size: int | None) -> None:
    batch = vectors()
    side = begun(HeadSideModel(hidden_size=hidden_size, seed=1))
    assert torch.equal(side.logits(batch), torch.zeros(12, 3))
    for _ in range(300):
        side.update(batch, torch.arange(12))
    losses = training_loss(side.logits(batch), batch.labels)
    assert float(losses.mean()) < 0.6 < np.log(3)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_the_scale_of_the_vectors_does_not_upset_it(scale: float) -> None:
    unit = vectors()
    batch = CandidateBatch(unit.ids, unit.labels, unit.inputs * scale, unit.score, 4, 0)
    side, losses = begun(HeadSideModel()), []
    for _ in range(50):
        side.update(batch, torch.arange(12))
        losses.append(float(training_loss(side.logits(batch), batch.labels).mean()))
    assert max(losses) < np.log(3)
    assert losses == sorted(losses, reverse=True)


def test_multi_label_heads_learn_each_label() -> None:
    labels = (vectors().inputs[:, :3] > 0).float()
    batch = vectors(labels=labels)
    side = begun(HeadSideModel(), multi_label=True)
    for _ in range(300):
        side.update(batch, torch.arange(12))
    assert ((side.logits(batch) > 0) == (labels > 0.5)).float().mean() > 0.9


def test_frozen_models_stay_as_they_are() -> None:
    for side, batch in (
        (HeadSideModel(nn.Linear(5, 3), learn=False), vectors()),
        (EncoderSideModel(encoder(), tokenizer(), learn=False), encoded()),
    ):
        begun(side)
        before = side.logits(batch)
        side.update(batch, torch.arange(12))
        assert torch.equal(side.logits(batch), before)


def test_a_proxy_head_selects_and_the_choice_is_deterministic() -> None:
    def run() -> tuple[Any, Any]:
        selector = ScoreSelector(
            "loss", selected_fraction=0.25, scorer=HeadSideModel(hidden_size=8, seed=3)
        )
        clf = fitted(selector, num_epochs=4)
        return clf.predict_proba(dataset(seed=2)), selector.log.frame()

    (first, log), (again, _) = run(), run()
    np.testing.assert_array_equal(first, again)
    assert (first.argmax(axis=1) == dataset(seed=2).y).mean() > 0.8
    # What it has learnt by the last epoch is no news to it.
    assert log["mean_score"].iloc[-6:].mean() < log["mean_score"].iloc[:1].mean()


def test_a_head_of_held_out_items_is_an_irreducible_model() -> None:
    base = MLPClassificationFactory(MLPModelArguments(), NUM_CLASSES, {"batch_size": 10, "seed": 1})
    held_out = base.new().fit(dataset(600, seed=9))
    train_set = dataset()
    labels = train_set.y.copy()
    wrong = np.arange(0, NUM_ITEMS, 5)
    labels[wrong] = (labels[wrong] + 1) % NUM_CLASSES
    train_set.y = labels
    shares = {}
    for name, score in (("reducible", "reducible_loss"), ("loss", "loss")):
        side = HeadSideModel(held_out.model)
        options: dict[str, Any] = {"irreducible_model": side} if name == "reducible" else {}
        clf = ReducibleLossClassification(
            base, score=score, selected_fraction=0.25, known_noisy=wrong, seed=0, **options
        ).fit(train_set)
        assert clf.selection_log_ is not None
        shares[name] = clf.selection_log_["noisy"].mean()
    assert shares["reducible"] < 0.12 < 0.3 < shares["loss"]


# An encoder


def test_an_encoder_takes_steps_of_adamw() -> None:
    batch, positions = encoded(), torch.tensor([2, 5, 6])
    side = begun(EncoderSideModel(encoder(), tokenizer(), lr=1e-3))
    expected = encoder().eval()
    inputs = tokenizer().pad(batch.inputs)
    torch.testing.assert_close(
        side.logits(batch), expected(**inputs).logits.detach(), atol=1e-5, rtol=1e-4
    )
    optimizer = torch.optim.AdamW(expected.parameters(), lr=1e-3)
    for _ in range(2):
        side.update(batch, positions)
        part = tokenizer().pad([batch.inputs[row] for row in positions.tolist()])
        optimizer.zero_grad()
        loss = functional.cross_entropy(expected(**part).logits, batch.labels[positions])
        torch.autograd.backward(loss)
        optimizer.step()
    after = expected(**inputs).logits.detach()
    torch.testing.assert_close(side.logits(batch), after, atol=1e-4, rtol=1e-3)
    assert not torch.allclose(after, encoder().eval()(**inputs).logits, atol=1e-2)


def test_a_smaller_encoder_selects_for_another() -> None:
    def run() -> tuple[Any, Any]:
        side = EncoderSideModel(encoder(), tokenizer(), lr=4e-3)
        selector = ScoreSelector("loss", selected_fraction=0.5, scorer=side)
        clf = texts.classifier("distilbert", num_epochs=2, batch_selector=selector)
        clf.fit(texts.single(48))
        return clf.predict_proba(texts.single(24, seed=1)), selector.log.frame()

    (first, log), (again, _) = run(), run()
    np.testing.assert_array_equal(first, again)
    assert len(log) == 6
    # The scores are those of a model that learns: the trained one's would be others.
    plain = ScoreSelector("loss", selected_fraction=0.5, training_mode=False)
    texts.classifier("distilbert", num_epochs=2, batch_selector=plain).fit(texts.single(48))
    assert (log["mean_score"] != plain.log.frame()["mean_score"]).all()


# Both


@pytest.mark.parametrize("kind", ["new", "given", "encoder"])
def test_global_random_states_are_left_alone_and_pickles_start_anew(kind: str) -> None:
    made: dict[str, Side] = {
        "new": HeadSideModel(hidden_size=4, seed=0),
        "given": HeadSideModel(nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 3))),
        "encoder": EncoderSideModel(encoder(), tokenizer(), lr=1e-3),
    }
    side, batch = made[kind], encoded() if kind == "encoder" else vectors()
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]  # noqa: NPY002
    outcomes = []
    for one in (side, pickle.loads(pickle.dumps(side)), side):
        begun(one)
        for _ in range(2):
            one.update(batch, torch.arange(6))
        outcomes.append(one.logits(batch))
    assert torch.equal(outcomes[0], outcomes[1])
    assert torch.equal(outcomes[0], outcomes[2])
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    with pytest.raises(ValueError, match="in no fit: call begin"):
        pickle.loads(pickle.dumps(side)).logits(batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"module": nn.Linear(5, 3), "hidden_size": 3}, "leave it out, or leave module out"),
        ({"learn": False}, "learn=False freezes a given module"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"lr": 0.0}, "lr is 0.0: pass a number above 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_options_that_make_no_sense_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HeadSideModel(**options)


def test_models_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="lr is nan"):
        EncoderSideModel(encoder(), tokenizer(), lr=float("nan"))
    with pytest.raises(ValueError, match="has 4 logits, and the trained one has 3"):
        begun(HeadSideModel(nn.Linear(5, 4))).logits(vectors())
    with pytest.raises(TypeError, match="reads vectors: pass an EncoderSideModel"):
        begun(HeadSideModel()).logits(encoded())
    with pytest.raises(TypeError, match="reads encoded texts: pass a HeadSideModel"):
        begun(EncoderSideModel(encoder(), tokenizer())).logits(vectors())
