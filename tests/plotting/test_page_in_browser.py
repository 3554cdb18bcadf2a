"""The page, as its readers see it: in a Chromium without a window."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from small_text_ext.plotting import write_data_map_html
from small_text_ext.training.dynamics_metrics import map_regions
from tests.browsers import chromium
from tests.plotting.made_up_maps import made_up_map

NUM_ITEMS = 300
CLASSES = ["World", "Sports", "Business"]
NASTY = "</script><b>bold</b>\u2028{{data}}"


@dataclass
class Opened:
    """A page in the browser, the map on it, and what went wrong or was asked for."""

    page: Any
    metrics: pd.DataFrame
    texts: list[str]
    labels: NDArray[np.int64]
    regions: dict[str, NDArray[np.int64]]
    noise: pd.DataFrame
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def place(self, row: int) -> dict[str, float]:
        found: dict[str, float] = self.page.evaluate("(row) => locate(row)", row)
        return found

    def hover(self, row: int) -> None:
        self.page.mouse.move(**self.place(row))

    def count(self) -> int:
        text = self.page.inner_text("#count")
        shown, of_all = re.fullmatch(r"([\d,]+) of ([\d,]+) items shown", text).groups()  # type: ignore[union-attr]
        assert of_all == str(NUM_ITEMS)
        return int(shown.replace(",", ""))

    def lonely(self) -> int:
        """Return the item farthest from its nearest neighbour: it is hovered alone."""
        places = self.metrics[["variability", "confidence"]].to_numpy() * (2, 1)
        distances = np.linalg.norm(places[:, None] - places[None], axis=2)
        np.fill_diagonal(distances, np.inf)
        return int(distances.min(axis=1).argmax())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:  # noqa: ANN401
    metrics = made_up_map(NUM_ITEMS)
    texts = [f"Text number {row}." for row in range(NUM_ITEMS)]
    labels = np.arange(NUM_ITEMS) % len(CLASSES)
    low = metrics.nsmallest(120, "confidence")
    noise = low[["guid", "index"]].assign(
        score=1 - low["confidence"], label=labels[low.index], predicted=0
    )
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    view = Opened(page, metrics, texts, labels, map_regions(metrics, 0.25), noise)
    texts[view.lonely()] = NASTY
    write_data_map_html(
        tmp_path / "map.html",
        metrics,
        texts=texts,
        labels=labels,
        class_names=CLASSES,
        regions=view.regions,
        noise=noise.sample(frac=1, random_state=0),
        title="Made <up> map",
    )
    page.on("pageerror", lambda error: view.errors.append(str(error)))
    page.on("console", lambda message: view.errors.append(message.text))
    page.on("request", lambda request: view.requests.append(request.url))
    page.goto((tmp_path / "map.html").as_uri())
    yield view
    page.close()
    assert not view.errors
    assert view.requests == [(tmp_path / "map.html").as_uri()]


def test_the_title_is_text(opened: Opened) -> None:
    assert opened.page.title() == "Made <up> map"
    assert opened.page.inner_text("h1") == "Made <up> map"


def test_hovering_an_item_shows_its_text_labels_and_metrics(opened: Opened) -> None:
    row = opened.lonely()
    assert opened.page.is_hidden("#tip")
    opened.hover(row)
    tip = opened.page.locator("#tip")
    assert tip.is_visible()
    # As it was passed, and no element was made of it.
    assert tip.locator(".text").text_content() == NASTY
    assert tip.locator("b").count() == 0
    facts = dict(
        zip(tip.locator("dt").all_inner_texts(), tip.locator("dd").all_inner_texts(), strict=True)
    )
    item = opened.metrics.iloc[row]
    assert facts["guid"] == f"item-{row}"
    assert facts["label"] == CLASSES[row % 3]
    assert facts["confidence"] == f"{item['confidence']:.3f}"
    assert facts["variability"] == f"{item['variability']:.3f}"
    assert f"({item['correctness']} of 6 epochs)" in facts["correctness"]
    opened.page.mouse.move(5, 5)
    assert opened.page.is_hidden("#tip")


def test_an_item_is_drawn_where_it_is_hovered(opened: Opened) -> None:
    row = opened.lonely()
    place = opened.place(row)
    before = _picture(opened.page.screenshot())
    other = before[round(place["y"]) - 12, round(place["x"])]
    assert np.abs(before[round(place["y"]), round(place["x"])] - other).max() > 0.2


def test_classes_are_filtered(opened: Opened) -> None:
    assert opened.count() == NUM_ITEMS
    sports = opened.page.get_by_role("checkbox", name="Sports")
    sports.uncheck()
    assert opened.count() == (opened.labels != 1).sum()
    opened.page.get_by_role("button", name="None classes").click()
    assert opened.count() == 0
    sports.check()
    assert opened.count() == (opened.labels == 1).sum()
    opened.page.get_by_role("button", name="All classes").click()
    assert opened.count() == NUM_ITEMS


def test_a_filtered_item_is_not_hovered(opened: Opened) -> None:
    row = opened.lonely()
    opened.page.get_by_role("checkbox", name=CLASSES[row % 3]).uncheck()
    opened.hover(row)
    tip = opened.page.locator("#tip")
    assert tip.is_hidden() or NASTY not in (tip.text_content() or "")


def test_regions_are_filtered_alone_and_with_classes(opened: Opened) -> None:
    opened.page.get_by_role("button", name="None regions").click()
    opened.page.get_by_role("checkbox", name="hard").check()
    assert opened.count() == len(opened.regions["hard"])
    opened.page.get_by_role("checkbox", name="ambiguous").check()
    either = np.union1d(opened.regions["hard"], opened.regions["ambiguous"])
    assert opened.count() == len(either)
    opened.page.get_by_role("checkbox", name="World").uncheck()
    assert opened.count() == (opened.labels[either] != 0).sum()


def test_texts_are_searched(opened: Opened) -> None:
    opened.page.fill("#search", "NUMBER 7")
    expected = [text for text in opened.texts if "number 7" in text.lower()]
    assert opened.count() == len(expected) > 1


def test_the_noise_table_is_sorted_and_leads_to_the_item(opened: Opened) -> None:
    def scores() -> list[float]:
        return [
            float(text) for text in opened.page.locator("tbody td:nth-child(3)").all_inner_texts()
        ]

    head = opened.page.get_by_role("columnheader", name="score")
    assert len(scores()) == 100
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    expected = opened.noise["score"].nlargest(100).round(4)
    assert scores() == pytest.approx(expected.tolist(), abs=1.01e-4)
    opened.page.get_by_role("button", name="Show more (20 left)").click()
    assert len(scores()) == len(opened.noise)
    first = opened.noise.sort_values("score", ascending=False).iloc[0]
    opened.page.get_by_role("button", name=first["guid"], exact=True).click()
    details = opened.page.inner_text("#details")
    assert opened.texts[first["index"]] in details
    assert first["guid"] in details


def test_the_keyboard_does_what_the_mouse_does(opened: Opened) -> None:
    opened.page.focus("#marks")
    opened.page.keyboard.press("ArrowUp")
    first = opened.page.inner_text("#tip")
    opened.page.keyboard.press("ArrowLeft")
    second = opened.page.inner_text("#tip")
    assert first != second
    opened.page.keyboard.press("Enter")
    assert opened.page.inner_text("#details") == second
    opened.page.keyboard.press("Escape")
    assert opened.page.is_hidden("#tip")
    assert "No item" in opened.page.inner_text("#details")


def test_zoom_spreads_the_items_and_comes_back(opened: Opened) -> None:
    far, near = opened.lonely(), int(opened.metrics["confidence"].argmax())
    before = [opened.place(row) for row in (far, near)]
    opened.page.get_by_role("button", name="Zoom in").click()
    after = [opened.place(row) for row in (far, near)]
    spread = [abs(pair[0]["y"] - pair[1]["y"]) for pair in (before, after)]
    assert spread[1] == pytest.approx(1.25 * spread[0], rel=0.01)
    opened.page.get_by_role("button", name="Whole map").click()
    assert opened.place(far) == before[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_screenshot_is_not_blank(opened: Opened, scheme: str, tmp_path: Path) -> None:
    opened.page.emulate_media(color_scheme=scheme)
    opened.hover(opened.lonely())
    path = tmp_path / f"{scheme}.png"
    opened.page.screenshot(path=path, full_page=True)
    picture = _picture(path.read_bytes())
    background = picture[2, 2]
    assert background.mean() > 0.9 if scheme == "light" else background.mean() < 0.2
    assert (np.abs(picture - background).max(axis=2) > 0.3).mean() > 0.02
    box = opened.page.locator("#plot").bounding_box()
    left, top = round(box["x"]), round(box["y"])
    plot = picture[top : top + round(box["height"]), left : left + round(box["width"])]
    colours = {tuple(pixel) for pixel in np.round(plot.reshape(-1, 3) * 8).astype(int)}
    assert len(colours) > 15


def _picture(png: bytes) -> NDArray[np.float64]:
    return np.asarray(imread(BytesIO(png)), dtype=np.float64)[:, :, :3]
