"""What a suite will cost here: counted from its units, timed by a short calibration."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.encoders import embeddings_folder, missing_texts
from benchmarks.executors import threads_per_worker
from benchmarks.loop import Labels, UnitData, Vectors, prepare_data, run_unit
from benchmarks.results import FULL_DATA, ClassifierRecord, MethodRecord, UnitSpec, canonical_json
from benchmarks.runner import Run
from benchmarks.units import PreparedDataset, Unit
from benchmarks.worker import limited_threads

CALIBRATION_TEXTS = 200
_CALIBRATION_SEED = 0
_CALIBRATION_ROUNDS = 2
_MAX_POOL = 5_000
_TEST_TEXTS = 1_000
# A copy of a vector is no neighbour as a text has them; a shifted one is.
_SHIFT = 0.5
_WORKER_IMPORTS = "import benchmarks.loop, small_text, small_text_ext.classifiers.mlp"


@dataclass(frozen=True)
class UnitCosts:
    """Seconds of a unit of one classifier and one method on the calibration's pool.

    Parameters
    ----------
    fit : float
        A fit at the middle round; of the ceiling, the fit on the whole pool.
    evaluate : float
        Scoring one text of the test set.
    first_query, later_query : float
        The first query, which builds an index where there is one, and any other.
    harness : float
        All the rest of a round.
    """

    fit: float
    evaluate: float
    first_query: float
    later_query: float
    harness: float


@dataclass(frozen=True)
class Costs:
    """Seconds measured on this machine.

    Parameters
    ----------
    encode : dict of str to float
        Data set id to seconds a text.
    units : dict of str to UnitCosts
        By classifier and method, see :func:`cost_key`.
    load : float
        Opening and splitting a data set, for one text.
    start : float
        A worker's start.
    pool_size : int
        Texts in the calibration's pool.
    failures : tuple of str
        What failed in the calibration, and why.
    """

    encode: dict[str, float]
    units: dict[str, UnitCosts]
    load: float
    start: float
    pool_size: int
    failures: tuple[str, ...] = ()


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
    failures : tuple of str
        Methods that failed in the calibration, which count as taking no time.
    """

    units: int
    pending: int
    texts: int
    fits: int
    encode_seconds: float
    unit_seconds: float
    jobs: int
    failures: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        """Hours in all."""
        return (self.encode_seconds + self.unit_seconds) / 3600


def make_plan(run: Run, jobs: int = 1, device: str | None = None) -> Plan:
    """Count what a run still has to do, and time it by a calibration of some seconds.

    One encoding of 200 texts of every data set is timed, and two rounds of every method with every
    classifier on a pool of at most 5,000 texts, with as many threads as a worker gets. Queries,
    the building of an index among them, evaluations and the ceiling's fit are taken to grow with
    the number of texts: too much for a query whose subpool is bounded, too little where workers
    wait for each other's memory, so that the estimate can err to both sides.

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
    missing = _missing_texts(run)
    costs = _calibrate(run, missing, jobs, device)
    pending = [item.unit for item in run.pending]
    return Plan(
        units=len(run.units),
        pending=len(pending),
        texts=sum(missing.values()),
        fits=sum(_num_fits(unit) for unit in pending),
        encode_seconds=sum(costs.encode[name] * number for name, number in missing.items()),
        unit_seconds=total_seconds([unit.spec for unit in pending], costs, jobs),
        jobs=jobs,
        failures=costs.failures,
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


def _calibrate(run: Run, missing: Mapping[str, int], jobs: int, device: str | None) -> Costs:
    encode, vectors = {}, np.empty((0, 0), dtype=np.float32)
    for dataset in run.pending_datasets:
        if not len(vectors) or missing.get(dataset.record.id):
            encode[dataset.record.id], vectors = _time_encoding(run, dataset, device)
    seconds = {name: encode.get(name, 0.0) for name in missing}
    if not run.pending:
        return Costs(seconds, {}, load=0.0, start=0.0, pool_size=1)
    spec = _calibration_spec(run.pending[0].unit.spec, _largest_pool(run))
    points, labels = _calibration_points(spec, vectors)
    start = time.perf_counter()
    data = prepare_data(spec, points, labels)
    load = (time.perf_counter() - start) / spec.dataset.num_texts
    with limited_threads(threads_per_worker(jobs)):
        units, failures = _time_units([item.unit.spec for item in run.pending], spec, data, device)
    return Costs(seconds, units, load, _worker_start(jobs), len(data.pool_labels), failures)


def _largest_pool(run: Run) -> int:
    share = 1 - run.suite.test_size
    return int(share * max(item.unit.spec.dataset.num_texts for item in run.pending))


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


def _calibration_spec(spec: UnitSpec, largest_pool: int) -> UnitSpec:
    """Return a unit of two rounds that begins with the labels of the middle round."""
    protocol = spec.protocol
    middle = protocol.initial_size + protocol.query_size * protocol.rounds // 2
    needed = 2 * (middle + _CALIBRATION_ROUNDS * protocol.query_size)
    pool = max(needed, min(largest_pool, _MAX_POOL))
    changes = {
        "rounds": _CALIBRATION_ROUNDS,
        "initial_size": middle,
        "initial_minority": min(protocol.initial_minority, middle),
        "test_size": _TEST_TEXTS / (pool + _TEST_TEXTS),
        "time_limit": None,
    }
    data = {
        "class_names": ("other", "wanted"),
        "minority": ("wanted",),
        "num_texts": pool + _TEST_TEXTS,
        "prevalence": None,
    }
    return spec.model_copy(
        update={
            "dataset": spec.dataset.model_copy(update=data),
            "protocol": protocol.model_copy(update=changes),
        }
    )


def _calibration_points(spec: UnitSpec, vectors: Vectors) -> tuple[Vectors, Labels]:
    generator = np.random.default_rng(_CALIBRATION_SEED)
    shape = (spec.dataset.num_texts, vectors.shape[1])
    shift = generator.normal(scale=_SHIFT / np.sqrt(shape[1]), size=shape)
    x = np.asarray(np.resize(vectors, shape) + shift, dtype=np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    # Labels that can be learnt: a fit on noise would run to its last epoch.
    y = (x[:, 0] > np.median(x[:, 0])).astype(np.int64)
    return x, y


def cost_key(classifier: ClassifierRecord, method: MethodRecord) -> str:
    """Return what a calibration is stored under: all that a unit's time depends on but the data."""
    return canonical_json(
        [record.model_dump(mode="json", exclude={"ablation"}) for record in (classifier, method)]
    )


def _time_units(
    specs: Sequence[UnitSpec], calibration: UnitSpec, data: UnitData, device: str | None
) -> tuple[dict[str, UnitCosts], tuple[str, ...]]:
    different = {cost_key(spec.classifier, spec.method): spec for spec in specs}
    costs, failures = {}, []
    _warm_up(calibration, data, device)
    for key, spec in different.items():
        records = {"classifier": spec.classifier, "method": spec.method}
        try:
            costs[key] = _time_unit(calibration.model_copy(update=records), data, device)
        except Exception as error:  # a run would go on, too
            costs[key] = UnitCosts(0.0, 0.0, 0.0, 0.0, 0.0)
            failures.append(
                f"{spec.method.id} with {spec.classifier.id}: {type(error).__name__}: {error}"
            )
    return costs, tuple(failures)


def _warm_up(spec: UnitSpec, data: UnitData, device: str | None) -> None:
    """Fit once: the first fit of a process is slower than all later ones."""
    random = MethodRecord(id="random", strategy="RandomSampling")
    # What fails here fails again where it is timed, and is told then.
    with suppress(Exception):
        run_unit(spec.model_copy(update={"method": random}), data, device)


def _time_unit(spec: UnitSpec, data: UnitData, device: str | None) -> UnitCosts:
    rounds = [record.seconds for record in run_unit(spec, data, device)]
    return UnitCosts(
        fit=rounds[-1]["fit"],
        evaluate=rounds[-1]["evaluate"] / len(data.test_labels),
        first_query=rounds[1]["query"] if len(rounds) > 1 else 0.0,
        later_query=rounds[-1]["query"],
        harness=rounds[-1]["harness"],
    )


def _worker_start(jobs: int) -> float:
    """Time the imports of a worker; with one unit at a time there is none."""
    if jobs == 1:
        return 0.0
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", _WORKER_IMPORTS], check=True)
    return time.perf_counter() - start


def _num_fits(unit: Unit) -> int:
    return 1 if unit.spec.method.strategy == FULL_DATA else unit.spec.protocol.rounds + 1


def total_seconds(specs: Sequence[UnitSpec], costs: Costs, jobs: int) -> float:
    """Return how long units take.

    Parameters
    ----------
    specs : sequence of UnitSpec
        The units.
    costs : Costs
        What was measured.
    jobs : int
        Units at a time; each worker loads a data set once for a seed.

    Returns
    -------
    float
        Seconds.
    """
    if not specs:
        return 0.0
    loaded = {(spec.dataset.id, spec.seed.number): spec.dataset.num_texts for spec in specs}
    units = sum(unit_seconds(spec, costs) for spec in specs)
    return costs.start + costs.load * sum(loaded.values()) + units / jobs


def unit_seconds(spec: UnitSpec, costs: Costs) -> float:
    """Return how long a unit takes, see :func:`make_plan`."""
    cost = costs.units[cost_key(spec.classifier, spec.method)]
    texts, rounds = spec.dataset.num_texts, spec.protocol.rounds
    test = spec.protocol.test_size * texts
    growth = (texts - test) / costs.pool_size
    if spec.method.strategy == FULL_DATA:
        return cost.fit * growth + cost.evaluate * test + cost.harness
    queries = cost.first_query + cost.later_query * (rounds - 1) if rounds else 0.0
    return queries * growth + (rounds + 1) * (cost.fit + cost.evaluate * test + cost.harness)


def describe_plan(plan: Plan) -> Sequence[tuple[str, str]]:
    """Return a plan as rows of a table."""
    failures = (("fails in the calibration", line) for line in plan.failures)
    return (
        ("units of the suite", f"{plan.units:,}"),
        ("of them to run", f"{plan.pending:,}"),
        ("texts to encode", f"{plan.texts:,}"),
        ("fits", f"{plan.fits:,}"),
        ("encoding", f"{plan.encode_seconds / 60:.1f} minutes"),
        (f"units, {plan.jobs} at a time", f"{plan.unit_seconds / 60:.1f} minutes"),
        ("in all", f"{plan.hours:.2f} hours"),
        *failures,
    )
