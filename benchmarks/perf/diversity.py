"""``perf diversity``: seconds and memory of farthest-first selection, ours and others'."""

from __future__ import annotations

import importlib.util
import multiprocessing
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from benchmarks.perf.frozen import make_pool
from benchmarks.perf.shared import (
    REPEATS_HEADING,
    Target,
    console,
    make_table,
    ratios,
    spread,
    target_table,
    write_measurement,
)
from benchmarks.picking import CONTESTANTS, ENGINE, ENGINE_MODULE, HOST, OURS, clocked_picks


@dataclass(frozen=True)
class Workload:
    """What is selected from what.

    Parameters
    ----------
    candidates, selected, picks : int
        Vectors to pick from, vectors selected already, and how many are picked.
    """

    candidates: int
    selected: int
    picks: int


@dataclass
class Cost:
    """What the picks of one contestant cost, repeat by repeat.

    Parameters
    ----------
    contestant : str
        Who picks.
    workload : Workload
        What.
    seconds, megabytes : list of float
        Of each repeat; memory at its peak above the vectors, empty where the system does not tell.
    picks : list of int
        Of the last repeat.
    was_stopped : bool, default=False
        Whether a repeat reached the limit: seconds are then above what stands there, and neither
        memory nor picks are known.
    """

    contestant: str
    workload: Workload
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    picks: list[int] = field(default_factory=list)
    was_stopped: bool = False


def measure_cost(
    contestant: str,
    workload: Workload,
    columns: int,
    repeats: int = 1,
    limit: float | None = None,
) -> Cost:
    """Let one contestant pick, in a process of its own for each repeat.

    Parameters
    ----------
    contestant : str
        One of `CONTESTANTS`.
    workload : Workload
        What is picked.
    columns : int
        Dimensions of the vectors.
    repeats : int, default=1
        How often.
    limit : float or None, default=None
        Seconds after which a repeat is stopped, and no other is begun.

    Returns
    -------
    Cost
        Seconds and megabytes.

    Raises
    ------
    RuntimeError
        If the process ends before it has picked.
    """
    cost = Cost(contestant, workload)
    size = workload.selected + workload.candidates
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        np.save(path, make_pool(size, columns, seed=0).vectors)
        for _ in range(repeats):
            found = _in_own_process(contestant, path, workload, limit)
            if found is None:
                assert limit is not None  # what stopped it
                cost.seconds.append(limit)
                cost.was_stopped = True
                break
            seconds, peak, cost.picks = found
            cost.seconds.append(seconds)
            cost.megabytes += [] if peak is None else [peak]
    return cost


def _in_own_process(
    contestant: str, path: Path, workload: Workload, limit: float | None
) -> tuple[float, float | None, list[int]] | None:
    """Return what `clocked_picks` returns, or None if it took longer than the limit."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    arguments = sender, contestant, path, workload.selected, workload.picks
    process = context.Process(target=_send_picks, args=arguments)
    process.start()
    sender.close()  # here, so that the end of the process is the end of what can be received
    try:
        receiver.recv()  # it is ready
        found = receiver.recv() if receiver.poll(limit) else None
    except EOFError:
        process.join()
        raise RuntimeError(
            f"{contestant} ended with exit code {process.exitcode} before it had picked "
            f"{workload.picks:,} of {workload.candidates:,}."
        ) from None
    finally:
        process.kill()
        process.join()
    return found


def _send_picks(sender: Connection, contestant: str, path: Path, num_selected: int, n: int) -> None:
    found = clocked_picks(contestant, path, num_selected, n, ready=lambda: sender.send(None))
    sender.send(found)


def diversity(
    candidates: Annotated[int, typer.Option(min=2, help="Vectors to pick from.")] = 27_349,
    selected: Annotated[int, typer.Option(min=62, help="Vectors selected already.")] = 40_000,
    picks: Annotated[int, typer.Option(min=1, help="Picks.")] = 10_000,
    columns: Annotated[int, typer.Option(min=2, help="Dimensions of a vector.")] = 384,
    host_candidates: Annotated[
        int, typer.Option(min=2, help="Vectors that small-text's core-set picks from.")
    ] = 4_000,
    host_selected: Annotated[
        int, typer.Option(min=62, help="Vectors selected already, for small-text's.")
    ] = 4_000,
    host_picks: Annotated[int, typer.Option(min=1, help="Picks of small-text's.")] = 300,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each contestant.")] = 1,
    limit: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which a run of another's is stopped.")
    ] = 600.0,
    out: Annotated[Path | None, typer.Option(help="Also write the numbers as JSON.")] = None,
) -> None:
    """Time farthest-first selection, and its memory above the vectors: ours, and others'.

    lightly-mundig (where it is installed) picks the same from the same vectors; small-text's
    GreedyCoreset, on a size that it finishes, beside ours on that size. Each run has a process of
    its own; where another's is stopped at the limit, it is known to be slower than that. At the
    default size lightly-mundig takes the better part of an hour: --limit 3600 lets it end, so that
    its picks are compared, too.
    """
    large = Workload(candidates, selected, picks)
    small = Workload(host_candidates, host_selected, host_picks)
    for option, load in (("--picks", large), ("--host-picks", small)):
        if load.picks > load.candidates:
            raise typer.BadParameter(
                f"{option} {load.picks} is more than the {load.candidates} candidates."
            )
    has_engine = importlib.util.find_spec(ENGINE_MODULE) is not None
    entries = [(name, large) for name in CONTESTANTS if name not in (ENGINE, HOST)]
    entries += [(ENGINE, large)] if has_engine else []
    entries += [(OURS, small), (HOST, small)]
    costs = []
    with console.status("preparing") as status:
        for name, load in entries:
            status.update(f"{name}: {load.picks:,} of {load.candidates:,}")
            allowed = limit if name in (ENGINE, HOST) else None
            costs.append(measure_cost(name, load, columns, repeats, allowed))
    console.print(cost_table(costs, columns))
    targets = diversity_targets(costs)
    console.print(target_table(targets))
    content = [{k: v for k, v in asdict(cost).items() if k != "picks"} for cost in costs]
    write_measurement(
        out,
        {
            "settings": {"columns": columns, "repeats": repeats, "limit": limit},
            "costs": content,
            "targets": [target.as_json() for target in targets],
        },
    )


def cost_table(costs: Sequence[Cost], columns: int) -> Table:
    """Return seconds and megabytes, and how many picks are those of our plain selection."""
    ours = {cost.workload: set(cost.picks) for cost in costs if cost.contestant == OURS}
    rows = [
        (
            cost.contestant,
            f"{cost.workload.candidates:,}",
            f"{cost.workload.selected:,}",
            f"{cost.workload.picks:,}",
            ("above " if cost.was_stopped else "") + spread(cost.seconds, 2),
            spread(cost.megabytes, 0) if cost.megabytes else "not known here",
            "stopped" if cost.was_stopped else f"{len(ours[cost.workload] & set(cost.picks)):,}",
        )
        for cost in costs
    ]
    names = ("who", "candidates", "selected", "picks", "seconds", "MB above the input", "as ours")
    return make_table(f"{columns} dimensions: {REPEATS_HEADING}", names, rows)


def diversity_targets(costs: Sequence[Cost]) -> list[Target]:
    """Return what is asked for beside what was measured.

    Parameters
    ----------
    costs : sequence of Cost
        Ours first, on each workload.

    Returns
    -------
    list of Target
        Seconds, megabytes, and how many times faster ours is.
    """
    ours = {cost.workload: cost for cost in reversed(costs) if cost.contestant == OURS}
    large = costs[0]
    targets = [
        Target("seconds of the picks", tuple(large.seconds), at_most=20),
        Target(
            "MB above the input",
            tuple(large.megabytes),
            at_most=500,
            reason="this system does not tell a process its peak",
            digits=0,
        ),
    ]
    for name, at_least, reason in (
        (ENGINE, 5, "lightly-mundig is not installed"),
        (HOST, 1_000, "it did not run"),
    ):
        found = [cost for cost in costs if cost.contestant == name]
        targets.append(
            Target(
                f"seconds of {name} over ours",
                _times_ours(found[0], ours[found[0].workload]) if found else (),
                at_least=at_least,
                reason=reason,
                digits=1,
                is_lower_bound=bool(found) and found[0].was_stopped,
            )
        )
    return targets


def _times_ours(cost: Cost, ours: Cost) -> tuple[float, ...]:
    """Return the ratios of the repeats that both have."""
    return ratios(cost.seconds, ours.seconds[: len(cost.seconds)])
