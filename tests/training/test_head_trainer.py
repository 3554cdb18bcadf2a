from __future__ import annotations

import copy
import itertools
import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from small_text_ext.training.head_trainer import HeadData, HeadTrainer
from small_text_ext.training.history import TrainingHistory
from small_text_ext.training.losses import weighted_losses
from small_text_ext.training.seams import CandidateBatch, FitPlan, Selection, UniformSelector
from tests.training.doubles import ListRecorder, MemberSelector

NUM_ITEMS, NUM_FEATURES = 50, 6


def data(rows: Any = slice(None), first_id: int = 0) -> HeadData:  # noqa: ANN401
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.standard_normal((NUM_ITEMS, NUM_FEATURES)).astype(np.float32))
    labels = (inputs[:, 0] + 0.5 * inputs[:, 1] > 0).long()
    return HeadData(
        inputs[rows],
        labels[rows],
        torch.ones(NUM_ITEMS)[rows],
        torch.arange(first_id, first_id + NUM_ITEMS)[rows],
        num_classes=2,
    )


def head(dropout: float = 0.0) -> nn.Module:
    linear = nn.Linear(NUM_FEATURES, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.linspace(-0.1, 0.1, 12).reshape(2, NUM_FEATURES))
        linear.bias.zero_()
    return nn.Sequential(nn.Dropout(dropout), linear)


def trainer(**options: Any) -> HeadTrainer:  # noqa: ANN401
    defaults: dict[str, Any] = {
        "num_epochs": 3,
        "lr": 0.1,
        "weight_decay": 0.0,
        "batch_size": 16,
        "seed": 5,
    }
    return HeadTrainer(**{**defaults, **options})


def parameters(module: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def fitted(data: HeadData, module: nn.Module | None = None, **options: Any) -> torch.Tensor:  # noqa: ANN401
    module = module or head()
    trainer(**options).fit(module, data)
    return parameters(module)


def mean_loss(module: nn.Module, data: HeadData) -> float:
    with torch.no_grad():
        return float(weighted_losses(module(data.inputs), data.labels, data.weights).mean())


def test_training_lowers_the_loss_and_separates_the_classes() -> None:
    module = head()
    history = trainer(num_epochs=30, lr=1.0).fit(module, data())
    assert history.train_losses[-1] < 0.3 * history.train_losses[0]
    with torch.no_grad():
        assert (module(data().inputs).argmax(1) == data().labels).float().mean() > 0.95
    assert history.best_epoch == 29
    assert history.num_steps == 30 * 4
    assert history.validation_losses == []
    assert not module.training


def test_the_first_step_is_that_of_nesterov_momentum_with_an_l2_penalty() -> None:
    module = head()
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    loss = functional.cross_entropy(module(data().inputs), data().labels)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: p.grad for name, p in module.named_parameters()}
    fresh = head()
    trainer(num_epochs=1, batch_size=NUM_ITEMS, weight_decay=0.5).fit(fresh, data())
    for name, parameter in fresh.named_parameters():
        gradient = gradients[name]
        assert gradient is not None
        penalty = 0.5 * before[name] if parameter.ndim > 1 else 0.0
        expected = before[name] - 0.1 * 1.9 * (gradient + penalty)
        torch.testing.assert_close(parameter.detach(), expected)


def test_the_learning_rate_falls_to_zero() -> None:
    steps = []
    module = head()

    class Follower(ListRecorder):
        def record(self, *record: Any) -> None:  # noqa: ANN401
            steps.append(parameters(module))

    trainer(num_epochs=40, batch_size=NUM_ITEMS, recorder=Follower("epoch_end")).fit(module, data())
    moves = [float((b - a).norm()) for a, b in itertools.pairwise(steps)]
    assert moves[-1] < 0.1 * max(moves)


def test_the_same_seed_gives_the_same_parameters_and_another_does_not() -> None:
    assert torch.equal(fitted(data()), fitted(data()))
    assert not torch.equal(fitted(data()), fitted(data(), seed=6))
    dropped = [fitted(data(), head(dropout=0.5), batch_size=NUM_ITEMS) for _ in range(2)]
    assert torch.equal(*dropped)
    other = fitted(data(), head(dropout=0.5), batch_size=NUM_ITEMS, seed=6)
    assert not torch.equal(dropped[0], other)


def test_global_random_states_neither_change_nor_matter() -> None:
    expected = fitted(data(), head(dropout=0.5))
    module = head(dropout=0.5)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(fitted(data(), module), expected)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


def test_a_weight_of_two_equals_an_item_that_is_there_twice() -> None:
    rows = torch.cat([torch.arange(NUM_ITEMS), torch.arange(10)])
    weights = torch.ones(NUM_ITEMS)
    weights[:10] = 2.0
    twice = fitted(data(rows), batch_size=100, lr=0.1 * len(rows) / NUM_ITEMS)
    weighted = fitted(replace(data(), weights=weights), batch_size=100)
    torch.testing.assert_close(weighted, twice, atol=1e-5, rtol=1e-5)


def test_multi_label_items_are_trained() -> None:
    base = data()
    labels = torch.stack([base.labels, 1 - base.labels, torch.zeros(NUM_ITEMS).long()], 1).float()
    multi = replace(base, labels=labels, weights=torch.ones_like(labels), num_classes=3)
    module = nn.Linear(NUM_FEATURES, 3)
    trainer(num_epochs=60, lr=1.0).fit(module, multi)
    with torch.no_grad():
        assert ((module(base.inputs) > 0) == labels.bool()).float().mean() > 0.95


# The selector seam


@pytest.mark.parametrize("weight", [None, 1.0])
def test_a_selector_trains_only_what_it_chooses(weight: float | None) -> None:
    members = list(range(0, NUM_ITEMS, 2))
    selector = MemberSelector(members, NUM_ITEMS, weight)
    chosen = fitted(data(), batch_size=25, batch_selector=selector)
    alone = fitted(data(torch.tensor(members)), batch_size=25)
    torch.testing.assert_close(chosen, alone, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(chosen, fitted(data(), batch_size=NUM_ITEMS), atol=1e-4)


def test_selection_weights_multiply_the_losses() -> None:
    members = list(range(NUM_ITEMS))[:30]
    halved = MemberSelector(members, NUM_ITEMS, weight=0.5)
    torch.testing.assert_close(
        fitted(data(), batch_size=25, batch_selector=halved),
        fitted(data(torch.tensor(members)), batch_size=30, lr=0.05),
        atol=1e-6,
        rtol=1e-6,
    )


def test_a_position_that_is_chosen_twice_is_trained_twice() -> None:
    class Repeater(MemberSelector):
        def select(self, batch: CandidateBatch) -> Selection:
            return Selection(batch.ids.argsort().repeat_interleave(2)[: len(batch.ids)])

    repeated = fitted(data(), batch_size=25, batch_selector=Repeater([], NUM_ITEMS))
    torch.testing.assert_close(repeated, fitted(data(slice(0, 25)), batch_size=25))


def test_a_selector_sees_the_candidates_and_the_current_model() -> None:
    module = head(dropout=0.5)
    seen: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    class Scorer(MemberSelector):
        def select(self, batch: CandidateBatch) -> Selection:
            logits, noisy = batch.score(), batch.score(training=True)
            first, second = batch.samples(2)
            assert not torch.allclose(first, second)
            assert first.shape == logits.shape
            assert module.training
            assert not logits.requires_grad
            with torch.no_grad():
                seen.append((logits, noisy, module.eval()(batch.inputs)))
            module.train()
            # Weights that come from scores must be usable in a backward pass.
            losses = functional.cross_entropy(logits, batch.labels, reduction="none")
            self.batches.append(batch)
            return Selection(
                losses.topk(batch.num_selected).indices, torch.ones(batch.num_selected)
            )

    selector = Scorer([], 20)
    given = data(first_id=100)
    trainer(num_epochs=2, batch_size=5, batch_selector=selector).fit(module, given)
    for logits, noisy, expected in seen:
        torch.testing.assert_close(logits, expected)
        assert not torch.allclose(noisy, expected)
    # 50 candidates come as 17, 17 and 16; each batch keeps the ratio of a quarter.
    assert [(len(b.ids), b.num_selected, b.epoch) for b in selector.batches] == [
        (17, 5, 0), (17, 5, 0), (16, 4, 0), (17, 5, 1), (17, 5, 1), (16, 4, 1),
    ]  # fmt: skip
    for candidates in selector.batches:
        torch.testing.assert_close(candidates.inputs, given.inputs[candidates.ids - 100])
        torch.testing.assert_close(candidates.labels, given.labels[candidates.ids - 100])
    first_epoch = torch.cat([b.ids for b in selector.batches[:3]])
    assert sorted(first_epoch.tolist()) == list(range(100, 150))


def test_a_selector_without_a_choice_changes_nothing() -> None:
    class Unasked(UniformSelector):
        def select(self, batch: CandidateBatch) -> Selection:
            raise AssertionError("asked for a choice")

    assert torch.equal(fitted(data(), batch_selector=Unasked(1)), fitted(data()))


def test_uniform_selection_trains_a_share_of_each_epoch() -> None:
    recorder = ListRecorder("training")
    trainer(batch_size=5, num_epochs=4, batch_selector=UniformSelector(25), recorder=recorder).fit(
        head(), data()
    )
    assert [len(set(recorder.ids_of(epoch))) for epoch in range(4)] == [10] * 4


def test_a_candidate_batch_below_the_batch_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="chooses from 8 candidates, but batch_size is 16"):
        fitted(data(), batch_selector=MemberSelector([], 8))


class Hardest(MemberSelector):
    """Trains the fifth of 20 candidates that has the highest loss, weighted by it."""

    def __init__(self, stale: bool) -> None:
        super().__init__([], 20)
        self.stale = stale
        self.chosen: list[torch.Tensor] = []
        self.logits: list[torch.Tensor] = []

    def select(self, batch: CandidateBatch) -> Selection:
        logits = batch.score()
        losses = functional.cross_entropy(logits, batch.labels, reduction="none")
        hardest = losses.topk(batch.num_selected)
        self.batches.append(batch)
        self.logits.append(logits)
        self.chosen.append(batch.ids[hardest.indices])
        return Selection(hardest.indices, hardest.values)


def by_hand(epochs: list[list[torch.Tensor]], stale: bool) -> tuple[torch.Tensor, list[list[int]]]:
    """Train the hardest four of each of the candidate batches, written as a plain loop."""
    module, given, trained = head(), data(), list[list[int]]()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    num_steps = sum(len(epoch) for epoch in epochs)

    def choose(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            losses = functional.cross_entropy(
                module(given.inputs[ids]), given.labels[ids], reduction="none"
            )
        best = losses.topk(math.ceil(len(ids) / 5))
        return ids[best.indices], best.values

    for epoch in epochs:
        waiting = choose(epoch[0])
        for number in range(len(epoch)):
            chosen = waiting if stale or number == 0 else choose(epoch[number])
            if stale and number + 1 < len(epoch):
                waiting = choose(epoch[number + 1])
            ids, weights = chosen
            losses = functional.cross_entropy(
                module(given.inputs[ids]), given.labels[ids], reduction="none"
            )
            optimizer.param_groups[0]["lr"] = 0.1 * (1 - len(trained) / num_steps)
            optimizer.zero_grad()
            (losses * weights).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            trained.append(ids.tolist())
    return parameters(module), trained


@pytest.mark.parametrize("stale", [False, True])
def test_choices_are_of_the_present_weights_or_a_step_old(stale: bool) -> None:
    selector, recorder = Hardest(stale), ListRecorder("training")
    options: dict[str, Any] = {"batch_size": 4, "batch_selector": selector, "recorder": recorder}
    given = fitted(data(), **options)
    epochs = [[b.ids for b in selector.batches if b.epoch == epoch] for epoch in range(3)]
    assert [len(epoch) for epoch in epochs] == [3, 3, 3]
    for epoch in epochs:
        assert sorted(torch.cat(epoch).tolist()) == list(range(NUM_ITEMS))
    expected, trained = by_hand(epochs, stale)
    torch.testing.assert_close(given, expected, atol=1e-6, rtol=1e-5)
    assert [ids.tolist() for ids, *_ in recorder.records] == trained
    assert not torch.allclose(given, by_hand(epochs, not stale)[0], atol=1e-4)


def test_the_logits_of_a_stale_choice_are_those_before_the_step_before() -> None:
    module, weights = head(), list[torch.Tensor]()

    class Follower(ListRecorder):
        def record(self, *record: Any) -> None:  # noqa: ANN401
            weights.append(parameters(module))

    selector = Hardest(stale=True)
    start = parameters(module)
    recorder = Follower("training")
    trainer(num_epochs=1, batch_size=4, batch_selector=selector, recorder=recorder).fit(
        module, data()
    )
    before = [start, start, weights[0]]  # the first choice has no step before it
    for batch, logits, values in zip(selector.batches, selector.logits, before, strict=True):
        matrix, bias = values[:12].reshape(2, NUM_FEATURES), values[12:]
        torch.testing.assert_close(logits, batch.inputs @ matrix.T + bias)
    assert not torch.equal(weights[0], start)


def test_a_selector_must_choose_something() -> None:
    with pytest.raises(ValueError, match="chose none of 50 candidates"):
        fitted(data(), batch_selector=MemberSelector([], NUM_ITEMS))


# The recorder seam


@pytest.mark.parametrize("num_items", [33, 34, 47, 48, 49])
def test_no_batch_is_much_smaller_than_the_others(num_items: int) -> None:
    recorder = ListRecorder("training")
    trainer(batch_size=16, recorder=recorder).fit(head(), data(slice(0, num_items)))
    sizes = [len(ids) for ids, _, _, epoch in recorder.records if epoch == 0]
    assert sum(sizes) == num_items
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 16


def test_a_recorder_is_told_of_each_id_once_an_epoch() -> None:
    for observe in ("training", "epoch_end"):
        recorder = ListRecorder(observe)
        trainer(recorder=recorder).fit(head(), data(first_id=7))
        assert len(recorder.plans) == 1
        for epoch in range(3):
            assert sorted(recorder.ids_of(epoch)) == list(range(7, 7 + NUM_ITEMS))
        for ids, logits, labels, _ in recorder.records:
            assert logits.shape == (len(ids), 2)
            assert not logits.requires_grad
            assert torch.equal(labels, data().labels[ids - 7])


def test_training_logits_are_those_of_the_training_pass() -> None:
    recorder, module = ListRecorder("training"), head()
    before = copy.deepcopy(module)
    trainer(num_epochs=1, batch_size=NUM_ITEMS, recorder=recorder).fit(module, data())
    torch.testing.assert_close(recorder.logits_of(0), before(data().inputs).detach())


def test_epoch_end_logits_are_those_of_the_epochs_model_without_dropout() -> None:
    recorder, module = ListRecorder("epoch_end"), head(dropout=0.5)
    trainer(recorder=recorder).fit(module, data())
    with torch.no_grad():
        torch.testing.assert_close(recorder.logits_of(2), module(data().inputs))
    assert not torch.allclose(recorder.logits_of(1), recorder.logits_of(2))


@pytest.mark.parametrize("observe", ["training", "epoch_end"])
def test_a_recorder_does_not_change_a_fit(observe: Any) -> None:  # noqa: ANN401
    recorded = fitted(data(), head(dropout=0.5), recorder=ListRecorder(observe))
    assert torch.equal(recorded, fitted(data(), head(dropout=0.5)))


def test_the_plan_says_what_will_be_trained() -> None:
    recorder = ListRecorder("training")
    trainer(recorder=recorder).fit(head(), data(slice(0, 20), first_id=3))
    plan: FitPlan = recorder.plans[0]
    assert plan.ids.tolist() == list(range(3, 23))
    assert (plan.num_classes, plan.num_epochs, plan.batch_size) == (2, 3, 16)
    assert not plan.multi_label


# Validation


def noisy_split() -> tuple[HeadData, HeadData]:
    """Return training items that are worth a few epochs only, and clean validation items."""
    train = data(slice(0, 20))
    flipped = train.labels.clone()
    flipped[:8] = 1 - flipped[:8]
    return replace(train, labels=flipped), data(slice(20, None))


def test_the_best_epoch_is_kept() -> None:
    train, validation = noisy_split()
    module = head()
    history = trainer(num_epochs=40, lr=1.0).fit(module, train, validation)
    losses = history.validation_losses
    assert len(losses) == 40
    assert history.best_epoch == int(np.argmin(losses))
    assert history.best_epoch < 39
    assert mean_loss(module, validation) == pytest.approx(min(losses), rel=1e-5)
    assert mean_loss(module, validation) < losses[-1]


def test_early_stopping_waits_for_its_patience() -> None:
    train, validation = noisy_split()
    long = trainer(num_epochs=40, lr=1.0).fit(head(), train, validation)
    short = trainer(num_epochs=40, lr=1.0, early_stopping_patience=3)
    module = head()
    history = short.fit(module, train, validation)
    assert len(history.train_losses) == history.best_epoch + 4 < 40
    assert history.validation_losses == long.validation_losses[: len(history.validation_losses)]
    assert mean_loss(module, validation) == pytest.approx(min(history.validation_losses), rel=1e-5)


def test_a_loss_that_is_no_number_is_an_error_that_names_the_remedy() -> None:
    with pytest.raises(FloatingPointError, match="smaller lr"):
        fitted(data(), lr=1e38, num_epochs=20)


def test_history_is_plain_numbers() -> None:
    history = trainer().fit(head(), data(), data(slice(0, 5)))
    assert isinstance(history, TrainingHistory)
    assert all(math.isfinite(loss) for loss in history.train_losses + history.validation_losses)
