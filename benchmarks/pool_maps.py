"""The data map of a whole pool with all its true labels: what no strategy can see.

There is one for each data set, classifier and seed. It is made once, and kept beside the results.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import small_text_ext
from benchmarks.classifiers import build_factory, check_recorded, classifier_kind
from benchmarks.datasets import (
    LabeledTexts,
    against_the_rest,
    keep_classes,
    limit_texts,
    load_texts,
)
from benchmarks.encoders import embeddings_folder, encode_dataset, encoder_of, resolve_encoder
from benchmarks.loop import UnitData
from benchmarks.parsing import parse_suite, read_suite
from benchmarks.results import DatasetRecord, UnitSpec, canonical_json, folder_name
from benchmarks.suggestions import SuiteError
from benchmarks.text_files import store_texts
from benchmarks.units import prepare_dataset
from benchmarks.worker import DataSource, load_unit_data

if TYPE_CHECKING:
    import pandas as pd

MAPS_FOLDER = "maps"
"""Beside the results of all suites."""

METRICS_NAME = "td_metrics.jsonl"


def pool_map_path(spec: UnitSpec) -> Path:
    """Return where the map of a unit's pool lies, below the results folder.

    Parameters
    ----------
    spec : UnitSpec
        Any unit on that pool with that classifier: what else it does makes no other map.

    Returns
    -------
    Path
        A name of its own for whatever changes the map, a version of this package included.
    """
    shared: Mapping[str, Any] = spec.model_dump(
        mode="json",
        include={
            "dataset": {"fingerprint", "prevalence", "minority"},
            "encoder": True,
            "classifier": {"kind", "params", "model", "plugin"},
            "protocol": {"test_size"},
            "seed": {"data", "model"},
        },
    )
    content = {**shared, "version": small_text_ext.__version__}
    digest = hashlib.sha256(canonical_json(content).encode()).hexdigest()[:8]
    folders = (spec.dataset.id, spec.classifier.id, f"seed-{spec.seed.number}-{digest}")
    return Path(MAPS_FOLDER, *map(folder_name, folders), METRICS_NAME)


def pool_map(spec: UnitSpec, folder: Path, device: str | None = None) -> pd.DataFrame:
    """Read the map of a unit's pool, or make it.

    Parameters
    ----------
    spec : UnitSpec
        Any unit on that pool with that classifier.
    folder : Path
        The results folder; a map that is made is written below it, whole or not at all.
    device : str or None, default=None
        Where the classifier is trained.

    Returns
    -------
    pandas.DataFrame
        See `TrainingDynamics.metrics`; ``guid`` is the position in the complete data set, as in the
        picks of a result.

    Raises
    ------
    SuiteError
        If the classifier cannot be recorded, or the data set is not the one of the results.
    MissingSourceError
        If it is not on this machine.
    """
    from small_text_ext.training.dynamics_files import read_metrics, write_metrics

    path = folder / pool_map_path(spec)
    if not path.exists():
        check_recorded(spec.classifier.id, spec.classifier.kind, "the map of the pool")
        write_metrics(path, make_pool_map(spec, load_unit_data(spec, find_source(spec)), device))
    return read_metrics(path)


def make_pool_map(spec: UnitSpec, data: UnitData, device: str | None = None) -> pd.DataFrame:
    """Fit the classifier of a unit on all true labels of its pool, and record it.

    Parameters
    ----------
    spec : UnitSpec
        Classifier and seed count.
    data : UnitData
        The pool.
    device : str or None, default=None
        Where it is trained.

    Returns
    -------
    pandas.DataFrame
        As in :func:`pool_map`.
    """
    from small_text_ext._random import preserved_global_state
    from small_text_ext.classifiers.crossfit import fit_dynamics

    factory = build_factory(spec.classifier, data.num_classes, spec.seed.model, device)
    pool = data.pool_set(classifier_kind(spec.classifier.kind).features, data.pool_labels)
    with preserved_global_state(spec.seed.model, torch=True):
        metrics = fit_dynamics(factory, pool).metrics()
    return metrics.assign(guid=np.asarray(data.pool_rows))


def find_source(spec: UnitSpec) -> DataSource:
    """Load the data of a unit again, from what its result says of them.

    Parameters
    ----------
    spec : UnitSpec
        The unit.

    Returns
    -------
    DataSource
        Vectors and texts on disk.

    Raises
    ------
    SuiteError
        If they are not the same, or the encoder has other weights.
    """
    data = find_texts(spec.dataset, spec.suite)
    # Vectors that come with the data have no encoder that could be found here.
    encoder = encoder_of(data) if data.vectors is not None else resolve_encoder(spec.encoder.id)
    if encoder.fingerprint != spec.encoder.fingerprint:
        raise SuiteError(
            f"The encoder '{encoder.id}' has the fingerprint {encoder.fingerprint[:12]} here, but "
            f"{spec.encoder.fingerprint[:12]} in the results: run the suite again."
        )
    choice: Any = spec.encoder
    encode_dataset(
        data,
        encoder,
        precision=choice.precision,
        storage_dtype=choice.storage_dtype,
        show_progress=None,
    )
    on_texts = classifier_kind(spec.classifier.kind).features == "texts"
    return DataSource(
        embeddings=embeddings_folder(data, encoder, choice.precision, choice.storage_dtype),
        labels=data.labels,
        is_test=data.is_test,
        groups=data.groups,
        texts=store_texts(data) if on_texts else None,
    )


def find_texts(record: DatasetRecord, suite: str | None = None) -> LabeledTexts:
    """Load the texts that a result was measured on.

    Parameters
    ----------
    record : DatasetRecord
        What the result says of them.
    suite : str or None, default=None
        Name of the suite that was run. Where it is one of the project, its data set is tried first:
        it has the options that results do not keep.

    Returns
    -------
    LabeledTexts
        With the same fingerprint.

    Raises
    ------
    SuiteError
        If the source holds other texts by now, or needs options that a result does not keep.
    """
    known = None if suite is None else _of_suite(record, suite)
    if known is not None:
        return known
    data = load_texts(record.name)
    if record.minority:
        data = against_the_rest(data, record.minority)
    else:
        data = keep_classes(data, record.class_names)
    # A result does not say whether a slice kept all wanted texts: the fingerprint does.
    for kept in ((), record.minority):
        found = limit_texts(data, record.num_texts, kept)
        if found.fingerprint == record.fingerprint:
            return found
    raise SuiteError(
        f"The data set '{record.id}' has the fingerprint {record.fingerprint[:12]} in the results, "
        f"but what {record.name} holds here is other data: its source has changed, or it was "
        "loaded with options that results do not keep, by a suite that is not one of the project. "
        "Run the suite again, or leave its results out of the folder."
    )


def _of_suite(record: DatasetRecord, suite: str) -> LabeledTexts | None:
    """Return the data of a suite of the project, where they are those of the result."""
    try:
        entries = parse_suite(read_suite(suite)).datasets
        data = [prepare_dataset(entry).data for entry in entries if entry.id == record.id]
    except SuiteError:
        return None
    return next((found for found in data if found.fingerprint == record.fingerprint), None)
