"""Reading suites: TOML and overrides, checked, with the nearest name where one is unknown."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from benchmarks.classifiers import check_classifier, check_recorded
from benchmarks.experiments import changes_classifier
from benchmarks.kinds import JUDGE_EPOCHS
from benchmarks.methods import METHODS, check_method, is_recorded
from benchmarks.plugins import load_plugins
from benchmarks.results import folder_name
from benchmarks.specs import (
    ClassifierEntry,
    DatasetEntry,
    EncoderEntry,
    MethodEntry,
    Publication,
    PublishedNumber,
    Suite,
    method_record,
)
from benchmarks.suggestions import SuiteError, unknown_name

SUITES_FOLDER = Path(__file__).parent / "suites"
PUBLISHED_FOLDER = SUITES_FOLDER / "published"

_EXTENDS, _REPLACES = "extends", "replaces"
_NOT_EXTENDED = ("name", "description", "published")

_SECTIONS: Mapping[str, type[BaseModel]] = {
    "encoder": EncoderEntry,
    "datasets": DatasetEntry,
    "classifiers": ClassifierEntry,
    "methods": MethodEntry,
    "published": Publication,
    "published.numbers": PublishedNumber,
}


def suite_names(folder: Path = SUITES_FOLDER) -> list[str]:
    """Return the names of the suites that come with the project, but for those of publications."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def published_names() -> list[str]:
    """Return the ids of the published experiments that have a suite."""
    return suite_names(PUBLISHED_FOLDER)


def read_suite(name: str) -> dict[str, Any]:
    """Read a suite as it stands in its file, joined with the one that it extends.

    ``extends = "NAME"`` takes all of another suite but for its name, its description and what it
    says of a publication. Tables are joined key by key, and own keys win; lists are taken whole.
    ``replaces = ["methods"]`` names top-level tables that are not joined but taken whole, too.

    Parameters
    ----------
    name : str
        A name that ``list`` shows, the id of a published experiment, or the path of a TOML file.
        What a file extends is looked for beside it where it ends in ``.toml``.

    Returns
    -------
    dict
        The raw content; ``name`` is the file's unless it says otherwise.

    Raises
    ------
    SuiteError
        If there is no such suite, it is no TOML, or suites extend each other in a circle.
    """
    return _read_file(_suite_path(name), ())


def _suite_path(name: str, beside: Path | None = None) -> Path:
    folders = (SUITES_FOLDER, PUBLISHED_FOLDER)
    if name.endswith(".toml"):
        found = [(beside or Path()) / name]
    else:
        found = [folder / f"{name}.toml" for folder in folders]
    for path in found:
        if path.is_file():
            return path
    raise unknown_name("suite", name, [*suite_names(), *published_names()])


def _read_file(path: Path, extended_by: tuple[Path, ...]) -> dict[str, Any]:
    path = path.resolve()
    if path in extended_by:
        circle = " -> ".join(each.stem for each in (*extended_by, path))
        raise SuiteError(f"Suites extend each other in a circle: {circle}. Cut it somewhere.")
    try:
        own = {"name": path.stem, **tomllib.loads(path.read_text(encoding="utf-8"))}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} is no TOML: {error}.") from error
    other, replaced = own.pop(_EXTENDS, None), own.pop(_REPLACES, [])
    if other is None:
        return own
    extended = _read_file(_suite_path(str(other), path.parent), (*extended_by, path))
    for key in replaced:
        if key not in own:
            raise SuiteError(f"suite '{path.stem}': replaces names '{key}', which it has none of.")
    return _joined(
        {key: value for key, value in extended.items() if key not in (*_NOT_EXTENDED, *replaced)},
        own,
    )


def _joined(extended: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    joined = {**extended, **own}
    for key in extended.keys() & own.keys():
        if isinstance(extended[key], dict) and isinstance(own[key], dict):
            joined[key] = _joined(extended[key], own[key])
    return joined


def apply_overrides(raw: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Set dotted keys of a raw suite.

    Parameters
    ----------
    raw : mapping
        A raw suite; it is not changed.
    overrides : sequence of str
        ``key=value``, such as ``rounds=5``, ``datasets.0.max_texts=500`` or
        ``methods.anchoral.num_anchors=20``. Keys with dots in them are quoted, as in TOML. Values
        are read as TOML, and as text where they are none.

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
    changed: dict[str, Any] = _set(raw, _split_key(key), _toml_value(text), override)
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


def _split_key(key: str) -> list[str]:
    """Split a dotted key as TOML does: `a."b.c"` is a, then b.c."""
    try:
        node = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return key.split(".")
    parts: list[str] = []
    while isinstance(node, dict):
        (part,) = node
        parts.append(part)
        node = node[part]
    return parts


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
    load_plugins(_plugin_names(raw))
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


def _plugin_names(raw: Mapping[str, Any]) -> list[str]:
    names = raw.get("plugins", [])
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise SuiteError(f'plugins is {names!r}: write plugins = ["module:function"].')
    return list(names)


def dataset_entry(content: Mapping[str, Any]) -> DatasetEntry:
    """Check one data set on its own, as :func:`parse_suite` does those of a suite."""
    try:
        return DatasetEntry.model_validate(content)
    except ValidationError as error:
        raise _explained(error, "the command line") from error


def _resolved(suite: Suite, name: str) -> MethodEntry:
    """Put the methods and classifiers that a method refers to in the place of their names.

    Which parameters they have depends on the data set, so they stay entries here; the reference
    holds even where a selection leaves the method itself out.
    """
    entry = suite.methods[name]
    params, *others = (
        {key: _resolved_value(suite, name, value) for key, value in table.items()}
        for table in (entry.params, *entry.on.values())
    )
    return entry.model_copy(
        update={"params": params, "on": dict(zip(entry.on, others, strict=True))}
    )


def _resolved_value(suite: Suite, method: str, value: Any) -> Any:  # noqa: ANN401 - raw TOML
    if _is_reference(value, "classifier"):
        named = str(value["classifier"])
        if named not in suite.classifiers:
            raise unknown_name(f"classifier that '{method}' refers to", named, suite.classifiers)
        return suite.classifiers[named]
    if not _is_reference(value):
        return value
    name = str(value["method"])
    if name not in suite.methods:
        raise unknown_name(f"method that '{method}' refers to", name, suite.methods)
    other = suite.methods[name]
    tables = (other.params, *other.on.values())
    if any(_is_reference(item) for table in tables for item in table.values()):
        raise SuiteError(f"method '{method}' refers to '{name}', which refers to another one.")
    return other


def _is_reference(value: Any, to: str = "method") -> bool:  # noqa: ANN401 - raw TOML
    return isinstance(value, dict) and set(value) == {to}


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
    check_folders(suite)
    known = {name for entry in suite.datasets for name in (entry.id, entry.name)}
    for classifier in suite.classifier_records():
        check_classifier(classifier.kind, classifier.params)
    for name, used in suite.classifiers.items():
        _check_names(f"data set of classifier '{name}'", used.datasets, known)
        _check_names(f"method of classifier '{name}'", used.methods, suite.methods)
    for name, entry in suite.methods.items():
        for names in ((), *((dataset,) for dataset in entry.on)):
            check_method(method_record(name, entry, names))
        _check_ceiling(suite, name)
        _check_recorded(suite, name)
        _check_names(f"data set of method '{name}'", (*(entry.datasets or ()), *entry.on), known)
        _check_names(f"classifier of method '{name}'", entry.classifiers, suite.classifiers)


def _check_names(kind: str, names: Sequence[str] | None, known: Collection[str]) -> None:
    for name in names or ():
        if name not in known:
            raise unknown_name(kind, name, known)


def _check_ceiling(suite: Suite, name: str) -> None:
    """Check that every classifier takes what a ceiling changes of it."""
    entry = suite.methods[name]
    if not changes_classifier(entry.strategy):
        return
    if "model" in entry.params:
        raise SuiteError(
            f"method '{name}' names a model, but a ceiling has its classifier's: name it there."
        )
    for used, classifier in suite.classifiers.items():
        if suite.runs_with(used, name):
            check_classifier(classifier.kind, {**classifier.params, **entry.params})


def _check_recorded(suite: Suite, name: str) -> None:
    """Check that every classifier of a method that looks at training dynamics can be recorded."""
    records = [method_record(name, suite.methods[name], names) for names in ((), *_places(suite))]
    if not any(is_recorded(record) for record in records):
        return
    for used, classifier in suite.classifiers.items():
        if suite.runs_with(used, name):
            check_recorded(used, classifier.kind, f"method '{name}'")
            if classifier.params.get(JUDGE_EPOCHS):
                raise SuiteError(
                    f"method '{name}' records the fits of '{used}' itself: set {JUDGE_EPOCHS} on a "
                    "classifier that it does not run with (classifiers = [...])."
                )


def _places(suite: Suite) -> list[tuple[str, str]]:
    return [(entry.name, entry.id) for entry in suite.datasets]


def check_folders(suite: Suite) -> None:
    """Check that no two data sets, classifiers or methods write into one folder.

    Raises
    ------
    SuiteError
        If two do; the message names both.
    """
    for kind, names in (
        ("data sets", [entry.id for entry in suite.datasets]),
        ("classifiers", list(suite.classifiers)),
        ("methods", list(suite.methods)),
    ):
        owners: dict[str, str] = {}
        for name in names:
            # Some file systems do not tell capital letters from small ones.
            folder = folder_name(name).casefold()
            if folder in owners:
                raise SuiteError(
                    f"Two {kind} of suite '{suite.name}' have one result folder ('{folder}'): "
                    f"'{owners[folder]}' and '{name}'. Give one of them another "
                    f"{'id' if kind == 'data sets' else 'name'}."
                )
            owners[folder] = name


def _model_at(location: Sequence[str | int]) -> type[BaseModel]:
    """Return the model of the section that a key stands in: the nearest that is known."""
    keys = [key for key in location if isinstance(key, str)]
    places = [".".join(keys[:end]) for end in range(len(keys), 0, -1)]
    return next((_SECTIONS[place] for place in places if place in _SECTIONS), Suite)


def _explained(error: ValidationError, suite: str) -> SuiteError:
    found_errors = error.errors()
    # A key that is written wrong is also one that is missing: what was written says more.
    first = next((e for e in found_errors if e["type"] == "extra_forbidden"), found_errors[0])
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    if first["type"] == "extra_forbidden":
        fields = _model_at(first["loc"][:-1]).model_fields
        found = unknown_name(f"key of suite '{suite}'", location[-1], fields)
        return SuiteError(f"{key}: {found}")
    if first["type"] == "value_error":  # one of ours, raised while pydantic was reading
        return SuiteError(str(first["ctx"]["error"]))
    given = first.get("input")
    shown = "" if first["type"] == "missing" else f" (given: {given!r})"
    return SuiteError(f"suite '{suite}', {key}: {first['msg']}{shown}.")
