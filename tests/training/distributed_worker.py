"""What each process of a distributed fit runs: ``python -m tests.training.distributed_worker``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from small_text_ext.training.seams import CandidateBatch, FitPlan, Selection
from tests.classifiers import texts
from tests.classifiers.texts import classifier, history_of
from tests.training.doubles import ListRecorder, parameters


class HighestLoss:
    """Chooses the candidates of the highest loss, and keeps what it was shown."""

    def __init__(self, stale: bool = False) -> None:
        self.stale = stale
        self.shown: list[list[int]] = []
        self.logits: list[list[float]] = []

    def begin(self, plan: FitPlan) -> int:
        return 12

    def select(self, batch: CandidateBatch) -> Selection:
        logits = batch.score()
        self.shown.append(batch.ids.tolist())
        self.logits.append(logits.flatten().tolist())
        losses = torch.nn.functional.cross_entropy(logits, batch.labels, reduction="none")
        chosen = losses.topk(batch.num_selected)
        return Selection(chosen.indices, chosen.values.clamp(0.5, 2.0))


def fit(
    num_texts: int,
    selected: bool,
    observe: Any,  # noqa: ANN401
    fits: int,
    stale: bool = False,
) -> dict[str, Any]:
    """Fit a classifier, several times over, and return all that must be the same everywhere."""
    recorder, selector = ListRecorder(observe), HighestLoss(stale)
    clf = classifier(
        head=True,
        dropout=False,
        num_epochs=2,
        batch_size=5,
        validation_set_size=0.2,
        recorder=recorder,
        batch_selector=selector if selected else None,
        # Adam divides by the root of a gradient: where that is next to nothing, the order in which
        # two processes add up decides its sign.
        training_arguments={"optim": "sgd", "gradient_accumulation_steps": 2},
        lr=0.1,
    )
    data_set = texts.single(num_texts)
    for _ in range(fits):
        clf.fit(data_set, weights=np.linspace(1, 3, num_texts))
    return {
        "parameters": {name: value.tolist() for name, value in parameters(clf).items()},
        "ids": [recorder.ids_of(epoch) for epoch in range(2)],
        "logits": [recorder.logits_of(epoch).tolist() for epoch in range(2)],
        "shown": selector.shown,
        "scores": selector.logits,
        "history": [history_of(clf).train_losses, history_of(clf).validation_losses],
        "steps": history_of(clf).num_steps,
        "proba": clf.predict_proba(data_set).tolist(),
    }


def main(path: str, cases: str) -> None:
    """Run the cases one after the other, and write what they gave."""
    results = [fit(**case) for case in json.loads(cases)]
    Path(path).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
