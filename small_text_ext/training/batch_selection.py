"""Which candidates are worth a gradient step: scores and rules as pure functions.

A score says how much a candidate is worth, the higher the more; a rule turns the scores of a
candidate batch into the items that are trained. `SelectByScore` joins the two on the seam that
every trainer of this package has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Score = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Rule = Callable[[Tensor, int, torch.Generator | None, float], tuple[Tensor, Tensor | None]]
RuleName = Literal["top_k", "uniform", "with_replacement", "boltzmann"]


@dataclass(frozen=True)
class SelectionScore:
    """A score by name: what it computes, from what, and the rule it was published with.

    Parameters
    ----------
    function : callable
        ``function(logits, labels, irreducible=None)`` returns one number a candidate, shape (b,)
        of float32, the higher the better: logits are (b, num_classes), or
        (num_samples, b, num_classes) of several stochastic passes; labels (b,) of int64, or
        (b, num_classes) of zeros and ones, which makes it multi-label; irreducible losses (b,).
    rule : {"top_k", "uniform", "with_replacement", "boltzmann"}, default="top_k"
        The rule it was published with.
    needs_irreducible : bool, default=False
        Whether it compares with irreducible losses.
    num_samples : int, default=1
        Stochastic passes (dropout on) that it was published with; 1 needs none.
    needs_logits : bool, default=True
        Whether it looks at the current model at all: one that does not costs no forward pass.
    """

    function: Score
    rule: RuleName = "top_k"
    needs_irreducible: bool = False
    num_samples: int = 1
    needs_logits: bool = True

    def __call__(self, logits: Tensor, labels: Tensor, irreducible: Tensor | None = None) -> Tensor:
        """Return the score of each candidate.

        Parameters
        ----------
        logits : torch.Tensor, shape (b, num_classes) or (num_samples, b, num_classes)
            Of the current model.
        labels : torch.Tensor, shape (b,) of int64, or (b, num_classes)
            The labels.
        irreducible : torch.Tensor, shape (b,), or None, default=None
            Irreducible losses in nats.

        Returns
        -------
        torch.Tensor of float32, shape (b,)
            Scores, the higher the better.

        Raises
        ------
        ValueError
            If the score needs irreducible losses and there are none, or shapes do not fit.
        """
        if self.needs_irreducible and irreducible is None:
            raise ValueError("This score needs irreducible losses: pass irreducible.")
        if logits.ndim not in (2, 3) or logits.shape[-2] != len(labels):
            raise ValueError(
                f"logits have the shape {tuple(logits.shape)} for {len(labels)} labels: pass "
                "(candidates, classes), or (passes, candidates, classes)."
            )
        if irreducible is not None and irreducible.shape != (len(labels),):
            raise ValueError(
                f"irreducible has the shape {tuple(irreducible.shape)} for {len(labels)} labels: "
                "pass one loss for each candidate."
            )
        return self.function(logits.float(), labels, irreducible)


def training_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of each item, in nats: cross-entropy, or its sum over labels if multi-label.

    Parameters
    ----------
    logits : torch.Tensor, shape (b, num_classes) or (num_samples, b, num_classes)
        Of several passes, the loss is the mean.
    labels : torch.Tensor, shape (b,) of int64, or (b, num_classes)
        The labels.

    Returns
    -------
    torch.Tensor of float32, shape (b,)
        Losses.

    Examples
    --------
    >>> training_loss(torch.zeros(1, 4), torch.tensor([2])).exp()
    tensor([4.])
    """
    if logits.ndim == 3:
        return torch.stack([training_loss(sample, labels) for sample in logits]).mean(dim=0)
    if labels.ndim == 2:
        losses = functional.binary_cross_entropy_with_logits(
            logits, labels.to(logits), reduction="none"
        )
        return losses.sum(dim=1)
    return functional.cross_entropy(logits, labels, reduction="none")


def gradient_norm(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the norm of the gradient of each item's loss by the logits.

    It bounds the norm of the whole gradient up to a factor that all items share.

    Parameters
    ----------
    logits : torch.Tensor, shape (b, num_classes) or (num_samples, b, num_classes)
        Of several passes, the norm is that of the mean probabilities.
    labels : torch.Tensor, shape (b,) of int64, or (b, num_classes)
        The labels.

    Returns
    -------
    torch.Tensor of float32, shape (b,)
        ``||p - y||``, with ``y`` one-hot.

    References
    ----------
    A. Katharopoulos and F. Fleuret, "Not All Samples Are Created Equal", ICML 2018, section 3.2.

    Examples
    --------
    >>> gradient_norm(torch.zeros(1, 2), torch.tensor([0]))
    tensor([0.7071])
    """
    probabilities = _probabilities(logits, labels)
    target = labels.to(probabilities) if labels.ndim == 2 else _one_hot(labels, probabilities)
    norms: Tensor = torch.linalg.vector_norm(probabilities - target, dim=1)
    return norms


def entropy(logits: Tensor, multi_label: bool = False) -> Tensor:
    """Return the entropy of the mean prediction of each item, in nats.

    Parameters
    ----------
    logits : torch.Tensor, shape (b, num_classes) or (num_samples, b, num_classes)
        Predictions of several passes are averaged before.
    multi_label : bool, default=False
        Whether classes are independent: their entropies are summed.

    Returns
    -------
    torch.Tensor of float32, shape (b,)
        ``H[mean_k p_k]``.

    Examples
    --------
    >>> entropy(torch.zeros(1, 2)).exp()
    tensor([2.])
    """
    samples = logits if logits.ndim == 3 else logits[None]
    mean = (samples.sigmoid() if multi_label else samples.softmax(dim=-1)).mean(dim=0)
    return _entropy_of(mean, multi_label)


def conditional_entropy(logits: Tensor, multi_label: bool = False) -> Tensor:
    """Return the mean of the entropies of the single passes, in nats.

    What is left of the entropy once the model is known: the noise that no label resolves.

    Parameters
    ----------
    logits : torch.Tensor, shape (b, num_classes) or (num_samples, b, num_classes)
        Predictions.
    multi_label : bool, default=False
        As in `entropy`.

    Returns
    -------
    torch.Tensor of float32, shape (b,)
        ``mean_k H[p_k]``.
    """
    samples = logits if logits.ndim == 3 else logits[None]
    parts = samples.sigmoid() if multi_label else samples.softmax(dim=-1)
    return torch.stack([_entropy_of(part, multi_label) for part in parts]).mean(dim=0)


def bald(logits: Tensor, multi_label: bool = False) -> Tensor:
    """Return the mutual information of label and model, in nats.

    Parameters
    ----------
    logits : torch.Tensor, shape (num_samples, b, num_classes)
        Predictions of several models, or passes with dropout; of one pass it is zero.
    multi_label : bool, default=False
        As in `entropy`.

    Returns
    -------
    torch.Tensor of float32, shape (b,)
        ``H[mean_k p_k] - mean_k H[p_k]``: how much the passes disagree.

    References
    ----------
    N. Houlsby et al., "Bayesian Active Learning for Classification and Preference Learning", 2011.
    """
    return entropy(logits, multi_label) - conditional_entropy(logits, multi_label)


def _probabilities(logits: Tensor, labels: Tensor) -> Tensor:
    samples = logits if logits.ndim == 3 else logits[None]
    return (samples.sigmoid() if labels.ndim == 2 else samples.softmax(dim=-1)).mean(dim=0)


def _one_hot(labels: Tensor, like: Tensor) -> Tensor:
    return functional.one_hot(labels, like.shape[1]).to(like)


def _entropy_of(probabilities: Tensor, multi_label: bool) -> Tensor:
    total = -torch.xlogy(probabilities, probabilities)
    if multi_label:
        total = total - torch.xlogy(1 - probabilities, 1 - probabilities)
    return total.sum(dim=1)


def _uniform_score(logits: Tensor, labels: Tensor, irreducible: Tensor | None) -> Tensor:
    """Return zeros: every candidate is worth the same."""
    return torch.zeros(len(labels), device=logits.device)


def _loss_score(logits: Tensor, labels: Tensor, irreducible: Tensor | None) -> Tensor:
    """Return the training loss: finds what is not learnt, and what is wrong."""
    return training_loss(logits, labels)


def _gradient_score(logits: Tensor, labels: Tensor, irreducible: Tensor | None) -> Tensor:
    """Return `gradient_norm`."""
    return gradient_norm(logits, labels)


def _irreducible_score(logits: Tensor, labels: Tensor, irreducible: Tensor | None) -> Tensor:
    """Return the negative irreducible loss: what a model can learn, learnt already or not."""
    assert irreducible is not None
    return -irreducible.float()


def _reducible_score(logits: Tensor, labels: Tensor, irreducible: Tensor | None) -> Tensor:
    """Return training loss minus irreducible loss: learnable, worth learning, not yet learnt."""
    assert irreducible is not None
    return training_loss(logits, labels) - irreducible.to(logits.device).float()


def _bald_score(logits: Tensor, labels: Tensor, irreducible: Tensor | None) -> Tensor:
    """Return `bald`."""
    return bald(logits, labels.ndim == 2)


def _entropy_score(logits: Tensor, labels: Tensor, irreducible: Tensor | None) -> Tensor:
    """Return `entropy`."""
    return entropy(logits, labels.ndim == 2)


def _conditional_score(logits: Tensor, labels: Tensor, irreducible: Tensor | None) -> Tensor:
    """Return `conditional_entropy`."""
    return conditional_entropy(logits, labels.ndim == 2)


def _corrected_score(logits: Tensor, labels: Tensor, irreducible: Tensor | None) -> Tensor:
    """Return the loss minus the conditional entropy: reducible loss without a hold-out set."""
    return training_loss(logits, labels) - conditional_entropy(logits, labels.ndim == 2)


def _pessimistic_score(logits: Tensor, labels: Tensor, irreducible: Tensor | None) -> Tensor:
    """Return the loss plus the conditional entropy: wants what is hard and what is noisy."""
    return training_loss(logits, labels) + conditional_entropy(logits, labels.ndim == 2)


SELECTION_SCORES: Mapping[str, SelectionScore] = {
    "uniform": SelectionScore(_uniform_score, rule="uniform", needs_logits=False),
    "loss": SelectionScore(_loss_score),
    "gradient_norm": SelectionScore(_gradient_score),
    "gradient_norm_sampling": SelectionScore(_gradient_score, rule="with_replacement"),
    "irreducible_loss": SelectionScore(
        _irreducible_score, needs_irreducible=True, needs_logits=False
    ),
    "reducible_loss": SelectionScore(_reducible_score, needs_irreducible=True),
    "boltzmann_reducible_loss": SelectionScore(
        _reducible_score, rule="boltzmann", needs_irreducible=True
    ),
    "bald": SelectionScore(_bald_score, num_samples=10),
    "entropy": SelectionScore(_entropy_score, num_samples=10),
    "conditional_entropy": SelectionScore(_conditional_score, num_samples=10),
    "loss_minus_conditional_entropy": SelectionScore(_corrected_score, num_samples=10),
    "loss_plus_conditional_entropy": SelectionScore(_pessimistic_score, num_samples=10),
}
"""Scores by name, as `SelectionScore`.

``uniform``: 0. ``loss``: ``L = -log p(y | x)``. ``gradient_norm`` and ``gradient_norm_sampling``:
``||p - y||``. ``irreducible_loss``: ``-L_IL``. ``reducible_loss`` and
``boltzmann_reducible_loss``: ``L - L_IL``. ``bald``: ``H[mean p_k] - mean H[p_k]``. ``entropy``:
``H[mean p_k]``. ``conditional_entropy``: ``mean H[p_k]``. ``loss_minus_conditional_entropy``:
``mean L_k - mean H[p_k]``. ``loss_plus_conditional_entropy``: their sum, which its authors' code
names and does not compute. All from S. Mindermann et al., "Prioritized Training on Points that are
Learnable, Worth Learning, and Not Yet Learnt", ICML 2022, and the code beside it.
"""


def top_k(
    scores: Tensor, num_selected: int, generator: torch.Generator | None, temperature: float
) -> tuple[Tensor, None]:
    """Choose the highest scores; among equals the earlier candidates.

    Parameters
    ----------
    scores : torch.Tensor, shape (b,)
        Scores.
    num_selected : int
        How many to choose.
    generator : torch.Generator or None
        Not used: nothing is drawn.
    temperature : float
        Not used.

    Returns
    -------
    positions : torch.Tensor of int64, shape (num_selected,)
        Best first.
    weights : None
        All count alike.
    """
    return scores.sort(descending=True, stable=True).indices[:num_selected], None


def uniform(
    scores: Tensor, num_selected: int, generator: torch.Generator | None, temperature: float
) -> tuple[Tensor, None]:
    """Draw candidates without replacement, whatever their scores.

    Parameters
    ----------
    scores : torch.Tensor, shape (b,)
        Only their number counts.
    num_selected : int
        How many to draw.
    generator : torch.Generator or None
        Draws; on the CPU.
    temperature : float
        Not used.

    Returns
    -------
    positions : torch.Tensor of int64, shape (num_selected,)
        Distinct.
    weights : None
        All count alike.
    """
    return torch.randperm(len(scores), generator=generator)[:num_selected], None


def with_replacement(
    scores: Tensor, num_selected: int, generator: torch.Generator | None, temperature: float
) -> tuple[Tensor, Tensor]:
    """Draw candidates in proportion to their scores, and weight them so that the mean is unbiased.

    Parameters
    ----------
    scores : torch.Tensor, shape (b,)
        Not negative. What scores zero is not drawn: its gradient, by `gradient_norm`, is zero too.
    num_selected : int
        How many to draw; one may be drawn twice.
    generator : torch.Generator or None
        Draws; on the CPU.
    temperature : float
        Not used.

    Returns
    -------
    positions : torch.Tensor of int64, shape (num_selected,)
        Drawn with replacement.
    weights : torch.Tensor of float32, shape (num_selected,)
        ``1 / (b * p)``: the expected weighted mean is the mean over all candidates.

    Raises
    ------
    ValueError
        If a score is negative: it is no probability.

    References
    ----------
    A. Katharopoulos and F. Fleuret, "Not All Samples Are Created Equal", ICML 2018, equation 2.
    """
    on_cpu = scores.detach().cpu().double()
    if bool((on_cpu < 0).any()):
        raise ValueError(
            f"A score is {float(on_cpu.min())}: draw in proportion to scores that are not negative "
            "(gradient_norm), or use rule='boltzmann'."
        )
    total = float(on_cpu.sum())
    shares = on_cpu / total if total > 0 else torch.full_like(on_cpu, 1 / len(on_cpu))
    drawn = torch.multinomial(shares, num_selected, replacement=True, generator=generator)
    return drawn, (1 / (len(shares) * shares[drawn])).float()


def boltzmann(
    scores: Tensor, num_selected: int, generator: torch.Generator | None, temperature: float
) -> tuple[Tensor, None]:
    """Draw candidates without replacement, by a softmax of their scores.

    The released code draws with replacement, and trains an item as often as it was drawn; distinct
    items use the batch better. A temperature near 0 is top-k, a high one is uniform.

    Parameters
    ----------
    scores : torch.Tensor, shape (b,)
        Scores.
    num_selected : int
        How many to draw.
    generator : torch.Generator or None
        Draws; on the CPU.
    temperature : float
        Above 0, in the unit of the scores.

    Returns
    -------
    positions : torch.Tensor of int64, shape (num_selected,)
        Distinct, in the order of drawing.
    weights : None
        All count alike.
    """
    on_cpu = scores.detach().cpu().double()
    noise = torch.rand(len(on_cpu), generator=generator, dtype=torch.float64)
    # The largest of scores plus Gumbel noise are draws without replacement from the softmax.
    gumbel = -torch.log(-torch.log(noise.clamp(min=1e-300)))
    perturbed = on_cpu / temperature + gumbel
    return perturbed.sort(descending=True, stable=True).indices[:num_selected], None


SELECTION_RULES: Mapping[RuleName, Rule] = {
    "top_k": top_k,
    "uniform": uniform,
    "with_replacement": with_replacement,
    "boltzmann": boltzmann,
}
"""Rules by name: ``rule(scores, num_selected, generator, temperature)`` returns positions, and
weights of the losses or None."""


def scheduled_temperature(
    schedule: Literal["constant", "linear", "geometric"],
    first: float,
    last: float,
    progress: float,
) -> float:
    """Return the temperature at a point of a fit.

    Parameters
    ----------
    schedule : {"constant", "linear", "geometric"}
        How it goes from ``first`` to ``last``; "constant" stays at ``first``.
    first, last : float
        Temperatures above 0.
    progress : float
        From 0, at the first epoch, to 1.

    Returns
    -------
    float
        The temperature.

    Raises
    ------
    ValueError
        If a temperature is not above 0, or the schedule is unknown.

    Examples
    --------
    >>> scheduled_temperature("geometric", 1.0, 0.25, 0.5)
    0.5
    """
    if not (0 < first < math.inf and 0 < last < math.inf):
        raise ValueError(f"temperatures are {first} and {last}: pass numbers above 0.")
    if schedule == "constant":
        return first
    if schedule == "linear":
        return first + (last - first) * progress
    if schedule == "geometric":
        return float(math.exp(math.log(first) + (math.log(last) - math.log(first)) * progress))
    raise ValueError(f"schedule is {schedule!r}: pass 'constant', 'linear' or 'geometric'.")
