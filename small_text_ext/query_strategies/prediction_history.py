"""How predictions of a text change: over the epochs of a fit, or rounds of active learning."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

Change = Literal["variability", "flips"]
Probabilities = NDArray[np.floating[Any]]

# States of so many rounds are kept: enough for a few learners that share a strategy.
_STATES = 8
# Length of the root dataset, numbers a text has in the state, number of labels, hash of their rows
# in order.
_State = tuple[int, int, int, str]


def predictions(proba: Probabilities, multi_label: bool) -> NDArray[np.int64]:
    """Return what is predicted, in a form that can be compared.

    Parameters
    ----------
    proba : numpy.ndarray of float, shape (..., classes)
        Probabilities.
    multi_label : bool
        Whether labels are independent.

    Returns
    -------
    numpy.ndarray of int64, shape (..., 1) or (..., classes)
        The class, or for each class whether it is above one half.
    """
    if multi_label:
        return (proba > 0.5).astype(np.int64)
    return np.asarray(proba.argmax(axis=-1)[..., None], dtype=np.int64)


def change_over_epochs(
    proba: Probabilities, measure: Change, multi_label: bool
) -> NDArray[np.float64]:
    """Measure how much the predictions of each text change from epoch to epoch.

    Parameters
    ----------
    proba : numpy.ndarray of float, shape (epochs, m, classes)
        Probabilities, at least one epoch.
    measure : {"variability", "flips"}
        The mean over classes of the variance over epochs, at most 1/4; or the share of epochs, from
        the second on, with another prediction than the one before. In a multi-label task a
        prediction is another where that of any class is.
    multi_label : bool
        Whether labels are independent.

    Returns
    -------
    numpy.ndarray of float64, shape (m,)
        The measure; 0 with one epoch.

    Examples
    --------
    >>> proba = np.array([[[0.9, 0.1]], [[0.3, 0.7]], [[0.6, 0.4]]])
    >>> change_over_epochs(proba, "variability", multi_label=False).round(3).tolist()
    [0.06]
    >>> change_over_epochs(proba, "flips", multi_label=False).tolist()
    [1.0]
    """
    if len(proba) < 2:
        return np.zeros(proba.shape[1])
    if measure == "variability":
        return np.asarray(proba.var(axis=0).mean(axis=1))
    predicted = predictions(proba, multi_label)
    return np.asarray((predicted[1:] != predicted[:-1]).any(axis=2).mean(axis=0))


@dataclass(frozen=True)
class _Seen:
    """What some texts' predictions were like, up to a round.

    ``last`` is the mean of the probabilities, or the last prediction; ``total`` the sum over
    classes of squared deviations from that mean, or the number of flips.
    """

    rows: NDArray[np.int64]  # rising
    count: NDArray[np.int64]
    last: NDArray[np.float32]
    total: NDArray[np.float64]

    @classmethod
    def nothing(cls, width: int) -> Self:
        """Return what is known before the first round."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, np.empty((0, width), dtype=np.float32), np.empty(0))

    def at(self, rows: NDArray[np.int64]) -> Self:
        """Return what is known of some rows, in rising order; a count of 0 where nothing is."""
        known = np.isin(rows, self.rows)
        places = np.searchsorted(self.rows, rows[known])
        count, total = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows))
        last = np.zeros((len(rows), self.last.shape[1]), dtype=np.float32)
        count[known], total[known] = self.count[places], self.total[places]
        last[known] = self.last[places]
        return type(self)(rows, count, last, total)

    def joined(self, other: Self) -> Self:
        """Add what is known of other rows; rows in both stay as they are here."""
        new = ~np.isin(other.rows, self.rows)
        rows = np.concatenate([self.rows, other.rows[new]])
        order = np.argsort(rows, kind="stable")
        return type(self)(
            rows[order],
            np.concatenate([self.count, other.count[new]])[order],
            np.concatenate([self.last, other.last[new]])[order],
            np.concatenate([self.total, other.total[new]])[order],
        )

    def observed(self, now: NDArray[np.float32], measure: Change) -> Self:
        """Add a round: its probabilities, or its predictions."""
        count = self.count + 1
        if measure == "flips":
            flips = (now != self.last).any(axis=1) & (self.count > 0)
            return type(self)(self.rows, count, now, self.total + flips)
        # Welford's update, whose squares need only be summed over the classes.
        deviation = now - self.last
        mean = self.last + (deviation / count[:, None]).astype(np.float32)
        squares = (deviation.astype(np.float64) * (now - mean)).sum(axis=1)
        return type(self)(self.rows, count, mean, self.total + squares)

    def scores(self, measure: Change, num_classes: int) -> NDArray[np.float64]:
        """Return the measure; 0 for rows seen less than twice."""
        divisor = self.count * num_classes if measure == "variability" else self.count - 1
        return np.where(self.count > 1, self.total / np.maximum(divisor, 1), 0.0)


class PredictionHistory:
    """What past queries saw of each text, by rounds of the learner that asked.

    A round is known by what was labelled in it: it goes on from the one whose labelled rows the
    present ones begin with. So learners with other labels that share a strategy have histories of
    their own (those with the same labels share one); asking twice in a round counts once; and a
    label that is taken back drops the rounds since. The state of a
    round holds, for each text seen so far, its row, how often it was seen, and a mean per class and
    one number more (variability), or the last prediction and the flips; the states of the last 8
    rounds of all learners are kept.

    Parameters
    ----------
    measure : {"variability", "flips"}
        See `change_over_epochs`.
    """

    def __init__(self, measure: Change) -> None:
        self.measure: Change = measure
        self._states: dict[_State, _Seen] = {}  # least recently used first

    def observe(
        self,
        rows: NDArray[np.int64],
        proba: NDArray[np.float64],
        labeled: NDArray[np.int64],
        size: int,
        multi_label: bool,
    ) -> NDArray[np.float64]:
        """Take the probabilities of this round, and measure the change over all rounds.

        Parameters
        ----------
        rows : numpy.ndarray of int64, shape (m,)
            Rows of the root dataset.
        proba : numpy.ndarray of float64, shape (m, classes)
            Their probabilities.
        labeled : numpy.ndarray of int64
            Rows of what is labelled, in the order of labelling.
        size : int
            The length of the root dataset.
        multi_label : bool
            Whether labels are independent.

        Returns
        -------
        numpy.ndarray of float64, shape (m,)
            The measure; 0 for texts seen less than twice.
        """
        order = np.argsort(rows, kind="stable")
        current = proba if self.measure == "variability" else predictions(proba, multi_label)
        now = current[order].astype(np.float32)
        key = (size, now.shape[1], len(labeled), _digest(labeled))
        before = self._before(key, labeled)
        seen = before.at(rows[order]).observed(now, self.measure)
        self._keep(key, seen.joined(self._states.get(key, before)))
        scores = np.empty(len(rows))
        scores[order] = seen.scores(self.measure, proba.shape[1])
        return scores

    def _before(self, key: _State, labeled: NDArray[np.int64]) -> _Seen:
        """Return the state of the latest round that this one goes on from."""
        *kind, num_labeled, _ = key
        earlier = [
            state
            for state in self._states
            if list(state[:2]) == kind
            and state[2] < num_labeled
            and state[3] == _digest(labeled[: state[2]])
        ]
        if not earlier:
            return _Seen.nothing(key[1])
        latest = max(earlier)
        self._keep(latest, self._states[latest])
        return self._states[latest]

    def _keep(self, key: _State, seen: _Seen) -> None:
        self._states.pop(key, None)
        if key[2]:  # every learner goes on from no labels
            self._states[key] = seen
        while len(self._states) > _STATES:
            del self._states[next(iter(self._states))]


def _digest(rows: NDArray[np.int64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows, dtype=np.int64).data).hexdigest()
