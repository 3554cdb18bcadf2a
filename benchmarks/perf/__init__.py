"""What things cost: ours and small-text's own, in one run."""

from __future__ import annotations

import typer

from benchmarks.perf.adapters import lora as measure_lora
from benchmarks.perf.alignment import alignment as measure_alignment
from benchmarks.perf.anchoral import anchoral as measure_anchoral
from benchmarks.perf.classifier import classifier as measure_classifier
from benchmarks.perf.diversity import diversity as measure_diversity
from benchmarks.perf.dynamics import dynamics as measure_dynamics
from benchmarks.perf.report import report as measure_report
from benchmarks.perf.scaling import scaling as measure_scaling
from benchmarks.perf.selection import selection as measure_selection

app = typer.Typer(help="Measure speed: ours and the peer's in one run.", no_args_is_help=True)
app.command("alignment")(measure_alignment)
app.command("anchoral")(measure_anchoral)
app.command("classifier")(measure_classifier)
app.command("diversity")(measure_diversity)
app.command("dynamics")(measure_dynamics)
app.command("lora")(measure_lora)
app.command("report")(measure_report)
app.command("scaling")(measure_scaling)
app.command("selection")(measure_selection)
