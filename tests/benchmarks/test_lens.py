from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from benchmarks.lens import (
    BUCKETS,
    POOL,
    acquisition_figure,
    acquisition_table,
    count_acquisitions,
    write_lens,
)
from benchmarks.results import NoResultsError, UnitResult, iterate_results, write_result
from small_text_ext.training.dynamics_metrics import difficulty_buckets
from tests.benchmarks.synthetic import make_result
from tests.benchmarks.test_cli import invoke, plain

MAP = pd.DataFrame(
    {"guid": [10, 11, 12, 13, 14], "correctness_fraction": [1.0, 0.6, 0.5, 0.25, 0.0]}
)


def unit(*picks: tuple[int, ...]) -> UnitResult:
    made = make_result("seals", 0, [0.1] * len(picks))
    rounds = tuple(
        record.model_copy(update={"picks": picked})
        for record, picked in zip(made.rounds, picks, strict=True)
    )
    return made.model_copy(update={"rounds": rounds})


def test_buckets_have_the_published_bounds() -> None:
    shares = [1.0, 0.76, 0.75, 0.51, 0.5, 0.26, 0.25, 0.0]
    names = ["easy", "easy", "medium", "medium", "hard", "hard", "impossible", "impossible"]
    assert difficulty_buckets(shares).tolist() == names
    assert set(difficulty_buckets([])) == set()
    for wrong in (1.2, -0.1, np.nan):
        with pytest.raises(ValueError, match="shares of epochs"):
            difficulty_buckets([0.5, wrong])


def test_acquisitions_are_counted_by_bucket_without_the_initial_labels() -> None:
    frame = count_acquisitions(unit((10, 11), (12, 14), (13,)), MAP)
    table = frame.pivot_table(index="round", columns="bucket", values="count")[list(BUCKETS)]
    assert list(table.loc[1]) == [0, 0, 1, 1]
    assert list(table.loc[2]) == [0, 0, 0, 1]
    assert list(table.loc[-1]) == [1, 1, 1, 2]
    assert 0 not in table.index


def test_a_pick_that_is_not_on_the_map_is_an_error() -> None:
    with pytest.raises(ValueError, match="text 99, which is not on the map"):
        count_acquisitions(unit((10,), (99,)), MAP)


@pytest.fixture
def frame() -> pd.DataFrame:
    parts = []
    for seed in (0, 1):
        for method, picks in (("seals", (12, 13)), ("random", (10, 11))):
            counted = count_acquisitions(unit((14,), picks), MAP)
            parts.append(counted.assign(method=method, seed=seed))
    return pd.concat(parts)


def test_shares_are_those_of_each_method_and_of_the_pool(frame: pd.DataFrame) -> None:
    lines = acquisition_table(frame).split("\n")
    assert lines[0] == "| method | seeds | easy | medium | hard | impossible |"
    assert lines[3].startswith("| seals | 2 | 0.00 % [0.00, 0.00] | 0.00 % [0.00, 0.00] | 50.0 %")
    assert lines[4].startswith(f"| {POOL} | 2 | 20.0 %")
    assert lines[4].endswith("40.0 % [40.0, 40.0] |")


def test_bars_are_means_over_seeds(frame: pd.DataFrame) -> None:
    figure = acquisition_figure(frame)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["random", "seals"]
    heights = {
        str(bars.get_label()): [bar.get_height() for bar in bars]
        for bars in figure.axes[1].containers
    }
    assert heights == {"easy": [0], "medium": [0], "hard": [1], "impossible": [1]}


def test_the_lens_of_a_finished_run(suite_file: Path, tmp_path: Path) -> None:
    methods = ("--method", "random", "--method", "least-confidence")
    kinds = ("--classifier", "mlp", "--classifier", "logistic")
    run = invoke("run", suite_file, "--seeds", 2, *methods, *kinds, "--out", tmp_path)
    assert run.exit_code == 0, run.output
    result = invoke("lens", tmp_path)
    assert result.exit_code == 0, result.output
    assert "logistic is left out" in plain(result)
    page = (tmp_path / "lens" / "lens.md").read_text()
    assert "## titles · titles · mlp" in page
    assert "| least-confidence | 2 |" in page
    (picture,) = (tmp_path / "lens" / "figures").iterdir()
    assert f"(figures/{picture.name})" in page
    assert imread(picture)[..., :3].std() > 0.05
    counted = pd.read_csv(tmp_path / "lens" / "acquisitions.csv")
    asked = counted[counted["round"] > 0].groupby(["method", "seed"])["count"].sum()
    assert asked.tolist() == [10] * 4
    assert len(list((tmp_path / "maps").rglob("td_metrics.jsonl"))) == 2
    before = page
    assert invoke("lens", tmp_path).exit_code == 0
    assert (tmp_path / "lens" / "lens.md").read_text() == before
    # Maps are no results: a report and a second run do not see them.
    assert len(list(iterate_results(tmp_path))) == 8


def test_a_folder_without_queries_says_what_to_run(tmp_path: Path) -> None:
    write_result(make_result("full-data", 0, [0.8]), tmp_path)
    with pytest.raises(NoResultsError, match="no unit that asked for labels"):
        write_lens(tmp_path)
