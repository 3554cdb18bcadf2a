"""The public file formats of dataset cartography, and the arrays of a large recording."""

from __future__ import annotations

import functools
import gzip
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from small_text_ext._files import write_whole

_EPOCH_FILE = re.compile(r"dynamics_epoch_(\d+)\.jsonl")
_PUBLISHED_FOLDER = "training_dynamics"
_PUBLISHED_METRICS = (
    "guid",
    "index",
    "threshold_closeness",
    "confidence",
    "variability",
    "correctness",
    "forgetfulness",
)
_ARRAYS = ("logits", "labels", "ids")
_REGIONS = ("hard", "easy", "ambiguous")


def read_epochs(folder: Path) -> tuple[NDArray[np.float64], NDArray[Any], list[Any]]:
    """Read ``dynamics_epoch_0.jsonl`` and the files after it.

    Parameters
    ----------
    folder : pathlib.Path
        Holds them, or holds a folder ``training_dynamics`` that does.

    Returns
    -------
    logits : numpy.ndarray of float64, shape (epochs, items, classes)
        Items in the order of epoch 0.
    labels : numpy.ndarray, shape (items,) of int64, or (items, classes)
        As in the lines' ``gold``.
    ids : list of int or str
        As in the lines' ``guid``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file is cut off, or does not fit the others: the message names file, line and item.
    """
    paths = _epoch_paths(folder)
    ids: dict[Any, int] = {}
    epochs: list[dict[Any, list[float]]] = []
    labels: list[Any] = []
    for epoch, path in enumerate(paths):
        logits: dict[Any, list[float]] = {}
        for number, line in _lines(path):
            guid, scores, gold = _parsed(path, number, line, epoch)
            if guid in logits:
                raise _line_error(path, number, f"item {guid!r} occurs a second time")
            if epoch == 0:
                ids[guid] = len(ids)
                labels.append(gold)
            _check_line(path, number, guid, (scores, gold), ids, labels, epochs or logits)
            logits[guid] = scores
        if not logits:
            raise ValueError(f"{path} holds no items: is the file cut off?")
        missing = ids.keys() - logits.keys()
        if missing:
            first = min(missing, key=ids.__getitem__)
            raise ValueError(
                f"{path}: item {first!r} of epoch 0 is missing ({len(missing)} of {len(ids)} "
                "items are): is the file cut off? Remove it and later epochs, or record again."
            )
        epochs.append({guid: logits[guid] for guid in ids})
    array = np.array([list(epoch.values()) for epoch in epochs], dtype=np.float64)
    return array, np.array(labels), list(ids)


def write_epochs(
    folder: Path, logits: NDArray[Any], labels: NDArray[Any], ids: NDArray[Any]
) -> None:
    """Write a file per epoch, each whole or not at all.

    Parameters
    ----------
    folder : pathlib.Path
        Where to.
    logits : numpy.ndarray of float, shape (epochs, items, classes)
        The logits.
    labels : numpy.ndarray, shape (items,) or (items, classes)
        The labels.
    ids : numpy.ndarray, shape (items,)
        The guids.

    Raises
    ------
    FileExistsError
        If there are files of later epochs.
    """
    later = [path for path in folder.glob("dynamics_epoch_*.jsonl") if _number(path) >= len(logits)]
    if later:
        raise FileExistsError(
            f"{later[0]} is left of a run with more than {len(logits)} epochs, and would be read "
            "as part of this one: remove it, or write to another folder."
        )
    names, gold = ids.tolist(), labels.astype(np.int64).tolist()
    # Epoch 0 goes first and comes last: where it is, the others are those of the same run.
    (folder / "dynamics_epoch_0.jsonl").unlink(missing_ok=True)
    for epoch in reversed(range(len(logits))):
        of_epoch = logits[epoch]
        records = (
            {"guid": guid, f"logits_epoch_{epoch}": scores, "gold": label}
            for guid, scores, label in zip(names, of_epoch.tolist(), gold, strict=True)
        )
        _write_lines(folder / f"dynamics_epoch_{epoch}.jsonl", records)


def write_metrics(path: str | Path, metrics: pd.DataFrame) -> None:
    """Write metrics as the published ``td_metrics.jsonl``, with further columns after its own.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    metrics : pandas.DataFrame
        What `TrainingDynamics.metrics` returned.
    """
    columns = [name for name in _PUBLISHED_METRICS if name in metrics.columns]
    columns += [name for name in metrics.columns if name not in columns]
    values = [metrics[name].tolist() for name in columns]
    rows = zip(*values, strict=True)
    _write_lines(Path(path), (dict(zip(columns, row, strict=True)) for row in rows))


def read_metrics(path: str | Path) -> pd.DataFrame:
    """Read a ``td_metrics.jsonl`` or a file of released coordinates, gzipped or not.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; each line holds at least guid, confidence, variability and correctness.

    Returns
    -------
    pandas.DataFrame
        Its columns, a row per line.

    Raises
    ------
    ValueError
        If a line is cut off or lacks a column, or a guid occurs twice: the message names file,
        line and item.
    """
    path, records, seen = Path(path), [], set[Any]()
    for number, line in _lines(path):
        record = _json(path, number, line)
        missing = {"guid", "confidence", "variability", "correctness"} - set(record)
        if missing:
            raise _line_error(path, number, f"item {record.get('guid')!r} lacks {sorted(missing)}")
        if record["guid"] in seen:
            raise _line_error(path, number, f"item {record['guid']!r} occurs a second time")
        seen.add(record["guid"])
        records.append(record)
    if not records:
        raise ValueError(f"{path} holds no items.")
    return pd.DataFrame(records)


def write_regions(
    path: str | Path, regions: Mapping[str, NDArray[np.int64]], ids: NDArray[Any]
) -> None:
    """Write the three regions as one JSON object of lists of guids.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    regions : mapping of str to numpy.ndarray of int64
        What `TrainingDynamics.regions` returned.
    ids : numpy.ndarray
        The guids of all items.
    """
    content = {name: ids[regions[name]].tolist() for name in _REGIONS}
    text = json.dumps(content) + "\n"
    write_whole(Path(path), lambda file: file.write(text.encode("utf-8")))


def read_regions(path: str | Path) -> dict[str, list[Any]]:
    """Read a file of the three regions.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    dict of str to list of int or str
        The guids of "hard", "easy" and "ambiguous".

    Raises
    ------
    ValueError
        If it is no such file.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no whole JSON file: {error}.") from error
    if not isinstance(content, dict) or not all(
        isinstance(content.get(name), list) for name in _REGIONS
    ):
        raise ValueError(f"{path} lacks one of the lists {', '.join(_REGIONS)}.")
    return {name: content[name] for name in _REGIONS}


def write_arrays(
    folder: Path, logits: NDArray[Any], labels: NDArray[Any], ids: NDArray[Any]
) -> None:
    """Write the arrays of a recording, each whole or not at all.

    Parameters
    ----------
    folder : pathlib.Path
        Where to.
    logits, labels, ids : numpy.ndarray
        As those of `TrainingDynamics`.
    """
    # The logits go first and come last: where they are, the others are those of the same fit.
    (folder / "logits.npy").unlink(missing_ok=True)
    for name, array in zip(reversed(_ARRAYS), (ids, labels, logits), strict=True):
        write_whole(folder / f"{name}.npy", functools.partial(_save, array))


def open_arrays(folder: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Map the arrays of a recording.

    Parameters
    ----------
    folder : pathlib.Path
        Where `write_arrays` wrote them.

    Returns
    -------
    tuple of numpy.ndarray
        Logits, mapped; labels; ids.

    Raises
    ------
    FileNotFoundError
        If one is missing.
    """
    for name in _ARRAYS:
        if not (folder / f"{name}.npy").is_file():
            raise FileNotFoundError(
                f"There is no {name}.npy in {folder}: pass the folder of a DynamicsRecorder whose "
                "fit has ended."
            )
    try:
        logits = np.load(folder / "logits.npy", mmap_mode="r")
        return logits, np.load(folder / "labels.npy"), np.load(folder / "ids.npy")
    except (ValueError, EOFError) as error:
        raise ValueError(f"A file in {folder} is not whole ({error}): record again.") from error


def _save(array: NDArray[Any], file: Any) -> None:  # noqa: ANN401
    np.save(file, array)


def _number(path: Path) -> int:
    match = _EPOCH_FILE.fullmatch(path.name)
    return -1 if match is None else int(match[1])


def _epoch_paths(folder: Path) -> list[Path]:
    found = {_number(path): path for path in folder.glob("dynamics_epoch_*.jsonl")}
    found.pop(-1, None)
    if not found and (folder / _PUBLISHED_FOLDER).is_dir():
        return _epoch_paths(folder / _PUBLISHED_FOLDER)
    if not found:
        raise FileNotFoundError(f"There is no dynamics_epoch_0.jsonl in {folder}.")
    missing = sorted(set(range(max(found) + 1)) - found.keys())
    if missing:
        raise FileNotFoundError(
            f"There is a dynamics_epoch_{max(found)}.jsonl in {folder}, but no "
            f"dynamics_epoch_{missing[0]}.jsonl: epochs count from 0 without a gap."
        )
    return [found[epoch] for epoch in range(len(found))]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with (
        gzip.open(path, "rt", encoding="utf-8")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8") as file
    ):
        number = 0
        try:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
        except (EOFError, UnicodeDecodeError) as error:
            raise _line_error(
                path, number + 1, f"cannot be read ({error}); is the file cut off?"
            ) from error


def _json(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise _line_error(
            path, number, f"{line.strip()[:60]!r} is no whole JSON object; is the file cut off?"
        ) from error
    if not isinstance(record, dict):
        raise _line_error(path, number, f"{line.strip()[:60]!r} is no JSON object")
    return record


def _parsed(path: Path, number: int, line: str, epoch: int) -> tuple[Any, list[float], Any]:
    record, name = _json(path, number, line), f"logits_epoch_{epoch}"
    for key in ("guid", name, "gold"):
        if key not in record:
            raise _line_error(path, number, f"item {record.get('guid')!r} has no {key!r}")
    guid, scores, gold = record["guid"], record[name], record["gold"]
    if isinstance(guid, bool) or not isinstance(guid, int | str):
        raise _line_error(path, number, f"guid is {guid!r}, no integer or string")
    if not isinstance(scores, list) or not all(
        isinstance(score, int | float) and math.isfinite(score) for score in scores
    ):
        raise _line_error(path, number, f"item {guid!r} has {name} = {scores!r}")
    if not _is_gold(gold, len(scores)):
        raise _line_error(
            path, number, f"item {guid!r} has {len(scores)} logits and gold = {gold!r}"
        )
    return guid, scores, gold


def _is_gold(gold: Any, num_classes: int) -> bool:  # noqa: ANN401
    if isinstance(gold, list):
        return len(gold) == num_classes and all(value in (0, 1) for value in gold)
    return isinstance(gold, int) and 0 <= gold < num_classes


def _check_line(
    path: Path,
    number: int,
    guid: Any,  # noqa: ANN401
    read: tuple[list[float], Any],
    ids: Mapping[Any, int],
    labels: list[Any],
    before: list[dict[Any, list[float]]] | dict[Any, list[float]],
) -> None:
    """Check that an item fits what was read before."""
    scores, gold = read
    if guid not in ids:
        raise _line_error(path, number, f"item {guid!r} is not in epoch 0")
    if labels[ids[guid]] != gold or type(labels[0]) is not type(gold):
        raise _line_error(
            path, number, f"item {guid!r} is of class {gold}, in epoch 0 of {labels[ids[guid]]}"
        )
    first = before[0] if isinstance(before, list) else before
    expected = next(iter(first.values()), scores)
    if len(scores) != len(expected):
        raise _line_error(
            path, number, f"item {guid!r} has {len(scores)} logits, others have {len(expected)}"
        )


def _line_error(path: Path, number: int, what: str) -> ValueError:
    return ValueError(f"{path}, line {number}: {what}.")


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    def write(file: Any) -> None:  # noqa: ANN401
        for record in records:
            try:
                line = json.dumps(record, allow_nan=False)
            except ValueError as error:
                raise ValueError(
                    f"Item {record.get('guid')!r} holds what is no number ({record}): {path} is "
                    "not written."
                ) from error
            file.write((line + "\n").encode("utf-8"))

    write_whole(path, write)
