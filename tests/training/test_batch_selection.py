"""Golden values of every score, computed by hand in float64, and what the rules choose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from small_text_ext.training import batch_selection
from small_text_ext.training.batch_selection import (
    SELECTION_RULES,
    SELECTION_SCORES,
    conditional_entropy,
    scheduled_temperature,
    training_loss,
)

# Two stochastic passes over three candidates of three classes.
SAMPLES = np.array(
    [
        [[2.0, 0.5, -1.0], [0.0, 0.0, 0.0], [-3.0, 1.0, 1.5]],
        [[1.0, 1.5, -2.0], [4.0, 0.0, 0.0], [-2.0, 2.0, 0.5]],
    ]
)
LABELS = [1, 0, 2]
MULTI_LABELS = [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
IRREDUCIBLE = [0.25, 1.5, 0.1]
TOLERANCE = 1e-6


def softmax(scores: Any) -> list[float]:  # noqa: ANN401
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def sigmoid(scores: Any) -> list[float]:  # noqa: ANN401
    return [1 / (1 + math.exp(-score)) for score in scores]


def entropy(p: list[float]) -> float:
    return -sum(value * math.log(value) for value in p)


def binary_entropy(p: list[float]) -> float:
    return sum(entropy([value, 1 - value]) for value in p)


def mean(rows: list[list[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def expected(name: str, samples: Any, multi_label: bool) -> list[float]:  # noqa: ANN401
    """Compute a score item by item, from its published formula."""
    values = []
    for item in range(3):
        squash = sigmoid if multi_label else softmax
        single = [squash(sample[item]) for sample in samples]
        p = mean(single)
        label: Any = MULTI_LABELS[item] if multi_label else LABELS[item]
        hot: Any
        losses: list[float]
        if multi_label:
            losses = [
                -sum(math.log(v if y else 1 - v) for v, y in zip(q, label, strict=True))
                for q in single
            ]
            hot, of = label, binary_entropy
        else:
            losses = [-math.log(q[label]) for q in single]
            hot, of = [float(c == label) for c in range(3)], entropy
        loss, noise = sum(losses) / len(losses), sum(of(q) for q in single) / len(single)
        norm = math.sqrt(sum((v - y) ** 2 for v, y in zip(p, hot, strict=True)))
        values.append(
            {
                "uniform": 0.0,
                "loss": loss,
                "gradient_norm": norm,
                "gradient_norm_sampling": norm,
                "irreducible_loss": -IRREDUCIBLE[item],
                "reducible_loss": loss - IRREDUCIBLE[item],
                "boltzmann_reducible_loss": loss - IRREDUCIBLE[item],
                "bald": of(p) - noise,
                "entropy": of(p),
                "conditional_entropy": noise,
                "loss_minus_conditional_entropy": loss - noise,
                "loss_plus_conditional_entropy": loss + noise,
            }[name]
        )
    return values


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("num_samples", [0, 1, 2])
@pytest.mark.parametrize("name", SELECTION_SCORES)
def test_every_score_is_its_formula(name: str, num_samples: int, multi_label: bool) -> None:
    samples = SAMPLES[: max(num_samples, 1)]
    logits = torch.from_numpy(samples if num_samples else samples[0])
    labels = torch.tensor(MULTI_LABELS if multi_label else LABELS)
    given = SELECTION_SCORES[name](logits, labels, torch.tensor(IRREDUCIBLE))
    assert given.dtype == torch.float32
    np.testing.assert_allclose(given, expected(name, samples, multi_label), atol=TOLERANCE)


def test_the_registry_says_how_each_was_published() -> None:
    passes = {name for name, score in SELECTION_SCORES.items() if score.num_samples > 1}
    assert passes == {
        "bald",
        "entropy",
        "conditional_entropy",
        "loss_minus_conditional_entropy",
        "loss_plus_conditional_entropy",
    }
    needing = {name for name, score in SELECTION_SCORES.items() if score.needs_irreducible}
    assert needing == {"irreducible_loss", "reducible_loss", "boltzmann_reducible_loss"}
    free = {name for name, score in SELECTION_SCORES.items() if not score.needs_logits}
    assert free == {"uniform", "irreducible_loss"}
    for score in SELECTION_SCORES.values():
        assert score.rule in SELECTION_RULES


def test_reducible_loss_chooses_exactly_the_top_of_loss_minus_irreducible() -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(320, 5)))
    labels, irreducible = torch.from_numpy(rng.integers(5, size=320)), torch.rand(320)
    scores = SELECTION_SCORES["reducible_loss"](logits, labels, irreducible)
    positions, weights = SELECTION_RULES["top_k"](scores, 32, None, 1.0)
    log_total = np.log(np.exp(logits.numpy()).sum(axis=1))
    loss = log_total - logits.numpy()[np.arange(320), labels]
    best = np.argsort(-(loss - irreducible.numpy()), kind="stable")[:32]
    assert positions.tolist() == best.tolist()
    assert weights is None


def test_extreme_logits_keep_scores_finite() -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])
    for labels in (torch.tensor([0, 0]), torch.tensor([[1, 0], [1, 0]])):
        for score in SELECTION_SCORES.values():
            assert torch.isfinite(score(logits, labels, torch.zeros(2))).all()


def test_bald_is_the_mean_divergence_from_the_mean() -> None:
    """The identity that makes it the expected reducible loss of a committee."""
    single = [[softmax(sample[item]) for sample in SAMPLES] for item in range(3)]
    divergence = []
    for rows in single:
        middle = mean(rows)
        divergence.append(
            sum(v * math.log(v / m) for row in rows for v, m in zip(row, middle, strict=True))
            / len(rows)
        )
    given = batch_selection.bald(torch.from_numpy(SAMPLES))
    np.testing.assert_allclose(given, divergence, atol=TOLERANCE)


def test_top_k_prefers_earlier_candidates_among_equals() -> None:
    positions, _ = SELECTION_RULES["top_k"](torch.tensor([1.0, 2.0, 1.0, 1.0, 2.0]), 3, None, 1.0)
    assert positions.tolist() == [1, 4, 0]


def test_uniform_draws_without_looking() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = np.zeros(10)
    for _ in range(2000):
        positions, weights = SELECTION_RULES["uniform"](torch.arange(10.0), 3, generator, 1.0)
        assert len(set(positions.tolist())) == 3
        assert weights is None
        counts[positions] += 1
    assert abs(counts / 2000 - 0.3).max() < 0.05


def test_drawing_in_proportion_is_unbiased() -> None:
    scores = torch.tensor([0.1, 0.5, 2.0, 0.0, 1.0])
    losses = torch.tensor([3.0, 1.0, 0.5, 2.0, 4.0])
    generator = torch.Generator().manual_seed(0)
    positions, weights = SELECTION_RULES["with_replacement"](scores, 200_000, generator, 1.0)
    assert weights is not None
    shares = np.bincount(positions, minlength=5) / len(positions)
    np.testing.assert_allclose(shares[[0, 1, 2, 4]], scores[[0, 1, 2, 4]] / 3.6, atol=0.01)
    seen = scores > 0
    unbiased = float((weights * losses[positions]).mean())
    assert unbiased == pytest.approx(float(losses[seen].sum() / 5), abs=0.05)
    again, _ = SELECTION_RULES["with_replacement"](torch.zeros(5), 10, generator, 1.0)
    assert len(again) == 10


def test_negative_scores_are_no_shares() -> None:
    with pytest.raises(ValueError, match="A score is -1"):
        SELECTION_RULES["with_replacement"](torch.tensor([1.0, -1.0]), 1, None, 1.0)


def test_boltzmann_follows_the_softmax_of_the_scores() -> None:
    scores = torch.tensor([0.0, 0.5, 1.0, -1.0])
    generator = torch.Generator().manual_seed(0)
    for temperature in (0.5, 2.0):
        first = np.zeros(4)
        for _ in range(6000):
            positions, _ = SELECTION_RULES["boltzmann"](scores, 2, generator, temperature)
            assert len(set(positions.tolist())) == 2
            first[positions[0]] += 1
        shares = softmax((scores / temperature).tolist())
        np.testing.assert_allclose(first / 6000, shares, atol=0.03)
    cold, _ = SELECTION_RULES["boltzmann"](scores, 4, generator, 1e-4)
    assert cold.tolist() == [2, 1, 0, 3]


@pytest.mark.parametrize("rule", SELECTION_RULES)
def test_same_generator_same_choice(rule: Any) -> None:  # noqa: ANN401
    scores = torch.rand(50)
    first, again = (
        SELECTION_RULES[rule](scores, 10, torch.Generator().manual_seed(3), 0.5)[0]
        for _ in range(2)
    )
    assert first.tolist() == again.tolist()


def test_temperatures_follow_their_schedule() -> None:
    assert scheduled_temperature("constant", 0.25, 9.0, 0.7) == 0.25
    assert scheduled_temperature("linear", 1.0, 0.5, 0.5) == 0.75
    assert scheduled_temperature("geometric", 4.0, 1.0, 0.5) == pytest.approx(2.0)
    for schedule in ("linear", "geometric"):
        assert scheduled_temperature(schedule, 3.0, 1.0, 0.0) == pytest.approx(3.0)
        assert scheduled_temperature(schedule, 3.0, 1.0, 1.0) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="above 0"):
        scheduled_temperature("linear", 1.0, 0.0, 0.5)
    with pytest.raises(ValueError, match="schedule is 'cosine'"):
        scheduled_temperature("cosine", 1.0, 0.5, 0.5)  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused() -> None:
    logits, labels = torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match="needs irreducible losses"):
        SELECTION_SCORES["reducible_loss"](logits, labels)
    with pytest.raises(ValueError, match=r"shape \(3, 2\) for 2 labels"):
        SELECTION_SCORES["loss"](logits, labels[:2])
    for shape in ((3, 1), (1,), (7,)):
        for name in ("reducible_loss", "irreducible_loss"):
            with pytest.raises(ValueError, match=r"irreducible has the shape .* for 3 labels"):
                SELECTION_SCORES[name](logits, labels, torch.zeros(shape))


def test_losses_of_several_passes_are_averaged() -> None:
    logits, labels = torch.from_numpy(SAMPLES), torch.tensor(LABELS)
    single = [training_loss(sample, labels) for sample in logits]
    np.testing.assert_allclose(training_loss(logits, labels), (single[0] + single[1]) / 2)
    np.testing.assert_allclose(conditional_entropy(logits[:1]), conditional_entropy(logits[0]))
