"""From a folder of results to a page: tables, figures, and the numbers behind them as files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

import pandas as pd

from benchmarks.anchoral_tables import (
    ANCHORAL_INTRODUCTION,
    SHARES_INTRODUCTION,
    PaperComparison,
    anchoral_table,
    is_anchoral,
    runs_of,
    shares_table,
)
from benchmarks.figures import ablation_figure, balance_figure, learning_figure, png_bytes
from benchmarks.frames import Section, rounds_frame, split_sections
from benchmarks.frozen_tables import (
    FROZEN_INTRODUCTION,
    frozen_comparisons,
    frozen_summary,
    frozen_table,
)
from benchmarks.frozen_tables import (
    MEASURES as FROZEN_MEASURES,
)
from benchmarks.label_savings import SAVINGS_INTRODUCTION, savings_summary, savings_table
from benchmarks.noise_tables import (
    NOISE_INTRODUCTION,
    NoiseComparison,
    flags_table,
    noise_frame,
    noise_summary,
    noise_table,
    verdict,
)
from benchmarks.notes import environment_lines, failures_table, section_facts, section_warnings
from benchmarks.page import PAGE_NAME, write_page
from benchmarks.published_tables import (
    PUBLISHED_INTRODUCTION,
    published_comparisons,
    published_facts,
    published_summary,
    published_table,
)
from benchmarks.results import (
    NoResultsError,
    UnitResult,
    iterate_results,
    write_text,
)
from benchmarks.sample_grids import GRID_INTRODUCTION, grid_table, sample_grids
from benchmarks.sample_tables import (
    SAMPLE_INTRODUCTION,
    sample_comparisons,
    sample_summary,
    sample_table,
)
from benchmarks.selection_figures import selection_figure
from benchmarks.selection_tables import (
    SELECTION_INTRODUCTION,
    selection_comparisons,
    selection_summary,
    selection_table,
)
from benchmarks.single_fit_tables import (
    FIT_INTRODUCTION,
    fit_comparisons,
    fit_summary,
    fit_table,
)
from benchmarks.statistics import MIN_SEEDS_TO_MARK, Estimate
from benchmarks.subset_tables import (
    SUBSET_INTRODUCTION,
    fallback_lines,
    subset_summary,
    subset_table,
)
from benchmarks.tables import (
    Comparison,
    ablation_table,
    cost_table,
    decimal,
    difference_table,
    number,
    quality_table,
)
from small_text_ext._files import write_whole

REPORT_NAME = "report.md"
MAX_DRAWN_SECTIONS = 4
"""Sections up to which figures are drawn unless asked otherwise: each takes a second or two."""

MEASURES = (
    "num_labeled",
    "minority_labeled",
    "found",
    "labeled_share",
    "area_average_precision",
    "area_f1",
    "final_average_precision",
    "final_f1",
    "published_area_average_precision",
    "published_area_f1",
    "query_seconds",
    "first_query_seconds",
    "later_query_seconds",
    "total_query_seconds",
    "total_fit_seconds",
    "harness_seconds",
    "rows_scored",
    "subpool_size",
    "subpool_share",
)
COMPARED_MEASURES = ("area_average_precision", "area_f1", "minority_labeled")
_HOW_TO_READ = f"""\
Numbers are means over seeds with their 95 % bootstrap interval. All methods of a seed share split
and initial labels, so differences are taken seed by seed; a difference is **bold** where its
interval leaves out zero and at least {MIN_SEEDS_TO_MARK} seeds stand behind it. Rows are in a fixed
order, not by result. Precision, F1 and average precision (AP) are those of a test set with the
pool's own class mixture. An area is the mean height of a curve over the labels; "as published" is
the AnchorAL paper's area, not normalised, with steps of one round. Minority labels include the
initial ones. Seconds of a query are the strategy's alone: no fit, no evaluation, no encoding. The
first query includes building the index. A size-matched subset also runs the search whose size it
copies: its seconds are not those of a random subset."""

_PAGE = (
    f"The same to sort, filter and hover, with a page for each unit: [{PAGE_NAME}]({PAGE_NAME})."
)
_NO_FIGURES = "Figures were not drawn: `report --figures` draws them."


def write_report(
    results_dir: Path, out_dir: Path | None = None, *, figures: bool | None = None
) -> Path:
    """Write the report of a results folder: Markdown, a page, figures, and the numbers behind them.

    Parameters
    ----------
    results_dir : Path
        Folder of results, as written by ``python -m benchmarks run``.
    out_dir : Path, default=None
        Where to write; None writes to ``report`` inside the results folder. Files of the same
        names are replaced, each whole; no other file is touched.
    figures : bool or None, default=None
        Whether to draw figures as PNG files. None draws those of up to 4 sections: of more, the
        page draws its curves when they are looked at, and the report is there in seconds.

    Returns
    -------
    Path
        ``report.md``. Beside it are ``report.html`` (leaderboard, curves and units in one page
        that needs no network, see `benchmarks.page.write_page`), ``rounds.csv`` (one row for each
        round), ``noise.csv`` (one row for each detector of each unit, where labels were flipped),
        ``summary.json`` (the tables' numbers with intervals) and ``figures``.

    Raises
    ------
    benchmarks.results.NoResultsError
        If the folder is missing or holds no result.
    benchmarks.results.ResultFileError
        If a file in it is cut off or foreign.
    """
    results = list(iterate_results(results_dir))
    if not results:
        raise NoResultsError(
            f"{results_dir} holds no results: run `python -m benchmarks run SUITE --out "
            f"{results_dir}` first."
        )
    folder = results_dir / "report" if out_dir is None else out_dir
    comparisons = [Comparison(section) for section in split_sections(results)]
    drawn = len(comparisons) <= MAX_DRAWN_SECTIONS if figures is None else figures
    for comparison in comparisons if drawn else ():
        for name, data in draw_figures(comparison).items():
            write_whole(folder / "figures" / name, partial(_write_bytes, data))
    write_text(folder / "rounds.csv", _all_rounds(comparisons).to_csv(index=False))
    noisy = [noise_frame(comparison.section) for comparison in comparisons]
    if any(len(frame) for frame in noisy):
        write_text(folder / "noise.csv", pd.concat(noisy).to_csv(index=False))
    summary = [summarize(comparison) for comparison in comparisons]
    sections = [comparison.section for comparison in comparisons]
    summary += sample_summary(sample_comparisons(sections))
    summary += frozen_summary(frozen_comparisons(sections))
    summary += fit_summary(fit_comparisons(sections))
    summary += published_summary(published_comparisons(sections))
    write_text(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    suites = dict.fromkeys(result.spec.suite for result in results)
    write_page(folder / PAGE_NAME, comparisons, results, f"Benchmark report: {', '.join(suites)}")
    write_text(folder / REPORT_NAME, render_report(comparisons, results, figures=drawn))
    return folder / REPORT_NAME


def _all_rounds(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return the rounds of all units but those that look for flipped labels."""
    frames = []
    for comparison in comparisons:
        section = comparison.section
        apart = {*map(id, section.learning), *map(id, section.noise)}
        rest = rounds_frame([result for result in section.results if id(result) not in apart])
        frames += [frame for frame in (comparison.rounds, rest) if len(frame)]
    return pd.concat(frames) if frames else pd.DataFrame()


def render_report(
    comparisons: Sequence[Comparison], results: Sequence[UnitResult], *, figures: bool = True
) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    comparisons : sequence of Comparison
        The sections, in order.
    results : sequence of UnitResult
        All units, failed ones included.
    figures : bool, default=True
        Whether figures are drawn.

    Returns
    -------
    str
        The report, with links to the figures that `draw_figures` names.
    """
    failed = [result for result in results if result.status == "failed"]
    parts = ["# Benchmark report", _HOW_TO_READ, _PAGE if figures else f"{_PAGE} {_NO_FIGURES}"]
    if failed:
        parts.append(f"**{len(failed)} of {len(results)} units failed**, see the end.")
    sections = [comparison.section for comparison in comparisons]
    for comparison in comparisons:
        parts += _section_parts(comparison, sections)
    for further in (_sample_parts, _frozen_parts, _fit_parts, _published_parts):
        parts += further(sections)
    if failed:
        parts += ["## Failed units", failures_table(failed)]
    parts += ["## Environment", *environment_lines(results)]
    if not figures:
        parts = [part for part in parts if not part.startswith("![")]
    return "\n\n".join(parts) + "\n"


def draw_figures(comparison: Comparison) -> dict[str, bytes]:
    """Return the figures of a section as PNG, by file name.

    Parameters
    ----------
    comparison : Comparison
        The section; without any method but a ceiling it has no figure.

    Returns
    -------
    dict of str to bytes
        Learning curves, balance, ablations and selected batches, where there are any.
    """
    drawing = {
        "learning": learning_figure,
        "balance": balance_figure,
        "ablations": ablation_figure,
        "selection": _selection_figure,
    }
    return {
        figure_name(comparison, kind): png_bytes(drawing[kind](comparison))
        for kind in figure_kinds(comparison)
    }


def _selection_figure(comparison: Comparison) -> Any:  # noqa: ANN401 - matplotlib is optional
    return selection_figure(selection_comparisons(comparison.section), comparison.section.title)


def figure_kinds(comparison: Comparison) -> list[str]:
    """Return which figures a section has."""
    kinds = ["learning"] if comparison.curves else []
    if comparison.curves and (comparison.has_subpools or not comparison.wants_all):
        kinds.append("balance")
    if comparison.ablations and comparison.subject:
        kinds.append("ablations")
    return [*kinds, "selection"] if comparison.section.selections else kinds


def figure_name(comparison: Comparison, kind: str) -> str:
    """Return the file name of a figure, different for each section."""
    section = comparison.section
    parts = (section.suite, section.dataset, section.classifier, section.lineage, kind)
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in "-".join(parts)) + ".png"


def summarize(comparison: Comparison) -> dict[str, Any]:
    """Return the numbers of a section's tables as plain values.

    Parameters
    ----------
    comparison : Comparison
        The section.

    Returns
    -------
    dict
        Names, seeds and ``budget`` (labels at which methods are compared); ``methods``: method to
        measure to mean, low, high and number of seeds; ``differences``: reference to method to
        measure, likewise, paired by seed; and ``subsets``, ``noise``, ``selections``, ``savings``
        and ``anchoral`` (the paper's medians), where there are any.
    """
    section, methods = comparison.section, comparison.methods
    return {
        "suite": section.suite,
        "dataset": section.dataset,
        "classifier": section.classifier,
        "lineage": section.lineage,
        "seeds": comparison.seeds,
        "budget": comparison.budget,
        "methods": {
            name: {measure: _plain(comparison.estimate(name, measure)) for measure in MEASURES}
            for name in methods
        },
        "differences": {
            reference: {
                name: {
                    measure: _plain(comparison.difference(name, reference, measure))
                    for measure in COMPARED_MEASURES
                }
                for name in methods
                if name != reference and name not in comparison.ceilings
            }
            for reference in comparison.references
        },
        "subsets": subset_summary(section) if section.subsets else [],
        "noise": noise_summary(NoiseComparison(section)) if section.noise else {},
        "selections": selection_summary(section) if section.selections else [],
        "savings": savings_summary(section),
        "anchoral": PaperComparison(runs_of(section)).summary() if is_anchoral(section) else {},
    }


def _section_parts(comparison: Comparison, sections: Sequence[Section]) -> Iterator[str]:
    yield f"## {comparison.section.title}"
    yield section_facts(comparison)
    yield from section_warnings(comparison, sections)
    if comparison.methods:
        yield quality_table(comparison)
    if comparison.curves:
        yield from _curve_parts(comparison)
        yield from _anchoral_parts(comparison)
    savings = savings_table(comparison)
    if savings is not None:
        yield "### Labels saved"
        yield SAVINGS_INTRODUCTION
        yield savings
    if comparison.ablations:
        yield "### Ablations"
        yield ablation_table(comparison)
        yield from _links(comparison, ["ablations"])
    yield from _subset_parts(comparison.section)
    yield from _noise_parts(comparison.section)
    yield from _selection_parts(comparison)


def _subset_parts(section: Section) -> Iterator[str]:
    if section.subsets:
        yield "### Training on regions of the data map"
        yield SUBSET_INTRODUCTION
        yield from filter(None, [fallback_lines(section)])
        yield subset_table(section)


def _noise_parts(section: Section) -> Iterator[str]:
    if section.noise:
        comparison = NoiseComparison(section)
        yield "### Finding flipped labels"
        yield NOISE_INTRODUCTION
        yield noise_table(comparison)
        yield verdict(comparison)
        yield flags_table(comparison)


def _selection_parts(comparison: Comparison) -> Iterator[str]:
    if comparison.section.selections:
        yield "### Batches that a score selects"
        yield SELECTION_INTRODUCTION
        for each in selection_comparisons(comparison.section):
            yield f"{each.condition.title.capitalize()}:"
            yield selection_table(each)
        yield from _links(comparison, ["selection"])


def _sample_parts(sections: Sequence[Section]) -> Iterator[str]:
    comparisons = sample_comparisons(sections)
    if comparisons:
        yield "## Few labels, classifier by classifier"
        yield SAMPLE_INTRODUCTION
    for comparison in comparisons:
        yield f"### {comparison.title}"
        yield sample_table(comparison)
    grids = sample_grids(sections)
    if grids:
        yield "## Classifiers by data set"
        yield GRID_INTRODUCTION
    for grid in grids:
        yield f"### {grid.suite} · {grid.title}"
        yield grid_table(grid)


def _published_parts(sections: Sequence[Section]) -> Iterator[str]:
    comparisons = published_comparisons(sections)
    if comparisons:
        yield "## Published beside measured"
        yield PUBLISHED_INTRODUCTION
    for comparison in comparisons:
        yield f"### {comparison.suite.name}"
        yield published_facts(comparison)
        if comparison.rows:
            yield published_table(comparison)


def _anchoral_parts(comparison: Comparison) -> Iterator[str]:
    if is_anchoral(comparison.section):
        yield "### As in the AnchorAL paper"
        yield ANCHORAL_INTRODUCTION
        yield anchoral_table(comparison)
        yield SHARES_INTRODUCTION
        yield shares_table(comparison)


def _frozen_parts(sections: Sequence[Section]) -> Iterator[str]:
    comparisons = frozen_comparisons(sections)
    if comparisons:
        yield "## Frozen encoders"
        yield FROZEN_INTRODUCTION
    for comparison in comparisons:
        yield f"### {comparison.suite}"
        for measure in comparison.measures:
            yield FROZEN_MEASURES[measure]
            yield frozen_table(comparison, measure)


def _fit_parts(sections: Sequence[Section]) -> Iterator[str]:
    comparisons = fit_comparisons(sections)
    if comparisons:
        yield "## Single fits"
        yield FIT_INTRODUCTION
    for comparison in comparisons:
        yield f"### {comparison.title}"
        yield fit_table(comparison)


def _curve_parts(comparison: Comparison) -> Iterator[str]:
    if len(comparison.curves) > 1 and comparison.references:
        yield "Area under average precision, paired by seed:"
        yield difference_table(comparison, "area_average_precision", decimal)
        if not comparison.wants_all:
            yield "Minority labels found, paired by seed:"
            yield difference_table(comparison, "minority_labeled", number)
    if comparison.wants_all:
        yield "Cost, means over the queries:"
    else:
        yield "Cost and balance, means over the queries (share in labels: at the end):"
    yield cost_table(comparison)
    yield from _links(comparison, ["learning", "balance"])


def _links(comparison: Comparison, kinds: Sequence[str]) -> Iterator[str]:
    for kind in kinds:
        if kind in figure_kinds(comparison):
            title = f"{comparison.section.title}: {kind}"
            yield f"![{title}](figures/{figure_name(comparison, kind)})"


def _plain(estimate: Estimate | None) -> dict[str, float | int | None] | None:
    return None if estimate is None else asdict(estimate)


def _write_bytes(data: bytes, file: IO[bytes]) -> None:
    file.write(data)
