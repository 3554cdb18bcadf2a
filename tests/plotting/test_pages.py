from __future__ import annotations

import html
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from small_text_ext.plotting import write_data_map_html
from small_text_ext.training.dynamics_metrics import map_regions
from tests.plotting.made_up_maps import made_up_map

# What ends a script, opens a comment in it, ends a line in old JavaScript, names a place of the
# template.
NASTY = "</script><b>bold</b> <!--<script> \u2028\u2029 {{data}} {{title}} & \" ' \\ ü"
# Which has no encoding.
HALF_A_CHARACTER = "\ud800"


class _Elements(HTMLParser):
    """Collects the elements of a page, as a browser would find them, and the text in its data."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][1].get("id") == "data":
            self.data += data


def _read(path: Path) -> _Elements:
    elements = _Elements()
    elements.feed(path.read_text(encoding="utf-8"))
    return elements


def _write(path: Path, num_items: int = 6, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Write a page of a small map, and return the data in it."""
    arguments: dict[str, Any] = {
        "metrics": made_up_map(num_items),
        "texts": [f"text {number}" for number in range(num_items)],
        **changes,
    }
    write_data_map_html(path, arguments.pop("metrics"), **arguments)
    content: dict[str, Any] = json.loads(_read(path).data)
    return content


def test_the_data_are_those_of_the_frame(tmp_path: Path) -> None:
    metrics = made_up_map()
    content = _write(tmp_path / "map.html", 600, metrics=metrics)
    for name in ("variability", "confidence"):
        np.testing.assert_allclose(content[name], metrics[name], atol=1e-5)
    assert content["level"] == metrics["correctness"].tolist()
    assert content["guid"] == metrics["guid"].tolist()
    assert content["texts"][7] == "text 7"
    assert list(content["metrics"]) == ["forgetfulness", "aum"]
    assert content["labels"] is content["predicted"] is content["noise"] is None
    assert content["regions"] == []


def test_released_coordinates_will_do(tmp_path: Path) -> None:
    released = made_up_map(6)[["confidence", "variability", "correctness"]]
    content = _write(tmp_path / "map.html", metrics=released, num_epochs=6)
    assert content["guid"] == ["0", "1", "2", "3", "4", "5"]
    assert len(content["levels"]) == 7


def test_nothing_in_texts_labels_and_titles_breaks_the_page(tmp_path: Path) -> None:
    plain, nasty = tmp_path / "plain.html", tmp_path / "nasty.html"
    labels = ["a"] * 6
    _write(plain, labels=labels)
    metrics = made_up_map(6).assign(guid=[f"{NASTY}{number}" for number in range(6)])
    noise = pd.DataFrame({"guid": metrics["guid"], "label": NASTY, NASTY: NASTY})
    content = _write(
        nasty,
        metrics=metrics,
        texts=[NASTY + HALF_A_CHARACTER] * 6,
        labels=[NASTY] * 6,
        noise=noise,
        title=NASTY + HALF_A_CHARACTER,
    )
    assert [tag for tag, _ in _read(nasty).tags] == [tag for tag, _ in _read(plain).tags]
    assert content["texts"] == [NASTY + HALF_A_CHARACTER] * 6
    assert content["classes"] == [NASTY]
    assert content["guid"][3] == f"{NASTY}3"
    assert content["noise"]["columns"] == ["guid", "label", NASTY]
    page = nasty.read_text(encoding="utf-8")
    assert page.count(html.escape(NASTY)) == 2
    data = page[page.index('id="data">') :].split("</script>")[0]
    assert not re.search("[<>&\u2028\u2029]", data.removeprefix('id="data">'))


def test_the_page_asks_for_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "map.html"
    _write(path)
    elements = _read(path)
    assert not [tag for tag, values in elements.tags if {"src", "href"} & set(values)]
    policies = [values.get("content") for tag, values in elements.tags if tag == "meta"]
    assert any(policy and "default-src 'none'" in policy for policy in policies)
    assert "http://" not in path.read_text(encoding="utf-8").replace("http-equiv", "")


def test_what_is_not_finite_is_missing(tmp_path: Path) -> None:
    metrics = made_up_map(6)
    metrics.loc[2, "aum"], metrics.loc[3, "aum"] = np.nan, np.inf
    assert _write(tmp_path / "map.html", metrics=metrics)["metrics"]["aum"][2:4] == [None, None]


MULTI_LABEL = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([2, -1, 0], [[2], [], [0]]),
        (np.array([2.0, -np.inf, 0.0]), [[2], [], [0]]),
        (["c", "a", "b"], [[2], [0], [1]]),
        ([[0, 2], [], [1]], [[0, 2], [], [1]]),
        (MULTI_LABEL, [[0, 2], [], [1]]),
        (csr_matrix(MULTI_LABEL), [[0, 2], [], [1]]),
    ],
)
def test_labels_come_in_every_form(tmp_path: Path, labels: Any, expected: list[list[int]]) -> None:  # noqa: ANN401
    content = _write(tmp_path / "map.html", 3, labels=labels, class_names=["a", "b", "c"])
    assert content["labels"] == expected
    assert content["classes"] == ["a", "b", "c"]


def test_classes_without_names_are_numbers_in_order(tmp_path: Path) -> None:
    content = _write(tmp_path / "map.html", labels=[10, 9, 2, 2, 10, 9], predicted=[0] * 6)
    assert content["classes"] == ["0", "2", "9", "10"]
    assert content["labels"][:3] == [[3], [2], [1]]
    assert content["predicted"] == [[0]] * 6


def test_regions_are_positions(tmp_path: Path) -> None:
    metrics = made_up_map(9)
    regions = map_regions(metrics, 0.34)
    content = _write(tmp_path / "map.html", 9, metrics=metrics, regions=regions)
    found = {region["name"]: region["rows"] for region in content["regions"]}
    assert found == {name: rows.tolist() for name, rows in regions.items()}
    assert list(found) == ["easy", "ambiguous", "hard"]


def test_noise_is_matched_by_guid_then_by_index(tmp_path: Path) -> None:
    noise = pd.DataFrame({"guid": ["item-4", "item-1"], "index": [0, 0], "score": [0.9, np.nan]})
    content = _write(tmp_path / "map.html", noise=noise)["noise"]
    assert content["points"] == [4, 1]
    assert content["rows"] == [["item-4", 0, 0.9], ["item-1", 0, None]]
    by_index = noise[["score"]].assign(index=[5, 2])
    assert _write(tmp_path / "map.html", noise=by_index)["noise"]["points"] == [5, 2]
    bare = made_up_map(6)[["confidence", "variability", "correctness_fraction"]]
    table = _write(tmp_path / "map.html", metrics=bare, noise=by_index)["noise"]
    assert table["points"] == [5, 2]


def test_suspected_rows_alone_are_shown_with_names_of_classes(tmp_path: Path) -> None:
    noise = pd.DataFrame(
        {
            "guid": ["item-4", "item-1", "item-0"],
            "label": [0, 1, 0],
            "predicted": [(0, 1), (1,), ()],
            "checked": [True, False, False],
            "suspected": [True, True, False],
        }
    )
    content = _write(tmp_path / "map.html", noise=noise, class_names=["no", "yes"])["noise"]
    assert content["columns"] == ["guid", "label", "predicted", "checked"]
    assert content["rows"] == [["item-4", "no", "no, yes", "yes"], ["item-1", "yes", "yes", "no"]]
    assert content["points"] == [4, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texts": ["one"]}, "texts has 1 entries and metrics 6 rows"),
        ({"texts": ["one", 2, "three", "", "", ""]}, "texts has 2 at position 1"),
        ({"labels": [0]}, "labels has 1 entries and metrics 6 rows"),
        ({"predicted": [0] * 7}, "predicted has 7 entries and metrics 6 rows"),
        (
            {"labels": [3] * 6, "class_names": ["a"]},
            "labels has the class 3, and class_names has 1",
        ),
        ({"metrics": made_up_map(6).iloc[:0]}, "no rows"),
        ({"regions": {"simple": [0]}}, r"regions has the names \['simple'\]: known are"),
        ({"regions": {"easy": [6]}}, "position 6 under 'easy': .* from 0 to 5"),
        ({"noise": pd.DataFrame({"guid": ["x"]})}, "noise has the guid 'x'"),
        ({"noise": pd.DataFrame({"score": [1.0]})}, "it needs a guid"),
        (
            {
                "metrics": made_up_map(6).assign(guid="same"),
                "noise": pd.DataFrame({"guid": ["same"]}),
            },
            "metrics has the guid 'same' twice",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_leaves_the_file_alone(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "map.html"
    path.write_text("the last page", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        _write(path, **changes)
    assert path.read_text(encoding="utf-8") == "the last page"


def test_a_page_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "map.html"
    _write(path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        _write(path, title="Another")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_masks_are_no_positions(tmp_path: Path) -> None:
    metrics = made_up_map(6)
    with pytest.raises(ValueError, match="mask under 'hard'"):
        write_data_map_html(
            tmp_path / "map.html", metrics, texts=["a"] * 6, regions={"hard": np.arange(6) > 3}
        )
