"""A data map of a data set, in a folder of its own: files, figures, and a page to look at it.

The folder is described by ``map.json``, which is written first: what is missing of the same map is
made, and another map is never mixed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import small_text_ext
from benchmarks.classifiers import (
    build_factory,
    check_recorded,
    classifier_kind,
    try_classifier,
    with_model,
)
from benchmarks.datasets import LabeledTexts, limit_texts, load_texts
from benchmarks.encoders import encode_dataset, resolve_encoder
from benchmarks.environment import describe_environment
from benchmarks.figures import png_bytes
from benchmarks.results import ClassifierRecord, write_text
from benchmarks.selection import Selection, select_suite
from benchmarks.suggestions import SuiteError
from benchmarks.text_dataset import text_dataset
from benchmarks.units import prepare_dataset
from small_text_ext._files import write_json, write_whole
from small_text_ext.training.dynamics_files import write_metrics, write_regions

if TYPE_CHECKING:
    from benchmarks.specs import DatasetEntry
    from small_text_ext.training.dynamics import TrainingDynamics

Observation = Literal["training", "epoch_end"]
Report = Callable[[str], object]

DESCRIPTION = "map.json"
DYNAMICS = "training_dynamics"
METRICS, REGIONS, NOISE = "td_metrics.jsonl", "three_regions.json", "suspected_noise.csv"
PICTURE, PAGE = "data_map.png", "data_map.html"
FILES = (METRICS, REGIONS, NOISE, PICTURE, PAGE)
"""What lies beside the logits and the description."""

# Above it, points hide one another.
_MOST_POINTS = 25_000


@dataclass(frozen=True)
class MapRequest:
    """What is to be mapped, and how.

    Parameters
    ----------
    dataset : str
        A name of the registry, ``csv:PATH`` or ``hub:NAME``; all its classes count, and a test set
        that comes with it is left out.
    classifier : str, default="mlp"
        A kind whose training can be recorded.
    params : mapping of str to Any
        Parameters of its class; ``model`` among them.
    max_texts : int or None, default=None
        Draw so many texts first, always the same ones.
    observe : {"training", "epoch_end"}, default="training"
        What is recorded, see `DynamicsRecorder`.
    crossfit : int or None, default=None
        Record out of fold, over so many folds, instead.
    fraction : float, default=0.33
        Share of the texts in each region.
    seed : int, default=0
        Of the classifier, and of the folds.
    encoder : str, default="minilm"
        Makes the vectors, for a classifier on vectors.
    entry : DatasetEntry or None, default=None
        The data set of a suite, of which ``dataset`` is the id.
    kind : str or None, default=None
        The classifier's kind, where ``classifier`` is its name in a suite.
    """

    dataset: str
    classifier: str = "mlp"
    params: Mapping[str, Any] = field(default_factory=dict)
    max_texts: int | None = None
    observe: Observation = "training"
    crossfit: int | None = None
    fraction: float = 0.33
    seed: int = 0
    encoder: str = "minilm"
    entry: DatasetEntry | None = None
    kind: str | None = None

    @property
    def classifier_kind(self) -> str:
        """The classifier's kind."""
        return self.kind or self.classifier


def in_suite(request: MapRequest, name: str, encoder: str | None = None) -> MapRequest:
    """Look data set and classifier up in a suite.

    Parameters
    ----------
    request : MapRequest
        Its data set and classifier are ids of the suite; its ``params`` come on top of the
        suite's.
    name : str
        The suite.
    encoder : str or None, default=None
        In the place of the suite's.

    Returns
    -------
    MapRequest
        The data set and the classifier as the suite has them.

    Raises
    ------
    SuiteError
        If the suite is wrong, or has no such data set or classifier.
    """
    wanted = Selection(name, datasets=(request.dataset,), classifiers=(request.classifier,))
    suite = select_suite(wanted)
    if len(suite.datasets) > 1:
        ids = ", ".join(entry.id for entry in suite.datasets)
        raise SuiteError(f"--dataset {request.dataset} stands for several of '{name}': {ids}.")
    (record,) = suite.classifier_records()
    return replace(
        request,
        entry=suite.datasets[0],
        kind=record.kind,
        params={**record.params, **request.params},
        encoder=encoder or suite.encoder.name,
    )


@dataclass(frozen=True)
class DataMap:
    """A data map of labelled texts.

    Parameters
    ----------
    request : MapRequest
        What was asked for.
    data : LabeledTexts
        The texts; ids of the map are positions among them.
    dynamics : TrainingDynamics
        What was recorded.
    """

    request: MapRequest
    data: LabeledTexts
    dynamics: TrainingDynamics

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The coordinates, see `TrainingDynamics.metrics`."""
        return self.dynamics.metrics()

    @cached_property
    def regions(self) -> dict[str, NDArray[np.int64]]:
        """Positions of the texts of each region."""
        return self.dynamics.regions(self.request.fraction)

    @cached_property
    def noise(self) -> pd.DataFrame:
        """The texts by how likely their label is wrong, most suspicious first."""
        return self.dynamics.suspected_noise()

    @property
    def title(self) -> str:
        """The map in one line."""
        asked = self.request
        how = {"training": "observed in training", "epoch_end": "observed at epoch end"}
        seen = f"out of {asked.crossfit} folds" if asked.crossfit else how[asked.observe]
        return f"{asked.dataset} with {asked.classifier}, {seen}"

    def noise_table(self) -> pd.DataFrame:
        """Return the suspects with names of classes and their texts."""
        names = np.asarray(self.data.class_names, dtype=object)
        table = self.noise.assign(
            label=names[self.noise["label"].to_numpy()],
            predicted=names[self.noise["predicted"].to_numpy()],
        )
        return table.assign(text=[self.data.texts[row] for row in table["index"]])

    def region_rows(self) -> list[tuple[str, ...]]:
        """Return of each region its name, size, and mean coordinates; then those of all texts."""
        groups = {**self.regions, "all": np.arange(len(self.data))}
        rows = []
        for name, positions in groups.items():
            means = self.metrics.iloc[positions][
                ["confidence", "variability", "correctness_fraction"]
            ].mean()
            rows.append((name, f"{len(positions):,}", *(f"{value:.3f}" for value in means)))
        return rows


def write_map(
    request: MapRequest,
    folder: Path,
    device: str | None = None,
    report: Report = lambda message: None,
) -> DataMap:
    """Make a data map and write all its files, or what is missing of them.

    Parameters
    ----------
    request : MapRequest
        What is to be mapped.
    folder : Path
        Where to. Every file is written whole or not at all.
    device : str or None, default=None
        Where to encode and train.
    report : callable, optional
        Told what is being done.

    Returns
    -------
    DataMap
        The map.

    Raises
    ------
    SuiteError
        If a name or a parameter is unknown or refused, or the folder holds another map.
    """
    classifier = _checked_classifier(request)
    data = _trained_texts(request)
    identity = map_identity(request, data, classifier)
    known = _known_epochs(folder, identity)
    write = partial(_write_description, folder, identity, device)
    is_recorded = known is not None and _has_epochs(folder, known)
    if is_recorded:
        report("the dynamics are there")
        dynamics = _read_dynamics(folder)
    else:
        write(None)
        report(f"fitting {request.classifier} on {len(data):,} texts")
        dynamics = _fitted(request, data, classifier, device)
        dynamics.write_jsonl(folder / DYNAMICS)
    made = DataMap(request, data, dynamics)
    for name in FILES:
        # What an earlier fit wrote may differ in the last digits: one fit, one map.
        if not is_recorded or not (folder / name).exists():
            report(f"writing {name}")
            _WRITERS[name](made, folder / name)
    write(dynamics.num_epochs)
    return made


def map_identity(
    request: MapRequest, data: LabeledTexts, classifier: ClassifierRecord
) -> dict[str, Any]:
    """Return all that can change a number of a map.

    Parameters
    ----------
    request : MapRequest
        What was asked for.
    data : LabeledTexts
        The texts.
    classifier : ClassifierRecord
        The classifier, with the fingerprint of its model.

    Returns
    -------
    dict
        Plain values.
    """
    vectors = classifier_kind(request.classifier_kind).features == "vectors"
    encoder = resolve_encoder(request.encoder) if vectors else None
    return {
        "dataset": request.dataset,
        "fingerprint": data.fingerprint,
        "num_texts": len(data),
        "classifier": classifier.model_dump(mode="json", exclude={"id"}),
        "encoder": None if encoder is None else {"id": encoder.id, "weights": encoder.fingerprint},
        "observe": "held-out" if request.crossfit else request.observe,
        "crossfit": request.crossfit,
        "fraction": request.fraction,
        "seed": request.seed,
        "version": small_text_ext.__version__,
    }


def _trained_texts(request: MapRequest) -> LabeledTexts:
    """Return what is trained: a test set that comes with the data is left out."""
    entry = request.entry
    data = load_texts(request.dataset) if entry is None else prepare_dataset(entry).data
    if data.is_test is not None:
        data = data.rows(np.flatnonzero(~data.is_test))
    return limit_texts(data, request.max_texts)


def _checked_classifier(request: MapRequest) -> ClassifierRecord:
    record = ClassifierRecord(
        id=request.classifier, kind=request.classifier_kind, params=dict(request.params)
    )
    check_recorded(record.id, record.kind, "a data map")
    try_classifier(record)
    if not 0 < request.fraction <= 1:
        raise SuiteError(
            f"--fraction {request.fraction}: pass a share above 0 and at most 1, such as 0.33."
        )
    if request.crossfit is not None and request.crossfit < 2:
        raise SuiteError(f"--crossfit {request.crossfit}: pass a number of folds of at least 2.")
    return with_model(record)


def _known_epochs(folder: Path, identity: Mapping[str, Any]) -> int | None:
    """Return how many epochs a folder holds of this map; None where there is none yet."""
    path = folder / DESCRIPTION
    if not path.exists():
        found = [name for name in (*FILES, DYNAMICS) if (folder / name).exists()]
        if found:
            raise SuiteError(
                f"{folder} holds {', '.join(found)}, but no {DESCRIPTION} that says of what: write "
                "to another folder."
            )
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        before, epochs = dict(content["map"]), content["num_epochs"]
    except (ValueError, KeyError, TypeError) as error:
        raise SuiteError(f"{path} is no description of a map: write to another folder.") from error
    differing = sorted(
        name for name in before.keys() | identity.keys() if before.get(name) != identity.get(name)
    )
    if differing:
        changes = ", ".join(f"{n} ({before.get(n)} there)" for n in differing)
        raise SuiteError(
            f"{folder} holds another map, which differs in {changes}: write to another folder, or "
            "delete this one."
        )
    return None if epochs is None else int(epochs)


def _has_epochs(folder: Path, number: int) -> bool:
    files = (folder / DYNAMICS / f"dynamics_epoch_{epoch}.jsonl" for epoch in range(number))
    return all(path.exists() for path in files)


def _write_description(
    folder: Path, identity: Mapping[str, Any], device: str | None, num_epochs: int | None
) -> None:
    import torch

    environment = describe_environment(torch.get_num_threads(), device)
    content = {
        "map": dict(identity),
        "num_epochs": num_epochs,
        "environment": environment.model_dump(mode="json"),
    }
    write_json(folder / DESCRIPTION, content)


def _fitted(
    request: MapRequest, data: LabeledTexts, classifier: ClassifierRecord, device: str | None
) -> TrainingDynamics:
    from small_text_ext.classifiers.crossfit import crossfit_dynamics, fit_dynamics
    from small_text_ext.training.dynamics import DynamicsRecorder

    num_classes = len(data.class_names)
    factory = build_factory(classifier, num_classes, request.seed, device)
    train_set = _train_set(request, data, device)
    if request.crossfit is not None:
        return crossfit_dynamics(factory, train_set, request.crossfit, seed=request.seed)
    return fit_dynamics(factory, train_set, recorder=DynamicsRecorder(request.observe))


def _train_set(request: MapRequest, data: LabeledTexts, device: str | None) -> Any:  # noqa: ANN401
    from small_text import SklearnDataset

    classes = np.arange(len(data.class_names))
    if classifier_kind(request.classifier_kind).features == "texts":
        return text_dataset(data.items, data.labels, classes)
    vectors = encode_dataset(data, resolve_encoder(request.encoder), device=device)
    return SklearnDataset(np.asarray(vectors, dtype=np.float32), data.labels, target_labels=classes)


def _read_dynamics(folder: Path) -> TrainingDynamics:
    from small_text_ext.training.dynamics import TrainingDynamics

    try:
        return TrainingDynamics.read_jsonl(folder / DYNAMICS)
    except ValueError as error:
        raise SuiteError(f"{error} Delete {folder / DYNAMICS}: it is made again.") from error


def _write_noise(made: DataMap, path: Path) -> None:
    write_text(path, made.noise_table().to_csv(index=False))


def _write_picture(made: DataMap, path: Path) -> None:
    from small_text_ext.plotting import plot_data_map

    figure = plot_data_map(
        made.metrics,
        title=f"Data map: {made.title}",
        num_epochs=made.dynamics.num_epochs,
        style="density" if len(made.metrics) > _MOST_POINTS else "published",
    )
    content = png_bytes(figure)
    write_whole(path, lambda file: file.write(content))


def _write_page(made: DataMap, path: Path) -> None:
    from small_text_ext.plotting import write_data_map_html

    write_data_map_html(
        path,
        made.metrics,
        texts=list(made.data.texts),
        labels=made.data.labels,
        class_names=list(made.data.class_names),
        regions=made.regions,
        noise=made.noise,
        predicted=made.dynamics.mean_probabilities().argmax(axis=1),
        num_epochs=made.dynamics.num_epochs,
        title=f"Data map: {made.title}",
    )


_WRITERS: Mapping[str, Callable[[DataMap, Path], None]] = {
    METRICS: lambda made, path: write_metrics(path, made.metrics),
    REGIONS: lambda made, path: write_regions(path, made.regions, made.dynamics.ids),
    NOISE: _write_noise,
    PICTURE: _write_picture,
    PAGE: _write_page,
}
