from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import Result

from benchmarks import one_shot
from benchmarks.text_tables import read_table, write_table
from small_text_ext.query_strategies.diversity import (
    Weight,
    facility_location,
    k_center_greedy,
    typiclust,
)
from tests.benchmarks.test_cli import invoke, plain

VECTORS = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).uniform(0.1, 1, size=40)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Thirty texts and ten that are labelled, with vectors and scores of all."""
    for name, rows in (("texts", range(30)), ("labeled", range(30, 40))):
        write_table(
            tmp_path / f"{name}.csv",
            {
                "id": [f"t{row}" for row in rows],
                "text": [f"text number {row}" for row in rows],
                "score": [str(WEIGHTS[row]) for row in rows],
            },
        )
        np.save(tmp_path / f"{name}.npy", VECTORS[list(rows)])
    return tmp_path


def select(files: Path, *arguments: object, out: str = "out.csv", **changes: object) -> Result:
    options = {"--texts": "texts.csv", "--embeddings": "texts.npy", **changes}
    given = [part for name, file in options.items() if file for part in (name, files / str(file))]
    return invoke("select", *given, *arguments, "--out", files / out)


def picked(files: Path, name: str = "out.csv") -> list[int]:
    return [int(str(identity)[1:]) for identity in read_table(files / name).column("id")]


def test_picks_are_written_in_order_with_all_columns(files: Path) -> None:
    result = select(files, "--n", 12)
    assert result.exit_code == 0, result.output
    assert "12 of 12 texts picked" in plain(result)
    table = read_table(files / "out.csv")
    assert picked(files) == k_center_greedy(VECTORS[:30], 12).tolist()
    assert list(table.columns) == ["pick", "id", "text", "score"]
    assert list(table.column("pick")) == [str(place) for place in range(1, 13)]
    assert table.column("text")[3] == f"text number {picked(files)[3]}"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_every_format_gives_the_same_picks(files: Path, kind: str) -> None:
    texts = read_table(files / "texts.csv").columns
    write_table(files / f"again.{kind}", texts)
    result = select(files, "--n", 9, out=f"out.{kind}", **{"--texts": f"again.{kind}"})
    assert result.exit_code == 0, result.output
    assert picked(files, f"out.{kind}") == k_center_greedy(VECTORS[:30], 9).tolist()


LABELED = {"--labeled": "labeled.csv", "--labeled-embeddings": "labeled.npy"}
SCORES = {"--scores": "texts.csv"}


@pytest.mark.parametrize(
    ("arguments", "function", "options", "exponent"),
    [
        ((), k_center_greedy, {}, 1.0),
        (("--score-strength", 3, "--strength", 0.5), k_center_greedy, {"strength": 0.5}, 3.0),
        (("--combine", "objective"), k_center_greedy, {"combine": "objective"}, 1.0),
        (("--strategy", "facility-location"), facility_location, {}, 1.0),
        (("--strategy", "typiclust", "--score-strength", 2), typiclust, {}, 2.0),
    ],
)
def test_labels_and_scores_count(
    files: Path,
    arguments: tuple[object, ...],
    function: Callable[..., NDArray[np.int64]],
    options: dict[str, Any],
    exponent: float,
) -> None:
    result = select(files, "--n", 8, "--seed", 3, *arguments, **LABELED, **SCORES)
    assert result.exit_code == 0, result.output
    weights = Weight(WEIGHTS, exponent)
    expected = function(VECTORS, 8, np.arange(30, 40), weights, seed=3, **options)
    assert picked(files) == expected.tolist()


def test_scores_are_found_by_id_or_by_row(files: Path) -> None:
    order = np.random.default_rng(5).permutation(30)
    ids = [f"t{row}" for row in order]
    write_table(files / "by-id.jsonl", {"id": ids, "margin": [WEIGHTS[row] for row in order]})
    np.save(files / "by-row.npy", WEIGHTS[:30])
    expected = k_center_greedy(VECTORS[:30], 10, weights=WEIGHTS[:30]).tolist()
    for name, arguments in (("by-id.jsonl", ("--score-column", "margin")), ("by-row.npy", ())):
        out = f"{name}.csv"
        result = select(files, "--n", 10, *arguments, out=out, **{"--scores": name})
        assert result.exit_code == 0, result.output
        assert picked(files, out) == expected


def test_random_picks_follow_the_seed(files: Path) -> None:
    made = []
    for place, seed in enumerate((0, 0, 1)):
        out = f"{place}.csv"
        arguments = ("--n", 10, "--strategy", "random", "--seed", seed)
        assert select(files, *arguments, out=out, **{"--embeddings": None}).exit_code == 0
        made.append(picked(files, out))
    assert made[0] == made[1] != made[2]
    assert len(set(made[0])) == 10


def test_appended_picks_go_on_where_the_others_ended(files: Path) -> None:
    for n in (5, 7):
        result = select(files, "--n", n, "--append")
        assert result.exit_code == 0, result.output
    assert picked(files) == k_center_greedy(VECTORS[:30], 12).tolist()
    assert list(read_table(files / "out.csv").column("pick")) == [str(k) for k in range(1, 13)]
    before = (files / "out.csv").read_bytes()
    result = select(files, "--n", 19, "--append")
    assert result.exit_code == 2
    assert "30 texts, of which 12 are picked already. Ask for at most 18" in plain(result)
    assert (files / "out.csv").read_bytes() == before


def test_texts_that_arrive_are_encoded_beside_the_picks_of_before(
    titles: list[tuple[str, str]], shared_cache: Path, tmp_path: Path
) -> None:
    """The new batch alone, or old and new texts with a folder of vectors that grows."""
    texts = [text for text, _ in titles[::6]]

    def table(name: str, rows: range) -> Path:
        path = tmp_path / name
        write_table(path, {"id": list(rows), "headline": [texts[row] for row in rows]})
        return path

    made = []
    for mode, second in (("batch", range(20, 40)), ("all", range(40))):
        out = tmp_path / f"{mode}.jsonl"
        rest: list[object] = ["--n", 5, "--append", "--text-column", "headline", "--out", out]
        rest += ["--embeddings", tmp_path / "vectors"] if mode == "all" else []
        for name, rows in (("first.jsonl", range(20)), ("second.jsonl", second)):
            result = invoke("select", "--texts", table(name, rows), *rest)
            assert result.exit_code == 0, result.output
        made.append([int(identity) for identity in read_table(out).column("id")])
    batch, everything = made
    assert batch[:5] == everything[:5]
    assert min(batch[5:]) >= 20
    assert len(set(everything)) == 10
    assert len(json.loads((tmp_path / "vectors" / "embeddings.json").read_text())["chunks"]) >= 1


def test_a_minimum_distance_may_leave_fewer(files: Path) -> None:
    result = select(files, "--n", 30, "--minimum-distance", 0.8)
    expected = k_center_greedy(VECTORS[:30], 30, minimum_distance=0.8).tolist()
    assert 1 < len(expected) < 30
    assert f"{len(expected)} of 30 texts picked" in plain(result)
    assert picked(files) == expected


@pytest.mark.parametrize(
    ("arguments", "changes", "message"),
    [
        (("--n", 31), {}, "--n 31: .* has 30 texts. Ask for at most 30"),
        (("--n", 1, "--text-column", "txt"), {}, "Did you mean 'text'"),
        (("--n", 1, "--id-column", "ids"), {}, "Did you mean 'id'"),
        (("--n", 1), {"--texts": "twice.csv"}, "'a' occurs 2 times"),
        (("--n", 1), {"--texts": "untitled.csv"}, "name one with --text-column"),
        (("--n", 1), {"--texts": "ranked.csv"}, "has a column 'pick'"),
        (("--n", 1), {"--labeled": "texts.csv"}, "30 ids of .* such as 't0': leave"),
        (("--n", 1), {"--labeled": "labeled.csv"}, "give those with --labeled-embeddings"),
        (("--n", 1), {"--embeddings": "nan.npy"}, "1 of 30 rows are zero, NaN.* first row 4"),
        (("--n", 1), {"--embeddings": "labeled.npy"}, r"shape \(10, 6\), .* has 30 texts"),
        (("--n", 1), {"--embeddings": "none.npy"}, "no such file"),
        (("--n", 1), {**LABELED, "--labeled-embeddings": "narrow.npy"}, r"\[6, 2\] dimensions"),
        (("--n", 1), {"--scores": "short.npy"}, r"scores of shape \(4,\), .* has 30 texts"),
        (("--n", 1), {"--scores": "labeled.csv"}, "no score for 30 of 30 texts"),
        (("--n", 1, "--score-column", "scor"), SCORES, "Did you mean 'score'"),
        (("--n", 1, "--score-column", "text"), SCORES, "row 0, column 'text': .* is no number"),
        (("--n", 1), {"--scores": "nan-scores.npy"}, "row 2: the score is nan"),
        (("--n", 1, "--score-strength", 0.5), {"--scores": "negative.npy"}, "no power of 0.5"),
        (("--n", 1, "--strategy", "random"), SCORES, "--embeddings has no effect on random"),
        (("--n", 1, "--strategy", "typiclust", "--strength", 2), {}, "no effect on typiclust"),
        (("--n", 1, "--combine", "objective"), {}, "no effect on a selection without --scores"),
        (("--n", 1), {"--labeled-embeddings": "labeled.npy"}, "without --labeled"),
    ],
)
def test_errors_teach(
    files: Path, arguments: tuple[object, ...], changes: dict[str, Any], message: str
) -> None:
    write_table(files / "twice.csv", {"id": ["a", "a"], "text": ["x", "y"]})
    write_table(files / "untitled.csv", {"words": ["x", "y"]})
    write_table(files / "ranked.csv", {"pick": ["1"], "text": ["x"]})
    broken = VECTORS[:30].copy()
    broken[4, 2] = np.nan
    for name, array in (
        ("nan", broken),
        ("narrow", VECTORS[:10, :2]),
        ("short", WEIGHTS[:4]),
        ("nan-scores", np.where(np.arange(30) == 2, np.nan, 1.0)),
        ("negative", -WEIGHTS[:30]),
    ):
        np.save(files / f"{name}.npy", array)
    result = select(files, *arguments, **changes)
    assert result.exit_code == 2, result.output
    assert re.search(message, plain(result)), plain(result)
    assert not (files / "out.csv").exists()


def test_picks_are_not_overwritten(files: Path) -> None:
    assert select(files, "--n", 2).exit_code == 0
    result = select(files, "--n", 2)
    assert result.exit_code == 2
    assert "is there already: pass --append" in plain(result)


def test_what_was_written_meanwhile_is_left_as_it_is(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert select(files, "--n", 2).exit_code == 0
    out, slow_picks = files / "out.csv", one_shot._picks
    theirs = out.read_bytes() + b"3,t9,by hand,0\r\n"

    def picks_while_others_write(*arguments: Any) -> Any:  # noqa: ANN401
        out.write_bytes(theirs)
        return slow_picks(*arguments)

    monkeypatch.setattr(one_shot, "_picks", picks_while_others_write)
    changed = select(files, "--n", 2, "--append")
    out.unlink()
    appeared = select(files, "--n", 2)
    for result in (changed, appeared):
        assert result.exit_code == 2
        assert "out.csv was changed while texts were being picked" in plain(result)
    assert out.read_bytes() == theirs


def test_no_picks_leave_no_file(files: Path) -> None:
    labeled = {"--labeled": "texts.csv", "--labeled-embeddings": "texts.npy"}
    texts = read_table(files / "texts.csv").columns
    write_table(files / "same.csv", {**texts, "id": [f"s{row}" for row in range(30)]})
    changes: dict[str, Any] = {**labeled, "--texts": "same.csv"}
    result = select(files, "--n", 2, "--minimum-distance", 0.5, **changes)
    assert result.exit_code == 0, result.output
    assert "0 of 2 texts picked: nothing is written" in plain(result)
    assert not (files / "out.csv").exists()


def test_numbers_go_on_behind_the_last_one(files: Path) -> None:
    assert select(files, "--n", 4).exit_code == 0
    columns = read_table(files / "out.csv").columns
    write_table(files / "out.csv", {name: list(cells)[1:] for name, cells in columns.items()})
    assert select(files, "--n", 2, "--append").exit_code == 0
    assert list(read_table(files / "out.csv").column("pick")) == ["2", "3", "4", "5", "6"]
    write_table(files / "out.csv", {**columns, "pick": ["1", "2", "3", "fourth"]})
    result = select(files, "--n", 2, "--append")
    assert result.exit_code == 2
    assert "'fourth' in the column 'pick'" in plain(result)


def test_ids_are_for_life(files: Path) -> None:
    assert select(files, "--n", 2).exit_code == 0
    texts = read_table(files / "texts.csv").columns
    write_table(files / "other.csv", {**texts, "text": list(texts["text"])[::-1]})
    result = select(files, "--n", 2, "--append", **{"--texts": "other.csv"})
    assert "other texts of the id" in plain(result)
    write_table(files / "less.csv", {key: texts[key] for key in ("id", "text")})
    result = select(files, "--n", 2, "--append", **{"--texts": "less.csv"})
    assert "differ in the columns ['score']" in plain(result)
    write_table(files / "none.csv", {key: [f"{key} {row}" for row in range(30)] for key in texts})
    result = select(files, "--n", 2, "--append", **{"--texts": "none.csv"})
    assert "has 2 picks that" in plain(result)


def test_the_objective_needs_scores_of_what_is_gone(files: Path, shared_cache: Path) -> None:
    nothing: dict[str, Any] = {"--embeddings": None}
    assert select(files, "--n", 2, **nothing).exit_code == 0
    texts = read_table(files / "texts.csv").columns
    write_table(files / "new.csv", {**texts, "id": [f"n{row}" for row in range(30)]})
    arguments = ("--n", 2, "--append", "--combine", "objective")
    changes = {**nothing, "--texts": "new.csv", "--scores": "new.csv"}
    assert "no longer has" in plain(select(files, *arguments, **changes))
