"""Frozen encoders beside each other: one row for each, one column for each data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.frames import Section
from benchmarks.frozen_evaluation import PARITY
from benchmarks.results import RoundRecord, UnitResult
from benchmarks.statistics import Estimate, estimate_mean
from benchmarks.tables import cell, decimal, markdown_table

FROZEN_INTRODUCTION = """\
Nothing is trained: a text gets the class that its nearest neighbours vote for, among the vectors of
an encoder as it is. The first table leaves a text out of its own vote, and says which encoder suits
a task; those "as published" let it vote, which makes them too good, and are for comparison with
published tables alone. Seeds differ where something is drawn: a split, or a development set."""

MEASURES: Mapping[str, str] = {
    "accuracy": "Accuracy, all texts, each without its own vote:",
    "test_accuracy": "Accuracy of the test set, by neighbours in the training texts:",
    "development_accuracy": "Accuracy of the development set, by neighbours in the training texts:",
    f"{PARITY}accuracy": "As published, all texts, own votes counted:",
    f"{PARITY}train_accuracy": "As published, training texts, own votes counted:",
    f"{PARITY}development_accuracy": "As published, development set:",
    f"{PARITY}test_accuracy": "As published, test set:",
}
"""Measures that have a table, and what stands above it. Those of a development set, and of training
texts as published, are left out where no unit has a development set."""

_WITH_DEVELOPMENT = frozenset(
    {"development_accuracy", f"{PARITY}train_accuracy", f"{PARITY}development_accuracy"}
)


@dataclass
class FrozenComparison:
    """The frozen encoders of one suite.

    Parameters
    ----------
    suite : str
        Its name.
    records : dict of (str, str) to dict of int to RoundRecord
        By method and data set, and by seed.
    """

    suite: str
    records: dict[tuple[str, str], dict[int, RoundRecord]] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """Encoders, in the order of the units."""
        return list(dict.fromkeys(method for method, _ in self.records))

    @property
    def datasets(self) -> list[str]:
        """Data sets, in the order of the units."""
        return list(dict.fromkeys(dataset for _, dataset in self.records))

    @property
    def measures(self) -> list[str]:
        """Measures that have a table."""
        drawn = any(
            "development_accuracy" in record.metrics
            for seeds in self.records.values()
            for record in seeds.values()
        )
        return [name for name in MEASURES if drawn or name not in _WITH_DEVELOPMENT]

    def estimate(self, method: str, dataset: str, measure: str) -> Estimate | None:
        """Return the mean of a measure over seeds; None where there is none."""
        seeds = self.records.get((method, dataset), {})
        return estimate_mean([record.metrics.get(measure) for record in seeds.values()])


def frozen_comparisons(sections: Sequence[Section]) -> list[FrozenComparison]:
    """Return what is to be compared, suite by suite.

    Parameters
    ----------
    sections : sequence of Section
        Those of a report.

    Returns
    -------
    list of FrozenComparison
        In the order of the units. Of two units with the same names, classifiers not counted, which
        change nothing here, the last one stays.
    """
    found: dict[str, FrozenComparison] = {}
    for section in sections:
        for result in section.frozen:
            comparison = found.setdefault(section.suite, FrozenComparison(section.suite))
            names = _names(result, section)
            comparison.records.setdefault(names, {})[result.spec.seed.number] = result.rounds[0]
    return list(found.values())


def _names(result: UnitResult, section: Section) -> tuple[str, str]:
    mark = f" {section.lineage}" if section.rivals else ""
    return section.method_name(result), f"{result.spec.dataset.id}{mark}"


def frozen_table(comparison: FrozenComparison, measure: str) -> str:
    """Return a table of one measure.

    Parameters
    ----------
    comparison : FrozenComparison
        What to show.
    measure : str
        One of ``MEASURES``.

    Returns
    -------
    str
        Markdown.
    """
    rows = [
        [
            f"`{method}`",
            *(
                cell(comparison.estimate(method, dataset, measure), decimal)
                for dataset in comparison.datasets
            ),
        ]
        for method in comparison.methods
    ]
    return markdown_table(["encoder", *comparison.datasets], rows)


def frozen_summary(comparisons: Sequence[FrozenComparison]) -> list[dict[str, Any]]:
    """Return the numbers of the tables as plain values.

    Parameters
    ----------
    comparisons : sequence of FrozenComparison
        The tables.

    Returns
    -------
    list of dict
        One for each encoder and data set, with its measures.
    """
    return [
        {
            "suite": comparison.suite,
            "dataset": dataset,
            "encoder": method,
            **{name: _plain(comparison.estimate(method, dataset, name)) for name in MEASURES},
        }
        for comparison in comparisons
        for method, dataset in comparison.records
    ]


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)
