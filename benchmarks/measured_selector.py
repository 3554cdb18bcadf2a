"""A selector of batches that is measured while it selects."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from small_text_ext.training.online_selection import ScoreSelector
from small_text_ext.training.seams import CandidateBatch, FitPlan, Selection


class MeasuredSelector(ScoreSelector):
    """A `ScoreSelector` that times itself, and tells what of its choice was worth nothing.

    Its log has a further column: ``irrelevant``, the share of what was selected that is of a class
    nobody asks for. A score that does not ask the model what it knows already gets
    ``already_correct`` of one step an epoch, off the clock.

    Parameters
    ----------
    *args, **kwargs : Any
        Those of `ScoreSelector`.

    Attributes
    ----------
    irrelevant : numpy.ndarray of bool, shape (n,), or None
        Which items are of such a class, by their ids; None: none is.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.irrelevant: NDArray[np.bool_] | None = None
        self._selecting = self._aside = 0.0
        self._looked_at = -1

    def begin(self, plan: FitPlan) -> int:
        """Start a fit; see `ScoreSelector.begin`."""
        self._selecting = self._aside = 0.0
        self._looked_at = -1
        return super().begin(plan)

    def select(self, batch: CandidateBatch) -> Selection:
        """Choose what is trained; see `ScoreSelector.select`."""
        start = time.perf_counter()
        selection = super().select(batch)
        self._selecting += time.perf_counter() - start
        start = time.perf_counter()
        row, positions = self.log.rows[-1], selection.positions
        ids = batch.ids[positions].numpy()
        row["irrelevant"] = 0.0 if self.irrelevant is None else float(self.irrelevant[ids].mean())
        if np.isnan(row["already_correct"]) and self._looked_at != batch.epoch:
            self._looked_at = batch.epoch
            predicted = batch.score().argmax(dim=1).cpu()[positions]
            correct = predicted == batch.labels.cpu()[positions]
            row["already_correct"] = float(correct.float().mean())
        self._aside += time.perf_counter() - start
        return selection

    def take(self) -> tuple[float, float]:
        """Return seconds off the clock, and seconds of selection, since the last call."""
        taken = self._aside, self._selecting
        self._aside = self._selecting = 0.0
        return taken
