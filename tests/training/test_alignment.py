"""One fit by a loss on embeddings: batches, memories, gradients in chunks, and what is left."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from small_text_ext import TransformerArguments
from small_text_ext.classifiers.pretrained import Pretrained, load_encoder
from small_text_ext.training.alignment import (
    AlignmentObjective,
    AlignmentPlan,
    AlignmentTuner,
    SecondTask,
    alignment_batches,
)
from small_text_ext.training.contrastive import (
    cosine_mse_loss,
    prototype_loss,
    supervised_contrastive_loss,
)
from small_text_ext.training.contrastive_batches import ClassBalancedBatches, RandomBatches
from small_text_ext.training.contrastive_memory import References, RingBufferMemory, make_memory
from small_text_ext.training.history import TrainingHistory
from small_text_ext.training.trainer import TokenizedItems
from tests.classifiers.texts import NO_DROPOUT
from tests.contract.states import random_states
from tests.tiny_models import checkpoint, topic_texts

CPU = torch.device("cpu")


def encoder(dropout: bool = False) -> Pretrained:
    """Return a tiny encoder of one layer."""
    config = {"num_hidden_layers": 1, **({} if dropout else NO_DROPOUT)}
    return load_encoder(TransformerArguments(checkpoint(), config_kwargs=config), seed=0)


def first_token(outputs: Any, mask: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
    return (outputs.last_hidden_state[:, 0],)


def items_of(start: Pretrained, labels: Tensor) -> TokenizedItems:
    features = start.tokenizer.encode(topic_texts(len(labels), 3))
    return TokenizedItems(features, labels, labels.float(), torch.arange(len(labels)), 3)


def tuner(labels: Tensor, memory: Any = "none", **options: Any) -> AlignmentTuner:  # noqa: ANN401
    small: dict[str, Any] = {
        "num_epochs": 2,
        "lr": 1e-3,
        "objective": AlignmentObjective(),
        "batches": alignment_batches(labels, batch_size=12, seed=1),
        "memory": make_memory(memory, 3) if isinstance(memory, str) else memory,  # type: ignore[arg-type]
        "seed": 1,
    }
    return AlignmentTuner(**{**small, **options})


def aligned(
    labels: Tensor,
    dropout: bool = False,
    **options: Any,  # noqa: ANN401
) -> tuple[dict[str, Tensor], TrainingHistory]:
    start = encoder(dropout)
    fit = tuner(labels, **options)
    items = items_of(start, labels)
    history = fit.fit(start.model, start.tokenizer, items, first_token, CPU)
    assert not start.model.training
    return start.model.state_dict(), history


def assert_close(first: dict[str, Tensor], second: dict[str, Tensor], atol: float) -> None:
    for name, values in first.items():
        torch.testing.assert_close(values, second[name], atol=atol, rtol=0, msg=name)


LABELS = torch.arange(24) % 3


def test_the_objectives_are_the_losses() -> None:
    embeddings, labels = torch.randn(8, 4), torch.arange(8) % 3
    memory = References(torch.randn(5, 4), torch.arange(5) % 3)
    generator = torch.Generator().manual_seed(3)
    contrastive = supervised_contrastive_loss(embeddings, labels, 0.2, memory=memory)
    prototypes = prototype_loss(embeddings, labels, memory=memory)
    cases: list[tuple[AlignmentObjective, Tensor]] = [
        (
            AlignmentObjective(temperature=0.2, prototype_weight=0.5),
            contrastive + 0.5 * prototypes,
        ),
        (AlignmentObjective(temperature=0.2, prototype_weight=0), contrastive),
        (AlignmentObjective("prototypes"), prototypes),
        (AlignmentObjective("cosine_mse"), cosine_mse_loss(embeddings, labels, memory=memory)),
        (
            AlignmentObjective("cosine_mse_balanced"),
            cosine_mse_loss(embeddings, labels, reduction="balanced", memory=memory),
        ),
        (
            AlignmentObjective(functools.partial(cosine_mse_loss, flip=True)),
            cosine_mse_loss(embeddings, labels, flip=True, memory=memory),
        ),
    ]
    for objective, expected in cases:
        torch.testing.assert_close(objective(embeddings, labels, memory, generator), expected)
    drawn = AlignmentObjective("cosine_mse", pairs="one")(embeddings, labels, None, generator)
    again = cosine_mse_loss(embeddings, labels, "one", generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(drawn, again)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "triplet"}, "loss is 'triplet'"),
        ({"pairs": "some"}, "pairs is 'some'"),
        ({"pairs": "one"}, "pairs is 'one', and loss 'supervised_contrastive'"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"prototype_weight": -1.0}, "prototype_weight is -1.0"),
    ],
)
def test_bad_objectives(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AlignmentObjective(**options)


def test_batches_fill_up_their_size() -> None:
    few = alignment_batches(LABELS, batch_size=12)
    assert isinstance(few, ClassBalancedBatches)
    assert [len(batch) for batch in few] == [12, 12]
    classes = torch.arange(90) % 30
    many = alignment_batches(classes, batch_size=8, classes_per_batch=16)
    assert {len(batch) for batch in many} == {8}
    assert {len(set(classes[batch].tolist())) for batch in many} == {4}
    least = alignment_batches(classes, batch_size=1)
    assert {len(batch) for batch in least} == {4}
    asked = alignment_batches(classes, batch_size=8, samples_per_class=2)
    assert {len(batch) for batch in asked} == {32}
    # Of several labels, and none, classes are those of the rarest label, and one more.
    two = torch.zeros(40, 2, dtype=torch.int64)
    two[:10, 0] = two[10:20, 1] = 1
    assert {len(batch) for batch in alignment_batches(two, batch_size=30)} == {30}
    covered = torch.ones(40, 10, dtype=torch.int64)
    covered[20:, 0] = 0  # the rarest of the first, as the second is of the others
    assert {len(batch) for batch in alignment_batches(covered, batch_size=30)} == {30}
    random = alignment_batches(LABELS, "random", batch_size=10)
    assert isinstance(random, RandomBatches)
    assert [len(batch) for batch in random] == [10, 10, 4]
    with pytest.raises(ValueError, match="batches is 'sorted'"):
        alignment_batches(LABELS, "sorted")  # type: ignore[arg-type]


def test_a_ring_holds_no_more_than_the_training_set() -> None:
    for number, slots in ((24, 8), (1000, 30)):
        plan = AlignmentPlan(memory_size=90, batch_size=6)
        batches, memory = plan.made(torch.arange(number) % 3, num_classes=3, seed=0)
        assert isinstance(memory, RingBufferMemory)
        assert memory.slots_per_class == slots
        assert memory.warm_start == min(len(batches), 100)
    chosen = AlignmentPlan(memory_warm_start=0, samples_per_class=5, classes_per_batch=2)
    batches, memory = chosen.made(LABELS, num_classes=3, seed=0)
    assert isinstance(memory, RingBufferMemory)
    assert memory.warm_start == 0
    assert {len(batch) for batch in batches} == {10}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "xbm"}, "memory is 'xbm'"),
        ({"batches": "sorted"}, "batches is 'sorted'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"memory_warm_start": -1}, "memory_warm_start is -1"),
        ({"memory_warm_start": 2.5}, "memory_warm_start is 2.5"),
        ({"samples_per_class": 1.5}, "samples_per_class is 1.5"),
    ],
)
def test_bad_plans(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        AlignmentPlan(**options)


def test_steps_in_place_of_epochs() -> None:
    _, history = aligned(LABELS, max_steps=3, num_epochs=1)
    assert history.num_steps == 3
    assert len(history.train_losses) == 2


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match="There are 2 processes"):
        aligned(LABELS)
    assert aligned(LABELS, num_epochs=0)[1].num_steps == 0


def test_a_step_is_the_gradient_of_the_loss() -> None:
    """One step of plain gradient descent on one batch, beside torch's own."""
    everything = alignment_batches(LABELS, "random", batch_size=24)
    plain = {"optim": "sgd", "max_grad_norm": 0.0}
    trained, history = aligned(
        LABELS,
        num_epochs=1,
        batches=everything,
        weight_decay=0.0,
        warmup=0.0,
        lr_scheduler_type="constant",
        training_arguments=plain,
        lr=0.01,
    )
    start = encoder()
    items, model = items_of(start, LABELS), start.model
    (rows,) = list(everything)
    inputs = start.tokenizer.pad([items.features[row] for row in rows])
    embeddings = model(**inputs).last_hidden_state[:, 0]
    labels = LABELS[rows]
    loss = supervised_contrastive_loss(embeddings, labels) + prototype_loss(embeddings, labels)
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.01 * parameter.grad
    assert_close(trained, model.state_dict(), atol=1e-6)
    assert history.num_steps == 1
    assert history.train_losses == [pytest.approx(loss.item(), rel=1e-5)]


@pytest.mark.parametrize("memory", ["none", "datapoint"])
def test_chunks_have_the_gradient_of_the_batch(memory: str) -> None:
    plain = {"optim": "sgd", "max_grad_norm": 0.0}
    whole, _ = aligned(LABELS, memory=memory, training_arguments=plain, lr=0.01)
    parts, _ = aligned(LABELS, memory=memory, training_arguments=plain, lr=0.01, chunk_size=5)
    untouched = encoder().model.state_dict()
    with pytest.raises(AssertionError):
        assert_close(whole, untouched, atol=1e-4)
    assert_close(parts, whole, atol=1e-6)


@pytest.mark.parametrize("memory", ["none", "datapoint"])
def test_no_more_texts_than_a_chunk_are_encoded_at_a_time(memory: str) -> None:
    start, sizes = encoder(), []
    start.model.register_forward_pre_hook(
        lambda module, args, inputs: sizes.append(len(inputs["input_ids"])), with_kwargs=True
    )
    fit = tuner(LABELS, memory, chunk_size=5)
    fit.fit(start.model, start.tokenizer, items_of(start, LABELS), first_token, CPU)
    assert max(sizes) == 5
    # A batch of 12 is 5, 5 and 2, each of them once without and once with a gradient.
    assert sizes.count(2) >= 2 * fit.num_epochs * len(fit.batches)


@pytest.mark.parametrize("memory", ["ring", "detached", "mixed", "datapoint"])
def test_memories_change_the_training_and_hold_the_batches(memory: str) -> None:
    without, _ = aligned(LABELS)
    fit = tuner(LABELS, memory)
    start = encoder()
    fit.fit(start.model, start.tokenizer, items_of(start, LABELS), first_token, CPU)
    references = fit.memory.references(lambda rows: torch.zeros(len(rows), 32))
    assert references is not None
    assert set(references.labels.tolist()) == {0, 1, 2}
    assert not references.embeddings.requires_grad
    with pytest.raises(AssertionError):
        assert_close(start.model.state_dict(), without, atol=1e-6)


def test_epochs_have_batches_of_their_own_and_fits_the_same() -> None:
    fit = tuner(LABELS)
    drawn = [list(fit.batches), []]
    fit.batches.set_epoch(1)
    drawn[1] = list(fit.batches)
    seen: list[list[int]] = []
    memory = make_memory("none", 3)
    memory.update = lambda embeddings, labels, items=None: seen.append(list(items or []))  # type: ignore[method-assign]
    aligned(LABELS, batches=fit.batches, memory=memory)
    assert seen == [*drawn[0], *drawn[1]]
    assert drawn[0] != drawn[1]


def test_same_seed_same_parameters_and_states_left_alone() -> None:
    before = random_states()
    first, _ = aligned(LABELS, dropout=True, memory="ring")
    assert random_states() == before
    torch.manual_seed(5)
    second, _ = aligned(LABELS, dropout=True, memory="ring")
    assert_close(first, second, atol=0)
    other, _ = aligned(LABELS, dropout=True, memory="ring", seed=2)
    with pytest.raises(AssertionError):
        assert_close(first, other, atol=1e-7)


@pytest.mark.parametrize(
    ("labels", "epochs"),
    [
        (torch.zeros(6, dtype=torch.int64), 2),
        (torch.ones(1, dtype=torch.int64), 2),
        (torch.tensor([[1.0, 0, 1]] * 6), 2),
        (LABELS, 0),
    ],
    ids=["one class", "one text", "one label set", "no epoch"],
)
def test_nothing_to_tell_apart_trains_nothing(labels: Tensor, epochs: int) -> None:
    trained, history = aligned(labels, num_epochs=epochs)
    assert_close(trained, encoder().model.state_dict(), atol=0)
    assert history.num_steps == 0
    assert history.train_losses == []


@pytest.mark.parametrize("batches", ["class_balanced", "random"])
def test_batches_without_any_pair(batches: Any) -> None:  # noqa: ANN401
    """Singletons alone, and batches of one: the loss may be zero, and has to be finite."""
    labels = torch.tensor([0, 1, 2])
    sampler = alignment_batches(labels, batches, batch_size=1, classes_per_batch=1, seed=1)
    for memory in ("none", "ring", "datapoint"):
        _, history = aligned(labels, dropout=True, batches=sampler, memory=memory)
        assert np.isfinite(history.train_losses).all()


def test_steps_under_accumulation() -> None:
    batches = alignment_batches(LABELS, "random", batch_size=8)
    _, history = aligned(
        LABELS, batches=batches, training_arguments={"gradient_accumulation_steps": 2}
    )
    fit = tuner(LABELS, batches=batches, training_arguments={"gradient_accumulation_steps": 2})
    assert history.num_steps == fit.num_steps == 4


def test_a_loss_that_is_not_finite() -> None:
    def broken(embeddings: Tensor, labels: Tensor, *, memory: References | None = None) -> Tensor:
        return embeddings.sum() * torch.inf

    with pytest.raises(FloatingPointError, match="training loss of epoch 0"):
        aligned(LABELS, objective=AlignmentObjective(broken))


def test_a_batch_that_does_not_fit() -> None:
    def greedy(embeddings: Tensor, labels: Tensor, *, memory: References | None = None) -> Tensor:
        raise MemoryError

    with pytest.raises(MemoryError, match="gradient_cache_chunk"):
        aligned(LABELS, objective=AlignmentObjective(greedy))


SECOND = torch.tensor([0, 0, 1, 1, -1])


@pytest.mark.parametrize(
    ("task", "targets"),
    [("push", {True: 0.0}), ("pull", {True: 1.0, False: 0.0}), ("mix", {True: 0.0, False: 1.0})],
)
@pytest.mark.parametrize("loss", ["cosine_mse", "supervised_contrastive"])
def test_a_second_label_is_compared_pair_by_pair(
    task: Any,  # noqa: ANN401
    targets: dict[bool, float],
    loss: Any,  # noqa: ANN401
) -> None:
    vectors = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = [3, 0, 4, 1]
    unit = torch.nn.functional.normalize(vectors)
    errors = [
        float((unit[i] @ unit[j] - targets[same]) ** 2)
        for i in range(4)
        for j in range(4)
        if i != j
        and min(SECOND[rows[i]], SECOND[rows[j]]) >= 0
        and (same := bool(SECOND[rows[i]] == SECOND[rows[j]])) in targets
    ]
    expected = sum(errors) if loss == "cosine_mse" else sum(errors) / len(errors)
    found = SecondTask(SECOND, task, (2.0, 3.0)).joined(
        torch.tensor(5.0), vectors, rows, AlignmentObjective(loss), torch.Generator()
    )
    assert float(found) == pytest.approx(10 + 3 * expected)


@pytest.mark.parametrize("task", ["push", "mix"])
def test_a_text_that_stands_twice_is_not_driven_from_itself(task: Any) -> None:  # noqa: ANN401
    objective, vectors = AlignmentObjective("cosine_mse"), torch.eye(3)[[0, 0, 1]]
    alone = SecondTask(SECOND, task).joined(
        torch.tensor(0.0), vectors[:2], [0, 0], objective, torch.Generator()
    )
    assert float(alone) == 0.0
    beside, once = (
        SecondTask(SECOND, task).joined(
            torch.tensor(0.0), vectors[places], rows, objective, torch.Generator()
        )
        for places, rows in (([0, 1, 2], [0, 0, 1]), ([0, 2], [0, 1]))
    )
    assert float(beside) == float(once)


def test_a_loss_with_the_factor_zero_is_left_out() -> None:
    objective, vectors = AlignmentObjective("cosine_mse"), torch.ones(2, 1)
    first, rows = torch.tensor(torch.nan), [0, 1]
    alone = SecondTask(SECOND, "push", (0.0, 1.0))
    assert float(alone.joined(first, vectors, rows, objective, torch.Generator())) == 2.0
    other = SecondTask(SECOND, "push", (1.0, 0.0))
    assert float(other.joined(torch.tensor(4.0), vectors, rows, objective, torch.Generator())) == 4


def test_a_second_label_changes_the_training_even_of_one_class() -> None:
    labels, second = torch.zeros(24, dtype=torch.int64), torch.arange(24) % 3
    start = encoder().model.state_dict()
    unchanged, history = aligned(labels)
    assert history.num_steps == 0
    assert_close(unchanged, start, 0.0)
    changed, history = aligned(labels, second=SecondTask(second))
    assert history.num_steps > 0
    assert any(not torch.equal(value, changed[name]) for name, value in start.items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "flip"}, "second_task is 'flip'"),
        ({"weights": (1.0,)}, "two numbers"),
        ({"weights": (1.0, -1.0)}, "at least 0"),
        ({"weights": (0.0, 0.0)}, "above 0 for one"),
    ],
)
def test_bad_second_tasks(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SecondTask(SECOND, **options)
