"""What the batches of contrastive training hold."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from small_text_ext.training.contrastive_batches import ClassBalancedBatches, RandomBatches

# 40, 20, 10, 5, 2 and 1 items of six classes.
LABELS = np.repeat(np.arange(6), [40, 20, 10, 5, 2, 1])


@pytest.mark.parametrize(("classes", "samples"), [(3, 2), (4, 4), (1, 2), (6, 1)])
def test_batches_hold_p_classes_of_m_different_items(classes: int, samples: int) -> None:
    batches = ClassBalancedBatches(LABELS, classes, samples, seed=1)
    assert len(batches) == -(-len(LABELS) // (classes * samples))
    made = [batch for epoch in range(5) for batch in _of_epoch(batches, epoch)]
    assert len(made) == 5 * len(batches)
    for batch in made:
        counts = Counter(LABELS[batch].tolist())
        sizes = {c: min(samples, int((c == LABELS).sum())) for c in counts}
        assert counts == {c: 2 if c == 5 else size for c, size in sizes.items()}
        assert len(counts) == classes
        assert len(set(batch) - {77}) == len(batch) - 2 * (77 in batch)


def _of_epoch(batches: ClassBalancedBatches | RandomBatches, epoch: int) -> list[list[int]]:
    batches.set_epoch(epoch)
    return list(batches)


def test_every_anchor_has_a_partner() -> None:
    for epoch in range(20):
        for batch in _of_epoch(ClassBalancedBatches(LABELS, 4, 2, seed=0), epoch):
            assert min(Counter(LABELS[batch].tolist()).values()) >= 2


def test_the_item_of_a_class_of_one_stands_twice() -> None:
    batches = ClassBalancedBatches([0, 0, 1, 2, 2, 3], classes_per_batch=9, seed=0)
    assert batches.singletons == {2, 5}
    assert len(batches) == 1
    (batch,) = batches
    assert Counter(batch) == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1, 5: 2}
    assert abs(batch.index(2) - (len(batch) - 1 - batch[::-1].index(2))) == 1


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_classes_are_drawn_by_a_power_of_their_size(power: float) -> None:
    batches = ClassBalancedBatches(LABELS, 1, 1, power=power, seed=3)
    drawn = [LABELS[batch[0]] for epoch in range(60) for batch in _of_epoch(batches, epoch)]
    sizes = np.array([40, 20, 10, 5, 2, 1.0]) ** power
    shares = np.bincount(drawn, minlength=6) / len(drawn)
    assert np.abs(shares - sizes / sizes.sum()).max() < 0.03


def test_items_of_a_class_are_gone_through_before_one_comes_again() -> None:
    batches = ClassBalancedBatches(np.zeros(7, dtype=int), samples_per_class=3, seed=0)
    batches.set_epoch(4)
    drawn = [item for batch in [*batches] for item in batch]
    assert len(batches) == 3 and set(drawn) == set(range(7))
    assert Counter(Counter(drawn).values()) == {1: 5, 2: 2}


def test_more_classes_than_there_are_take_all_of_them() -> None:
    batches = ClassBalancedBatches([0, 0, 1, 1] * 5, samples_per_class=4, seed=0)
    assert len(batches) == 3 and all(len(batch) == 8 for batch in batches)


def test_multi_label_items_go_with_their_rarest_label() -> None:
    labels = np.array([[1, 0], [1, 0], [1, 1], [1, 1], [0, 0], [0, 0]])
    for given in (labels, csr_matrix(labels), torch.from_numpy(labels)):
        batches = ClassBalancedBatches(given, seed=0)
        (batch,) = batches
        pairs = {frozenset(batch[start : start + 2]) for start in (0, 2, 4)}
        assert pairs == {frozenset(pair) for pair in [(0, 1), (2, 3), (4, 5)]}


def test_unknown_labels_are_left_out() -> None:
    drawn = {i for batch in ClassBalancedBatches([-1, 0, 0, -1, 1], seed=0) for i in batch}
    assert drawn == {1, 2, 4}


def test_random_batches_hold_each_item_once() -> None:
    batches = RandomBatches(33, batch_size=8, seed=0)
    for epoch in range(3):
        made = _of_epoch(batches, epoch)
        assert [len(batch) for batch in made] == [8, 8, 8, 8, 1] and len(batches) == 5
        assert sorted(item for batch in made for item in batch) == list(range(33))


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: ClassBalancedBatches(LABELS, 3, seed=seed),
        lambda seed: RandomBatches(78, seed=seed),
    ],
)
def test_batches_follow_from_seed_and_epoch(
    make: Callable[[int], ClassBalancedBatches | RandomBatches],
) -> None:
    first = [_of_epoch(make(5), epoch) for epoch in range(3)]
    used = make(5)
    assert [_of_epoch(used, epoch) for epoch in (2, 0)] == [first[2], first[0]]
    assert first[0] != first[1] and first[0] != _of_epoch(make(6), 0)
    assert list(pickle.loads(pickle.dumps(used))) == list(used) == first[0]


def test_a_data_loader_takes_them() -> None:
    data = torch.arange(78)
    batches = ClassBalancedBatches(LABELS, 3, seed=0)
    loader = torch.utils.data.DataLoader(data, batch_sampler=batches)  # type: ignore[arg-type, var-annotated]
    assert [batch.tolist() for batch in loader] == list(batches)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ClassBalancedBatches([]), r"labels have the shape \(0,\)"),
        (lambda: ClassBalancedBatches(np.zeros((2, 2, 2))), r"labels have the shape \(2, 2, 2\)"),
        (lambda: ClassBalancedBatches([-1, -1]), "labels hold no known class"),
        (lambda: ClassBalancedBatches([0], classes_per_batch=0), "classes_per_batch is 0"),
        (lambda: ClassBalancedBatches([0], samples_per_class=0), "samples_per_class is 0"),
        (lambda: ClassBalancedBatches([0], power=2.0), "power is 2.0"),
        (lambda: RandomBatches(0), "num_items is 0"),
        (lambda: RandomBatches(5, batch_size=0), "batch_size is 0"),
    ],
)
def test_bad_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
