"""Training dynamics: what a model thought of every item, epoch by epoch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from small_text_ext.training import dynamics_files, label_noise
from small_text_ext.training.dynamics_metrics import (
    Labels,
    Logits,
    map_metrics,
    map_regions,
    mean_probabilities,
)

if TYPE_CHECKING:
    import torch

    from small_text_ext.training.seams import FitPlan

_LARGEST_IN_MEMORY = 2**29
# Logits that are kept as they came, before they are put in their place.
_BUFFERED = 2**22


@dataclass(frozen=True, eq=False)
class TrainingDynamics:
    """The logits of every item in every epoch, and what they tell of the items and their labels.

    Items that a model learns at once and keeps are *easy*; those it changes its mind about are
    *ambiguous*, and teach it most about other data; those it never learns are *hard*, and among
    them are the wrong labels. The three are regions of the data map, whose axes are the mean
    (confidence) and the deviation (variability) of the probability that the model gave to the label
    over the epochs.

    Make one by `from_logits`, by a `DynamicsRecorder` in a classifier, or from files.

    Parameters
    ----------
    logits : numpy.ndarray of float, shape (epochs, items, classes)
        Scores before the softmax, or before the sigmoid if multi-label.
    labels : numpy.ndarray, shape (items,) of int64, or (items, classes) of float32 if multi-label
        Class ids, or zeros and ones.
    ids : numpy.ndarray, shape (items,)
        What the items are called: integers or strings, each once.

    References
    ----------
    S. Swayamdipta et al., "Dataset Cartography: Mapping and Diagnosing Datasets with Training
    Dynamics", EMNLP 2020.

    Examples
    --------
    Three items over two epochs; the last one is never learnt:

    >>> logits = [[[2, 0], [0, 1], [0, 3]], [[3, 0], [1, 0], [0, 3]]]
    >>> dynamics = TrainingDynamics.from_logits(logits, labels=[0, 0, 0])
    >>> metrics = dynamics.metrics()
    >>> metrics["correctness"].tolist(), metrics["confidence"].round(2).tolist()
    ([2, 1, 0], [0.92, 0.5, 0.05])
    >>> {name: rows.tolist() for name, rows in dynamics.regions(fraction=0.33).items()}
    {'easy': [0], 'ambiguous': [1], 'hard': [2]}
    """

    logits: Logits
    labels: Labels
    ids: NDArray[Any]

    @classmethod
    def from_logits(
        cls, logits: ArrayLike, labels: ArrayLike, ids: Sequence[Any] | NDArray[Any] | None = None
    ) -> Self:
        """Check logits and labels, and take them for training dynamics.

        Parameters
        ----------
        logits : array-like of float, shape (epochs, items, classes)
            Scores before the softmax, or before the sigmoid if multi-label. An array of floats is
            not copied, so that a mapped file stays one.
        labels : array-like, shape (items,) or (items, classes), or scipy.sparse.csr_matrix
            Class ids, or zeros and ones, which makes it multi-label.
        ids : sequence of int or str, or None, default=None
            What the items are called; None counts from 0.

        Returns
        -------
        TrainingDynamics
            The dynamics.

        Raises
        ------
        ValueError
            If shapes do not fit, an id occurs twice, a label is no class, or a logit is not finite.
        """
        array = np.asanyarray(logits)
        if not np.issubdtype(array.dtype, np.floating):
            array = array.astype(np.float64)
        if array.ndim != 3 or 0 in array.shape:
            raise ValueError(
                f"logits have the shape {array.shape}: pass (epochs, items, classes), at least one "
                "of each."
            )
        if array.shape[2] == 1 and not issparse(labels) and np.ndim(labels) == 1:
            raise ValueError("logits have one class: a single-label task needs at least 2.")
        names = np.arange(array.shape[1]) if ids is None else _as_ids(ids, array.shape[1])
        given: Any = labels
        dense = given.toarray() if issparse(given) else given
        checked = _checked_labels(np.asarray(dense), array.shape, names)
        _check_finite(array, names)
        return cls(array, checked, names)

    @classmethod
    def read_jsonl(cls, folder: str | Path) -> Self:
        """Read the logits that this package or the published code wrote.

        Parameters
        ----------
        folder : str or pathlib.Path
            Holds ``dynamics_epoch_0.jsonl``, ``dynamics_epoch_1.jsonl``, ..., with a line
            ``{"guid": ..., "logits_epoch_0": [...], "gold": ...}`` per item; or holds a folder
            ``training_dynamics`` that does.

        Returns
        -------
        TrainingDynamics
            Items in the order of epoch 0.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If a file is cut off, or does not fit the others: the message names file, line and item.
        """
        logits, labels, ids = dynamics_files.read_epochs(Path(folder))
        return cls.from_logits(logits, labels, ids)

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Map the files that a `DynamicsRecorder` with a ``folder`` wrote.

        Parameters
        ----------
        folder : str or pathlib.Path
            The folder.

        Returns
        -------
        TrainingDynamics
            Its logits are read when they are needed.

        Raises
        ------
        FileNotFoundError
            If a file is missing.
        """
        return cls.from_logits(*dynamics_files.open_arrays(Path(folder)))

    @property
    def num_epochs(self) -> int:
        """The number of epochs."""
        return int(self.logits.shape[0])

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return int(self.logits.shape[2])

    @property
    def multi_label(self) -> bool:
        """Whether labels are a matrix."""
        return self.labels.ndim == 2

    def __len__(self) -> int:
        return len(self.ids)

    def metrics(
        self, burn_out: int | None = None, confidence_interval: bool = False
    ) -> pd.DataFrame:
        """Compute the coordinates of every item.

        Parameters
        ----------
        burn_out : int or None, default=None
            Use the first so many epochs only, which is what the published option of this name does;
            None, or more than there are, uses all.
        confidence_interval : bool, default=False
            Enlarge the variability to ``sqrt(v + v ** 2 / (epochs - 1))`` for a variance ``v``, as
            the published option ``include_ci`` does, after Active Bias. Needs two epochs.

        Returns
        -------
        pandas.DataFrame
            One row per item, in the order of ``ids``. The columns of the published
            ``td_metrics.jsonl``, computed as there: ``guid``; ``index``, the position;
            ``threshold_closeness``, ``confidence * (1 - confidence)``; ``confidence``, the mean
            probability of the label; ``variability``, its population deviation; ``correctness``, in
            how many epochs the label was predicted; ``forgetfulness``, how often a correct
            prediction was followed by a wrong one, 1000 where none was correct. Then
            ``correctness_fraction`` in [0, 1]; ``never_learnt``; ``aum``, the mean margin of the
            label's logit over the largest other one; ``el2n``, the mean distance of the
            probabilities to the label's one-hot vector; ``entropy`` of the predictions, its mean in
            nats.

        Raises
        ------
        ValueError
            If ``burn_out`` is below 1, or there are too few epochs for the interval.

        Notes
        -----
        With one epoch, variability and forgetfulness are 0 (or 1000).

        Multi-label: the confidence is the mean over classes of the probability of each class's true
        value; an epoch counts as correct where all values are predicted; ``aum`` is the mean logit
        towards the true value; ``entropy`` the mean over classes; ``el2n`` the distance to the
        vector of zeros and ones.

        Differences from the published code: one pass of array arithmetic instead of a loop over
        items; ``burn_out`` leaves the files alone (there, each value overwrote the metrics of the
        last); margins of ``aum`` are those of logits, as its authors define them.

        References
        ----------
        H.-S. Chang et al., "Active Bias", NeurIPS 2017. G. Pleiss et al., "Identifying Mislabeled
        Data using the Area Under the Margin Ranking", NeurIPS 2020. M. Paul et al., "Deep Learning
        on a Data Diet", NeurIPS 2021.
        """
        logits = self._first(burn_out)
        if confidence_interval and len(logits) < 2:
            raise ValueError(
                "confidence_interval needs two epochs, and there is one: pass "
                "confidence_interval=False, or train longer."
            )
        columns = map_metrics(logits, self.labels, confidence_interval)
        return pd.DataFrame({"guid": self.ids, "index": np.arange(len(self)), **columns})

    def regions(
        self, fraction: float = 0.33, exclusive: bool = False, burn_out: int | None = None
    ) -> dict[str, NDArray[np.int64]]:
        """Return the positions of easy, ambiguous and hard items.

        Parameters
        ----------
        fraction : float, default=0.33
            The share of the items in each region.
        exclusive : bool, default=False
            Whether each item belongs to one region at most; the published regions overlap.
        burn_out : int or None, default=None
            As in `metrics`.

        Returns
        -------
        dict of str to numpy.ndarray of int64
            "easy", "ambiguous" and "hard": positions, most typical first. The published code
            shuffles them; ``ids[positions]`` are the names.

        Raises
        ------
        ValueError
            If ``fraction`` is not in (0, 1], or above a third with ``exclusive``.
        """
        return map_regions(self.metrics(burn_out), fraction, exclusive)

    def mean_probabilities(self, burn_out: int | None = None) -> NDArray[np.float64]:
        """Average the predicted distributions over the epochs.

        Parameters
        ----------
        burn_out : int or None, default=None
            As in `metrics`.

        Returns
        -------
        numpy.ndarray of float64, shape (items, classes)
            Mean probabilities.
        """
        return mean_probabilities(self._first(burn_out), self.multi_label)

    def suspected_noise(
        self,
        method: Literal["confidence", "logistic", "aum"] = "confidence",
        known: tuple[TrainingDynamics, ArrayLike] | None = None,
    ) -> pd.DataFrame:
        """Rank the items by how likely their label is wrong.

        A model that fits its labels by heart agrees with wrong ones too: rank dynamics of few
        epochs, of a linear or regularised model, or best those recorded out of fold
        (`crossfit_dynamics`), where no item is judged by a model that was taught its label.
        `find_label_noise` does all of it.

        Parameters
        ----------
        method : {"confidence", "logistic", "aum"}, default="confidence"
            "confidence" ranks by the mean probability of the label, and suspects items for which
            another label has the highest mean probability. "logistic" is the paper's detector: a
            linear classifier on the confidence, trained on items whose labels are known to be
            wrong; it ranks as "confidence" does, and its threshold is learnt. "aum" ranks by the
            area under the margin, and suspects what is below zero and below the 99th percentile of
            threshold samples, where there are any. (That percentile presumes a model that can learn
            by heart, in-sample; with any other it lies above many right labels, which is why zero
            bounds it here.)
        known : tuple of TrainingDynamics and array-like of bool, or None, default=None
            A run in which some labels are known to be wrong, and which: for "logistic" one with
            flipped labels (`flip_easy_labels`), for "aum" one whose threshold samples were given a
            class of their own.

        Returns
        -------
        pandas.DataFrame
            Most suspicious first: ``guid``, ``index``, ``label``, ``predicted`` (the label with the
            highest mean probability; labels as tuples in a multi-label task), ``score`` and
            ``suspected``.

        Raises
        ------
        ValueError
            If the method is unknown, or "logistic" has no known noise.
        """
        return label_noise.suspected_noise(self, method, known)

    def write_jsonl(self, folder: str | Path) -> None:
        """Write one file per epoch, as the published code does.

        Parameters
        ----------
        folder : str or pathlib.Path
            Where to; it is made where it is missing. Files of an earlier, longer run that are in
            the way are an error: the published reader would take them for later epochs.

        Raises
        ------
        FileExistsError
            If there are files of later epochs.
        """
        dynamics_files.write_epochs(Path(folder), self.logits, self.labels, self.ids)

    def take(self, positions: ArrayLike) -> TrainingDynamics:
        """Return the dynamics of some items.

        Parameters
        ----------
        positions : array-like of int
            Which, in order.

        Returns
        -------
        TrainingDynamics
            Theirs.

        Raises
        ------
        ValueError
            If there are none.
        """
        rows = np.asarray(positions, dtype=np.int64)
        if len(rows) == 0:
            raise ValueError("positions are empty: dynamics have at least one item.")
        return TrainingDynamics(self.logits[:, rows], self.labels[rows], self.ids[rows])

    def first(self, num_epochs: int) -> TrainingDynamics:
        """Return the dynamics of the first epochs alone.

        In-sample they are the telling ones for noise: later, wrong labels are known by heart.

        Parameters
        ----------
        num_epochs : int
            How many; more than there are, are all.

        Returns
        -------
        TrainingDynamics
            Theirs.

        Raises
        ------
        ValueError
            If ``num_epochs`` is no integer of at least 1.
        """
        return TrainingDynamics(self._first(num_epochs), self.labels, self.ids)

    def _first(self, burn_out: int | None) -> Logits:
        if burn_out is None:
            return self.logits
        if isinstance(burn_out, bool) or not isinstance(burn_out, int | np.integer) or burn_out < 1:
            raise ValueError(f"burn_out is {burn_out}: pass a number of epochs of at least 1.")
        return self.logits[:burn_out]

    def __getstate__(self) -> dict[str, Any]:
        # A mapped file may be gone where the pickle is read.
        return {**self.__dict__, "logits": np.array(self.logits)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class DynamicsRecorder:
    """Records the training dynamics of a fit, in any classifier of this package.

    Parameters
    ----------
    observe : {"training", "epoch_end"}, default="training"
        "training" keeps the logits of the training passes, with dropout on and before the step that
        they lead to, at no further pass: what the paper's code (allenai/cartography) records.
        "epoch_end" makes one more pass over all items after each epoch, dropout off: what tavolo's
        Keras callback does. (beyondguo/TrainingDynamics makes that pass with dropout on; nothing
        here does.) With a batch selector, which does not train every item in every epoch, only
        "epoch_end" makes a map.
    folder : str, pathlib.Path or None, default=None
        Where to keep logits, labels and ids as ``.npy`` files, replaced by each fit, for
        `TrainingDynamics.open`. None keeps the logits in memory, or above ``max_memory`` in an
        unnamed temporary file.
    max_memory : int, default=536870912
        In bytes: larger logits go into a file. One item takes ``4 * epochs * classes`` bytes.

    Raises
    ------
    ValueError
        If ``observe`` is unknown.

    Examples
    --------
    >>> from small_text import SklearnDataset
    >>> from small_text_ext import MLPClassification, MLPModelArguments
    >>> x = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> train_set = SklearnDataset(x, np.array([0, 0, 1, 0]), target_labels=np.arange(2))
    >>> recorder = DynamicsRecorder(observe="epoch_end")
    >>> clf = MLPClassification(MLPModelArguments(), num_classes=2, recorder=recorder, seed=1)
    >>> recorder = clf.fit(train_set).recorder
    >>> recorder.dynamics.regions(fraction=0.25)["hard"].tolist()
    [3]
    """

    def __init__(
        self,
        observe: Literal["training", "epoch_end"] = "training",
        folder: str | Path | None = None,
        max_memory: int = _LARGEST_IN_MEMORY,
    ) -> None:
        if observe not in ("training", "epoch_end"):
            raise ValueError(f"observe is {observe!r}: pass 'training' or 'epoch_end'.")
        self.observe: Literal["training", "epoch_end"] = observe
        self.folder = None if folder is None else Path(folder)
        self.max_memory = max_memory
        self._recording: _Recording | None = None
        self._ended: _Recording | None = None
        self._dynamics: TrainingDynamics | Path | None = None
        self._problem = "Nothing is recorded: call the classifier's fit first."

    def begin(self, plan: FitPlan) -> None:
        """Start a fit; the map of the last one stays until it ends; see `Recorder.begin`."""
        shape = (plan.num_epochs, len(plan.ids), plan.num_classes)
        self._recording = _Recording(plan.ids.cpu().numpy(), shape, self.max_memory)

    def record(
        self, ids: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, epoch: int
    ) -> None:
        """Take the logits of some items; see `Recorder.record`."""
        assert self._recording is not None
        self._recording.add(ids, logits, labels, epoch)

    def end(self, num_epochs: int) -> None:
        """Learn how many epochs were completed; see `Recorder.end`."""
        assert self._recording is not None
        self._recording.num_epochs = num_epochs
        self._ended, self._recording, self._dynamics = self._recording, None, None
        if self.folder is not None:
            self._build()

    @property
    def dynamics(self) -> TrainingDynamics:
        """The dynamics of the last fit: those of the epochs it completed.

        Raises
        ------
        ValueError
            If there was no fit, none of its epochs was completed, or an item was not trained in
            every epoch.
        """
        self._build()
        if self._dynamics is None:
            raise ValueError(self._problem)
        if isinstance(self._dynamics, Path):
            self._dynamics = TrainingDynamics.open(self._dynamics)
        return self._dynamics

    def _build(self) -> None:
        """Make the map of a fit that has ended, when it is first asked for.

        A map that cannot be made is a problem of who asks for it: the fit is not to be lost for it.
        """
        if self._ended is None:
            return
        recording, self._ended = self._ended, None
        try:
            dynamics = recording.dynamics()
        except ValueError as error:
            self._problem = str(error)
            return
        if self.folder is not None:
            dynamics_files.write_arrays(self.folder, dynamics.logits, dynamics.labels, dynamics.ids)
            dynamics = TrainingDynamics.open(self.folder)
        self._dynamics = dynamics

    def __getstate__(self) -> dict[str, Any]:
        self._build()
        # What a fit that failed has left is nobody's; what lies in a folder stays there.
        kept = self._dynamics if self.folder is None or self._dynamics is None else self.folder
        return {**self.__dict__, "_dynamics": kept, "_recording": None}


class HeldOutRecorder:
    """Records what a model thinks, after each epoch, of items that it is not trained on.

    Parameters
    ----------
    held_out : small_text.data.Dataset
        The items, of the kind that the classifier trains on; their labels are not looked at. They
        are pickled with the classifier, and so are their logits, ``4 * epochs * classes`` bytes
        each.

    Attributes
    ----------
    logits : numpy.ndarray of float32, shape (epochs, items, classes)
        After a fit: the logits after each epoch, dropout off, in the order of ``held_out``.

    Examples
    --------
    >>> from small_text import SklearnDataset
    >>> from small_text_ext import MLPClassification, MLPModelArguments
    >>> x = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> data_set = SklearnDataset(x, np.array([0, 0, 1, 1]), target_labels=np.arange(2))
    >>> recorder = HeldOutRecorder(data_set[[1, 3]])
    >>> clf = MLPClassification(
    ...     MLPModelArguments(), num_classes=2, num_epochs=3, recorder=recorder, seed=1
    ... ).fit(data_set[[0, 2]])
    >>> recorder.logits.shape
    (3, 2, 2)
    """

    observe: Literal["held_out"] = "held_out"

    def __init__(self, held_out: Any) -> None:  # noqa: ANN401
        self.held_out = held_out
        self.logits: NDArray[np.float32] = np.empty((0, len(held_out), 0), dtype=np.float32)
        self._running: NDArray[np.float32] | None = None

    def begin(self, plan: FitPlan) -> None:
        """Start a fit; what the last one saw stays until it ends; see `Recorder.begin`."""
        shape = (plan.num_epochs, len(self.held_out), plan.num_classes)
        self._running = _empty(shape, _LARGEST_IN_MEMORY)

    def record(
        self, ids: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, epoch: int
    ) -> None:
        """Take the logits of some items; see `Recorder.record`."""
        assert self._running is not None
        self._running[epoch, ids.numpy()] = logits.float().cpu().numpy()

    def end(self, num_epochs: int) -> None:
        """Learn how many epochs were completed; see `Recorder.end`."""
        assert self._running is not None
        self.logits, self._running = self._running[:num_epochs], None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "logits": np.array(self.logits), "_running": None}


class _Recording:
    """The logits of a running fit.

    What is told is kept as it is, and put in its place many batches at a time: a batch costs its
    appending to a list, and on a GPU nobody waits for its copy.
    """

    def __init__(
        self, ids: NDArray[np.int64], shape: tuple[int, int, int], max_memory: int
    ) -> None:
        self.ids = ids
        self.rows = np.full(int(ids.max(initial=0)) + 1, -1)
        self.rows[ids] = np.arange(len(ids))
        self.logits = _empty(shape, max_memory)
        self.seen = np.zeros(shape[:2], dtype=bool)
        self.labels: NDArray[Any] | None = None
        self.told: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self.epochs: list[int] = []
        self.num_told = self.num_epochs = 0

    def add(
        self, ids: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, epoch: int
    ) -> None:
        if self.num_told >= _BUFFERED:
            self.place()
        self.told.append((ids, logits, labels))
        self.epochs.append(epoch)
        self.num_told += len(ids) * self.logits.shape[2]

    def place(self) -> None:
        """Put what was told in its place; of an item told twice in an epoch, the last counts."""
        if not self.told:
            return
        import torch

        ids, logits, labels = (torch.cat(parts) for parts in zip(*self.told, strict=True))
        rows = self.rows[ids.cpu().numpy()]
        epochs = np.repeat(self.epochs, [len(part[0]) for part in self.told])
        # float32 first: numpy has no bfloat16.
        self.logits[epochs, rows] = logits.float().cpu().numpy()
        self.seen[epochs, rows] = True
        of_items = labels.cpu().numpy()
        if self.labels is None:
            self.labels = np.zeros((len(self.ids), *of_items.shape[1:]), dtype=of_items.dtype)
        self.labels[rows] = of_items
        self.told, self.epochs, self.num_told = [], [], 0

    def dynamics(self) -> TrainingDynamics:
        self.place()
        num_epochs = self.num_epochs
        seen = self.seen[:num_epochs]
        if len(seen) == 0:
            raise ValueError(
                "No epoch was completed, so there is no map: train for an epoch at least."
            )
        if not seen.all():
            epoch, row = np.argwhere(~seen)[0].tolist()
            raise ValueError(
                f"Item {self.ids[row]} was not trained in epoch {epoch} ({int((~seen).sum())} such "
                "cases): with a batch selector, record with observe='epoch_end'."
            )
        order = np.argsort(self.ids, kind="stable")
        logits = self.logits[:num_epochs]
        if (order != np.arange(len(order))).any():
            logits = logits[:, order]
        assert self.labels is not None
        return TrainingDynamics.from_logits(logits, self.labels[order], self.ids[order])


def _empty(shape: tuple[int, int, int], max_memory: int) -> NDArray[np.float32]:
    """Return an array for logits: in memory, or where it is large in a file without a name."""
    if 4 * int(np.prod(shape)) <= max_memory:
        return np.zeros(shape, dtype=np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def _as_ids(ids: Sequence[Any] | NDArray[Any], num_items: int) -> NDArray[Any]:
    names = np.asarray(ids)
    if names.tolist() != list(ids):
        raise ValueError(
            f"ids are of several types, or too large ({list(ids)[:3]}, ...): pass integers below "
            "2 ** 63, or strings."
        )
    if names.shape != (num_items,):
        raise ValueError(
            f"ids have the shape {names.shape} for {num_items} items: pass one id per item."
        )
    unique, counts = np.unique(names, return_counts=True)
    if len(unique) < num_items:
        repeated = unique[counts.argmax()].tolist()
        raise ValueError(
            f"The id {repeated!r} occurs {counts.max()} times: ids tell items apart, so make each "
            "occur once."
        )
    return names


def _checked_labels(labels: NDArray[Any], shape: tuple[int, ...], ids: NDArray[Any]) -> Labels:
    _, num_items, num_classes = shape
    if labels.shape not in ((num_items,), (num_items, num_classes)):
        raise ValueError(
            f"labels have the shape {labels.shape} for logits of shape {shape}: pass "
            f"({num_items},) class ids, or ({num_items}, {num_classes}) zeros and ones."
        )
    allowed = np.isin(labels, [0, 1] if labels.ndim == 2 else np.arange(num_classes))
    if not allowed.all():
        place = tuple(np.argwhere(~allowed)[0])
        raise ValueError(
            f"The label of item {ids[place[0]].tolist()!r} is {labels[place]}: pass "
            + ("0 or 1." if labels.ndim == 2 else f"a class id from 0 to {num_classes - 1}.")
        )
    return labels.astype(np.float32) if labels.ndim == 2 else labels.astype(np.int64)


def _check_finite(logits: Logits, ids: NDArray[Any]) -> None:
    for epoch, of_epoch in enumerate(logits):
        finite = np.isfinite(of_epoch).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise ValueError(
                f"The logits of item {ids[row].tolist()!r} in epoch {epoch} are "
                f"{np.asarray(of_epoch[row]).tolist()}: the training diverged; lower its learning "
                "rate."
            )
