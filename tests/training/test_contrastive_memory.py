"""What each memory holds after which batches, against lists kept by hand."""

from __future__ import annotations

import copy
import pickle
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from small_text_ext.training.contrastive import cosine_mse_loss
from small_text_ext.training.contrastive_memory import (
    ClassMemory,
    Combine,
    DataPointMemory,
    Memory,
    MemoryName,
    NoMemory,
    References,
    RingBufferMemory,
    make_memory,
)

NAMES: tuple[MemoryName, ...] = ("none", "detached", "mixed", "datapoint", "ring")


def batches(number: int, classes: int = 4, size: int = 6) -> list[tuple[Tensor, Tensor, list[int]]]:
    """Return embeddings, labels and items of some batches; class 0 is the most common."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for step in range(number):
        embeddings = torch.randn(size, 3, generator=generator)
        labels = (torch.rand(size, generator=generator) ** 2 * classes).long()
        made.append((embeddings, labels, [step * size + i for i in range(size)]))
    return made


def encode(items: Sequence[Any]) -> Tensor:
    return torch.tensor([[float(item), 1.0, 0.0] for item in items])


def held(memory: Memory) -> References:
    references = memory.references(encode)
    assert references is not None
    return references


@pytest.mark.parametrize("combine", ["first", "fallback", "add"])
def test_class_memory_holds_the_last_embedding_of_each_class(combine: Combine) -> None:
    memory, expected = ClassMemory(4, combine), {}
    for embeddings, labels, _ in batches(5):
        memory.update(embeddings.requires_grad_(), labels)
        expected.update(dict(zip(labels.tolist(), embeddings.tolist(), strict=True)))
        references = held(memory)
        assert references.labels.tolist() == sorted(expected)
        assert references.embeddings.tolist() == [expected[c] for c in sorted(expected)]
        assert not references.embeddings.requires_grad and references.combine == combine


def test_references_stay_as_they_were_when_the_memory_goes_on() -> None:
    """The loss of a step may be computed again, for its gradient, after the update."""
    names: tuple[MemoryName, ...] = ("detached", "ring")
    for name in names:
        memory = make_memory(name, 4)
        first, second = batches(2)[0], batches(2)[1]
        memory.update(*first)
        references = held(memory)
        before = references.embeddings.clone()
        memory.update(*second)
        assert torch.equal(references.embeddings, before)


def test_data_points_are_encoded_again_with_a_gradient() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    memory = DataPointMemory(4)
    memory.update(torch.zeros(3, 3), torch.tensor([2, 0, 2]), ["a", "bb", "cccc"])
    assert memory.items == ["bb", "cccc"]
    calls: list[list[str]] = []

    def scaled(items: Sequence[str]) -> Tensor:
        calls.append(list(items))
        return weight * torch.tensor([[float(len(item)), 1.0] for item in items])

    references = memory.references(scaled)
    assert references is not None and calls == [["bb", "cccc"]]
    assert references.labels.tolist() == [0, 2] and references.combine == "first"
    references.embeddings.sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad == 8


def test_data_points_give_one_positive_and_all_other_classes_as_negatives() -> None:
    """The reference's pairs with both of its flags: a batch of 2 with 3 classes has 6 pairs."""
    memory = DataPointMemory(3)
    memory.update(torch.zeros(3, 3), torch.tensor([0, 1, 2]), [4, 5, 6])
    references = held(memory)
    embeddings, labels = torch.randn(2, 3), torch.tensor([1, 1])
    anchors = functional.normalize(embeddings, dim=1)
    others = functional.normalize(encode([4, 5, 6]), dim=1)
    target = torch.tensor([[0.0, 1.0, 0.0]]).expand(2, 3)
    loss = cosine_mse_loss(embeddings, labels, memory=references)
    torch.testing.assert_close(loss, ((anchors @ others.T - target) ** 2).sum())


def test_data_point_memory_names_what_is_missing() -> None:
    memory = DataPointMemory(2)
    assert memory.references() is None
    with pytest.raises(ValueError, match="items are none for 1 labels"):
        memory.update(torch.zeros(1, 3), torch.tensor([0]))
    with pytest.raises(ValueError, match="items are 2 for 1 labels"):
        memory.update(torch.zeros(1, 3), torch.tensor([0]), ["a", "b"])
    memory.update(torch.zeros(1, 3), torch.tensor([0]), ["a"])
    with pytest.raises(ValueError, match="pass encode"):
        memory.references()


@pytest.mark.parametrize("size", [1, 4, 9, 40])
def test_ring_holds_the_last_of_each_class(size: int) -> None:
    memory = RingBufferMemory(4, size=size, dtype=torch.float32)
    slots = max(1, size // 4)
    expected: dict[int, deque[list[float]]] = defaultdict(lambda: deque(maxlen=slots))
    for embeddings, labels, _ in batches(12):
        memory.update(embeddings, labels)
        for vector, label in zip(functional.normalize(embeddings, dim=1), labels, strict=True):
            expected[int(label)].append(vector.tolist())
        references = held(memory)
        assert references.combine == "add"
        ours = zip(references.labels.tolist(), references.embeddings.tolist(), strict=True)
        theirs = [(c, vector) for c in expected for vector in expected[c]]
        assert sorted(ours) == sorted(theirs)


def test_ring_forgets_what_is_too_old() -> None:
    memory = RingBufferMemory(4, size=400, max_age=2, dtype=torch.float32)
    made = batches(5)
    for step, (embeddings, labels, _) in enumerate(made):
        memory.update(embeddings, labels)
        recent = torch.cat([batch[0] for batch in made[max(0, step - 1) : step + 1]])
        ours = sorted(held(memory).embeddings.tolist())
        assert ours == sorted(functional.normalize(recent, dim=1).tolist())
    # Updates without an item of its own age a memory too.
    for _ in range(2):
        memory.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert memory.references() is None


def test_ring_waits_before_it_stores() -> None:
    memory = RingBufferMemory(4, warm_start=2)
    made = batches(3)
    for embeddings, labels, _ in made[:2]:
        memory.update(embeddings, labels)
        assert memory.references() is None
    memory.update(made[2][0], made[2][1])
    assert len(held(memory).embeddings) == 6


def test_ring_stores_unit_vectors_in_half_precision() -> None:
    memory, anchor = RingBufferMemory(2), torch.tensor([[0.6, 0.8]])
    memory.update(torch.tensor([[3e5, 4e5]], requires_grad=True), torch.tensor([1]))
    references = held(memory)
    assert references.embeddings.dtype == torch.float16 and not references.embeddings.requires_grad
    torch.testing.assert_close(references.embeddings.float(), anchor, atol=1e-3, rtol=0)
    loss = cosine_mse_loss(anchor, torch.tensor([0]), memory=references)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(1.0, abs=1e-3)


def test_ring_writes_no_position_twice() -> None:
    """On a GPU it is not said which of two writes is the last."""
    memory = RingBufferMemory(2, size=6)
    memory.update(torch.zeros(1, 3), torch.tensor([0]))
    rows, positions = memory._positions(torch.tensor([0, 1, 0, 0, -1, 0, 0]))
    assert sorted(positions.tolist()) == [0, 1, 2, 3]
    assert sorted(rows.tolist()) == [1, 3, 5, 6]


@pytest.mark.parametrize("name", NAMES[1:])
def test_an_item_of_several_labels_lies_with_its_rarest(name: MemoryName) -> None:
    memory = make_memory(name, 3)
    labels = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]])
    memory.update(torch.eye(4, 3) + 1, labels, [0, 1, 2, 3])
    # Label 0 was seen three times, 1 twice and 2 once: the items have a class each.
    assert held(memory).labels.tolist() == labels[:3].tolist()


@pytest.mark.parametrize("name", NAMES[1:])
def test_unknown_labels_are_not_kept(name: MemoryName) -> None:
    memory = make_memory(name, 3)
    memory.update(torch.ones(2, 3), torch.tensor([-1, 1]), [0, 1])
    assert held(memory).labels.tolist() == [1]


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_changes_nothing(name: MemoryName) -> None:
    memory = make_memory(name, 3)
    memory.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), [])
    references = memory.references(encode)
    assert references is None or len(references.embeddings) == 0
    loss = cosine_mse_loss(torch.ones(1, 3), torch.tensor([0]), memory=references)
    assert float(loss) == 0.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("copied", ["pickle", "state"])
def test_a_copy_goes_on_as_the_original_does(name: MemoryName, copied: str) -> None:
    memory, made = make_memory(name, 4, size=9, max_age=3, warm_start=1), batches(8)
    for batch in made[:4]:
        memory.update(*batch)
    if copied == "pickle":
        other = pickle.loads(pickle.dumps(memory))
    else:
        other = make_memory(name, 4, size=9, max_age=3, warm_start=1)
        busy = copy.deepcopy(memory)
        state = busy.state_dict()
        # Neither a memory that gave its state nor one that took it writes into it.
        busy.update(*made[7])
        other.load_state_dict(state)
        other.update(*made[7])
        other.load_state_dict(state)
    for batch in made[4:]:
        for one in (memory, other):
            one.update(*batch)
        ours, theirs = memory.references(encode), other.references(encode)
        if name == "none":
            assert ours is None and theirs is None
            continue
        assert ours is not None and theirs is not None
        assert torch.equal(ours.embeddings, theirs.embeddings)
        assert torch.equal(ours.labels, theirs.labels)


def test_an_empty_memory_can_be_restored() -> None:
    for name in NAMES:
        memory = make_memory(name, 4)
        memory.load_state_dict(make_memory(name, 4).state_dict())
        assert memory.references(encode) is None


def test_names_make_their_memories() -> None:
    kinds = [type(make_memory(name, 2)) for name in NAMES]
    assert kinds == [NoMemory, ClassMemory, ClassMemory, DataPointMemory, RingBufferMemory]
    mixed = make_memory("mixed", 2)
    assert isinstance(mixed, ClassMemory) and mixed.combine == "fallback"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_memory("fifo", 2), "name is 'fifo': pass 'none'"),  # type: ignore[arg-type]
        (lambda: ClassMemory(0), "num_classes is 0"),
        (lambda: ClassMemory(2, "last"), "combine is 'last'"),  # type: ignore[arg-type]
        (lambda: DataPointMemory(2, "last"), "combine is 'last'"),  # type: ignore[arg-type]
        (lambda: RingBufferMemory(2, size=0), "size is 0"),
        (lambda: RingBufferMemory(2, max_age=0), "max_age is 0"),
        (lambda: RingBufferMemory(2, warm_start=-1), "warm_start is -1"),
        (lambda: References(torch.ones(2, 2), torch.ones(3)), r"shape \(2, 2\) for 3 labels"),
        (
            lambda: References(torch.ones(1, 2), torch.ones(1), "or"),  # type: ignore[arg-type]
            "combine is 'or'",
        ),
        (
            lambda: ClassMemory(2).update(torch.ones(1, 2), torch.tensor([2])),
            "labels hold the class 2, and this memory has 2 classes",
        ),
        (
            lambda: ClassMemory(2).update(torch.ones(1, 2), torch.ones(1, 3)),
            "labels have 3 columns, and this memory 2 classes",
        ),
        (
            lambda: ClassMemory(2).load_state_dict(ClassMemory(3).state_dict()),
            "num_classes=3, and this memory .* num_classes=2",
        ),
        (
            lambda: ClassMemory(2).load_state_dict(DataPointMemory(2).state_dict()),
            "load the state of a memory with the same options",
        ),
    ],
)
def test_bad_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
