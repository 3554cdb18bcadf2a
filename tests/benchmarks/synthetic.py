"""Result files through the real schema, with curves of known height."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.results import (
    FULL_DATA,
    ClassifierRecord,
    DatasetRecord,
    EncoderRecord,
    Environment,
    ErrorRecord,
    MethodRecord,
    ProtocolRecord,
    RoundRecord,
    SeedRecord,
    UnitResult,
    UnitSpec,
    spec_hash,
)

POOL = {"other": 19_900, "radio": 100}
ENVIRONMENT = Environment(
    python="3.11.9",
    packages={"small-text": "2.0.0.dev4", "numpy": "2.4.0"},
    revision="0123456789abcdef",
    dirty=False,
    cpu="a CPU",
    threads=1,
    device="cpu",
    finished_at="2026-01-01T00:00:00Z",
)
STRATEGIES = {
    "random": "RandomSampling",
    "least-confidence": "LeastConfidence",
    "random-subset": "RandomSubset",
    "seals": "SEALS",
    "anchoral": "AnchorAL",
    "full-data": FULL_DATA,
}


def make_spec(method: str, seed: int, /, **changes: dict[str, Any]) -> UnitSpec:
    """Return a specification; ``changes`` are fields of the records, by record name."""
    strategy = STRATEGIES.get(method, "AnchorAL")
    dataset: dict[str, Any] = {
        "id": "sections:radio",
        "name": "debian-sections",
        "fingerprint": "f" * 64,
        "class_names": ("other", "radio"),
        "minority": ("radio",),
        "num_texts": 25_000,
    }
    protocol: dict[str, Any] = {
        "rounds": 4,
        "query_size": 25,
        "initial_size": 100,
        "initial_minority": 5,
    }
    method_record: dict[str, Any] = {
        "id": method,
        "strategy": strategy,
        "ablation": method not in STRATEGIES,
    }
    return UnitSpec(
        suite="demo",
        dataset=DatasetRecord(**dataset | changes.get("dataset", {})),
        encoder=EncoderRecord(id="minilm", fingerprint="e" * 64),
        classifier=ClassifierRecord(id="mlp", kind="mlp"),
        method=MethodRecord(**method_record | changes.get("method", {})),
        protocol=ProtocolRecord(**protocol | {"test_size": 0.2} | changes.get("protocol", {})),
        seed=SeedRecord(number=seed, data=seed, model=seed, query=seed),
    )


def make_result(
    method: str,
    seed: int,
    /,
    heights: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5),
    *,
    query_seconds: float = 0.5,
    subpool_size: int | None = None,
    gain: int = 5,
    **changes: dict[str, Any],
) -> UnitResult:
    """Return a unit whose average precision is ``heights`` and whose F1 is half of it.

    It begins with 5 minority labels and finds ``gain`` more in every round.
    """
    spec = make_spec(method, seed, **changes)
    is_ceiling = spec.method.strategy == FULL_DATA
    start = sum(POOL.values()) if is_ceiling else 100
    rounds = tuple(
        make_round(number, start + 25 * number, height, query_seconds, subpool_size, gain)
        for number, height in enumerate(heights)
    )
    return UnitResult(
        status="passed",
        spec=spec,
        spec_hash=spec_hash(spec, "0"),
        environment=ENVIRONMENT,
        pool_counts=POOL,
        test_counts={"other": 4_975, "radio": 25},
        rounds=rounds,
    )


def make_round(
    number: int,
    num_labeled: int,
    height: float,
    query_seconds: float,
    subpool_size: int | None,
    gain: int,
) -> RoundRecord:
    """Return one round; whoever has all the pool's labels has all its minority texts."""
    everything = num_labeled >= sum(POOL.values())
    positives = POOL["radio"] if everything else min(5 + gain * number, POOL["radio"])
    rare = None if subpool_size is None else max(1, subpool_size // (10 + number))
    return RoundRecord(
        round=number,
        num_labeled=num_labeled,
        metrics={
            "macro_f1": height,
            "accuracy": 0.99,
            "ece": 0.01,
            "minority_precision": height,
            "minority_recall": height,
            "minority_f1": height / 2,
            "minority_average_precision": height,
            "found": positives / POOL["radio"],
            "minority_labeled": float(positives),
        },
        per_class={},
        labeled_counts={"other": num_labeled - positives, "radio": positives},
        subpool_counts=(
            None
            if subpool_size is None or rare is None or number == 0
            else {"other": subpool_size - rare, "radio": rare}
        ),
        subpool_size=None if number == 0 else subpool_size,
        rows_scored=0 if number == 0 else subpool_size or 0,
        seconds={
            "query": 0.0 if number == 0 else query_seconds,
            "fit": 2.0,
            "evaluate": 0.1,
            "harness": 0.01,
        },
    )


def with_first_query(result: UnitResult, seconds: float) -> UnitResult:
    """Return a unit whose first query took so long."""
    first = result.rounds[1]
    changed = first.model_copy(update={"seconds": {**first.seconds, "query": seconds}})
    return result.model_copy(update={"rounds": (result.rounds[0], changed, *result.rounds[2:])})


def make_failure(method: str, seed: int) -> UnitResult:
    """Return a unit that failed."""
    spec = make_spec(method, seed)
    return UnitResult(
        status="failed",
        spec=spec,
        spec_hash=spec_hash(spec, "0"),
        environment=ENVIRONMENT,
        error=ErrorRecord(
            type="RuntimeError", message="out | of\nmemory", traceback="Traceback: ..."
        ),
    )


def rising_curve(final: float, seed: int, num_points: int = 5) -> list[float]:
    """Return a noisy curve that rises to about ``final``; all curves of a seed share the noise."""
    noise = np.random.default_rng(seed).normal(0, 0.02, num_points)
    places = np.linspace(0.2, 1, num_points)
    return np.clip(final * np.sqrt(places) + noise, 0, 1).tolist()  # type: ignore[no-any-return]
