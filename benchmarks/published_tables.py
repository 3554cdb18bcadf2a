"""Published numbers beside what was measured, where a results folder repeats their experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.anchoral_tables import majority_f1
from benchmarks.experiments import EXPERIMENTS
from benchmarks.frames import Section
from benchmarks.parsing import SUITES_FOLDER, parse_suite, read_suite
from benchmarks.results import (
    DatasetRecord,
    MethodRecord,
    RoundRecord,
    UnitResult,
    UnitSpec,
    canonical_json,
)
from benchmarks.selection_tables import epochs_to_accuracy
from benchmarks.side_classifiers import is_nested_classifier, side_record
from benchmarks.specs import (
    ClassifierEntry,
    DatasetEntry,
    EncoderEntry,
    Publication,
    PublishedNumber,
    Suite,
)
from benchmarks.statistics import (
    Estimate,
    estimate_mean,
    estimate_median,
    normalized_area,
    published_area,
)
from benchmarks.tables import MISSING, cell, decimal, markdown_table

PUBLISHED_INTRODUCTION = """\
Ours is the mean over seeds with its 95 % bootstrap interval, or their median where the source has
one and the metric says so; the spread is what the source gives. Differences are ours minus
published; the two have other seeds and machines, and what else departs stands above the table.
"Not run" has no unit here; "no single match" fits several methods. Where data, loop, method or the
classifier's settings are not the suite's, nothing is compared; how many texts there were stands
above."""

NOT_RUN, AMBIGUOUS, NOT_MEASURED = "not run", "no single match", "not measured"

_LOOP = ("rounds", "query_size", "initial_size", "initial_minority", "test_size", "time_limit")
_OWN_FILES = "csv:"  # a table that only the user has, under whatever name
_EPOCHS = "epochs_to_accuracy_"
_CURVE_NAMES = {"f1": "minority_f1", "average_precision": "minority_average_precision"}


@dataclass(frozen=True)
class PublishedSuite:
    """A suite that repeats a published experiment, as far as the report reads it.

    Parameters
    ----------
    name : str
        What results call it.
    publication : Publication
        The experiment, with its numbers.
    raw : mapping
        The content of the file.
    """

    name: str
    publication: Publication
    raw: Mapping[str, Any]

    @cached_property
    def _datasets(self) -> dict[str, DatasetEntry]:
        entries = map(DatasetEntry.model_validate, self.raw.get("datasets", ()))
        return {entry.id: entry for entry in entries}

    def changed(self, spec: UnitSpec) -> list[str]:
        """Return where a unit's data, encoder, loop or classifier is not the suite's, in words.

        Parameters
        ----------
        spec : UnitSpec
            What the unit ran.

        Returns
        -------
        list of str
            Such as "rounds 5 in place of 196"; empty where all that a result tells is as the suite
            has it. A result does not tell of how many texts its own were drawn; tables of a user's
            own, ``csv:``, may have any name.
        """
        entry = self._datasets.get(spec.dataset.id)
        if entry is None:
            return [f"the suite has no data set {spec.dataset.id}"]
        asked: dict[str, Any] = {"minority": entry.wanted, "prevalence": entry.prevalence}
        ran: dict[str, Any] = {name: getattr(spec.dataset, name) for name in asked}
        asked |= {"data": _source(entry.name), "other test sets": _sources(entry)}
        ran |= {"data": _source(spec.dataset.name), "other test sets": _sources(spec.dataset)}
        asked |= self._encoder(entry)
        ran |= {
            "encoder": spec.encoder.id,
            "its precision": spec.encoder.precision,
            "its storage": spec.encoder.storage_dtype,
        }
        for name in _LOOP:
            default = self.raw.get(name, Suite.model_fields[name].default)
            own = getattr(entry, name, None)
            asked[name] = default if own is None else own
            ran[name] = getattr(spec.protocol, name)
        table = self.raw.get("classifiers", {}).get(spec.classifier.id)
        if table is None:
            return [f"the suite has no classifier {spec.classifier.id}"]
        own_fields = set(ClassifierEntry.model_fields)
        asked |= {"kind": spec.classifier.id} | {
            name: value for name, value in table.items() if name not in own_fields - {"kind"}
        }
        ran |= {"kind": spec.classifier.kind, **spec.classifier.params}
        if spec.classifier.model is not None:
            ran["model"] = spec.classifier.model.id
        return _departures(asked, ran)

    def _encoder(self, entry: DatasetEntry) -> dict[str, Any]:
        encoder = EncoderEntry.model_validate(self.raw.get("encoder", {}))
        return {
            "encoder": encoder.name if entry.embeddings is None else entry.embeddings.name,
            "its precision": encoder.precision,
            "its storage": encoder.storage_dtype,
        }

    def changed_method(self, spec: UnitSpec) -> list[str]:
        """Return where a unit's method is not that of the suite, in words, see `changed`.

        Parameters
        ----------
        spec : UnitSpec
            What the unit ran; on a data set of the suite.

        Returns
        -------
        list of str
            Weights are compared by the names of their models.
        """
        records = {record.id: record for record in self._suite.method_records(spec.dataset.id)}
        record = records.get(spec.method.id)
        if record is None:
            return ["what the suite has not"]
        return _departures(_settings(record), _settings(spec.method))

    @cached_property
    def _suite(self) -> Suite:
        return parse_suite(self.raw)


def _source(name: str) -> str:
    """Return the name of a data set, of which a user's own table has none that matters."""
    return _OWN_FILES if name.startswith(_OWN_FILES) else name


def _sources(data: DatasetEntry | DatasetRecord) -> dict[str, str]:
    return {other.id: _source(other.name) for other in data.out_of_distribution}


def _settings(method: MethodRecord) -> dict[str, Any]:
    """Return what a suite may say of a method: fingerprints of its models are found out later."""
    found: dict[str, Any] = {"strategy": method.strategy, "base": method.base}
    experiment = EXPERIMENTS.get(method.strategy)
    names = None if experiment is None else experiment.parameters
    for name, value in method.params.items():
        if names is None or name in names():
            found[name] = _named(value)
    return found


def _named(value: Any) -> Any:  # noqa: ANN401 - a parameter of any strategy
    """Return a parameter with its classifiers as a suite has them: models by name alone."""
    if is_nested_classifier(value):
        record = side_record(value)
        model = {} if record.model is None else {"model": record.model.id}
        return {"kind": record.kind, "params": {**record.params, **model}}
    if isinstance(value, Mapping):
        return {name: _named(part) for name, part in value.items()}
    return value


def _departures(asked: Mapping[str, Any], ran: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} {_shown(ran, name)} in place of {_shown(asked, name)}"
        for name in dict.fromkeys((*asked, *ran))
        if _shown(ran, name) != _shown(asked, name)
    ]


def _shown(values: Mapping[str, Any], name: str) -> str:
    """Return a setting as it is written: lists and tuples alike, and no default for what lacks."""
    return canonical_json(values[name]) if name in values else "its default"


def published_suites(folder: Path = SUITES_FOLDER) -> dict[str, PublishedSuite]:
    """Return the suites that repeat a published experiment, by name.

    Parameters
    ----------
    folder : pathlib.Path, default=SUITES_FOLDER
        Where suites are; folders in it count too.

    Returns
    -------
    dict of str to PublishedSuite
        Suites without ``published`` are left out.
    """
    found = {}
    for path in sorted(folder.rglob("*.toml")):
        raw = read_suite(str(path))
        if "published" in raw:
            name = raw["name"]
            found[name] = PublishedSuite(name, Publication.model_validate(raw["published"]), raw)
    return found


@dataclass(frozen=True)
class PublishedRow:
    """One published number, with ours where there is one.

    Parameters
    ----------
    number : PublishedNumber
        What was published.
    dataset, classifier, method : str
        What it is compared with, or what the suite says of it.
    ours : Estimate or None
        The mean over seeds, or the median where the number is one.
    reason : str
        Why there is no number of ours.
    """

    number: PublishedNumber
    dataset: str
    classifier: str
    method: str
    ours: Estimate | None
    reason: str = ""

    @property
    def metric(self) -> str:
        """The metric as the table shows it."""
        median = self.number.statistic == "median"
        return f"{self.number.metric}, median" if median else self.number.metric

    @property
    def difference(self) -> float | None:
        """Ours minus the published number."""
        return None if self.ours is None else self.ours.mean - self.number.value


@dataclass(frozen=True)
class PublishedComparison:
    """A published experiment, and the sections of a report that repeat it.

    Parameters
    ----------
    suite : PublishedSuite
        The experiment.
    sections : tuple of Section
        Those of this suite whose loop is the suite's own.
    changed : tuple of str
        Sections that ran another loop, and which: they are compared with nothing.
    """

    suite: PublishedSuite
    sections: tuple[Section, ...]
    changed: tuple[str, ...] = ()

    @property
    def sizes(self) -> list[str]:
        """How many texts the data sets had, in words."""
        data = {section.dataset: section.results[0].spec.dataset for section in self.sections}
        return [f"{name}: {found.num_texts:,} texts" for name, found in data.items()]

    @cached_property
    def rows(self) -> list[PublishedRow]:
        """All published numbers, in the order of the suite."""
        return [self._row(number) for number in self.suite.publication.numbers]

    def _row(self, number: PublishedNumber) -> PublishedRow:
        fitting = list(self._fitting(number))
        if len(fitting) != 1 or self._leaves_open(number):
            names = (number.dataset, number.classifier, number.method)
            dataset, classifier, method = (MISSING if name is None else name for name in names)
            reason = AMBIGUOUS if fitting else NOT_RUN
            return PublishedRow(number, dataset, classifier, method, None, reason)
        section, method, units = fitting[0]
        values = [_measured(unit, number) for unit in units]
        known = [value for value in values if value is not None]
        is_reached = number.up_to_round is not None or number.metric.startswith(_EPOCHS)
        if is_reached and len(known) < len(values):
            # The mean of those that got there would flatter what seldom does.
            reason, ours = f"reached by {len(known)} of {len(values)} runs", None
        else:
            estimate = estimate_median if number.statistic == "median" else estimate_mean
            ours = estimate(values)
            reason = NOT_MEASURED if ours is None else ""
        return PublishedRow(number, section.dataset, section.classifier, method, ours, reason)

    def _leaves_open(self, number: PublishedNumber) -> bool:
        """Return whether a number has no method, and the suite several: whatever of it ran."""
        return number.method is None and len(self.suite.raw.get("methods", ())) > 1

    def _fitting(self, number: PublishedNumber) -> Iterator[tuple[Section, str, list[UnitResult]]]:
        for section in self.sections:
            if number.dataset not in (None, section.dataset):
                continue
            if number.classifier not in (None, section.classifier):
                continue
            for method, units in _by_method(section).items():
                spec = units[0].spec
                if number.method in (None, spec.method.id) and not self.suite.changed_method(spec):
                    yield section, method, units


def _by_method(section: Section) -> dict[str, list[UnitResult]]:
    found: dict[str, list[UnitResult]] = {}
    for result in section.results:
        found.setdefault(section.method_name(result), []).append(result)
    return found


def _measured(result: UnitResult, number: PublishedNumber) -> float | None:
    """Return the measure of a number, up to its round; None of a run that ended before it."""
    if number.up_to_round is None:
        return unit_measure(result, number.metric)
    if len(result.rounds) <= number.up_to_round:
        return None
    rounds = result.rounds[: number.up_to_round + 1]
    # The summary is of the whole run.
    return unit_measure(result.model_copy(update={"rounds": rounds, "summary": {}}), number.metric)


def unit_measure(result: UnitResult, metric: str) -> float | None:
    """Return one number of a unit by the name that a suite gives it.

    Parameters
    ----------
    result : UnitResult
        A unit that passed.
    metric : str
        A name of ``result.summary``; or, with ``final_``, ``area_`` (mean height over the labels)
        or ``published_area_`` (by rounds) before it, a metric of its rounds, of which ``f1`` and
        ``average_precision`` are those of the wanted classes and ``majority_f1`` is the mean over
        all others; or ``query_minutes``, of all queries; or ``epochs_to_accuracy_<share>``, see
        :func:`benchmarks.selection_tables.epochs_to_accuracy`; or a metric of the last round.

    Returns
    -------
    float or None
        None where it was not measured.
    """
    known = result.summary.get(metric)
    if known is not None:
        return known
    if metric == "query_minutes":
        return sum(record.seconds.get("query", 0.0) for record in result.rounds) / 60
    if metric.startswith(_EPOCHS):
        return epochs_to_accuracy(result.rounds, float(metric.removeprefix(_EPOCHS)))
    minority = result.spec.dataset.minority
    for prefix in ("published_area_", "area_", "final_"):
        if metric.startswith(prefix):
            name = metric.removeprefix(prefix)
            curve = [_round_metric(record, name, minority) for record in result.rounds]
            return _summed(prefix, [record.num_labeled for record in result.rounds], curve)
    return _round_metric(result.rounds[-1], metric, minority) if result.rounds else None


def _summed(prefix: str, labels: Sequence[int], curve: Sequence[float | None]) -> float | None:
    if prefix == "final_":
        return curve[-1] if curve else None
    if len(curve) < 2:
        return None
    return published_area(curve) if prefix == "published_area_" else normalized_area(labels, curve)


def _round_metric(record: RoundRecord, name: str, minority: Sequence[str]) -> float | None:
    if name == "majority_f1":
        return majority_f1(record, minority)
    return record.metrics.get(_CURVE_NAMES.get(name, name))


def published_comparisons(
    sections: Sequence[Section], suites: Mapping[str, PublishedSuite] | None = None
) -> list[PublishedComparison]:
    """Return the published experiments that a report repeats.

    Parameters
    ----------
    sections : sequence of Section
        Those of the report.
    suites : mapping of str to PublishedSuite, or None, default=None
        Published experiments by the name of their suite; None takes those of the project.

    Returns
    -------
    list of PublishedComparison
        One for each suite, in the order of the sections; empty where no section's suite is one.
    """
    known = published_suites() if suites is None else suites
    by_suite: dict[str, list[Section]] = {}
    for section in sections:
        if section.suite in known:
            by_suite.setdefault(section.suite, []).append(section)
    return [_comparison(known[name], found) for name, found in by_suite.items()]


def _comparison(suite: PublishedSuite, sections: Sequence[Section]) -> PublishedComparison:
    kept, changed = [], []
    for section in sections:
        departures = suite.changed(section.results[0].spec)
        if departures:
            changed.append(f"{section.title} ran {', '.join(departures)}")
            continue
        kept.append(section)
        for method, units in _by_method(section).items():
            if departures := suite.changed_method(units[0].spec):
                changed.append(f"{section.title}, {method} ran {', '.join(departures)}")
    return PublishedComparison(suite, tuple(kept), tuple(changed))


def published_facts(comparison: PublishedComparison) -> str:
    """Return what was published, and what departs from it, as a Markdown list."""
    publication = comparison.suite.publication
    lines = [
        f"`{publication.id}`, {publication.source}: numbers {publication.status}",
        *filter(None, [publication.reason]),
        *(f"departs: {text}" for text in publication.differences),
        *(f"ran on {text}" for text in comparison.sizes),
        *(f"not compared: {text}" for text in comparison.changed),
    ]
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)


def published_table(comparison: PublishedComparison) -> str:
    """Return the table of one published experiment.

    Parameters
    ----------
    comparison : PublishedComparison
        At least one number was published.

    Returns
    -------
    str
        Markdown: a row for each published number.
    """
    header = ["data set", "classifier", "method", "metric", "published", "spread", "ours", "seeds"]
    rows = [
        [
            *(row.dataset, row.classifier, row.method, row.metric),
            decimal(row.number.value),
            MISSING if row.number.spread is None else decimal(row.number.spread),
            cell(row.ours, decimal) if row.ours else row.reason,
            str(row.ours.num_seeds) if row.ours else MISSING,
            MISSING if row.difference is None else f"{row.difference:+.3f}",
            row.number.note,
        ]
        for row in comparison.rows
    ]
    return markdown_table([*header, "difference", "note"], rows, num_text_columns=4)


def published_summary(comparisons: Sequence[PublishedComparison]) -> list[dict[str, Any]]:
    """Return the numbers of the tables as plain values."""
    return [
        {
            "published": comparison.suite.publication.id,
            "suite": comparison.suite.name,
            "numbers": [
                {
                    **row.number.model_dump(),
                    **{"dataset": row.dataset, "classifier": row.classifier, "method": row.method},
                    "ours": None if row.ours is None else asdict(row.ours),
                    "difference": row.difference,
                    "reason": row.reason,
                }
                for row in comparison.rows
            ],
            "not_compared": list(comparison.changed),
        }
        for comparison in comparisons
    ]
