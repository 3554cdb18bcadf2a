"""Run every case once and write the results as JSON: what another process is compared with.

``python -m tests.contract.replay`` is that other process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

from tests.contract import classifier_checks, index_checks, strategy_checks
from tests.contract.collection import CLASSIFIER_CASES, INDEX_CASES, STRATEGY_CASES
from tests.sources import ROOT, fresh_environment

Results = dict[str, list[list[float]]]


def main() -> None:
    """Write the results of all cases to standard output."""
    results: dict[str, object] = {
        **{f"strategy {name}": strategy_checks.replay(c) for name, c in STRATEGY_CASES.items()},
        **{f"index {name}": index_checks.replay(c) for name, c in INDEX_CASES.items()},
        **{f"classifier {n}": classifier_checks.replay(c) for n, c in CLASSIFIER_CASES.items()},
    }
    sys.stdout.write(json.dumps(results))


def of_a_fresh_process() -> Results:
    """Return the results of a new process with other hashes of strings."""
    finished = _fresh_process()
    assert finished.returncode == 0, finished.stderr
    results: Results = json.loads(finished.stdout)
    return results


@cache  # a failure too: it would fail again for every case
def _fresh_process() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.contract.replay"],
        cwd=ROOT,
        env=fresh_environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


if __name__ == "__main__":
    main()
