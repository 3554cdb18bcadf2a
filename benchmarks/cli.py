"""The command line: ``python -m benchmarks COMMAND``; ``--help`` names the commands.

Exit codes: 0 all passed, 1 a unit failed or a comparison found a drop, 2 the command cannot be run
as given, 130 interrupted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from benchmarks.clusters import ClusterError
from benchmarks.datasets import DATASETS, MissingSourceError
from benchmarks.one_shot import SelectionRequest, SelectionStrategy, write_selection
from benchmarks.results import (
    NoResultsError,
    ResultFileError,
    UnwritableError,
    quarantine_result,
    read_result,
)
from benchmarks.selection import Selection, select_suite
from benchmarks.suggestions import SuiteError
from benchmarks.units import PreparedDataset
from small_text_ext._extras import MissingExtraError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

PERF = "perf"
RESULT_COMMANDS = ("compare", "export")

_SHOWN_SUSPECTS = 10
_SHOWN_LETTERS = 80
# The 80 columns that rich takes where there is no terminal cut names off.
_PIPE_WIDTH = 140
# What the user can mend: the message says how, and a traceback would hide it.
_MENDABLE = (
    ClusterError,
    MissingExtraError,
    MissingSourceError,
    NoResultsError,
    ResultFileError,
    SuiteError,
    UnwritableError,
)


def make_console(stderr: bool = False) -> Console:
    """Return a console as wide as the terminal; in a pipe, wide enough for every table."""
    console = Console(stderr=stderr)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_WIDTH
    return console


console = make_console()
errors = make_console(stderr=True)


class TeachingGroup(TyperGroup):
    """Commands whose errors a user can mend are one line, not a traceback.

    Those of ``perf`` and of results are imported when they are asked for: the first need small-text
    and torch at once, which take seconds to load.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - click's, which typer has copied
        """Return the names of all commands."""
        return [*super().list_commands(ctx), *RESULT_COMMANDS, PERF]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        """Return one command."""
        if cmd_name in RESULT_COMMANDS:
            from benchmarks import cli_results

            commands: Any = typer.main.get_command(cli_results.app)
            return commands.get_command(ctx, cmd_name)
        if cmd_name != PERF:
            return super().get_command(ctx, cmd_name)
        from benchmarks import perf

        group = typer.main.get_command(perf.app)
        group.name = PERF
        return group

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - click's, which typer has copied
        """Run the command."""
        try:
            return super().invoke(ctx)
        except _MENDABLE as error:
            errors.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(EXIT_USAGE) from error
        except KeyboardInterrupt as interrupt:
            errors.print("[yellow]interrupted[/yellow]: what has finished is kept; run again.")
            raise typer.Exit(EXIT_INTERRUPTED) from interrupt


app = typer.Typer(
    cls=TeachingGroup,
    help="Run the experiments of the papers, and report them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SuiteArgument = Annotated[str, typer.Argument(help="A name that `list` shows, or a TOML file.")]
FolderArgument = Annotated[Path, typer.Argument(help="The results folder.")]
SeedsOption = Annotated[int | None, typer.Option("--seeds", min=1, help="Number of seeds.")]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Units at a time.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="The results folder.")]
DatasetOption = Annotated[
    list[str] | None,
    typer.Option("--dataset", help="Keep this data set; or one that the suite does not have."),
]
MethodOption = Annotated[list[str] | None, typer.Option("--method", help="Keep this method.")]
ClassifierOption = Annotated[
    list[str] | None,
    typer.Option(
        "--classifier", help="Keep this classifier; or a kind that the suite does not have."
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="Where to encode and train, such as cpu or cuda.")
]
EncoderOption = Annotated[
    str | None, typer.Option("--encoder", help="minilm, a folder, or a name on the hub.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value, such as rounds=5 or methods.anchoral.num_anchors=20."),
]
MinorityOption = Annotated[
    list[str] | None, typer.Option("--minority", help="The wanted class, against the rest.")
]
PrevalenceOption = Annotated[
    float | None, typer.Option("--prevalence", help="Its share in the pool, such as 0.01.")
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="What text classifiers start from: minilm, a folder, a hub name."),
]
BackendOption = Annotated[
    str, typer.Option("--backend", help="Where units run: loky (this machine), dask or ray.")
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="Of a running Dask scheduler or Ray cluster; else one is made."),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads of each unit; else the cores are shared out."),
]
PluginOption = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="module:function that adds your methods, classifiers, data."),
]
TrackOption = Annotated[
    str | None,
    typer.Option("--track", help="Show curves as units end: tensorboard, mlflow or wandb."),
]


class Listed(StrEnum):
    """What can be listed by itself."""

    PUBLISHED = "published"


@app.command("list")
def list_names(
    what: Annotated[
        Listed | None, typer.Argument(help="published: the experiments of the papers.")
    ] = None,
    plugins: PluginOption = None,
) -> None:
    """Show suites, data sets, methods, classifiers and encoders; or the published experiments."""
    if what is not None:
        _list_published()
        return
    from benchmarks.classifiers import CLASSIFIERS
    from benchmarks.encoders import ENCODERS
    from benchmarks.methods import METHODS, strategy_names
    from benchmarks.parsing import read_suite, suite_names
    from benchmarks.plugins import load_plugins

    load_plugins(plugins or ())
    suites = [(name, str(read_suite(name).get("description", ""))) for name in suite_names()]
    _print_table("Suites", suites)
    _print_table("Data sets", [(d.name, f"{d.description}; {d.source}") for d in DATASETS.values()])
    _print_table("Methods", [(name, preset.description) for name, preset in METHODS.items()])
    _print_table(
        "Encoders", [*ENCODERS.items(), ("PATH or NAME", "any sentence-transformers model")]
    )
    _print_table("Classifiers", [(name, kind.description) for name, kind in CLASSIFIERS.items()])
    _print_names("Strategies that a method may name", strategy_names())


def _list_published() -> None:
    from benchmarks.published import published_experiments, summary

    experiments = published_experiments()
    columns = ("id", "line", "data set", "model", "status", "numbers")
    _print_columns("Published experiments", columns, [each.row for each in experiments])
    _print_lines([f"{each.id}: {each.reason}" for each in experiments if each.reason], "dim")
    _print_lines([summary(experiments), "Run one by its id: python -m benchmarks run ID"], "bold")


@app.command()
def plan(
    suite: SuiteArgument,
    seeds: SeedsOption = None,
    jobs: JobsOption = 1,
    out: OutOption = Path("results"),
    dataset: DatasetOption = None,
    method: MethodOption = None,
    classifier: ClassifierOption = None,
    device: DeviceOption = None,
    encoder: EncoderOption = None,
    overrides: SetOption = None,
    minority: MinorityOption = None,
    prevalence: PrevalenceOption = None,
    model: ModelOption = None,
    plugins: PluginOption = None,
) -> None:
    """Count units, texts and fits, and estimate the hours by a short calibration here."""
    from benchmarks.planning import describe_plan, make_plan
    from benchmarks.runner import prepare_run

    selection = Selection(
        suite,
        seeds,
        dataset or (),
        method or (),
        classifier or (),
        encoder,
        overrides or (),
        minority or (),
        prevalence,
        model,
        plugins or (),
    )
    run_plan = prepare_run(select_suite(selection), out)
    _print_lines(run_plan.skipped, "yellow")
    _print_table(f"Plan of {suite}", describe_plan(make_plan(run_plan, jobs, device)))


@app.command()
def run(
    suite: SuiteArgument,
    seeds: SeedsOption = None,
    jobs: JobsOption = 1,
    out: OutOption = Path("results"),
    dataset: DatasetOption = None,
    method: MethodOption = None,
    classifier: ClassifierOption = None,
    device: DeviceOption = None,
    encoder: EncoderOption = None,
    overrides: SetOption = None,
    minority: MinorityOption = None,
    prevalence: PrevalenceOption = None,
    model: ModelOption = None,
    plugins: PluginOption = None,
    backend: BackendOption = "loky",
    address: AddressOption = None,
    threads: ThreadsOption = None,
    track: TrackOption = None,
) -> None:
    """Run what has no valid result yet; a second run does only what is missing."""
    selection = Selection(
        suite,
        seeds,
        dataset or (),
        method or (),
        classifier or (),
        encoder,
        overrides or (),
        minority or (),
        prevalence,
        model,
        plugins or (),
    )
    place = Place(jobs, backend, address, threads, device)
    failed = _run_selection(selection, out, place, track)
    raise typer.Exit(EXIT_FAILED if failed else 0)


@dataclass(frozen=True)
class Place:
    """Where the units of a run are run, see :func:`benchmarks.executors.run_tasks`."""

    jobs: int
    backend: str
    address: str | None
    threads: int | None
    device: str | None

    @property
    def threads_per_unit(self) -> int:
        """What was asked for; else this machine's cores are shared out, and elsewhere it is 1."""
        from benchmarks.executors import threads_per_worker

        if self.threads is not None:
            return self.threads
        return threads_per_worker(self.jobs) if self.address is None else 1


def _run_selection(selection: Selection, out: Path, place: Place, track: str | None) -> int:
    from benchmarks.display import RunDisplay
    from benchmarks.executors import check_backend, run_tasks
    from benchmarks.runner import encode_pending, make_tasks, prepare_run, write_manifest
    from benchmarks.tracking import open_tracker

    check_backend(place.backend, place.jobs, place.address)
    tracker = open_tracker(track, out)
    prepared = prepare_run(select_suite(selection), out)
    _print_lines(prepared.skipped, "yellow")
    _print_reasons(len(prepared.units), Counter(item.reason for item in prepared.pending))
    write_manifest(prepared, out)
    _quarantine([out / item.unit.spec.relative_path for item in prepared.unreadable])
    _print_datasets(prepared.pending_datasets)
    show_progress = console.is_terminal or None
    sources = encode_pending(prepared, place.device, show_progress=show_progress)
    tasks = make_tasks(
        prepared.pending,
        sources,
        out,
        place.threads_per_unit,
        place.device,
        prepared.suite.plugins,
    )
    display = RunDisplay(console, len(tasks), place.jobs)
    with display.live():
        for outcome in run_tasks(tasks, place.jobs, place.backend, place.address):
            display.add(outcome)
            problem = tracker.log(out / outcome.spec.relative_path)
            _print_lines([] if problem is None else [problem], "yellow")
    failed = display.counts["failed"]
    _print_lines([f"{display.counts['passed']} units passed, {failed} failed: {out}"], "bold")
    return failed


def _quarantine(paths: Sequence[Path]) -> None:
    """Put files aside that stand in the place of results."""
    for path in paths:
        moved = quarantine_result(path)
        _print_lines([f"{path} is no result: it is kept as {moved.name}"], "yellow")


def _print_datasets(datasets: Sequence[PreparedDataset]) -> None:
    for item in datasets:
        counts = ", ".join(f"{number:,} {name}" for name, number in item.data.counts().items())
        _print_lines([f"{item.record.id}: {len(item.data):,} texts ({counts})"], "dim")


def _print_reasons(total: int, reasons: Counter[str]) -> None:
    pending = sum(reasons.values())
    words = {
        "changed": "specification changed since they ran, run again",
        "failed": "failed before, tried again",
        "unreadable": "result file cut off or foreign, put aside and run again",
        "new": "new",
    }
    console.print(f"{total} units, {total - pending} done, {pending} to run")
    for reason, number in sorted(reasons.items()):
        colour = "yellow" if reason != "new" else "dim"
        console.print(f"  [{colour}]{number} {words[reason]}[/{colour}]")


@app.command()
def status(folder: FolderArgument) -> None:
    """Show what of each suite in a results folder has passed, failed, or is missing."""
    from benchmarks.runner import MANIFEST, read_manifest

    manifests = sorted(folder.glob(f"*/{MANIFEST}"))
    if not manifests:
        raise NoResultsError(
            f"{folder} is not a folder of results: run `python -m benchmarks run SUITE --out "
            f"{folder}` first."
        )
    table = Table("suite", "data set", "classifier", "method", "passed", "failed", "missing")
    failures = []
    rows: dict[tuple[str, ...], Counter[str]] = {}
    for manifest in manifests:
        for path, expected in read_manifest(manifest).items():
            state, message = _unit_state(folder / path, expected)
            rows.setdefault(Path(path).parts[:4], Counter())[state] += 1
            failures += [f"{path}: {message}"] if message else []
    for names, counts in sorted(rows.items()):
        table.add_row(*names, *(str(counts[state]) for state in ("passed", "failed", "missing")))
    console.print(table)
    _print_lines(failures, "red")
    raise typer.Exit(EXIT_FAILED if failures else 0)


def _unit_state(path: Path, expected: str) -> tuple[str, str]:
    """Return passed, failed or missing, and what to say of it."""
    if not path.exists():
        return "missing", ""
    try:
        result = read_result(path)
    except ResultFileError as error:
        return "failed", str(error)
    if result.spec_hash != expected:
        return "missing", ""
    if result.error is not None:
        return "failed", f"{result.error.type}: {result.error.message}"
    return "passed", ""


@app.command()
def report(
    folder: FolderArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write it.")] = None,
    figures: Annotated[
        bool | None,
        typer.Option(help="Draw figures as PNG files; by default those of up to 4 sections."),
    ] = None,
) -> None:
    """Write tables, figures and a page of a results folder."""
    from benchmarks.report import write_report

    console.print(f"report: {write_report(folder, out, figures=figures)}", soft_wrap=True)


@app.command()
def lens(
    folder: FolderArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write it.")] = None,
    device: DeviceOption = None,
    plugins: PluginOption = None,
) -> None:
    """Write what methods asked for, by difficulty on the map of the whole pool."""
    from benchmarks.lens import write_lens
    from benchmarks.plugins import load_plugins

    load_plugins(plugins or ())

    def say(message: str) -> None:
        _print_lines([message], "dim")

    console.print(f"lens: {write_lens(folder, out, device, say)}", soft_wrap=True)


class Observe(StrEnum):
    """When logits are recorded."""

    TRAINING = "training"
    EPOCH_END = "epoch_end"


@app.command("map")
def map_dataset(
    dataset: Annotated[
        str, typer.Option("--dataset", help="A name that `list` shows, csv:PATH or hub:NAME.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the map.")],
    classifier: Annotated[str, typer.Option("--classifier", help="mlp or transformer.")] = "mlp",
    suite: Annotated[
        str | None,
        typer.Option("--suite", help="Take data set and classifier, by their ids, from a suite."),
    ] = None,
    model: ModelOption = None,
    max_texts: Annotated[
        int | None, typer.Option("--max-texts", min=2, help="Draw so many texts.")
    ] = None,
    observe: Annotated[
        Observe, typer.Option("--observe", help="The training passes, or one more at epoch end.")
    ] = Observe.TRAINING,
    crossfit: Annotated[
        int | None, typer.Option("--crossfit", min=2, help="Record out of so many folds.")
    ] = None,
    fraction: Annotated[float, typer.Option("--fraction", help="Share of each region.")] = 0.33,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the classifier and folds.")] = 0,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value of the classifier, such as num_epochs=5."),
    ] = None,
    encoder: EncoderOption = None,
    device: DeviceOption = None,
) -> None:
    """Map a data set: logits of every epoch, coordinates, regions, suspects, picture, page."""
    from benchmarks.maps import MapRequest, in_suite, write_map
    from benchmarks.parsing import apply_overrides

    params = apply_overrides({} if model is None else {"model": model}, overrides or ())
    request = MapRequest(
        dataset,
        classifier,
        params,
        max_texts,
        observe.value,
        crossfit,
        fraction,
        seed,
        encoder or "minilm",
    )
    if suite is not None:
        request = in_suite(request, suite, encoder)
    made = write_map(request, out, device, lambda message: _print_lines([message], "dim"))
    columns = ("region", "texts", "confidence", "variability", "correct")
    _print_columns(f"Map of {made.title}", columns, made.region_rows())
    suspects = made.noise_table().head(_SHOWN_SUSPECTS)
    rows = [
        (f"{row.score:.3f}", str(row.label), str(row.predicted), _shortened(str(row.text)))
        for row in suspects.itertuples()
    ]
    _print_columns("Suspected labels", ("score", "label", "predicted", "text"), rows)
    console.print(f"map: {out}", soft_wrap=True)


class CombineRule(StrEnum):
    """How distance and score are joined."""

    PRODUCT = "product"
    OBJECTIVE = "objective"


LabeledOption = Annotated[
    Path | None, typer.Option("--labeled", help="Texts that are labelled already.")
]
ScoresOption = Annotated[
    Path | None, typer.Option("--scores", help="How much each text is wanted; also .npy.")
]
EmbeddingsOption = Annotated[
    Path | None, typer.Option("--embeddings", help="Vectors: .npy, or a folder to keep them in.")
]
LabeledEmbeddingsOption = Annotated[
    Path | None, typer.Option("--labeled-embeddings", help="Those of --labeled.")
]
TextColumnOption = Annotated[
    str | None, typer.Option("--text-column", help="By default text, or another usual name.")
]
IdColumnOption = Annotated[
    str | None, typer.Option("--id-column", help="By default id; without one, row numbers.")
]


@app.command("select")
def select_texts(
    texts: Annotated[Path, typer.Option("--texts", help="Texts: .csv, .jsonl or .parquet.")],
    number: Annotated[int, typer.Option("--n", min=1, help="How many to pick.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Picks: .csv, .jsonl or .parquet.")],
    strategy: Annotated[
        SelectionStrategy, typer.Option("--strategy", help="How they are picked.")
    ] = SelectionStrategy.K_CENTER,
    append: Annotated[
        bool, typer.Option("--append", help="Keep the picks of --out, and add to them.")
    ] = False,
    labeled: LabeledOption = None,
    scores: ScoresOption = None,
    embeddings: EmbeddingsOption = None,
    labeled_embeddings: LabeledEmbeddingsOption = None,
    text_column: TextColumnOption = None,
    id_column: IdColumnOption = None,
    score_column: Annotated[str, typer.Option("--score-column", help="In --scores.")] = "score",
    combine: Annotated[
        CombineRule, typer.Option("--combine", help="How k-center joins distance and score.")
    ] = CombineRule.PRODUCT,
    strength: Annotated[float, typer.Option("--strength", help="Exponent of the distance.")] = 1.0,
    score_strength: Annotated[
        float, typer.Option("--score-strength", help="Exponent of the score.")
    ] = 1.0,
    minimum_distance: Annotated[
        float | None,
        typer.Option("--minimum-distance", help="From 0 to 2: no text nearer to a pick."),
    ] = None,
    encoder: EncoderOption = None,
    device: DeviceOption = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of ties and random picks.")] = 0,
) -> None:
    """Pick texts worth labelling from a file, without a learner."""
    request = SelectionRequest(
        texts,
        number,
        out,
        strategy,
        append,
        labeled,
        scores,
        embeddings,
        labeled_embeddings,
        text_column,
        id_column,
        score_column,
        combine.value,
        strength,
        score_strength,
        minimum_distance,
        encoder or "minilm",
        device,
        seed,
    )
    picked = write_selection(
        request,
        lambda message: _print_lines([message], "dim"),
        show_progress=console.is_terminal or None,
    )
    where = str(out) if picked else "nothing is written"
    console.print(f"{picked:,} of {number:,} texts picked: {where}", soft_wrap=True)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_LETTERS else line[: _SHOWN_LETTERS - 3] + "..."


def _print_columns(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _print_table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in rows:
        table.add_row(escape(name), escape(text))
    console.print(table)
    console.print()


def _print_names(title: str, names: Sequence[str]) -> None:
    console.print(f"[italic]{title}[/italic]")
    console.print(escape(", ".join(names)))
    console.print()


def _print_lines(lines: Sequence[str], style: str) -> None:
    for line in lines:
        console.print(escape(line), style=style, soft_wrap=True)


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m benchmarks")
