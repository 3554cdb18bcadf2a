"""The table of a report on batches that a score selects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.batch_selection import SelectionSettings
from benchmarks.frames import Section
from benchmarks.results import RoundRecord
from benchmarks.statistics import Estimate, estimate_mean, paired_difference
from benchmarks.tables import MISSING, cell, decimal, difference_cell, markdown_table, significant

SELECTION_INTRODUCTION = """\
One classifier a row, trained on the whole pool; it is judged after each pass over the candidates.
The target of a seed is the mean of uniform's last three evaluations, and a method's steps to it are
those of its first evaluation at or above it. "Times faster" is uniform's steps (or seconds) over
the method's, seed by seed; a seed that never gets there counts with all its steps, or all of
uniform's where those are more, and the number is then an upper bound, shown as "at most". Seconds
are those of training, selection, and what came before it (irreducible losses, a core-set's proxy,
and for a classifier on texts the frozen vectors that both need), without evaluation. A fast gain
may be mere distillation: the row of the irreducible model says what it reaches itself. Shares are
of what was selected in all steps: wrong labels, texts the model predicted correctly before the
step, and texts of classes that the test set lacks."""

_LAST = 3
_ROUNDING = 1e-9
_ACCURACY = "accuracy"
_SHARES = {
    "wrong": "selected_noisy",
    "known already": "selected_correct",
    "irrelevant": "selected_irrelevant",
}


@dataclass(frozen=True)
class Condition:
    """What was done to the data, whatever the method.

    Parameters
    ----------
    noise : float
        Share of wrong labels.
    noise_kind : str
        Which they are.
    irrelevant : float
        Share of classes that the test set lacks.
    """

    noise: float
    noise_kind: str
    irrelevant: float

    @classmethod
    def of(cls, settings: SelectionSettings) -> Condition:
        """Return the condition of some settings."""
        kind = settings.noise_kind if settings.noise else "uniform"
        return cls(settings.noise, kind, settings.irrelevant)

    @property
    def title(self) -> str:
        """The condition in words.

        Examples
        --------
        >>> Condition(0.2, "structured", 0.0).title
        '20 % wrong labels (structured)'
        >>> Condition(0.0, "uniform", 0.0).title
        'labels as they are'
        """
        kind = " (structured)" if self.noise_kind == "structured" else ""
        parts = [f"{self.noise * 100:g} % wrong labels{kind}"] if self.noise else []
        if self.irrelevant:
            parts.append(f"{self.irrelevant * 100:g} % of the classes irrelevant")
        return ", ".join(parts) or "labels as they are"


@dataclass
class Curve:
    """The units of one method under one condition.

    Parameters
    ----------
    name : str
        The method.
    settings : SelectionSettings
        Its parameters.
    is_ablation : bool
        Whether it varies one choice of another.
    rounds : dict of int to tuple of RoundRecord
        By seed.
    """

    name: str
    settings: SelectionSettings
    is_ablation: bool = False
    rounds: dict[int, tuple[RoundRecord, ...]] = field(default_factory=dict)

    def final(self, measure: str = _ACCURACY) -> dict[int, float | None]:
        """Return the mean of the last three evaluations, by seed."""
        return {seed: _final(records, measure) for seed, records in self.rounds.items()}

    def share(self, measure: str) -> dict[int, float | None]:
        """Return the mean of a share over all epochs, by seed."""
        return {seed: _mean_of(records, measure) for seed, records in self.rounds.items()}

    def steps_to(self, targets: Mapping[int, float | None]) -> dict[int, float | None]:
        """Return the steps to a target; None where it is not reached."""
        return self._first(targets, [record_steps(r) for r in self.rounds.values()])

    def seconds_to(self, targets: Mapping[int, float | None]) -> dict[int, float | None]:
        """Return the seconds to a target; None where it is not reached."""
        return self._first(targets, [record_seconds(r) for r in self.rounds.values()])

    def total(self, of: Any) -> dict[int, float]:  # noqa: ANN401
        """Return all steps, or all seconds, by seed."""
        return {seed: float(of(records)[-1]) for seed, records in self.rounds.items()}

    def _first(
        self, targets: Mapping[int, float | None], costs: Sequence[Sequence[float]]
    ) -> dict[int, float | None]:
        found: dict[int, float | None] = {}
        for (seed, records), cost in zip(self.rounds.items(), costs, strict=True):
            target = targets.get(seed)
            if target is None:
                continue
            least = target - _ROUNDING
            reached = [c for r, c in zip(records, cost, strict=True) if _accuracy(r) >= least]
            found[seed] = float(reached[0]) if reached else None
        return found


def record_steps(records: Sequence[RoundRecord]) -> list[float]:
    """Return the gradient steps up to each evaluation."""
    return [float(record.step or 0) for record in records]


def epochs_to_accuracy(records: Sequence[RoundRecord], accuracy: float) -> int | None:
    """Return the passes over the candidates that an accuracy takes, as RHO-LOSS's paper counts.

    Parameters
    ----------
    records : sequence of RoundRecord
        The evaluations of a unit, one a pass.
    accuracy : float
        To be reached, between 0 and 1.

    Returns
    -------
    int or None
        From 1; None where it is never reached.

    Examples
    --------
    >>> def evaluated(number: int, accuracy: float) -> RoundRecord:
    ...     metrics = {"accuracy": accuracy}
    ...     return RoundRecord(
    ...         round=number, num_labeled=9, metrics=metrics, per_class={}, labeled_counts={})
    >>> records = [evaluated(0, 0.7), evaluated(1, 0.9)]
    >>> epochs_to_accuracy(records, 0.9), epochs_to_accuracy(records, 0.95)
    (2, None)
    """
    least = accuracy - _ROUNDING
    reached = (number for number, r in enumerate(records, start=1) if _accuracy(r) >= least)
    return next(reached, None)


def record_seconds(records: Sequence[RoundRecord]) -> list[float]:
    """Return the seconds up to each evaluation, those before the first step counted."""
    spent = [r.seconds.get("fit", 0.0) + r.seconds.get("irreducible", 0.0) for r in records]
    return [float(seconds) for seconds in np.cumsum(spent)]


@dataclass(frozen=True)
class SelectionComparison:
    """The methods of one section under one condition.

    Parameters
    ----------
    condition : Condition
        What was done to the data.
    curves : tuple of Curve
        Uniform first, then by name.
    """

    condition: Condition
    curves: tuple[Curve, ...]

    @cached_property
    def uniform(self) -> Curve | None:
        """What all are compared with: uniform batches on everything, as many steps as the rest."""
        plain = [
            curve
            for curve in self.curves
            if curve.settings.is_uniform and curve.settings.passes == 1.0 and not curve.is_ablation
        ]
        return min(plain, key=lambda curve: curve.settings.hold_out, default=None)

    @cached_property
    def targets(self) -> dict[int, float | None]:
        """Accuracy to reach, by seed."""
        return {} if self.uniform is None else self.uniform.final()

    def speed_up(self, curve: Curve, of: Any) -> Estimate | None:  # noqa: ANN401
        """Return how many times fewer steps or seconds than uniform a method takes to the target.

        Parameters
        ----------
        curve : Curve
            The method.
        of : callable
            `record_steps` or `record_seconds`.

        Returns
        -------
        Estimate or None
            Over the seeds that both have.
        """
        if self.uniform is None or curve is self.uniform:
            return None
        own, other = self._costs(curve, of), self._costs(self.uniform, of)
        return estimate_mean(other[seed] / own[seed] for seed in own.keys() & other.keys())

    def _costs(self, curve: Curve, of: Any) -> dict[int, float]:  # noqa: ANN401
        """Return costs by seed; a miss costs all that was spent, and no less than uniform's all."""
        assert self.uniform is not None
        reach = curve.steps_to if of is record_steps else curve.seconds_to
        total, least = curve.total(of), self.uniform.total(of)
        costs = reach(self.targets).items()
        return {
            seed: max(total[seed], least.get(seed, 0.0)) if cost is None else cost
            for seed, cost in costs
        }

    def misses(self, curve: Curve) -> bool:
        """Return whether a seed never reaches its target."""
        return None in curve.steps_to(self.targets).values()


def selection_comparisons(section: Section) -> list[SelectionComparison]:
    """Group the units of a section that train selected batches by what was done to the data.

    Parameters
    ----------
    section : Section
        Units that may be compared.

    Returns
    -------
    list of SelectionComparison
        Clean labels first.
    """
    found: dict[Condition, dict[str, Curve]] = {}
    for result in section.selections:
        method = result.spec.method
        settings = SelectionSettings.from_params(method.params)
        curves = found.setdefault(Condition.of(settings), {})
        name = section.method_name(result)
        curve = curves.setdefault(name, Curve(name, settings, method.ablation))
        curve.rounds[result.spec.seed.number] = result.rounds
    order = sorted(found, key=lambda c: (c.irrelevant, c.noise_kind != "uniform", c.noise))
    return [
        SelectionComparison(each, tuple(sorted(found[each].values(), key=_place))) for each in order
    ]


def _place(curve: Curve) -> tuple[bool, float, str]:
    return (not curve.settings.is_uniform, curve.settings.passes, curve.name)


def selection_table(comparison: SelectionComparison) -> str:
    """Return the table of one condition: a row for each method.

    Parameters
    ----------
    comparison : SelectionComparison
        Methods under one condition.

    Returns
    -------
    str
        Markdown.
    """
    num_seeds = max(len(curve.rounds) for curve in comparison.curves)
    header = ["method", "seeds", "accuracy, last 3", "minus uniform", "steps to target", "reached"]
    header += ["times faster, steps", "times faster, seconds", "seconds in all", *_SHARES]
    rows = [_row(comparison, curve, num_seeds) for curve in comparison.curves]
    return markdown_table(header, [*rows, *_irreducible_rows(comparison, len(header))])


def _row(comparison: SelectionComparison, curve: Curve, num_seeds: int) -> list[str]:
    reached = curve.steps_to(comparison.targets)
    hits = [steps for steps in reached.values() if steps is not None]
    difference = (
        None
        if curve is comparison.uniform
        else paired_difference(curve.final(), comparison.targets)
    )
    return [
        curve.name,
        str(len(curve.rounds)),
        cell(estimate_mean(curve.final().values()), decimal),
        difference_cell(difference, decimal, num_seeds),
        cell(estimate_mean(hits), significant, interval=False),
        f"{len(hits)}/{len(reached)}",
        *(_faster(comparison, curve, of) for of in (record_steps, record_seconds)),
        cell(estimate_mean(curve.total(record_seconds).values()), significant, interval=False),
        *(
            cell(estimate_mean(curve.share(measure).values()), decimal, interval=False)
            for measure in _SHARES.values()
        ),
    ]


def _faster(comparison: SelectionComparison, curve: Curve, of: Any) -> str:  # noqa: ANN401
    shown = cell(comparison.speed_up(curve, of), significant)
    return f"at most {shown}" if comparison.misses(curve) and shown != MISSING else shown


def _irreducible_rows(comparison: SelectionComparison, width: int) -> Iterator[list[str]]:
    """Yield what the models behind irreducible losses reach themselves, one row for each source."""
    seen: set[str] = set()
    for curve in comparison.curves:
        values = [_mean_of(records, "irreducible_accuracy") for records in curve.rounds.values()]
        estimate = estimate_mean(values)
        if estimate is None:
            continue
        source = curve.settings.irreducible_source
        if source not in seen:
            seen.add(source)
            name = f"(irreducible model, {source})"
            blank = [MISSING] * (width - 3)
            yield [name, str(len(curve.rounds)), cell(estimate, decimal), *blank]


def selection_summary(section: Section) -> list[dict[str, Any]]:
    """Return the numbers of the tables as plain values."""
    return [
        {
            "noise": comparison.condition.noise,
            "noise_kind": comparison.condition.noise_kind,
            "irrelevant": comparison.condition.irrelevant,
            "method": curve.name,
            "seeds": sorted(curve.rounds),
            "accuracy": _plain(estimate_mean(curve.final().values())),
            "minus_uniform": _plain(paired_difference(curve.final(), comparison.targets)),
            "steps_to_target": curve.steps_to(comparison.targets),
            "seconds_to_target": curve.seconds_to(comparison.targets),
            "times_faster_steps": _plain(comparison.speed_up(curve, record_steps)),
            "times_faster_seconds": _plain(comparison.speed_up(curve, record_seconds)),
        }
        for comparison in selection_comparisons(section)
        for curve in comparison.curves
    ]


def _accuracy(record: RoundRecord) -> float:
    value = record.metrics.get(_ACCURACY)
    return float("-inf") if value is None else value


def _final(records: Sequence[RoundRecord], measure: str) -> float | None:
    return _mean_of(records[-_LAST:], measure)


def _mean_of(records: Sequence[RoundRecord], measure: str) -> float | None:
    values = [record.metrics.get(measure) for record in records]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)
