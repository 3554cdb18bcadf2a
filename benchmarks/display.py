"""The live display of a run; plain lines where there is no terminal."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmarks.worker import Outcome

_LINES_SHOWN = 6


class RunDisplay:
    """Progress bar, counts and the latest results of a run.

    Parameters
    ----------
    console : rich.console.Console
        Where to show it.
    total : int
        Units to run.
    jobs : int
        Units at a time.
    """

    def __init__(self, console: Console, total: int, jobs: int) -> None:
        self.console = console
        self.total = total
        self.jobs = jobs
        self.counts: Counter[str] = Counter()
        self._latest: deque[str] = deque(maxlen=_LINES_SHOWN)
        self._live: Live | None = None
        self._progress = Progress(
            TextColumn("[bold]units"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: TaskID = self._progress.add_task("units", total=total, state=self._state())

    @contextmanager
    def live(self) -> Iterator[RunDisplay]:
        """Show the display while the block runs."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(self._view(), console=self.console, refresh_per_second=4) as live:
            self._live = live
            yield self
        self._live = None

    def add(self, outcome: Outcome) -> None:
        """Show that a unit has ended."""
        self.counts[outcome.status] += 1
        line = self._line(outcome)
        self._latest.append(line)
        self._progress.update(self._task, advance=1, state=self._state())
        if self._live is None:
            done = sum(self.counts.values())
            self.console.print(f"[{done}/{self.total}] {line}", highlight=False, soft_wrap=True)
        else:
            self._live.update(self._view())

    def _line(self, outcome: Outcome) -> str:
        colour = "green" if outcome.status == "passed" else "red"
        name = escape(outcome.spec.name)
        text = f"{name}: {escape(outcome.message)} ({outcome.seconds:.1f} s)"
        return f"[{colour}]{outcome.status}[/{colour}] {text}"

    def _state(self) -> str:
        done = sum(self.counts.values())
        running = min(self.jobs, self.total - done)
        failed = self.counts["failed"]
        colour = "red" if failed else "dim"
        return f"{running} running, [{colour}]{failed} failed[/{colour}]"

    def _view(self) -> RenderableType:
        return Group(*self._latest, self._progress)
