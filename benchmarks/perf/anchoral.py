"""``perf anchoral``: what a query costs, with frozen vectors or a fine-tuned encoder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.datasets import load_texts
from benchmarks.encoders import encode_dataset, resolve_encoder
from benchmarks.perf import finetuned, frozen
from benchmarks.perf.contestants import make_sides
from benchmarks.perf.shared import console, target_table, write_measurement


class ClassifierKind(StrEnum):
    """What scores the subpool."""

    frozen = "frozen"
    transformer = "transformer"


_ONLY = {
    ClassifierKind.frozen: ("rounds", "columns"),
    ClassifierKind.transformer: ("host_texts", "model", "dataset"),
}


def anchoral(
    context: typer.Context,
    pool: Annotated[int, typer.Option(min=1000, help="Texts in the pool.")] = 100_000,
    classifier: Annotated[
        ClassifierKind,
        typer.Option(help="A head on given vectors that costs nothing, or a fine-tuned encoder."),
    ] = ClassifierKind.frozen,
    rounds: Annotated[int, typer.Option(min=2, help="Queries of a run; frozen only.")] = 4,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each contestant.")] = 3,
    columns: Annotated[int, typer.Option(min=2, help="Dimensions of a vector; frozen only.")] = 384,
    host_texts: Annotated[
        int, typer.Option(min=1000, help="Texts of small-text's strategy; transformer only.")
    ] = 2000,
    model: Annotated[
        str, typer.Option(help="minilm, a folder, or a name on the hub; transformer only.")
    ] = "minilm",
    dataset: Annotated[
        str, typer.Option(help="Where the texts are from; transformer only.")
    ] = "movie-snippets",
    out: Annotated[Path | None, typer.Option(help="Also write the seconds as JSON.")] = None,
) -> None:
    """Query cost of AnchorAL and of small-text's AnchorSubsampling, the index included.

    frozen: same clustered vectors, labels, anchors, neighbours and subpool size for all; a
    classifier that embeds for nothing, which flatters the host: it embeds and scores the whole
    pool each time.

    transformer: one query with an encoder as classifier, same weights on both sides. The pool is
    made of real texts; their frozen vectors are computed before (and kept), as AnchorAL does once
    for all rounds. The host queries a small part of the pool, and the rest is extrapolated.
    """
    _check_options(context, classifier)
    if classifier is ClassifierKind.frozen:
        content = _frozen(pool, rounds, repeats, columns)
    else:
        content = _finetuned(pool, min(host_texts, pool), repeats, model, dataset)
    write_measurement(out, content)


def _check_options(context: typer.Context, classifier: ClassifierKind) -> None:
    for kind, names in _ONLY.items():
        for name in names:
            source = context.get_parameter_source(name)
            if kind is not classifier and source is not None and source.name != "DEFAULT":
                option = "--" + name.replace("_", "-")
                raise typer.BadParameter(f"{option} goes with --classifier {kind} only.")


def _frozen(pool: int, rounds: int, repeats: int, columns: int) -> dict[str, Any]:
    made = frozen.make_pool(pool, columns, seed=0)
    with console.status("warming up") as status:
        timings = frozen.measure(made, rounds, repeats, status.update)
    rows = frozen.pair_ratios(timings)
    title = f"{pool:,} vectors of {columns}, {rounds} queries, {repeats} repeats"
    console.print(frozen.contestant_table(timings, title))
    console.print(frozen.ratio_table(rows))
    return {
        "settings": {"pool": pool, "rounds": rounds, "repeats": repeats, "columns": columns},
        "seconds": {name: timing.queries for name, timing in timings.items()},
        "ratios": rows,
    }


def _finetuned(
    pool: int, host_texts: int, repeats: int, model: str, dataset: str
) -> dict[str, Any]:
    encoder = resolve_encoder(model)
    source = load_texts(dataset)
    console.print(
        f"{pool:,} texts of {dataset}: {min(pool, len(source)):,} as they are, the others made of "
        "halves of two. Their vectors are computed before, and no part of a query.",
        highlight=False,
    )
    vectors = np.asarray(encode_dataset(source, encoder), dtype=np.float32)
    made = finetuned.make_text_pool(source, vectors, pool)
    with console.status("training") as status:
        sides = make_sides(encoder.folder, made.labeled(), made.num_labeled)
        timings = finetuned.measure_rounds(sides, made, host_texts, repeats, status.update)
    targets = finetuned.round_targets(timings)
    console.print(finetuned.round_table(timings))
    console.print(
        f"AnchorSubsampling: texts tokenised before and padded to {finetuned.HOST_LENGTH}, "
        f"batches of {finetuned.HOST_BATCH_SIZE}, float32.",
        highlight=False,
    )
    console.print(target_table(targets))
    settings = {"pool": pool, "host_texts": host_texts, "model": model, "dataset": dataset}
    return {
        "settings": {**settings, "repeats": repeats},
        "rounds": {name: timing.as_json() for name, timing in timings.items()},
        "targets": [target.as_json() for target in targets],
    }
