"""What the options of the command line make of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.classifiers import classifier_kind, classifier_kinds
from benchmarks.datasets import ALL_RARE, DATASETS
from benchmarks.experiments import changes_classifier
from benchmarks.methods import is_recorded
from benchmarks.parsing import (
    apply_overrides,
    check_folders,
    dataset_entry,
    parse_suite,
    read_suite,
)
from benchmarks.specs import ClassifierEntry, DatasetEntry, MethodEntry, Suite, method_record
from benchmarks.suggestions import SuiteError, unknown_name


@dataclass(frozen=True)
class Selection:
    """The options of ``run`` and ``plan`` that change a suite.

    Parameters
    ----------
    suite : str
        Name or path.
    seeds : int or None
        Number of seeds, for all classifiers.
    datasets, methods, classifiers : sequence of str
        What to keep; empty keeps all. A data set that the suite does not have, but the registry
        does (or ``csv:PATH``, ``hub:NAME``), is run under the suite's protocol. A kind of
        classifier that it does not have is run with its default parameters, and with all methods
        but ceilings that change the parameters of another kind.
    encoder : str or None
        Another encoder.
    overrides : sequence of str
        ``key=value``.
    minority : sequence of str
        The wanted classes of every kept data set.
    prevalence : float or None
        Their share in the pool.
    model : str or None
        Another pretrained model for every kept classifier that has one: ``minilm``, a folder, or a
        name on the hub.
    plugins : sequence of str
        Plugins beside those of the suite, each ``module:function``.
    """

    suite: str
    seeds: int | None = None
    datasets: Sequence[str] = field(default=())
    methods: Sequence[str] = field(default=())
    classifiers: Sequence[str] = field(default=())
    encoder: str | None = None
    overrides: Sequence[str] = field(default=())
    minority: Sequence[str] = field(default=())
    prevalence: float | None = None
    model: str | None = None
    plugins: Sequence[str] = field(default=())


def select_suite(selection: Selection) -> Suite:
    """Read a suite and apply the options.

    Parameters
    ----------
    selection : Selection
        The options.

    Returns
    -------
    Suite
        The checked suite, with what was asked for.

    Raises
    ------
    SuiteError
        If an option names something unknown, or the suite is wrong.
    """
    raw = apply_overrides(read_suite(selection.suite), selection.overrides)
    if selection.plugins:
        raw["plugins"] = [*raw.get("plugins", ()), *selection.plugins]
    if selection.seeds is not None:
        raw = _with_seeds(raw, selection.seeds)
    if selection.encoder is not None:
        raw["encoder"] = {**raw.get("encoder", {}), "name": selection.encoder}
    suite = parse_suite(raw)
    if suite.out_of_scope is not None:
        raise SuiteError(f"'{suite.name}' cannot be run, it is out of scope: {suite.out_of_scope}")
    selected = suite.model_copy(
        update={
            "datasets": _selected_datasets(suite, selection),
            "classifiers": _selected_classifiers(suite, selection),
            "methods": _kept("method", _methods(suite, selection), selection.methods),
        }
    )
    check_folders(selected)
    _check_not_empty(selected)
    return selected


def _with_seeds(raw: Mapping[str, Any], seeds: int) -> dict[str, Any]:
    """Return a raw suite with so many seeds for all classifiers."""
    tables = raw.get("classifiers")
    changed = {**raw, "seeds": seeds}
    if isinstance(tables, dict):
        changed["classifiers"] = {
            name: {key: value for key, value in table.items() if key != "seeds"}
            if isinstance(table, dict)
            else table
            for name, table in tables.items()
        }
    return changed


def _selected_datasets(suite: Suite, selection: Selection) -> tuple[DatasetEntry, ...]:
    names = selection.datasets or [entry.id for entry in suite.datasets]
    found = [entry for name in names for entry in _named_entries(suite, name)]
    changes: dict[str, Any] = {}
    if selection.minority:
        changes["minority"] = tuple(selection.minority)
    if selection.prevalence is not None:
        changes["prevalence"] = selection.prevalence
    if changes:
        found = [dataset_entry({**_without_id(entry), **changes}) for entry in found]
    return tuple({entry.id: entry for entry in found}.values())


def _named_entries(suite: Suite, name: str) -> list[DatasetEntry]:
    """Return the suite's data sets of this id or name, or a new one where it has none."""
    by_id = [entry for entry in suite.datasets if entry.id == name]
    found = by_id or [entry for entry in suite.datasets if entry.name == name]
    if found:
        return found
    base, _, classes = name.partition(":")
    if name in DATASETS or base in ("csv", "hub"):
        return [dataset_entry({"name": name})]
    if base in DATASETS and classes:
        return [_entry_of_id(base, classes)]
    raise unknown_name("data set", name, [*(entry.id for entry in suite.datasets), *DATASETS])


def _entry_of_id(name: str, variant: str) -> DatasetEntry:
    """Return a data set by its id as reports show it, such as ``bbc-news:tech@0.02``."""
    classes, _, share = variant.rpartition("@")
    try:
        prevalence = float(share) if classes else None
    except ValueError:
        prevalence = None
    wanted = variant if prevalence is None else classes
    return dataset_entry({"name": name, "minority": _class_list(wanted), "prevalence": prevalence})


def _class_list(text: str) -> str | tuple[str, ...]:
    return ALL_RARE if text == ALL_RARE else tuple(text.split("+"))


def _without_id(entry: DatasetEntry) -> dict[str, Any]:
    content = entry.model_dump(exclude={"id"}, exclude_none=True)
    return content if entry.wanted else {**content, "minority": None}


def _selected_classifiers(suite: Suite, selection: Selection) -> dict[str, ClassifierEntry]:
    """Return the classifiers asked for; one that the suite lacks has its default parameters."""
    found = dict(suite.classifiers)
    for name in _added_classifiers(suite, selection):
        found[name] = ClassifierEntry(kind=name)
    for name in selection.classifiers:
        if name not in found:
            raise unknown_name("classifier", name, [*suite.classifiers, *classifier_kinds()])
    kept = _kept("classifier", found, selection.classifiers)
    return kept if selection.model is None else _with_models(kept, selection.model)


def _added_classifiers(suite: Suite, selection: Selection) -> list[str]:
    known = classifier_kinds()
    return [
        name for name in selection.classifiers if name not in suite.classifiers and name in known
    ]


def _methods(suite: Suite, selection: Selection) -> dict[str, MethodEntry]:
    """Return the suite's methods, as they fit the classifiers that it does not have.

    What a ceiling changes of the suite's classifiers fits no added one, and what looks at training
    dynamics fits those that can be recorded.
    """
    added = _added_classifiers(suite, selection)
    if not added:
        return suite.methods
    own = tuple(suite.classifiers)
    recorded = (*own, *(name for name in added if classifier_kind(name).is_recorded))
    methods = {}
    for name, entry in suite.methods.items():
        kept = entry.classifiers
        if kept is None and changes_classifier(entry.strategy) and entry.params:
            kept = own
        elif kept is None and is_recorded(method_record(name, entry)):
            kept = recorded
        methods[name] = entry.model_copy(update={"classifiers": kept})
    return methods


def _with_models(classifiers: dict[str, ClassifierEntry], model: str) -> dict[str, ClassifierEntry]:
    named = {
        name: entry.model_copy(update={"params": {**entry.params, "model": model}})
        for name, entry in classifiers.items()
        if classifier_kind(entry.kind).takes_model
    }
    if not named:
        kinds = [name for name in classifier_kinds() if classifier_kind(name).takes_model]
        raise SuiteError(
            f"--model {model}: none of the classifiers ({', '.join(classifiers)}) starts from a "
            f"pretrained model: add --classifier {kinds[0]}, or leave --model out."
        )
    return {**classifiers, **named}


def _kept(kind: str, known: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    for name in wanted:
        if name not in known:
            raise unknown_name(f"{kind} of this suite", name, known)
    return {name: value for name, value in known.items() if not wanted or name in wanted}


def _check_not_empty(suite: Suite) -> None:
    pairs = [(entry.id, name) for entry in suite.datasets for name in suite.classifiers]
    if not any(suite.method_records(*pair) for pair in pairs):
        raise SuiteError(
            f"Nothing is left of suite '{suite.name}': none of its methods "
            f"({', '.join(suite.methods)}) runs on {', '.join(e.id for e in suite.datasets)} with "
            f"{', '.join(suite.classifiers)}."
        )
