"""Results as one table for other tools: a Parquet file, a row for each unit and round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from benchmarks.results import (
    NoResultsError,
    RoundRecord,
    UnitResult,
    canonical_json,
    iterate_results,
    writing,
)
from small_text_ext._extras import require_extra
from small_text_ext._files import write_whole

_SPLIT = ("metrics", "seconds")
_LISTS = ("picks", "notes")


def flatten_record(record: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Return the fields of a record and of the records in it, under dotted names.

    Parameters
    ----------
    record : pydantic.BaseModel
        Such as a specification.
    prefix : str, default=""
        What stands before each name.

    Returns
    -------
    dict of str to Any
        Texts, numbers and None; what is a list or a dictionary as JSON, since its shape may differ
        from unit to unit.

    Examples
    --------
    >>> from benchmarks.results import MethodRecord
    >>> flatten_record(MethodRecord(id="a", strategy="A", params={"k": [1, 2]}), "method.")
    {'method.id': 'a', 'method.strategy': 'A', 'method.base': None, 'method.params': '{"k":[1,2]}',
     'method.ablation': False, 'method.plugin': None}
    """
    row: dict[str, Any] = {}
    plain = record.model_dump(mode="json")
    for name in type(record).model_fields:
        value = getattr(record, name)
        if isinstance(value, BaseModel):
            row |= flatten_record(value, f"{prefix}{name}.")
        else:
            row[prefix + name] = _scalar(plain.get(name, value))
    return row


def _scalar(value: Any) -> Any:  # noqa: ANN401
    return canonical_json(value) if isinstance(value, Mapping | tuple | list) else value


def export_frame(results: Iterable[UnitResult]) -> pd.DataFrame:
    """Return one row for each unit and round.

    Parameters
    ----------
    results : iterable of UnitResult
        Units of any kind.

    Returns
    -------
    pandas.DataFrame
        The specification (``suite``, ``dataset.id``, ``method.params``, ``seed.number``, ...),
        ``spec_hash``, ``status``, ``error``, where it ran (``environment.revision``, ...), and the
        fields of the round: ``metrics.<name>`` and ``seconds.<name>`` as numbers, ``picks`` and
        ``notes`` as lists, other tables as JSON. A failed unit has one row without a round. Areas
        and other summaries are left out: they follow from the rounds.
    """
    return pd.DataFrame([row for result in results for row in _rows(result)])


def _rows(result: UnitResult) -> list[dict[str, Any]]:
    error = result.error
    unit = {
        **flatten_record(result.spec),
        "spec_hash": result.spec_hash,
        "status": result.status,
        "error": None if error is None else f"{error.type}: {error.message}",
        **flatten_record(result.environment, "environment."),
    }
    return [unit | _round_row(record) for record in result.rounds] or [unit]


def _round_row(record: RoundRecord) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in RoundRecord.model_fields:
        value = getattr(record, name)
        if name in _SPLIT:
            row |= {f"{name}.{key}": number for key, number in value.items()}
        else:
            row[name] = list(value) if name in _LISTS else _scalar(value)
    return row


def export_results(folder: Path, out: Path) -> int:
    """Write the results of a folder to a Parquet file.

    Parameters
    ----------
    folder : Path
        A folder of results.
    out : Path
        The file; an old one is replaced.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    NoResultsError
        If there are no results.
    UnwritableError
        If the file cannot be written.
    """
    require_extra("pyarrow", "parquet")
    frame = export_frame(iterate_results(folder))
    if frame.empty:
        raise NoResultsError(
            f"{folder} holds no results: run `python -m benchmarks run SUITE --out {folder}` first."
        )
    with writing(out):
        write_whole(out, lambda file: frame.to_parquet(file, engine="pyarrow", index=False))
    return len(frame)
