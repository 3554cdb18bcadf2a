"""What a contrastive loss remembers of earlier batches.

Each memory is used in the same three steps: `Memory.references` before the loss, the loss with
these `References`, and `Memory.update` with the batch afterwards. What a batch is compared with
therefore never holds the batch itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

Combine = Literal["add", "first", "fallback"]
Encode = Callable[[Sequence[Any]], Tensor]
MemoryName = Literal["none", "detached", "mixed", "datapoint", "ring"]


@dataclass(frozen=True)
class References:
    """What the items of a batch are compared with besides each other.

    Parameters
    ----------
    embeddings : torch.Tensor, shape (m, d)
        Vectors of any length and floating type. Whether they have a gradient is theirs to say: a
        loss does not detach them.
    labels : torch.Tensor, shape (m,) of int, or (m, num_classes) of zeros and ones
        Their labels, of the kind of the batch's.
    combine : {"add", "first", "fallback"}, default="add"
        How their pairs and those of the batch go together. "add" takes both. "first" takes an
        anchor's partners from here, and from the batch only where there are none here; "fallback"
        is the reverse. Positive and negative partners are looked for apart.

    Raises
    ------
    ValueError
        If the numbers of rows differ, or ``combine`` is unknown.
    """

    embeddings: Tensor
    labels: Tensor
    combine: Combine = "add"

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or len(self.embeddings) != len(self.labels):
            raise ValueError(
                f"embeddings have the shape {tuple(self.embeddings.shape)} for {len(self.labels)} "
                "labels: pass one row (d,) for each label."
            )
        if self.combine not in ("add", "first", "fallback"):
            raise ValueError(f"combine is {self.combine!r}: pass 'add', 'first' or 'fallback'.")


class Memory(Protocol):
    """What every memory can do. All of them pickle, and none draws random numbers."""

    def references(self, encode: Encode | None = None) -> References | None:
        """Return what the next batch is compared with, or None if there is nothing.

        Parameters
        ----------
        encode : callable or None, default=None
            ``encode(items)`` returns the embeddings, shape (len(items), d), of items that `update`
            was given, with a gradient. Only `DataPointMemory` calls it.
        """

    def update(
        self, embeddings: Tensor, labels: Tensor, items: Sequence[Any] | None = None
    ) -> None:
        """Remember a batch, after its loss was computed.

        Parameters
        ----------
        embeddings : torch.Tensor, shape (b, d)
            Of the batch; they are detached.
        labels : torch.Tensor, shape (b,) of int, or (b, num_classes) of zeros and ones
            Of the batch.
        items : sequence or None, default=None
            What the embeddings were made from. Only `DataPointMemory` keeps it.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of everything that is remembered."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Parameters
        ----------
        state : mapping
            Of a memory with the same options.
        """


class NoMemory:
    """Remembers nothing: a batch is compared with itself alone."""

    def references(self, encode: Encode | None = None) -> References | None:
        """Return None; see `Memory`."""
        return None

    def update(
        self, embeddings: Tensor, labels: Tensor, items: Sequence[Any] | None = None
    ) -> None:
        """Do nothing; see `Memory`."""

    def state_dict(self) -> dict[str, Any]:
        """Return an empty dictionary; see `Memory`."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take nothing over; see `Memory`."""


class _SlotMemory:
    """Puts each item into the slot of one class."""

    _STATE: ClassVar[tuple[str, ...]] = ()

    def __init__(self, num_classes: int) -> None:
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}: pass an integer of at least 1.")
        self.num_classes = num_classes
        self._seen: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of everything that is remembered; see `Memory`.

        Returns
        -------
        dict
            Tensors, numbers and, of a `DataPointMemory`, items.
        """
        names = ("num_classes", "_seen", *self._STATE)
        return {name.lstrip("_"): _copied(getattr(self, name)) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; see `Memory`.

        Parameters
        ----------
        state : mapping
            Of a memory with the same options.

        Raises
        ------
        ValueError
            If it is of another number of classes, or of another memory.
        """
        names = ("_seen", *self._STATE)
        expected = {"num_classes", *(name.lstrip("_") for name in names)}
        if set(state) != expected or state["num_classes"] != self.num_classes:
            raise ValueError(
                f"The state has the entries {sorted(state)} and num_classes="
                f"{state.get('num_classes')}, and this memory {sorted(expected)} and num_classes="
                f"{self.num_classes}: load the state of a memory with the same options."
            )
        for name in names:
            setattr(self, name, _copied(state[name.lstrip("_")]))

    def _slots(self, labels: Tensor) -> Tensor:
        """Return each item's class, shape (b,), of several the one seen least; -1 if it has none.

        Labels are counted first, so that those of this batch decide too.
        """
        self._check(labels)
        hot = labels > 0 if labels.ndim == 2 else _one_hot(labels, self.num_classes)
        before = 0 if self._seen is None else self._seen.to(labels.device)
        self._seen = before + hot.sum(dim=0)
        rarity = self._seen.expand(len(labels), -1).masked_fill(~hot, torch.iinfo(torch.int64).max)
        return rarity.argmin(dim=1).masked_fill(~hot.any(dim=1), -1)

    def _check(self, labels: Tensor) -> None:
        if labels.ndim == 2:
            if labels.shape[1] != self.num_classes:
                raise ValueError(
                    f"labels have {labels.shape[1]} columns, and this memory {self.num_classes} "
                    "classes: pass one column for each class."
                )
        elif len(labels) and int(labels.max()) >= self.num_classes:
            raise ValueError(
                f"labels hold the class {int(labels.max())}, and this memory has "
                f"{self.num_classes} classes: make it with more, or pass class ids below that."
            )


class ClassMemory(_SlotMemory):
    """Keeps the last embedding of each class, detached.

    Two of the reference's variants: with ``combine="first"`` the detached memory, in which stored
    embeddings replace the partners in the batch; with "fallback" the mixed memory, in which they
    stand in for partners that the batch lacks. Targets are one step old or more, and the gradient
    goes to the anchor alone.

    Parameters
    ----------
    num_classes : int
        Classes, each of which has one slot.
    combine : {"add", "first", "fallback"}, default="first"
        See `References`.

    Raises
    ------
    ValueError
        If an option is out of range.

    Notes
    -----
    An item of several labels lies in the slot of the one that was seen least so far. An item
    without a label, or with a negative one, is not kept.

    Differences from the authors' code: the mixed memory, which crashes there, works.

    Examples
    --------
    >>> memory = ClassMemory(num_classes=3)
    >>> memory.update(torch.eye(2), torch.tensor([2, 2]))
    >>> memory.references().embeddings, memory.references().labels
    (tensor([[0., 1.]]), tensor([2]))
    """

    _STATE = ("_embeddings", "_labels", "_filled")

    def __init__(self, num_classes: int, combine: Combine = "first") -> None:
        super().__init__(num_classes)
        if combine not in ("add", "first", "fallback"):
            raise ValueError(f"combine is {combine!r}: pass 'add', 'first' or 'fallback'.")
        self.combine = combine
        self._embeddings: Tensor | None = None
        self._labels: Tensor | None = None
        self._filled: Tensor | None = None

    def references(self, encode: Encode | None = None) -> References | None:
        """Return the stored embeddings, in the order of the classes; see `Memory`.

        Parameters
        ----------
        encode : callable or None, default=None
            Not called.

        Returns
        -------
        References or None
            None before the first update.
        """
        if self._embeddings is None or self._labels is None or self._filled is None:
            return None
        return References(self._embeddings[self._filled], self._labels[self._filled], self.combine)

    def update(
        self, embeddings: Tensor, labels: Tensor, items: Sequence[Any] | None = None
    ) -> None:
        """Keep the last item of each class in the batch; see `Memory`.

        Parameters
        ----------
        embeddings : torch.Tensor, shape (b, d)
            Of the batch.
        labels : torch.Tensor, shape (b,) of int, or (b, num_classes) of zeros and ones
            Of the batch.
        items : sequence or None, default=None
            Not kept.

        Raises
        ------
        ValueError
            If the labels do not fit the number of classes.
        """
        slots, rows = _last_of_each(self._slots(labels), self.num_classes)
        stored, stored_labels = self._embeddings, self._labels
        if stored is None or stored_labels is None or self._filled is None:
            stored = embeddings.new_zeros(self.num_classes, embeddings.shape[1])
            stored_labels = labels.new_zeros(self.num_classes, *labels.shape[1:])
            self._filled = torch.zeros(self.num_classes, dtype=torch.bool, device=labels.device)
        self._embeddings = stored.to(embeddings).index_copy(0, slots, embeddings.detach()[rows])
        self._labels = stored_labels.to(labels).index_copy(0, slots, labels[rows])
        self._filled = self._filled.to(labels.device).index_fill(0, slots, True)


class DataPointMemory(_SlotMemory):
    """Keeps the last item of each class, and has all of them encoded again in each step.

    The memory of the reference's best variant. Nothing in it is out of date, and both sides of a
    pair have a gradient; the price is the forward and backward pass of up to ``num_classes`` more
    items in each step.

    Parameters
    ----------
    num_classes : int
        Classes, each of which has one slot.
    combine : {"add", "first", "fallback"}, default="first"
        See `References`; "first" is the reference's.

    Raises
    ------
    ValueError
        If an option is out of range.

    Notes
    -----
    Items are whatever the caller's ``encode`` reads: positions in the training set are the
    smallest. The caller decides how they are encoded: in chunks, for instance, by
    `small_text_ext.training.gradient_cache.encode_in_chunks`. Several labels, or none, are treated
    as in `ClassMemory`.

    Differences from the authors' code: all stored items are encoded in every step, those of the
    batch too. There, what is already encoded is left out, so that a stored item can bring the freed
    graph of an earlier step, which raises an error; and texts that occur twice make it crash.

    Examples
    --------
    >>> memory = DataPointMemory(num_classes=3)
    >>> memory.update(torch.zeros(2, 2), torch.tensor([0, 2]), items=["a", "bcd"])
    >>> memory.references(lambda items: torch.tensor([[float(len(i)), 1.0] for i in items]))
    References(embeddings=tensor([[1., 1.],
            [3., 1.]]), labels=tensor([0, 2]), combine='first')
    """

    _STATE = ("_items", "_labels")

    def __init__(self, num_classes: int, combine: Combine = "first") -> None:
        super().__init__(num_classes)
        if combine not in ("add", "first", "fallback"):
            raise ValueError(f"combine is {combine!r}: pass 'add', 'first' or 'fallback'.")
        self.combine = combine
        self._items: dict[int, Any] = {}
        self._labels: dict[int, Tensor] = {}

    @property
    def items(self) -> list[Any]:
        """The stored items, in the order of the classes."""
        return [self._items[slot] for slot in sorted(self._items)]

    def references(self, encode: Encode | None = None) -> References | None:
        """Encode all stored items; see `Memory`.

        Parameters
        ----------
        encode : callable or None, default=None
            ``encode(items)`` returns embeddings, shape (len(items), d), with a gradient. It is
            called once, and not at all as long as nothing is stored.

        Returns
        -------
        References or None
            None before the first update.

        Raises
        ------
        ValueError
            If there are items and no ``encode``, or it returns another number of rows.
        """
        if not self._items:
            return None
        if encode is None:
            raise ValueError("DataPointMemory stores items, not embeddings: pass encode.")
        labels = torch.stack([self._labels[slot] for slot in sorted(self._items)])
        return References(encode(self.items), labels, self.combine)

    def update(
        self, embeddings: Tensor, labels: Tensor, items: Sequence[Any] | None = None
    ) -> None:
        """Keep the last item of each class in the batch; see `Memory`.

        Parameters
        ----------
        embeddings : torch.Tensor, shape (b, d)
            Not kept.
        labels : torch.Tensor, shape (b,) of int, or (b, num_classes) of zeros and ones
            Of the batch.
        items : sequence or None, default=None
            What ``encode`` will be given, one for each label.

        Raises
        ------
        ValueError
            If there is not one item for each label, or labels do not fit the number of classes.
        """
        if items is None or len(items) != len(labels):
            given = "none" if items is None else str(len(items))
            raise ValueError(f"items are {given} for {len(labels)} labels: pass one for each.")
        slots, rows = _last_of_each(self._slots(labels), self.num_classes)
        for slot, row in zip(slots.tolist(), rows.tolist(), strict=True):
            self._items[slot] = items[row]
            self._labels[slot] = labels[row].detach().clone()


class RingBufferMemory(_SlotMemory):
    """Keeps the last embeddings of each class in a ring, to be added to the pairs of the batch.

    Embeddings of the last few hundred steps are close to what the encoder would give now, so that
    thousands of them cost no more than one matrix product. Every class has the same number of
    slots: rare classes keep their texts longer, and common ones do not drive them out.

    Parameters
    ----------
    num_classes : int
        Classes.
    size : int, default=4096
        Slots of all classes together, of which each class has ``size // num_classes``, at least
        one. As many as there are training texts make the whole set a partner of each batch, if its
        classes are of one size: a class of fewer texts than slots has older embeddings of them too.
    max_age : int or None, default=None
        Embeddings older than so many updates are left out; None keeps them until their slot is
        needed. The age of those of the last update is 1.
    warm_start : int, default=0
        So many updates are not stored at first, while the encoder still changes quickly.
    dtype : torch.dtype, default=torch.float16
        In which unit vectors are stored: 4,096 of 768 dimensions take 6 MiB.

    Raises
    ------
    ValueError
        If an option is out of range.

    Notes
    -----
    The ring may hold an older embedding of an anchor's own text: as in the paper, it is a positive
    partner, and the only one that the text of a class of one has. Several labels, or none, are
    treated as in `ClassMemory`.

    References
    ----------
    X. Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020. Differences from its
    code: the batch is stored after the loss and not before it, and slots belong to classes.

    Examples
    --------
    >>> memory = RingBufferMemory(num_classes=2, size=2)
    >>> memory.update(torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([1, 1]))
    >>> memory.references().embeddings
    tensor([[0., 1.]], dtype=torch.float16)
    """

    _STATE = ("_embeddings", "_labels", "_written", "_next", "_step")

    def __init__(
        self,
        num_classes: int,
        size: int = 4096,
        max_age: int | None = None,
        warm_start: int = 0,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        super().__init__(num_classes)
        if size < 1:
            raise ValueError(f"size is {size}: pass an integer of at least 1.")
        if max_age is not None and max_age < 1:
            raise ValueError(f"max_age is {max_age}: pass at least 1, or None for no limit.")
        if warm_start < 0:
            raise ValueError(f"warm_start is {warm_start}: pass a number of updates, 0 or more.")
        self.max_age, self.warm_start, self.dtype = max_age, warm_start, dtype
        self.slots_per_class = max(1, size // num_classes)
        self._step = 0
        self._embeddings: Tensor | None = None
        self._labels = self._written = self._next = torch.zeros(0, dtype=torch.int64)

    def references(self, encode: Encode | None = None) -> References | None:
        """Return what is stored and not too old, class by class; see `Memory`.

        Parameters
        ----------
        encode : callable or None, default=None
            Not called.

        Returns
        -------
        References or None
            Unit vectors of the storage's type; None if there are none.
        """
        if self._embeddings is None:
            return None
        oldest = 1 if self.max_age is None else max(1, self._step + 1 - self.max_age)
        kept = (self._written >= oldest).nonzero().squeeze(1)
        return References(self._embeddings[kept], self._labels[kept]) if len(kept) else None

    def update(
        self, embeddings: Tensor, labels: Tensor, items: Sequence[Any] | None = None
    ) -> None:
        """Store a batch in place of what is oldest of each class; see `Memory`.

        Parameters
        ----------
        embeddings : torch.Tensor, shape (b, d)
            Of the batch; stored as unit vectors.
        labels : torch.Tensor, shape (b,) of int, or (b, num_classes) of zeros and ones
            Of the batch.
        items : sequence or None, default=None
            Not kept.

        Raises
        ------
        ValueError
            If the labels do not fit the number of classes.
        """
        self._step += 1
        slots = self._slots(labels)
        if self._step <= self.warm_start:
            return
        bank = self._prepared(embeddings, labels)
        unit = torch.nn.functional.normalize(embeddings.detach().float(), dim=1)
        rows, positions = self._positions(slots)
        bank[positions] = unit[rows].to(self.dtype)
        self._labels[positions] = labels[rows]
        self._written[positions] = self._step

    def _prepared(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the storage, made when the first batch tells its width, on the batch's device."""
        number, device = self.num_classes * self.slots_per_class, embeddings.device
        if self._embeddings is None:
            self._embeddings = torch.zeros(number, embeddings.shape[1], dtype=self.dtype)
            self._labels = torch.zeros(number, *labels.shape[1:], dtype=labels.dtype)
            self._written = torch.zeros(number, dtype=torch.int64)
            self._next = torch.zeros(self.num_classes, dtype=torch.int64)
        self._embeddings = self._embeddings.to(device)
        self._labels, self._written = self._labels.to(device), self._written.to(device)
        self._next = self._next.to(device)
        return self._embeddings

    def _positions(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Return which rows of a batch are stored, and where, and move the rings on."""
        hot = _one_hot(slots, self.num_classes)
        counts = hot.sum(dim=0)
        rows = (slots >= 0).nonzero().squeeze(1)
        classes = slots[rows]
        rank = (hot.cumsum(dim=0) - 1)[rows, classes]
        # Of more items than slots the last ones stay, so that no position is written twice.
        last = rank >= counts[classes] - self.slots_per_class
        rows, classes, rank = rows[last], classes[last], rank[last]
        inside = (self._next[classes] + rank) % self.slots_per_class
        self._next = (self._next + counts) % self.slots_per_class
        return rows, classes * self.slots_per_class + inside


def make_memory(
    name: MemoryName,
    num_classes: int,
    size: int = 4096,
    max_age: int | None = None,
    warm_start: int = 0,
) -> Memory:
    """Make a memory by its name.

    Parameters
    ----------
    name : {"none", "detached", "mixed", "datapoint", "ring"}
        `NoMemory`; `ClassMemory`, of which "mixed" has ``combine="fallback"``; `DataPointMemory`;
        `RingBufferMemory`.
    num_classes : int
        Classes.
    size, max_age, warm_start : optional
        Of "ring".

    Returns
    -------
    Memory
        An empty memory.

    Raises
    ------
    ValueError
        If the name is unknown, or an option out of range.
    """
    if name == "none":
        return NoMemory()
    if name == "detached":
        return ClassMemory(num_classes)
    if name == "mixed":
        return ClassMemory(num_classes, combine="fallback")
    if name == "datapoint":
        return DataPointMemory(num_classes)
    if name == "ring":
        return RingBufferMemory(num_classes, size, max_age, warm_start)
    raise ValueError(f"name is {name!r}: pass 'none', 'detached', 'mixed', 'datapoint' or 'ring'.")


def _copied(value: Any) -> Any:  # noqa: ANN401
    """Copy tensors, and dictionaries but not what they hold: items stay the caller's objects."""
    if isinstance(value, Tensor):
        return value.clone()
    return dict(value) if isinstance(value, dict) else value


def _one_hot(classes: Tensor, num_classes: int) -> Tensor:
    """Return a bool row for each class id, all false if it is negative."""
    return classes[:, None] == torch.arange(num_classes, device=classes.device)


def _last_of_each(slots: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return the slots that occur, in order, and the last row of each."""
    # A row of no class in front, so that there is a maximum in an empty batch too.
    hot = _one_hot(torch.cat([slots.new_full((1,), -1), slots]), num_classes)
    last = (hot * torch.arange(len(hot), device=slots.device)[:, None]).amax(dim=0)
    filled = last.nonzero().squeeze(1)
    return filled, last[filled] - 1
