"""Selectors and recorders whose choices and notes the tests know."""

from __future__ import annotations

import torch

from small_text_ext.training.seams import CandidateBatch, FitPlan, Observe, Selection


class ListRecorder:
    """Keeps everything it is told."""

    def __init__(self, observe: Observe) -> None:
        self.observe: Observe = observe
        self.plans: list[FitPlan] = []
        self.records: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]] = []

    def begin(self, plan: FitPlan) -> None:
        self.plans.append(plan)
        self.records = []

    def record(
        self, ids: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, epoch: int
    ) -> None:
        self.records.append((ids.clone(), logits.clone(), labels.clone(), epoch))

    def ids_of(self, epoch: int) -> list[int]:
        """Return the ids of one epoch in the order they came."""
        return [int(i) for ids, _, _, number in self.records if number == epoch for i in ids]

    def logits_of(self, epoch: int) -> torch.Tensor:
        """Return the logits of one epoch, sorted by id."""
        of_epoch = [record for record in self.records if record[3] == epoch]
        order = torch.cat([record[0] for record in of_epoch]).argsort()
        return torch.cat([record[1] for record in of_epoch])[order]


class MemberSelector:
    """Trains the candidates whose ids are members of a set, with a weight where one is given."""

    def __init__(
        self, members: list[int], candidate_batch_size: int, weight: float | None = None
    ) -> None:
        self.members = torch.tensor(members)
        self.candidate_batch_size = candidate_batch_size
        self.weight = weight
        self.batches: list[CandidateBatch] = []

    def begin(self, plan: FitPlan) -> int:
        self.batches = []
        return self.candidate_batch_size

    def select(self, batch: CandidateBatch) -> Selection:
        self.batches.append(batch)
        positions = torch.isin(batch.ids, self.members).nonzero().flatten()
        if self.weight is None:
            return Selection(positions)
        return Selection(positions, torch.full((len(positions),), self.weight))
