from __future__ import annotations

import logging
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from small_text import (
    LABEL_IGNORED,
    PoolBasedActiveLearner,
    QueryStrategy,
    SklearnClassifierFactory,
    SklearnDataset,
    SubsamplingQueryStrategy,
    TextDataset,
)

from small_text_ext import (
    EPIG,
    AnchorAL,
    ExpectedReducibleLoss,
    MLPClassification,
    MLPClassificationFactory,
    MLPModelArguments,
    PoolEmbeddings,
    RandomSubset,
)
from small_text_ext.query_strategies.committees import bootstrap_positions, crossfit_positions
from small_text_ext.query_strategies.dynamics_models import Scale
from small_text_ext.query_strategies.information_gain import (
    committee_disagreement,
    expected_predictive_information_gain,
    expected_reducible_loss,
)
from small_text_ext.query_strategies.reducible_loss import spread_picks

LEARNT_A, LEARNT_B, COIN, NEW = range(4)


def penalised(train_set: SklearnDataset, num_classes: int = 2, **options: Any) -> MLPClassification:  # noqa: ANN401
    """Return a head that is not too sure of itself."""
    clf = MLPClassification(
        MLPModelArguments(), num_classes, num_epochs=200, weight_decay=1e-2, seed=0, **options
    )
    return clf.fit(train_set)


class World:
    """Two clusters that are learnt, one whose labels are a coin's, one with no label yet."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.cluster = np.repeat(np.arange(4), 100)
        vectors = np.eye(4, 8)[self.cluster] + 0.1 * generator.normal(size=(400, 8))
        self.vectors: NDArray[np.float32] = vectors.astype(np.float32)
        coin = generator.integers(2, size=400)
        self.y = np.select([self.cluster == COIN, self.cluster == NEW], [coin, 1], self.cluster)
        hidden = np.full(400, -1)  # nothing can be read off the dataset
        self.dataset = SklearnDataset(self.vectors, hidden, target_labels=np.arange(2))
        self.pool = PoolEmbeddings.from_array(self.vectors)
        of_clusters = [np.flatnonzero(self.cluster == c)[:20] for c in (LEARNT_A, LEARNT_B, COIN)]
        self.labeled = generator.permutation(np.concatenate(of_clusters))
        self.unlabeled = np.setdiff1d(np.arange(400), self.labeled)
        self.clf = penalised(self.labels_of(self.labeled))

    def labels_of(self, items: NDArray[np.int64]) -> SklearnDataset:
        return SklearnDataset(self.vectors[items], self.y[items], target_labels=np.arange(2))

    def hold_out(self) -> SklearnDataset:
        """Return labelled vectors of all clusters that are not in the pool."""
        generator = np.random.default_rng(5)
        cluster = np.repeat(np.arange(4), 40)
        x = np.eye(4, 8)[cluster] + 0.1 * generator.normal(size=(160, 8))
        coin = generator.integers(2, size=160)
        y = np.select([cluster == COIN, cluster == NEW], [coin, 1], cluster)
        return SklearnDataset(x.astype(np.float32), y, target_labels=np.arange(2))

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

    def scores(self, strategy: Any, **changes: Any) -> NDArray[np.float64]:  # noqa: ANN401
        """Return the scores of the unlabelled texts after a query."""
        self.query(strategy, **changes)
        return np.asarray(strategy.last_scores[self.unlabeled])


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def informed_classifier(world: World) -> MLPClassification:
    return penalised(world.hold_out())


def zero_shot(world: World) -> NDArray[np.float64]:
    """Return probabilities of the truth, where there is one."""
    sure = 0.05 + 0.9 * np.eye(2)[world.y]
    return np.asarray(np.where((world.cluster == COIN)[:, None], 0.5, sure))


# --- ExpectedReducibleLoss: where the informed model comes from


@pytest.mark.parametrize("source", ["hold-out", "classifier", "array"])
def test_what_the_informed_model_knows_is_picked_and_noise_is_not(
    world: World, source: str
) -> None:
    if source == "hold-out":
        options: dict[str, Any] = {"embeddings": world.pool, "hold_out": world.hold_out()}
    elif source == "classifier":
        options = {"informed": informed_classifier(world)}
    else:
        options = {"informed": zero_shot(world)}
    scores = world.scores(ExpectedReducibleLoss(**options, seed=0))
    cluster = world.cluster[world.unlabeled]
    assert (cluster[np.argsort(-scores)[:50]] == NEW).mean() > 0.9
    new, noise = scores[cluster == NEW].mean(), scores[cluster == COIN].mean()
    assert new > 3 * noise


def test_scores_are_those_of_the_two_models(world: World) -> None:
    clf = informed_classifier(world)
    strategy = ExpectedReducibleLoss(clf, variant="pseudo", seed=0)
    offered = world.dataset[world.unlabeled]
    expected = expected_reducible_loss(
        clf.predict_proba(offered), world.clf.predict_proba(offered), "pseudo"
    )
    np.testing.assert_allclose(world.scores(strategy), expected, rtol=1e-6)
    known = zero_shot(world)
    by_array = ExpectedReducibleLoss(known, smallest=0.1, seed=0)
    expected = expected_reducible_loss(
        known[world.unlabeled], world.clf.predict_proba(offered), smallest=0.1
    )
    np.testing.assert_allclose(world.scores(by_array), expected, rtol=1e-6)
    everywhere = by_array.score(
        world.clf, world.dataset, world.unlabeled, world.labeled, world.y[world.labeled]
    )
    assert np.isnan(everywhere[world.labeled]).all()
    np.testing.assert_allclose(everywhere[world.unlabeled], expected, rtol=1e-6)
    picks = world.query(by_array)
    assert set(picks) == set(world.unlabeled[np.argsort(-expected)[:10]])


def test_the_default_is_a_regression_of_the_same_labels(world: World) -> None:
    """As the docstring says: beside a head on the same vectors it knows nothing more."""
    strategy = ExpectedReducibleLoss(None, world.pool, C=3.0, seed=0)
    scores = world.scores(strategy)
    vectors = np.asarray(world.pool)
    scale = Scale.of(vectors[world.labeled])
    model = LogisticRegression(C=3.0, max_iter=1000)
    model.fit(scale(vectors[world.labeled]), world.y[world.labeled])
    expected = expected_reducible_loss(
        model.predict_proba(scale(vectors[world.unlabeled])),
        world.clf.predict_proba(world.dataset[world.unlabeled]),
    )
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    with_more = world.scores(
        ExpectedReducibleLoss(None, world.pool, hold_out=world.hold_out(), seed=0)
    )
    new = world.cluster[world.unlabeled] == NEW
    assert with_more[new].mean() > 3 * scores[new].mean()


def test_a_factory_is_trained_on_the_labels_of_the_query(world: World) -> None:
    factory = MLPClassificationFactory(MLPModelArguments(), 2, {"seed": 4})
    scores = world.scores(ExpectedReducibleLoss(factory, seed=0))
    clf = factory.new().fit(world.labels_of(world.labeled))
    offered = world.dataset[world.unlabeled]
    expected = expected_reducible_loss(clf.predict_proba(offered), world.clf.predict_proba(offered))
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    floats = world.scores(
        ExpectedReducibleLoss(factory, seed=0), y=world.y[world.labeled].astype(np.float64)
    )
    np.testing.assert_array_equal(floats, scores)


def test_a_committee_disagrees_on_what_its_parts_do_not_tell(world: World) -> None:
    strategy = ExpectedReducibleLoss(None, world.pool, variant="committee", num_members=4, seed=3)
    scores = world.scores(strategy, clf=None)
    generator = np.random.default_rng([3, len(world.labeled)])
    generator.random(len(world.unlabeled)), generator.integers(2**31)
    y, vectors = world.y[world.labeled], np.asarray(world.pool)
    scale = Scale.of(vectors[world.labeled])
    members = []
    for part in crossfit_positions(y, 4, generator):
        model = LogisticRegression(C=10.0, max_iter=1000)
        model.fit(scale(vectors[world.labeled[part]]), y[part])
        members.append(model.predict_proba(scale(vectors[world.unlabeled])))
    np.testing.assert_allclose(scores, committee_disagreement(members), atol=1e-5)
    cluster = world.cluster[world.unlabeled]
    learnt = np.isin(cluster, [LEARNT_A, LEARNT_B])
    assert scores[cluster == COIN].mean() > 3 * scores[learnt].mean()


def test_a_committee_of_a_factory_and_one_on_the_classifiers_vectors(world: World) -> None:
    factory = SklearnClassifierFactory(LogisticRegression(C=10), 2)
    by_factory = ExpectedReducibleLoss(factory, variant="committee", num_members=3, seed=0)
    assert (world.scores(by_factory) > 0).any()
    own = ExpectedReducibleLoss(variant="committee", num_members=3, seed=0)
    frozen = ExpectedReducibleLoss(None, world.vectors, variant="committee", num_members=3, seed=0)
    # A linear head embeds by the vectors it is given; the pool's are those at unit length.
    assert np.corrcoef(world.scores(own), world.scores(frozen))[0, 1] > 0.8


def test_the_pool_is_no_hold_out(world: World) -> None:
    strategy = ExpectedReducibleLoss(None, world.pool, hold_out=world.dataset, seed=0)
    with pytest.raises(ValueError, match="hold_out is the pool itself"):
        world.query(strategy)


def test_texts_of_the_pool_are_no_hold_out_either(world: World) -> None:
    """Also where a wrapper shows the strategy a view of the pool."""
    part = world.labels_of(world.unlabeled[[4, 9]])
    strategy = ExpectedReducibleLoss(None, world.pool, hold_out=part, seed=0)
    position = world.unlabeled[4]
    with pytest.raises(ValueError, match=rf"Text {position} of the pool is in hold_out, .*2 such"):
        world.query(strategy)
    whole = ExpectedReducibleLoss(
        None, world.pool, hold_out=world.labels_of(np.arange(400)), seed=0
    )
    wrapped = RandomSubset(whole, subpool_size=50, seed=0)
    with pytest.raises(ValueError, match=r"is in hold_out, too \(50 such texts\)"):
        world.query(wrapped)
    # What is labelled already may be in it.
    known = world.labels_of(world.labeled)
    assert len(world.query(ExpectedReducibleLoss(None, world.pool, hold_out=known, seed=0)))


def test_multi_label_scores_are_summed_over_labels(world: World) -> None:
    dense = np.stack([world.y, world.cluster == NEW, world.cluster == COIN], axis=1)
    y = csr_matrix(dense.astype(np.int64))
    x = world.vectors
    dataset = SklearnDataset(x, csr_matrix((400, 3), dtype=np.int64), target_labels=np.arange(3))
    train = SklearnDataset(x[world.labeled], y[world.labeled], target_labels=np.arange(3))
    clf = penalised(train, 3, multi_label=True)
    near = x[300:320] + np.float32(1e-3)  # other items than those of the pool
    hold_out = SklearnDataset(near, y[300:320], target_labels=np.arange(3))
    strategy = ExpectedReducibleLoss(None, world.pool, hold_out=hold_out, seed=0)
    changes: dict[str, Any] = {"clf": clf, "dataset": dataset, "y": y[world.labeled]}
    picks = world.query(strategy, **changes)
    assert (world.cluster[picks] == NEW).all()
    known = np.clip(dense, 0.05, 0.95)
    scores = world.scores(ExpectedReducibleLoss(known, seed=0), **changes)
    current = clf.predict_proba(dataset[world.unlabeled], multi_label_threshold=0.0).toarray()
    expected = expected_reducible_loss(known[world.unlabeled], current, multi_label=True)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


# --- views, learners, labels


def test_probabilities_are_those_of_the_root_under_wrappers(world: World) -> None:
    """The subpool is a view with its own numbers; the array is one row a text of the root."""
    for embeddings in (None, world.pool):
        base = ExpectedReducibleLoss(zero_shot(world), embeddings, seed=0)
        anchored = AnchorAL(base, world.pool, num_neighbors=10, subpool_size=80, seed=0)
        picks = world.query(anchored)
        assert len(picks) == 10
        assert anchored.last_query is not None
        inside = anchored.last_query.subpool
        direct = world.query(base, indices_unlabeled=inside)
        assert set(picks) == set(direct)
        np.random.seed(0)  # noqa: NPY002 - the host draws its sample from it
        sampled = world.query(SubsamplingQueryStrategy(base, subsample_size=200))
        assert (world.cluster[sampled] == NEW).all()


def test_rounds_of_a_learner_with_an_ignored_text(world: World) -> None:
    factory = MLPClassificationFactory(MLPModelArguments(), 2, {"seed": 0})
    strategy = ExpectedReducibleLoss(factory, world.pool, diversity=3, seed=0)
    dataset = SklearnDataset(world.vectors, world.y, target_labels=np.arange(2))
    learner = PoolBasedActiveLearner(factory, strategy, dataset)
    learner.initialize(world.labeled)
    seen: set[int] = set(world.labeled.tolist())
    for _ in range(2):
        picks = learner.query(num_samples=5)
        assert not seen & set(picks.tolist())
        seen |= set(picks.tolist())
        answers = world.y[picks].astype(float)
        answers[0] = LABEL_IGNORED
        learner.update(answers)


def test_an_array_of_another_dataset_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="informed has 300 rows, the dataset and what it is"):
        world.query(ExpectedReducibleLoss(zero_shot(world)[:300]))
    with pytest.raises(ValueError, match="informed has 300 rows, embeddings 400"):
        ExpectedReducibleLoss(zero_shot(world)[:300], world.pool)
    with pytest.raises(ValueError, match="informed has 3 columns, and the task has 2 classes"):
        world.query(ExpectedReducibleLoss(np.full((400, 3), 1 / 3)))


# --- spread


def test_picks_are_spread_over_the_shortlist(world: World) -> None:
    known = zero_shot(world)
    best = ExpectedReducibleLoss(known, world.pool, seed=0)
    spread = ExpectedReducibleLoss(known, world.pool, diversity=6, seed=0)
    plain, drawn = world.query(best), world.query(spread)
    assert drawn[0] == plain[0], "the best comes first"
    order = world.unlabeled[np.argsort(-spread.last_scores[world.unlabeled])]  # type: ignore[index]
    assert set(drawn) <= set(order[:60])
    assert set(drawn) != set(plain)
    other = world.query(ExpectedReducibleLoss(known, world.pool, diversity=6, seed=1))
    assert set(other) != set(drawn)
    vectors = np.asarray(world.pool)

    def nearest(items: NDArray[np.int64]) -> float:
        apart = np.linalg.norm(vectors[items][:, None] - vectors[items][None], axis=2)
        return float(np.sort(apart, axis=1)[:, 1].mean())

    assert nearest(drawn) > nearest(plain)
    all_of_it = world.query(ExpectedReducibleLoss(known, world.pool, diversity=1, seed=0))
    assert set(all_of_it) == set(plain)


def test_distances_are_those_of_the_classifier_without_embeddings(world: World) -> None:
    picks = world.query(ExpectedReducibleLoss(zero_shot(world), diversity=6, seed=0))
    assert len(set(picks)) == 10
    with pytest.raises(TypeError, match="has no embed"):
        clf = SklearnClassifierFactory(LogisticRegression(), 2).new()
        clf.fit(world.labels_of(world.labeled))
        world.query(ExpectedReducibleLoss(zero_shot(world), diversity=6), clf=clf)


def test_spread_picks_by_weight_and_squared_distance() -> None:
    vectors = np.array([[0.0], [1.0], [3.0], [0.0]])
    weights = np.array([1.0, 9.0, 1.0, 5.0])
    draws = [
        spread_picks(vectors, weights, 2, np.random.default_rng(seed)).tolist()
        for seed in range(2000)
    ]
    second = np.bincount([draw[1] for draw in draws], minlength=4)
    assert {draw[0] for draw in draws} == {0}
    assert second[[0, 3]].sum() == 0
    assert abs(second[1] / 2000 - 0.5) < 0.04  # 9 * 1 to 1 * 9


def test_spread_picks_where_nothing_is_left_to_draw() -> None:
    same = np.zeros((5, 2))
    generator = np.random.default_rng(0)
    assert spread_picks(same, np.ones(5), 4, generator).tolist() == [0, 1, 2, 3]
    far = np.arange(5.0)[:, None]
    assert spread_picks(far, [1, -1, 0, 1, 0], 3, generator).tolist() == [0, 3, 1]
    assert spread_picks(far, np.ones(5), 5, generator)[0] == 0
    assert sorted(spread_picks(far, np.ones(5), 5, generator)) == list(range(5))
    assert spread_picks(far, np.ones(5), 1, generator).tolist() == [0]


# --- EPIG


def test_epig_against_its_parts(world: World) -> None:
    targets = np.flatnonzero(world.cluster == NEW)[:20]
    strategy = EPIG(world.pool, targets=targets, num_members=4, C=5.0, seed=3)
    scores = world.scores(strategy, clf=None)
    generator = np.random.default_rng([3, len(world.labeled)])
    generator.random(len(world.unlabeled))
    y, vectors = world.y[world.labeled], np.asarray(world.pool)
    scale = Scale.of(vectors[world.labeled])
    members, of_targets = [], []
    for part in bootstrap_positions(y, 4, generator):
        model = LogisticRegression(C=5.0, max_iter=1000)
        model.fit(scale(vectors[world.labeled[part]]), y[part])
        members.append(model.predict_proba(scale(vectors[world.unlabeled])))
        of_targets.append(model.predict_proba(scale(vectors[targets])))
    expected = expected_predictive_information_gain(members, of_targets)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("cluster", [COIN, NEW])
def test_epig_asks_near_its_targets_and_a_committee_where_it_disagrees(
    world: World, cluster: int
) -> None:
    targets = np.flatnonzero(world.cluster == cluster)[50:]
    picks = world.query(EPIG(world.pool, targets=targets, C=1.0, seed=0))
    assert (world.cluster[picks] == cluster).all()
    committee = ExpectedReducibleLoss(None, world.pool, variant="committee", C=1.0, seed=0)
    assert (world.cluster[world.query(committee)] == NEW).all()


def test_epig_draws_its_targets_from_what_is_offered(world: World) -> None:
    first, again, other = (
        world.scores(EPIG(world.pool, num_targets=5, seed=seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    all_of_them = world.scores(EPIG(world.pool, num_targets=10_000, seed=0))
    known = world.scores(EPIG(world.pool, targets=world.unlabeled, seed=0))
    np.testing.assert_allclose(all_of_them, known, atol=1e-9)


def test_epig_of_a_factory_and_of_the_classifiers_vectors(world: World) -> None:
    targets = np.flatnonzero(world.cluster == COIN)[50:]
    factory = SklearnClassifierFactory(LogisticRegression(), 2)
    for maker in (factory, None):
        strategy = EPIG(targets=targets, factory=maker, num_members=8, C=1.0, seed=0)
        assert (world.cluster[world.query(strategy)] == COIN).mean() >= 0.9
        rows = np.concatenate([world.unlabeled[:90], world.labeled])  # no target is among them
        assert not np.isin(targets, rows).all()
        view = {
            "dataset": world.dataset[rows],
            "indices_unlabeled": np.arange(90),
            "indices_labeled": np.arange(90, 150),
        }
        direct = world.query(strategy, indices_unlabeled=world.unlabeled[:90])
        assert set(rows[world.query(strategy, **view)]) == set(direct)


def test_epig_of_several_labels(world: World) -> None:
    dense = np.stack([world.y, world.cluster == COIN], axis=1)
    y = csr_matrix(dense.astype(np.int64))
    strategy = EPIG(world.pool, num_targets=30, num_members=5, seed=0)
    scores = world.scores(strategy, clf=None, y=y[world.labeled])
    assert (scores >= 0).all()
    assert scores.max() > 0


# --- few labels, state, errors


def test_without_two_labels_a_committee_picks_at_random(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    one = {"indices_labeled": world.labeled[:1], "y": world.y[world.labeled[:1]]}
    for make in (
        lambda seed: ExpectedReducibleLoss(None, world.pool, variant="committee", seed=seed),
        lambda seed: EPIG(world.pool, seed=seed),
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            picks = [set(world.query(make(seed), **one)) for seed in (0, 0, 1)]
        assert picks[0] == picks[1] != picks[2]
        assert "picks at random: a committee needs two labelled texts" in caplog.text


def test_equal_scores_are_decided_by_chance(world: World) -> None:
    """The first of the pool would be one cluster, in the order of the file."""
    even = np.full((400, 2), 0.5)

    class Even:
        num_classes, multi_label = 2, False

        def predict_proba(self, data_set: Any) -> Any:  # noqa: ANN401
            return np.full((len(data_set), 2), 0.5)

    picks = world.query(ExpectedReducibleLoss(even, seed=0), n=40, clf=Even())
    assert len(set(world.cluster[picks])) == 4


def test_state_is_pickled(world: World) -> None:
    for strategy in (
        ExpectedReducibleLoss(zero_shot(world), world.pool, diversity=3, seed=0),
        ExpectedReducibleLoss(informed_classifier(world), seed=0),
        EPIG(world.pool, targets=[1, 2], seed=0),
    ):
        copied = pickle.loads(pickle.dumps(strategy))
        assert world.query(copied).tolist() == world.query(strategy).tolist()
        assert str(copied) == str(strategy)


def test_the_array_given_is_not_kept(world: World) -> None:
    known = zero_shot(world)
    strategy = ExpectedReducibleLoss(known, seed=0)
    before = world.query(strategy)
    known[:] = 0.5
    assert world.query(strategy).tolist() == before.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "informed and embeddings are None"),
        ({"informed": [[0.5, 1.5]]}, "informed has the shape"),
        ({"informed": [0.5, 0.5]}, "informed has the shape"),
        ({"informed": [[0.5, 0.5]], "variant": "mean"}, "variant is 'mean'"),
        ({"informed": [[0.5, 0.5]], "variant": "committee"}, "pass a factory that makes"),
        ({"informed": [[0.5, 0.5]], "diversity": 0.5}, "diversity is 0.5"),
        ({"informed": [[0.5, 0.5]], "smallest": 0.5}, "smallest is 0.5"),
        ({"informed": [[0.5, 0.5]], "C": 0}, "C is 0"),
        ({"informed": [[0.5, 0.5]], "num_members": 1}, "num_members is 1"),
        ({"informed": [[0.5, 0.5]], "num_members": 0}, "num_members is 0"),
        ({"informed": [[0.5, 0.5]], "hold_out": 1}, "hold_out is for logistic regression"),
        ({"variant": "committee", "hold_out": 1}, "hold_out is for logistic regression"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExpectedReducibleLoss(**options)


def test_what_is_no_model_is_refused(world: World) -> None:
    with pytest.raises(TypeError, match="informed is 'zero-shot': pass a classifier factory"):
        ExpectedReducibleLoss("zero-shot")
    with pytest.raises(TypeError, match="compares with the current classifier"):
        world.query(ExpectedReducibleLoss(zero_shot(world)), clf=None)
    wider = MLPClassification(MLPModelArguments(), 3, seed=0)
    wider.fit(SklearnDataset(world.vectors, world.y, target_labels=np.arange(3)))
    with pytest.raises(ValueError, match="3 classes, and the task has 2"):
        world.query(ExpectedReducibleLoss(wider))
    with pytest.raises(ValueError, match="Row 0 of informed"):
        world.query(ExpectedReducibleLoss(np.full((400, 2), 0.9)))


def test_options_of_epig_that_do_not_fit(world: World) -> None:
    factory = SklearnClassifierFactory(LogisticRegression(), 2)
    with pytest.raises(TypeError, match="factory is <int>"):
        EPIG(factory=3)
    with pytest.raises(ValueError, match="a factory is given: pass one"):
        EPIG(world.pool, factory=factory)
    for targets in ([], [[1]], [0.5]):
        with pytest.raises(ValueError, match="targets has the shape"):
            EPIG(world.pool, targets=targets)
    with pytest.raises(ValueError, match="targets hold -1"):
        EPIG(world.pool, targets=[-1])
    with pytest.raises(ValueError, match="num_targets is 0"):
        EPIG(world.pool, num_targets=0)
    with pytest.raises(ValueError, match="num_members is 1"):
        EPIG(world.pool, num_members=1)
    with pytest.raises(ValueError, match="targets hold the position 400"):
        world.query(EPIG(world.pool, targets=[400]))
    with pytest.raises(TypeError, match="no embed"):
        world.query(EPIG(), clf=None)


def test_texts_with_frozen_vectors_beside_them(world: World) -> None:
    """The vectors are another view of the texts than the classifier's."""
    words = np.array(["alpha", "beta", "gamma", "delta"])[world.cluster]
    texts = [f"{word} number {number}" for number, word in enumerate(words)]
    dataset = TextDataset(texts, np.full(400, -1), target_labels=np.arange(2))

    class Blind:
        num_classes, multi_label = 2, False

        def predict_proba(self, data_set: Any) -> Any:  # noqa: ANN401
            return np.array([[0.9, 0.1] if "alpha" in text else [0.5, 0.5] for text in data_set.x])

    strategy = ExpectedReducibleLoss(None, world.pool, seed=0)
    picks = world.query(strategy, clf=Blind(), dataset=dataset)
    assert (world.cluster[picks] == LEARNT_B).all(), "learnt by the vectors, and not by the texts"


def test_without_a_label_there_is_nothing_to_inform_a_model_by() -> None:
    x = np.eye(6, dtype=np.float32)
    data_set = SklearnDataset(x, np.zeros(6, dtype=int), target_labels=np.arange(2))
    clf = penalised(SklearnDataset(x, np.arange(6) % 2, target_labels=np.arange(2)))
    nothing = np.empty(0, dtype=np.int64)
    with pytest.raises(ValueError, match="There is no labelled text, and so nothing to inform"):
        ExpectedReducibleLoss(embeddings=x).query(clf, data_set, np.arange(6), nothing, nothing, 2)
