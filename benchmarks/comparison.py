"""Two sets of results side by side: differences paired by seed, and whether they are chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks.published_tables import unit_measure
from benchmarks.results import SeedRecord, UnitResult, iterate_results
from benchmarks.statistics import (
    Estimate,
    estimate_mean,
    holm_correction,
    paired_difference,
    signed_rank_p_value,
)
from benchmarks.suggestions import SuiteError, unknown_name

Better = Literal["higher", "lower"]
Key = tuple[str, ...]

DEFAULT_METRIC = "area_macro_f1"
_OF_A_CURVE = ("area_", "final_")

_LOWER_IS_BETTER = (
    *("seconds_", "ece", "loss", "memory", "selected_noisy", "selected_irrelevant"),
    *("second_accuracy", "second_within_accuracy"),
)


@dataclass(frozen=True)
class Side:
    """One of the two things that are compared.

    Parameters
    ----------
    name : str
        What tables call it.
    results : tuple of UnitResult
        Its units.
    """

    name: str
    results: tuple[UnitResult, ...]


@dataclass(frozen=True)
class ComparisonRow:
    """The second side against the first, on one data set with one classifier and method.

    Parameters
    ----------
    dataset, classifier, method : str
        Names; the method is "a -> b" where two methods are compared.
    seeds : int
        Number of seeds that both sides have.
    first, second : float
        Means over them.
    difference : Estimate
        Of second minus first, seed by seed.
    wins, ties, losses : int
        Seeds in which the second is better, equal and worse.
    p_value : float
        Of Wilcoxon's signed-rank test.
    corrected_p_value : float
        The same after Holm's correction over all rows.
    drop : float
        By how much the second is worse on average, in whichever direction is worse; negative where
        it is better.
    """

    dataset: str
    classifier: str
    method: str
    seeds: int
    first: float
    second: float
    difference: Estimate
    wins: int
    ties: int
    losses: int
    p_value: float
    corrected_p_value: float
    drop: float


@dataclass(frozen=True)
class Comparison:
    """All rows, and what was left out.

    Parameters
    ----------
    first, second : str
        Names of the two sides.
    metric : str
        What is compared.
    better : {"higher", "lower"}
        Which of its values are better.
    rows : tuple of ComparisonRow
        In the order of names.
    unpaired : int
        Units that have the metric on one side only.
    lost : tuple of str
        Those of them that have it on the first side only.
    num_cut : int
        Pairs whose sides ended at different numbers of labels, as under a limit of time, and whose
        areas and last values were taken up to the smaller one.
    """

    first: str
    second: str
    metric: str
    better: Better
    rows: tuple[ComparisonRow, ...]
    unpaired: int
    lost: tuple[str, ...] = ()
    num_cut: int = 0

    def dropped(self, tolerance: float) -> list[ComparisonRow]:
        """Return the rows in which the second side is worse by more than that."""
        return [row for row in self.rows if row.drop > tolerance]

    def content(self) -> dict[str, Any]:
        """Return everything as it is written to a JSON file."""
        return asdict(self)


def folder_sides(first: Path, second: Path) -> tuple[Side, Side]:
    """Read two folders, whose units are paired by data set, classifier, method and seed."""
    return (
        Side(str(first), tuple(iterate_results(first))),
        Side(str(second), tuple(iterate_results(second))),
    )


def method_sides(folder: Path, first: str, second: str) -> tuple[Side, Side]:
    """Read two methods of a folder, whose units are paired by data set, classifier and seed.

    Raises
    ------
    SuiteError
        If the folder has no results of one of them; the message names the nearest.
    """
    results = tuple(iterate_results(folder))
    known = {result.spec.method.id for result in results}
    for name in (first, second):
        if name not in known:
            raise unknown_name(f"method in {folder}", name, known)
    sides = [
        Side(name, tuple(r for r in results if r.spec.method.id == name))
        for name in (first, second)
    ]
    return sides[0], sides[1]


def better_values(metric: str) -> Better:
    """Return which values of a metric are better, as its name tells.

    Examples
    --------
    >>> better_values("final_accuracy"), better_values("seconds_fit"), better_values("area_ece")
    ('higher', 'lower', 'lower')
    """
    # What follows a point is a name of the user's: of a test set, or of a detector.
    plain = metric.removeprefix("area_").removeprefix("final_").partition(".")[0]
    is_lower = any(plain.startswith(name) or plain.endswith(name) for name in _LOWER_IS_BETTER)
    return "lower" if is_lower else "higher"


def compare_sides(
    first: Side,
    second: Side,
    metric: str = DEFAULT_METRIC,
    better: Better | None = None,
    *,
    by_method: bool = True,
) -> Comparison:
    """Compare two sides on a summary of their units.

    Parameters
    ----------
    first, second : Side
        What is compared; differences are second minus first.
    metric : str, default="area_macro_f1"
        Name of a summary, such as ``final_accuracy`` or ``seconds_fit``.
    better : {"higher", "lower"} or None, default=None
        Which values are better; None goes by the name, see :func:`better_values`.
    by_method : bool, default=True
        Whether units must be of one method to be a pair; False where the sides are two methods.

    Returns
    -------
    Comparison
        One row for each data set, classifier and (unless that is what is compared) method.

    Raises
    ------
    SuiteError
        If no units are pairs, the metric is unknown or was measured in no pair, or a pair is of
        different data or seeds.
    """
    with_suite = any(len({r.spec.suite for r in side.results}) > 1 for side in (first, second))
    ours, theirs = (_by_key(side, by_method, with_suite) for side in (first, second))
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        raise SuiteError(
            f"Nothing can be compared: {first.name} and {second.name} share no data set, "
            f"classifier{', method' if by_method else ''} and seed that passed on both sides."
        )
    num_cut = 0
    for key in shared:
        _check_data(ours[key], theirs[key])
        _check_other_test_set(ours[key], theirs[key], metric)
        end = _common_end(ours[key], theirs[key], metric)
        if end is not None:
            ours[key], theirs[key] = (_up_to(side[key], end, metric) for side in (ours, theirs))
            num_cut += 1
    chosen = better or better_values(metric)
    name = None if by_method else f"{first.name} -> {second.name}"
    values = (_values(ours, shared, metric), _values(theirs, shared, metric))
    rows = _rows(values[0], values[1], chosen, name)
    if not rows:
        known = {name for key in shared for name in ours[key].summary}
        if metric in known:
            raise SuiteError(f"{metric} was measured in no pair of units: choose another --metric.")
        raise unknown_name("metric of these results", metric, known)
    here, there = _measured(ours, metric), _measured(theirs, metric)
    lost = [ours[key].spec.name for key in sorted(here - there)]
    names = (first.name, second.name, metric)
    return Comparison(
        *names, chosen, _corrected(rows), len(here ^ there), tuple(lost), num_cut=num_cut
    )


def _common_end(first: UnitResult, second: UnitResult, metric: str) -> int | None:
    """Return the labels up to which two curves that end elsewhere are compared, else None."""
    pair = (first, second)
    is_of_curves = all(len(result.rounds) > 1 and metric in result.summary for result in pair)
    if not is_of_curves or not metric.startswith(_OF_A_CURVE):
        return None
    ends = [result.rounds[-1].num_labeled for result in pair]
    return None if ends[0] == ends[1] else min(ends)


def _up_to(result: UnitResult, num_labels: int, metric: str) -> UnitResult:
    """Return a unit as if it had ended at so many labels."""
    rounds = tuple(record for record in result.rounds if record.num_labeled <= num_labels)
    cut = result.model_copy(update={"rounds": rounds, "summary": {}})
    return cut.model_copy(update={"summary": {metric: unit_measure(cut, metric)}})


def _measured(results: Mapping[tuple[Key, int], UnitResult], metric: str) -> set[tuple[Key, int]]:
    return {key for key, result in results.items() if result.summary.get(metric) is not None}


def _by_key(side: Side, by_method: bool, with_suite: bool) -> dict[tuple[Key, int], UnitResult]:
    found: dict[tuple[Key, int], UnitResult] = {}
    for result in side.results:
        if result.status == "passed":
            spec = result.spec
            method = spec.method.id if by_method else ""
            dataset = f"{spec.suite}: {spec.dataset.id}" if with_suite else spec.dataset.id
            found[(dataset, spec.classifier.id, method), spec.seed.number] = result
    return found


def _check_data(first: UnitResult, second: UnitResult) -> None:
    prints = [result.spec.dataset.fingerprint for result in (first, second)]
    if prints[0] != prints[1]:
        raise SuiteError(
            f"data set '{first.spec.dataset.id}' is not the same on both sides: its fingerprint is "
            f"{prints[0][:12]} in one and {prints[1][:12]} in the other. Run one of them again on "
            "the other's data, or compare the other data sets alone with --dataset."
        )
    drawn = [
        (spec.seed, spec.dataset.prevalence, spec.protocol.test_size)
        for spec in (first.spec, second.spec)
    ]
    if drawn[0] != drawn[1]:
        raise SuiteError(
            f"{first.spec.name} is no pair: seeds, prevalence and share of the test set are "
            f"{_drawn_words(drawn[0])} in one and {_drawn_words(drawn[1])} in the other, so that "
            "the two have other splits. Run one of them again as the other ran."
        )


def _check_other_test_set(first: UnitResult, second: UnitResult, metric: str) -> None:
    """Refuse shares on a test set of another distribution that is another one on either side."""
    name = metric.partition(".")[2]
    prints = [
        record.fingerprint
        for result in (first, second)
        for record in result.spec.dataset.out_of_distribution
        if record.id == name
    ]
    if len(set(prints)) > 1:
        raise SuiteError(
            f"the test set '{name}' of {first.spec.name} is not the same on both sides: its "
            f"fingerprint is {prints[0][:12]} in one and {prints[1][:12]} in the other. Run one of "
            "them again on the other's data, or compare another --metric."
        )


def _drawn_words(drawn: tuple[SeedRecord, float | None, float]) -> str:
    seed, prevalence, test_size = drawn
    shown = "as it came" if prevalence is None else f"{prevalence:g}"
    return f"({seed.data}, {seed.model}, {seed.query}), {shown} and {test_size:g}"


def _values(
    results: Mapping[tuple[Key, int], UnitResult],
    shared: Iterable[tuple[Key, int]],
    metric: str,
) -> dict[Key, dict[int, float | None]]:
    found: dict[Key, dict[int, float | None]] = {}
    for key, seed in shared:
        found.setdefault(key, {})[seed] = results[key, seed].summary.get(metric)
    return found


def _rows(
    first: Mapping[Key, Mapping[int, float | None]],
    second: Mapping[Key, Mapping[int, float | None]],
    better: Better,
    method: str | None,
) -> list[ComparisonRow]:
    return [
        row
        for key in first
        if (row := _row(key, first[key], second[key], better, method)) is not None
    ]


def _row(
    key: Key,
    first: Mapping[int, float | None],
    second: Mapping[int, float | None],
    better: Better,
    method: str | None,
) -> ComparisonRow | None:
    pairs = [
        (a, b)
        for seed in first
        if (a := first[seed]) is not None and (b := second[seed]) is not None
    ]
    difference = paired_difference(second, first)
    means = [estimate_mean(values) for values in zip(*pairs, strict=True)]
    if difference is None or len(means) != 2 or means[0] is None or means[1] is None:
        return None
    sign = 1 if better == "higher" else -1
    gains = [sign * (b - a) for a, b in pairs]
    p_value = signed_rank_p_value(gains)
    return ComparisonRow(
        dataset=key[0],
        classifier=key[1],
        method=method or key[2],
        seeds=difference.num_seeds,
        first=means[0].mean,
        second=means[1].mean,
        difference=difference,
        wins=sum(gain > 0 for gain in gains),
        ties=sum(gain == 0 for gain in gains),
        losses=sum(gain < 0 for gain in gains),
        p_value=p_value,
        corrected_p_value=p_value,
        drop=-sign * difference.mean,
    )


def _corrected(rows: Sequence[ComparisonRow]) -> tuple[ComparisonRow, ...]:
    corrected = holm_correction([row.p_value for row in rows])
    return tuple(
        replace(row, corrected_p_value=value) for row, value in zip(rows, corrected, strict=True)
    )
