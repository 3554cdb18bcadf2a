"""Losses that pull the embeddings of a class together.

Each compares the whole batch in one matrix product, with no list of pairs, and takes what a memory
holds (`small_text_ext.training.contrastive_memory.References`) as further columns.

What all of them share:

- Labels are class ids, shape (n,), or zeros and ones, shape (n, num_classes). Two items of a
  multi-label task are as alike as their label sets: the Jaccard similarity, the size of the
  intersection by that of the union. A pair is positive if that is above 0, and negative if it is 0.
- A negative class id stands for an unknown label: the item is in no pair. Two items of a
  multi-label task that have no label at all are no pair either, for want of a union.
- Items are told apart by their position. The same text twice is a pair like any other; the
  gradient of a pair of equal embeddings is zero, whatever its target.
- A batch of one, of one class alone or of classes that occur once gives the loss of the pairs that
  it has. If it has none, the loss is zero, and has a gradient, which is zero too.
- Embeddings of any length are scaled to length one; one of length zero stays zero. Half precision
  is computed in float32, inside of autocast too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from small_text_ext.training.contrastive_memory import Combine, References

Pairs = Literal["all", "one"]
PairLoss = Callable[[Tensor, Tensor], Tensor]

CHUNK_BYTES = 64 * 2**20
"""A block of the similarity matrix takes at most so many bytes, unless told otherwise."""

_SMALLEST_SQUARED_NORM = 1e-6


def cosine_mse_loss(
    embeddings: Tensor,
    labels: Tensor,
    pairs: Pairs = "all",
    reduction: Literal["sum", "mean", "balanced"] = "sum",
    memory: References | None = None,
    *,
    negative_margin: float | None = None,
    flip: bool = False,
    inverse: bool = False,
    generator: torch.Generator | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Tensor:
    """Compare the cosine of each pair with 1 if the classes are equal, and with 0 if they are not.

    The loss of class-driven embedding alignment: classes are pulled to directions at right angles
    to each other.

    Parameters
    ----------
    embeddings : torch.Tensor, shape (n, d)
        The batch.
    labels : torch.Tensor, shape (n,) of int, or (n, num_classes) of zeros and ones
        Its labels; of label sets, the target is their Jaccard similarity.
    pairs : {"all", "one"}, default="all"
        "all" takes every ordered pair of two different items, so that each pair counts twice. "one"
        draws for each anchor one positive and one negative partner, where there are any.
    reduction : {"sum", "mean", "balanced"}, default="sum"
        The sum of the squared errors; their mean; or the mean over the positive pairs plus that
        over the negative pairs, which of C classes are about C times as many. With "mean" and
        "balanced" the size of the batch does not change the learning rate.
    memory : References or None, default=None
        More partners of each anchor. Those that are added to the batch (``combine="add"``) have a
        draw of their own with ``pairs="one"``.
    negative_margin : float or None, default=None
        Pairs with the target 0 cost ``max(0, cosine - negative_margin) ** 2``, so that what is far
        enough apart is left alone. None costs ``cosine ** 2``: a cosine below zero is an error too.
    flip : bool, default=False
        Push items of a class apart: takes the positive pairs alone, with one minus their target.
        A text that is there twice, as those alone in their class are in class-balanced batches, or
        again in a memory, is pushed from itself: give random batches and no memory, or a second
        task (`SecondTask`), which knows better.
    inverse : bool, default=False
        Pull different classes together: takes the negative pairs alone, with the target 1. Together
        with ``flip`` it takes all pairs.
    generator : torch.Generator or None, default=None
        Where ``pairs="one"`` draws from, on any device; None is torch's global generator. The
        draws do not depend on ``chunk_bytes``.
    chunk_bytes : int, default=64 MiB
        A block of rows of the similarity matrix takes at most so many bytes, and what is computed
        from it a few times as many. If there are several blocks, each is computed again for its
        gradient.

    Returns
    -------
    torch.Tensor, shape ()
        The loss, of float32 or the embeddings' float64.

    Raises
    ------
    ValueError
        If shapes do not fit, or an option is unknown or out of range.

    Notes
    -----
    Differences from the authors' code: one matrix product in place of a search for pairs, whose
    time grows with the cube of the batch; flipped and inverse labels work, and batches without
    pairs do, both of which crash there; the same text twice is two items.

    References
    ----------
    L. Garbas, "embedding-alignment", 2023, the pairs and targets of its alignment models.

    Examples
    --------
    >>> vectors = torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.0, 1.0]])
    >>> cosine_mse_loss(vectors, torch.tensor([0, 0, 1]))
    tensor(4.)
    >>> cosine_mse_loss(vectors, torch.tensor([0, 0, 1]), reduction="balanced")
    tensor(1.5000)
    """
    _check_choice("pairs", pairs, ("all", "one"))
    _check_choice("reduction", reduction, ("sum", "mean", "balanced"))
    candidates = _Candidates.of(embeddings, labels, memory)
    targets = _Targets(negative_margin, flip, inverse)
    blocks = _Blocks.of(candidates, chunk_bytes)
    if pairs == "one":
        drawn = candidates.drawn_pairs(blocks, generator)
        sums, counts = targets.of_drawn(candidates, *drawn)
    else:
        sums, counts = blocks.total(lambda start, stop: targets.of_block(candidates, start, stop))
    if reduction == "balanced":
        return (sums / counts.clamp(min=1)).sum()
    total = sums.sum()
    return total / counts.sum().clamp(min=1) if reduction == "mean" else total


def supervised_contrastive_loss(
    embeddings: Tensor,
    labels: Tensor,
    temperature: float = 0.1,
    reduction: Literal["mean", "sum"] = "mean",
    memory: References | None = None,
    *,
    chunk_bytes: int = CHUNK_BYTES,
) -> Tensor:
    """Tell an anchor's class from all others by a softmax over the cosines with every other item.

    Close partners of other classes weigh most. Each anchor's positive partners weigh one together,
    however many there are.

    Parameters
    ----------
    embeddings : torch.Tensor, shape (n, d)
        The batch.
    labels : torch.Tensor, shape (n,) of int, or (n, num_classes) of zeros and ones
        Its labels; partners with a similar label set weigh by their Jaccard similarity.
    temperature : float, default=0.1
        Cosines are divided by it. Close to 0, only the closest partners count; a large one weighs
        all alike.
    reduction : {"mean", "sum"}, default="mean"
        Over the anchors that have a positive partner; others have no loss of their own, and are
        partners all the same.
    memory : References or None, default=None
        More partners of each anchor.
    chunk_bytes : int, default=64 MiB
        As in `cosine_mse_loss`.

    Returns
    -------
    torch.Tensor, shape ()
        The loss in nats.

    Raises
    ------
    ValueError
        If shapes do not fit, or an option is unknown or out of range.

    Notes
    -----
    Differences from the authors' code: anchors without a positive partner are left out of the mean,
    where they are not a number, or lower it; the loss is not scaled by the ratio of two
    temperatures.

    References
    ----------
    P. Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, the loss with the sum outside
    of the logarithm.

    Examples
    --------
    >>> vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    >>> loss = supervised_contrastive_loss(vectors, torch.tensor([0, 0, 1]))
    >>> round(float(loss.exp()), 4)
    2.0
    """
    _check_choice("reduction", reduction, ("mean", "sum"))
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: pass a number above 0, such as 0.1.")
    candidates = _Candidates.of(embeddings, labels, memory)

    def block(start: int, stop: int) -> tuple[Tensor, Tensor]:
        partners = candidates.partners(start, stop)
        logits = candidates.similarities(start, stop) / temperature
        weights = partners.overlap * partners.positive
        return _soft_cross_entropy(logits, partners.positive | partners.negative, weights)

    sums, counts = _Blocks.of(candidates, chunk_bytes).total(block)
    total = sums.sum()
    return total / counts.sum().clamp(min=1) if reduction == "mean" else total


def prototype_loss(
    embeddings: Tensor,
    labels: Tensor,
    prototypes: Tensor | None = None,
    scale: float = 16.0,
    reduction: Literal["mean", "sum"] = "mean",
    memory: References | None = None,
) -> Tensor:
    """Tell an item's class by a softmax over its cosines with one prototype a class.

    With given prototypes every item counts, whatever else is in the batch. Added to
    `supervised_contrastive_loss` it covers the classes that occur once.

    Parameters
    ----------
    embeddings : torch.Tensor, shape (n, d)
        The batch.
    labels : torch.Tensor, shape (n,) of int, or (n, num_classes) of zeros and ones
        Its labels; an item of several labels has the mean of their losses.
    prototypes : torch.Tensor, shape (num_classes, d), or None, default=None
        Parameters to be learnt, or means to be kept. None takes the mean of each class in batch and
        memory, without the item that is compared with it: an item whose class has no other is left
        out, and so is, for all items, a class that does not occur.
    scale : float, default=16.0
        Cosines are multiplied by it; a small one keeps even perfect items from a loss of zero.
    reduction : {"mean", "sum"}, default="mean"
        Over the items that are not left out.
    memory : References or None, default=None
        More items of the means, whatever its ``combine``. Not with ``prototypes``.

    Returns
    -------
    torch.Tensor, shape ()
        The loss in nats.

    Raises
    ------
    ValueError
        If shapes do not fit, a class has no prototype, or an option is unknown or out of range.

    Notes
    -----
    The matrix is (n, num_classes): there is nothing to be chunked. Means are of unit vectors, and
    have a gradient.

    References
    ----------
    J. Snell, K. Swersky and R. Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017;
    here with cosines, and with each item left out of its own mean in place of a support set.

    Examples
    --------
    >>> vectors, labels = torch.eye(2), torch.tensor([0, 1])
    >>> round(float(prototype_loss(vectors, labels, prototypes=torch.ones(2, 2)).exp()), 4)
    2.0
    >>> prototype_loss(vectors, labels)
    tensor(0.)
    """
    _check_choice("reduction", reduction, ("mean", "sum"))
    if not scale > 0:
        raise ValueError(f"scale is {scale}: pass a number above 0, such as 16.")
    if prototypes is not None and memory is not None:
        raise ValueError("memory is of means: leave it out, or leave prototypes out.")
    candidates = _Candidates.of(embeddings, labels, memory)
    if prototypes is None:
        cosines, members, known = _cosines_with_means(candidates)
    else:
        cosines, members = _cosines_with_given(candidates, prototypes)
        known = torch.ones_like(members, dtype=torch.bool)
    sums, count = _soft_cross_entropy(scale * cosines, known, members * known)
    return sums / count.clamp(min=1) if reduction == "mean" else sums


def two_task_loss(
    embeddings: Tensor,
    pull_labels: Tensor,
    push_labels: Tensor,
    push_weight: float = 1.0,
    pull: PairLoss = cosine_mse_loss,
    push: PairLoss | None = None,
) -> Tensor:
    """Pull items together by one label, and push them apart by another.

    For a space in which, say, political bias shows, and the publisher that it correlates with does
    not.

    Parameters
    ----------
    embeddings : torch.Tensor, shape (n, d)
        The batch.
    pull_labels, push_labels : torch.Tensor, shape (n,) of int, or (n, classes) of zeros and ones
        One label of each task for each item; -1 where it is unknown, so that the items of a batch
        may belong to one task each.
    push_weight : float, default=1.0
        A factor of the second loss; 0 leaves it out.
    pull : callable, default=cosine_mse_loss
        ``pull(embeddings, labels)`` returns a loss; bind options by ``functools.partial``.
    push : callable or None, default=None
        Likewise; None is `cosine_mse_loss` with ``flip=True``. With ``inverse=True`` too, items
        that differ in the second label are pulled together as well.

    Returns
    -------
    torch.Tensor, shape ()
        ``pull + push_weight * push``.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Notes
    -----
    Both losses are sums by default: of a different number of pairs, so bind ``reduction="mean"`` or
    "balanced" to both if ``push_weight`` shall compare them.

    Examples
    --------
    >>> vectors, bias = torch.ones(2, 1), torch.tensor([0, 0])
    >>> publisher = torch.tensor([3, 3])
    >>> two_task_loss(vectors, bias, publisher, push_weight=0.5)
    tensor(1.)
    """
    total = pull(embeddings, pull_labels)
    if push_weight == 0:
        return total
    if push is None:
        return total + push_weight * cosine_mse_loss(embeddings, push_labels, flip=True)
    return total + push_weight * push(embeddings, push_labels)


@dataclass(frozen=True)
class _Partners:
    """Of a block of anchors: how alike the labels are, and which pairs count."""

    overlap: Tensor
    positive: Tensor
    negative: Tensor


@dataclass(frozen=True)
class _Candidates:
    """The anchors, which are the batch, and what they are compared with: batch and memory."""

    anchors: Tensor
    stored: Tensor
    labels: Tensor
    combine: Combine

    @classmethod
    def of(cls, embeddings: Tensor, labels: Tensor, memory: References | None) -> _Candidates:
        _check_batch(embeddings, labels, memory)
        anchors = _unit(embeddings)
        if memory is None:
            return cls(anchors, anchors[:0].detach(), labels, "add")
        columns = torch.cat([labels, memory.labels.to(labels)])
        return cls(anchors, _unit(memory.embeddings.to(anchors)), columns, memory.combine)

    @property
    def num_anchors(self) -> int:
        return len(self.anchors)

    @property
    def vectors(self) -> Tensor:
        return torch.cat([self.anchors, self.stored])

    def similarities(self, start: int, stop: int) -> Tensor:
        anchors = self.anchors[start:stop]
        of_batch = _product(anchors, self.anchors.T)
        if not len(self.stored):
            return of_batch
        # Apart from the batch: the backward pass leaves a detached memory out.
        return torch.cat([of_batch, _product(anchors, self.stored.T)], dim=1)

    def partners(self, start: int, stop: int) -> _Partners:
        overlap = _overlap(self.labels[start:stop], self.labels).to(self.anchors.dtype)
        rows = torch.arange(stop - start, device=overlap.device)
        overlap[rows, rows + start] = torch.nan
        positive, negative = self._preferred(overlap > 0), self._preferred(overlap == 0)
        return _Partners(overlap.nan_to_num(0.0), positive, negative)

    def _preferred(self, partners: Tensor) -> Tensor:
        """Leave out the second source of partners, row by row, where the first one has any."""
        if self.combine == "add" or not len(self.stored):
            return partners
        of_batch = torch.arange(partners.shape[1], device=partners.device) < self.num_anchors
        first = ~of_batch if self.combine == "first" else of_batch
        enough = (partners & first).any(dim=1, keepdim=True)
        return partners & (first | ~enough)

    def drawn_pairs(
        self, blocks: _Blocks, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw a positive and a negative partner of each anchor: rows, columns, overlaps."""
        device = torch.device("cpu") if generator is None else generator.device
        # All numbers at once: how rows are chunked must not change them.
        draws = torch.rand(4, self.num_anchors, generator=generator, device=device)
        draws = draws.to(self.anchors.device)
        drawn: list[tuple[Tensor, Tensor, Tensor]] = []
        sources = [slice(None)]
        if self.combine == "add" and len(self.stored):
            sources = [slice(0, self.num_anchors), slice(self.num_anchors, None)]
        for start, stop in blocks:
            partners = self.partners(start, stop)
            for kind, mask in enumerate((partners.positive, partners.negative)):
                for place, source in enumerate(sources):
                    numbers = draws[2 * kind + place, start:stop]
                    rows, columns = _drawn(mask[:, source], numbers)
                    columns = columns + (source.start or 0)
                    drawn.append((rows + start, columns, partners.overlap[rows, columns]))
        if not drawn:
            empty = torch.zeros(0, dtype=torch.int64, device=self.anchors.device)
            return empty, empty, self.anchors.new_zeros(0)
        all_rows, all_columns, overlaps = zip(*drawn, strict=True)
        return torch.cat(all_rows), torch.cat(all_columns), torch.cat(overlaps)


@dataclass(frozen=True)
class _Targets:
    """What cosines are compared with, and which pairs are compared at all."""

    negative_margin: float | None
    flip: bool
    inverse: bool

    def of_block(self, candidates: _Candidates, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return sums of the squared errors, and numbers, of positive and of negative pairs."""
        partners = candidates.partners(start, stop)
        errors = self._squared(candidates.similarities(start, stop), partners.overlap)
        return self._sums(errors, partners.positive, partners.negative)

    def of_drawn(
        self, candidates: _Candidates, rows: Tensor, columns: Tensor, overlap: Tensor
    ) -> tuple[Tensor, Tensor]:
        cosines = (candidates.anchors[rows] * candidates.vectors[columns]).sum(dim=1)
        return self._sums(self._squared(cosines, overlap), overlap > 0, overlap == 0)

    def _squared(self, cosines: Tensor, overlap: Tensor) -> Tensor:
        targets = 1 - overlap if self.flip or self.inverse else overlap
        errors = (cosines - targets).square()
        if self.negative_margin is None:
            return errors
        beyond = (cosines - self.negative_margin).relu().square()
        return torch.where(targets == 0, beyond, errors)

    def _sums(self, errors: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Sum positive and negative pairs apart; a kind that is not compared counts nothing."""
        sums, counts = [], []
        for mask, used in (
            (positive, self.flip or not self.inverse),
            (negative, self.inverse or not self.flip),
        ):
            sums.append((errors * mask).sum() * used)
            counts.append(mask.sum() * used)
        return torch.stack(sums), torch.stack(counts)


@dataclass(frozen=True)
class _Blocks:
    """Rows of the similarity matrix that are computed at a time."""

    num_rows: int
    size: int

    @classmethod
    def of(cls, candidates: _Candidates, chunk_bytes: int) -> _Blocks:
        if chunk_bytes < 1:
            raise ValueError(f"chunk_bytes is {chunk_bytes}: pass a number of bytes, 1 or more.")
        row = max(1, len(candidates.labels) * candidates.anchors.element_size())
        return cls(candidates.num_anchors, max(1, chunk_bytes // row))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for start in range(0, self.num_rows, self.size):
            yield start, min(start + self.size, self.num_rows)

    def total(self, function: Callable[[int, int], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Add up sums and counts of all blocks; of several, none is kept for the gradient."""
        if self.num_rows <= self.size:
            return function(0, self.num_rows)
        sums, counts = zip(
            *(
                checkpoint(function, *block, use_reentrant=False, preserve_rng_state=False)
                for block in self
            ),
            strict=True,
        )
        return torch.stack(sums).sum(dim=0), torch.stack(counts).sum(dim=0)


def _unit(vectors: Tensor) -> Tensor:
    """Scale rows to length one, and leave rows of zeros as they are."""
    if vectors.dtype in (torch.float16, torch.bfloat16):
        vectors = vectors.float()
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    # Not clamped to a tiny length: the gradient at zero would be as large as that is small.
    return vectors / norms.masked_fill(norms == 0, 1.0)


def _product(first: Tensor, second: Tensor) -> Tensor:
    """Multiply in the given precision, inside of a trainer's autocast too."""
    with torch.autocast(device_type=first.device.type, enabled=False):
        product: Tensor = first @ second
    return product


def _overlap(labels: Tensor, others: Tensor) -> Tensor:
    """Return the Jaccard similarity of each two label sets; NaN where it is not defined."""
    if labels.ndim == 1:
        same = (labels[:, None] == others).float()
        return same.masked_fill((labels < 0)[:, None] | (others < 0), torch.nan)
    # Apple's GPUs have no double precision; what is counted is exact in single, too.
    wide = torch.float32 if labels.device.type == "mps" else torch.float64
    first, second = labels.to(wide), others.to(wide)
    shared = first @ second.T
    return shared / (first.sum(dim=1)[:, None] + second.sum(dim=1) - shared)


def _drawn(mask: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Draw a true column of each row that has any, by a number in [0, 1)."""
    counts = mask.sum(dim=1)
    rows = counts.nonzero().squeeze(1)
    # A product may be rounded up to the count itself.
    rank = torch.minimum((numbers[rows] * counts[rows]).long(), counts[rows] - 1)
    columns = (mask[rows].cumsum(dim=1) > rank[:, None]).int().argmax(dim=1)
    return rows, columns


def _soft_cross_entropy(logits: Tensor, known: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Sum the cross-entropies of the rows that have a weight, and count these rows.

    The softmax is over the known columns, and the weights, scaled to a sum of one, are the target.
    """
    total = weights.sum(dim=1)
    rows = total > 0
    # Not minus infinity: a row without a known column would have no gradient but NaN.
    least = torch.finfo(logits.dtype).min
    normalizers = logits.masked_fill(~known, least).logsumexp(dim=1)
    targets = (weights * logits).sum(dim=1) / total.masked_fill(~rows, 1.0)
    return (normalizers - targets).masked_fill(~rows, 0.0).sum(), rows.sum()


def _cosines_with_means(candidates: _Candidates) -> tuple[Tensor, Tensor, Tensor]:
    """Return each anchor's cosine with the mean of all other items of each class.

    The second is which classes the anchor has, and the third which have other items. The sum of a
    class without the anchor differs from the whole sum by the anchor: its length and its product
    with the anchor follow from theirs.
    """
    anchors = candidates.anchors
    members = _members(candidates.labels).to(anchors)
    sums = _product(members.T, candidates.vectors)
    own = members[: candidates.num_anchors]
    lengths = anchors.square().sum(dim=1, keepdim=True) * own
    products = _product(anchors, sums.T)
    squares = sums.square().sum(dim=1) - 2 * own * products + lengths
    cosines = (products - lengths) / squares.clamp(min=_SMALLEST_SQUARED_NORM).sqrt()
    return cosines, own, members.sum(dim=0) - own > 0


def _cosines_with_given(candidates: _Candidates, prototypes: Tensor) -> tuple[Tensor, Tensor]:
    vectors, labels = candidates.anchors, candidates.labels
    classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1 if len(labels) else 0
    given = tuple(prototypes.shape)
    if prototypes.ndim != 2 or given[1] != vectors.shape[1] or given[0] < classes:
        raise ValueError(
            f"prototypes have the shape {given}, for {classes} classes or more and "
            f"{vectors.shape[1]} dimensions: pass one row for each class."
        )
    members = _members(labels, given[0]).to(vectors)
    if members.shape[1] != given[0]:
        raise ValueError(f"prototypes are {given[0]} for {members.shape[1]} columns of labels.")
    return _product(vectors, _unit(prototypes.to(vectors)).T), members


def _members(labels: Tensor, num_classes: int | None = None) -> Tensor:
    """Return which classes each item has, a bool or number for each."""
    if labels.ndim == 2:
        return labels
    number = num_classes
    if number is None:
        number = max(1, int(labels.max()) + 1) if len(labels) else 1
    return labels[:, None] == torch.arange(number, device=labels.device)


def _check_batch(embeddings: Tensor, labels: Tensor, memory: References | None) -> None:
    if embeddings.ndim != 2 or not embeddings.is_floating_point():
        raise ValueError(
            f"embeddings are {embeddings.dtype} of the shape {tuple(embeddings.shape)}: pass "
            "floating-point vectors, one row for each item."
        )
    if labels.ndim not in (1, 2) or len(labels) != len(embeddings):
        raise ValueError(
            f"labels have the shape {tuple(labels.shape)} for {len(embeddings)} embeddings: pass "
            "(n,) class ids, or (n, num_classes) zeros and ones."
        )
    if memory is None:
        return
    if memory.embeddings.shape[1] != embeddings.shape[1]:
        raise ValueError(
            f"memory has vectors of {memory.embeddings.shape[1]} dimensions, and embeddings "
            f"{embeddings.shape[1]}: start a new memory with a new encoder."
        )
    if memory.labels.shape[1:] != labels.shape[1:]:
        raise ValueError(
            f"memory has labels of the shape {tuple(memory.labels.shape)}, and the batch "
            f"{tuple(labels.shape)}: pass labels of one kind."
        )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: pass one of {', '.join(map(repr, choices))}.")
