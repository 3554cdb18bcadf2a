"""Results as tidy tables: one row for each round, one for each unit.

A mean over seeds is only taken over units of one lineage: the same texts and labels, the same
encoder weights, classifier and loop. What differs in any of these stands in another section.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.results import (
    BATCH_SELECTION,
    FROZEN_EVALUATION,
    LABELED_SAMPLE,
    MAP_SUBSET,
    NOISE_DETECTION,
    SINGLE_FIT,
    ZERO_SHOT,
    RoundRecord,
    UnitResult,
    UnitSpec,
    canonical_json,
)
from benchmarks.statistics import normalized_area, published_area, seconds_per_query

UNIT_COLUMNS = ("suite", "dataset", "classifier", "lineage", "method", "seed")
KIND_COLUMNS = ("strategy", "ablation", "ceiling")
# Their rounds are no points of a curve over labels.
_OWN_TABLES = (
    BATCH_SELECTION,
    FROZEN_EVALUATION,
    LABELED_SAMPLE,
    MAP_SUBSET,
    NOISE_DETECTION,
    SINGLE_FIT,
    ZERO_SHOT,
)
CURVES = {"average_precision": "minority_average_precision", "f1": "minority_f1"}
PAPER_F1 = "unweighted_minority_f1"
"""F1 of the wanted classes on the test set as it is, whose curve the AnchorAL paper sums."""
_UNIT_MEASURES = (
    *("num_labeled", "minority_labeled", "found", "labeled_share", *CURVES.values()),
    *("query_seconds", "fit_seconds", "harness_seconds"),
    *("rows_scored", "subpool_size", "subpool_share"),
)
_SUMMED_F1 = "summed_f1"


@dataclass(frozen=True)
class Section:
    """The units that one table compares: one dataset, encoder, classifier and loop.

    Parameters
    ----------
    suite, dataset, classifier : str
        Names as shown in tables.
    lineage : str
        Hash of everything that the units share, see `lineage_of`.
    results : tuple of UnitResult
        The units that passed, in the order of their files.
    rivals : tuple of str
        Lineages that bear the same names in the same folder.
    """

    suite: str
    dataset: str
    classifier: str
    lineage: str
    results: tuple[UnitResult, ...]
    rivals: tuple[str, ...] = ()

    @property
    def learning(self) -> tuple[UnitResult, ...]:
        """The units that compare strategies, and ceilings."""
        return tuple(r for r in self.results if r.spec.method.strategy not in _OWN_TABLES)

    @property
    def subsets(self) -> tuple[UnitResult, ...]:
        """The units that train on a region of a data map."""
        return tuple(r for r in self.results if r.spec.method.strategy == MAP_SUBSET)

    @property
    def noise(self) -> tuple[UnitResult, ...]:
        """The units that look for flipped labels."""
        return tuple(r for r in self.results if r.spec.method.strategy == NOISE_DETECTION)

    @property
    def selections(self) -> tuple[UnitResult, ...]:
        """The units that train selected batches."""
        return tuple(r for r in self.results if r.spec.method.strategy == BATCH_SELECTION)

    @property
    def samples(self) -> tuple[UnitResult, ...]:
        """The units that are fitted on a number of labels."""
        return tuple(r for r in self.results if r.spec.method.strategy == LABELED_SAMPLE)

    @property
    def zero_shot(self) -> tuple[UnitResult, ...]:
        """The units that do without labels."""
        return tuple(r for r in self.results if r.spec.method.strategy == ZERO_SHOT)

    @property
    def method_names(self) -> list[str]:
        """Name of each unit's method, with a hash where one name stands for several methods."""
        return _method_names(self.results, [self.lineage] * len(self.results))

    def method_name(self, result: UnitResult) -> str:
        """Return the name of the method of one of these units, see `method_names`."""
        return self._names[id(result)]

    @cached_property
    def _names(self) -> dict[int, str]:
        return dict(zip(map(id, self.results), self.method_names, strict=True))

    @property
    def frozen(self) -> tuple[UnitResult, ...]:
        """The units that judge encoders as they are."""
        return tuple(r for r in self.results if r.spec.method.strategy == FROZEN_EVALUATION)

    @property
    def single_fits(self) -> tuple[UnitResult, ...]:
        """The units of one fit that is judged by itself."""
        return tuple(r for r in self.results if r.spec.method.strategy == SINGLE_FIT)

    @property
    def title(self) -> str:
        """The section in one line; names that two lineages bear are told apart by their hash."""
        name = f"{self.suite} · {self.dataset} · {self.classifier}"
        return f"{name} · {self.lineage}" if self.rivals else name


def lineage_of(spec: UnitSpec) -> str:
    """Return a short hash of what units must share before their numbers may be averaged.

    Parameters
    ----------
    spec : UnitSpec
        What a unit ran.

    Returns
    -------
    str
        Eight hexadecimal digits over dataset (its fingerprint included), encoder, classifier and
        protocol; the method and the seed are free.
    """
    content = spec.model_dump(mode="json", include={"dataset", "encoder", "classifier", "protocol"})
    return _short_hash(content)


def split_sections(results: Iterable[UnitResult]) -> list[Section]:
    """Group the units that passed by suite, dataset, classifier and lineage.

    Parameters
    ----------
    results : iterable of UnitResult
        Units of any kind; failed ones are left out.

    Returns
    -------
    list of Section
        In the order of the units.
    """
    groups: dict[tuple[str, str, str], dict[str, list[UnitResult]]] = {}
    for result in results:
        if result.status == "passed":
            spec = result.spec
            names = (spec.suite, spec.dataset.id, spec.classifier.id)
            groups.setdefault(names, {}).setdefault(lineage_of(spec), []).append(result)
    return [
        Section(
            *names, lineage, tuple(units), tuple(other for other in lineages if other != lineage)
        )
        for names, lineages in groups.items()
        for lineage, units in lineages.items()
    ]


def rounds_frame(results: Sequence[UnitResult]) -> pd.DataFrame:
    """Return one row for each round of each unit that passed.

    Parameters
    ----------
    results : sequence of UnitResult
        Units of any kind.

    Returns
    -------
    pandas.DataFrame
        Names of the unit (``method`` made unique where one name stands for several
        specifications), ``round``, ``num_labeled``, ``step``, every metric, ``labeled_share`` and
        ``subpool_share`` (share of the minority classes in labels and in subpool; missing where
        all classes are wanted), ``found``,
        sizes, seconds as ``<step>_seconds``, and cumulative ``query_minutes`` and ``minutes``
        (query and fit).
    """
    passed = [result for result in results if result.status == "passed"]
    lineages = [lineage_of(result.spec) for result in passed]
    names = _method_names(passed, lineages)
    rows = [
        row
        for result, method, lineage in zip(passed, names, lineages, strict=True)
        for row in _unit_rows(result, method, lineage)
    ]
    return pd.DataFrame(rows)


def units_frame(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each unit: its curves cut to a common number of labels, as numbers.

    Parameters
    ----------
    rounds : pandas.DataFrame
        Rounds of one section, from `rounds_frame`.

    Returns
    -------
    pandas.DataFrame
        Names of the unit, ``strategy``, ``ablation`` and ``ceiling``, and what `summarize_unit`
        returns. A ceiling keeps its one round, whatever its number of labels.
    """
    budget = common_budget(rounds)
    names = (*UNIT_COLUMNS, *KIND_COLUMNS)
    columns = {name: rounds[name].to_numpy() for name in names} | _unit_columns(rounds)
    rows = []
    for places in _unit_places(rounds):
        first = places[0]
        kept = places
        if not columns["ceiling"][first]:
            kept = places[columns["num_labeled"][places] <= budget]
        unit = {name: columns[name][kept] for name in (*_UNIT_MEASURES, _SUMMED_F1)}
        rows.append({name: columns[name][first] for name in names} | _summarize(unit))
    return pd.DataFrame(rows)


def _unit_places(rounds: pd.DataFrame) -> list[NDArray[np.int64]]:
    """Return the rows of each unit, in their order: slicing the frame itself takes far longer."""
    codes = rounds.groupby(list(UNIT_COLUMNS), sort=False).ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def common_budget(rounds: pd.DataFrame) -> int | None:
    """Return the number of labels that every unit of a section reached; None for ceilings alone."""
    if rounds.empty:
        return None
    curves = rounds[~rounds["ceiling"].astype(bool)]
    if curves.empty:
        return None
    return int(curves.groupby(["method", "seed"])["num_labeled"].max().min())


def summarize_unit(unit: pd.DataFrame) -> dict[str, float | None]:
    """Return the numbers of one unit.

    Parameters
    ----------
    unit : pandas.DataFrame
        The rounds of one unit in order, from `rounds_frame`.

    Returns
    -------
    dict of str to float or None
        ``num_labeled``, ``minority_labeled``, ``found`` and ``labeled_share`` at the end; of
        average precision and F1 the last value (``final_``), the area over labels (``area_``) and
        the area as published (``published_area_``; of F1 on the test set as it is, where any round
        of the table has it), None for a single round; and ``query_seconds``, ``harness_seconds``,
        ``rows_scored``, ``subpool_size`` and ``subpool_share`` as means over the queries,
        ``first_query_seconds`` (which builds the index) and ``later_query_seconds`` (the mean of
        all others) apart, ``total_query_seconds`` and ``total_fit_seconds`` as sums.
    """
    return _summarize(_unit_columns(unit))


def _unit_columns(rounds: pd.DataFrame) -> dict[str, NDArray[Any]]:
    columns = {name: rounds[name].to_numpy() for name in _UNIT_MEASURES}
    # One section has one or the other: results of before there was the former have the latter.
    has_own = PAPER_F1 in rounds and rounds[PAPER_F1].notna().any()
    return columns | {_SUMMED_F1: rounds[PAPER_F1 if has_own else CURVES["f1"]].to_numpy()}


def _summarize(columns: Mapping[str, NDArray[Any]]) -> dict[str, float | None]:
    numbers: dict[str, float | None] = {
        name: _value(columns[name][-1])
        for name in ("num_labeled", "minority_labeled", "found", "labeled_share")
    }
    for name, metric in CURVES.items():
        curve = [_value(value) for value in columns[metric]]
        is_curve = len(curve) > 1
        numbers[f"final_{name}"] = curve[-1]
        numbers[f"area_{name}"] = (
            normalized_area(columns["num_labeled"].tolist(), curve) if is_curve else None
        )
        summed = [_value(value) for value in columns[_SUMMED_F1]] if name == "f1" else curve
        numbers[f"published_area_{name}"] = published_area(summed) if is_curve else None
    seconds = columns["query_seconds"]
    numbers["query_seconds"] = seconds_per_query(seconds)
    numbers["first_query_seconds"] = seconds_per_query(seconds[:2])
    numbers["later_query_seconds"] = seconds_per_query(seconds[1:])
    for name in ("harness_seconds", "rows_scored", "subpool_size", "subpool_share"):
        numbers[name] = _known_mean(columns[name][1:])
    numbers["total_query_seconds"] = float(seconds[1:].sum())
    numbers["total_fit_seconds"] = float(columns["fit_seconds"].sum())
    return numbers


def _known_mean(values: NDArray[Any]) -> float | None:
    """Return the mean of what was measured; None where nothing was."""
    known = [float(value) for value in values if not pd.isna(value)]
    return float(np.mean(known)) if known else None


def _method_names(results: Sequence[UnitResult], lineages: Sequence[str]) -> list[str]:
    """Return the name of each unit's method, with a hash where one name means several methods."""
    hashes = [
        _short_hash(r.spec.method.model_dump(mode="json", exclude={"ablation"})) for r in results
    ]
    meanings: dict[tuple[str, ...], set[str]] = {}
    keys = [
        _method_key(result.spec, lineage) for result, lineage in zip(results, lineages, strict=True)
    ]
    for key, content in zip(keys, hashes, strict=True):
        meanings.setdefault(key, set()).add(content)
    return [
        key[-1] if len(meanings[key]) == 1 else f"{key[-1]} ({content})"
        for key, content in zip(keys, hashes, strict=True)
    ]


def _method_key(spec: UnitSpec, lineage: str) -> tuple[str, ...]:
    return (spec.suite, spec.dataset.id, spec.classifier.id, lineage, spec.method.id)


def _short_hash(content: object) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:8]


def _unit_rows(result: UnitResult, method: str, lineage: str) -> list[dict[str, object]]:
    spec = result.spec
    names = {
        "suite": spec.suite,
        "dataset": spec.dataset.id,
        "classifier": spec.classifier.id,
        "lineage": lineage,
        "method": method,
        "seed": spec.seed.number,
        "strategy": spec.method.strategy,
        "ablation": spec.method.ablation,
        "ceiling": result.is_ceiling,
    }
    rows, query_seconds, fit_seconds = [], 0.0, 0.0
    for record in result.rounds:
        query_seconds += record.seconds.get("query", 0.0)
        fit_seconds += record.seconds.get("fit", 0.0)
        minutes = {
            "query_minutes": query_seconds / 60,
            "minutes": (query_seconds + fit_seconds) / 60,
        }
        rows.append(names | _round_values(record, spec.dataset.minority) | minutes)
    return rows


def _round_values(record: RoundRecord, minority: Sequence[str]) -> dict[str, object]:
    seconds = {
        f"{step}_seconds": record.seconds.get(step, 0.0)
        for step in ("query", "fit", "evaluate", "harness")
    }
    return {
        "round": record.round,
        "num_labeled": record.num_labeled,
        "step": record.step,
        **record.metrics,
        "labeled_share": _minority_share(record.labeled_counts, minority),
        "subpool_share": _minority_share(record.subpool_counts, minority),
        "subpool_size": record.subpool_size,
        "num_anchors": record.num_anchors,
        "rows_scored": record.rows_scored,
        **seconds,
    }


def _minority_share(counts: dict[str, int] | None, minority: Sequence[str]) -> float | None:
    if not minority or not counts or not sum(counts.values()):
        return None
    return sum(counts.get(name, 0) for name in minority) / sum(counts.values())


def _value(value: object) -> float | None:
    return None if pd.isna(value) else float(value)  # type: ignore[arg-type, call-overload]
