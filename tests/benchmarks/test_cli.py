from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from benchmarks.cli import app, make_console
from benchmarks.results import (
    UnitResult,
    iterate_results,
    read_result,
    result_paths,
    stable_content,
)
from tests.tiny_models import tiny_model

ROOT = Path(__file__).parents[2]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def plain(result: Result) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", result.output).split())


@pytest.fixture(scope="module")
def finished(suite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the small suite."""
    folder = tmp_path_factory.mktemp("finished")
    result = invoke("run", suite_file, "--out", folder)
    assert result.exit_code == 0, result.output
    assert "6 units passed, 0 failed" in plain(result)
    return folder


def test_a_run_writes_one_file_for_each_unit(finished: Path) -> None:
    names = [path.relative_to(finished).as_posix() for path in result_paths(finished)]
    assert names == [
        f"titles/titles/logistic/{method}/seed-{seed}.json"
        for method in ("anchoral", "least-confidence", "random")
        for seed in (0, 1)
    ]
    for result in iterate_results(finished):
        assert len(result.rounds) == 3
        assert result.summary["area_minority_average_precision"] is not None
        assert sum(result.pool_counts.values()) == 192
        assert sum(result.test_counts.values()) == 48


def test_a_second_run_has_nothing_to_do(suite_file: Path, finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in result_paths(finished)}
    result = invoke("run", suite_file, "--out", finished)
    assert result.exit_code == 0
    assert "6 done, 0 to run" in plain(result)
    assert {path: path.stat().st_mtime_ns for path in result_paths(finished)} == before


def test_two_runs_give_equal_files_but_for_time_and_place(
    suite_file: Path, finished: Path, tmp_path: Path
) -> None:
    assert invoke("run", suite_file, "--out", tmp_path).exit_code == 0
    first, second = (
        [stable_content(result) for result in iterate_results(folder)]
        for folder in (finished, tmp_path)
    )
    assert first == second
    assert len(first) == 6


def test_what_changed_is_run_again_and_said(suite_file: Path, tmp_path: Path) -> None:
    one = ("--out", tmp_path, "--method", "random", "--seeds", 1)
    assert invoke("run", suite_file, *one).exit_code == 0
    again = invoke("run", suite_file, *one, "--set", "query_size=6")
    assert "1 specification changed since they ran, run again" in plain(again)
    assert [record.num_labeled for record in next(iterate_results(tmp_path)).rounds] == [12, 18, 24]


def test_what_is_no_result_is_put_aside_and_run_again(suite_file: Path, tmp_path: Path) -> None:
    one = ("--out", tmp_path, "--method", "random", "--seeds", 1)
    assert invoke("run", suite_file, *one).exit_code == 0
    (path,) = result_paths(tmp_path)
    whole = path.read_text()
    for number, broken in enumerate(("{", whole[:-40]), start=1):
        path.write_text(broken)
        said = plain(invoke("run", suite_file, *one))
        assert "1 result file cut off or foreign, put aside and run again" in said
        assert f"it is kept as seed-0.json.corrupt-{number}" in said
        assert path.with_name(f"seed-0.json.corrupt-{number}").read_text() == broken
        assert stable_content(read_result(path)) == stable_content(
            UnitResult.model_validate_json(whole)
        )
    assert result_paths(tmp_path) == [path]


def test_a_full_disk_ends_the_run_and_what_has_finished_stays(
    suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 2  # the list of units, and one result

    def fsync(number: int) -> None:
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    arguments = ("run", suite_file, "--seeds", 1, "--out", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("small_text_ext._files.os.fsync", fsync)
        result = invoke(*arguments)
    assert result.exit_code == 2
    assert "seed-0.json could not be written (No space left on device): make room" in plain(result)
    assert "Traceback" not in result.output
    (kept,) = result_paths(tmp_path)
    assert read_result(kept).status == "passed"
    assert not list(tmp_path.rglob("*.part")), "a part of a file is left"
    assert "1 done, 2 to run" in plain(invoke(*arguments))


def test_a_folder_that_cannot_be_written_to_is_named_before_the_first_unit(
    suite_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = invoke("run", suite_file, "--out", tmp_path / "file" / "results")
    assert result.exit_code == 2
    assert "could not be written (Not a directory)" in plain(result)
    assert "[1/6]" not in plain(result)


@pytest.mark.parametrize(
    ("changes", "missing", "extra"),
    [
        (("--backend", "dask"), "distributed", "dask"),
        (("--backend", "ray"), "ray", "ray"),
        (("--track", "tensorboard"), "tensorboard", "tensorboard"),
        (("--set", "methods.noise-detection.noise=0.1"), "cleanlab", "bench"),
        (("--set", "methods.anchoral.index=hnsw"), "hnswlib", "hnsw"),
        (("--classifier", "lora"), "peft", "lora"),
        (("--classifier", "setfit"), "setfit", "setfit"),
        (("--dataset", "hub:nobody/nothing"), "datasets", "bench"),
    ],
)
def test_a_missing_package_ends_the_run_before_the_first_unit(
    changes: tuple[str, ...],
    missing: str,
    extra: str,
    suite_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    result = invoke("run", suite_file, *changes, "--out", tmp_path)
    assert result.exit_code == 2, result.output
    assert f'pip install "small-text-ext[{extra}]"' in plain(result)
    assert not result_paths(tmp_path)


def test_a_failed_unit_is_recorded_and_the_run_goes_on(suite_file: Path, tmp_path: Path) -> None:
    text = suite_file.read_text() + "\n[methods.anchor-subsampling]\nsubsample_size = 50\n"
    broken = tmp_path / "broken.toml"
    broken.write_text(text)
    arguments = ("run", broken, "--seeds", 1, "--out", tmp_path / "out")
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert "3 units passed, 1 failed" in plain(result)
    path = tmp_path / "out/broken/titles/logistic/anchor-subsampling/seed-0.json"
    error = read_result(path).error
    assert error is not None
    assert error.type == "AttributeError"
    assert "embed" in error.message
    assert "Traceback" in error.traceback
    assert "1 failed before, tried again" in plain(invoke(*arguments))
    status = invoke("status", tmp_path / "out")
    assert status.exit_code == 1
    assert "embed" in plain(status)


def test_status_counts_what_is_missing(suite_file: Path, tmp_path: Path) -> None:
    one = ("--out", tmp_path, "--method", "random", "--seeds", 2)
    assert invoke("run", suite_file, *one).exit_code == 0
    result_paths(tmp_path)[0].unlink()
    result = invoke("status", tmp_path)
    assert result.exit_code == 0
    assert re.search(r"random │ 1 │ 0 │ 1", plain(result))


def test_a_data_set_of_the_user_s_is_made_rare(titles_csv: Path, tmp_path: Path) -> None:
    arguments = ["--dataset", f"csv:{titles_csv}", "--minority", "tech", "--prevalence", 0.05]
    smaller = ["--set", "initial_size=12", "--set", "initial_minority=2", "--set", "rounds=1"]
    options = ["--method", "random", "--seeds", 1, "--classifier", "logistic", "--out", tmp_path]
    result = invoke("run", "smoke", *arguments, *smaller, *options)
    assert result.exit_code == 0, result.output
    counts = next(iterate_results(tmp_path)).pool_counts
    assert counts == {"other": 154, "tech": 9}


def test_plan_counts_units_texts_and_fits(suite_file: Path, finished: Path, tmp_path: Path) -> None:
    text = plain(invoke("plan", suite_file, "--out", tmp_path))
    assert "units of the suite 6" in text
    assert "of them to run 6" in text
    assert "texts to encode 0" in text
    assert "fits 18" in text
    assert "hours" in text
    other = plain(
        invoke("plan", suite_file, "--out", tmp_path, "--set", "encoder.precision=bfloat16")
    )
    assert "texts to encode 240" in other
    assert "of them to run 0" in plain(invoke("plan", suite_file, "--out", finished))


def test_published_experiments_are_listed_apart() -> None:
    text = plain(invoke("list", "published"))
    assert "anchoral-ablation-anchors" in text
    assert "of 41 published experiments have a suite" in text
    assert "bbc-news" not in text
    assert invoke("list", "publisht").exit_code == 2


def test_what_is_out_of_scope_cannot_be_run(tmp_path: Path) -> None:
    suite = tmp_path / "outside.toml"
    suite.write_text(
        '[published]\nid = "rho-vision"\nline = "rho-loss"\nsource = "a paper"\n'
        'status = "out of scope"\nreason = "it is about images."\n'
    )
    result = invoke("run", suite, "--out", tmp_path)
    assert result.exit_code == 2
    assert "'outside' cannot be run, it is out of scope: it is about images." in plain(result)


def test_list_names_everything() -> None:
    text = plain(invoke("list"))
    for name in (
        "demo",
        "bbc-news",
        "anchoral",
        "minilm",
        "sklearn:LogisticRegression",
        "transformer",
        "setfit",
        "anchoral-cpu-finetuned",
        "cartography-cpu",
        "noise-detection",
        "MapSubset",
        "AnchorAL",
    ):
        assert name in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "dmo"), "Did you mean 'demo'"),
        (("run", "demo", "--method", "anchral"), "Did you mean 'anchoral'"),
        (("run", "demo", "--set", "round=3"), "Did you mean 'rounds'"),
        (("run", "demo", "--set", "datasets.0.max_text=3"), "Did you mean 'max_texts'"),
        (("run", "demo", "--set", "encoder.nam=minilm"), "Did you mean 'name'"),
        (("run", "demo", "--set", "classifiers.mpl.lr=1"), "Did you mean 'mlp'"),
        (("run", "demo", "--set", "classifiers.mlp.lrr=1"), "Did you mean 'lr'"),
        (("run", "demo", "--set", "methods.anchral.num_anchors=3"), "Did you mean 'anchoral'"),
        (("run", "demo", "--set", "methods.anchoral.num_anchor=3"), "Did you mean 'num_anchors'"),
        (("run", "demo", "--set", "published.sourc=x"), "Did you mean 'source'"),
        (("run", "demo", "--plugin", "nowhere:register"), "there is no module nowhere"),
        (("run", "demo", "--backend", "dusk"), "Did you mean 'dask'"),
        (("run", "demo", "--address", "tcp://127.0.0.1:1"), "add --backend dask"),
        (("run", "demo", "--track", "wandbb"), "Did you mean 'wandb'"),
        (("compare", "/nowhere"), "compare takes two folders"),
        (("export", "/nowhere", "--out", "x.parquet"), "not a folder of results"),
        (("run", "demo", "--dataset", "csv:/nowhere/x.csv"), "no such file"),
        (("status", "/nowhere"), "not a folder of results: run `python -m benchmarks run"),
        (("report", "/nowhere"), "not a folder of results"),
        (("run", "demo", "--set", "methods.anchoral.anchor_selector=kmeens"), "'anchoral'"),
        (("run", "demo", "--set", "classifiers.mlp.lr=abc"), "classifier 'mlp'"),
        (("run", "demo", "--model", "minilm"), "add --classifier transformer"),
        (("run", "demo", "--classifier", "setfits"), "Did you mean 'setfit'"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    extra = ["--out", str(tmp_path)] if arguments[0] == "run" else []
    result = invoke(*arguments, *extra)
    assert result.exit_code == 2
    assert message in plain(result)
    assert "Traceback" not in result.output


def test_a_folder_without_results_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    for command in ("status", "report"):
        result = invoke(command, tmp_path)
        assert result.exit_code == 2
        assert "python -m benchmarks run SUITE" in plain(result)


def test_a_missing_package_is_one_line(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = invoke("report", finished)
    assert result.exit_code == 2
    assert 'pip install "small-text-ext[plot]"' in plain(result)


@pytest.mark.parametrize("error", [ValueError, FileNotFoundError, ImportError])
def test_an_error_of_ours_keeps_its_traceback(
    finished: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error("inner")

    monkeypatch.setattr("benchmarks.report.render_report", broken)
    result = invoke("report", finished)
    assert result.exit_code == 1
    assert isinstance(result.exception, error)


def test_a_pipe_is_wide_enough_for_every_name(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("benchmarks.cli.console", make_console())
    rows = [line.split("│") for line in invoke("status", finished).output.splitlines()]
    methods = {row[4].strip() for row in rows if len(row) > 5}
    assert {"anchoral", "least-confidence", "random"} <= methods
    monkeypatch.setenv("COLUMNS", "77")
    assert make_console().width == 77


def test_an_optional_data_set_is_skipped_and_said(suite_file: Path, tmp_path: Path) -> None:
    missing = f'[[datasets]]\nname = "csv:{tmp_path}/none.csv"\nid = "none"\noptional = true\n\n'
    text = suite_file.read_text().replace("[classifiers", f"{missing}[classifiers")
    suite = tmp_path / "optional.toml"
    suite.write_text(text)
    result = invoke("run", suite, "--out", tmp_path, "--seeds", 1, "--method", "random")
    assert result.exit_code == 0
    assert "none is left out" in plain(result)


def start(*arguments: object) -> subprocess.Popen[str]:
    # In the background of a shell tests ignore an interrupt, and what they start must not.
    heeding = ["env", "--default-signal=INT"]
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.Popen(
        [*heeding, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_results(process: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not result_paths(folder):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("kill", "jobs", "code"), [(signal.SIGKILL, 1, -signal.SIGKILL), (signal.SIGINT, 2, 130)]
)
def test_what_has_finished_outlives_the_run(
    suite_file: Path, finished: Path, tmp_path: Path, kill: signal.Signals, jobs: int, code: int
) -> None:
    process = start("run", suite_file, "--seeds", 60, "--jobs", jobs, "--out", tmp_path)
    wait_for_results(process, tmp_path)
    os.killpg(process.pid, kill)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == code, output
    kept = {path: path.read_bytes() for path in result_paths(tmp_path)}
    assert 0 < len(kept) < 180
    assert {read_result(path).status for path in kept} == {"passed"}
    assert invoke("run", suite_file, "--out", tmp_path).exit_code == 0
    assert all(path.read_bytes() == content for path, content in kept.items())
    for expected in iterate_results(finished):
        got = read_result(tmp_path / expected.spec.relative_path)
        assert stable_content(got) == stable_content(expected)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_the_same_results(
    suite_file: Path, finished: Path, tmp_path: Path
) -> None:
    moments = random.Random(0)
    for _ in range(3):
        process = start("run", suite_file, "--jobs", 2, "--out", tmp_path)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=moments.uniform(1, 20))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    assert invoke("run", suite_file, "--out", tmp_path).exit_code == 0
    names = [path.relative_to(finished) for path in result_paths(finished)]
    assert [path.relative_to(tmp_path) for path in result_paths(tmp_path)] == names
    for name in names:
        got, expected = read_result(tmp_path / name), read_result(finished / name)
        assert stable_content(got) == stable_content(expected)


@pytest.mark.usefixtures("shared_cache")
def test_the_smoke_suite_passes(tmp_path: Path) -> None:
    news = ("--dataset", "bbc-news:business@0.1", "--classifier", "mlp")
    result = invoke("run", "smoke", "--seeds", 1, *news, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    results = list(iterate_results(tmp_path))
    assert len(results) == 9
    assert sum(result.is_ceiling for result in results) == 1
    report = invoke("report", tmp_path)
    assert report.exit_code == 0, report.output
    page = (tmp_path / "report" / "report.md").read_text()
    for part in ("### Training on regions of the data map", "### Finding flipped labels"):
        assert page.count(part) == 1
    assert "| ambiguous | 0.5 | default | - | 1 |" in page
    assert "The recommended default" in page
    assert "nan" not in page.lower()
    assert (tmp_path / "report" / "noise.csv").is_file()
    (section,) = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert [subset["keep"] for subset in section["subsets"]] == ["ambiguous", "(all)"]
    again = invoke("run", "smoke", "--seeds", 1, *news, "--out", tmp_path)
    assert "9 done, 0 to run" in plain(again)
    status = plain(invoke("status", tmp_path))
    assert status.count("│ 1 │ 0 │ 0") == 9


@pytest.mark.usefixtures("shared_cache")
def test_a_report_of_one_shot_experiments_alone_has_their_tables(tmp_path: Path) -> None:
    news = ("--dataset", "bbc-news:business@0.1", "--classifier", "mlp", "--method", "noise-10")
    assert invoke("run", "smoke", "--seeds", 2, *news, "--out", tmp_path).exit_code == 0
    report = invoke("report", tmp_path)
    assert report.exit_code == 0, report.output
    page = (tmp_path / "report" / "report.md").read_text()
    assert "seeds: 2 (0, 1)" in page
    assert "| detector | 10 % | training, s | ranking, s |" in page
    assert "minority labels" not in page


def test_a_classifier_on_texts_can_be_added_with_another_model(
    suite_file: Path, tmp_path: Path
) -> None:
    model = tiny_model(tmp_path / "model")
    quick = ["--set", "classifiers.transformer.num_epochs=1", "--set", "rounds=1", "--seeds", 1]
    arguments = ("run", suite_file, *quick, "--classifier", "transformer", "--method", "anchoral")
    run = (*arguments, "--model", model, "--out", tmp_path / "out")
    assert invoke(*run, "--device", "cpu").exit_code == 0
    (result,) = iterate_results(tmp_path / "out")
    assert result.spec.classifier.params == {"num_epochs": 1}
    assert result.spec.classifier.model is not None
    assert result.spec.classifier.model.id == str(model)
    assert result.environment.device == "cpu"
    assert result.rounds[1].seconds["query.classifier"] > 0
    assert "1 done, 0 to run" in plain(invoke(*run))
    tiny_model(model, seed=1)
    assert "1 specification changed" in plain(invoke(*run))


LEARNING: dict[str, dict[str, Any]] = {
    "transformer": {"num_epochs": 6, "lr": 5e-4, "class_weight": "balanced", "max_length": 16},
    "setfit": {"max_steps": 4, "max_length": 16},
}
"""Parameters with which each kind learns from 50 titles."""


@pytest.mark.slow
@pytest.mark.usefixtures("shared_cache")
@pytest.mark.parametrize("kind", LEARNING)
def test_two_rounds_with_minilm_on_real_texts(kind: str, suite_file: Path, tmp_path: Path) -> None:
    options = ["--seeds", 1, "--classifier", kind, "--method", "anchoral", "--method", "random"]
    for setting in ("initial_size=40", "initial_minority=10"):
        options += ["--set", setting]
    for name, value in LEARNING[kind].items():
        options += ["--set", f"classifiers.{kind}.{name}={value}"]
    contents = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        result = invoke("run", suite_file, *options, "--jobs", 2, "--out", folder)
        assert result.exit_code == 0, result.output
        contents.append([stable_content(result) for result in iterate_results(folder)])
    assert contents[0] == contents[1]
    results = list(iterate_results(tmp_path / "first"))
    assert len(results) == 2
    for unit in results:
        assert len(unit.rounds) == 3
        final = unit.summary["final_minority_average_precision"]
        assert final is not None
        assert final > 0.4, "one title in five is wanted"
