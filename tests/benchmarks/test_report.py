from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from matplotlib.image import imread

from benchmarks import published_tables
from benchmarks.published_tables import PublishedSuite
from benchmarks.report import MAX_DRAWN_SECTIONS, write_report
from benchmarks.results import NoResultsError, ResultFileError, UnitResult, write_result
from benchmarks.specs import Publication, PublishedNumber
from tests.benchmarks.synthetic import make_failure, make_result, rising_curve

METHODS = {"random": 0.2, "least-confidence": 0.5, "seals": 0.6, "anchoral": 0.7}


def _write(results: Sequence[UnitResult], folder: Path) -> Path:
    for result in results:
        write_result(result, folder)
    return folder


def _results(num_seeds: int) -> list[UnitResult]:
    return [
        make_result(name, seed, rising_curve(final, seed), subpool_size=500)
        for seed in range(num_seeds)
        for name, final in METHODS.items()
    ]


@pytest.fixture(scope="module")
def full_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of six seeds: a ceiling, an ablation, a failure and a missing seed."""
    results = _results(6)[:-1]
    results += [make_result("full-data", seed, [0.8]) for seed in range(6)]
    results += [make_result("anchors-5", seed, rising_curve(0.5, seed)) for seed in range(6)]
    results.append(make_failure("anchoral", 5))
    return write_report(_write(results, tmp_path_factory.mktemp("results")))


def test_the_page_holds_tables_figures_failures_and_environment(full_report: Path) -> None:
    page = full_report.read_text()
    for part in (
        "## demo · sections:radio · mlp",
        "### Ablations",
        "## Failed units",
        "## Environment",
    ):
        assert page.count(f"\n{part}\n") == 1, part
    assert "| method | seeds | minority labels |" in page
    assert "paired by seed" in page
    assert "of which radio 100 (0.50 %)" in page
    assert "seeds: 6 (0, 1, 2, 3, 4, 5)" in page
    assert "| full-data | 6 | 100.0 [100.0, 100.0] |" in page
    assert "small-text 2.0.0.dev4" in page
    assert "nan" not in page.lower() and "None" not in page


def test_the_page_says_what_its_seconds_hold(full_report: Path) -> None:
    text = " ".join(full_report.read_text().split())
    assert "The first query includes building the index." in text
    assert "A size-matched subset also runs the search whose size it copies" in text
    assert text.count("| first query, s | later queries, s |") == 2
    (section,) = json.loads((full_report.parent / "summary.json").read_text())
    assert {"first_query_seconds", "later_query_seconds"} <= section["methods"]["seals"].keys()


def test_a_failed_unit_and_the_seed_it_leaves_are_named(full_report: Path) -> None:
    page = full_report.read_text()
    assert "**1 of 36 units failed**" in page
    assert "| sections:radio / mlp / anchoral / seed 5 | RuntimeError | out \\| of |" in page
    assert "Seeds are missing: anchoral lacks 5." in page
    assert "(n=5)" in page


def test_every_figure_that_is_linked_is_there_and_is_not_blank(full_report: Path) -> None:
    links = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", full_report.read_text())
    assert len(links) == 3
    for link in links:
        picture = imread(full_report.parent / link)
        assert picture[..., :3].std() > 0.05
    drawn = {f"figures/{path.name}" for path in (full_report.parent / "figures").iterdir()}
    assert drawn == set(links)


def test_rounds_are_tidy(full_report: Path) -> None:
    with (full_report.parent / "rounds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 23 * 5 + 6 + 6 * 5
    assert {row["method"] for row in rows} == {*METHODS, "full-data", "anchors-5"}
    first = rows[0]
    assert float(first["minority_average_precision"]) >= 0
    assert first["seed"] == "0" and first["num_labeled"] == "100"


def test_the_summary_holds_the_numbers_of_the_tables(full_report: Path) -> None:
    (section,) = json.loads((full_report.parent / "summary.json").read_text())
    assert section["budget"] == 200
    seals = section["methods"]["seals"]["area_average_precision"]
    assert seals["num_seeds"] == 6 and seals["low"] < seals["mean"] < seals["high"]
    cell = f"{seals['mean']:.3f} [{seals['low']:.3f}, {seals['high']:.3f}]"
    assert cell in full_report.read_text()
    difference = section["differences"]["random"]["seals"]["area_average_precision"]
    random = section["methods"]["random"]["area_average_precision"]
    assert difference["mean"] == pytest.approx(seals["mean"] - random["mean"])
    assert section["methods"]["full-data"]["area_f1"] is None


def test_nothing_but_whole_files_is_left(full_report: Path) -> None:
    names = {path.name for path in full_report.parent.rglob("*") if path.is_file()}
    assert not [name for name in names if name.startswith(".") or name.endswith(".part")]
    assert {"report.md", "rounds.csv", "summary.json"} < names


def test_one_seed_is_never_a_ranking(tmp_path: Path) -> None:
    page = write_report(_write(_results(1), tmp_path)).read_text()
    assert "One seed: no intervals, and no ranking." in page
    table = page.split("## demo · sections:radio")[1].split("## Environment")[0]
    assert "[0." not in table and "**+" not in table


def test_few_seeds_are_said_to_be_few(tmp_path: Path) -> None:
    page = write_report(_write(_results(3), tmp_path)).read_text()
    assert "3 seeds: bootstrap intervals over so few are too narrow" in page
    assert "**+" not in page and "**-" not in page


def test_other_data_under_the_same_name_are_kept_apart_and_said_so(tmp_path: Path) -> None:
    results = _results(2)
    changed = [make_result("anchoral", 2, [0.99] * 5, dataset={"fingerprint": "0" * 64})]
    report = write_report(_write([*results, *changed], tmp_path))
    page = report.read_text()
    titles = re.findall(r"^## demo · sections:radio · mlp · [0-9a-f]{8}$", page, re.MULTILINE)
    assert len(set(titles)) == 2
    assert page.count("The folder holds 2 different experiments") == 2
    assert "which differ in `dataset.fingerprint`" in page
    sections = json.loads((report.parent / "summary.json").read_text())
    means = [section["methods"]["anchoral"]["final_average_precision"] for section in sections]
    assert sorted(mean["num_seeds"] for mean in means) == [1, 2]


def test_units_that_stopped_early_are_named(tmp_path: Path) -> None:
    results = [make_result("random", 0), make_result("seals", 0, [0.1, 0.2])]
    page = write_report(_write(results, tmp_path)).read_text()
    assert "Some units stopped early: seals at 125 labels, others at up to 200." in page


def test_a_folder_of_failures_is_still_a_report(tmp_path: Path) -> None:
    page = write_report(_write([make_failure("seals", 0)], tmp_path)).read_text()
    assert "**1 of 1 units failed**" in page and "sections:radio / mlp / seals / seed 0" in page


def test_where_all_classes_are_wanted_nothing_is_counted_as_a_minority(tmp_path: Path) -> None:
    results = [
        make_result(name, seed, dataset={"minority": ()})
        for name in ("random", "breaking-ties")
        for seed in range(2)
    ]
    page = write_report(_write(results, tmp_path)).read_text()
    assert "| method | seeds | area under AP | area under F1 | final AP | final F1 |\n" in page
    assert "Minority labels found" not in page
    assert "minority in" not in page
    assert "\nCost, means over the queries:\n" in page
    assert sorted(path.stem.split("-")[-1] for path in tmp_path.rglob("*.png")) == ["learning"]


def test_only_a_ceiling_is_a_table_without_figures(tmp_path: Path) -> None:
    report = write_report(_write([make_result("full-data", 0, [0.8])], tmp_path))
    assert "| full-data | 1 |" in report.read_text()
    assert "![" not in report.read_text() and not (report.parent / "figures").exists()


def test_another_folder_can_be_given_and_a_second_report_replaces_the_first(tmp_path: Path) -> None:
    results, out = _write(_results(1), tmp_path / "results"), tmp_path / "out"
    first = write_report(results, out).read_bytes()
    assert write_report(results, out).read_bytes() == first
    assert not (results / "report").exists()


def test_figures_of_many_sections_are_drawn_on_request(tmp_path: Path) -> None:
    results = [
        make_result("random", 0, dataset={"id": f"set-{number}"})
        for number in range(MAX_DRAWN_SECTIONS + 1)
    ]
    report = write_report(_write(results, tmp_path))
    assert not (report.parent / "figures").exists()
    assert "![" not in report.read_text()
    assert "Figures were not drawn: `report --figures`" in report.read_text()
    write_report(tmp_path, figures=True)
    assert report.read_text().count("![") == 2 * len(results)
    write_report(tmp_path, tmp_path / "plain", figures=False)
    assert not (tmp_path / "plain" / "figures").exists()


def test_the_page_stands_beside_the_report(full_report: Path) -> None:
    assert "[report.html](report.html)" in full_report.read_text()
    page = (full_report.parent / "report.html").read_text()
    assert "<title>Benchmark report: demo</title>" in page


def test_the_paper_s_table_and_shares_are_there(full_report: Path) -> None:
    page = full_report.read_text()
    assert page.count("### As in the AnchorAL paper") == 1
    (section,) = json.loads((full_report.parent / "summary.json").read_text())
    (seals,) = [each for each in section["anchoral"]["overall"] if each["method"] == "seals"]
    assert f"{seals['minority']['median']:.2f} (" in page


def test_published_numbers_stand_beside_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publication = Publication(
        id="made-up",
        line="anchoral",
        source="a paper",
        status="recovered",
        numbers=(PublishedNumber(value=0.5, metric="final_accuracy", method="random"),),
    )
    dataset = {"name": "debian-sections", "id": "sections:radio", "minority": ["radio"]}
    raw = {
        "name": "demo",
        "rounds": 4,
        "datasets": [dataset],
        "classifiers": {"mlp": {}},
        "methods": {"random": {}},
    }
    suite = PublishedSuite("demo", publication, raw)
    monkeypatch.setattr(published_tables, "published_suites", lambda: {"demo": suite})
    report = write_report(_write([make_result("random", 0)], tmp_path), figures=False)
    assert "## Published beside measured" in report.read_text()
    assert "| random | final_accuracy | 0.500 | - | 0.990 | 1 | +0.490 |" in report.read_text()
    summary = json.loads((report.parent / "summary.json").read_text())
    assert summary[1]["numbers"][0]["difference"] == pytest.approx(0.49)


def test_no_results_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoResultsError, match=r"holds no results: run `python -m benchmarks run"):
        write_report(tmp_path)
    with pytest.raises(NoResultsError):
        write_report(tmp_path / "missing")


def test_a_result_that_was_cut_off_is_named(tmp_path: Path) -> None:
    path = write_result(make_result("random", 0), tmp_path)
    path.write_text(path.read_text()[:100])
    with pytest.raises(ResultFileError, match=path.name):
        write_report(tmp_path)
    assert not (tmp_path / "report").exists()
