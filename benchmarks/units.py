"""From a suite to units: data loaded, encoders resolved, and what is still to be run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import small_text_ext
from benchmarks.classifiers import try_classifier, with_model
from benchmarks.datasets import (
    LabeledTexts,
    MissingSourceError,
    against_the_rest,
    limit_test_majority,
    limit_texts,
    load_texts,
    without_small_classes,
)
from benchmarks.encoders import ResolvedEncoder, encoder_of, resolve_encoder
from benchmarks.experiments import EXPERIMENTS, changes_classifier, is_one_shot
from benchmarks.methods import try_method
from benchmarks.out_of_distribution import load_other_test
from benchmarks.results import (
    SINGLE_FIT,
    DatasetRecord,
    EncoderRecord,
    MethodRecord,
    OtherDatasetRecord,
    ResultFileError,
    UnitSpec,
    read_result,
    spec_hash,
)
from benchmarks.side_classifiers import with_side_models
from benchmarks.single_fit import SECOND_TASK
from benchmarks.specs import DatasetEntry, Suite
from benchmarks.splits import draw_rows, seed_triple
from benchmarks.suggestions import SuiteError

Reason = Literal["new", "changed", "failed", "unreadable"]


@dataclass(frozen=True)
class PreparedDataset:
    """A data set of a suite, loaded and relabelled.

    Parameters
    ----------
    entry : DatasetEntry
        What the suite says.
    data : LabeledTexts
        The texts, before any split.
    record : DatasetRecord
        What results say.
    others : mapping of str to LabeledTexts
        Test sets of other distributions, by id.
    """

    entry: DatasetEntry
    data: LabeledTexts
    record: DatasetRecord
    others: Mapping[str, LabeledTexts] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """One thing to run: its specification and the hash of it."""

    spec: UnitSpec
    hash: str


@dataclass(frozen=True)
class Pending:
    """A unit that is to be run, and why."""

    unit: Unit
    reason: Reason


def available_methods(suite: Suite) -> tuple[Suite, list[str]]:
    """Drop the methods whose package is not installed.

    Parameters
    ----------
    suite : Suite
        The suite.

    Returns
    -------
    suite : Suite
        What can run here.
    skipped : list of str
        One sentence for each method that can't.

    Raises
    ------
    SuiteError
        If no method is left.
    """
    missing = {
        name: entry.requires
        for name, entry in suite.methods.items()
        if entry.requires is not None and find_spec(entry.requires) is None
    }
    kept = {name: entry for name, entry in suite.methods.items() if name not in missing}
    skipped = [
        f"{name} is left out: the package {package} is not installed (pip install {package})."
        for name, package in missing.items()
    ]
    if missing and not kept:
        packages = " ".join(sorted(set(missing.values())))
        raise SuiteError(
            f"suite '{suite.name}': nothing is left to run, since no method has the package that "
            f"it needs: pip install {packages}"
        )
    return suite.model_copy(update={"methods": kept}), skipped


def prepare_datasets(suite: Suite) -> tuple[list[PreparedDataset], list[str]]:
    """Load the data sets of a suite.

    Parameters
    ----------
    suite : Suite
        The suite.

    Returns
    -------
    prepared : list of PreparedDataset
        Those that are on this machine.
    skipped : list of str
        One sentence for each optional one that isn't.

    Raises
    ------
    MissingSourceError
        If one that is not optional is missing, or all are.
    """
    prepared, skipped = [], []
    for entry in suite.datasets:
        try:
            prepared.append(prepare_dataset(entry))
        except MissingSourceError as error:
            if not entry.optional:
                raise
            skipped.append(f"{entry.id} is left out: {error}")
    if not prepared:
        raise MissingSourceError(" ".join(skipped))
    return prepared, skipped


def prepare_dataset(entry: DatasetEntry) -> PreparedDataset:
    """Load one data set, draw its sample, and put the wanted classes against the rest."""
    data = without_small_classes(load_texts(entry.name, entry.options), entry.min_class_size)
    if entry.wanted:
        data = against_the_rest(data, entry.wanted)
    kept = entry.wanted if entry.keep_minority else ()
    data = limit_texts(data, entry.max_texts, kept, entry.min_per_class)
    data = limit_test_majority(data, entry.max_test_majority, entry.wanted)
    others = {
        other.id: load_other_test(other, data.class_names) for other in entry.out_of_distribution
    }
    record = DatasetRecord(
        id=entry.id,
        name=entry.name,
        fingerprint=data.fingerprint,
        class_names=data.class_names,
        minority=entry.wanted,
        num_texts=len(data),
        prevalence=entry.prevalence,
        out_of_distribution=tuple(
            OtherDatasetRecord(
                id=name, name=other.name, fingerprint=other.fingerprint, num_texts=len(other)
            )
            for name, other in others.items()
        ),
    )
    return PreparedDataset(entry, data, record, others)


def check_values(suite: Suite) -> None:
    """Build every classifier and every method of a suite once.

    Parameters
    ----------
    suite : Suite
        What can run here, see :func:`available_methods`.

    Raises
    ------
    SuiteError
        If a parameter has a value that its class refuses.
    """
    methods = [method for entry in suite.datasets for method in suite.method_records(entry.id)]
    for method in methods:
        try_method(method)
    for classifier in suite.classifier_records():
        # A ceiling's parameters are the classifier's.
        changes = [
            method.params
            for entry in suite.datasets
            for method in suite.method_records(entry.id, classifier.id)
            if changes_classifier(method.strategy)
        ]
        for params in ({}, *changes):
            changed = {"params": {**classifier.params, **params}}
            try_classifier(classifier.model_copy(update=changed))


def check_draws(suite: Suite, datasets: Iterable[PreparedDataset]) -> None:
    """Draw pool, test set and first labels of every data set once.

    Parameters
    ----------
    suite : Suite
        The suite.
    datasets : iterable of PreparedDataset
        Its data sets.

    Raises
    ------
    SuiteError
        If one is too small for what the suite asks; the message names it.
    """
    seed = seed_triple(0).data
    for dataset in datasets:
        data = dataset.data
        try:
            protocol = suite.protocol_on(dataset.record.id)
            draw_rows(dataset.record, protocol, seed, data.labels, data.is_test, data.groups)
        except SuiteError as error:
            raise SuiteError(f"data set '{dataset.record.id}': {error}") from error


def check_second_labels(suite: Suite, datasets: Iterable[PreparedDataset]) -> None:
    """Check that a classifier with a second task gets second labels wherever it runs.

    Parameters
    ----------
    suite : Suite
        The suite.
    datasets : iterable of PreparedDataset
        Its data sets.

    Raises
    ------
    SuiteError
        If it runs with a method that has none for it, or on a data set without them.
    """
    for dataset in datasets:
        for classifier in suite.classifier_records():
            if not classifier.params.get(SECOND_TASK):
                continue
            for method in suite.method_records(dataset.record.id, classifier.id):
                if method.strategy != SINGLE_FIT:
                    raise SuiteError(
                        f"classifier '{classifier.id}' has a {SECOND_TASK}, for which method "
                        f"'{method.id}' has no labels: name others by methods = [...], of preset "
                        "single-fit."
                    )
                if dataset.data.other_labels is None:
                    raise SuiteError(
                        f"classifier '{classifier.id}' has a {SECOND_TASK}, for which data set "
                        f"'{dataset.record.id}' has no labels: set second_label_column."
                    )


def find_encoder(suite: Suite, datasets: Sequence[PreparedDataset] = ()) -> ResolvedEncoder:
    """Find the encoder of a suite.

    Parameters
    ----------
    suite : Suite
        The suite.
    datasets : sequence of PreparedDataset, default=()
        Its data sets. Where all bring their own vectors, no encoder is looked for.

    Returns
    -------
    ResolvedEncoder
        The encoder, or what stands for the vectors of the first data set.
    """
    given = [dataset.data.vectors for dataset in datasets]
    if given and given[0] is not None and None not in given:
        return encoder_of(datasets[0].data)
    return resolve_encoder(suite.encoder.name)


def expand_units(
    suite: Suite, datasets: Collection[PreparedDataset], encoder: ResolvedEncoder
) -> list[Unit]:
    """Return every unit of a suite, those that share data next to each other.

    Parameters
    ----------
    suite : Suite
        The suite.
    datasets : collection of PreparedDataset
        Its data sets.
    encoder : ResolvedEncoder
        Its encoder.

    Returns
    -------
    list of Unit
        By data set, seed, classifier and method.

    Raises
    ------
    SuiteError
        If the pretrained model of a classifier can be neither found nor fetched.
    """
    encoders = {
        dataset.record.id: _encoder_record(suite, encoder_of(dataset.data, encoder))
        for dataset in datasets
    }
    classifiers = [with_model(classifier) for classifier in suite.classifier_records()]
    sides: dict[str, dict[str, Any]] = {}
    with_weights = _Weights()
    specs = [
        UnitSpec(
            suite=suite.name,
            dataset=dataset.record,
            encoder=encoders[dataset.record.id],
            classifier=classifier,
            method=with_side_models(with_weights(method), sides),
            protocol=suite.protocol_on(dataset.record.id),
            seed=seed_triple(number, suite.seed_grid),
        )
        for dataset in datasets
        for number in range(max(map(suite.num_seeds, suite.classifiers)))
        for classifier in classifiers
        if number < suite.num_seeds(classifier.id)
        for method in suite.method_records(dataset.record.id, classifier.id)
    ]
    return [Unit(spec, spec_hash(spec, small_text_ext.__version__)) for spec in specs]


def _encoder_record(suite: Suite, encoder: ResolvedEncoder) -> EncoderRecord:
    return EncoderRecord(
        id=encoder.id,
        fingerprint=encoder.fingerprint,
        precision=suite.encoder.precision,
        storage_dtype=suite.encoder.storage_dtype,
    )


class _Weights:
    """Lets methods say which weights their own models have; files are read once a method."""

    def __init__(self) -> None:
        self._known: dict[str, MethodRecord] = {}

    def __call__(self, method: MethodRecord) -> MethodRecord:
        if not is_one_shot(method.strategy):
            return method
        key = method.model_dump_json()
        if key not in self._known:
            self._known[key] = EXPERIMENTS[method.strategy].resolve(method)
        return self._known[key]


def pending_units(units: Sequence[Unit], folder: Path) -> list[Pending]:
    """Return the units without a valid result, and why each is to be run.

    Parameters
    ----------
    units : sequence of Unit
        What the suite asks for.
    folder : Path
        The results folder.

    Returns
    -------
    list of Pending
        ``new``: there is no file; ``changed``: it has another hash; ``failed``: it failed;
        ``unreadable``: it is cut off or foreign.
    """
    reasons = [(unit, _reason(unit, folder / unit.spec.relative_path)) for unit in units]
    return [Pending(unit, reason) for unit, reason in reasons if reason is not None]


def _reason(unit: Unit, path: Path) -> Reason | None:
    if not path.exists():
        return "new"
    try:
        result = read_result(path)
    except ResultFileError as error:
        if isinstance(error.__cause__, OSError):  # it may be a good one
            raise
        return "unreadable"
    if result.spec_hash != unit.hash:
        return "changed"
    return "failed" if result.status == "failed" else None
