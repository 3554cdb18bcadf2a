"""What one unit of a benchmark leaves behind: the schema, its hash, and whole files on disk.

Only this module knows how a result looks on disk. A unit is one (suite, dataset, classifier,
method, seed); it is written to ``DIR/<suite>/<dataset>/<classifier>/<method>/seed-<n>.json`` when
it ends, whole or not at all.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_serializer
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from small_text_ext._files import write_whole

SCHEMA_VERSION: Final = 1

FULL_DATA: Final = "full-data"
"""The strategy name of the ceiling: one fit on the true labels of the whole pool."""

MAP_SUBSET: Final = "MapSubset"
"""The strategy name of training on one region of the data map of the whole pool."""

NOISE_DETECTION: Final = "NoiseDetection"
"""The strategy name of finding flipped labels in the whole pool."""


BATCH_SELECTION: Final = "BatchSelection"
"""The strategy name of one fit on the whole pool, whose steps train what a score chooses."""


LABELED_SAMPLE: Final = "LabeledSample"
"""The strategy name of one fit on a number of labels for each class."""


ZERO_SHOT: Final = "ZeroShot"
"""The strategy name of classification by descriptions of the classes, without a label."""


FROZEN_EVALUATION: Final = "FrozenEvaluation"
"""The strategy name of votes of neighbours among the vectors of encoders that are not trained."""


SINGLE_FIT: Final = "SingleFit"
"""The strategy name of one fit on the pool that is judged on a development set, too."""


class ResultFileError(ValueError):
    """A file that should hold a result, and doesn't."""


class UnwritableError(RuntimeError):
    """A file that could not be written: a full disk, or a folder without permission to write."""


class NoResultsError(ValueError):
    """A folder that should hold results, and doesn't; the message says how to fill it."""


class _Record(BaseModel):
    """A part of a result: immutable, and strict about what it holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OtherDatasetRecord(_Record):
    """A test set of another distribution: its id, its name, and the fingerprint of its texts."""

    id: str
    name: str
    fingerprint: str
    num_texts: int


def _without_empty(content: dict[str, Any], *optional: str) -> dict[str, Any]:
    """Return the content of a record without those of its optional fields that say nothing."""
    return {name: value for name, value in content.items() if name not in optional or value}


class DatasetRecord(_Record):
    """The data that a unit ran on.

    Parameters
    ----------
    id : str
        Name and variant, such as ``debian-sections:electronics``: what tables show.
    name : str
        The name in the registry of datasets.
    fingerprint : str
        sha256 over texts, labels, class names and given splits. Results with unequal fingerprints
        are of different data and must not be averaged.
    class_names : tuple of str
        Names in the order of the labels.
    minority : tuple of str
        The classes that are looked for.
    num_texts : int
        Number of texts before the split.
    prevalence : float or None
        Share that the rare class was sampled down to in the pool; None: as it came.
    out_of_distribution : tuple of OtherDatasetRecord
        Test sets of other distributions. Left out of the file where there are none, so that results
        from before there were any keep their hashes.
    """

    id: str
    name: str
    fingerprint: str
    class_names: tuple[str, ...]
    minority: tuple[str, ...]
    num_texts: int
    prevalence: float | None = None
    out_of_distribution: tuple[OtherDatasetRecord, ...] = ()

    @model_serializer(mode="wrap")
    def _without_missing_tests(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_empty(handler(self), "out_of_distribution")


class EncoderRecord(_Record):
    """The frozen encoder: its id, the sha256 of its weights, and the arithmetic it ran in."""

    id: str
    fingerprint: str
    precision: str = "float32"
    storage_dtype: str = "float32"


class ModelRecord(_Record):
    """A pretrained model that a classifier starts from: its id and the sha256 of its weights."""

    id: str
    fingerprint: str


class ClassifierRecord(_Record):
    """The classifier: its id in tables, its kind in the registry, its parameters, and its model.

    ``plugin`` is the fingerprint of the source of a kind that a plugin has added. A classifier
    without a pretrained model or a plugin is written without them, so that results from before
    there were any keep their hashes.
    """

    id: str
    kind: str
    params: dict[str, Any] = Field(default_factory=dict)
    model: ModelRecord | None = None
    plugin: str | None = None

    @model_serializer(mode="wrap")
    def _without_missing_model(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_empty(handler(self), "model", "plugin")


class MethodRecord(_Record):
    """The query strategy: its id in tables, its class, base strategy and parameters.

    ``plugin`` is the fingerprint of the source of a strategy that a plugin has added, so that a
    changed one runs again; it is left out of the file where there is none.
    """

    id: str
    strategy: str
    base: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    ablation: bool = False
    plugin: str | None = None

    @model_serializer(mode="wrap")
    def _without_missing_plugin(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_empty(handler(self), "plugin")


class ProtocolRecord(_Record):
    """The loop: how many labels to begin with, how many a round, how many rounds, what is held out.

    ``rounds`` counts the queries: a unit has ``rounds + 1`` records, of which the first is of the
    initial labels alone.
    """

    rounds: int
    query_size: int
    initial_size: int
    initial_minority: int
    test_size: float
    time_limit: float | None = None


class SeedRecord(_Record):
    """The number of a seed and the three seeds derived from it."""

    number: int
    data: int
    model: int
    query: int


class UnitSpec(_Record):
    """Everything that can change a number of a unit, resolved."""

    suite: str
    dataset: DatasetRecord
    encoder: EncoderRecord
    classifier: ClassifierRecord
    method: MethodRecord
    protocol: ProtocolRecord
    seed: SeedRecord

    @property
    def relative_path(self) -> Path:
        """Where the result lies below the results folder."""
        return unit_path(
            self.suite, self.dataset.id, self.classifier.id, self.method.id, self.seed.number
        )

    @property
    def name(self) -> str:
        """The unit in one line, for logs."""
        return (
            f"{self.dataset.id} / {self.classifier.id} / {self.method.id} / seed {self.seed.number}"
        )


class Environment(_Record):
    """Where a unit ran. Never part of the hash: it should not change a number.

    ``bfloat16`` tells whether the device multiplies bfloat16 matrices in hardware, which a
    classifier on texts then does by default; None where nobody looked. ``system`` names operating
    system and processor, ``gpu`` the one that classifiers were trained on, if any; both are empty
    in results from before they were written down.
    """

    python: str
    packages: dict[str, str]
    revision: str | None
    dirty: bool | None
    cpu: str
    threads: int
    device: str
    finished_at: str
    bfloat16: bool | None = None
    system: str = ""
    gpu: str | None = None


class RoundRecord(_Record):
    """One round: the model fitted on ``num_labeled`` labels, and the query that brought them.

    Parameters
    ----------
    round : int
        0 is the model of the initial labels, which no query brought.
    num_labeled : int
        Labels that the model was fitted on.
    metrics : dict of str to float or None
        ``macro_f1``, ``accuracy``, ``ece``, ``minority_precision``, ``minority_recall``,
        ``minority_f1``, ``minority_average_precision`` (means over the minority classes, on the
        test set weighted to the pool's own prior), ``found`` (share of the pool's minority texts
        that are labelled) and ``minority_labeled`` (their number). Of a search for flipped labels
        instead ``noise_ap.<detector>`` (average precision of its ranking), ``noise_precision.``
        and ``noise_recall.<detector>`` (of the labels it calls wrong). Of batch selection
        ``accuracy`` and ``macro_f1``, and what :class:`benchmarks.batch_selection.Evaluation` has.
        Of a fit with a development set what :func:`benchmarks.single_fit.fit_metrics` has.
        Of frozen encoders what :func:`benchmarks.frozen_evaluation.frozen_metrics` has.
        ``test_accuracy``, and where some classes are wanted and others not,
        ``unweighted_minority_f1`` and ``unweighted_majority_f1``, are those of the test set as it
        is: what published numbers are.
        Of a fit on a number of labels also ``peak_memory``, in megabytes above what the process
        held before. Where epochs are judged, ``last_accuracy`` and ``best_accuracy`` over them, the
        latter by the test set itself. On each test set of another distribution
        ``accuracy.<id>``.
    per_class : dict of str to dict
        Class name to ``precision``, ``recall``, ``f1``, ``average_precision``; for minority
        classes also ``found``.
    labeled_counts : dict of str to int
        Class name to number of labels.
    subpool_counts : dict of str to int or None
        Class name to number of texts in the subpool (true labels); None where the strategy has no
        subpool.
    subpool_size : int or None
        Number of texts that the base strategy chose among.
    num_anchors : int or None
        Number of anchors, where the strategy has them.
    rows_scored : int
        Number of texts that the classifier scored or embedded during the query; a text that is
        embedded and scored counts twice.
    seconds : dict of str to float
        ``query``, ``fit``, ``evaluate`` and ``harness`` (all the rest of the round); and
        ``query.<step>`` for the steps that a strategy reports. Steps are parts of ``query``, and
        may lie in each other: ``query.choose`` contains ``query.anchors`` and ``query.search``.
        ``query.classifier`` is what the classifier took to score and embed ``rows_scored`` texts.
        The first query of a unit builds the index of a strategy that has one. Of a search for
        flipped labels ``noise.<detector>``, the fits that it needs (detectors share them), and
        ``noise_ranking.<detector>``.
    picks : tuple of int
        Positions in the complete dataset that the query picked (round 0: the initial labels), or
        that the region of a data map kept.
    notes : tuple of str
        What the reader should know of it: why a region was not trained on, or a detector left out.
    step : int or None
        Gradient steps so far, where the rounds are the epochs of one fit.
    epochs : dict of str to tuple of float
        Where epochs are judged: ``train_loss``, ``validation_loss`` (where there is a validation
        set), ``test_loss`` and ``test_accuracy`` after each epoch of the fit, None for a loss that
        is not finite. Left out of the file where there are none.
    """

    round: int
    num_labeled: int
    metrics: dict[str, float | None]
    per_class: dict[str, dict[str, float | None]]
    labeled_counts: dict[str, int]
    subpool_counts: dict[str, int] | None = None
    subpool_size: int | None = None
    num_anchors: int | None = None
    rows_scored: int = 0
    seconds: dict[str, float] = Field(default_factory=dict)
    picks: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    step: int | None = None
    epochs: dict[str, tuple[float | None, ...]] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _without_missing_epochs(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_empty(handler(self), "epochs")


class ErrorRecord(_Record):
    """Why a unit failed."""

    type: str
    message: str
    traceback: str


class UnitResult(_Record):
    """One unit, as it lies on disk.

    Parameters
    ----------
    status : {"passed", "failed"}
        Failed units are tried again by the next run.
    spec : UnitSpec
        What ran.
    spec_hash : str
        Hash of what can change a number, see :func:`spec_hash`.
    environment : Environment
        Where it ran.
    pool_counts : dict of str to int
        Class name to number of texts in the pool.
    test_counts : dict of str to int
        Class name to number of texts in the test set.
    rounds : tuple of RoundRecord
        The curve, in order; of a failed unit, empty.
    summary : dict of str to float or None
        Area under the curve of each metric, divided by the range of labels (``area_<metric>``), the
        last value (``final_<metric>``) and sums of seconds (``seconds_<step>``).
    error : ErrorRecord or None
        Why it failed.
    schema_version : int
        Version of this schema.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    status: Literal["passed", "failed"]
    spec: UnitSpec
    spec_hash: str
    environment: Environment
    pool_counts: dict[str, int] = Field(default_factory=dict)
    test_counts: dict[str, int] = Field(default_factory=dict)
    rounds: tuple[RoundRecord, ...] = ()
    summary: dict[str, float | None] = Field(default_factory=dict)
    error: ErrorRecord | None = None

    @property
    def is_ceiling(self) -> bool:
        """Whether this is the full-data row: one round, all labels."""
        return self.spec.method.strategy == FULL_DATA


def canonical_json(value: Any) -> str:  # noqa: ANN401
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": [0.5, None]})
    '{"a":[0.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def spec_hash(spec: UnitSpec, version: str) -> str:
    """Return the hash of everything that can change a number.

    The suite's name, the names shown in tables, the path of a file and the mark of an ablation are
    left out: renaming changes no number, and the data's fingerprint is in.

    Parameters
    ----------
    spec : UnitSpec
        The resolved unit.
    version : str
        Version of small-text-ext, which is part of the hash, as is the schema's.

    Returns
    -------
    str
        sha256 in hexadecimal.
    """
    content = spec.model_dump(
        mode="json",
        exclude={
            "suite": True,
            "dataset": {"id", "name"},
            "classifier": {"id"},
            "method": {"id", "ablation"},
            "seed": {"number"},
        },
    )
    payload = {"schema": SCHEMA_VERSION, "version": version, "spec": content}
    return hashlib.sha256(canonical_json(payload).encode()).hexdigest()


def unit_path(suite: str, dataset: str, classifier: str, method: str, seed: int) -> Path:
    """Return the path of a unit below the results folder.

    Names that are paths themselves (``csv:/data/x.csv``) keep to one folder each: whatever is not
    a letter, a digit or one of ``.-_=`` becomes a hyphen.

    Examples
    --------
    >>> unit_path("demo", "debian-sections:electronics", "mlp", "random", 0).as_posix()
    'demo/debian-sections-electronics/mlp/random/seed-0.json'
    """
    folders = [folder_name(part) for part in (suite, dataset, classifier, method)]
    return Path(*folders, f"seed-{seed}.json")


def folder_name(name: str) -> str:
    """Return a name that is one folder on every file system."""
    kept = "".join(char if char.isalnum() or char in ".-_=" else "-" for char in name)
    return kept.strip("-.") or "unnamed"


def stable_content(result: UnitResult) -> str:
    """Return the canonical JSON of a result without environment and seconds.

    Two runs of one specification give byte-equal texts.
    """
    content = result.model_dump(mode="json", exclude={"environment"})
    for record in content["rounds"]:
        del record["seconds"]
    content["summary"] = {
        name: value for name, value in content["summary"].items() if not name.startswith("seconds_")
    }
    return canonical_json(content)


def write_result(result: UnitResult, folder: Path) -> Path:
    """Write a result whole, or not at all.

    Parameters
    ----------
    result : UnitResult
        A finished or failed unit.
    folder : Path
        The results folder; the file's place below it follows from the specification.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UnwritableError
        If it cannot be written; no part of it is left.
    """
    path = folder / result.spec.relative_path
    write_text(path, result.model_dump_json(indent=1) + "\n")
    return path


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, or not at all.

    Raises
    ------
    UnwritableError
        If it cannot be written; the message says why and what to do.
    """
    with writing(path):
        write_whole(path, lambda file: file.write(text.encode("utf-8")))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the file system while the block writes a file into one that says what to do.

    Raises
    ------
    UnwritableError
        If the block raises an OSError.
    """
    try:
        yield
    except OSError as error:
        raise UnwritableError(
            f"{path} could not be written ({error.strerror or error}): make room, or choose a "
            "folder that can be written to, and run again. What has finished is kept."
        ) from error


def quarantine_result(path: Path) -> Path:
    """Rename a file that is no result, so that its unit can run again and nothing is lost.

    Parameters
    ----------
    path : Path
        A file that :func:`read_result` refuses.

    Returns
    -------
    Path
        ``<name>.corrupt-<n>`` beside it, n being the first number that is free.

    Raises
    ------
    UnwritableError
        If it cannot be renamed.
    """
    numbers = itertools.count(1)
    free = next(
        place for n in numbers if not (place := path.with_name(f"{path.name}.corrupt-{n}")).exists()
    )
    try:
        return path.rename(free)
    except OSError as error:
        raise UnwritableError(
            f"{path} is no result, and could not be renamed to {free.name} ({error.strerror}): "
            "make its folder writable and run again."
        ) from error


def read_result(path: Path) -> UnitResult:
    """Read one result.

    Raises
    ------
    ResultFileError
        If the file is cut off, or was not written by this runner; the message names the file.
    """
    try:
        return UnitResult.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise ResultFileError(
            f"{path} is not a result of schema {SCHEMA_VERSION} ({where}: {first['msg']}). "
            "It was cut off or written by something else: run the suite again, which puts it aside."
        ) from error
    except UnicodeDecodeError as error:
        raise ResultFileError(
            f"{path} is not a text file: run the suite again, which puts it aside."
        ) from error
    except OSError as error:
        raise ResultFileError(f"{path} cannot be read: {error.strerror}.") from error


def result_paths(folder: Path) -> list[Path]:
    """Return the files of a results folder that hold units, in a stable order."""
    return sorted(folder.glob("*/*/*/*/seed-*.json"))


def iterate_results(folder: Path) -> Iterator[UnitResult]:
    """Read all results of a folder in a stable order.

    Raises
    ------
    NoResultsError
        If the folder is missing.
    ResultFileError
        If one of the files is cut off or foreign.
    """
    if not folder.is_dir():
        raise NoResultsError(
            f"{folder} is not a folder of results: run `python -m benchmarks run SUITE --out DIR`."
        )
    for path in result_paths(folder):
        yield read_result(path)
