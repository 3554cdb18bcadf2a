"""What every measurement of speed needs: texts, statistics over repeats, tables, targets."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.datasets import LabeledTexts, load_texts
from benchmarks.environment import describe_environment
from benchmarks.suggestions import SuiteError
from small_text_ext._files import write_json

# In a file or a pipe there is no width to keep to.
console = Console(width=None if sys.stdout.isatty() else 140)

REPEATS_HEADING = r"median \[min, max] over repeats"

_NOTHING_ASKED = "-"
_DRAW_SEED = 0


@dataclass(frozen=True)
class Target:
    """What an issue asks for, beside what was measured.

    Parameters
    ----------
    measure : str
        What is measured.
    values : tuple of float
        The measured value of each repeat; empty where it could not be measured.
    at_least, at_most : float or None, default=None
        What the median must reach, or must not exceed; neither where nothing is asked for.
    reason : str, default=""
        Why it could not be measured.
    digits : int or None, default=2
        Digits after the point; None shows a power of ten.
    is_lower_bound : bool, default=False
        Whether the values are known to be above these, and no more.
    """

    measure: str
    values: tuple[float, ...]
    at_least: float | None = None
    at_most: float | None = None
    reason: str = ""
    digits: int | None = 2
    is_lower_bound: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the median keeps to the bound; None where that is not known, or not asked."""
        if not self.values or self.asked == _NOTHING_ASKED:
            return None
        median = statistics.median(self.values)
        reached = self.at_least is None or median >= self.at_least
        if self.is_lower_bound and not reached:
            return None
        return reached and (self.at_most is None or median <= self.at_most)

    @property
    def asked(self) -> str:
        """The bound in words."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return _NOTHING_ASKED if self.at_most is None else f"at most {self.at_most:g}"

    @property
    def measured(self) -> str:
        """What was measured in words."""
        if not self.values:
            return f"not measured: {self.reason}"
        return ("above " if self.is_lower_bound else "") + spread(self.values, self.digits)

    def as_json(self) -> dict[str, Any]:
        """Return the fields and the verdict."""
        return {**asdict(self), "met": self.met}


def spread(values: Sequence[float], digits: int | None = 3) -> str:
    """Return the median and the range of repeats; without digits as powers of ten.

    Examples
    --------
    >>> spread([3.0, 1.0, 2.0], digits=1)
    '2.0 [1.0, 3.0]'
    """
    form = ".1e" if digits is None else f".{digits}f"
    median, low, high = (f"{of(values):{form}}" for of in (statistics.median, min, max))
    return f"{median} [{low}, {high}]"


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, ...]:
    """Divide repeat by repeat, so that what slows the machine down hits both sides.

    Examples
    --------
    >>> ratios([6.0, 8.0], [2.0, 4.0])
    (3.0, 2.0)
    """
    return tuple(a / b for a, b in zip(numerators, denominators, strict=True))


def make_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table; only the title may hold markup."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def target_table(targets: Sequence[Target]) -> Table:
    """Return what is asked for beside what was measured, and whether it is met."""
    verdicts = {True: "yes", False: "no", None: "-"}
    rows = [(t.measure, t.asked, t.measured, verdicts[t.met]) for t in targets]
    columns = ("measure", "target", "measured", "met")
    return make_table(f"targets: {REPEATS_HEADING}", columns, rows)


def draw_texts(dataset: str, num_texts: int) -> LabeledTexts:
    """Draw texts at random from a data set of the registry, the same ones every time.

    A smaller number draws the first texts of a larger one.

    Parameters
    ----------
    dataset : str
        Name in the registry.
    num_texts : int
        How many.

    Returns
    -------
    LabeledTexts
        In random order.

    Raises
    ------
    SuiteError
        If it has not so many.
    """
    loaded = load_texts(dataset)
    if num_texts > len(loaded):
        raise SuiteError(
            f"{num_texts} texts are asked for, but {dataset} has {len(loaded)}: ask for fewer."
        )
    return loaded.rows(np.random.default_rng(_DRAW_SEED).permutation(len(loaded))[:num_texts])


def compute_device() -> str:
    """Return where both sides compute: one GPU, or the CPU, since small-text takes no other."""
    return "cuda:0" if torch.cuda.is_available() else "cpu"


def synchronize() -> None:
    """Wait for what a GPU has been given to do: a clock would otherwise stop too early."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def write_measurement(out: Path | None, content: Mapping[str, Any]) -> None:
    """Write what was measured, and on which machine, as JSON.

    Parameters
    ----------
    out : pathlib.Path or None
        Where to; None writes nothing.
    content : mapping
        What was measured.
    """
    if out is None:
        return
    environment = describe_environment(torch.get_num_threads(), compute_device())
    write_json(out, {**content, "environment": environment.model_dump(mode="json")})
