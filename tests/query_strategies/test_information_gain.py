from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from small_text_ext.query_strategies.information_gain import (
    committee_disagreement,
    expected_predictive_information_gain,
    expected_reducible_loss,
)
from small_text_ext.training.batch_selection import bald

Array = NDArray[np.float64]


def distributions(*shape: int, seed: int = 0) -> Array:
    """Return random distributions over the last axis, none of them near zero."""
    drawn = np.random.default_rng(seed).dirichlet(np.full(shape[-1], 2.0), shape[:-1])
    return np.asarray(0.9 * drawn + 0.1 / shape[-1])


def independent(*shape: int, seed: int = 0) -> Array:
    """Return random probabilities of independent classes."""
    return np.asarray(np.random.default_rng(seed).uniform(0.05, 0.95, shape))


def binary(probabilities: Array, label: int) -> Array:
    """Return one label of a multi-label task as a task of two classes."""
    return np.stack([1 - probabilities[..., label], probabilities[..., label]], axis=-1)


# --- expected_reducible_loss


def test_the_variants_against_their_definitions() -> None:
    informed, current = distributions(20, 4), distributions(20, 4, seed=1)
    expected, pseudo, optimistic = [], [], []
    for known, present in zip(informed, current, strict=True):
        gains = [np.log(p) - np.log(q) for p, q in zip(known, present, strict=True)]
        expected.append(sum(p * gain for p, gain in zip(known, gains, strict=True)))
        pseudo.append(gains[int(np.argmax(known))])
        optimistic.append(max(gains))
    assert expected_reducible_loss(informed, current) == pytest.approx(expected)
    assert expected_reducible_loss(informed, current, "pseudo") == pytest.approx(pseudo)
    assert expected_reducible_loss(informed, current, "optimistic") == pytest.approx(optimistic)
    assert min(pseudo) < 0 < min(expected)
    assert (np.array(optimistic) >= np.array(expected)).all()


@pytest.mark.parametrize("variant", ["expected", "pseudo", "optimistic"])
def test_multi_label_is_the_sum_of_the_binary_tasks(variant: str) -> None:
    informed, current = independent(15, 3), independent(15, 3, seed=1)
    parts = [
        expected_reducible_loss(binary(informed, label), binary(current, label), variant)  # type: ignore[arg-type]
        for label in range(3)
    ]
    found = expected_reducible_loss(informed, current, variant, multi_label=True)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, np.sum(parts, axis=0))


def test_learnt_and_ambiguous_texts_score_zero() -> None:
    sure, unsure = [0.98, 0.01, 0.01], [1 / 3, 1 / 3, 1 / 3]
    scores = expected_reducible_loss([sure, unsure, sure], [sure, unsure, unsure])
    np.testing.assert_allclose(scores[:2], 0, atol=1e-12)
    assert scores[2] == pytest.approx(np.log(3) + 0.98 * np.log(0.98) + 0.02 * np.log(0.01))


def test_the_expectation_of_the_current_model_asks_for_what_is_known() -> None:
    """What the docstring warns of: it is never positive, and largest where the models agree."""
    current = distributions(50, 3)
    informed = distributions(50, 3, seed=1)
    informed[:5] = current[:5]
    degenerate = (current * (np.log(current) - np.log(informed))).sum(axis=1) * -1
    assert (degenerate <= 1e-12).all()
    assert set(np.argsort(degenerate)[-5:]) == set(range(5))
    np.testing.assert_allclose(degenerate, -expected_reducible_loss(current, informed), atol=1e-9)
    assert set(np.argsort(expected_reducible_loss(informed, current))[:5]) == set(range(5))


def test_no_ratio_is_larger_than_the_smallest_probability_allows() -> None:
    scores = expected_reducible_loss([[1.0, 0.0]], [[0.0, 1.0]], "optimistic", smallest=1e-2)
    assert scores == pytest.approx([np.log(100)])
    everything = expected_reducible_loss([[1.0, 0.0]], [[0.0, 1.0]], smallest=1e-2)
    assert 0 < everything[0] < np.log(100)
    many = np.eye(1000)[:2]
    assert expected_reducible_loss(many, many[::-1], "optimistic")[0] == pytest.approx(
        np.log(10**4)
    )


def test_what_is_no_distribution_is_refused() -> None:
    half = [[0.5, 0.5]]
    with pytest.raises(ValueError, match="variant is 'mean': pass one of"):
        expected_reducible_loss(half, half, "mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"smallest is 0\.0"):
        expected_reducible_loss(half, half, smallest=0.0)
    with pytest.raises(ValueError, match=r"shape \(1, 2\), current \(1, 3\)"):
        expected_reducible_loss(half, [[0.5, 0.25, 0.25]])
    with pytest.raises(ValueError, match="Row 1 of current"):
        expected_reducible_loss(half * 2, [[0.5, 0.5], [0.5, 0.9]])
    with pytest.raises(ValueError, match="Row 0 of informed"):
        expected_reducible_loss([[np.nan, 0.5]], half, multi_label=True)
    with pytest.raises(ValueError, match="Row 0 of informed"):
        expected_reducible_loss([[-0.2, 1.2]], half)


# --- committee_disagreement


@pytest.mark.parametrize("multi_label", [False, True])
def test_disagreement_is_bald(multi_label: bool) -> None:
    members = independent(6, 30, 4) if multi_label else distributions(6, 30, 4)
    found = committee_disagreement(members, multi_label)
    logits = np.log(members) - (np.log1p(-members) if multi_label else 0)
    theirs = bald(torch.from_numpy(logits), multi_label)
    np.testing.assert_allclose(found, theirs.numpy(), atol=1e-6)
    assert (found > 0).all()


def test_disagreement_is_the_mean_of_reducible_losses_beside_the_committee() -> None:
    members = distributions(5, 12, 3)
    mean = members.mean(axis=0)
    parts = [expected_reducible_loss(member, mean) for member in members]
    np.testing.assert_allclose(committee_disagreement(members), np.mean(parts, axis=0))


def test_disagreement_has_a_largest_value_and_a_smallest() -> None:
    sure = np.eye(3)[:, None, :]
    assert committee_disagreement(sure) == pytest.approx([np.log(3)])
    assert committee_disagreement(np.repeat(distributions(1, 4, 3), 5, axis=0)) == pytest.approx(0)
    with pytest.raises(ValueError, match=r"probabilities has the shape \(4, 3\)"):
        committee_disagreement(distributions(4, 3))


# --- expected_predictive_information_gain


def naive_information_gain(texts: Array, targets: Array) -> list[float]:
    """Return the mean mutual information of two labels, term by term."""
    members, scores = range(len(texts)), []
    for text in range(texts.shape[1]):
        total = 0.0
        for target in range(targets.shape[1]):
            for y, z in product(range(texts.shape[2]), range(targets.shape[2])):
                joint = np.mean([texts[k, text, y] * targets[k, target, z] for k in members])
                apart = texts[:, text, y].mean() * targets[:, target, z].mean()
                total += joint * np.log(joint / apart)
        scores.append(total / targets.shape[1])
    return scores


@pytest.mark.parametrize("block_size", [1, 100, 10_000])
def test_information_gain_term_by_term(block_size: int) -> None:
    texts, targets = distributions(4, 9, 3), distributions(4, 5, 3, seed=1)
    found = expected_predictive_information_gain(texts, targets, block_size=block_size)
    assert found == pytest.approx(naive_information_gain(texts, targets))
    assert min(found) > 1e-4


def test_information_gain_of_labels_is_that_of_the_binary_tasks() -> None:
    texts, targets = independent(4, 6, 2), independent(4, 5, 2, seed=1)
    parts = [
        naive_information_gain(binary(texts, label), binary(targets, label)) for label in range(2)
    ]
    found = expected_predictive_information_gain(texts, targets, multi_label=True)
    np.testing.assert_allclose(found, np.sum(parts, axis=0))


def test_information_gain_is_at_most_the_disagreement() -> None:
    texts, targets = distributions(8, 40, 3), distributions(8, 10, 3, seed=1)
    found = expected_predictive_information_gain(texts, targets)
    assert (found <= committee_disagreement(texts) + 1e-12).all()


def test_members_have_to_be_the_same_for_texts_and_targets() -> None:
    """Why dropout with masks of each text's own will not do: the labels are independent then."""
    generator = np.random.default_rng(0)
    of_class = np.repeat(generator.uniform(size=(50, 1)), 60, axis=1)
    members = np.stack([1 - of_class, of_class], axis=2)
    shuffled = generator.permuted(of_class, axis=0)
    own_masks = np.stack([1 - shuffled, shuffled], axis=2)
    real = expected_predictive_information_gain(members[:, :30], members[:, 30:]).mean()
    noise = expected_predictive_information_gain(own_masks[:, :30], own_masks[:, 30:]).mean()
    np.testing.assert_allclose(
        np.sort(committee_disagreement(members)), np.sort(committee_disagreement(own_masks))
    )
    assert noise < 0.1 * real


def test_equal_members_and_bad_shapes() -> None:
    same = np.repeat(distributions(1, 4, 3), 5, axis=0)
    assert expected_predictive_information_gain(same, same).tolist() == pytest.approx([0] * 4)
    texts = distributions(3, 4, 2)
    for targets in (distributions(2, 4, 2), distributions(3, 4, 3), np.empty((3, 0, 2))):
        with pytest.raises(ValueError, match="the same members and classes"):
            expected_predictive_information_gain(texts, targets)
    with pytest.raises(ValueError, match="target_probabilities has the shape"):
        expected_predictive_information_gain(texts, texts[0])
    with pytest.raises(ValueError, match="block_size is 0"):
        expected_predictive_information_gain(texts, texts, block_size=0)
