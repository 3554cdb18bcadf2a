"""The tables of a report on finding flipped labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from benchmarks.frames import Section
from benchmarks.noise import CLEANLAB, CROSSFIT, DETECTORS, IN_SAMPLE, LAST, LATE, RECOMMENDED
from benchmarks.results import RoundRecord
from benchmarks.statistics import Estimate, estimate_mean, paired_difference
from benchmarks.tables import MISSING, cell, decimal, difference_cell, markdown_table, significant

NOISE_INTRODUCTION = """\
A share of the pool's labels is flipped to another class, each being as likely, and every detector
ranks all labels by suspicion: average precision against the known flips. **Bold** where the paired
difference to cleanlab's self-confidence on the same folds and head leaves out zero, upwards or
downwards (the in-sample rows, which have no folds, are compared with those of the same classifier).
Seconds are those of all fits that a detector needs, which the runner shares, as means over the
columns."""

_REFERENCE = f"{CLEANLAB}self-confidence"
_AP, _PRECISION, _RECALL = "noise_ap", "noise_precision", "noise_recall"


def reference_of(detector: str) -> str:
    """Return the rival of a detector: cleanlab's self-confidence on the same fits.

    Examples
    --------
    >>> reference_of("head-late"), reference_of("in-sample-aum")
    ('head-cleanlab-self-confidence', 'crossfit-cleanlab-self-confidence')
    """
    return _source(detector) + _REFERENCE


def _source(detector: str) -> str:
    """Return which fits a detector looks at, or the like of them."""
    source = detector.partition(CLEANLAB)[0].removesuffix(LATE).removesuffix(LAST)
    return CROSSFIT if source.startswith(IN_SAMPLE) else source


@dataclass(frozen=True)
class Search:
    """One column of the tables: the share of flipped labels, and who looks for them.

    Parameters
    ----------
    noise : float
        The share.
    method : str
        Name of the method where several have that share; else empty.

    Examples
    --------
    >>> str(Search(0.05)), str(Search(0.05, "ten-folds"))
    ('5 %', '5 %, ten-folds')
    """

    noise: float
    method: str = ""

    def __str__(self) -> str:
        """Return the head of the column."""
        return ", ".join(filter(None, [f"{self.noise * 100:g} %", self.method]))


@dataclass(frozen=True)
class NoiseComparison:
    """The detectors of one section, measured seed by seed in each search.

    Parameters
    ----------
    section : Section
        Units that may be compared.
    """

    section: Section

    @cached_property
    def records(self) -> dict[Search, dict[int, RoundRecord]]:
        """Search to seed to what was measured, levels of noise in order."""
        found: dict[tuple[float, str], dict[int, RoundRecord]] = {}
        for result in self.section.noise:
            key = float(result.spec.method.params["noise"]), self.section.method_name(result)
            found.setdefault(key, {})[result.spec.seed.number] = result.rounds[0]
        sharing = Counter(level for level, _ in found)
        return {
            Search(level, method if sharing[level] > 1 else ""): by_seed
            for (level, method), by_seed in sorted(found.items())
        }

    @cached_property
    def detectors(self) -> list[str]:
        """The detectors that ran, in the order of the tables."""
        names = {
            name.removeprefix(f"{_AP}.")
            for by_seed in self.records.values()
            for record in by_seed.values()
            for name in record.metrics
            if name.startswith(f"{_AP}.")
        }
        return [name for name in DETECTORS if name in names]

    @property
    def num_seeds(self) -> int:
        """The number of different seeds."""
        return len({seed for by_seed in self.records.values() for seed in by_seed})

    def values(self, detector: str, search: Search, measure: str = _AP) -> dict[int, float | None]:
        """Return one measure of a detector by seed."""
        name = f"{measure}.{detector}"
        return {seed: record.metrics.get(name) for seed, record in self.records[search].items()}

    def estimate(self, detector: str, search: Search, measure: str = _AP) -> Estimate | None:
        """Return the mean of one measure of a detector."""
        return estimate_mean(self.values(detector, search, measure).values())

    def difference(self, detector: str, reference: str, search: Search) -> Estimate | None:
        """Return by how much a detector ranks better than another, seed by seed."""
        if detector == reference:
            return None
        return paired_difference(self.values(detector, search), self.values(reference, search))

    def seconds(self, detector: str, step: str = "noise") -> Estimate | None:
        """Return the mean seconds of a detector over searches and seeds."""
        name = f"{step}.{detector}"
        return estimate_mean(
            record.seconds.get(name)
            for by_seed in self.records.values()
            for record in by_seed.values()
        )


def noise_table(comparison: NoiseComparison) -> str:
    """Return the table of average precision: a row for each detector, a column for each search."""
    searches = list(comparison.records)
    rows = [
        [
            detector,
            *(_precision_cell(comparison, detector, search) for search in searches),
            cell(comparison.seconds(detector), significant, interval=False),
            cell(comparison.seconds(detector, "noise_ranking"), significant, interval=False),
        ]
        for detector in comparison.detectors
    ]
    header = ["detector", *map(str, searches), "training, s", "ranking, s"]
    return markdown_table(header, rows)


def flags_table(comparison: NoiseComparison) -> str:
    """Return the table of precision and recall of the labels that a detector calls wrong."""
    searches = list(comparison.records)
    rows = []
    for detector in comparison.detectors:
        pairs = [
            [comparison.estimate(detector, search, of) for of in (_PRECISION, _RECALL)]
            for search in searches
        ]
        if any(recall is not None for _, recall in pairs):
            cells = [" / ".join(cell(e, decimal, interval=False) for e in pair) for pair in pairs]
            rows.append([detector, *cells])
    return markdown_table(["precision / recall of flags", *map(str, searches)], rows)


def verdict(comparison: NoiseComparison) -> str:
    """Return the sentence that says where the recommended default ranks worse than cleanlab.

    Parameters
    ----------
    comparison : NoiseComparison
        The detectors.

    Returns
    -------
    str
        Every row of cleanlab on the same folds and head whose mean is higher, with its level and
        the paired difference.
    """
    what = f"The recommended default, `{RECOMMENDED}` ({DETECTORS[RECOMMENDED]}),"
    if RECOMMENDED not in comparison.detectors:
        return f"{what} was not run."
    below = list(_losses(comparison))
    if not below:
        return f"{what} is below cleanlab on the same folds and head nowhere."
    return f"{what} is below cleanlab on the same folds and head: {'; '.join(below)}."


def _losses(comparison: NoiseComparison) -> Iterator[str]:
    prefix = _source(RECOMMENDED) + CLEANLAB
    rivals = [detector for detector in comparison.detectors if detector.startswith(prefix)]
    for search in comparison.records:
        for rival in rivals:
            found = comparison.difference(RECOMMENDED, rival, search)
            if found is not None and found.mean < 0:
                name = rival.removeprefix(prefix)
                shown = difference_cell(found, decimal, comparison.num_seeds)
                yield f"{name} at {search}, {shown}"


def noise_frame(section: Section) -> pd.DataFrame:
    """Return one row for each detector of each unit.

    Parameters
    ----------
    section : Section
        Units that may be compared.

    Returns
    -------
    pandas.DataFrame
        Names of the unit, ``noise``, ``method`` (empty where no other has that noise),
        ``detector``, ``average_precision``, ``precision``, ``recall``, ``training_seconds`` and
        ``ranking_seconds``.
    """
    comparison = NoiseComparison(section)
    return pd.DataFrame(
        {
            "suite": section.suite,
            "dataset": section.dataset,
            "classifier": section.classifier,
            "lineage": section.lineage,
            "seed": seed,
            "noise": search.noise,
            "method": search.method,
            "detector": detector,
            "average_precision": record.metrics.get(f"{_AP}.{detector}"),
            "precision": record.metrics.get(f"{_PRECISION}.{detector}"),
            "recall": record.metrics.get(f"{_RECALL}.{detector}"),
            "training_seconds": record.seconds.get(f"noise.{detector}"),
            "ranking_seconds": record.seconds.get(f"noise_ranking.{detector}"),
        }
        for search, by_seed in comparison.records.items()
        for seed, record in by_seed.items()
        for detector in comparison.detectors
    )


def noise_summary(comparison: NoiseComparison) -> dict[str, Any]:
    """Return the numbers of the table as plain values: detector to search to estimates."""
    return {
        detector: {
            _key(search): {
                "average_precision": _plain(comparison.estimate(detector, search)),
                "minus_cleanlab": _plain(
                    comparison.difference(detector, reference_of(detector), search)
                ),
            }
            for search in comparison.records
        }
        for detector in comparison.detectors
    }


def _precision_cell(comparison: NoiseComparison, detector: str, search: Search) -> str:
    text = cell(comparison.estimate(detector, search), decimal)
    found = comparison.difference(detector, reference_of(detector), search)
    marked = found is not None and found.excludes_zero and text != MISSING
    return f"**{text}**" if marked else text


def _key(search: Search) -> str:
    return ", ".join(filter(None, [f"{search.noise:g}", search.method]))


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)
