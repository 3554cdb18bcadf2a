from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from benchmarks.display import RunDisplay
from benchmarks.worker import Outcome
from tests.benchmarks.synthetic import make_spec

PASSED = Outcome(make_spec("random", 0), "passed", 1.25, "AP 0.500")
FAILED = Outcome(make_spec("seals", 1), "failed", 0.5, "ValueError: [bold]brackets[/bold]")


def show(terminal: bool, outcomes: list[Outcome]) -> tuple[str, RunDisplay]:
    console = Console(file=StringIO(), force_terminal=terminal, width=120, color_system=None)
    display = RunDisplay(console, total=3, jobs=2)
    with display.live():
        for outcome in outcomes:
            display.add(outcome)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue(), display


def test_without_a_terminal_every_unit_is_one_line() -> None:
    text, display = show(False, [PASSED, FAILED])
    assert text.splitlines() == [
        "[1/3] passed sections:radio / mlp / random / seed 0: AP 0.500 (1.2 s)",
        "[2/3] failed sections:radio / mlp / seals / seed 1: "
        "ValueError: [bold]brackets[/bold] (0.5 s)",
    ]
    assert display.counts == {"passed": 1, "failed": 1}


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [([PASSED], "2 running, 0 failed"), ([PASSED, FAILED], "1 running, 1 failed")],
)
def test_a_terminal_shows_the_latest_and_what_is_left(outcomes: list[Outcome], state: str) -> None:
    text, _ = show(True, outcomes)
    last = text.rpartition("passed sections:radio / mlp / random / seed 0")[2]
    assert f"{len(outcomes)}/3" in last
    assert state in last
