"""Selectors and recorders whose choices and notes the tests know."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from small_text_ext.training.seams import CandidateBatch, FitPlan, Observe, Selection


class ListRecorder:
    """Keeps everything it is told."""

    def __init__(self, observe: Observe) -> None:
        self.observe: Observe = observe
        self.plans: list[FitPlan] = []
        self.records: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]] = []
        self.ends: list[int] = []

    def begin(self, plan: FitPlan) -> None:
        self.plans.append(plan)
        self.records = []

    def end(self, num_epochs: int) -> None:
        self.ends.append(num_epochs)

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


class StepLog:
    """Notes what every optimizer step of this process was given: learning rates and gradients."""

    def __init__(self) -> None:
        self.groups: list[list[dict[str, Any]]] = []
        self._steps: list[list[tuple[torch.nn.Parameter, torch.Tensor]]] = []

    def __enter__(self) -> StepLog:
        self._handle = register_optimizer_step_pre_hook(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def _note(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        groups = optimizer.param_groups
        self.groups.append([{k: v for k, v in group.items() if k != "params"} for group in groups])
        parameters = [parameter for group in groups for parameter in group["params"]]
        self._steps.append([(p, p.grad.clone()) for p in parameters if p.grad is not None])

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def rates(self) -> list[float]:
        """The learning rate of each step."""
        return [float(groups[0]["lr"]) for groups in self.groups]

    def gradient(self, step: int, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        """Return the gradients of one step by the names that the parameters have in ``model``."""
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        return {names[id(parameter)]: gradient for parameter, gradient in self._steps[step]}


def parameters(clf: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401
    """Return a copy of the parameters of a fitted classifier."""
    return {name: value.detach().clone() for name, value in clf.model.state_dict().items()}


def assert_same_parameters(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Compare to the last bit."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
