from __future__ import annotations

import itertools
import json
from pathlib import Path

from typer.testing import CliRunner

from benchmarks.perf import app
from benchmarks.perf.report import SECONDS_ASKED, made_up_results


def test_a_report_is_timed_beside_its_target(tmp_path: Path) -> None:
    out = tmp_path / "perf.json"
    options = ["--units", "10", "--repeats", "1", "--out", str(out)]
    result = CliRunner().invoke(app, ["report", *options])
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    wall, processor = written["targets"]
    assert wall["at_most"] == SECONDS_ASKED
    assert processor["values"][0] > 0 and wall["values"][0] > 0
    assert "report of 10 results, s" in result.output


def test_made_up_results_are_different_units_of_real_size() -> None:
    results = list(itertools.islice(made_up_results(), 401))
    assert len({result.spec.relative_path for result in results}) == 401
    sections = {(r.spec.dataset.id, r.spec.classifier.id) for r in results}
    assert len(sections) == 5
    assert all(len(result.rounds) == 21 for result in results[:5])
    assert 25_000 < len(results[4].model_dump_json(indent=1)) < 60_000
