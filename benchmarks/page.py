"""The report as one HTML page: a leaderboard, curves to hover, and every unit with its error."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from benchmarks.figures import KNOWN_STYLES
from benchmarks.frames import Section, rounds_frame
from benchmarks.results import ErrorRecord, RoundRecord, UnitResult, canonical_json, write_text
from benchmarks.statistics import Estimate, estimate_mean
from benchmarks.tables import Comparison
from small_text_ext._pages import fill_template, script_json
from small_text_ext.plotting import MethodStyle, method_styles, summarize_curves

PAGE_NAME = "report.html"
LEARNING_MEASURES = (
    "area_average_precision",
    "area_f1",
    "published_area_average_precision",
    "published_area_f1",
    "labeled_share",
    "subpool_share",
    "subpool_size",
    "rows_scored",
    "first_query_seconds",
    "later_query_seconds",
    "total_query_seconds",
    "total_fit_seconds",
)

# The first of these that were measured have a band: resampling all would take longer than the rest.
_MAIN = ("minority_average_precision", "minority_f1", "accuracy", "macro_f1")
_NUM_BANDS = 2
_FIRST_SHOWN = ("area_average_precision", "macro_f1", "accuracy")
_PLACES = {
    "labels": "num_labeled",
    "minutes of queries and fits": "minutes",
    "minutes of queries": "query_minutes",
}
_STEPS = {"gradient steps": "num_labeled", **dict(list(_PLACES.items())[1:])}
_CURVE_COLUMNS = ("labeled_share", "subpool_share", "subpool_size", "rows_scored", "query_seconds")
_DASHES = {"-": "", "--": "7 4", "-.": "8 3 2 3", ":": "2 3"}
_DIGITS = 5
_TRACEBACK_LENGTH = 6000


def write_page(
    path: Path, comparisons: Sequence[Comparison], results: Sequence[UnitResult], title: str
) -> None:
    """Write the page: one file that needs nothing else, not even a network.

    The leaderboard is sorted by any column and filtered by suite, data set, classifier, method and
    metric; curves show their values where they are hovered, or by the arrow keys; each unit has an
    address of its own (``report.html#unit=3``) with its specification, where it ran, its last
    metrics, and its error. Curves are drawn in the browser, when they are looked at.

    Parameters
    ----------
    path : pathlib.Path
        The file; one that is there is replaced in one step.
    comparisons : sequence of Comparison
        The sections of the report.
    results : sequence of UnitResult
        All units, failed ones included.
    title : str
        Of the page.
    """
    content = {
        "sections": [_section_names(each.section) for each in comparisons],
        "leaderboard": [row for i, each in enumerate(comparisons) for row in board_rows(each, i)],
        "first": list(_FIRST_SHOWN),
        "curves": [curve for i, each in enumerate(comparisons) for curve in curves_of(each, i)],
        **unit_content(results),
    }
    template = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    write_text(
        path, fill_template(template, {"title": html.escape(title), "data": script_json(content)})
    )


def _section_names(section: Section) -> dict[str, str]:
    names = {"suite": section.suite, "dataset": section.dataset, "classifier": section.classifier}
    return {**names, "mark": section.lineage if section.rivals else ""}


def board_rows(comparison: Comparison, place: int) -> list[dict[str, Any]]:
    """Return the leaderboard's rows of one section.

    Parameters
    ----------
    comparison : Comparison
        The section.
    place : int
        Its position among the sections.

    Returns
    -------
    list of dict
        For each method its ``name``, ``seeds``, ``labels`` and ``values``: metric to mean and ends
        of the interval. A curve is read where all methods of the section have as many labels; areas
        and seconds are those of the report's tables.
    """
    section = comparison.section
    units: dict[str, list[UnitResult]] = {}
    for name, result in zip(section.method_names, section.results, strict=True):
        units.setdefault(name, []).append(result)
    return [
        {
            "section": place,
            "name": name,
            "seeds": len(found),
            "labels": _number(fmean(_last(unit, comparison)["num_labeled"] or 0 for unit in found)),
            "values": _values(comparison, name, found),
        }
        for name, found in units.items()
    ]


def _values(
    comparison: Comparison, name: str, units: Sequence[UnitResult]
) -> dict[str, list[float | None]]:
    estimates: dict[str, Estimate | None] = {}
    if name in comparison.methods:
        estimates = {each: comparison.estimate(name, each) for each in LEARNING_MEASURES}
    metrics = [_last(unit, comparison) for unit in units]
    for metric in dict.fromkeys(key for each in metrics for key in each if key != "num_labeled"):
        estimates[metric] = estimate_mean(each.get(metric) for each in metrics)
    return {
        key: [_number(found.mean), _number(found.low), _number(found.high)]
        for key, found in estimates.items()
        if found is not None
    }


def _last(unit: UnitResult, comparison: Comparison) -> dict[str, float | None]:
    """Return the metrics of the last round that the section compares."""
    budget = comparison.budget
    inside = [r for r in unit.rounds if budget is None or r.num_labeled <= budget] or unit.rounds
    return {**inside[-1].metrics, "num_labeled": float(inside[-1].num_labeled)}


def curves_of(comparison: Comparison, place: int) -> list[dict[str, Any]]:
    """Return the curves of one section: over labels and minutes, and over gradient steps.

    Parameters
    ----------
    comparison : Comparison
        The section.
    place : int
        Its position among the sections.

    Returns
    -------
    list of dict
        None, one or two panels: ``section``, ``places`` (names of the horizontal axes), ``metrics``
        and ``methods``, each with a look, places and values, and whether it is an ablation (the
        page hides these at first).
    """
    found = []
    rounds = comparison.rounds
    if not rounds.empty:
        apart = set(comparison.ablations)
        found.append(_panel(rounds, place, _PLACES, comparison.methods, apart))
    if comparison.section.selections:
        steps = rounds_frame(comparison.section.selections)
        steps = steps.assign(num_labeled=steps["step"])
        apart = set(steps.loc[steps["ablation"].astype(bool), "method"])
        found.append(_panel(steps, place, _STEPS, sorted(steps["method"].unique()), apart))
    return [panel for panel in found if panel["methods"]]


def _panel(
    rounds: pd.DataFrame,
    place: int,
    places: Mapping[str, str],
    order: Sequence[str],
    ablations: set[str],
) -> dict[str, Any]:
    sizes = rounds.groupby("method")["num_labeled"].nunique()
    shown = [name for name in order if sizes[name] > 1]
    kept = rounds[rounds["method"].isin(shown)]
    metrics = _metric_columns(kept)
    keys = ["method", "num_labeled"]
    wanted = [*metrics, *(name for name in places.values() if name not in keys)]
    means = kept.groupby(keys)[wanted].mean().reset_index()
    bands = {
        metric: summarize_curves(kept, y=metric).set_index(keys)
        for metric in [name for name in _MAIN if name in metrics][:_NUM_BANDS]
    }
    styles = method_styles(shown, KNOWN_STYLES)
    by_method = dict(iter(means.groupby("method")))
    return {
        "section": place,
        "places": list(places),
        "metrics": metrics,
        "methods": [
            {
                **_curve(name, by_method[name], styles[name], places, metrics, bands),
                "ablation": name in ablations,
            }
            for name in shown
        ],
    }


def _metric_columns(rounds: pd.DataFrame) -> list[str]:
    first, last = (
        list(rounds.columns).index("step") + 1,
        list(rounds.columns).index("query_minutes"),
    )
    names = [name for name in rounds.columns[first:last] if name not in ("num_anchors",)]
    measured = [name for name in names if rounds[name].notna().any()]
    others = [name for name in measured if name not in _MAIN and not _is_clock(name)]
    return [*(name for name in _MAIN if name in measured), *others, "query_seconds"]


def _is_clock(name: str) -> bool:
    return name.endswith("_seconds")


def _curve(
    name: str,
    means: pd.DataFrame,
    style: MethodStyle,
    places: Mapping[str, str],
    metrics: Iterable[str],
    bands: Mapping[str, pd.DataFrame],
) -> dict[str, Any]:
    return {
        "name": name,
        "color": "" if style.color == "#000000" else style.color,
        "dash": _DASHES[style.linestyle],
        "places": {title: _numbers(means[column]) for title, column in places.items()},
        "values": {metric: _numbers(means[metric]) for metric in metrics},
        "bands": {
            metric: [
                _numbers(band.loc[name].reindex(means["num_labeled"])[end])
                for end in ("low", "high")
            ]
            for metric, band in bands.items()
            if name in band.index.get_level_values(0)
        },
    }


class _Once:
    """Values that many units share, each kept once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:  # noqa: ANN401 - anything JSON can hold
        """Return where a value stands."""
        key = canonical_json(value)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


def unit_content(results: Sequence[UnitResult]) -> dict[str, Any]:
    """Return all units, what they share written once.

    Parameters
    ----------
    results : sequence of UnitResult
        All units, in order.

    Returns
    -------
    dict
        ``units``, and under ``shared`` what they point to by number: data set, encoder, classifier
        and protocol, methods, environments and errors.
    """
    shared = _Once()
    return {"units": [_unit(result, shared) for result in results], "shared": shared.values}


def _unit(result: UnitResult, shared: _Once) -> dict[str, Any]:
    spec, environment, error = result.spec, result.environment, result.error
    together = {"suite", "dataset", "encoder", "classifier", "protocol"}
    last = result.rounds[-1] if result.rounds else None
    return {
        "spec": shared.place(spec.model_dump(mode="json", include=together)),
        "method": shared.place(spec.method.model_dump(mode="json")),
        "seed": list(spec.seed.model_dump().values()),
        "status": result.status,
        "hash": result.spec_hash,
        "path": spec.relative_path.as_posix(),
        "environment": shared.place(environment.model_dump(mode="json", exclude={"finished_at"})),
        "finished": environment.finished_at,
        "rounds": len(result.rounds),
        "labels": None if last is None else last.num_labeled,
        "seconds": _number(sum(map(_spent, result.rounds))),
        "metrics": {} if last is None else {k: _number(v) for k, v in last.metrics.items()},
        "error": None if error is None else shared.place(_shortened(error)),
    }


def _spent(record: RoundRecord) -> float:
    """Return the seconds of a round; names with a point, and ``select``, are parts of others."""
    return sum(
        seconds for name, seconds in record.seconds.items() if "." not in name and name != "select"
    )


def _shortened(error: ErrorRecord) -> dict[str, str]:
    return {**error.model_dump(), "traceback": error.traceback[-_TRACEBACK_LENGTH:]}


def _numbers(values: pd.Series[float]) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: float | None) -> float | None:
    """Return what JSON can hold, to 5 digits: what is not finite is missing."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}") if value % 1 else int(value)
