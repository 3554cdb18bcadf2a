"""Selection of what is trained, batch by batch, by a score: the selector that RHO-LOSS is."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from small_text_ext.training.batch_selection import (
    SELECTION_RULES,
    SELECTION_SCORES,
    RuleName,
    SelectionScore,
    scheduled_temperature,
    training_loss,
    uniform,
)
from small_text_ext.training.seams import CandidateBatch, FitPlan, Selection

Schedule = Literal["constant", "linear", "geometric"]

_logger = logging.getLogger(__name__)

# Of a candidate batch: the share of its score that this share of the candidates holds is logged.
_TOP_SHARE = 0.2
_FEWEST_BATCHES = 2
_EPSILON = 1e-7
_SMALLEST_WEIGHT = 1e-3
_TOLD_AFTER = 5
_MEASURED = ("already_correct", "negative", "mean_score", "concentration", "noisy")


class SideModel(Protocol):
    """A second model beside the one that is trained: a cheaper scorer, or a moving hold-out."""

    def begin(self, plan: FitPlan) -> None:
        """Start a fit."""
        ...

    def logits(self, batch: CandidateBatch) -> Tensor:
        """Return its logits of the candidates, (b, num_classes)."""
        ...

    def update(self, batch: CandidateBatch, positions: Tensor) -> None:
        """Train it on what was selected; one that is frozen does nothing."""
        ...

    def end(self) -> None:
        """Let go of what the fit needed."""
        ...


@dataclass
class SelectionLog:
    """What was selected, step by step.

    Parameters
    ----------
    known_noisy : numpy.ndarray of int64 or None, default=None
        Ids of items whose label is known to be wrong, where that is known.
    rows : list of dict, default=[]
        One for each step.
    """

    known_noisy: NDArray[np.int64] | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Sort the noisy items, in which each step looks its own up."""
        self._sorted = None if self.known_noisy is None else np.unique(self.known_noisy)

    def frame(self) -> pd.DataFrame:
        """Return the log as a table.

        Returns
        -------
        pandas.DataFrame
            One row a step: ``step``; ``epoch``; ``num_candidates``; ``num_selected``;
            ``already_correct``, the share of the selected that the model predicted correctly before
            the step, where it was asked; ``negative``, the share of the candidates whose score is
            below zero, which for reducible losses are suspected of noise; ``mean_score`` of the
            selected; ``concentration``, the share of the candidates' positive score that their best
            fifth holds; ``noisy``, the share of the selected that is known to be wrong; and
            ``class_0``, ``class_1``, ..., shares of the selected. NaN where nothing was computed.
        """
        return pd.DataFrame(self.rows)

    def add(
        self,
        batch: CandidateBatch,
        positions: Tensor,
        scores: Tensor | None,
        logits: Tensor | None,
        num_classes: int,
    ) -> None:
        """Note one step.

        Parameters
        ----------
        batch : CandidateBatch
            The candidates.
        positions : torch.Tensor of int64
            What was selected of them.
        scores : torch.Tensor or None
            The score of each candidate.
        logits : torch.Tensor, shape (b, num_classes), or None
            What the model predicted.
        num_classes : int
            The number of classes.
        """
        chosen = positions.numpy()
        labels = batch.labels.cpu().numpy()[chosen]
        row: dict[str, Any] = {
            "step": len(self.rows),
            "epoch": batch.epoch,
            "num_candidates": len(batch.ids),
            "num_selected": len(chosen),
            **dict.fromkeys(_MEASURED, float("nan")),
        }
        if logits is not None:
            predicted = logits.cpu().float().numpy()[chosen]
            row["already_correct"] = _share_correct(predicted, labels)
        if scores is not None:
            values = scores.detach().cpu().float().numpy()
            row["negative"] = np.count_nonzero(values < 0) / len(values)
            row["mean_score"] = float(values[chosen].mean())
            row["concentration"] = _concentration(values)
        if self._sorted is not None:
            row["noisy"] = float(self._noisy(batch.ids.numpy()[chosen]).mean())
        shares = _class_shares(labels, num_classes)
        row.update(zip(_class_columns(num_classes), shares, strict=True))
        self.rows.append(row)

    def _noisy(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        assert self._sorted is not None
        if not len(self._sorted):
            return np.zeros(len(ids), dtype=bool)
        places = np.minimum(np.searchsorted(self._sorted, ids), len(self._sorted) - 1)
        return np.asarray(self._sorted[places] == ids)


def checked_ids(ids: ArrayLike) -> NDArray[np.int64]:
    """Return ids of items, checked.

    Parameters
    ----------
    ids : array-like of int
        Positions in the training set.

    Returns
    -------
    numpy.ndarray of int64
        The same.

    Raises
    ------
    ValueError
        If they are a mask, or one is negative.
    """
    given = np.asarray(ids)
    if given.dtype == bool:
        raise ValueError("known_noisy is a mask: pass positions, numpy.flatnonzero(mask).")
    found = given.astype(np.int64)
    if len(found) and found.min() < 0:
        raise ValueError(f"known_noisy holds {found.min()}: pass positions in the training set.")
    return found


class ScoreSelector:
    """Trains the candidates that a score ranks highest: reducible loss, or any other.

    An item is worth a step if it can be learnt (its irreducible loss is low), is worth learning
    (it is like what the irreducible losses were judged by) and is not learnt yet (its training loss
    is high). With a tenth of the candidates selected, an epoch trains a tenth of the items; what
    that saves in steps it costs in forward passes over candidates: at a ratio of 10 a step costs
    about four times as much. On noisy data it pays, on clean data seldom.

    Parameters
    ----------
    score : str or SelectionScore, default="reducible_loss"
        A name in `SELECTION_SCORES`, or a score of yours.
    irreducible : array-like of float, shape (n,), or None, default=None
        The irreducible loss, in nats, of each item of the training set, by its position there.
        `ReducibleLossClassification` fills it in.
    selected_fraction : float, default=0.1
        Of each candidate batch, the share that is trained: the batch size over the size of the
        candidate batch. 1 trains everything; small sets want a half.
    rule : {"top_k", "uniform", "with_replacement", "boltzmann"} or None, default=None
        How scores become a choice; None is the rule the score was published with.
    temperature, last_temperature : float, default=0.25 and None
        Of the rule "boltzmann", in nats, at the first and the last epoch. The latter needs a
        ``schedule`` that moves.
    schedule : {"constant", "linear", "geometric"}, default="constant"
        How the temperature goes from one to the other.
    warmup_epochs : int, default=0
        Epochs in the beginning that select at random.
    uniform_after : int or None, default=None
        From this epoch on, select at random again; None never does. The released code's "reducible
        loss, to uniform after X epochs", which does not work there.
    training_mode : bool, default=True
        Score with dropout on, as published; False scores with dropout off, and is for scores of one
        pass: several differ by their dropout alone.
    num_samples : int or None, default=None
        Stochastic passes; None is the score's published number. A model without dropout makes equal
        ones, by which BALD says nothing: a warning is logged.
    positive_part : bool, default=False
        Cut scores off at zero, as REDUCR does: suspected noise is no worse than what is learnt. The
        log keeps scores as they are before this and before class weights.
    class_weight_rate : float, default=0.0
        Above 0, each class's scores are multiplied by a weight that grows where the class's
        positive scores are high, by ``exp(rate * mean score)`` a step: it protects the worst
        class. Single-label tasks only.
    scorer : SideModel or None, default=None
        A cheaper model whose logits are scored instead of the trained one's; see `HeadSideModel`
        and `EncoderSideModel`.
    irreducible_model : SideModel or None, default=None
        A model whose losses are the irreducible ones, in place of ``irreducible``; if it learns
        from what is selected, it is the paper's updated irreducible model, which its authors found
        unstable.
    known_noisy : array-like of int or None, default=None
        Ids of items known to be wrong, for the log.
    stale : bool, default=False
        Choose what a step trains before the step that comes before it, with weights that are one
        step old: the paper's "parallel" selection, in which scoring runs beside training. Here one
        runs after the other, so that it shows what the age of the weights costs and saves no time.
        The first choice of each epoch is of present weights.

    Attributes
    ----------
    log : SelectionLog
        What was selected in the last fit.

    Raises
    ------
    ValueError
        If an argument is unknown, out of range or without effect beside another; in a fit, if an
        irreducible loss is missing or not finite, or a score is not finite.

    Notes
    -----
    A set of fewer than two candidate batches is trained whole, with a logged reason: of so few
    there is little to choose.

    With ``stale``, the log says what was chosen when it was chosen; of a fit that is stopped within
    an epoch, its last row may be of a step that was not trained.

    Differences from the authors' code: "boltzmann" draws distinct items; stale choices are not
    carried over from one epoch to the next, and none is left untrained at the end; what is broken
    there (reducible loss to uniform after some epochs, loss plus conditional entropy) works;
    REDUCR moves its class weights by the loss of each class on a hold-out set, with a model of
    irreducible losses a class; here positive scores move them, and one model does.
    ``already_correct`` is measured, which the paper plots and its code does not compute; steps
    without a noisy item count in the log.

    References
    ----------
    S. Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and
    Not Yet Learnt", ICML 2022. W. Bankes et al., "REDUCR: Robust Data Downsampling using Class
    Priority Reweighting", NeurIPS 2024.

    Examples
    --------
    >>> from small_text import SklearnDataset
    >>> from small_text_ext import MLPClassification, MLPModelArguments
    >>> x = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    >>> train_set = SklearnDataset(x, (x[:, 0] > 0).astype(int), target_labels=np.arange(2))
    >>> selector = ScoreSelector("loss", selected_fraction=0.25)
    >>> clf = MLPClassification(
    ...     MLPModelArguments(), 2, batch_size=16, num_epochs=1, batch_selector=selector, seed=0
    ... ).fit(train_set)
    >>> log = selector.log.frame()
    >>> log["num_candidates"].tolist(), log["num_selected"].tolist()
    ([58, 57, 57, 57, 57, 57, 57], [15, 15, 15, 15, 15, 15, 15])
    """

    def __init__(
        self,
        score: str | SelectionScore = "reducible_loss",
        irreducible: ArrayLike | None = None,
        *,
        selected_fraction: float = 0.1,
        rule: RuleName | None = None,
        temperature: float = 0.25,
        last_temperature: float | None = None,
        schedule: Schedule = "constant",
        warmup_epochs: int = 0,
        uniform_after: int | None = None,
        training_mode: bool = True,
        num_samples: int | None = None,
        positive_part: bool = False,
        class_weight_rate: float = 0.0,
        scorer: SideModel | None = None,
        irreducible_model: SideModel | None = None,
        known_noisy: ArrayLike | None = None,
        stale: bool = False,
    ) -> None:
        self.score = _resolved_score(score)
        self.irreducible = None if irreducible is None else np.asarray(irreducible, dtype=float)
        _check_options(selected_fraction, warmup_epochs, num_samples, class_weight_rate)
        self.selected_fraction = selected_fraction
        self.rule: RuleName = self.score.rule if rule is None else rule
        if self.rule not in SELECTION_RULES:
            raise ValueError(f"rule is {rule!r}: pass one of {', '.join(SELECTION_RULES)}.")
        self.temperature = temperature
        self.last_temperature = temperature if last_temperature is None else last_temperature
        self.schedule: Schedule = schedule
        scheduled_temperature(schedule, temperature, self.last_temperature, 0.0)  # checks them
        if schedule == "constant" and self.last_temperature != temperature:
            raise ValueError(
                f"last_temperature is {last_temperature}, and schedule 'constant' stays at "
                f"{temperature}: pass schedule='linear' or 'geometric', or leave it out."
            )
        _check_uniform_after(uniform_after, warmup_epochs)
        self.warmup_epochs, self.uniform_after = warmup_epochs, uniform_after
        self.training_mode = training_mode
        self.num_samples = self.score.num_samples if num_samples is None else num_samples
        self.positive_part = positive_part
        self.class_weight_rate = class_weight_rate
        self.scorer, self.irreducible_model = scorer, irreducible_model
        if scorer is not None and self.num_samples > 1:
            raise ValueError(
                f"scorer makes one pass, and the score compares {self.num_samples}: leave scorer "
                "out, or pass a score of one pass."
            )
        if not training_mode and self.num_samples > 1:
            raise ValueError(
                f"training_mode is False, and the score compares {self.num_samples} passes, which "
                "differ by their dropout alone: leave it out, or pass num_samples=1."
            )
        self.known_noisy = None if known_noisy is None else checked_ids(known_noisy)
        self.stale = stale
        self.log = SelectionLog(self.known_noisy)

    def begin(self, plan: FitPlan) -> int:
        """Start a fit, and say how many candidates a choice is made from; see `BatchSelector`."""
        self.log = SelectionLog(self.known_noisy)
        self._plan = plan
        self._generator = torch.Generator().manual_seed(plan.seed)
        self._class_weights = torch.ones(plan.num_classes)
        self._equal_passes = 0
        if self.class_weight_rate > 0 and plan.multi_label:
            raise ValueError("class_weight_rate is for single-label tasks: leave it at 0.")
        size = self._candidate_size(plan.batch_size)
        if not self.has_choice(len(plan.ids), plan.batch_size):
            _logger.info(
                "Training on all of %d items: a choice needs two candidate batches of %d, more "
                "than the %d that are trained; change selected_fraction, or batch_size.",
                len(plan.ids),
                size,
                plan.batch_size,
            )
            return plan.batch_size
        self._losses = self._checked_irreducible(plan.ids)
        for model in self._side_models():
            model.begin(plan)
        return size

    def has_choice(self, num_items: int, batch_size: int) -> bool:
        """Return whether a set is large enough to choose from: two candidate batches.

        Parameters
        ----------
        num_items : int
            Items of the set.
        batch_size : int
            Items that a step trains.

        Returns
        -------
        bool
            False where all items are trained.
        """
        size = self._candidate_size(batch_size)
        return size > batch_size and num_items >= _FEWEST_BATCHES * size

    def _candidate_size(self, batch_size: int) -> int:
        return max(batch_size, round(batch_size / self.selected_fraction))

    def end(self) -> None:
        """Let the models beside go, after a fit."""
        for model in self._side_models():
            model.end()

    def select(self, batch: CandidateBatch) -> Selection:
        """Choose what is trained; see `BatchSelector.select`."""
        number = min(batch.num_selected, len(batch.ids))
        scores, logits = None, None
        if self._is_uniform(batch.epoch):
            positions, weights = uniform(batch.ids, number, self._generator, 1.0)[0], None
        else:
            scores, logits = self._scored(batch)
            rule = SELECTION_RULES[self.rule]
            ranked = self._ranked(scores, batch.labels)
            positions, weights = rule(ranked, number, self._generator, self._temperature(batch))
        positions = positions.cpu()
        for model in self._side_models():
            model.update(batch, positions)
        self.log.add(batch, positions, scores, logits, self._plan.num_classes)
        return Selection(positions, weights)

    def _scored(self, batch: CandidateBatch) -> tuple[Tensor, Tensor | None]:
        """Return the scores, and the logits of the trained model where they were needed."""
        logits = self._logits(batch)
        shown = torch.zeros(len(batch.ids), self._plan.num_classes) if logits is None else logits
        device = shown.device
        scores = self.score(shown, batch.labels.to(device), self._irreducible_of(batch, device))
        bad = ~torch.isfinite(scores)
        if bool(bad.any()):
            row = int(bad.nonzero()[0])
            raise ValueError(
                f"The score of item {int(batch.ids[row])} is {float(scores[row])} in epoch "
                f"{batch.epoch} ({int(bad.sum())} of {len(scores)} candidates): the model, a side "
                "model or the score of yours gives no finite number; lower lr, or look at them."
            )
        return scores, self._own_logits(logits)

    def _is_uniform(self, epoch: int) -> bool:
        after = self.uniform_after
        return epoch < self.warmup_epochs or (after is not None and epoch >= after)

    def _ranked(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return what candidates are ranked by: scores, cut off and weighted where asked for."""
        if self.positive_part:
            scores = scores.clamp(min=0)
        if self.class_weight_rate > 0:
            scores = self._weighted(scores, labels.to(scores.device))
        return scores

    def _own_logits(self, logits: Tensor | None) -> Tensor | None:
        """Return the trained model's logits, those of the mean of its passes; None if not asked."""
        if logits is None or self.scorer is not None:
            return None
        if logits.ndim == 2:
            return logits
        if self._plan.multi_label:
            return torch.logit(logits.sigmoid().mean(dim=0), eps=_EPSILON)
        return logits.softmax(dim=-1).mean(dim=0).clamp(min=_EPSILON).log()

    def _logits(self, batch: CandidateBatch) -> Tensor | None:
        if not self.score.needs_logits:
            return None
        if self.scorer is not None:
            return self.scorer.logits(batch)
        if self.num_samples > 1:
            samples = batch.samples(self.num_samples)
            self._compare(samples)
            return samples
        return batch.score(training=self.training_mode)

    def _compare(self, samples: Tensor) -> None:
        """Warn of a model without dropout: one whose passes are equal in each of the first steps.

        Of a head that starts at zero, they are so in the first one whatever its dropout.
        """
        if not 0 <= self._equal_passes < _TOLD_AFTER:
            return
        equal = torch.equal(samples[0], samples[1])
        self._equal_passes = self._equal_passes + 1 if equal else -1
        if self._equal_passes == _TOLD_AFTER:
            _logger.warning(
                "The %d passes of the model are equal, since it has no dropout: what passes "
                "disagree on is zero of every item; give the model dropout.",
                self.num_samples,
            )

    def _irreducible_of(self, batch: CandidateBatch, device: torch.device) -> Tensor | None:
        if self.irreducible_model is not None:
            logits = self.irreducible_model.logits(batch).to(device)
            return training_loss(logits, batch.labels.to(device))
        return None if self._losses is None else self._losses[batch.ids].to(device)

    def _weighted(self, scores: Tensor, labels: Tensor) -> Tensor:
        gains = torch.zeros(len(self._class_weights)).to(scores)
        for label in range(len(gains)):
            if bool((labels == label).any()):
                gains[label] = scores[labels == label].clamp(min=0).mean()
        # Only the proportions count: of the largest exponent taken off, none overflows.
        exponents = self._class_weights.to(scores).log() + self.class_weight_rate * gains
        weights = (exponents - exponents.max()).exp()
        # Never so small that a class could not come back.
        self._class_weights = (weights / weights.mean()).clamp(min=_SMALLEST_WEIGHT).cpu()
        # What is not worth learning is no more so in a class that is.
        factors = self._class_weights.to(scores)[labels]
        return torch.where(scores > 0, scores * factors, scores)

    def _temperature(self, batch: CandidateBatch) -> float:
        last = max(self._plan.num_epochs - 1, 1)
        progress = min(batch.epoch / last, 1.0)
        return scheduled_temperature(
            self.schedule, self.temperature, self.last_temperature, progress
        )

    def _side_models(self) -> list[SideModel]:
        return [model for model in (self.scorer, self.irreducible_model) if model is not None]

    def _checked_irreducible(self, ids: Tensor) -> Tensor | None:
        if not self.score.needs_irreducible or self.irreducible_model is not None:
            return None
        if self.irreducible is None:
            raise ValueError(
                "This score needs irreducible losses and has none: pass irreducible, one for each "
                "item of the training set, or use ReducibleLossClassificationFactory."
            )
        largest = int(ids.max())
        if largest >= len(self.irreducible):
            raise ValueError(
                f"There are irreducible losses of {len(self.irreducible)} items, and item "
                f"{largest} is trained: they were computed for another training set."
            )
        missing = ids.numpy()[~np.isfinite(self.irreducible[ids.numpy()])]
        if len(missing):
            raise ValueError(
                f"The irreducible loss of item {missing[0]} is {self.irreducible[missing[0]]} "
                f"({len(missing)} such items): compute it anew, or leave the items out."
            )
        return torch.from_numpy(self.irreducible).float()


def _resolved_score(score: str | SelectionScore) -> SelectionScore:
    if isinstance(score, SelectionScore):
        return score
    if score not in SELECTION_SCORES:
        raise ValueError(f"score is {score!r}: pass one of {', '.join(SELECTION_SCORES)}.")
    return SELECTION_SCORES[score]


def _check_options(
    selected_fraction: float, warmup_epochs: int, num_samples: int | None, rate: float
) -> None:
    if not 0 < selected_fraction <= 1:
        raise ValueError(
            f"selected_fraction is {selected_fraction}: pass a share above 0 and at most 1; more "
            "cannot be trained than there are candidates."
        )
    if warmup_epochs < 0 or warmup_epochs != int(warmup_epochs):
        raise ValueError(f"warmup_epochs is {warmup_epochs}: pass an integer of at least 0.")
    if num_samples is not None and (num_samples < 1 or num_samples != int(num_samples)):
        raise ValueError(f"num_samples is {num_samples}: pass an integer of at least 1.")
    if not 0 <= rate < float("inf"):
        raise ValueError(f"class_weight_rate is {rate}: pass a finite number of at least 0.")


def _check_uniform_after(epoch: int | None, warmup_epochs: int) -> None:
    if epoch is not None and (epoch != int(epoch) or epoch <= warmup_epochs):
        raise ValueError(
            f"uniform_after is {epoch} and warmup_epochs is {warmup_epochs}: pass a later epoch, "
            "or None."
        )


def _share_correct(logits: NDArray[np.float32], labels: NDArray[Any]) -> float:
    if labels.ndim == 2:
        return float(((logits > 0) == (labels > 0.5)).all(axis=1).mean())
    return float((logits.argmax(axis=1) == labels).mean())


def _concentration(scores: NDArray[np.float32]) -> float:
    positive = np.sort(np.maximum(scores, 0.0))[::-1]
    total = float(positive.sum())
    number = max(1, round(_TOP_SHARE * len(positive)))
    return float(positive[:number].sum()) / total if total > 0 else float("nan")


def _class_shares(labels: NDArray[Any], num_classes: int) -> list[float]:
    if labels.ndim == 2:
        return [float(share) for share in labels.mean(axis=0)]
    counts = np.bincount(labels, minlength=num_classes) / max(1, len(labels))
    return [float(share) for share in counts]


@cache
def _class_columns(num_classes: int) -> tuple[str, ...]:
    return tuple(f"class_{label}" for label in range(num_classes))
