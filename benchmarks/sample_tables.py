"""The table of a report on few labels: all classifiers of a data set beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.frames import Section
from benchmarks.labeled_samples import SampleSettings
from benchmarks.results import RoundRecord, UnitResult, canonical_json
from benchmarks.statistics import Estimate, estimate_mean, paired_difference
from benchmarks.tables import cell, decimal, difference_cell, markdown_table, significant, whole

SAMPLE_INTRODUCTION = """\
One fit a row, on the same labels for all classifiers of a seed. Differences are paired by seed, to
the fine-tuned encoder, to logistic regression on the frozen vectors and to SetFit, where the suite
has them. Seconds are those of the fit alone. Memory is the most that the fit held at a time above
what its process held before; a process that has fitted before reuses some of it."""

REFERENCES: Mapping[str, str] = {
    "transformer": "fine-tuning",
    "sklearn:LogisticRegression": "logistic regression",
    "setfit": "SetFit",
}
"""Kinds of classifier that all others are compared with: kind to title."""

_MEASURES = ("accuracy", "macro_f1", "peak_memory")


@dataclass
class Sample:
    """The units of one classifier on one number of labels.

    Parameters
    ----------
    classifier : str
        Its name.
    kind : str
        Its kind.
    settings : SampleSettings
        How many labels.
    rounds : dict of int to RoundRecord
        By seed.
    """

    classifier: str
    kind: str
    settings: SampleSettings
    rounds: dict[int, RoundRecord] = field(default_factory=dict)

    def values(self, measure: str) -> dict[int, float | None]:
        """Return one measure by seed."""
        return {seed: record.metrics.get(measure) for seed, record in self.rounds.items()}

    @property
    def seconds(self) -> dict[int, float | None]:
        """Seconds of the fit by seed."""
        return {seed: record.seconds["fit"] for seed, record in self.rounds.items()}

    @property
    def num_labels(self) -> dict[int, float | None]:
        """Labels by seed."""
        return {seed: float(record.num_labeled) for seed, record in self.rounds.items()}


@dataclass(frozen=True)
class SampleComparison:
    """What one table compares: one suite, data, encoder and protocol, and one number of labels."""

    title: str
    samples: tuple[Sample, ...]

    def reference(self, kind: str) -> Sample | None:
        """Return the sample of the first classifier of a kind; None where there is none."""
        return next((sample for sample in self.samples if sample.kind == kind), None)

    def difference(self, sample: Sample, kind: str) -> Estimate | None:
        """Return by how much a sample's accuracy is above that of a reference, paired by seed."""
        reference = self.reference(kind)
        if reference is None or reference is sample:
            return None
        return paired_difference(sample.values("accuracy"), reference.values("accuracy"))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of reference that are there."""
        return tuple(kind for kind in REFERENCES if self.reference(kind) is not None)


def sample_comparisons(sections: Sequence[Section]) -> list[SampleComparison]:
    """Return the tables of all sections that have such units.

    Parameters
    ----------
    sections : sequence of Section
        Those of a report, one for each classifier.

    Returns
    -------
    list of SampleComparison
        By suite and data set, and within these by number of labels, as units come.
    """
    found: dict[str, dict[str, Sample]] = {}
    titles: dict[str, str] = {}
    for section in sections:
        for result in section.samples:
            settings = SampleSettings.from_params(result.spec.method.params)
            key = canonical_json([_lineage(result), asdict(settings)])
            titles[key] = f"{section.suite} · {section.dataset} · {settings.title}"
            classifier = result.spec.classifier
            sample = found.setdefault(key, {}).setdefault(
                f"{classifier.id} {section.lineage}",
                Sample(classifier.id, classifier.kind, settings),
            )
            sample.rounds[result.spec.seed.number] = result.rounds[0]
    return [SampleComparison(titles[key], tuple(found[key].values())) for key in found]


def _lineage(result: UnitResult) -> dict[str, Any]:
    """Return what units share that may be compared, whatever the classifier."""
    spec = result.spec
    return spec.model_dump(mode="json", include={"suite", "dataset", "encoder", "protocol"})


def sample_table(comparison: SampleComparison) -> str:
    """Return a table of accuracy, differences, seconds and memory.

    Parameters
    ----------
    comparison : SampleComparison
        What to show.

    Returns
    -------
    str
        Markdown.
    """
    kinds = comparison.kinds
    header = ["classifier", "seeds", "labels", "accuracy"]
    header += [f"minus {REFERENCES[kind]}" for kind in kinds]
    header += ["macro F1", "fit, s", "memory, MB"]
    rows = []
    for sample in comparison.samples:
        seeds = len(sample.rounds)
        rows.append(
            [
                f"`{sample.classifier}`",
                str(seeds),
                cell(estimate_mean(sample.num_labels.values()), whole, interval=False),
                cell(estimate_mean(sample.values("accuracy").values()), decimal),
                *(
                    difference_cell(comparison.difference(sample, kind), decimal, seeds)
                    for kind in kinds
                ),
                cell(estimate_mean(sample.values("macro_f1").values()), decimal),
                cell(estimate_mean(sample.seconds.values()), significant),
                cell(estimate_mean(sample.values("peak_memory").values()), whole),
            ]
        )
    return markdown_table(header, rows)


def sample_summary(comparisons: Sequence[SampleComparison]) -> list[dict[str, Any]]:
    """Return the numbers of the tables as plain values.

    Parameters
    ----------
    comparisons : sequence of SampleComparison
        The tables.

    Returns
    -------
    list of dict
        For each classifier of each table its measures, and its differences to the references.
    """
    return [
        {
            "table": comparison.title,
            "classifier": sample.classifier,
            "kind": sample.kind,
            **{name: _plain(estimate_mean(sample.values(name).values())) for name in _MEASURES},
            "fit_seconds": _plain(estimate_mean(sample.seconds.values())),
            "differences": {
                kind: _plain(comparison.difference(sample, kind)) for kind in comparison.kinds
            },
        }
        for comparison in comparisons
        for sample in comparison.samples
    ]


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)
