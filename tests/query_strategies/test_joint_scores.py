from __future__ import annotations

import numpy as np
import pytest

from small_text_ext.pool.distances import RowBlocks
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.query_strategies import joint_scores
from small_text_ext.query_strategies.joint_scores import (
    ClassBalance,
    ProductScore,
    SelectedSpread,
    Weight,
    similarity_weight,
)
from tests.query_strategies.plain_selection import spread_of, squared_distances

ROWS = np.arange(3)
NONE = np.arange(0)


def test_a_product_by_hand() -> None:
    weights = [Weight([2.0, 3.0, 0.0], 2), Weight([5.0, 0.0, 1.0], 0)]
    score = ProductScore(ROWS, NONE, 1.0, weights, None)
    np.testing.assert_allclose(score.of(np.array([4.0, 1.0, 1.0])), [8.0, 9.0, 0.0])


@pytest.mark.parametrize(
    ("strength", "values", "falls"),
    [(1, [1.0, 0.0, 2.0], True), (-1, [1.0, 1.0, 1.0], False), (1, [1.0, -1.0, 1.0], False)],
)
def test_scores_that_can_rise_are_known(strength: float, values: list[float], falls: bool) -> None:
    score = ProductScore(ROWS, NONE, strength, [Weight(values)], None)
    assert score.falls_with_distance is falls


def test_what_one_term_excludes_is_excluded() -> None:
    score = ProductScore(ROWS, NONE, -1.0, [Weight([0.0, 1.0, 1.0])], None)
    assert score.of(np.array([0.0, 0.0, 1.0])).tolist() == [0.0, np.inf, 1.0]


def test_balance_is_the_target_over_the_share() -> None:
    balance = ClassBalance([0, 1, 1, 0, 0], targets=[1, 3])
    score = ProductScore(ROWS, np.array([3, 4]), 0.0, [], balance)
    # With one added to each class, the shares are three and one of four; then three and two of
    # five. What lacks most counts one.
    np.testing.assert_allclose(score.of(np.ones(3)), [(0.25 / 0.75) / 3.0, 1.0, 1.0])
    score.add(1, np.zeros(2), 1.0)
    np.testing.assert_allclose(score.of(np.ones(3)), [(0.25 / 0.6) / (0.75 / 0.4), 1.0, 1.0])


@pytest.mark.parametrize("strength", [300.0, 1000.0, -300.0])
def test_a_strong_balance_leaves_the_order_within_a_class(strength: float) -> None:
    balance = ClassBalance([0, 0, 1, 0], targets=[1, 3], strength=strength)
    score = ProductScore(np.arange(3), np.array([3]), 2.0, [], balance)
    found = score.of(np.array([1.0, 2.0, 3.0]))
    assert np.isfinite(found).all()
    assert (found[2] > found[1]) == (strength > 0)
    if strength < 0:
        assert found[1] > found[0] > 0


@pytest.mark.parametrize("ahead", [None, 3, 1000])
def test_spread_follows_the_selection(ahead: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no products computed ahead, those of few candidates, or of all."""
    generator = np.random.default_rng(0)
    for num_selected in (0, 1, 2, 30):
        pool = PoolEmbeddings.from_array(generator.normal(size=(60, 4)))
        squared = squared_distances(pool)
        selected, candidates = np.arange(num_selected), np.arange(num_selected, 60)
        blocks = [RowBlocks(pool, rows, "float64") for rows in (selected, candidates)]
        spread = SelectedSpread(blocks[0], blocks[1], 20)
        members = selected.tolist()
        for position in generator.permutation(len(candidates))[:20].tolist():
            row = int(candidates[position])
            nearest = squared[row, members].min() if members else 4.0
            if ahead is not None and len(members) % 4 == 0:
                monkeypatch.setattr(joint_scores, "_AHEAD", ahead * max(len(members), 1))
                likely = np.arange(position, len(candidates))
                spread.look_ahead(likely, blocks[1].take(likely))
            spread.add(position, blocks[1].take(np.array([position]))[0], nearest)
            members.append(row)
            assert spread.total == pytest.approx(spread_of(squared, members))


def test_similarity_is_that_of_the_most_similar_example() -> None:
    weight = similarity_weight(np.eye(3), [[1, 0, 0], [0, -1, 0]], strength=2.0, at_least=0.4)
    np.testing.assert_allclose(np.asarray(weight.values), [1.0, 0.5, 0.5], atol=1e-6)
    assert weight.allowed(np.arange(3)).all()
    assert weight.strength == 2.0
    with pytest.raises(ValueError, match="examples has dimension 2"):
        similarity_weight(np.eye(3), [1.0, 0.0])
