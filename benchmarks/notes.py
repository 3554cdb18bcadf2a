"""The sentences of a report: what a section was run on, and what its reader must know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from benchmarks.frames import Section
from benchmarks.results import Environment, UnitResult
from benchmarks.statistics import MIN_SEEDS_TO_MARK
from benchmarks.tables import Comparison, markdown_table, percent

_SHOWN_PACKAGES = (
    "small-text-ext",
    "small-text",
    "scikit-learn",
    "torch",
    "transformers",
    "numpy",
)
_MESSAGE_LENGTH = 160


def section_facts(comparison: Comparison) -> str:
    """Return what the units of a section ran on, as a Markdown list.

    Parameters
    ----------
    comparison : Comparison
        The section.

    Returns
    -------
    str
        Data with class counts, encoder, protocol, seeds.
    """
    first = comparison.section.results[0]
    dataset, encoder, protocol = first.spec.dataset, first.spec.encoder, first.spec.protocol
    reached = f", compared at {comparison.budget:,} labels" if comparison.budget else ""
    lines = [
        f"data `{dataset.id}`, {dataset.num_texts:,} texts, "
        f"fingerprint `{dataset.fingerprint[:12]}`",
        f"pool of {_counts(first.pool_counts, dataset.minority)}; "
        f"test set of {_counts(first.test_counts, dataset.minority)}",
        f"encoder `{encoder.id}` ({encoder.precision}, weights `{encoder.fingerprint[:12]}`)",
        *_model_facts(first),
        f"{protocol.initial_size} initial labels, {protocol.initial_minority} of them of each "
        f"{'minority ' if dataset.minority else ''}class; "
        f"{protocol.rounds} queries of {protocol.query_size}{reached}",
        f"seeds: {comparison.num_seeds} ({', '.join(map(str, comparison.seeds))})",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _model_facts(result: UnitResult) -> Iterator[str]:
    classifier = result.spec.classifier
    if classifier.model is not None:
        model = classifier.model
        yield (
            f"classifier `{classifier.id}` fine-tunes `{model.id}` "
            f"(weights `{model.fingerprint[:12]}`) in every round"
        )


def section_warnings(comparison: Comparison, sections: Sequence[Section]) -> Iterator[str]:
    """Yield what must be known before a section's numbers are believed.

    Parameters
    ----------
    comparison : Comparison
        The section.
    sections : sequence of Section
        All sections of the report.

    Yields
    ------
    str
        Markdown quotes: results of other data under the same names, results of different code,
        subpools as large as the pool, one or few seeds, seeds that some methods lack, and units
        that stopped early.
    """
    for text in (
        _rival_warning(comparison.section, sections),
        _code_warning(comparison.section),
        _unfiltered_warning(comparison.section),
        _seed_warning(comparison.num_seeds),
        _missing_warning(comparison),
        _budget_warning(comparison),
    ):
        if text:
            yield f"> {text}"


def failures_table(failed: Sequence[UnitResult]) -> str:
    """Return the table of the failed units: which, and the first line of why."""
    rows = []
    for result in failed:
        error = result.error
        message = error.message.strip().split("\n")[0] if error else ""
        short = message[:_MESSAGE_LENGTH] + ("..." if len(message) > _MESSAGE_LENGTH else "")
        rows.append([result.spec.name, error.type if error else "-", short])
    return markdown_table(["unit", "error", "message"], rows, num_text_columns=3)


def environment_lines(results: Sequence[UnitResult]) -> list[str]:
    """Return where the units ran, as one Markdown list: one item for each environment."""
    counts: dict[str, int] = {}
    for result in results:
        line = _environment_line(result)
        counts[line] = counts.get(line, 0) + 1
    return ["\n".join(f"- {_plural(count, 'unit')}: {line}" for line, count in counts.items())]


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _counts(counts: dict[str, int], minority: Sequence[str]) -> str:
    total = sum(counts.values())
    if not total:
        return "unknown size"
    if not minority:
        return f"{total:,} texts in {len(counts)} classes, all wanted"
    shares = (
        f"{name} {counts.get(name, 0):,} ({percent(counts.get(name, 0) / total)})"
        for name in minority
    )
    return f"{total:,} texts, of which {', '.join(shares)}"


def _rival_warning(section: Section, sections: Sequence[Section]) -> str | None:
    if not section.rivals:
        return None
    names = (section.suite, section.dataset, section.classifier)
    alike = [other for other in sections if (other.suite, other.dataset, other.classifier) == names]
    specs = [_flat(_shared_content(other)) for other in alike]
    differing = sorted(
        name for name in specs[0] if len({str(spec.get(name)) for spec in specs}) > 1
    )
    return (
        f"**The folder holds {len(alike)} different experiments under these names** "
        f"({', '.join(f'`{other.lineage}`' for other in alike)}), which differ in "
        f"{', '.join(f'`{name}`' for name in differing)}. They are not averaged: each has its own "
        "section. Delete the results of the one that is out of date."
    )


def _code_warning(section: Section) -> str | None:
    """Return which states of the code the units ran, where there is more than one."""
    states = dict.fromkeys(_code_state(result) for result in section.results)
    if len(states) < 2:
        return None
    return (
        f"**These units ran {len(states)} different states of the code** ({'; '.join(states)}). "
        "Their numbers are averaged all the same, since the version is what tells code apart: "
        "where the change may matter, delete the older results and run again."
    )


def _code_state(result: UnitResult) -> str:
    place = result.environment
    version = place.packages.get("small-text-ext", "of unknown version")
    return f"small-text-ext {version}{_revision(place)}"


def _revision(place: Environment) -> str:
    revision = f", revision {place.revision[:12]}" if place.revision else ""
    return revision + (" with uncommitted changes" if place.dirty else "")


def _unfiltered_warning(section: Section) -> str | None:
    """Return the methods whose subpool was all there is: they are nothing but their base."""
    names = Counter(section.method_name(r) for r in section.results if _never_filters(r))
    if not names:
        return None
    units = Counter(section.method_name(r) for r in section.results)
    counted = ", ".join(f"{name} ({names[name]} of {units[name]} units)" for name in names)
    return (
        f"**{counted}: the subpool was the whole pool in every query**, so that the base strategy "
        "alone is measured there. Lower subpool_size, for one data set under `on`; a filter that "
        "predicts no better than chance lets everything through."
    )


def _never_filters(result: UnitResult) -> bool:
    pool, rounds = sum(result.pool_counts.values()), result.rounds
    sizes = [
        (record.subpool_size, pool - before.num_labeled) for before, record in pairwise(rounds)
    ]
    return bool(sizes) and all(size is not None and size >= left for size, left in sizes)


def _seed_warning(num_seeds: int) -> str | None:
    if num_seeds == 1:
        return (
            "**One seed: no intervals, and no ranking.** Differences between methods cannot be "
            "told from chance here; run more seeds."
        )
    if num_seeds < MIN_SEEDS_TO_MARK:
        return (
            f"{num_seeds} seeds: bootstrap intervals over so few are too narrow, so no difference "
            "is marked."
        )
    return None


def _missing_warning(comparison: Comparison) -> str | None:
    seeds = set(comparison.seeds)
    lacking = {
        name: sorted(seeds - comparison.values(name, "num_labeled").keys())
        for name in comparison.methods
    }
    parts = [f"{name} lacks {', '.join(map(str, gone))}" for name, gone in lacking.items() if gone]
    if not parts:
        return None
    return f"Seeds are missing: {'; '.join(parts)}. Differences use the seeds that both have."


def _budget_warning(comparison: Comparison) -> str | None:
    """Return which methods stopped first, where not all reached the same number of labels."""
    if comparison.rounds.empty:
        return None
    rounds = comparison.rounds[~comparison.rounds["ceiling"].astype(bool)]
    reached = rounds.groupby(["method", "seed"])["num_labeled"].max()
    if reached.empty or reached.min() == reached.max():
        return None
    earliest = reached[reached == reached.min()].reset_index()["method"]
    first = ", ".join(sorted(set(earliest)))
    return (
        f"Some units stopped early: {first} at {reached.min():,} labels, others at up to "
        f"{reached.max():,}. All numbers are taken at {reached.min():,} labels."
    )


def _shared_content(section: Section) -> dict[str, Any]:
    spec = section.results[0].spec
    return spec.model_dump(mode="json", include={"dataset", "encoder", "classifier", "protocol"})


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _environment_line(result: UnitResult) -> str:
    place = result.environment
    packages = [
        f"{name} {place.packages[name]}" for name in _SHOWN_PACKAGES if name in place.packages
    ]
    return (
        f"{place.cpu}, {_plural(place.threads, 'thread')}, {place.device}"
        f"{', bfloat16 in hardware' if place.bfloat16 else ''}; Python {place.python}, "
        f"{', '.join(packages)}{_revision(place)}"
    )
