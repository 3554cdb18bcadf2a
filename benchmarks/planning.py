"""What a suite will cost here: counted from its units, timed by a short calibration."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from benchmarks.calibration import Calibration, UnitCosts, make_calibration, on_texts
from benchmarks.datasets import joined_text
from benchmarks.encoders import Precision, embeddings_folder, missing_texts
from benchmarks.executors import threads_per_worker
from benchmarks.experiments import EXPERIMENTS, is_one_shot
from benchmarks.loop import Vectors
from benchmarks.results import UnitSpec, canonical_json
from benchmarks.runner import Run
from benchmarks.splits import draw_rows, seed_triple
from benchmarks.units import PreparedDataset, Unit
from benchmarks.worker import limited_threads

CALIBRATION_TEXTS = 200
_CALIBRATION_SEED = 0
_WORKER_IMPORTS = "import benchmarks.loop, small_text, small_text_ext.classifiers.mlp"


@dataclass(frozen=True)
class Size:
    """Texts in the pool and in the test set of a data set."""

    pool: int
    test: int


@dataclass(frozen=True)
class Costs:
    """Seconds measured on this machine, and the sizes that they are scaled to.

    Parameters
    ----------
    encode : dict of str to float
        Data set id to seconds a text.
    units : dict of str to UnitCosts
        See :func:`cost_key`.
    sizes : dict of str to Size
        By data set id.
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
    sizes: dict[str, Size]
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
    """Count what a run still has to do, and time it by a short calibration.

    One encoding of 200 texts of every data set is timed, and two rounds of every method with every
    classifier on a pool of at most 5,000 vectors, with as many threads as a worker gets. A
    classifier on texts is timed on those of each data set instead: one fit on as many labels as the
    middle round has, one scoring of 512 texts of the pool; what its methods do besides, and how
    many texts they have scored, is measured with a small head on vectors in its place, see
    :mod:`benchmarks.calibration`. Where methods are fits on a number of labels, which take minutes,
    two fits on 8 and on some 40 labels give a straight line.

    The estimate assumes that fits take what the middle round's takes, that scoring a text takes as
    long in a query as in the test set, that a query which scores the calibration's whole pool
    scores any pool whole, while one which scores less scores as many texts of any pool, and that
    the rest of a query, the building of an index, and the fits of a ceiling, of a subset and of a
    search for flipped labels grow with the number of texts. So it is too long for a subpool that is
    bounded above 5,000 texts, too short where workers wait for each other's memory, and can err to
    both sides.

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
    found: dict[str, int] = {}
    for dataset in run.pending_datasets:
        for data in (dataset.data, *dataset.others.values()):
            arguments = (data, encoder, choice.precision, choice.storage_dtype)
            folder = embeddings_folder(*arguments)
            if folder not in seen:
                number = found.get(dataset.record.id, 0)
                found[dataset.record.id] = number + missing_texts(*arguments)
                seen.add(folder)
    return found


def _calibrate(run: Run, missing: Mapping[str, int], jobs: int, device: str | None) -> Costs:
    encode, vectors = {}, np.empty((0, 0), dtype=np.float32)
    for dataset in run.pending_datasets:
        if not len(vectors) or missing.get(dataset.record.id):
            encode[dataset.record.id], vectors = _time_encoding(run, dataset, device)
    seconds = {name: encode.get(name, 0.0) for name in missing}
    if not run.pending:
        return Costs(seconds, {}, {}, load=0.0, start=0.0, pool_size=1)
    sizes = {dataset.record.id: _size(run, dataset) for dataset in run.pending_datasets}
    largest = max(size.pool for size in sizes.values())
    specs = [item.unit.spec for item in run.pending]
    calibration = make_calibration(specs[0], run.pending_datasets, vectors, largest, device)
    with limited_threads(threads_per_worker(jobs)):
        calibration.warm_up()
        units, failures = _time_units(calibration, specs)
    return Costs(
        seconds,
        units,
        sizes,
        calibration.load,
        _worker_start(jobs),
        calibration.pool_size,
        failures,
    )


def _size(run: Run, dataset: PreparedDataset) -> Size:
    data = dataset.data
    seed = seed_triple(_CALIBRATION_SEED).data
    protocol = run.suite.protocol_on(dataset.record.id)
    drawn = draw_rows(dataset.record, protocol, seed, data.labels, data.is_test, data.groups)
    return Size(len(drawn.pool), len(drawn.test))


def _time_encoding(run: Run, dataset: PreparedDataset, device: str | None) -> tuple[float, Vectors]:
    from sentence_transformers import SentenceTransformer

    from small_text_ext.pool.embeddings import PoolEmbeddings

    generator = np.random.default_rng(_CALIBRATION_SEED)
    number = min(CALIBRATION_TEXTS, len(dataset.data))
    rows = generator.choice(len(dataset.data), size=number, replace=False)
    if dataset.data.vectors is not None:
        given = np.concatenate(list(dataset.data.vectors.rows(rows).chunks()))
        return 0.0, np.asarray(PoolEmbeddings.from_array(given), dtype=np.float32)
    texts = [joined_text(dataset.data.items[row]) for row in rows]
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


def _time_units(
    calibration: Calibration, specs: Sequence[UnitSpec]
) -> tuple[dict[str, UnitCosts], tuple[str, ...]]:
    costs, failures = {}, []
    for key, spec in {cost_key(spec): spec for spec in specs}.items():
        try:
            costs[key] = _time_unit(calibration, spec)
        except Exception as error:  # a run would go on, too
            costs[key] = UnitCosts(0.0, 0.0, 0.0, 0.0, 0.0)
            failures.append(
                f"{spec.method.id} with {spec.classifier.id}: {type(error).__name__}: {error}"
            )
    # A classifier that fails does so in every method, and on texts on every data set.
    return costs, tuple(dict.fromkeys(failures))


def _time_unit(calibration: Calibration, spec: UnitSpec) -> UnitCosts:
    timed = calibration.time_queries(spec.classifier, spec.method)
    encode = _text_seconds(calibration, spec)
    if encode is not None:
        fit, evaluate = encode * calibration.pool_size, timed.evaluate + encode
        return replace(timed, fit=fit, evaluate=evaluate)
    if not on_texts(spec.classifier):
        return timed
    texts = calibration.time_texts(spec)
    fit = texts.fit
    if is_one_shot(spec.method.strategy):
        experiment = EXPERIMENTS[spec.method.strategy]
        passes = experiment.passes(spec.method.params)
        fit = (fit - texts.fixed) * passes * calibration.pool_size / texts.num_labels
        # The stand-in's fits are beside heads on vectors, which are fitted with any classifier.
        fit += timed.fit if experiment.fits_vectors else 0.0
    harness = timed.harness + texts.fixed
    return replace(timed, fit=fit, evaluate=texts.score, score=texts.score, harness=harness)


def _text_seconds(calibration: Calibration, spec: UnitSpec) -> float | None:
    """Time the models of an experiment that has its own, on the texts of the data set."""
    experiment = EXPERIMENTS.get(spec.method.strategy)
    if experiment is None or experiment.text_seconds is None:
        return None
    texts = calibration.datasets[spec.dataset.id].data.items[:CALIBRATION_TEXTS]
    precision = cast(Precision, spec.encoder.precision)
    return experiment.text_seconds(spec.method.params, texts, precision, calibration.device)


def cost_key(spec: UnitSpec) -> str:
    """Return what a calibration is stored under: all that a unit's time depends on.

    That is the classifier, what the method does, and for a classifier on texts the data set. What
    else depends on the data is scaled. A suite of many methods that differ in their wrong labels
    alone is so timed in minutes.
    """
    classifier = spec.classifier.model_dump(mode="json")
    method = spec.method.model_dump(mode="json", exclude={"id", "ablation"})
    if is_one_shot(spec.method.strategy):
        costless = EXPERIMENTS[spec.method.strategy].costless
        params = method["params"]
        method["params"] = {name: params[name] for name in params if name not in costless}
    experiment = EXPERIMENTS.get(spec.method.strategy)
    own_models = experiment is not None and experiment.text_seconds is not None
    dataset = spec.dataset.id if on_texts(spec.classifier) or own_models else None
    return canonical_json([classifier, method, dataset])


def _worker_start(jobs: int) -> float:
    """Time the imports of a worker; with one unit at a time there is none."""
    if jobs == 1:
        return 0.0
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", _WORKER_IMPORTS], check=True)
    return time.perf_counter() - start


def _num_fits(unit: Unit) -> int:
    method = unit.spec.method
    if is_one_shot(method.strategy):
        return EXPERIMENTS[method.strategy].fits(method.params)
    return unit.spec.protocol.rounds + 1


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
    cost, size = costs.units[cost_key(spec)], costs.sizes[spec.dataset.id]
    growth = size.pool / costs.pool_size
    if is_one_shot(spec.method.strategy):
        fit = cost.fit * _fit_growth(spec, size.pool, costs.pool_size)
        return fit + cost.evaluate * size.test + cost.harness
    rounds = spec.protocol.rounds
    queries = cost.first_query + cost.later_query * (rounds - 1) if rounds else 0.0
    scored = rounds * rows_scored(cost.rows, costs.pool_size, size.pool)
    each_round = cost.fit + cost.evaluate * size.test + cost.harness
    return queries * growth + scored * cost.score + (rounds + 1) * each_round


def _fit_growth(spec: UnitSpec, pool: int, calibration_pool: int) -> float:
    """Return how much longer the fits of a one-shot experiment take than in the calibration."""
    num_labels = EXPERIMENTS[spec.method.strategy].num_labels
    if num_labels is None:
        return pool / calibration_pool
    params = spec.method.params
    labels = num_labels(params, pool, len(spec.dataset.class_names))
    if on_texts(spec.classifier):
        return labels / calibration_pool
    # The calibration has two classes.
    return labels / num_labels(params, calibration_pool, 2)


def rows_scored(measured: int, calibration_pool: int, pool: int) -> float:
    """Return how many texts a query scores in a pool, from what it scored in the calibration's.

    Parameters
    ----------
    measured : int
        Texts scored in the calibration.
    calibration_pool : int
        Texts of its pool.
    pool : int
        Texts of the other pool.

    Returns
    -------
    float
        In proportion to the pool where the calibration's was scored whole (a strategy that embeds
        and scores it has twice as many); otherwise as many, at most all.

    Examples
    --------
    >>> rows_scored(10_000, 5_000, 800), rows_scored(1_200, 5_000, 800)
    (1600.0, 800.0)
    """
    if measured >= calibration_pool:
        return measured / calibration_pool * pool
    return float(min(measured, pool))


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
