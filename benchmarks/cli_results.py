"""Commands on results that are there: ``compare`` and ``export``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from benchmarks.cli import EXIT_FAILED, FolderArgument, console
from benchmarks.comparison import (
    DEFAULT_METRIC,
    Better,
    Comparison,
    ComparisonRow,
    Side,
    compare_sides,
    folder_sides,
    method_sides,
)
from benchmarks.export import export_results
from benchmarks.results import write_text
from benchmarks.suggestions import SuiteError, unknown_name

app = typer.Typer(help="Compare and export results.")


class BetterValues(StrEnum):
    """Which values of a metric are better."""

    HIGHER = "higher"
    LOWER = "lower"


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="The results folder to compare with.")],
    second: Annotated[Path | None, typer.Argument(help="The other one.")] = None,
    methods: Annotated[
        tuple[str, str] | None,
        typer.Option("--methods", help="Two methods of one folder, in the place of two folders."),
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", help="Of a unit's summary, such as final_accuracy.")
    ] = DEFAULT_METRIC,
    better: Annotated[
        BetterValues | None, typer.Option("--better", help="By default, as the metric's name says.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", help="Compare on this data set alone.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", min=0, help="Exit with status 1 if a mean is worse by more."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--json", help="Write all numbers to this file, too.")
    ] = None,
) -> None:
    """Compare two folders, or two methods of one: differences paired by seed."""
    if second is not None and methods is None:
        sides = folder_sides(first, second)
    elif methods is not None and second is None:
        sides = method_sides(first, *methods)
    else:
        raise SuiteError("compare takes two folders, or one folder and --methods A B.")
    left, right = (_on_datasets(side, dataset or ()) for side in sides)
    direction: Better | None = None
    if better is not None:
        direction = "higher" if better is BetterValues.HIGHER else "lower"
    found = compare_sides(left, right, metric, direction, by_method=methods is None)
    console.print(_table(found))
    if found.num_cut:
        console.print(
            f"{found.num_cut} pairs ended at different numbers of labels, and are compared up to "
            "the smaller one.",
            style="dim",
        )
    if found.unpaired:
        console.print(f"{found.unpaired} units have it on one side only.", style="dim")
    dropped = [] if tolerance is None else found.dropped(tolerance)
    for row in dropped:
        name = f"{row.dataset} / {row.classifier} / {row.method}"
        console.print(
            f"[red]drop[/red] {escape(name)}: {metric} is worse by {row.drop:.4g}, more than "
            f"{tolerance:g}",
            soft_wrap=True,
        )
    lost = () if tolerance is None else found.lost
    for name in lost:
        console.print(f"[red]lost[/red] {escape(name)}: no {metric} in B", soft_wrap=True)
    if out is not None:
        content = {**found.content(), "tolerance": tolerance, "dropped": len(dropped)}
        write_text(out, json.dumps(content, indent=1) + "\n")
        console.print(f"json: {out}", soft_wrap=True)
    raise typer.Exit(EXIT_FAILED if dropped or lost else 0)


def _on_datasets(side: Side, datasets: Sequence[str]) -> Side:
    known = {result.spec.dataset.id for result in side.results}
    for name in datasets:
        if name not in known:
            raise unknown_name(f"data set in {side.name}", name, known)
    kept = tuple(r for r in side.results if not datasets or r.spec.dataset.id in datasets)
    return replace(side, results=kept)


def _table(found: Comparison) -> Table:
    title = (
        f"{found.metric} ({found.better} is better): A is {found.first}, B is {found.second}; "
        "p of Wilcoxon's signed-rank test, corrected by Holm"
    )
    table = Table(title=escape(title), title_justify="left")
    for name in ("data set", "classifier", "method"):
        table.add_column(name)
    for name in ("seeds", "A", "B", "B - A", "wins", "ties", "losses", "p"):
        table.add_column(name, justify="right")
    for row in found.rows:
        table.add_row(*map(escape, _cells(row)))
    return table


def _cells(row: ComparisonRow) -> tuple[str, ...]:
    low, high = row.difference.low, row.difference.high
    interval = "" if low is None or high is None else f" [{low:+.4f}, {high:+.4f}]"
    counts = (row.wins, row.ties, row.losses)
    return (
        row.dataset,
        row.classifier,
        row.method,
        str(row.seeds),
        f"{row.first:.4f}",
        f"{row.second:.4f}",
        f"{row.difference.mean:+.4f}{interval}",
        *map(str, counts),
        f"{row.corrected_p_value:.3g}",
    )


@app.command()
def export(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The Parquet file.")],
) -> None:
    """Write all results as one Parquet file: a row for each unit and round."""
    rows = export_results(folder, out)
    console.print(f"{rows:,} rows: {out}", soft_wrap=True)
