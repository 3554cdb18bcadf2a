"""What strategies ask for, seen through the map of the whole pool with all its true labels.

A diagnosis, since the map needs every label: a strategy whose acquisitions are hard or impossible
buys outliers that no model learns (Karamcheti et al., ACL 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.classifiers import classifier_kind, classifier_kinds
from benchmarks.experiments import is_one_shot
from benchmarks.figures import png_bytes
from benchmarks.frames import Section, lineage_of, split_sections
from benchmarks.plugins import classifier_fingerprint
from benchmarks.pool_maps import pool_map
from benchmarks.results import (
    ClassifierRecord,
    NoResultsError,
    UnitResult,
    iterate_results,
    write_text,
)
from benchmarks.statistics import estimate_mean
from benchmarks.tables import cell, markdown_table, percent
from small_text_ext._extras import require_extra
from small_text_ext._files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENS_NAME = "lens.md"
BUCKETS = ("easy", "medium", "hard", "impossible")
POOL = "(pool)"

_COLUMNS = 3
_HOW_TO_READ = """\
Each text is in a bucket by how often a classifier that is fitted on all true labels of the pool
predicts its label: easy in more than three quarters of the epochs, medium in more than half, hard
in more than a quarter, impossible else. The table has the share of each bucket among all texts that
a method asked for after the initial labels: means over seeds, with 95 % bootstrap intervals; the
last row is the pool itself. Bars are means over seeds, round by round."""


def write_lens(
    results_dir: Path,
    out_dir: Path | None = None,
    device: str | None = None,
    report: Callable[[str], object] = lambda message: None,
) -> Path:
    """Write what the methods of a results folder asked for: tables, figures, numbers.

    Parameters
    ----------
    results_dir : Path
        Folder of results. Maps that are missing are made, and kept in its folder ``maps``.
    out_dir : Path or None, default=None
        Where to write; None writes to ``lens`` inside the results folder.
    device : str or None, default=None
        Where classifiers are trained.
    report : callable, optional
        Told which classifiers are left out, and which map is being made.

    Returns
    -------
    Path
        ``lens.md``; beside it are ``acquisitions.csv`` and ``figures``.

    Raises
    ------
    NoResultsError
        If no unit of the folder asked for labels with a classifier that can be recorded.
    SuiteError
        If the data of a result are not on this machine any more.
    """
    results = [result for result in iterate_results(results_dir) if _has_queries(result)]
    classifiers = [result.spec.classifier for result in results]
    for line in sorted({f"{c.id} {why}" for c in classifiers if (why := _why_left_out(c))}):
        report(line)
    sections = split_sections(r for r in results if _why_left_out(r.spec.classifier) is None)
    if not sections:
        raise NoResultsError(
            f"{results_dir} holds no unit that asked for labels with a classifier that can be "
            "recorded (mlp, transformer): run `python -m benchmarks run SUITE --out "
            f"{results_dir}` first."
        )
    folder = results_dir / "lens" if out_dir is None else out_dir
    frames = [_section_frame(section, results_dir, device, report) for section in sections]
    parts = ["# Acquisitions", _HOW_TO_READ]
    for section, frame in zip(sections, frames, strict=True):
        name = f"{section.suite}-{section.dataset}-{section.classifier}-{section.lineage}"
        file_name = "".join(c if c.isalnum() or c in "-_." else "-" for c in name) + ".png"
        data = png_bytes(acquisition_figure(frame))
        write_whole(folder / "figures" / file_name, lambda file, data=data: file.write(data))  # type: ignore[misc]
        parts += [f"## {section.title}", acquisition_table(frame)]
        parts += [f"![{section.title}: acquisitions](figures/{file_name})"]
    write_text(folder / "acquisitions.csv", pd.concat(frames).to_csv(index=False))
    write_text(folder / LENS_NAME, "\n\n".join(parts) + "\n")
    return folder / LENS_NAME


def count_acquisitions(result: UnitResult, metrics: pd.DataFrame) -> pd.DataFrame:
    """Count what a unit asked for in each round, by bucket of the map of its pool.

    Parameters
    ----------
    result : UnitResult
        A unit with queries.
    metrics : pandas.DataFrame
        The map: ``guid``, the position in the complete data set, and ``correctness_fraction``.

    Returns
    -------
    pandas.DataFrame
        Columns ``round``, ``bucket`` and ``count``: a row for each bucket of each round after the
        initial labels; round -1 counts the whole pool.

    Raises
    ------
    ValueError
        If a pick is not on the map.
    """
    from small_text_ext.training.dynamics_metrics import difficulty_buckets

    names = difficulty_buckets(metrics["correctness_fraction"].to_numpy())
    bucket_of = dict(zip(metrics["guid"].tolist(), names.tolist(), strict=True))
    asked = {record.round: record.picks for record in result.rounds if record.round > 0}
    rows = []
    for number, picks in {-1: tuple(bucket_of), **asked}.items():
        missing = [pick for pick in picks if pick not in bucket_of]
        if missing:
            raise ValueError(
                f"{result.spec.name} asked for text {missing[0]}, which is not on the map of its "
                "pool: delete the map, it is made again."
            )
        counts = pd.Series([bucket_of[pick] for pick in picks], dtype=object).value_counts()
        rows += [(number, bucket, int(counts.get(bucket, 0))) for bucket in BUCKETS]
    return pd.DataFrame(rows, columns=["round", "bucket", "count"])


def acquisition_table(frame: pd.DataFrame) -> str:
    """Return the share of each bucket in all that each method asked for.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``method``, ``seed``, ``round``, ``bucket``, ``count``, of one section.

    Returns
    -------
    str
        Markdown, the pool in the last row.
    """
    asked = frame[frame["round"] > 0]
    rows = [_share_row(str(method), group) for method, group in asked.groupby("method")]
    pool = frame[frame["round"] < 0].drop_duplicates(["seed", "bucket"])
    rows.append(_share_row(POOL, pool))
    return markdown_table(["method", "seeds", *BUCKETS], rows)


def _share_row(name: str, group: pd.DataFrame) -> list[str]:
    counts = group.pivot_table(index="seed", columns="bucket", values="count", aggfunc="sum")
    shares = counts.div(counts.sum(axis=1), axis=0)
    cells = [cell(estimate_mean(shares[bucket].tolist()), percent) for bucket in BUCKETS]
    return [name, str(len(shares)), *cells]


def acquisition_figure(frame: pd.DataFrame) -> Figure:
    """Draw what each method asked for, round by round, as means over seeds.

    Parameters
    ----------
    frame : pandas.DataFrame
        As in :func:`acquisition_table`.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for each method; one legend.
    """
    from small_text_ext.plotting import plot_acquisitions

    asked = frame[frame["round"] > 0]
    methods = sorted(asked["method"].unique())
    columns = min(_COLUMNS, len(methods))
    lines = -(-len(methods) // columns)
    figure: Any = require_extra("matplotlib.figure", "plot").Figure(
        figsize=(3.6 * columns, 2.9 * lines + 0.4), layout="constrained"
    )
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for ax, method in zip(axes, methods, strict=False):
        of_method = asked[asked["method"] == method]
        means = of_method.groupby(["round", "bucket"], as_index=False)["count"].mean()
        plot_acquisitions(ax, means)
        ax.set_title(method)
    for ax in axes[len(methods) :]:
        ax.set_axis_off()
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(BUCKETS), frameon=False)
    drawn: Figure = figure
    return drawn


def _has_queries(result: UnitResult) -> bool:
    one_shot = is_one_shot(result.spec.method.strategy)
    return result.status == "passed" and not one_shot and len(result.rounds) > 1


def _why_left_out(classifier: ClassifierRecord) -> str | None:
    """Return why there is no map of a classifier; None where there is one."""
    if classifier.kind not in classifier_kinds():
        return (
            f"is left out: its kind {classifier.kind} is unknown here; load the plugin that adds "
            "it by --plugin module:function."
        )
    if classifier_fingerprint(classifier.kind) != classifier.plugin:
        return (
            "is left out: the code of its plugin has changed since it ran, and so would its map; "
            "run the suite again."
        )
    if not classifier_kind(classifier.kind).is_recorded:
        return "is left out: what it learns while it is trained cannot be recorded."
    return None


def _section_frame(
    section: Section, folder: Path, device: str | None, report: Callable[[str], object]
) -> pd.DataFrame:
    read = partial(_read_map, folder, device, report)
    maps = {seed: read(unit) for seed, unit in _first_of_each_seed(section.results).items()}
    frames = []
    for result in section.results:
        spec = result.spec
        counted = count_acquisitions(result, maps[spec.seed.number])
        names = {
            "suite": spec.suite,
            "dataset": spec.dataset.id,
            "classifier": spec.classifier.id,
            "lineage": lineage_of(spec),
            "method": section.method_name(result),
            "seed": spec.seed.number,
        }
        frames.append(pd.DataFrame(names, index=counted.index).join(counted))
    return pd.concat(frames, ignore_index=True)


def _first_of_each_seed(results: Sequence[UnitResult]) -> dict[int, UnitResult]:
    return {result.spec.seed.number: result for result in reversed(results)}


def _read_map(
    folder: Path, device: str | None, report: Callable[[str], object], result: UnitResult
) -> pd.DataFrame:
    spec = result.spec
    report(f"map of {spec.dataset.id}, {spec.classifier.id}, seed {spec.seed.number}")
    metrics = pool_map(spec, folder, device)
    return metrics[["guid", "correctness_fraction"]].astype({"guid": np.int64})
