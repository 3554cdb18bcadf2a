"""``perf lora``: what adapters cost in prediction, in training, and on the disk."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.datasets import LabeledTexts
from benchmarks.encoders import resolve_encoder
from benchmarks.perf.contestants import our_classifier, our_dataset, precisions
from benchmarks.perf.shared import (
    REPEATS_HEADING,
    Target,
    console,
    draw_texts,
    make_table,
    ratios,
    spread,
    synchronize,
    target_table,
    write_measurement,
)
from small_text_ext._extras import require_extra
from small_text_ext.classifiers.transformer import LORA_DEFAULTS, TransformerClassification
from small_text_ext.training.precision import Precision

_ASKED = 1.05
_PASSES = 3
_SIDES: Mapping[str, Mapping[str, Any]] = {"the plain model": {}, "with adapters": LORA_DEFAULTS}

Say = Callable[[str], object]


@dataclass
class AdapterTimings:
    """What one of the two takes.

    Parameters
    ----------
    name : str
        Which.
    precision : {"float32", "bfloat16"}
        Its arithmetic.
    num_trained : int
        Trained parameters.
    megabytes : float
        Of its saved folder.
    fitting, predicting : list of float
        Seconds, repeat by repeat; of predicting the fastest of three, since a machine that others
        share makes some passes slower, and none faster.
    """

    name: str
    precision: Precision
    num_trained: int = 0
    megabytes: float = 0.0
    fitting: list[float] = field(default_factory=list)
    predicting: list[float] = field(default_factory=list)


def lora(
    dataset: Annotated[str, typer.Option(help="Whose texts.")] = "movie-snippets",
    texts: Annotated[int, typer.Option(min=64, help="Texts to predict.")] = 1_000,
    model: Annotated[str, typer.Option(help="minilm, a folder, or a name on the hub.")] = "minilm",
    repeats: Annotated[int, typer.Option(min=1, help="Pairs, whose order alternates.")] = 5,
    out: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Time prediction and fits with low-rank adapters against the plain model, in pairs."""
    require_extra("peft", "lora")
    drawn = draw_texts(dataset, texts)
    folder = resolve_encoder(model).folder
    with console.status("preparing") as status:
        pairs = [
            measure_adapters(folder, drawn, each, repeats, status.update) for each in precisions()
        ]
    console.print(seconds_table([each for pair in pairs for each in pair]))
    targets = [adapter_target(*pair) for pair in pairs]
    console.print(target_table(targets))
    write_measurement(
        out,
        {
            "settings": {"repeats": repeats, "texts": texts, "dataset": dataset, "model": model},
            "timings": [asdict(each) for pair in pairs for each in pair],
            "targets": [target.as_json() for target in targets],
        },
    )


def measure_adapters(
    folder: str, drawn: LabeledTexts, precision: Precision, repeats: int, say: Say
) -> tuple[AdapterTimings, AdapterTimings]:
    """Fit both on a tenth of the texts, and predict all of them, in turn within each repeat.

    Parameters
    ----------
    folder : str
        The checkpoint.
    drawn : LabeledTexts
        The texts.
    precision : {"float32", "bfloat16"}
        What both compute in.
    repeats : int
        How often.
    say : callable
        Told what is being timed.

    Returns
    -------
    tuple of two AdapterTimings
        Those of the plain model, and those of the one with adapters.
    """
    taught = our_dataset(drawn.rows(np.arange(max(len(drawn) // 10, 32))))
    everything = our_dataset(drawn)
    timings = {name: AdapterTimings(name, precision) for name in _SIDES}
    for repeat in range(repeats + 1):
        say(f"{precision}: repeat {max(repeat, 1)} of {repeats}")
        names = list(_SIDES) if repeat % 2 else list(_SIDES)[::-1]
        made = {
            name: our_classifier(folder, drawn, precision, num_epochs=1, **_SIDES[name])
            for name in names
        }
        fitting = {name: _seconds(made[name].fit, taught) for name in names}
        passes = [
            {name: _seconds(made[name].predict_proba, everything) for name in names}
            for _ in range(_PASSES)
        ]
        for name in names:
            _note_size(timings[name], made[name])
            # The first pair warms up.
            if repeat:
                timings[name].fitting.append(fitting[name])
                timings[name].predicting.append(min(each[name] for each in passes))
    plain, adapted = timings.values()
    return plain, adapted


def _seconds(call: Callable[[Any], object], texts: Any) -> float:  # noqa: ANN401
    synchronize()
    start = time.perf_counter()
    call(texts)
    synchronize()
    return time.perf_counter() - start


def _note_size(timings: AdapterTimings, classifier: TransformerClassification) -> None:
    trained = (value for value in classifier.model.parameters() if value.requires_grad)
    timings.num_trained = sum(value.numel() for value in trained)
    with tempfile.TemporaryDirectory() as folder:
        classifier.save(folder)
        files = [path for path in Path(folder).rglob("*") if path.suffix == ".safetensors"]
        timings.megabytes = sum(path.stat().st_size for path in files) / 1e6


def seconds_table(timings: list[AdapterTimings]) -> Any:  # noqa: ANN401
    """Return the seconds of each side."""
    rows = [
        (
            each.name,
            each.precision,
            f"{each.num_trained:,}",
            f"{each.megabytes:.2f}",
            spread(each.fitting, 2),
            spread(each.predicting, 2),
        )
        for each in timings
    ]
    columns = ("what", "precision", "trained", "weights, MB", "fit, s", "prediction, s")
    return make_table(f"seconds: {REPEATS_HEADING}", columns, rows)


def adapter_target(plain: AdapterTimings, adapted: AdapterTimings) -> Target:
    """Return what is asked for beside what was measured."""
    return Target(
        f"prediction with adapters over the plain model, {plain.precision}",
        ratios(adapted.predicting, plain.predicting),
        at_most=_ASKED,
        digits=3,
    )
