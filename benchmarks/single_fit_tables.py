"""Single fits, judged on test and development sets and by a second label, beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.frames import Section
from benchmarks.results import RoundRecord
from benchmarks.statistics import Estimate, estimate_mean
from benchmarks.tables import cell, decimal, markdown_table

FIT_INTRODUCTION = """\
One fit a row, on the pool without a development set that the seed draws, where there is one. The
second label, such as a publisher, is told by the votes of the nearest training texts in the
classifier's own vectors; "within its class" only texts of the right class vote. The floor is what
always the most common second label of the class would score: vectors that tell no more than the
class come down to it."""

MEASURES: Mapping[str, str] = {
    "test_accuracy": "test accuracy",
    "development_accuracy": "development accuracy",
    "second_accuracy": "second label",
    "second_within_accuracy": "within its class",
    "second_floor": "floor",
}
"""Measures, and the heads of their columns."""


@dataclass
class FitComparison:
    """The fits on one data set of one suite.

    Parameters
    ----------
    title : str
        Suite and data set.
    records : dict of (str, str) to dict of int to RoundRecord
        By classifier and method, and by seed.
    """

    title: str
    records: dict[tuple[str, str], dict[int, RoundRecord]] = field(default_factory=dict)

    def estimate(self, names: tuple[str, str], measure: str) -> Estimate | None:
        """Return the mean of a measure over seeds; None where there is none."""
        records = self.records[names].values()
        return estimate_mean([record.metrics.get(measure) for record in records])


def fit_comparisons(sections: Sequence[Section]) -> list[FitComparison]:
    """Return what is to be compared, suite by suite and data set by data set.

    Parameters
    ----------
    sections : sequence of Section
        Those of a report, one for each classifier.

    Returns
    -------
    list of FitComparison
        In the order of the units. Experiments that share their names stand apart.
    """
    found: dict[str, FitComparison] = {}
    for section in sections:
        mark = f" · {section.lineage}" if section.rivals else ""
        title = f"{section.suite} · {section.dataset}{mark}"
        for result in section.single_fits:
            comparison = found.setdefault(title, FitComparison(title))
            names = (section.classifier, section.method_name(result))
            comparison.records.setdefault(names, {})[result.spec.seed.number] = result.rounds[0]
    return list(found.values())


def fit_table(comparison: FitComparison) -> str:
    """Return a table of all measures.

    Parameters
    ----------
    comparison : FitComparison
        What to show.

    Returns
    -------
    str
        Markdown.
    """
    rows = [
        [
            f"`{names[0]}`",
            names[1],
            str(len(seeds)),
            *(cell(comparison.estimate(names, measure), decimal) for measure in MEASURES),
        ]
        for names, seeds in comparison.records.items()
    ]
    header = ["classifier", "method", "seeds", *MEASURES.values()]
    return markdown_table(header, rows, num_text_columns=2)


def fit_summary(comparisons: Sequence[FitComparison]) -> list[dict[str, Any]]:
    """Return the numbers of the tables as plain values.

    Parameters
    ----------
    comparisons : sequence of FitComparison
        The tables.

    Returns
    -------
    list of dict
        One for each row.
    """
    return [
        {
            "table": comparison.title,
            "classifier": names[0],
            "method": names[1],
            **{name: _plain(comparison.estimate(names, name)) for name in MEASURES},
        }
        for comparison in comparisons
        for names in comparison.records
    ]


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)
