"""The AnchorAL paper's own tables: how far each strategy came, and all at one number of labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.frames import CURVES, PAPER_F1, Section
from benchmarks.results import RoundRecord, UnitResult
from benchmarks.statistics import estimate_mean, published_area
from benchmarks.tables import (
    MISSING,
    Comparison,
    Format,
    cell,
    markdown_table,
    percent,
    significant,
)

MIN_RUNS_ALIVE = 3
"""Runs that must have reached a step before the paper reports it."""

ANCHORAL_INTRODUCTION = """\
As in the AnchorAL paper: median (interquartile range) over runs. The area under F1 is summed by
trapezoids one round wide and not normalised, so it grows with the rounds; minutes are those of
queries, without fits, evaluation and encoding. "Overall" is each method's own last step that at
least 3 runs reached, "budget-matched" the smallest of these steps. The minority's F1 is the mean
over the wanted classes, the majority's that over all others, both on the test set as it is: where
that holds far more of the wanted class than the pool, they flatter, and the tables above, which
weight the test set to the pool's own mixture, are lower."""
_WEIGHTED_NOTE = """

These units were measured before F1 of the test set as it is was kept: theirs is weighted to the
pool's own mixture, and nothing to lay beside the paper's."""
SHARES_INTRODUCTION = """\
Share of the wanted classes, mean over runs: in all labels so far, and in the subpool of the last
query:"""

_PAPER_MAJORITY_F1 = "unweighted_majority_f1"
_FILTERS = ("AnchorAL", "SEALS", "AnchorSubsampling")
_SHOWN_SHARES = 5

Runs = Mapping[str, Sequence[UnitResult]]


@dataclass(frozen=True)
class Spread:
    """A median over runs, and the distance of the quartiles.

    Parameters
    ----------
    median, interquartile_range : float
        Of the values.
    num_runs : int
        How many there are.
    """

    median: float
    interquartile_range: float
    num_runs: int

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread | None:
        """Return the spread of what was measured; None where nothing was.

        Examples
        --------
        >>> Spread.of([1.0, 2.0, 4.0, None])
        Spread(median=2.0, interquartile_range=1.5, num_runs=3)
        """
        known = np.array([value for value in values if value is not None], dtype=np.float64)
        if not len(known):
            return None
        low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
        return cls(float(middle), float(high - low), len(known))


@dataclass(frozen=True)
class Reached:
    """What one method reached up to a step.

    Parameters
    ----------
    method : str
        Its name.
    step : int
        Number of queries; 0 is the model of the initial labels.
    labels : int
        Labels at that step.
    is_early : bool
        Whether the protocol has more queries than that.
    majority, minority : Spread or None
        Area under F1.
    minutes : Spread or None
        Of all queries up to the step.
    """

    method: str
    step: int
    labels: int
    is_early: bool
    majority: Spread | None
    minority: Spread | None
    minutes: Spread | None


def runs_of(section: Section) -> Runs:
    """Return the runs of each method that asks for labels, in the order of the files."""
    found: dict[str, list[UnitResult]] = {}
    for result in section.learning:
        if not result.is_ceiling:
            found.setdefault(section.method_name(result), []).append(result)
    return found


def last_step(runs: Sequence[UnitResult]) -> int | None:
    """Return the last step that at least 3 runs reached; None where there are fewer runs.

    Parameters
    ----------
    runs : sequence of UnitResult
        The runs of a method.

    Returns
    -------
    int or None
        The number of queries.
    """
    steps = sorted((len(result.rounds) - 1 for result in runs), reverse=True)
    return steps[MIN_RUNS_ALIVE - 1] if len(steps) >= MIN_RUNS_ALIVE else None


def matched_step(runs: Runs) -> int | None:
    """Return the smallest of the methods' last steps; None where no method has 3 runs."""
    steps = [step for step in map(last_step, runs.values()) if step is not None]
    return min(steps, default=None)


def is_weighted(runs: Iterable[UnitResult]) -> bool:
    """Return whether no run has F1 of the test set as it is: early results lack it."""
    return not any(PAPER_F1 in record.metrics for result in runs for record in result.rounds)


def reached_at(
    method: str, runs: Sequence[UnitResult], step: int, *, weighted: bool = False
) -> Reached:
    """Return areas and minutes of the runs that are alive at a step.

    Parameters
    ----------
    method : str
        Name of the method.
    runs : sequence of UnitResult
        Its runs; at least one has reached the step.
    step : int
        The number of queries.
    weighted : bool, default=False
        Sum F1 weighted to the pool's mixture, in place of that of the test set as it is.

    Returns
    -------
    Reached
        Over the runs that have reached the step.
    """
    curves = [result.rounds[: step + 1] for result in runs if len(result.rounds) > step]
    protocol, wanted = runs[0].spec.protocol, runs[0].spec.dataset.minority

    def majority(record: RoundRecord) -> float | None:
        return majority_f1(record, wanted) if weighted else record.metrics.get(_PAPER_MAJORITY_F1)

    def minority(record: RoundRecord) -> float | None:
        return record.metrics.get(CURVES["f1"] if weighted else PAPER_F1)

    return Reached(
        method,
        step,
        max(rounds[-1].num_labeled for rounds in curves),
        step < protocol.rounds,
        Spread.of([published_area([majority(r) for r in rounds]) for rounds in curves]),
        Spread.of([published_area([minority(r) for r in rounds]) for rounds in curves]),
        Spread.of([sum(r.seconds.get("query", 0.0) for r in c) / 60 for c in curves]),
    )


def majority_f1(record: RoundRecord, minority: Sequence[str]) -> float | None:
    """Return the mean F1 of all classes that are not wanted; None where it was not measured."""
    others = [scores.get("f1") for name, scores in record.per_class.items() if name not in minority]
    known = [value for value in others if value is not None]
    return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class PaperComparison:
    """What the methods of one section reached, as the paper compares them.

    Parameters
    ----------
    runs : mapping of str to sequence of UnitResult
        The runs of each method, from `runs_of`.
    """

    runs: Runs

    @cached_property
    def is_weighted(self) -> bool:
        """Whether F1 is weighted to the pool's mixture, see `is_weighted`."""
        return is_weighted(result for units in self.runs.values() for result in units)

    @cached_property
    def overall(self) -> list[Reached]:
        """What each method reached at its own last step; methods with under 3 runs lack."""
        found = ((method, last_step(units)) for method, units in self.runs.items())
        return [self._at(name, step) for name, step in found if step is not None]

    def _at(self, method: str, step: int) -> Reached:
        return reached_at(method, self.runs[method], step, weighted=self.is_weighted)

    @cached_property
    def budget_matched(self) -> list[Reached]:
        """What each of these methods reached at the smallest of their last steps."""
        step = min((each.step for each in self.overall), default=0)
        return [each if each.step == step else self._at(each.method, step) for each in self.overall]

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the main table as plain values."""
        return {
            "is_weighted": self.is_weighted,
            "overall": [asdict(each) for each in self.overall],
            "budget_matched": [asdict(each) for each in self.budget_matched],
        }


def is_anchoral(section: Section) -> bool:
    """Return whether a section is an experiment of that paper: a rare class, and its methods."""
    strategies = {result.spec.method.strategy for result in section.learning}
    wanted = bool(section.results[0].spec.dataset.minority)
    enough = any(last_step(units) is not None for units in runs_of(section).values())
    return wanted and enough and not strategies.isdisjoint(_FILTERS)


def anchoral_table(comparison: Comparison) -> str:
    """Return the paper's main table for one section.

    Parameters
    ----------
    comparison : Comparison
        A section for which `is_anchoral` holds.

    Returns
    -------
    str
        Markdown: a row for each method, its own last step left and, where they differ, the common
        one right. A step before the protocol's last is marked with a dagger.
    """
    paper = PaperComparison(runs_of(comparison.section))
    pairs = list(zip(paper.overall, paper.budget_matched, strict=True))
    halves = (
        ["overall", "matched"] if any(own != matched for own, matched in pairs) else ["overall"]
    )
    rows = [
        [f"`{pair[0].method}`", str(len(paper.runs[pair[0].method]))]
        + [text for each in pair[: len(halves)] for text in _cells(each)]
        for pair in sorted(pairs, key=lambda pair: _place(comparison, pair[0].method))
    ]
    columns = ("labels", "majority F1", "minority F1", "minutes")
    header = ["method", "runs", *(f"{name}, {half}" for half in halves for name in columns)]
    is_early = any(own.is_early for own in paper.overall)
    note = "\n\n† fewer queries than the protocol has." if is_early else ""
    return markdown_table(header, rows) + note + (_WEIGHTED_NOTE if paper.is_weighted else "")


def _place(comparison: Comparison, method: str) -> int:
    order = comparison.methods
    # A name that means two methods bears a hash there.
    return order.index(method) if method in order else len(order)


def _cells(reached: Reached) -> list[str]:
    areas = (reached.majority, reached.minority)
    return [
        f"{reached.labels:,}{' †' if reached.is_early else ''}",
        *(_spread(area, "{:.2f}".format) for area in areas),
        _spread(reached.minutes, significant),
    ]


def _spread(spread: Spread | None, style: Format) -> str:
    if spread is None:
        return MISSING
    return f"{style(spread.median)} ({style(spread.interquartile_range)})"


def share_places(runs: Runs) -> NDArray[np.int64]:
    """Return at most 5 steps, evenly spaced, up to the smallest of the methods' last ones."""
    step = matched_step(runs) or 0
    return np.unique(np.linspace(0, step, _SHOWN_SHARES).round().astype(np.int64))


def minority_shares(
    runs: Sequence[UnitResult], step: int
) -> tuple[list[float | None], list[float | None]]:
    """Return the share of the wanted classes after so many queries, for each run that came so far.

    Parameters
    ----------
    runs : sequence of UnitResult
        The runs of a method.
    step : int
        The number of queries.

    Returns
    -------
    labels, subpool : list of float or None
        Share in all labels, and in the subpool of the last query; None where there is none.
    """
    records = [result.rounds[step] for result in runs if len(result.rounds) > step]
    minority = runs[0].spec.dataset.minority
    return (
        [_share(record.labeled_counts, minority) for record in records],
        [_share(record.subpool_counts, minority) for record in records],
    )


def _share(counts: Mapping[str, int] | None, minority: Sequence[str]) -> float | None:
    total = sum(counts.values()) if counts else 0
    return sum(counts.get(name, 0) for name in minority) / total if counts and total else None


def shares_table(comparison: Comparison) -> str:
    """Return the minority's share of labels and subpool as rounds go by.

    Parameters
    ----------
    comparison : Comparison
        A section for which `is_anchoral` holds.

    Returns
    -------
    str
        Markdown: a row for each method, at most 5 steps as columns.
    """
    runs = runs_of(comparison.section)
    steps = share_places(runs).tolist()
    methods = sorted(runs, key=lambda method: _place(comparison, method))
    rows = [[f"`{name}`", *(_share_cell(runs[name], step) for step in steps)] for name in methods]
    return markdown_table(["method", *(f"after {step:,} queries" for step in steps)], rows)


def _share_cell(runs: Sequence[UnitResult], step: int) -> str:
    shares = (estimate_mean(values) for values in minority_shares(runs, step))
    return " / ".join(cell(share, percent, interval=False) for share in shares)
