"""The table of a report on training on regions of a data map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.frames import Section
from benchmarks.out_of_distribution import measure_titles
from benchmarks.results import FULL_DATA, RoundRecord, UnitResult, canonical_json
from benchmarks.statistics import Estimate, estimate_mean, paired_difference
from benchmarks.tables import MISSING, cell, decimal, difference_cell, markdown_table, whole

EVERYTHING, RANDOM = "(all)", "random"
_KEPT_ORDER = (RANDOM, "ambiguous", "hard", "easy", "clean", EVERYTHING)
_DEFAULT_FRACTION = 0.33
_SHOWN_APART = ("keep", "fraction", "easy_mix")
_WANTED = {"AP": "minority_average_precision", "F1": "minority_f1"}
_ALL_ALIKE = {"macro F1": "macro_f1", "accuracy": "accuracy"}

SUBSET_INTRODUCTION = """\
One classifier is fitted on all true labels of the pool and mapped; another one is fitted on a
region of the map. `(all)` is fitted on everything. Easy mix is the share of what is kept that is
taken from the easiest texts; "default" is a tenth where less than a quarter of the pool is kept,
and else nothing."""


@dataclass
class Subset:
    """The units of one way to choose what to train on.

    Parameters
    ----------
    keep : str
        The region, or :data:`EVERYTHING`.
    fraction : float or None
        The share that is kept; None where it follows from the region.
    params : dict
        All its parameters.
    rounds : dict of int to RoundRecord
        By seed.
    """

    keep: str
    fraction: float | None
    params: Mapping[str, Any]
    rounds: dict[int, RoundRecord] = field(default_factory=dict)

    @property
    def easy_mix(self) -> str:
        """The easy mix in words."""
        if self.keep not in ("ambiguous", "hard"):
            return MISSING
        mix = self.params.get("easy_mix")
        return "default" if mix is None else f"{mix:g}"

    @property
    def options(self) -> str:
        """All other parameters in words."""
        others = {k: v for k, v in self.params.items() if k not in _SHOWN_APART}
        if self.keep == EVERYTHING or not others:
            return MISSING
        return ", ".join(f"{name} {value}" for name, value in sorted(others.items()))

    def values(self, measure: str) -> dict[int, float | None]:
        """Return one measure by seed."""
        return {seed: record.metrics.get(measure) for seed, record in self.rounds.items()}


def gather_subsets(section: Section) -> list[Subset]:
    """Return what was trained on in a section, in the order of its table.

    Parameters
    ----------
    section : Section
        Units that may be compared.

    Returns
    -------
    list of Subset
        By region and fraction; everything, from the first ceiling, comes last.
    """
    found: dict[str, Subset] = {}
    ceilings = [r for r in section.learning if r.spec.method.strategy == FULL_DATA]
    named = sorted(map(section.method_name, ceilings))[:1]
    kept = [result for result in ceilings if section.method_name(result) in named]
    for result in (*section.subsets, *kept):
        subset = _empty_subset(result)
        key = canonical_json([subset.keep, dict(subset.params)])
        found.setdefault(key, subset).rounds[result.spec.seed.number] = result.rounds[0]
    return sorted(found.values(), key=_place)


def _empty_subset(result: UnitResult) -> Subset:
    method = result.spec.method
    if method.strategy == FULL_DATA:
        return Subset(EVERYTHING, 1.0, method.params)
    keep = str(method.params["keep"])
    fraction = None if keep == "clean" else float(method.params.get("fraction", _DEFAULT_FRACTION))
    return Subset(keep, fraction, method.params)


def _place(subset: Subset) -> tuple[int, float, str, str]:
    return (
        _KEPT_ORDER.index(subset.keep),
        subset.fraction or 0.0,
        subset.easy_mix,
        subset.options,
    )


def subset_measures(section: Section) -> dict[str, str]:
    """Return what a section is measured by: title of the column to name of the metric.

    Parameters
    ----------
    section : Section
        The section.

    Returns
    -------
    dict of str to str
        Those of the wanted classes; where all classes count alike, macro F1 and accuracy; and the
        accuracy on each test set of another distribution.
    """
    dataset = section.results[0].spec.dataset
    own = _WANTED if dataset.minority else _ALL_ALIKE
    return {**own, **measure_titles([other.id for other in dataset.out_of_distribution])}


def subset_difference(subset: Subset, reference: Subset | None, measure: str) -> Estimate | None:
    """Return by how much one subset is better than another, over the seeds that both have."""
    if reference is None or subset is reference:
        return None
    return paired_difference(subset.values(measure), reference.values(measure))


def reference_subsets(
    subset: Subset, subsets: Sequence[Subset]
) -> tuple[Subset | None, Subset | None]:
    """Return the random subset of the same size, and everything; None where they were not run."""
    random = (s for s in subsets if s.keep == RANDOM and s.fraction == subset.fraction)
    everything = (s for s in subsets if s.keep == EVERYTHING)
    return next(random, None), next(everything, None)


def subset_table(section: Section) -> str:
    """Return the table of what training on each subset gives.

    Parameters
    ----------
    section : Section
        With units that train on subsets.

    Returns
    -------
    str
        Markdown: a row for each subset; numbers of labels, and each measure with its paired
        differences to random texts as many, and to everything.
    """
    subsets, measures = gather_subsets(section), subset_measures(section)
    num_seeds = len({seed for subset in subsets for seed in subset.rounds})
    header = ["keep", "fraction", "easy mix", "options", "seeds", "labels"]
    for title in measures:
        header += [title, f"{title} minus random", f"{title} minus all"]
    rows = [
        [
            subset.keep,
            MISSING if subset.fraction is None else f"{subset.fraction:g}",
            subset.easy_mix,
            subset.options,
            str(len(subset.rounds)),
            *_measured(subset, subsets, measures.values(), num_seeds),
        ]
        for subset in subsets
    ]
    return markdown_table(header, rows, num_text_columns=4)


def _measured(
    subset: Subset, subsets: Sequence[Subset], measures: Iterable[str], num_seeds: int
) -> list[str]:
    labels = estimate_mean(record.num_labeled for record in subset.rounds.values())
    cells = [cell(labels, whole, interval=False)]
    for measure in measures:
        cells.append(cell(estimate_mean(subset.values(measure).values()), decimal))
        cells += [
            difference_cell(subset_difference(subset, other, measure), decimal, num_seeds)
            for other in reference_subsets(subset, subsets)
        ]
    return cells


def fallback_lines(section: Section) -> str | None:
    """Return which subsets were not trained on, as a Markdown quote; None where all were."""
    lines = []
    for subset in gather_subsets(section):
        reasons = [note for record in subset.rounds.values() for note in record.notes]
        if reasons:
            lines.append(
                f"> **{subset.keep}, fraction {subset.fraction}: {len(reasons)} of "
                f"{len(subset.rounds)} units were trained on everything**: {reasons[0]}"
            )
    return "\n>\n".join(lines) or None


def subset_summary(section: Section) -> list[dict[str, Any]]:
    """Return the numbers of the table as plain values."""
    subsets, measures = gather_subsets(section), subset_measures(section)
    found = []
    for subset in subsets:
        random, everything = reference_subsets(subset, subsets)
        numbers = {
            measure: {
                name: None if estimate is None else asdict(estimate)
                for name, estimate in (
                    ("mean", estimate_mean(subset.values(measure).values())),
                    ("minus_random", subset_difference(subset, random, measure)),
                    ("minus_all", subset_difference(subset, everything, measure)),
                )
            }
            for measure in measures.values()
        }
        labels = {str(seed): record.num_labeled for seed, record in subset.rounds.items()}
        found.append(
            {
                "keep": subset.keep,
                "fraction": subset.fraction,
                "params": dict(subset.params),
                "labels": labels,
                "measures": numbers,
            }
        )
    return found
