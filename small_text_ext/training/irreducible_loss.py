"""Irreducible losses: what is left of an item's loss once everything else is learnt."""

from __future__ import annotations

import hashlib
import io
import json
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import issparse
from scipy.special import expit, logit, softmax

from small_text_ext._files import write_whole

_FORMAT = 1
_SMALLEST = 1e-12
_LOG_TEMPERATURES = (-3.0, 3.0)
# What numpy lets through of a damaged archive, beside errors of its own.
_DAMAGED = (zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError, RuntimeError)


@dataclass(frozen=True, eq=False)
class IrreducibleLosses:
    """Irreducible losses by item: looked up by content and label, never by position alone.

    Parameters
    ----------
    keys : tuple of str
        What tells items apart; see `item_keys`.
    labels : numpy.ndarray, shape (n,) of int64, or (n, num_classes) of float32 if multi-label
        The labels the losses are for.
    losses : numpy.ndarray of float64, shape (n,)
        Irreducible losses in nats.
    probabilities : numpy.ndarray of float64, shape (n, num_classes), or None, default=None
        What they were made of, where they are probabilities of a model that was not taught the
        items' own labels: then a changed label has an irreducible loss too.
    smallest : float, default=1e-3
        For that loss; see `losses_of`.

    Raises
    ------
    ValueError
        If a loss is not finite, or numbers of items differ.

    Examples
    --------
    >>> keys = item_keys(["good", "bad"])
    >>> known = IrreducibleLosses(keys, np.array([1, 0]), np.array([0.1, 0.7]))
    >>> known.of(item_keys(["bad"]), np.array([0])).tolist()
    [0.7]
    """

    keys: tuple[str, ...]
    labels: NDArray[Any]
    losses: NDArray[np.float64]
    probabilities: NDArray[np.float64] | None = None
    smallest: float = 1e-3

    def __post_init__(self) -> None:
        if not len(self.keys) == len(self.labels) == len(self.losses):
            raise ValueError(
                f"There are {len(self.keys)} items, {len(self.labels)} labels and "
                f"{len(self.losses)} irreducible losses: pass one of each per item."
            )
        bad = np.flatnonzero(~np.isfinite(self.losses))
        if len(bad):
            raise ValueError(
                f"The irreducible loss of item {bad[0]} is {self.losses[bad[0]]} ({len(bad)} such "
                "items): pass finite numbers, in nats."
            )

    def __len__(self) -> int:
        return len(self.keys)

    def of(self, keys: Sequence[str], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Look up the losses of items.

        Parameters
        ----------
        keys : sequence of str
            Of the items.
        labels : numpy.ndarray
            Their labels.

        Returns
        -------
        numpy.ndarray of float64, shape (n,)
            Their losses.

        Raises
        ------
        KeyError
            If an item is not known: the losses were computed for other texts.
        ValueError
            If an item has another label here, and there are no probabilities to tell its loss by.
        """
        rows = self._rows(keys, labels)
        known = self.labels[rows] == labels
        same = known.all(axis=1) if known.ndim == 2 else known
        values = self.losses[rows].copy()
        if same.all():
            return values
        if self.probabilities is None:
            row = int(np.argmin(same))
            raise ValueError(
                f"Item {row} has the label {np.asarray(labels[row]).tolist()}, and its irreducible "
                f"loss is for {np.asarray(self.labels[rows[row]]).tolist()} "
                f"({int((~same).sum())} such items): compute irreducible losses for these labels."
            )
        values[~same] = losses_of(self.probabilities[rows[~same]], labels[~same], self.smallest)
        return values

    def save(self, path: str | Path) -> None:
        """Write the losses to a file, whole or not at all, with a fingerprint.

        Parameters
        ----------
        path : str or pathlib.Path
            The file.
        """
        content = io.BytesIO()
        arrays: dict[str, Any] = {"labels": self.labels, "losses": self.losses}
        if self.probabilities is not None:
            arrays["probabilities"] = self.probabilities
        header = json.dumps(
            {"format": _FORMAT, "fingerprint": self.fingerprint, "smallest": self.smallest}
        )
        np.savez_compressed(content, keys=np.array(self.keys), header=np.array(header), **arrays)
        write_whole(Path(path), lambda file: file.write(content.getvalue()))

    @classmethod
    def load(cls, path: str | Path) -> IrreducibleLosses:
        """Read what `save` has written.

        Parameters
        ----------
        path : str or pathlib.Path
            The file.

        Returns
        -------
        IrreducibleLosses
            The losses.

        Raises
        ------
        ValueError
            If the file is not whole, not one of these, or does not fit its own fingerprint.
        """
        try:
            with np.load(path, allow_pickle=False) as content:
                header = json.loads(str(content["header"]))
                read = {name: content[name] for name in content.files}
            known = cls(
                tuple(read["keys"].tolist()),
                read["labels"],
                read["losses"],
                read.get("probabilities"),
                float(header.get("smallest", 1e-3)),
            )
        except (OSError, EOFError, ValueError, KeyError, *_DAMAGED) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise ValueError(
                f"{path} is no whole file of irreducible losses ({error}): compute them anew."
            ) from error
        if header.get("format") != _FORMAT or header.get("fingerprint") != known.fingerprint:
            raise ValueError(
                f"{path} says fingerprint {header.get('fingerprint')}, and its content has "
                f"{known.fingerprint}: it was changed, or written by another version; compute the "
                "losses anew."
            )
        return known

    @property
    def fingerprint(self) -> str:
        """A digest of all that is held."""
        digest = hashlib.sha256("\n".join(self.keys).encode())
        digest.update(np.ascontiguousarray(self.labels, dtype=np.float64).tobytes())
        digest.update(np.ascontiguousarray(self.losses).tobytes())
        if self.probabilities is not None:
            digest.update(np.ascontiguousarray(self.probabilities).tobytes())
        digest.update(repr(self.smallest).encode())
        return digest.hexdigest()[:32]

    def _rows(self, keys: Sequence[str], labels: NDArray[Any]) -> NDArray[np.int64]:
        # The same text may occur with two labels, one of them wrong.
        exact = {pair: row for row, pair in enumerate(_pairs(self.keys, self.labels))}
        by_key = {key: row for row, key in enumerate(self.keys)}
        rows = [exact.get((key, label), by_key.get(key, -1)) for key, label in _pairs(keys, labels)]
        missing = [number for number, row in enumerate(rows) if row < 0]
        if missing:
            raise KeyError(
                f"Item {missing[0]} has no irreducible loss ({len(missing)} of {len(keys)} items "
                "have none): they were computed for other texts; compute them for these."
            )
        return np.array(rows, dtype=np.int64)


def item_keys(items: Iterable[Any]) -> tuple[str, ...]:
    """Return what tells items apart: a digest of their content.

    Parameters
    ----------
    items : iterable
        Texts, tuples of texts, vectors, or tuples of tensors.

    Returns
    -------
    tuple of str
        One key an item; equal content, equal key.

    Examples
    --------
    >>> keys = item_keys(["a text", "another", "a text"])
    >>> keys[0] == keys[2], keys[0] == keys[1]
    (True, False)
    """
    return tuple(hashlib.sha1(_content(item), usedforsecurity=False).hexdigest() for item in items)


def losses_of(
    probabilities: ArrayLike,
    labels: NDArray[Any],
    smallest: float = 1e-3,
) -> NDArray[np.float64]:
    """Turn a model's probabilities into losses that no single mistake dominates.

    Parameters
    ----------
    probabilities : array-like, shape (n, num_classes)
        Of a model that was not taught the labels.
    labels : numpy.ndarray, shape (n,) of int, or (n, num_classes) of zeros and ones
        The labels.
    smallest : float, default=1e-3
        Probabilities are raised to it: one confident mistake would give a loss of ten nats, and
        hide the item for ever.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        ``-log p(y)``, summed over the classes if multi-label; at most ``-log(smallest)`` a label.

    Raises
    ------
    ValueError
        If a probability is not between 0 and 1, or shapes do not fit.

    Examples
    --------
    >>> losses_of([[0.5, 0.5], [1.0, 0.0]], np.array([0, 1])).round(2).tolist()
    [0.69, 6.91]
    """
    given = np.asarray(probabilities, dtype=np.float64)
    raw: Any = labels
    labels = np.asarray(raw.toarray() if issparse(raw) else raw)
    if labels.ndim == 1:
        labels = labels.astype(np.int64)
        if len(labels) and not 0 <= labels.min() <= labels.max() < given.shape[-1]:
            raise ValueError(
                f"labels are between {labels.min()} and {labels.max()}: pass class ids from 0 to "
                f"{given.shape[-1] - 1}, the columns of probabilities."
            )
    if given.ndim != 2 or len(given) != len(labels):
        raise ValueError(
            f"probabilities have the shape {given.shape} for {len(labels)} labels: pass one row a "
            "label, one column a class."
        )
    bad = ~((given >= 0) & (given <= 1))
    if bad.any():
        row = int(np.argwhere(bad)[0, 0])
        raise ValueError(f"The probabilities of item {row} are {given[row].tolist()}.")
    if labels.ndim == 2:
        of_truth = np.where(labels > 0.5, given, 1 - given)
        return np.asarray(-np.log(np.maximum(of_truth, smallest)).sum(axis=1))
    return np.asarray(-np.log(np.maximum(given[np.arange(len(labels)), labels], smallest)))


def tempered(
    probabilities: NDArray[np.float64], temperature: float, multi_label: bool
) -> NDArray[np.float64]:
    """Sharpen or soften probabilities.

    Parameters
    ----------
    probabilities : numpy.ndarray of float64, shape (n, num_classes)
        Probabilities.
    temperature : float
        Above 1 softens, below 1 sharpens.
    multi_label : bool
        Whether classes are independent.

    Returns
    -------
    numpy.ndarray of float64, shape (n, num_classes)
        Probabilities of the logits divided by the temperature.
    """
    clipped = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
    if multi_label:
        return np.asarray(expit(logit(clipped) / temperature))
    return np.asarray(softmax(np.log(clipped) / temperature, axis=1))


def fitted_temperature(probabilities: NDArray[np.float64], labels: NDArray[Any]) -> float:
    """Find the temperature at which probabilities that were not taught the labels fit them best.

    Parameters
    ----------
    probabilities : numpy.ndarray of float64, shape (n, num_classes)
        Out of fold, or of a hold-out model.
    labels : numpy.ndarray, shape (n,) or (n, num_classes)
        The labels.

    Returns
    -------
    float
        Between 1/20 and 20.

    References
    ----------
    C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    multi_label = labels.ndim == 2

    def loss(log_temperature: float) -> float:
        scaled = tempered(probabilities, float(np.exp(log_temperature)), multi_label)
        return float(losses_of(scaled, labels, _SMALLEST).mean())

    found: Any = minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded")
    return float(np.exp(found.x))


Temperature = float | Literal["fit", "sharp"]


_SHARPENING = 2.0


def check_temperature(temperature: Temperature) -> None:
    """Check a temperature as `irreducible_losses` takes it.

    Parameters
    ----------
    temperature : float, "fit" or "sharp"
        What is checked.

    Raises
    ------
    ValueError
        If it is something else, or not above 0.
    """
    names = ("fit", "sharp")
    if temperature not in names and (isinstance(temperature, str) or not temperature > 0):
        raise ValueError(
            f"temperature is {temperature!r}: pass 'fit', 'sharp', or a number above 0."
        )


def resolved_temperature(
    temperature: Temperature, probabilities: NDArray[np.float64], labels: NDArray[Any]
) -> float:
    """Return a temperature as a number.

    Parameters
    ----------
    temperature : float, "fit" or "sharp"
        As in `irreducible_losses`.
    probabilities : numpy.ndarray of float64, shape (n, num_classes)
        Probabilities.
    labels : numpy.ndarray, shape (n,) or (n, num_classes)
        Labels.

    Returns
    -------
    float
        Above 0.

    Raises
    ------
    ValueError
        If it is something else, or not above 0.
    """
    check_temperature(temperature)
    if not isinstance(temperature, str):
        return float(temperature)
    fitted = fitted_temperature(probabilities, labels)
    return fitted if temperature == "fit" or labels.ndim == 2 else fitted / _SHARPENING


def irreducible_losses(
    keys: Sequence[str],
    labels: NDArray[Any],
    probabilities: NDArray[np.float64],
    temperature: Temperature = "sharp",
    smallest: float = 1e-3,
) -> IrreducibleLosses:
    """Make irreducible losses of a model's probabilities.

    Parameters
    ----------
    keys : sequence of str
        Of the items.
    labels : numpy.ndarray, shape (n,) or (n, num_classes)
        Their labels.
    probabilities : numpy.ndarray of float64, shape (n, num_classes)
        Of a model that was not taught these labels.
    temperature : float, "fit" or "sharp", default="sharp"
        Scales them before. "fit" finds the one that suits these labels best, which draws a model
        that is too sure of itself back. Where labels are wrong that is too far: it expects wrong
        labels, the trained classifier does not, and what that one pays for them looks reducible.
        "sharp" is half of the fitted one; in a multi-label task it is the fitted one, since nearly
        all labels are absent there, and a sharper model calls every present one noise. 1 leaves the
        probabilities as they are.
    smallest : float, default=1e-3
        As in `losses_of`.

    Returns
    -------
    IrreducibleLosses
        With the scaled probabilities.
    """
    number = resolved_temperature(temperature, probabilities, labels)
    scaled = tempered(probabilities, number, labels.ndim == 2)
    losses = losses_of(scaled, labels, smallest)
    return IrreducibleLosses(tuple(keys), labels, losses, scaled, smallest)


def _pairs(keys: Sequence[str], labels: NDArray[Any]) -> Iterable[tuple[str, Any]]:
    shown = labels.tolist() if labels.ndim == 1 else [tuple(row) for row in labels.tolist()]
    return zip(keys, shown, strict=True)


def _content(item: Any) -> bytes:  # noqa: ANN401
    if isinstance(item, str):
        return item.encode("utf-8", errors="surrogatepass")
    if isinstance(item, tuple) and item and isinstance(item[0], str):
        parts = [part for part in item if isinstance(part, str)]
        return "\0".join(parts).encode("utf-8", errors="surrogatepass")
    if isinstance(item, tuple):
        item = item[0]
    return np.ascontiguousarray(np.asarray(item), dtype=np.float32).tobytes()
