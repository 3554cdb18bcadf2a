"""Detectors of wrong labels, on dynamics whose wrong labels are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from small_text_ext.training.dynamics import TrainingDynamics
from small_text_ext.training.label_noise import flip_easy_labels

NUM_ITEMS, NUM_CLASSES = 400, 3


def planted(
    noise: float = 0.1, seed: int = 0, spread: float = 1.0
) -> tuple[TrainingDynamics, np.ndarray[Any, Any]]:
    """Return dynamics that agree with the true class, and which labels are not that class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(NUM_CLASSES, size=NUM_ITEMS)
    logits = rng.normal(scale=spread, size=(5, NUM_ITEMS, NUM_CLASSES))
    logits[:, np.arange(NUM_ITEMS), truth] += 2
    wrong = rng.random(NUM_ITEMS) < noise
    labels = np.where(wrong, (truth + 1) % NUM_CLASSES, truth)
    return TrainingDynamics.from_logits(logits, labels, 100 + np.arange(NUM_ITEMS)), wrong


@pytest.mark.parametrize("method", ["confidence", "aum", "logistic"])
def test_every_method_ranks_wrong_labels_first(method: Any) -> None:  # noqa: ANN401
    dynamics, wrong = planted()
    known = planted(noise=0.02, seed=1) if method == "logistic" else None
    table = dynamics.suspected_noise(method, known)
    assert (table["guid"] == 100 + table["index"]).all()
    assert (table["score"].diff().dropna() <= 0).all()
    assert average_precision_score(wrong[table["index"]], table["score"]) > 0.9
    flagged = set(table.loc[table["suspected"], "index"])
    found = set(np.flatnonzero(wrong).tolist())
    assert len(flagged & found) / len(found) > 0.9
    assert len(flagged & found) / len(flagged) > 0.6
    labels = dynamics.labels[table["index"]]
    assert (table["label"] == labels).all()


def test_confidence_suspects_what_is_predicted_otherwise() -> None:
    dynamics, _ = planted()
    table = dynamics.suspected_noise().sort_values("index")
    metrics = dynamics.metrics()
    np.testing.assert_allclose(table["score"], 1 - metrics["confidence"])
    expected = dynamics.mean_probabilities().argmax(axis=1)
    assert (table["predicted"] == expected).all()
    assert (table["suspected"] == (expected != dynamics.labels)).all()


def test_threshold_samples_set_the_threshold_of_margins() -> None:
    dynamics, _ = planted()
    margins = dynamics.metrics()["aum"].to_numpy()
    samples = margins < np.sort(margins)[20]
    threshold = np.percentile(margins[samples], 99)
    assert threshold < -0.1
    table = dynamics.suspected_noise("aum", (dynamics, samples)).sort_values("index")
    assert (table["suspected"].to_numpy() == (margins < threshold)).all()
    # Of a model that cannot learn the samples their margins are anyone's.
    unlearnt = dynamics.suspected_noise("aum", (dynamics, margins > 0)).sort_values("index")
    assert (unlearnt["suspected"].to_numpy() == (margins < 0)).all()
    without = dynamics.suspected_noise("aum").sort_values("index")
    assert (without["suspected"].to_numpy() == (margins < 0)).all()


def test_the_logistic_threshold_is_learnt_from_known_noise() -> None:
    """Dynamics of low confidence throughout: half the probability is no threshold there."""
    rng = np.random.default_rng(0)
    confidence = np.concatenate([rng.uniform(0.30, 0.34, 300), rng.uniform(0.2, 0.24, 100)])
    logits = np.log(np.stack([confidence, 0.6 - confidence, np.full(400, 0.4)], axis=1))[None]
    known = TrainingDynamics.from_logits(logits, np.zeros(400, dtype=int))
    wrong = np.arange(400) >= 300
    table = known.suspected_noise("logistic", (known, wrong)).sort_values("index")
    assert (table["suspected"].to_numpy() == wrong).all()
    by_confidence = known.suspected_noise("confidence")
    assert by_confidence["suspected"].all()
    np.testing.assert_array_equal(
        known.suspected_noise("logistic", (known, wrong))["score"], by_confidence["score"]
    )
    # Flipped labels of high confidence teach nothing.
    backwards = known.suspected_noise("logistic", (known, ~wrong))
    assert not backwards["suspected"].any()


def test_multi_label_items_are_ranked_too() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, size=(100, 4))
    logits = np.repeat((2 * truth - 1)[None] * 2.0, 3, axis=0) + rng.normal(size=(3, 100, 4))
    labels = truth.copy()
    labels[7] = 1 - labels[7]
    table = TrainingDynamics.from_logits(logits, labels).suspected_noise()
    assert table["index"][0] == 7
    assert table["label"][0] == tuple(np.flatnonzero(labels[7]).tolist())
    assert table["suspected"][0]


@pytest.mark.parametrize(
    ("method", "known", "message"),
    [
        ("entropy", None, "method is 'entropy'"),
        ("logistic", None, "needs known="),
        ("logistic", np.zeros(NUM_ITEMS, dtype=bool), "marks 0 of 400"),
        ("aum", np.ones(3, dtype=bool), r"shape \(3,\)"),
    ],
)
def test_what_a_method_lacks_is_said(method: Any, known: Any, message: str) -> None:  # noqa: ANN401
    dynamics, _ = planted()
    with pytest.raises(ValueError, match=message):
        dynamics.suspected_noise(method, None if known is None else (dynamics, known))


def test_easy_labels_are_flipped_to_other_classes() -> None:
    dynamics, _ = planted()
    labels, flipped = flip_easy_labels(dynamics, fraction=0.05, seed=3)
    assert len(flipped) == 20
    assert (labels != dynamics.labels).nonzero()[0].tolist() == flipped.tolist()
    assert set(labels.tolist()) == {0, 1, 2}
    easy = dynamics.regions(fraction=1 / 3)["easy"]
    assert set(flipped.tolist()) <= set(easy.tolist())
    again, _ = flip_easy_labels(dynamics, fraction=0.05, seed=3)
    other, _ = flip_easy_labels(dynamics, fraction=0.05, seed=4)
    assert (again == labels).all()
    assert (other != labels).any()


def test_flips_refuse_what_has_no_other_class() -> None:
    dynamics = TrainingDynamics.from_logits(np.zeros((1, 4, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="multi-label"):
        flip_easy_labels(dynamics)
    with pytest.raises(ValueError, match=r"fraction is 0\.5"):
        flip_easy_labels(planted()[0], fraction=0.5)
