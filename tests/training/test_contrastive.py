"""Every loss against plain loops over pairs, in float64, and what batches without pairs give."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from small_text_ext.training.contrastive import (
    _Blocks,
    _Candidates,
    cosine_mse_loss,
    prototype_loss,
    supervised_contrastive_loss,
    two_task_loss,
)
from small_text_ext.training.contrastive_memory import Combine, References

LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 3, -1])
SETS = torch.tensor(
    [[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]]
)
TOLERANCE = 1e-10
# Looser types than the real ones, for arguments that are wrong.
mse: Callable[..., Tensor] = cosine_mse_loss
contrastive: Callable[..., Tensor] = supervised_contrastive_loss
prototypical: Callable[..., Tensor] = prototype_loss
LOSSES: list[Callable[..., Tensor]] = [
    cosine_mse_loss,
    partial(cosine_mse_loss, pairs="one"),
    partial(cosine_mse_loss, reduction="mean"),
    partial(cosine_mse_loss, reduction="balanced", negative_margin=0.1),
    partial(cosine_mse_loss, flip=True),
    partial(cosine_mse_loss, inverse=True),
    supervised_contrastive_loss,
    prototype_loss,
]


def vectors(rows: int = 8, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 5, generator=generator, dtype=torch.float64).requires_grad_()


def cosine(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum() / (first.square().sum() * second.square().sum()).sqrt()


def alike(first: Tensor, second: Tensor) -> float:
    """Return the Jaccard similarity of two labels, or NaN."""
    if first.ndim == 0:
        return math.nan if min(first, second) < 0 else float(first == second)
    a, b = set(first.nonzero().flatten().tolist()), set(second.nonzero().flatten().tolist())
    return len(a & b) / len(a | b) if a | b else math.nan


Pair = tuple[int, int, float]


def partners(labels: Tensor, memory: Tensor | None, combine: Combine) -> list[Pair]:
    """List all ordered pairs by anchor, column (memory after batch) and similarity of labels."""
    n, pairs = len(labels), []
    columns = labels if memory is None else torch.cat([labels, memory])
    for i in range(n):
        for positive in (True, False):
            found = [
                (i, j, alike(labels[i], columns[j]))
                for j in range(len(columns))
                if j != i and (alike(labels[i], columns[j]) > 0) == positive
            ]
            found = [pair for pair in found if not math.isnan(pair[2])]
            batch = [pair for pair in found if pair[1] < n]
            stored = [pair for pair in found if pair[1] >= n]
            pairs += {
                "add": batch + stored,
                "first": stored or batch,
                "fallback": batch or stored,
            }[combine]
    return pairs


def errors(embeddings: Tensor, pairs: list[Pair], turned: bool, margin: float | None) -> Any:  # noqa: ANN401
    """Return the squared errors of the positive and of the negative pairs."""
    of_kind: dict[bool, list[Tensor]] = {True: [], False: []}
    for i, j, similarity in pairs:
        target = 1 - similarity if turned else similarity
        s = cosine(embeddings[i], embeddings[j])
        error = (s - target) ** 2
        if margin is not None and target == 0:
            error = (s - margin).clamp(min=0) ** 2
        of_kind[similarity > 0].append(error)
    return of_kind[True], of_kind[False]


def total(values: list[Tensor]) -> Tensor:
    return torch.stack(values).sum() if values else torch.zeros((), dtype=torch.float64)


def assert_same(loss: Tensor, expected: Tensor, *parameters: Tensor) -> None:
    """Compare two losses, and their gradients."""
    torch.testing.assert_close(loss, expected, rtol=TOLERANCE, atol=TOLERANCE)
    ours_of, theirs_of = (
        torch.autograd.grad(value, parameters, retain_graph=True) for value in (loss, expected)
    )
    for ours, theirs in zip(ours_of, theirs_of, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("labels", [LABELS, SETS], ids=["classes", "label sets"])
@pytest.mark.parametrize("margin", [None, 0.2])
@pytest.mark.parametrize(("flip", "inverse"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("chunk_bytes", [2**20, 130])
def test_all_pairs_agree_with_a_double_loop(
    labels: Tensor, margin: float | None, flip: bool, inverse: bool, chunk_bytes: int
) -> None:
    embeddings = vectors()
    positive, negative = errors(embeddings, partners(labels, None, "add"), flip or inverse, margin)
    positive, negative = [] if inverse else positive, [] if flip else negative
    number = len(positive) + len(negative)
    expected = {
        "sum": total(positive) + total(negative),
        "mean": (total(positive) + total(negative)) / number,
        "balanced": total(positive) / max(1, len(positive))
        + total(negative) / max(1, len(negative)),
    }
    for reduction, value in expected.items():
        loss = mse(
            embeddings,
            labels,
            reduction=reduction,
            negative_margin=margin,
            flip=flip,
            inverse=inverse,
            chunk_bytes=chunk_bytes,
        )
        assert_same(loss, value, embeddings)


def test_flipped_and_inverse_labels_together_take_all_pairs() -> None:
    embeddings = vectors()
    positive, negative = errors(embeddings, partners(LABELS, None, "add"), True, None)
    both = cosine_mse_loss(embeddings, LABELS, flip=True, inverse=True)
    assert_same(both, total(positive) + total(negative), embeddings)


@pytest.mark.parametrize("combine", ["add", "first", "fallback"])
@pytest.mark.parametrize("labels", [LABELS, SETS], ids=["classes", "label sets"])
def test_a_memory_adds_precedes_or_stands_in(labels: Tensor, combine: Combine) -> None:
    embeddings, stored = vectors(), vectors(4, seed=1)
    stored_labels = labels[[6, 1, 1, 3]]
    memory = References(stored, stored_labels, combine)
    pairs = partners(labels, stored_labels, combine)
    positive, negative = errors(torch.cat([embeddings, stored]), pairs, False, None)
    loss = cosine_mse_loss(embeddings, labels, memory=memory)
    assert_same(loss, total(positive) + total(negative), embeddings, stored)
    chunked = cosine_mse_loss(embeddings, labels, memory=memory, chunk_bytes=200)
    assert_same(chunked, loss, embeddings, stored)


def test_a_detached_memory_leaves_the_gradient_to_the_anchor() -> None:
    embeddings, stored = vectors(1), vectors(1, seed=1)
    memory = References(stored.detach(), torch.tensor([0]), "first")
    loss = cosine_mse_loss(embeddings, torch.tensor([0]), memory=memory)
    assert_same(loss, (cosine(embeddings[0], stored.detach()[0]) - 1) ** 2, embeddings)


def test_one_pair_takes_a_partner_of_each_kind_where_there_is_one() -> None:
    """Two classes of two and one of one: positive partners are given, negative ones are not."""
    embeddings = vectors(5)
    labels = torch.tensor([0, 0, 1, 1, 2])
    pairs = [(0, 1), (1, 0), (2, 3), (3, 2)]
    expected = total([cosine(embeddings[i], embeddings[j]) ** 2 for i, j in pairs])
    loss = cosine_mse_loss(embeddings, labels, pairs="one", flip=True)
    assert_same(loss, expected, embeddings)
    mean = cosine_mse_loss(embeddings, labels, pairs="one", reduction="mean", flip=True)
    assert_same(mean, expected / 4, embeddings)


def test_one_pair_draws_in_equal_shares() -> None:
    embeddings = torch.eye(4, dtype=torch.float64)
    embeddings[0] = torch.tensor([1.0, 0.5, 0.25, 0.125])
    labels = torch.tensor([0, 1, 1, 1])
    generator, counts = torch.Generator().manual_seed(0), [0, 0, 0]
    own = float(cosine_mse_loss(embeddings[1:], labels[1:], pairs="one", generator=generator))
    others = [float(cosine(embeddings[0], embeddings[j]) ** 2) for j in (1, 2, 3)]
    for _ in range(600):
        loss = float(cosine_mse_loss(embeddings, labels, pairs="one", generator=generator))
        drawn = [abs(loss - own - sum(others) - other) for other in others]
        assert min(drawn) < TOLERANCE
        counts[drawn.index(min(drawn))] += 1
    assert all(150 < count < 250 for count in counts)


def test_partners_of_an_anchor_are_drawn_apart() -> None:
    """Two positive and two negative ones in batch and memory each: all combinations come up."""
    memory = References(vectors(4, seed=1), torch.tensor([0, 0, 1, 1]))
    candidates = _Candidates.of(vectors(5), torch.tensor([0, 0, 0, 1, 1]), memory)
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(200):
        rows, columns, _ = candidates.drawn_pairs(_Blocks.of(candidates, 2**20), generator)
        seen.add(tuple(columns[rows == 0].tolist()))
    assert seen == set(itertools.product((1, 2), (5, 6), (3, 4), (7, 8)))


@pytest.mark.parametrize("combine", ["add", "first", "fallback"])
def test_drawn_pairs_depend_on_the_generator_alone(combine: Combine) -> None:
    embeddings = vectors()
    memory = References(vectors(4, seed=1), LABELS[:4], combine)

    def loss(seed: int, chunk_bytes: int) -> Tensor:
        return cosine_mse_loss(
            embeddings,
            LABELS,
            pairs="one",
            memory=memory,
            generator=torch.Generator().manual_seed(seed),
            chunk_bytes=chunk_bytes,
        )

    assert_same(loss(5, 2**20), loss(5, 96), embeddings)
    assert len({loss(seed, 2**20).item() for seed in range(20)}) > 3


def test_an_added_memory_has_a_draw_of_its_own() -> None:
    """One positive and one negative partner from the batch, and as many from the memory."""
    same = torch.ones(3, 2)
    memory = References(same, torch.tensor([0, 1, 1]))
    counted = [
        float(cosine_mse_loss(same, torch.tensor([0, 0, 1]), "one", "sum", m, flip=True))
        for m in (None, memory)
    ]
    assert counted == pytest.approx([2.0, 5.0])


@pytest.mark.parametrize("labels", [LABELS, SETS], ids=["classes", "label sets"])
@pytest.mark.parametrize("stored", [False, True])
def test_supervised_contrastive_agrees_with_a_loop(labels: Tensor, stored: bool) -> None:
    embeddings, old, temperature = vectors(), vectors(3, seed=1), 0.3
    old_labels = labels[[1, 2, 6]]
    memory = References(old, old_labels) if stored else None
    columns = torch.cat([embeddings, old])
    pairs = partners(labels, old_labels if stored else None, "add")
    losses = []
    for i in range(len(labels)):
        mine = [(j, weight) for anchor, j, weight in pairs if anchor == i]
        weights = sum(weight for _, weight in mine)
        if not weights:
            continue
        exponents = {j: torch.exp(cosine(columns[i], columns[j]) / temperature) for j, _ in mine}
        norm = total(list(exponents.values()))
        losses.append(total([-w / weights * torch.log(exponents[j] / norm) for j, w in mine]))
    parameters = (embeddings, old) if stored else (embeddings,)
    call = partial(supervised_contrastive_loss, embeddings, labels, temperature, memory=memory)
    assert_same(call(), total(losses) / len(losses), *parameters)
    assert_same(call(reduction="sum", chunk_bytes=100), total(losses), *parameters)


@pytest.mark.parametrize("labels", [LABELS, SETS], ids=["classes", "label sets"])
def test_prototype_loss_agrees_with_a_loop(labels: Tensor) -> None:
    embeddings, old, scale = vectors(), vectors(3, seed=1), 7.0
    columns = torch.cat([embeddings, old])
    old_labels = labels[[1, 2, 2]]
    all_labels = torch.cat([labels, old_labels])
    number = labels.shape[1] if labels.ndim == 2 else 4
    has = [
        [bool(row[c]) if labels.ndim == 2 else int(row) == c for c in range(number)]
        for row in all_labels
    ]
    losses = []
    for i in range(len(labels)):
        exponents = {}
        for c in range(number):
            others = [columns[j] / columns[j].norm() for j in range(11) if has[j][c] and j != i]
            if others:
                exponents[c] = torch.exp(scale * cosine(columns[i], torch.stack(others).mean(0)))
        mine = [c for c in exponents if has[i][c]]
        norm = total(list(exponents.values()))
        if mine:
            losses.append(total([-torch.log(exponents[c] / norm) for c in mine]) / len(mine))
    memory = References(old, old_labels)
    loss = prototype_loss(embeddings, labels, scale=scale, memory=memory)
    assert_same(loss, total(losses) / len(losses), embeddings, old)
    summed = prototype_loss(embeddings, labels, scale=scale, memory=memory, reduction="sum")
    assert_same(summed, total(losses), embeddings, old)


@pytest.mark.parametrize("labels", [LABELS, SETS], ids=["classes", "label sets"])
def test_given_prototypes_are_learnt(labels: Tensor) -> None:
    embeddings = vectors()
    prototypes = vectors(3 if labels.ndim == 2 else 4, seed=1)
    losses = []
    for i in range(8):
        logits = torch.stack([16 * cosine(embeddings[i], p) for p in prototypes])
        mine = labels[i].nonzero().flatten().tolist() if labels.ndim == 2 else [int(labels[i])]
        mine = [c for c in mine if c >= 0]
        if mine:
            losses.append(-logits.log_softmax(0)[mine].mean())
    loss = prototype_loss(embeddings, labels, prototypes)
    assert_same(loss, total(losses) / len(losses), embeddings, prototypes)


def test_two_tasks_pull_and_push() -> None:
    embeddings = vectors()
    bias, publisher = LABELS, torch.tensor([0, 0, 1, 1, 2, 2, -1, 0])
    pull, push = (
        cosine_mse_loss(embeddings, bias),
        cosine_mse_loss(embeddings, publisher, flip=True),
    )
    assert push.item() > 0.01
    assert_same(two_task_loss(embeddings, bias, publisher), pull + push, embeddings)
    assert_same(two_task_loss(embeddings, bias, publisher, 0.0), pull, embeddings)
    turned = partial(cosine_mse_loss, flip=True, inverse=True, reduction="mean")
    both = two_task_loss(embeddings, bias, publisher, 0.5, supervised_contrastive_loss, turned)
    expected = supervised_contrastive_loss(embeddings, bias) + 0.5 * turned(embeddings, publisher)
    assert_same(both, expected, embeddings)


def test_items_of_one_task_each_make_the_sum_of_both_tasks() -> None:
    embeddings = vectors()
    first = torch.tensor([0, 1, 0, 1, -1, -1, -1, -1])
    second = torch.tensor([-1, -1, -1, -1, 0, 0, 1, 1])
    apart = cosine_mse_loss(embeddings[:4], first[:4]) + cosine_mse_loss(
        embeddings[4:], second[4:], flip=True
    )
    assert_same(two_task_loss(embeddings, first, second), apart, embeddings)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "labels", [[], [2], [-1, -1], [0, -1]], ids=["empty", "one", "unknown", "one known"]
)
@pytest.mark.parametrize("chunk_bytes", [2**20, 1])
def test_a_batch_without_pairs_has_no_loss_and_a_gradient_of_zero(
    loss: Callable[..., Tensor], labels: list[int], chunk_bytes: int
) -> None:
    embeddings = torch.randn(len(labels), 4, requires_grad=True)
    options = {} if loss is prototype_loss else {"chunk_bytes": chunk_bytes}
    value = loss(embeddings, torch.tensor(labels, dtype=torch.int64), **options)
    assert value.shape == () and value.item() == 0.0
    value.backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "labels", [[3, 3, 3], [0, 1, 2]], ids=["one class", "classes that occur once"]
)
def test_a_batch_with_pairs_of_one_kind_has_a_finite_loss(
    loss: Callable[..., Tensor], labels: list[int]
) -> None:
    embeddings = torch.randn(3, 4, requires_grad=True)
    value = loss(embeddings, torch.tensor(labels))
    value.backward()  # type: ignore[no-untyped-call]
    assert math.isfinite(value.item()) and embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_pairs_of_one_kind_are_those_pairs() -> None:
    embeddings = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert float(cosine_mse_loss(embeddings, torch.tensor([0, 0]))) == pytest.approx(2 * 0.16)
    assert float(cosine_mse_loss(embeddings, torch.tensor([0, 1]))) == pytest.approx(2 * 0.36)
    assert float(supervised_contrastive_loss(embeddings, torch.tensor([0, 1]))) == 0.0


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_texts_and_zero_vectors_have_a_finite_gradient(loss: Callable[..., Tensor]) -> None:
    embeddings = torch.ones(5, 3)
    embeddings[4] = 0
    embeddings.requires_grad_()
    loss(embeddings, torch.tensor([0, 0, 1, 1, 0])).backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None and embeddings.grad.abs().max() < 100


def test_equal_texts_of_a_class_have_no_loss() -> None:
    embeddings = torch.tensor([[3.0, 4.0], [3.0, 4.0]], requires_grad=True)
    value = cosine_mse_loss(embeddings, torch.tensor([1, 1]))
    (gradient,) = torch.autograd.grad(value, embeddings)
    assert value.item() < 1e-12 and float(gradient.abs().max()) < 1e-6
    assert cosine_mse_loss(embeddings, torch.tensor([0, 1])).item() == pytest.approx(2.0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_are_computed_in_float32(
    loss: Callable[..., Tensor], dtype: torch.dtype
) -> None:
    embeddings = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    torch.manual_seed(0)
    expected = loss(embeddings.float(), LABELS)
    torch.manual_seed(0)
    assert torch.equal(loss(embeddings, LABELS), expected)
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(embeddings.float(), LABELS), expected)


@pytest.mark.parametrize("loss", [cosine_mse_loss, supervised_contrastive_loss])
def test_no_block_of_many_is_kept_for_the_gradient(loss: Callable[..., Tensor]) -> None:
    def kept(chunk_bytes: int) -> int:
        """Return the numbers that are held between the forward and the backward pass."""
        sizes: list[int] = []
        embeddings = torch.randn(400, 4, requires_grad=True)

        def pack(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss(embeddings, torch.arange(400) % 7, chunk_bytes=chunk_bytes)
        return sum(sizes)

    assert kept(2**30) >= 400 * 400
    assert kept(400 * 4 * 10) < 400 * 40


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e, y: mse(e, y, pairs="some"), "pairs is 'some': pass one of 'all'"),
        (lambda e, y: mse(e, y, reduction="max"), "reduction is 'max'"),
        (lambda e, y: mse(e, y, chunk_bytes=0), "chunk_bytes is 0"),
        (
            lambda e, y: mse(e[0], y),
            r"embeddings are .* of the shape \(5,\)",
        ),
        (lambda e, y: mse(e.long(), y), "embeddings are torch.int64"),
        (lambda e, y: mse(e, y[:3]), r"labels have the shape \(3,\) for 8 embeddings"),
        (
            lambda e, y: mse(e, y, memory=References(e[:, :2], y)),
            "memory has vectors of 2 dimensions, and embeddings 5",
        ),
        (
            lambda e, y: mse(e, y, memory=References(e, SETS)),
            r"memory has labels of the shape \(8, 3\)",
        ),
        (lambda e, y: contrastive(e, y, temperature=0), "temperature is 0"),
        (lambda e, y: contrastive(e, y, reduction="all"), "reduction is 'all'"),
        (lambda e, y: prototypical(e, y, scale=-1), "scale is -1"),
        (lambda e, y: prototypical(e, y, reduction="all"), "reduction is 'all'"),
        (lambda e, y: prototypical(e, y, e[:3]), r"prototypes have the shape \(3, 5\), for 4"),
        (lambda e, y: prototypical(e, y, e[:, :2]), r"prototypes have the shape \(8, 2\)"),
        (lambda e, y: prototypical(e, SETS, e), "prototypes are 8 for 3 columns"),
        (lambda e, y: prototypical(e, y, e, memory=References(e, y)), "memory is of means"),
    ],
)
def test_bad_arguments_are_named(call: Callable[[Tensor, Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(vectors(), LABELS)
