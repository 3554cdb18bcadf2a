"""Every example runs: the blocks of the README, and the docstrings of package and benchmarks."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks
import small_text_ext
from benchmarks.cache import CACHE_VARIABLE
from benchmarks.results import iterate_results
from tests.sources import ROOT, fresh_environment

README_BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S
)
MODULES = sorted(
    module.name
    for package in (small_text_ext, benchmarks)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
)
OWN_SUITE = """
seeds = 1
rounds = 1
query_size = 3
initial_size = 6
initial_minority = 2
[[datasets]]
name = "csv:mine.csv"
[classifiers."sklearn:LogisticRegression"]
[methods.random]
[methods.far-from-mean]
"""
FINDER = doctest.DocTestFinder(exclude_empty=True)


def _doctests(name: str) -> list[doctest.DocTest]:
    return [test for test in FINDER.find(importlib.import_module(name), name) if test.examples]


def test_the_readme_has_a_short_example() -> None:
    assert len(README_BLOCKS) == 5
    for block in README_BLOCKS:
        assert len([line for line in block.splitlines() if line.strip()]) <= 17


def test_readme(tmp_path: Path) -> None:
    """Each block goes on from those before, as a reader would."""
    finished = subprocess.run(
        [sys.executable, "-c", "".join(README_BLOCKS)],
        cwd=tmp_path,
        env={**fresh_environment(), "HF_HOME": os.fspath(tmp_path / "hub")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    found = re.search(r"^(\d+) of (\d+) found with (\d+) of (\d+) labelled$", finished.stdout, re.M)
    assert found is not None, finished.stdout
    positives, of_all, labels, pool = map(int, found.groups())
    assert (of_all, labels) == (25, 40)
    # Chance would find 2 beside the 4 that are given.
    assert positives - 4 > 3 * (labels - 10) * (of_all - 4) / (pool - 10)


def test_a_method_of_one_s_own(tmp_path: Path) -> None:
    """The plugin of the benchmarks' README, run as it says, beside random texts."""
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n# my_method\.py\n(.*?)^```$", page, re.M | re.S)
    assert 10 <= len([line for line in block.splitlines() if line.strip()]) <= 12
    (tmp_path / "my_method.py").write_text(block, encoding="utf-8")
    rows = [f"text {n} about {topic},{topic}" for n in range(20) for topic in ("cats", "dogs")]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    (tmp_path / "mine.toml").write_text(OWN_SUITE, encoding="utf-8")
    (command,) = re.findall(r"^python -m (benchmarks run mine\.toml .*)$", page, re.M)
    finished = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=tmp_path,
        env={**fresh_environment(), CACHE_VARIABLE: os.fspath(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found = {result.spec.method.id: result for result in iterate_results(tmp_path / "runs/mine")}
    assert found.keys() == {"far-from-mean", "random"}
    assert found["far-from-mean"].spec.method.strategy == "FarFromMean"
    assert [record.num_labeled for record in found["far-from-mean"].rounds] == [6, 9]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    for test in _doctests(name):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_there_are_examples() -> None:
    assert len(MODULES) >= 15
    examples = {name: len(_doctests(name)) for name in MODULES}
    assert sum(examples.values()) >= 15, examples
    rooms = {name.split(".")[1] for name, number in examples.items() if number}
    assert {"pool", "query_strategies", "classifiers"} <= rooms
