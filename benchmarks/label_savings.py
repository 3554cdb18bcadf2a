"""How many labels a method saves: where the curve of random texts reaches what it reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.frames import Section
from benchmarks.results import UnitResult
from benchmarks.statistics import Estimate, estimate_mean, paired_difference
from benchmarks.tables import (
    MISSING,
    Comparison,
    cell,
    decimal,
    difference_cell,
    markdown_table,
    percent,
)

SAVINGS_INTRODUCTION = """\
Accuracy at the end of the curve: after the last epoch of a fit, and the best of its epochs by the
test set itself, which flatters every row alike. Labels saved: a power law a - b n^-c is fitted to
the mean curve of random texts and inverted at a method's last accuracy; one minus the method's
labels over those. The interval is over resampled seeds. What lies beyond ten times the method's
labels, or above the law's limit, counts as ten times. Below zero, the method costs labels."""

_MEASURES = ("last_accuracy", "best_accuracy")
_RESAMPLES = 200
_FARTHEST = 10.0
_RANDOM = "RandomSampling"

Curves = NDArray[np.float64]


@dataclass(frozen=True)
class Savings:
    """What a method saves.

    Parameters
    ----------
    labels : int
        Labels at the end of its curve.
    needed : float
        Labels at which random texts reach its accuracy.
    saved : Estimate
        The share of labels saved, with its interval.
    """

    labels: int
    needed: float
    saved: Estimate


def invert_curve(
    labels: NDArray[np.float64], accuracies: NDArray[np.float64], wanted: float
) -> float:
    """Return the number of labels at which a curve reaches an accuracy.

    Parameters
    ----------
    labels, accuracies : numpy.ndarray of float64, shape (n,)
        Points of the curve, at least three, to which ``a - b n**-c`` is fitted.
    wanted : float
        The accuracy.

    Returns
    -------
    float
        Labels; infinite where the law never gets there.

    Examples
    --------
    >>> labels = np.array([100.0, 200.0, 400.0, 800.0])
    >>> round(invert_curve(labels, 0.9 - 2 * labels**-0.5, 0.8))
    400
    """
    from scipy.optimize import least_squares

    scale = labels[0]
    start = [min(1.0, accuracies[-1] + 0.02), max(1e-3, np.ptp(accuracies)), 0.5]

    def errors(law: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(law[0] - law[1] * (labels / scale) ** -law[2] - accuracies)

    bounds = ([0.0, 0.0, 0.01], [1.0, 10.0, 5.0])
    limit, height, exponent = least_squares(errors, start, bounds=bounds, x_scale="jac").x
    if wanted >= limit or height == 0:
        return np.inf if wanted >= limit else float(scale)
    return float(scale * (height / (limit - wanted)) ** (1 / exponent))


def label_savings(
    labels: Sequence[int], random: Curves, accuracies: NDArray[np.float64]
) -> Savings:
    """Return what a method saves against random texts.

    Parameters
    ----------
    labels : sequence of int, length r
        Labels of each round, of both.
    random : numpy.ndarray of float64, shape (seeds, r)
        The curve of random texts, seed by seed.
    accuracies : numpy.ndarray of float64, shape (seeds,)
        What the method reached at the end, of the same seeds.

    Returns
    -------
    Savings
        Of the means, with the interval of resampled seeds.
    """
    counts = np.asarray(labels, dtype=np.float64)
    end = int(labels[-1])

    def needed(rows: NDArray[np.int64]) -> float:
        found = invert_curve(counts, random[rows].mean(axis=0), float(accuracies[rows].mean()))
        return min(found, _FARTHEST * end)

    everything = np.arange(len(random))
    generator = np.random.default_rng(0)
    drawn = [generator.choice(everything, len(everything)) for _ in range(_RESAMPLES)]
    low, high = np.quantile([1 - end / needed(rows) for rows in drawn], [0.025, 0.975])
    at_all = needed(everything)
    several = len(everything) > 1
    saved = Estimate(
        1 - end / at_all,
        float(low) if several else None,
        float(high) if several else None,
        len(everything),
    )
    return Savings(end, at_all, saved)


@dataclass(frozen=True)
class JudgedCurves:
    """The curves of one section whose epochs were judged.

    Parameters
    ----------
    labels : tuple of int
        Labels of each round that all units have.
    curves : mapping of str to dict of int to dict of str to numpy.ndarray
        Method to seed to measure to its value at each round.
    random : str or None
        The method of random texts.
    """

    labels: tuple[int, ...]
    curves: Mapping[str, Mapping[int, Mapping[str, NDArray[np.float64]]]]
    random: str | None

    @classmethod
    def of(cls, section: Section) -> JudgedCurves | None:
        """Return those of a section; None where no epoch was judged."""
        judged = [r for r in section.learning if "last_accuracy" in r.rounds[0].metrics]
        rows = [result for result in judged if not result.is_ceiling]
        if not rows:
            return None
        shortest = min((result.rounds for result in rows), key=len)
        labels = tuple(record.num_labeled for record in shortest)
        curves: dict[str, dict[int, dict[str, NDArray[np.float64]]]] = {}
        for result in rows:
            measured = {
                name: np.array([record.metrics[name] for record in result.rounds[: len(labels)]])
                for name in _MEASURES
            }
            curves.setdefault(section.method_name(result), {})[result.spec.seed.number] = measured
        drawn = (section.method_name(r) for r in rows if r.spec.method.strategy == _RANDOM)
        random = next(drawn, None)
        return cls(labels, curves, random)

    def final(self, method: str, measure: str) -> dict[int, float | None]:
        """Return one measure at the end by seed."""
        found = self.curves[method].items()
        return {seed: float(measures[measure][-1]) for seed, measures in found}

    def difference(self, method: str, measure: str) -> Estimate | None:
        """Return by how much a method is above random texts, paired by seed."""
        if self.random is None or method == self.random:
            return None
        return paired_difference(self.final(method, measure), self.final(self.random, measure))

    def savings(self, method: str) -> Savings | None:
        """Return what a method saves; None without random texts, or with fewer than 4 rounds."""
        if self.random is None or method == self.random or len(self.labels) < 4:
            return None
        seeds = sorted(set(self.curves[method]) & set(self.curves[self.random]))
        if not seeds:
            return None
        measure = _MEASURES[0]
        random = np.stack([self.curves[self.random][seed][measure] for seed in seeds])
        reached = np.array([self.curves[method][seed][measure][-1] for seed in seeds])
        return label_savings(self.labels, random, reached)


def savings_table(comparison: Comparison) -> str | None:
    """Return the table of a section; None where no epoch was judged.

    Parameters
    ----------
    comparison : Comparison
        The section.

    Returns
    -------
    str or None
        Markdown: accuracy of the last and the best epoch, differences to random, labels saved.
    """
    curves = JudgedCurves.of(comparison.section)
    if curves is None:
        return None
    header = ["method", "seeds", "labels"]
    for title in ("last epoch", "best epoch"):
        header += [title, f"{title} minus random"]
    rows = []
    for method in (name for name in comparison.methods if name in curves.curves):
        seeds = len(curves.curves[method])
        cells = [f"`{method}`", str(seeds), f"{curves.labels[-1]:,}"]
        for measure in _MEASURES:
            cells.append(cell(estimate_mean(curves.final(method, measure).values()), decimal))
            cells.append(difference_cell(curves.difference(method, measure), decimal, seeds))
        rows.append([*cells, *_savings_cells(curves.savings(method))])
    rows += [_zero_shot_row(name, units) for name, units in _zero_shot(comparison.section).items()]
    return markdown_table([*header, "labels random needs", "saved"], rows)


def _zero_shot(section: Section) -> dict[str, list[UnitResult]]:
    found: dict[str, list[UnitResult]] = {}
    for result in section.zero_shot:
        found.setdefault(section.method_name(result), []).append(result)
    return found


def _zero_shot_row(name: str, units: Sequence[UnitResult]) -> list[str]:
    reached = estimate_mean(result.rounds[0].metrics["last_accuracy"] for result in units)
    empty = [MISSING] * 5
    return [f"`{name}`", str(len(units)), "0", cell(reached, decimal), *empty]


def _savings_cells(found: Savings | None) -> list[str]:
    if found is None:
        return [MISSING, MISSING]
    beyond = "over " if found.needed >= _FARTHEST * found.labels else ""
    return [f"{beyond}{found.needed:,.0f}", cell(found.saved, percent)]


def savings_summary(section: Section) -> list[dict[str, Any]]:
    """Return the numbers of the table as plain values."""
    curves = JudgedCurves.of(section)
    if curves is None:
        return []
    found = []
    for method in curves.curves:
        savings = curves.savings(method)
        found.append(
            {
                "method": method,
                "labels": list(curves.labels),
                **{
                    name: _plain(estimate_mean(curves.final(method, name).values()))
                    for name in _MEASURES
                },
                "differences": {
                    name: _plain(curves.difference(method, name)) for name in _MEASURES
                },
                "savings": None if savings is None else asdict(savings),
            }
        )
    return found


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)
