"""All classifiers on all data sets in one table, as papers show encoders and variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from benchmarks.frames import Section
from benchmarks.labeled_samples import SampleSettings
from benchmarks.results import RoundRecord
from benchmarks.statistics import Estimate, estimate_mean
from benchmarks.tables import MISSING, Format, cell, decimal, markdown_table, whole

GRID_INTRODUCTION = """\
Accuracy on each data set, mean over seeds; memory is the most that a fit held above what its
process held before, mean over seeds, on the data set where that is largest."""


@dataclass(frozen=True)
class SampleGrid:
    """The fits of one suite on one number of labels.

    Parameters
    ----------
    suite : str
        Its name.
    title : str
        The number of labels in words.
    cells : dict of str to dict of str to list of RoundRecord
        Classifier to data set to the record of each seed. What names do not tell apart (other
        data, another encoder) has its hash in the classifier's name.
    """

    suite: str
    title: str
    cells: dict[str, dict[str, list[RoundRecord]]] = field(default_factory=dict)

    @property
    def datasets(self) -> list[str]:
        """All data sets, as they come."""
        return list(dict.fromkeys(name for row in self.cells.values() for name in row))

    def estimate(self, classifier: str, dataset: str, measure: str) -> Estimate | None:
        """Return the mean of a measure over seeds; None where there is no such fit."""
        records = self.cells[classifier].get(dataset, ())
        return estimate_mean(record.metrics.get(measure) for record in records)

    def memory(self, classifier: str) -> float | None:
        """Return the memory of a classifier's fits where it is largest, in megabytes."""
        means = [self.estimate(classifier, name, "peak_memory") for name in self.cells[classifier]]
        return max((mean.mean for mean in means if mean is not None), default=None)

    def mean(self, classifier: str) -> float | None:
        """Return the mean accuracy over all data sets; None where one was not run."""
        found = [self.estimate(classifier, name, "accuracy") for name in self.datasets]
        known = [estimate.mean for estimate in found if estimate is not None]
        return fmean(known) if len(known) == len(found) else None


def sample_grids(sections: Sequence[Section]) -> list[SampleGrid]:
    """Return the grids of all sections that are fitted on a number of labels.

    Parameters
    ----------
    sections : sequence of Section
        Those of a report.

    Returns
    -------
    list of SampleGrid
        One for each suite and number of labels that has two data sets or more.
    """
    found: dict[tuple[str, str], SampleGrid] = {}
    for section in sections:
        name = section.classifier + (f" ({section.lineage})" if section.rivals else "")
        for result in section.samples:
            title = SampleSettings.from_params(result.spec.method.params).title
            grid = found.setdefault((section.suite, title), SampleGrid(section.suite, title))
            row = grid.cells.setdefault(name, {})
            row.setdefault(section.dataset, []).append(result.rounds[0])
    return [grid for grid in found.values() if len(grid.datasets) > 1]


def grid_table(grid: SampleGrid) -> str:
    """Return the table of a grid.

    Parameters
    ----------
    grid : SampleGrid
        What to show.

    Returns
    -------
    str
        Markdown: a row for each classifier, a column for each data set, their mean and memory.
    """
    rows = [
        [
            f"`{classifier}`",
            *(cell(grid.estimate(classifier, n, "accuracy"), decimal) for n in grid.datasets),
            _shown(grid.mean(classifier), decimal),
            _shown(grid.memory(classifier), whole),
        ]
        for classifier in grid.cells
    ]
    return markdown_table(["classifier", *grid.datasets, "mean", "memory, MB"], rows)


def _shown(value: float | None, style: Format) -> str:
    return MISSING if value is None else style(value)
