"""The numbers of one section, and the Markdown tables they are read in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from benchmarks.frames import KIND_COLUMNS, Section, common_budget, rounds_frame, units_frame
from benchmarks.statistics import Estimate, estimate_mean, paired_difference

Format = Callable[[float], str]
Cell = Estimate | None

MISSING = "-"
FULL_POOL_UNCERTAINTY = ("LeastConfidence", "PredictionEntropy", "BreakingTies")
# Rows stand in this order, not by result: a table sorted by result is a ranking.
_STRATEGY_ORDER = (
    "RandomSampling",
    *FULL_POOL_UNCERTAINTY,
    "RandomSubset",
    "SEALS",
    "AnchorSubsampling",
    "AnchorAL",
)


@dataclass(frozen=True)
class Comparison:
    """The methods of one section, measured seed by seed.

    Parameters
    ----------
    section : Section
        Units that may be compared.
    """

    section: Section

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """One row for each round, see `benchmarks.frames.rounds_frame`."""
        return rounds_frame(self.section.learning)

    @cached_property
    def units(self) -> pd.DataFrame:
        """One row for each unit, see `benchmarks.frames.units_frame`."""
        return self.rounds if self.rounds.empty else units_frame(self.rounds)

    @cached_property
    def budget(self) -> int | None:
        """The number of labels at which all methods are compared."""
        return common_budget(self.rounds)

    @cached_property
    def methods(self) -> list[str]:
        """All methods: baselines first, a ceiling last, equal strategies by name."""
        return sorted(self._kinds, key=self._place)

    @property
    def wants_all(self) -> bool:
        """Whether all classes are wanted, so that every label counts as one of a minority."""
        return not self.section.results[0].spec.dataset.minority

    @property
    def has_subpools(self) -> bool:
        """Whether a method chooses a subpool."""
        return bool(self.rounds["subpool_size"].notna().any())

    @property
    def compared(self) -> list[str]:
        """The methods that are no ablation."""
        return [name for name in self.methods if not self._kinds[name][1]]

    @property
    def curves(self) -> list[str]:
        """The methods that are neither ablation nor ceiling."""
        return [name for name in self.compared if not self._kinds[name][2]]

    @property
    def ablations(self) -> list[str]:
        """The methods that vary one choice of another."""
        return [name for name in self.methods if self._kinds[name][1]]

    @property
    def ceilings(self) -> list[str]:
        """The methods that train on the labels of the whole pool."""
        return [name for name in self.methods if self._kinds[name][2]]

    @cached_property
    def references(self) -> list[str]:
        """What every method is compared with: random, uncertainty on the full pool, AnchorAL."""
        groups = (("RandomSampling",), FULL_POOL_UNCERTAINTY, ("AnchorAL",))
        found = [self._first_of(group) for group in groups]
        return [name for name in found if name is not None]

    @property
    def subject(self) -> str | None:
        """The method that the ablations vary: the AnchorAL of the comparison, if there is one."""
        return self._first_of(("AnchorAL",))

    @property
    def num_seeds(self) -> int:
        """The number of different seeds."""
        return len(self.seeds)

    @property
    def seeds(self) -> list[int]:
        """The numbers of all seeds, in order."""
        return sorted({result.spec.seed.number for result in self.section.results})

    def values(self, method: str, measure: str) -> dict[int, float | None]:
        """Return the value of one measure for each seed of a method."""
        seeds, values = self._columns[method]["seed"], self._columns[method][measure]
        return {
            int(seed): None if pd.isna(value) else float(value)
            for seed, value in zip(seeds, values, strict=True)
        }

    def estimate(self, method: str, measure: str) -> Cell:
        """Return the mean of one measure over the seeds of a method."""
        key = (method, measure)
        if key not in self._estimates:
            self._estimates[key] = estimate_mean(self.values(method, measure).values())
        return self._estimates[key]

    def difference(self, method: str, reference: str, measure: str) -> Cell:
        """Return by how much a method exceeds a reference, over the seeds that both have."""
        if method == reference:
            return None
        return paired_difference(self.values(method, measure), self.values(reference, measure))

    @cached_property
    def _estimates(self) -> dict[tuple[str, str], Cell]:
        """Estimates made so far: tables and summary share most of them."""
        return {}

    @cached_property
    def _columns(self) -> dict[str, dict[Any, list[Any]]]:
        """Measures of each method as plain lists, one value for each of its units."""
        return {
            str(method): units.to_dict("list")
            for method, units in self.units.groupby("method", sort=False)
        }

    @cached_property
    def _kinds(self) -> dict[str, tuple[str, bool, bool]]:
        """Strategy of each method, and whether it is an ablation or a ceiling."""
        if self.units.empty:
            return {}
        kinds = self.units.drop_duplicates("method").set_index("method")
        return {
            str(name): (str(strategy), bool(ablation), bool(ceiling))
            for name, strategy, ablation, ceiling in kinds[list(KIND_COLUMNS)].itertuples()
        }

    def _place(self, method: str) -> tuple[bool, bool, int, str]:
        strategy, is_ablation, is_ceiling = self._kinds[method]
        known = strategy in _STRATEGY_ORDER
        rank = _STRATEGY_ORDER.index(strategy) if known else len(_STRATEGY_ORDER)
        return is_ceiling, is_ablation, rank, method

    def _first_of(self, strategies: Sequence[str]) -> str | None:
        fitting = [name for name in self.curves if self._kinds[name][0] in strategies]
        return fitting[0] if fitting else None


def quality_table(comparison: Comparison) -> str:
    """Return the table of what each method found, and how good its classifiers were."""
    columns: dict[str, tuple[str, Format]] = {
        "minority labels": ("minority_labeled", number),
        "of the pool's": ("found", percent),
        "area under AP": ("area_average_precision", decimal),
        "area under F1": ("area_f1", decimal),
        "final AP": ("final_average_precision", decimal),
        "final F1": ("final_f1", decimal),
        "area F1 as published": ("published_area_f1", number),
    }
    if comparison.wants_all:  # budgets, the same for all; and the published area is of one class
        for name in ("minority labels", "of the pool's", "area F1 as published"):
            del columns[name]
    return _measures_table(comparison, comparison.compared, columns)


def cost_table(comparison: Comparison) -> str:
    """Return the table of what a query costs, and how balanced labels and subpools are."""
    columns: dict[str, tuple[str, Format]] = {
        "first query, s": ("first_query_seconds", significant),
        "later queries, s": ("later_query_seconds", significant),
        "all queries, s": ("total_query_seconds", significant),
        "all fits, s": ("total_fit_seconds", significant),
        "texts scored per query": ("rows_scored", whole),
        "subpool": ("subpool_size", whole),
        "minority in subpool": ("subpool_share", percent),
        "minority in labels": ("labeled_share", percent),
        "harness per round, s": ("harness_seconds", significant),
    }
    if comparison.wants_all:
        del columns["minority in subpool"], columns["minority in labels"]
    return _measures_table(comparison, comparison.curves, columns, interval=False)


def difference_table(comparison: Comparison, measure: str, style: Format) -> str:
    """Return the table of paired differences: the method of the row minus that of the column.

    Parameters
    ----------
    comparison : Comparison
        The section.
    measure : str
        A column of `Comparison.units`.
    style : callable
        How a number is written.

    Returns
    -------
    str
        Markdown; differences whose interval leaves out zero, with seeds enough, are bold.
    """
    references = comparison.references
    rows = [
        [name, *(_difference_cell(comparison, name, other, measure, style) for other in references)]
        for name in comparison.curves
    ]
    return markdown_table(["method", *(f"minus {name}" for name in references)], rows)


def ablation_table(comparison: Comparison) -> str:
    """Return the table of the ablations, below the method that they vary."""
    columns: dict[str, tuple[str, Format]] = {
        "minority labels": ("minority_labeled", number),
        "area under AP": ("area_average_precision", decimal),
        "first query, s": ("first_query_seconds", significant),
        "later queries, s": ("later_query_seconds", significant),
        "texts scored per query": ("rows_scored", whole),
    }
    subject = comparison.subject or next(iter(comparison.references), None)
    methods = ([subject] if subject else []) + comparison.ablations
    rows = _measure_rows(comparison, methods, columns, interval=True)
    header = ["method", "seeds", *columns]
    if subject:
        header += [f"labels minus {subject}", f"area minus {subject}"]
        for row, name in zip(rows, methods, strict=True):
            row.append(_difference_cell(comparison, name, subject, "minority_labeled", number))
            row.append(
                _difference_cell(comparison, name, subject, "area_average_precision", decimal)
            )
    return markdown_table(header, rows)


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, num_text_columns: int = 1
) -> str:
    r"""Return a Markdown table: texts to the left, numbers to the right.

    Parameters
    ----------
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        Cells; a bar in one is escaped, a line break becomes a space.
    num_text_columns : int, default=1
        How many of the first columns hold texts.

    Returns
    -------
    str
        The table, without a line break at its end.

    Examples
    --------
    >>> print(markdown_table(["method", "AP"], [["a|b", "0.5"]]))
    | method | AP |
    | :-- | --: |
    | a\|b | 0.5 |
    """
    sides = [":--" if place < num_text_columns else "--:" for place in range(len(header))]
    lines = [list(header), sides, *map(list, rows)]
    escaped = [[_escaped(cell) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def decimal(value: float) -> str:
    """Write a measure between 0 and 1."""
    return f"{value:.3f}"


def number(value: float) -> str:
    """Write a count that is averaged."""
    return f"{value:.1f}"


def whole(value: float) -> str:
    """Write a large count."""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """Write a share; small ones keep two digits.

    Examples
    --------
    >>> percent(0.424), percent(0.00123)
    ('42.4 %', '0.12 %')
    """
    return f"{value:.1%}".replace("%", " %") if value >= 0.01 else f"{value:.2%}".replace("%", " %")


def significant(value: float) -> str:
    """Write seconds, which span many powers of ten.

    Examples
    --------
    >>> significant(0.000123), significant(0.03), significant(99.6), significant(1234.5)
    ('0.00012', '0.030', '100', '1,234')
    """
    if value >= 99.5:
        return f"{value:,.0f}"
    if value < 1e-4:
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return f"{value:#.2g}".rstrip(".")


def _measures_table(
    comparison: Comparison,
    methods: Sequence[str],
    columns: dict[str, tuple[str, Format]],
    *,
    interval: bool = True,
) -> str:
    rows = _measure_rows(comparison, methods, columns, interval=interval)
    return markdown_table(["method", "seeds", *columns], rows)


def _measure_rows(
    comparison: Comparison,
    methods: Sequence[str],
    columns: dict[str, tuple[str, Format]],
    *,
    interval: bool,
) -> list[list[str]]:
    return [
        [
            name,
            str(len(comparison.values(name, "num_labeled"))),
            *(
                cell(comparison.estimate(name, measure), style, interval=interval)
                for measure, style in columns.values()
            ),
        ]
        for name in methods
    ]


def cell(estimate: Cell, style: Format, *, interval: bool = True) -> str:
    """Write a mean, with its interval where there is one.

    Parameters
    ----------
    estimate : Estimate or None
        None: there is nothing to write.
    style : callable
        How a number is written.
    interval : bool, default=True
        Whether to write the interval.

    Returns
    -------
    str
        The cell.

    Examples
    --------
    >>> cell(Estimate(0.5, 0.25, 0.75, 8), decimal), cell(None, decimal)
    ('0.500 [0.250, 0.750]', '-')
    """
    if estimate is None:
        return MISSING
    if not interval or estimate.low is None or estimate.high is None:
        return style(estimate.mean)
    ends = (style(end).removesuffix(" %") for end in (estimate.low, estimate.high))
    return f"{style(estimate.mean)} [{', '.join(ends)}]"


def _difference_cell(
    comparison: Comparison, method: str, reference: str, measure: str, style: Format
) -> str:
    estimate = comparison.difference(method, reference, measure)
    return difference_cell(estimate, style, comparison.num_seeds)


def difference_cell(estimate: Cell, style: Format, num_seeds: int) -> str:
    """Write a paired difference: signed, bold where its interval leaves out zero.

    Parameters
    ----------
    estimate : Estimate or None
        None: there is nothing to write.
    style : callable
        How a number is written.
    num_seeds : int
        Seeds of the section; fewer behind the difference are said.

    Returns
    -------
    str
        The cell.

    Examples
    --------
    >>> difference_cell(Estimate(-0.5, -0.75, -0.25, 8), decimal, num_seeds=10)
    '**-0.500 [-0.750, -0.250]** (n=8)'
    """
    text = cell(estimate, lambda value: _signed(value, style))
    if estimate is None:
        return text
    shared = f" (n={estimate.num_seeds})" if estimate.num_seeds < num_seeds else ""
    return f"**{text}**{shared}" if estimate.excludes_zero else text + shared


def _signed(value: float, style: Format) -> str:
    size = style(abs(value))
    if size == style(0.0):
        return size
    return ("+" if value > 0 else "-") + size


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
