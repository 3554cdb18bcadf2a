from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from benchmarks.frames import split_sections
from benchmarks.page import board_rows, curves_of, unit_content, write_page
from benchmarks.results import BATCH_SELECTION, UnitResult
from benchmarks.tables import Comparison
from tests.benchmarks.synthetic import make_failure, make_result, rising_curve
from tests.browsers import chromium

METHODS = {"random": 0.2, "seals": 0.6, "anchoral": 0.7}
NASTY = "<script>alert(1)</script>{{data}}"
NUM_SEEDS = 3


def _results() -> list[UnitResult]:
    results = [
        make_result(name, seed, rising_curve(final, seed), subpool_size=500)
        for name, final in METHODS.items()
        for seed in range(NUM_SEEDS)
    ]
    other = {"id": "all", "fingerprint": "0" * 64}
    results += [make_result("random", seed, [0.9] * 5, dataset=other) for seed in range(NUM_SEEDS)]
    nasty = {"id": NASTY, "strategy": "SEALS", "ablation": False}
    results.append(make_result("seals", 0, [0.5] * 5, method=nasty))
    failure = make_failure("seals", 9)
    assert failure.error is not None
    error = failure.error.model_copy(update={"message": NASTY, "traceback": "x" * 9000 + "the end"})
    return [*results, failure.model_copy(update={"error": error})]


def _comparisons(results: Sequence[UnitResult]) -> list[Comparison]:
    return [Comparison(section) for section in split_sections(results)]


def _written(results: Sequence[UnitResult], folder: Path) -> Path:
    path = folder / "report.html"
    write_page(path, _comparisons(results), results, "Made <up>")
    return path


def test_the_leaderboard_holds_what_the_tables_hold() -> None:
    comparison = _comparisons(_results())[0]
    rows = {row["name"]: row for row in board_rows(comparison, 4)}
    assert set(rows) == {*METHODS, NASTY}
    seals = rows["seals"]
    assert (seals["section"], seals["seeds"], seals["labels"]) == (4, NUM_SEEDS, 200)
    expected = comparison.estimate("seals", "area_f1")
    assert expected is not None
    assert seals["values"]["area_f1"][0] == pytest.approx(expected.mean, rel=1e-4)
    last = np.mean([rising_curve(0.6, seed)[-1] for seed in range(NUM_SEEDS)])
    assert seals["values"]["macro_f1"][0] == pytest.approx(last, rel=1e-4)
    assert rows[NASTY]["values"]["macro_f1"] == [0.5, None, None]


def test_the_leaderboard_reads_curves_where_all_have_as_many_labels() -> None:
    results = [make_result("random", 0), make_result("seals", 0, [0.1, 0.2])]
    rows = {row["name"]: row for row in board_rows(_comparisons(results)[0], 0)}
    assert rows["random"]["labels"] == rows["seals"]["labels"] == 125
    assert rows["random"]["values"]["macro_f1"][0] == 0.2


def test_curves_are_means_with_bands_over_labels_and_minutes() -> None:
    (panel,) = curves_of(_comparisons(_results())[0], 0)
    assert panel["places"] == ["labels", "minutes of queries and fits", "minutes of queries"]
    assert panel["metrics"][:2] == ["minority_average_precision", "minority_f1"]
    assert {"accuracy", "labeled_share", "subpool_size"} <= set(panel["metrics"])
    anchoral = next(method for method in panel["methods"] if method["name"] == "anchoral")
    assert anchoral["places"]["labels"] == [100, 125, 150, 175, 200]
    assert anchoral["places"]["minutes of queries"] == pytest.approx(
        [0, 0.5 / 60, 1 / 60, 1.5 / 60, 2 / 60], rel=1e-4
    )
    curves = np.array([rising_curve(0.7, seed) for seed in range(NUM_SEEDS)])
    values = anchoral["values"]["minority_average_precision"]
    assert values == pytest.approx(curves.mean(axis=0), rel=1e-4)
    low, high = anchoral["bands"]["minority_average_precision"]
    assert low == pytest.approx(curves.min(axis=0), rel=1e-4)
    assert high == pytest.approx(curves.max(axis=0), rel=1e-4)


def test_selected_batches_have_curves_over_gradient_steps() -> None:
    method = {"strategy": BATCH_SELECTION, "params": {"score": "loss"}, "ablation": False}
    result = make_result("loss", 0, method=method)
    rounds = tuple(
        record.model_copy(update={"num_labeled": 100, "step": 10 * record.round})
        for record in result.rounds
    )
    (panel,) = curves_of(_comparisons([result.model_copy(update={"rounds": rounds})])[0], 0)
    assert panel["places"][0] == "gradient steps"
    assert panel["methods"][0]["places"]["gradient steps"] == [0, 10, 20, 30, 40]


def test_ablations_are_marked() -> None:
    results = [make_result("anchoral", 0), make_result("anchors-5", 0)]
    (panel,) = curves_of(_comparisons(results)[0], 0)
    marks = {method["name"]: method["ablation"] for method in panel["methods"]}
    assert marks == {"anchoral": False, "anchors-5": True}


def test_one_round_is_no_curve() -> None:
    assert curves_of(_comparisons([make_result("full-data", 0, [0.8])])[0], 0) == []


def test_selection_is_a_part_of_the_fit() -> None:
    result = make_result("full-data", 0, [0.8])
    (record,) = result.rounds
    seconds = {"fit": 10.0, "select": 6.0, "fit.score": 4.0, "evaluate": 1.0}
    timed = record.model_copy(update={"seconds": seconds})
    content = unit_content([result.model_copy(update={"rounds": (timed,)})])
    assert content["units"][0]["seconds"] == 11.0


def test_what_units_share_is_written_once() -> None:
    results = _results()
    content = unit_content(results)
    assert len(content["units"]) == len(results)
    # Two data sets, four methods, one environment, one error.
    assert len(content["shared"]) == 2 + 4 + 1 + 1
    failed = content["units"][-1]
    error = content["shared"][failed["error"]]
    assert error["traceback"].endswith("the end") and len(error["traceback"]) == 6000
    first = content["units"][0]
    assert content["shared"][first["spec"]]["dataset"]["id"] == "sections:radio"
    assert first["seconds"] == pytest.approx(4 * 0.5 + 5 * 2.11, rel=1e-4)


def test_the_page_is_one_file_without_network_and_the_same_every_time(tmp_path: Path) -> None:
    first = _written(_results(), tmp_path).read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)""", first)
    assert "<title>Made &lt;up&gt;</title>" in first
    assert first.count("</script>") == 2
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', first)
    assert data is not None and json.loads(data[1])["units"][-1]["status"] == "failed"
    assert _written(_results(), tmp_path).read_text(encoding="utf-8") == first


@dataclass
class Opened:
    """A page in the browser, and what went wrong or was asked for."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def cells(self, table: str, column: int) -> list[str]:
        found: list[str] = self.page.locator(
            f"#{table} tbody td:nth-child({column})"
        ).all_inner_texts()
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:  # noqa: ANN401
    address = _written(_results(), tmp_path).as_uri()
    view = Opened(browser.new_page(viewport={"width": 1200, "height": 900}))
    view.page.on("pageerror", lambda error: view.errors.append(str(error)))
    view.page.on("console", lambda message: view.errors.append(message.text))
    view.page.on("request", lambda request: view.requests.append(request.url))
    view.page.goto(address)
    yield view
    view.page.close()
    assert not view.errors
    assert view.requests == [address]


def test_columns_are_sorted_by_mouse_and_keyboard(opened: Opened) -> None:
    head = opened.page.locator("#board").get_by_role("columnheader", name="mean")
    assert head.get_attribute("aria-sort") == "descending"
    means = [float(text) for text in opened.cells("board", 2)]
    assert means == sorted(means, reverse=True) and len(means) == 5
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in opened.cells("board", 2)] == sorted(means)
    method = opened.page.locator("#board").get_by_role("columnheader", name="method")
    method.get_by_role("button").focus()
    opened.page.keyboard.press("Enter")
    assert method.get_attribute("aria-sort") == "ascending"
    assert head.get_attribute("aria-sort") == "none"
    assert opened.cells("board", 1) == [NASTY, "anchoral", "random", "random", "seals"]


def test_rows_are_filtered_by_data_set_method_and_metric(opened: Opened) -> None:
    opened.page.select_option("#by-dataset", "all")
    assert opened.cells("board", 1) == ["random"]
    assert set(opened.cells("units", 4)) == {"all"}
    opened.page.select_option("#by-dataset", "(all)")
    opened.page.fill("#by-method", "SEA")
    assert opened.cells("board", 1) == ["seals"]
    opened.page.fill("#by-method", "")
    opened.page.select_option("#metric", "macro_f1")
    last = np.mean([rising_curve(0.7, seed)[-1] for seed in range(NUM_SEEDS)])
    assert opened.cells("board", 2)[:2] == ["0.900", f"{last:.3f}"]
    assert opened.page.inner_text("#board-count") == "5 of 5 rows shown"


def test_names_and_messages_are_text(opened: Opened) -> None:
    assert opened.page.inner_text("h1") == "Made <up>"
    assert NASTY in opened.cells("board", 1)
    opened.page.select_option("#by-status", "failed")
    assert opened.cells("units", 2) == ["failed: RuntimeError"]
    opened.page.locator("#units tbody a").click()
    assert opened.page.is_hidden("#overview")
    assert opened.page.locator("pre.error").text_content() == NASTY
    assert "the end" in opened.page.inner_text("#unit-body")
    opened.page.get_by_role("link", name="All units").click()
    assert opened.page.is_hidden("#unit") and opened.page.is_visible("#board")


def test_a_unit_has_an_address(opened: Opened) -> None:
    opened.page.evaluate("location.hash = '#unit=2'")
    opened.page.wait_for_selector("#unit-body pre")
    assert opened.page.inner_text("#unit-title") == "sections:radio · mlp · random · seed 2"
    spec = json.loads(opened.page.locator("#unit-body pre").first.text_content())
    assert spec["method"]["strategy"] == "RandomSampling"
    assert spec["seed"] == {"number": 2, "data": 2, "model": 2, "query": 2}


def test_hovering_a_point_shows_its_values(opened: Opened) -> None:
    place = opened.page.evaluate(
        "points.findIndex((p) => p.method.name === 'anchoral' && p.labels === 150)"
    )
    opened.page.locator("#chart").scroll_into_view_if_needed()
    assert opened.page.is_hidden("#tip")
    opened.page.mouse.move(**opened.page.evaluate("(place) => locate(place)", place))
    mean = np.mean([rising_curve(0.7, seed)[2] for seed in range(NUM_SEEDS)])
    lines = opened.page.inner_text("#tip").split("\n")
    assert lines[:2] == ["anchoral", f"minority average precision: {mean:.3f}"]
    assert lines[-1] == "labels: 150"
    opened.page.mouse.move(5, 5)
    assert opened.page.is_hidden("#tip")


def test_the_keyboard_goes_along_curves(opened: Opened) -> None:
    opened.page.focus("#chart")
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("ArrowRight")
    first = opened.page.inner_text("#tip")
    assert first.startswith("random") and "labels: 125" in first
    opened.page.keyboard.press("ArrowDown")
    second = opened.page.inner_text("#tip")
    assert not second.startswith("random") and "labels: 125" in second
    opened.page.keyboard.press("Escape")
    assert opened.page.is_hidden("#tip")


def test_curves_are_hidden_and_drawn_over_minutes(opened: Opened) -> None:
    shown = opened.page.locator("#chart polyline").count()
    opened.page.get_by_role("checkbox", name="seals").uncheck()
    assert opened.page.locator("#chart polyline").count() == shown - 1
    opened.page.select_option("#place", "minutes of queries")
    largest = opened.page.evaluate("Math.max(...points.map((p) => p.x))")
    assert largest == pytest.approx(2 / 60, rel=1e-3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_screenshot_is_not_blank(opened: Opened, scheme: str) -> None:
    opened.page.emulate_media(color_scheme=scheme)
    picture = np.asarray(imread(BytesIO(opened.page.screenshot(full_page=True))))[:, :, :3]
    background = picture[2, 2]
    assert background.mean() > 0.9 if scheme == "light" else background.mean() < 0.2
    assert (np.abs(picture - background).max(axis=2) > 0.3).mean() > 0.01
    chart = opened.page.locator("#chart").bounding_box()
    top, left = round(chart["y"]), round(chart["x"])
    drawn = picture[top : top + round(chart["height"]), left : left + round(chart["width"])]
    assert len({tuple(pixel) for pixel in np.round(drawn.reshape(-1, 3) * 8).astype(int)}) > 10


def test_a_phone_shows_the_page_without_scrolling_sideways(opened: Opened) -> None:
    opened.page.set_viewport_size({"width": 390, "height": 800})
    opened.page.wait_for_function("document.querySelector('#chart').viewBox.baseVal.width < 390")
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_thousand_rows_are_shown_in_parts(browser: Any, tmp_path: Path) -> None:  # noqa: ANN401
    results = [make_result("random", seed, [0.1, 0.2]) for seed in range(250)]
    page = browser.new_page()
    page.goto(_written(results, tmp_path).as_uri())
    assert page.locator("#units tbody tr").count() == 100
    page.get_by_role("button", name="Show more (150 left)").click()
    page.get_by_role("button", name="Show more (50 left)").click()
    assert page.inner_text("#units-count") == "250 of 250 rows shown"
    page.close()
