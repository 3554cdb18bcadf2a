"""What the selector trains, with every option, on both trainers."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from small_text import SklearnDataset

from small_text_ext import MLPClassification, MLPModelArguments
from small_text_ext.training.batch_selection import SELECTION_SCORES, training_loss
from small_text_ext.training.online_selection import ScoreSelector
from small_text_ext.training.seams import CandidateBatch, FitPlan
from tests.classifiers import texts

NUM_ITEMS, NUM_CLASSES = 240, 3


def dataset(num_items: int = NUM_ITEMS, seed: int = 0) -> SklearnDataset:
    rng = np.random.default_rng(seed)
    truth = rng.integers(NUM_CLASSES, size=num_items)
    x = np.eye(5)[truth] + rng.normal(scale=0.4, size=(num_items, 5))
    return SklearnDataset(x.astype(np.float32), truth, target_labels=np.arange(NUM_CLASSES))


def fitted(
    selector: ScoreSelector,
    num_items: int = NUM_ITEMS,
    dropout: float = 0.0,
    **options: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    given = {"num_epochs": 2, "batch_size": 10, "seed": 1, **options}
    arguments = (
        MLPModelArguments(hidden_size=16, dropout=dropout) if dropout else MLPModelArguments()
    )
    clf = MLPClassification(arguments, NUM_CLASSES, batch_selector=selector, **given)
    return clf.fit(dataset(num_items))


class Watched(ScoreSelector):
    """Keeps what it was shown and what it chose."""

    def begin(self, plan: FitPlan) -> int:
        self.seen: list[tuple[CandidateBatch, torch.Tensor, torch.Tensor | None]] = []
        return super().begin(plan)

    def select(self, batch: CandidateBatch) -> Any:  # noqa: ANN401
        before = batch.score()
        selection = super().select(batch)
        self.seen.append((batch, selection.positions, before))
        return selection


def test_trains_exactly_the_highest_reducible_losses() -> None:
    irreducible = np.random.default_rng(0).uniform(0, 2, NUM_ITEMS)
    selector = Watched(irreducible=irreducible, selected_fraction=0.25)
    fitted(selector)
    assert len(selector.seen) == 2 * 6
    for batch, positions, logits in selector.seen:
        assert logits is not None
        scores = training_loss(logits, batch.labels) - torch.from_numpy(irreducible)[batch.ids]
        assert len(batch.ids) == 40
        assert positions.tolist() == torch.argsort(scores, descending=True)[:10].tolist()


@pytest.mark.parametrize("name", SELECTION_SCORES)
def test_every_score_trains_both_kinds_of_classifier(name: str) -> None:
    score = SELECTION_SCORES[name]
    irreducible = np.linspace(0, 1, 48) if score.needs_irreducible else None
    selector = ScoreSelector(name, irreducible, selected_fraction=0.5, num_samples=2)
    texts.classifier(num_epochs=1, batch_size=8, batch_selector=selector).fit(texts.single(48))
    log = selector.log.frame()
    assert len(log) == 3
    assert (log["num_selected"] == 8).all()
    irreducible = np.linspace(0, 1, NUM_ITEMS) if score.needs_irreducible else None
    selector = ScoreSelector(name, irreducible, selected_fraction=0.25)
    clf = fitted(selector, num_epochs=8, dropout=0.3)
    if score.num_samples > 1:
        # The head starts at zero; from then on passes with dropout differ.
        assert selector.log.frame()["mean_score"].iloc[1:].abs().gt(1e-3).all()
    assert (clf.predict(dataset(seed=3)) == dataset(seed=3).y).mean() > 0.6


def test_noise_is_left_out_and_logged() -> None:
    train_set = dataset()
    noisy = np.arange(0, NUM_ITEMS, 5)
    irreducible = np.full(NUM_ITEMS, 0.1)
    irreducible[noisy] = 20.0  # what a good hold-out model would say of wrong labels
    labels = train_set.y.copy()
    labels[noisy] = (labels[noisy] + 1) % NUM_CLASSES
    train_set.y = labels
    shares = {}
    for name in ("uniform", "loss", "reducible_loss"):
        selector = ScoreSelector(name, irreducible, selected_fraction=0.2, known_noisy=noisy)
        clf = MLPClassification(
            MLPModelArguments(),
            NUM_CLASSES,
            num_epochs=4,
            batch_size=10,
            batch_selector=selector,
            seed=1,
        ).fit(train_set)
        shares[name] = selector.log.frame()["noisy"].mean()
        if name == "reducible_loss":
            accuracy = (clf.predict(dataset(seed=4)) == dataset(seed=4).y).mean()
            assert accuracy > 0.85
    assert shares["reducible_loss"] < 0.02
    assert shares["loss"] > 2 * shares["uniform"]


def test_the_log_is_what_was_chosen() -> None:
    selector = Watched("loss", selected_fraction=0.25, known_noisy=[0, 1, 2, 3])
    fitted(selector)
    log = selector.log.frame()
    for number, (batch, positions, logits) in enumerate(selector.seen):
        assert logits is not None
        row, labels = log.iloc[number], batch.labels[positions]
        assert row["step"] == number
        assert row["already_correct"] == pytest.approx(
            float((logits[positions].argmax(dim=1) == labels).float().mean())
        )
        noisy = np.isin(batch.ids[positions].numpy(), [0, 1, 2, 3]).mean()
        assert row["noisy"] == pytest.approx(noisy)
        for label in range(NUM_CLASSES):
            assert row[f"class_{label}"] == pytest.approx(float((labels == label).float().mean()))
        losses = training_loss(logits, batch.labels)
        best = losses.sort(descending=True).values[:8].sum() / losses.sum()
        assert row["concentration"] == pytest.approx(float(best), abs=1e-5)
    assert log["negative"].eq(0).all()


def test_warm_up_selects_at_random_first() -> None:
    selector = ScoreSelector("loss", selected_fraction=0.25, warmup_epochs=1)
    fitted(selector)
    log = selector.log.frame()
    assert log.loc[log["epoch"] == 0, "mean_score"].isna().all()
    assert log.loc[log["epoch"] == 1, "mean_score"].notna().all()


def test_small_sets_are_trained_whole(caplog: pytest.LogCaptureFixture) -> None:
    selector = ScoreSelector("loss", selected_fraction=0.1)
    with caplog.at_level(logging.INFO, logger="small_text_ext"):
        clf = fitted(selector, num_items=150)
    assert selector.log.rows == []
    assert clf.history_.num_steps == 2 * 15
    assert "Training on all of 150 items" in caplog.text
    plain = MLPClassification(MLPModelArguments(), NUM_CLASSES, num_epochs=2, batch_size=10, seed=1)
    plain.fit(dataset(150))
    np.testing.assert_array_equal(
        clf.predict_proba(dataset(seed=2)), plain.predict_proba(dataset(seed=2))
    )


def test_same_seed_same_choice_and_fits_are_told_apart() -> None:
    for name in ("uniform", "boltzmann_reducible_loss"):
        irreducible = np.linspace(0, 2, NUM_ITEMS)
        first, again = (ScoreSelector(name, irreducible, selected_fraction=0.25) for _ in range(2))
        probabilities = [fitted(s).predict_proba(dataset(seed=2)) for s in (first, again, first)]
        np.testing.assert_array_equal(probabilities[0], probabilities[1])
        np.testing.assert_array_equal(probabilities[0], probabilities[2])
        assert len(first.log.rows) == 12


def batch_of(labels: list[int], logits: torch.Tensor, epoch: int = 0) -> CandidateBatch:
    ids = torch.arange(len(labels))
    return CandidateBatch(ids, torch.tensor(labels), None, lambda training=False: logits, 2, epoch)


def plan(num_items: int = 100, num_epochs: int = 5) -> FitPlan:
    return FitPlan(torch.arange(num_items), 2, num_epochs, 2, False, 0)


def test_the_positive_part_levels_what_is_suspected() -> None:
    logits = torch.log(torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.99, 0.01], [0.5, 0.5]]))
    irreducible = np.zeros(100)
    irreducible[[0, 1, 2]] = 5.0, 3.0, 1.0
    labels = [0, 0, 0, 0]
    plain = ScoreSelector(irreducible=irreducible, selected_fraction=0.5)
    plain.begin(plan())
    assert plain.select(batch_of(labels, logits)).positions.tolist() == [3, 2]
    cut = ScoreSelector(irreducible=irreducible, selected_fraction=0.5, positive_part=True)
    cut.begin(plan())
    # One is above zero; the others are level, and the first of them comes first.
    assert cut.select(batch_of(labels, logits)).positions.tolist() == [3, 0]
    # The log has what is suspected of noise all the same.
    assert cut.log.frame()["negative"].tolist() == [0.75]
    assert plain.log.frame()["negative"].tolist() == [0.75]


def test_class_weights_do_not_overflow() -> None:
    batch = batch_of([0, 0, 1, 1], torch.tensor([[0.0, 9.0], [0.0, 8.0], [8.0, 0.0], [0.0, 9.0]]))
    selector = ScoreSelector("loss", selected_fraction=0.5, class_weight_rate=500.0)
    selector.begin(plan())
    for _ in range(3):
        assert selector.select(batch).positions.tolist() == [0, 1]
    assert torch.isfinite(selector._class_weights).all()
    assert selector._class_weights[0] > selector._class_weights[1] > 0


def test_a_score_that_is_not_finite_names_the_item() -> None:
    logits = torch.zeros(4, 2)
    logits[2] = float("nan")
    selector = ScoreSelector("loss", selected_fraction=0.5)
    selector.begin(plan())
    with pytest.raises(ValueError, match=r"score of item 2 is nan in epoch 0 \(1 of 4"):
        selector.select(batch_of([0, 0, 0, 0], logits))


def test_passes_without_dropout_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="small_text_ext"):
        fitted(ScoreSelector("bald", selected_fraction=0.25))
    assert caplog.text.count("The 10 passes of the model are equal") == 1
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="small_text_ext"):
        fitted(ScoreSelector("bald", selected_fraction=0.25), dropout=0.5)
    assert "passes of the model" not in caplog.text


def test_selection_goes_back_to_uniform() -> None:
    selector = ScoreSelector("loss", selected_fraction=0.25, warmup_epochs=1, uniform_after=3)
    fitted(selector, num_epochs=5)
    log = selector.log.frame()
    scored = log["mean_score"].notna()
    assert sorted(log.loc[scored, "epoch"].unique()) == [1, 2]
    assert sorted(log.loc[~scored, "epoch"].unique()) == [0, 3, 4]


def test_class_weights_grow_where_scores_stay_high() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.45, 0.55], [0.45, 0.55]]))
    # The largest single score is of class 1; on the whole, class 0 is worse off.
    logits[3] = torch.log(torch.tensor([0.6, 0.4]))
    batch = batch_of([0, 0, 1, 1], logits)
    plain = ScoreSelector("loss", selected_fraction=0.25)
    selector = ScoreSelector("loss", selected_fraction=0.25, class_weight_rate=1.0)
    for each in (plain, selector):
        each.begin(plan())
    assert plain.select(batch).positions.tolist()[0] == 3
    even = batch_of([0, 0, 1, 1], torch.log(torch.tensor([[0.4, 0.6]] * 3 + [[0.6, 0.4]])))
    for _ in range(20):
        selector.select(batch_of([0, 0, 1], even.score()[:3]))
    assert selector._class_weights[0] > selector._class_weights[1]
    assert selector.select(batch).positions.tolist()[0] in (0, 1)
    multi = FitPlan(torch.arange(100), 2, 5, 2, True, 0)
    with pytest.raises(ValueError, match="single-label"):
        selector.begin(multi)


def test_a_class_of_little_weight_comes_back() -> None:
    selector = ScoreSelector("loss", selected_fraction=0.5, class_weight_rate=1.0)
    selector.begin(plan())
    worse = torch.log(torch.tensor([[0.1, 0.9], [0.1, 0.9]]))
    for _ in range(200):
        selector.select(batch_of([0, 1], worse))
    assert selector._class_weights[1] == pytest.approx(1e-3)
    for _ in range(200):
        selector.select(batch_of([0, 1], worse.flip(1)))
    assert selector._class_weights[1] > 1


def test_weights_do_not_turn_the_order_of_what_is_not_worth_learning() -> None:
    selector = ScoreSelector("reducible_loss", np.zeros(100), class_weight_rate=1.0)
    selector.begin(plan())
    selector._class_weights = torch.tensor([1.9, 0.1])
    scores = selector._weighted(torch.tensor([-1.0, -2.0]), torch.tensor([0, 1]))
    assert scores.tolist() == [-1.0, -2.0]


def test_a_scorer_of_one_pass_cannot_stand_for_several() -> None:
    with pytest.raises(ValueError, match="scorer makes one pass, and the score compares 10"):
        ScoreSelector("bald", scorer=Side(torch.zeros(3, 2)))


def test_what_a_scorer_predicts_is_not_called_the_models() -> None:
    selector = ScoreSelector("loss", selected_fraction=0.5, scorer=Side(torch.zeros(3, 2)))
    selector.begin(plan())
    selector.select(batch_of([0, 0, 0], torch.zeros(3, 2)))
    assert np.isnan(selector.log.frame()["already_correct"][0])


def test_of_several_passes_independent_classes_are_predicted_by_their_mean() -> None:
    selector = ScoreSelector("entropy", selected_fraction=0.5, num_samples=2)
    selector.begin(FitPlan(torch.arange(100), 2, 5, 2, True, 0))
    own = selector._own_logits(torch.tensor([[[2.0, -2.0]], [[1.0, -3.0]]]))
    assert own is not None
    assert own[0, 0] > 0 > own[0, 1]


def test_the_temperature_follows_the_epochs() -> None:
    selector = ScoreSelector(
        "boltzmann_reducible_loss",
        np.zeros(100),
        temperature=4.0,
        last_temperature=1.0,
        schedule="linear",
    )
    selector.begin(plan(num_epochs=4))
    batches = [batch_of([0, 0], torch.zeros(2, 2), epoch) for epoch in range(4)]
    assert [selector._temperature(batch) for batch in batches] == [4.0, 3.0, 2.0, 1.0]


class Side:
    """A side model of fixed logits that notes its updates."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.fixed, self.updates, self.plans = logits, list[list[int]](), 0

    def begin(self, plan: FitPlan) -> None:
        self.plans += 1

    def logits(self, batch: CandidateBatch) -> torch.Tensor:
        return self.fixed

    def update(self, batch: CandidateBatch, positions: torch.Tensor) -> None:
        self.updates.append(batch.ids[positions].tolist())

    def end(self) -> None:
        self.plans -= 1


def test_a_proxy_scores_instead_of_the_model_and_learns() -> None:
    ours = torch.log(torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]]))
    proxys = torch.log(torch.tensor([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1]]))
    proxy = Side(proxys)
    selector = ScoreSelector("loss", selected_fraction=0.5, scorer=proxy)
    selector.begin(plan())
    assert selector.select(batch_of([0, 0, 0], ours)).positions.tolist() == [0, 1]
    assert proxy.updates == [[0, 1]]
    assert proxy.plans == 1


def test_an_irreducible_model_takes_the_place_of_losses() -> None:
    ours = torch.log(torch.tensor([[0.2, 0.8], [0.3, 0.7], [0.9, 0.1]]))
    held_out = Side(torch.log(torch.tensor([[0.2, 0.8], [0.9, 0.1], [0.9, 0.1]])))
    selector = ScoreSelector(selected_fraction=0.5, irreducible_model=held_out)
    selector.begin(plan())
    # Reducible: 0, log 3, 0.
    assert selector.select(batch_of([0, 0, 0], ours)).positions.tolist()[0] == 1


def test_scores_in_evaluation_mode_where_asked_for() -> None:
    modes: list[bool] = []

    def score(training: bool = False) -> torch.Tensor:
        modes.append(training)
        return torch.zeros(4, 2)

    for training_mode in (True, False):
        selector = ScoreSelector("loss", selected_fraction=0.5, training_mode=training_mode)
        selector.begin(plan())
        selector.select(
            CandidateBatch(torch.arange(4), torch.zeros(4, dtype=torch.int64), None, score, 2, 0)
        )
    assert modes == [True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "rho"}, "score is 'rho'"),
        ({"rule": "best"}, "rule is 'best'"),
        ({"selected_fraction": 1.5}, "selected_fraction is 1.5.*than there are candidates"),
        ({"selected_fraction": 0.0}, "selected_fraction is 0"),
        ({"warmup_epochs": -1}, "warmup_epochs is -1"),
        ({"num_samples": 0}, "num_samples is 0"),
        ({"class_weight_rate": -0.5}, "class_weight_rate is -0.5"),
        ({"temperature": 0.0}, "above 0"),
        ({"temperature": float("nan")}, "above 0"),
        ({"last_temperature": float("nan"), "schedule": "linear"}, "above 0"),
        ({"last_temperature": 0.1}, "schedule 'constant' stays at 0.25"),
        ({"schedule": "cosine"}, "schedule is 'cosine'"),
        ({"class_weight_rate": float("inf")}, "class_weight_rate is inf"),
        ({"uniform_after": 1, "warmup_epochs": 1}, "uniform_after is 1 and warmup_epochs is 1"),
        ({"uniform_after": 0}, "uniform_after is 0"),
        ({"score": "bald", "training_mode": False}, "training_mode is False.*10 passes"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScoreSelector(**options)


def test_missing_irreducible_losses_are_named() -> None:
    broken = np.zeros(NUM_ITEMS)
    broken[17] = np.nan
    cases = [
        (None, "has none"),
        (np.zeros(NUM_ITEMS - 5), "of 235 items, and item 239 is trained"),
        (broken, "item 17 is nan"),
    ]
    for irreducible, message in cases:
        with pytest.raises(ValueError, match=message):
            fitted(ScoreSelector(irreducible=irreducible, selected_fraction=0.25))


def test_travels_with_its_classifier() -> None:
    selector = ScoreSelector("loss", selected_fraction=0.25)
    clf = fitted(selector)
    restored = pickle.loads(pickle.dumps(clf))
    assert restored.batch_selector.log.frame().equals(selector.log.frame())
    assert copy.deepcopy(selector).selected_fraction == 0.25
