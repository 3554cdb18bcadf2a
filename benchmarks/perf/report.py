"""``perf report``: how long the report of a thousand results takes."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.perf.shared import Target, console, target_table, write_measurement
from benchmarks.results import (
    ClassifierRecord,
    DatasetRecord,
    EncoderRecord,
    Environment,
    MethodRecord,
    ProtocolRecord,
    RoundRecord,
    SeedRecord,
    UnitResult,
    UnitSpec,
    spec_hash,
    write_result,
)

SECONDS_ASKED = 10.0
_SEEDS = 20
_ROUNDS = 20
_DATASETS = ("summaries:electronics", "summaries:hamradio")
_RARE = 200
_POOL_SIZE = 48_000
# Name to class, height of the curve, size of the subpool, seconds of a query.
_METHODS: dict[str, tuple[str, float, int | None, float]] = {
    "random": ("RandomSampling", 0.1, None, 0.001),
    "least-confidence": ("LeastConfidence", 0.35, None, 0.04),
    "random-subset": ("RandomSubset", 0.33, 10_000, 0.02),
    "seals": ("SEALS", 0.34, 9_000, 0.07),
    "anchoral": ("AnchorAL", 0.36, 1_200, 0.05),
}


def report(
    units: Annotated[int, typer.Option(min=1, help="Results in the folder.")] = 1000,
    repeats: Annotated[int, typer.Option(min=1, help="Reports that are timed.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Also write the seconds as JSON.")] = None,
) -> None:
    """Time a whole `report`, the start of Python included, over a folder of made-up results.

    Two data sets, five methods, 20 seeds and 20 queries: as many classifiers as the number of
    results needs, each of which makes two sections with figures. Files have the size of real ones.
    Seconds on the clock count what else the machine does; processor seconds don't.
    """
    with tempfile.TemporaryDirectory() as folder, console.status("making results") as status:
        for result in itertools.islice(made_up_results(), units):
            write_result(result, Path(folder))
        wall, processor = [], []
        for number in range(repeats):
            status.update(f"report {number + 1} of {repeats}")
            seconds = time_report(Path(folder))
            wall.append(seconds[0])
            processor.append(seconds[1])
    targets = [
        Target(f"report of {units:,} results, s", tuple(wall), at_most=SECONDS_ASKED),
        Target("processor seconds of it", tuple(processor)),
    ]
    console.print(target_table(targets))
    settings = {"units": units, "repeats": repeats}
    content = {"settings": settings, "targets": [target.as_json() for target in targets]}
    write_measurement(out, content)


def time_report(folder: Path) -> tuple[float, float]:
    """Run `report` once in a process of its own.

    Parameters
    ----------
    folder : pathlib.Path
        The results.

    Returns
    -------
    (wall, processor) : tuple of float
        Seconds on the clock, and of the processor.
    """
    import resource

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before, start = spent(), time.perf_counter()
    command = [sys.executable, "-m", "benchmarks", "report", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start, spent() - before


def made_up_results() -> Iterator[UnitResult]:
    """Yield results without end: classifier by classifier, and within these seed by seed.

    Yields
    ------
    UnitResult
        Passed units with rising curves, as large as those of a suite that looks for rare classes.
    """
    for number in itertools.count():
        for seed, dataset, method in itertools.product(range(_SEEDS), _DATASETS, _METHODS):
            yield _made_up_result(dataset, f"mlp-{number}", method, seed)


def _made_up_result(dataset: str, classifier: str, method: str, seed: int) -> UnitResult:
    spec = _made_up_spec(dataset, classifier, method, seed)
    generator = np.random.default_rng([len(classifier), list(_METHODS).index(method), seed])
    rounds = tuple(_made_up_round(method, number, generator) for number in range(_ROUNDS + 1))
    return UnitResult(
        status="passed",
        spec=spec,
        spec_hash=spec_hash(spec, "0"),
        environment=Environment(
            python="3.11.9",
            packages={"small-text": "2.0.0.dev4", "numpy": "2.4.0"},
            revision="0" * 40,
            dirty=False,
            cpu="made up",
            threads=1,
            device="cpu",
            finished_at="2026-01-01T00:00:00Z",
        ),
        pool_counts={"other": _POOL_SIZE - _RARE, "rare": _RARE},
        test_counts={"other": (_POOL_SIZE - _RARE) // 4, "rare": _RARE // 4},
        rounds=rounds,
    )


def _made_up_spec(dataset: str, classifier: str, method: str, seed: int) -> UnitSpec:
    strategy = _METHODS[method][0]
    return UnitSpec(
        suite="made-up",
        dataset=DatasetRecord(
            id=dataset,
            name="summaries",
            fingerprint="f" * 64,
            class_names=("other", "rare"),
            minority=("rare",),
            num_texts=_POOL_SIZE * 5 // 4,
        ),
        encoder=EncoderRecord(id="minilm", fingerprint="e" * 64),
        classifier=ClassifierRecord(id=classifier, kind="mlp"),
        method=MethodRecord(id=method, strategy=strategy, base="LeastConfidence"),
        protocol=ProtocolRecord(
            rounds=_ROUNDS, query_size=25, initial_size=100, initial_minority=5, test_size=0.2
        ),
        seed=SeedRecord(number=seed, data=seed, model=seed, query=seed),
    )


def _made_up_round(method: str, number: int, generator: np.random.Generator) -> RoundRecord:
    _, height, subpool, seconds = _METHODS[method]
    num_labeled = 100 + 25 * number
    reached = float(height * np.sqrt((number + 2) / (_ROUNDS + 2)) + generator.normal(0, 0.01))
    found = 5 + round(150 * height * number / _ROUNDS)
    rare = None if subpool is None or not number else _RARE * 9 // (10 + number)
    one_class: dict[str, float | None] = {"precision": reached, "recall": reached, "f1": reached}
    first = number == 0
    return RoundRecord(
        round=number,
        num_labeled=num_labeled,
        metrics={
            "macro_f1": (1 + reached) / 2,
            "accuracy": 0.99,
            "ece": 0.01,
            "minority_precision": reached,
            "minority_recall": reached,
            "minority_f1": reached,
            "minority_average_precision": reached,
            "found": found / _RARE,
            "minority_labeled": float(found),
        },
        per_class={"other": one_class, "rare": one_class},
        labeled_counts={"other": num_labeled - found, "rare": found},
        subpool_counts=None if rare is None else {"other": (subpool or 0) - rare, "rare": rare},
        subpool_size=None if first else subpool,
        rows_scored=0 if first else subpool or _POOL_SIZE,
        seconds={
            "query": 0.0 if first else seconds * float(generator.uniform(0.9, 1.1)),
            "fit": 0.1,
            "evaluate": 0.02,
            "harness": 0.003,
        },
        picks=tuple(generator.integers(0, _POOL_SIZE, 100 if first else 25).tolist()),
    )
