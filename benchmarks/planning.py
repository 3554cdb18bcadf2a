"""What a suite will cost here: counted from its units, timed by a short calibration."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.classifiers import build_factory
from benchmarks.encoders import embeddings_folder, missing_texts
from benchmarks.loop import Vectors
from benchmarks.measured import Stopwatch
from benchmarks.results import FULL_DATA, ClassifierRecord
from benchmarks.runner import Run
from benchmarks.suggestions import SuiteError
from benchmarks.units import PreparedDataset, Unit

CALIBRATION_TEXTS = 200
_CALIBRATION_SEED = 0
_SCORED_ROWS = 10_000


@dataclass(frozen=True)
class Costs:
    """Seconds measured on this machine.

    Parameters
    ----------
    encode : dict of str to float
        Data set id to seconds a text.
    fit : dict of str to float
        Classifier id to seconds of a fit on the labels of the middle round.
    score : dict of str to float
        Classifier id to seconds of scoring one text.
    """

    encode: dict[str, float]
    fit: dict[str, float]
    score: dict[str, float]


@dataclass(frozen=True)
class Plan:
    """What is to be done, and how long it should take.

    Parameters
    ----------
    units, pending : int
        Units of the suite, and those without a valid result.
    texts : int
        Texts that are to be encoded.
    fits : int
        Classifiers that are to be trained.
    encode_seconds, unit_seconds : float
        Time for vectors, and for all units with ``jobs`` at a time.
    jobs : int
        Units at a time.
    """

    units: int
    pending: int
    texts: int
    fits: int
    encode_seconds: float
    unit_seconds: float
    jobs: int

    @property
    def hours(self) -> float:
        """Hours in all."""
        return (self.encode_seconds + self.unit_seconds) / 3600


def make_plan(run: Run, jobs: int = 1, device: str | None = None) -> Plan:
    """Count what a run still has to do, and time it by a calibration of some seconds.

    One encoding of 200 texts of every data set, one fit and one evaluation of every classifier are
    timed. A query is counted as scoring the whole pool once, which only the full-pool strategies
    do: the estimate errs on the long side.

    Parameters
    ----------
    run : Run
        What :func:`benchmarks.runner.prepare_run` returned.
    jobs : int, default=1
        Units at a time.
    device : str or None, default=None
        Where to encode and train.

    Returns
    -------
    Plan
        The plan; all zero where nothing is left to do.
    """
    if jobs < 1:
        raise SuiteError(f"--jobs is {jobs}: at least 1.")
    missing = _missing_texts(run)
    costs = _calibrate(run, missing, device)
    pending = [item.unit for item in run.pending]
    seconds = sum(_unit_seconds(unit, costs) for unit in pending)
    return Plan(
        units=len(run.units),
        pending=len(pending),
        texts=sum(missing.values()),
        fits=sum(_num_fits(unit) for unit in pending),
        encode_seconds=sum(costs.encode[name] * number for name, number in missing.items()),
        unit_seconds=seconds / jobs,
        jobs=jobs,
    )


def _missing_texts(run: Run) -> dict[str, int]:
    """Count the texts to encode; data sets that share their texts count once."""
    choice, encoder = run.suite.encoder, run.encoder
    seen: set[Path] = set()
    found = {}
    for dataset in run.pending_datasets:
        arguments = (dataset.data, encoder, choice.precision, choice.storage_dtype)
        folder = embeddings_folder(*arguments)
        if folder not in seen:
            found[dataset.record.id] = missing_texts(*arguments)
            seen.add(folder)
    return found


def _calibrate(run: Run, missing: dict[str, int], device: str | None) -> Costs:
    encode, vectors = {}, np.empty((0, 0), dtype=np.float32)
    for dataset in run.pending_datasets:
        if not len(vectors) or missing.get(dataset.record.id):
            encode[dataset.record.id], vectors = _time_encoding(run, dataset, device)
    fit, score = {}, {}
    for classifier in run.suite.classifier_records() if run.pending else ():
        fit[classifier.id], score[classifier.id] = _time_classifier(
            run, classifier, vectors, device
        )
    return Costs({name: encode.get(name, 0.0) for name in missing}, fit, score)


def _time_encoding(run: Run, dataset: PreparedDataset, device: str | None) -> tuple[float, Vectors]:
    from sentence_transformers import SentenceTransformer

    from small_text_ext.pool.embeddings import PoolEmbeddings

    generator = np.random.default_rng(_CALIBRATION_SEED)
    number = min(CALIBRATION_TEXTS, len(dataset.data))
    rows = generator.choice(len(dataset.data), size=number, replace=False)
    texts = [dataset.data.texts[row] for row in rows]
    encode = partial(
        PoolEmbeddings.encode,
        model=SentenceTransformer(run.encoder.folder, device=device),
        precision=run.suite.encoder.precision,
        show_progress=False,
    )
    # The first call is slower than all later ones.
    encode(texts[:8])
    start = time.perf_counter()
    encoded = encode(texts)
    return (time.perf_counter() - start) / number, np.asarray(encoded, dtype=np.float32)


def _time_classifier(
    run: Run,
    classifier: ClassifierRecord,
    vectors: Vectors,
    device: str | None,
) -> tuple[float, float]:
    """Return seconds of a fit at the middle round, and of scoring one text."""
    from small_text import SklearnDataset

    protocol = run.suite.protocol
    number = protocol.initial_size + protocol.query_size * protocol.rounds // 2
    targets = np.arange(2)
    x = np.resize(vectors, (max(number, _SCORED_ROWS), vectors.shape[1]))
    # Labels that can be learnt: a fit on noise would run to its last epoch.
    y = (x[:, 0] > np.median(x[:, 0])).astype(np.int64)
    labeled = SklearnDataset(x[:number], y[:number], target_labels=targets)
    factory = build_factory(classifier, 2, _CALIBRATION_SEED, device)
    model = factory.new().fit(labeled)  # the first fit of a process is slower than all later ones
    watch = Stopwatch()
    with watch.measure("fit"):
        model = factory.new().fit(labeled)
    with watch.measure("score"):
        model.predict_proba(SklearnDataset(x, y, target_labels=targets))
    seconds = watch.take()
    return seconds["fit"], seconds["score"] / len(x)


def _num_fits(unit: Unit) -> int:
    return 1 if unit.spec.method.strategy == FULL_DATA else unit.spec.protocol.rounds + 1


def _unit_seconds(unit: Unit, costs: Costs) -> float:
    spec = unit.spec
    fit, score = costs.fit[spec.classifier.id], costs.score[spec.classifier.id]
    texts = spec.dataset.num_texts
    if spec.method.strategy == FULL_DATA:
        middle = spec.protocol.initial_size + spec.protocol.query_size * spec.protocol.rounds / 2
        return fit * texts / middle + score * texts
    return _num_fits(unit) * (fit + score * texts)


def describe_plan(plan: Plan) -> Sequence[tuple[str, str]]:
    """Return a plan as rows of a table."""
    return (
        ("units of the suite", f"{plan.units:,}"),
        ("of them to run", f"{plan.pending:,}"),
        ("texts to encode", f"{plan.texts:,}"),
        ("fits", f"{plan.fits:,}"),
        ("encoding", f"{plan.encode_seconds / 60:.1f} minutes"),
        (f"units, {plan.jobs} at a time", f"{plan.unit_seconds / 60:.1f} minutes"),
        ("in all", f"{plan.hours:.2f} hours"),
    )
