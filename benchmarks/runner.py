"""A run: vectors first, then every unit that has no valid result yet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.classifiers import classifier_kind
from benchmarks.datasets import LabeledTexts
from benchmarks.encoders import ResolvedEncoder, embeddings_folder, encode_dataset
from benchmarks.experiments import EXPERIMENTS
from benchmarks.results import UnitSpec, canonical_json, folder_name, write_text
from benchmarks.specs import Suite
from benchmarks.suggestions import SuiteError
from benchmarks.text_files import store_texts
from benchmarks.units import (
    Pending,
    PreparedDataset,
    Unit,
    available_methods,
    check_draws,
    check_second_labels,
    check_values,
    expand_units,
    find_encoder,
    pending_units,
    prepare_datasets,
)
from benchmarks.worker import DataSource, Task

MANIFEST = "units.json"
"""Beside the results of a suite: the path and hash of every unit that was ever asked for."""


@dataclass(frozen=True)
class Run:
    """A suite on this machine: its data, its units, and what is left to run.

    Parameters
    ----------
    suite : Suite
        The suite.
    datasets : list of PreparedDataset
        What is on this machine.
    skipped : list of str
        Why optional data sets and methods are left out.
    encoder : ResolvedEncoder
        The encoder.
    units : list of Unit
        All units.
    pending : list of Pending
        Those without a valid result.
    """

    suite: Suite
    datasets: list[PreparedDataset]
    skipped: list[str]
    encoder: ResolvedEncoder
    units: list[Unit]
    pending: list[Pending]

    @property
    def pending_datasets(self) -> list[PreparedDataset]:
        """The data sets that a pending unit needs."""
        needed = {item.unit.spec.dataset.id for item in self.pending}
        return [dataset for dataset in self.datasets if dataset.record.id in needed]

    @property
    def unreadable(self) -> list[Pending]:
        """The pending units in whose place something lies that is no result."""
        return [item for item in self.pending if item.reason == "unreadable"]

    @property
    def text_datasets(self) -> set[str]:
        """Ids of the data sets whose texts a pending unit reads."""
        specs = [item.unit.spec for item in self.pending]
        return {spec.dataset.id for spec in specs if _reads_texts(spec)}


def _reads_texts(spec: UnitSpec) -> bool:
    if classifier_kind(spec.classifier.kind).features == "texts":
        return True
    experiment = EXPERIMENTS.get(spec.method.strategy)
    return experiment is not None and experiment.reads_texts(spec.method.params)


def prepare_run(suite: Suite, folder: Path) -> Run:
    """Load the data of a suite and find out what is left to run.

    Parameters
    ----------
    suite : Suite
        The suite.
    folder : Path
        The results folder; it need not exist.

    Returns
    -------
    Run
        Nothing is encoded or written yet.

    Raises
    ------
    SuiteError
        If a parameter has a value that its class refuses, or a data set is too small: what would
        end every unit ends the run before texts are encoded.
    """
    suite, unavailable = available_methods(suite)
    check_values(suite)
    datasets, skipped = prepare_datasets(suite)
    check_draws(suite, datasets)
    check_second_labels(suite, datasets)
    encoder = find_encoder(suite, datasets)
    units = expand_units(suite, datasets, encoder)
    return Run(
        suite, datasets, [*unavailable, *skipped], encoder, units, pending_units(units, folder)
    )


def encode_pending(
    run: Run, device: str | None = None, show_progress: bool | None = None
) -> dict[str, DataSource]:
    """Encode what pending units need, into the cache, and the texts where they are fitted on.

    Parameters
    ----------
    run : Run
        The run.
    device : str or None, default=None
        Where to encode.
    show_progress : bool or None, default=None
        A progress bar; None shows it on a terminal only.

    Returns
    -------
    dict of str to DataSource
        By the id of the data set.
    """
    sources = {}
    for dataset in run.pending_datasets:
        reads_texts = dataset.record.id in run.text_datasets
        source = partial(_source, run, reads_texts, device, show_progress)
        others = {name: source(other) for name, other in dataset.others.items()}
        sources[dataset.record.id] = replace(source(dataset.data), others=others)
    return sources


def _source(
    run: Run,
    reads_texts: bool,
    device: str | None,
    show_progress: bool | None,
    data: LabeledTexts,
) -> DataSource:
    """Encode a data set, or a test set of another distribution."""
    choice = run.suite.encoder
    encode_dataset(
        data,
        run.encoder,
        precision=choice.precision,
        storage_dtype=choice.storage_dtype,
        device=device,
        show_progress=show_progress,
    )
    return DataSource(
        embeddings=embeddings_folder(data, run.encoder, choice.precision, choice.storage_dtype),
        labels=data.labels,
        is_test=data.is_test,
        groups=data.groups,
        texts=store_texts(data) if reads_texts else None,
        second_labels=data.other_labels,
    )


def make_tasks(
    pending: Sequence[Pending],
    sources: Mapping[str, DataSource],
    folder: Path,
    threads: int,
    device: str | None = None,
    plugins: Sequence[str] = (),
) -> list[Task]:
    """Return the tasks of pending units, with paths that hold in workers started elsewhere."""
    place = folder.resolve()
    return [
        Task(item.unit, sources[item.unit.spec.dataset.id], place, threads, device, tuple(plugins))
        for item in pending
    ]


def write_manifest(run: Run, folder: Path) -> Path:
    """Add the units of a run to the list of all that was asked for, which ``status`` reads."""
    path = folder / folder_name(run.suite.name) / MANIFEST
    known = read_manifest(path)
    asked = {unit.spec.relative_path.as_posix(): unit.hash for unit in run.units}
    write_text(path, canonical_json({**known, **asked}) + "\n")
    return path


def read_manifest(path: Path) -> dict[str, str]:
    """Return path to hash of every unit that was asked for; empty where there is no list."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SuiteError(f"{path} cannot be read ({error}): delete it and run again.") from error
    return {str(key): str(value) for key, value in content.items()}
