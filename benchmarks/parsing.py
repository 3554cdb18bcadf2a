"""Reading suites: TOML and overrides, checked, with the nearest name where one is unknown."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from benchmarks.classifiers import check_classifier
from benchmarks.methods import METHODS, check_method, nested_method
from benchmarks.specs import (
    ClassifierEntry,
    DatasetEntry,
    EncoderEntry,
    MethodEntry,
    Suite,
    method_record,
)
from benchmarks.suggestions import SuiteError, unknown_name

SUITES_FOLDER = Path(__file__).parent / "suites"

_SECTIONS: Mapping[str, type[BaseModel]] = {
    "encoder": EncoderEntry,
    "datasets": DatasetEntry,
    "classifiers": ClassifierEntry,
    "methods": MethodEntry,
}


def suite_names(folder: Path = SUITES_FOLDER) -> list[str]:
    """Return the names of the suites that come with the project."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def read_suite(name: str) -> dict[str, Any]:
    """Read a suite as it stands in its file.

    Parameters
    ----------
    name : str
        A name that ``list`` shows, or the path of a TOML file.

    Returns
    -------
    dict
        The raw content; ``name`` is the file's unless it says otherwise.

    Raises
    ------
    SuiteError
        If there is no such suite, or it is no TOML.
    """
    path = Path(name) if name.endswith(".toml") else SUITES_FOLDER / f"{name}.toml"
    if not path.is_file():
        raise unknown_name("suite", name, suite_names())
    try:
        return {"name": path.stem, **tomllib.loads(path.read_text(encoding="utf-8"))}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} is no TOML: {error}.") from error


def apply_overrides(raw: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Set dotted keys of a raw suite.

    Parameters
    ----------
    raw : mapping
        A raw suite; it is not changed.
    overrides : sequence of str
        ``key=value``, such as ``rounds=5``, ``datasets.0.max_texts=500`` or
        ``methods.anchoral.num_anchors=20``. Values are read as TOML, and as text where they are
        none.

    Returns
    -------
    dict
        The changed copy.

    Raises
    ------
    SuiteError
        If an override has no ``=``, or its key leads through something that has no keys.

    Examples
    --------
    >>> apply_overrides({"rounds": 20, "methods": {"a": {}}}, ["rounds=5", "methods.a.k=[1, 2]"])
    {'rounds': 5, 'methods': {'a': {'k': [1, 2]}}}
    """
    return reduce(_overridden, overrides, dict(raw))


def _overridden(raw: dict[str, Any], override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    if not key or not equals:
        raise SuiteError(f"--set {override}: write --set key=value, such as --set rounds=5.")
    changed: dict[str, Any] = _set(raw, key.split("."), _toml_value(text), override)
    return changed


def _set(node: Any, keys: Sequence[str], value: Any, override: str) -> Any:  # noqa: ANN401
    if not keys:
        return value
    key = keys[0]
    if isinstance(node, dict):
        return {**node, key: _set(node.get(key, {}), keys[1:], value, override)}
    if isinstance(node, list) and key.isdigit() and int(key) < len(node):
        position = int(key)
        changed = _set(node[position], keys[1:], value, override)
        return [*node[:position], changed, *node[position + 1 :]]
    raise SuiteError(f"--set {override}: '{key}' leads nowhere in the suite.")


def _toml_value(text: str) -> Any:  # noqa: ANN401
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def parse_suite(raw: Mapping[str, Any]) -> Suite:
    """Check a raw suite and resolve its presets.

    Parameters
    ----------
    raw : mapping
        What :func:`read_suite` or :func:`apply_overrides` returned.

    Returns
    -------
    Suite
        The suite; every name in it exists, and every parameter is one of its class.

    Raises
    ------
    SuiteError
        If something in it is unknown or out of range; the message names the key and the nearest
        known one.
    """
    prepared = dict(raw)
    for section, gather in (("methods", _gather_method), ("classifiers", _gather_classifier)):
        tables = prepared.get(section)
        if isinstance(tables, dict):
            prepared[section] = {name: gather(name, table) for name, table in tables.items()}
    try:
        suite = Suite.model_validate(prepared)
    except ValidationError as error:
        raise _explained(error, str(raw.get("name"))) from error
    methods = {name: _resolved(suite, name) for name in suite.methods}
    suite = suite.model_copy(update={"methods": methods})
    _check_references(suite)
    return suite


def dataset_entry(content: Mapping[str, Any]) -> DatasetEntry:
    """Check one data set on its own, as :func:`parse_suite` does those of a suite."""
    try:
        return DatasetEntry.model_validate(content)
    except ValidationError as error:
        raise _explained(error, "the command line") from error


def _resolved(suite: Suite, name: str) -> MethodEntry:
    """Put the methods that a method refers to in the place of their names."""
    entry = suite.methods[name]
    params = {key: _resolved_value(suite, name, value) for key, value in entry.params.items()}
    return entry.model_copy(update={"params": params})


def _resolved_value(suite: Suite, method: str, value: Any) -> Any:  # noqa: ANN401 - raw TOML
    if not isinstance(value, dict) or set(value) != {"method"}:
        return value
    name = str(value["method"])
    if name not in suite.methods:
        raise unknown_name(f"method that '{method}' refers to", name, suite.methods)
    if any(isinstance(item, dict) for item in suite.methods[name].params.values()):
        raise SuiteError(f"method '{method}' refers to '{name}', which refers to another one.")
    return nested_method(method_record(name, suite.methods[name]))


def _gather_method(name: str, table: Any) -> Any:  # noqa: ANN401 - raw TOML
    if not isinstance(table, dict):
        return table
    rest = dict(table)
    preset_name = rest.pop("preset", name if "strategy" not in rest else None)
    if preset_name is None:
        return _split_params(rest, MethodEntry)
    if preset_name not in METHODS:
        raise unknown_name(f"preset of method '{name}'", preset_name, METHODS)
    preset = METHODS[preset_name]
    filled = {"strategy": preset.strategy, "base": preset.base, **(preset.params or {})}
    return _split_params({**filled, **rest}, MethodEntry)


def _gather_classifier(name: str, table: Any) -> Any:  # noqa: ANN401 - raw TOML
    if not isinstance(table, dict):
        return table
    return _split_params({"kind": name, **table}, ClassifierEntry)


def _split_params(table: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    own = set(model.model_fields) - {"params"}
    known = {key: value for key, value in table.items() if key in own}
    return {**known, "params": {k: v for k, v in table.items() if k not in own}}


def _check_references(suite: Suite) -> None:
    ids = [entry.id for entry in suite.datasets]
    if len(set(ids)) != len(ids):
        raise SuiteError(f"Two data sets of suite '{suite.name}' have one id: {ids}. Set id.")
    for classifier in suite.classifier_records():
        check_classifier(classifier.kind, classifier.params)
    for name, entry in suite.methods.items():
        for dataset in (None, *entry.on):
            check_method(method_record(name, entry, dataset))
        for dataset in (*(entry.datasets or ()), *entry.on):
            if dataset not in ids:
                raise unknown_name(f"data set of method '{name}'", dataset, ids)
        for classifier_name in entry.classifiers or ():
            if classifier_name not in suite.classifiers:
                raise unknown_name(
                    f"classifier of method '{name}'", classifier_name, suite.classifiers
                )


def _explained(error: ValidationError, suite: str) -> SuiteError:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    if first["type"] == "extra_forbidden":
        section = _SECTIONS.get(location[0], Suite) if len(location) > 1 else Suite
        found = unknown_name(f"key of suite '{suite}'", location[-1], section.model_fields)
        return SuiteError(f"{key}: {found}")
    if first["type"] == "value_error":  # one of ours, raised while pydantic was reading
        return SuiteError(str(first["ctx"]["error"]))
    given = first.get("input")
    shown = "" if first["type"] == "missing" else f" (given: {given!r})"
    return SuiteError(f"suite '{suite}', {key}: {first['msg']}{shown}.")
