"""Out-of-fold dynamics, and what they say of labels that are known to be wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import average_precision_score
from small_text import SklearnDataset, TextDataset

from small_text_ext import (
    MLPClassification,
    MLPClassificationFactory,
    MLPModelArguments,
    TransformerClassificationFactory,
)
from small_text_ext.classifiers import crossfit
from small_text_ext.classifiers.crossfit import (
    crossfit_dynamics,
    find_label_noise,
    fit_dynamics,
    relabeled,
)
from small_text_ext.training.dynamics import DynamicsRecorder
from tests.classifiers import texts
from tests.tiny_models import checkpoint

NUM_CLASSES = 3


def planted(
    num_items: int = 240, noise: float = 0.1, seed: int = 0
) -> tuple[SklearnDataset, np.ndarray[Any, Any]]:
    """Return vectors around a centre for each class, and which labels are wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(NUM_CLASSES, size=num_items)
    x = np.eye(6)[truth] * 1.5 + rng.normal(scale=0.4, size=(num_items, 6))
    wrong = rng.random(num_items) < noise
    labels = np.where(wrong, (truth + 1) % NUM_CLASSES, truth)
    return dataset(x.astype(np.float32), labels), wrong


def dataset(x: Any, y: Any) -> SklearnDataset:  # noqa: ANN401
    return SklearnDataset(x, y, target_labels=np.arange(NUM_CLASSES))


def factory(**options: Any) -> MLPClassificationFactory:  # noqa: ANN401
    shape = MLPModelArguments(options.pop("hidden", None))
    given = {"num_epochs": 6, "batch_size": 32, "seed": 0, **options}
    return MLPClassificationFactory(shape, 3, given)


class Watched(MLPClassification):
    """Notes what it is trained on."""

    seen: list[np.ndarray[Any, Any]]

    def fit(self, train_set: Any, *args: Any, **kwargs: Any) -> Watched:  # noqa: ANN401
        self.seen.append(np.asarray(train_set.x)[:, 0].copy())
        return super().fit(train_set, *args, **kwargs)


def test_nobody_is_judged_by_a_model_that_was_taught_them(monkeypatch: pytest.MonkeyPatch) -> None:
    train_set, _ = planted(50)
    Watched.seen, made = [], factory()
    monkeypatch.setattr(made, "new", lambda: Watched(MLPModelArguments(), 3, num_epochs=2, seed=0))
    dynamics = crossfit_dynamics(made, train_set, num_folds=5, seed=1)
    assert dynamics.logits.shape == (2, 50, 3)
    assert len(Watched.seen) == 5
    column = np.asarray(train_set.x)[:, 0]
    left_out = [np.flatnonzero(~np.isin(column, seen)) for seen in Watched.seen]
    assert sorted(np.concatenate(left_out).tolist()) == list(range(50))
    for rows, seen in zip(left_out, Watched.seen, strict=True):
        assert len(rows) + len(seen) == 50
        # Judged as by a classifier that was fitted on the others.
        others = np.setdiff1d(np.arange(50), rows)
        clf = MLPClassification(MLPModelArguments(), 3, num_epochs=2, seed=0)
        proba = clf.fit(train_set[others]).predict_proba(train_set[rows])
        last = dynamics.logits[-1, rows].astype(float)
        np.testing.assert_allclose(
            np.exp(last) / np.exp(last).sum(axis=1, keepdims=True), proba, atol=1e-5
        )


def test_folds_are_dealt_class_by_class() -> None:
    labels = np.repeat([0, 1, 2], [50, 11, 1])
    folds = crossfit.deal_folds(labels, 5, np.random.default_rng(0))
    for label, number in ((0, 10), (1, 2)):
        counts = np.bincount(folds[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
        assert counts.min() == number
    assert np.bincount(folds).max() - np.bincount(folds).min() <= 1
    matrix = np.array([[0, 1], [1, 1], [0, 1], [1, 1], [0, 0], [0, 0]])
    dealt = crossfit.deal_folds(matrix, 2, np.random.default_rng(0))
    for rows in ([0, 2], [1, 3], [4, 5]):
        assert sorted(dealt[rows].tolist()) == [0, 1]


def test_a_class_of_one_item_is_judged_too() -> None:
    train_set, _ = planted(30)
    labels = train_set.y.copy()
    labels[labels == 2] = 0
    labels[4] = 2
    dynamics = crossfit_dynamics(factory(), relabeled(train_set, labels), seed=0)
    metrics = dynamics.metrics()
    assert metrics["never_learnt"][4]  # nobody else taught it
    assert np.isfinite(metrics["confidence"]).all()


def test_same_seed_same_dynamics() -> None:
    train_set, _ = planted(60)
    first, again, other = (crossfit_dynamics(factory(), train_set, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.logits, again.logits)
    assert not np.array_equal(first.logits, other.logits)


def test_repeats_are_further_epochs_and_first_ones_can_be_skipped() -> None:
    train_set, _ = planted(60)
    once = crossfit_dynamics(factory(), train_set, seed=1)
    twice = crossfit_dynamics(factory(), train_set, num_repeats=2, seed=1)
    assert (once.num_epochs, twice.num_epochs) == (6, 12)
    np.testing.assert_array_equal(twice.logits[:6], once.logits)
    assert not np.array_equal(twice.logits[6:], once.logits)
    late = crossfit_dynamics(factory(), train_set, num_repeats=2, skip_first=0.5, seed=1)
    np.testing.assert_array_equal(late.logits, twice.logits[[3, 4, 5, 9, 10, 11]])


def test_weights_go_with_their_items() -> None:
    train_set, _ = planted(60)
    weights = np.where(train_set.y == 0, 50.0, 1.0)
    plain = crossfit_dynamics(factory(), train_set, seed=1).mean_probabilities()
    weighted = crossfit_dynamics(factory(), train_set, weights=weights, seed=1).mean_probabilities()
    assert weighted[:, 0].mean() > plain[:, 0].mean() + 0.1


@pytest.mark.parametrize("method", ["confidence", "logistic", "aum"])
@pytest.mark.parametrize("num_folds", [4, None])
def test_every_detector_finds_planted_noise(method: Any, num_folds: int | None) -> None:  # noqa: ANN401
    train_set, wrong = planted()
    table = find_label_noise(train_set, factory(), method=method, num_folds=num_folds, seed=0)
    assert sorted(table["guid"]) == list(range(len(wrong)))
    assert (table["label"].to_numpy() == train_set.y[table["guid"]]).all()
    assert set(table["predicted"]) <= {0, 1, 2}
    assert average_precision_score(wrong[table["guid"]], table["score"]) > 0.8
    flagged = table.set_index("guid")["suspected"].sort_index().to_numpy()
    assert (flagged & wrong).sum() > 0.6 * wrong.sum()
    again = find_label_noise(train_set, factory(), method=method, num_folds=num_folds, seed=0)
    pd.testing.assert_frame_equal(table, again)


def test_the_default_suits_small_data() -> None:
    """A head that learns labels by heart hides in-sample what the default finds."""
    train_set, wrong = planted(120, noise=0.15)
    by_default = find_label_noise(train_set, seed=0)
    memorising = MLPClassificationFactory(
        MLPModelArguments(hidden_size=256),
        3,
        {"num_epochs": 200, "lr": 2.0, "weight_decay": 0.0, "seed": 0},
    )
    in_sample = find_label_noise(train_set, memorising, num_folds=None)
    precision = [
        average_precision_score(wrong[table["guid"]], table["score"])
        for table in (by_default, in_sample)
    ]
    assert precision[0] > precision[1]
    assert precision[0] > 0.85


def test_the_default_head_takes_multi_label_vectors() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, size=(200, 3))
    x = (truth + rng.normal(scale=0.3, size=(200, 3))).astype(np.float32)
    labels = truth.copy()
    labels[:10] = 1 - labels[:10]
    train_set = SklearnDataset(x, csr_matrix(labels), target_labels=np.arange(3))
    table = find_label_noise(train_set, seed=0)
    assert average_precision_score(table["guid"] < 10, table["score"]) > 0.9
    with pytest.raises(ValueError, match="single-label"):
        find_label_noise(train_set, method="aum")


def test_texts_need_a_factory_and_work_with_one() -> None:
    train_set = texts.single(24)
    with pytest.raises(TypeError, match="pass a factory"):
        find_label_noise(train_set)
    made = TransformerClassificationFactory(
        checkpoint("bert", 3),
        3,
        {"num_epochs": 1, "batch_size": 8, "seed": 0, "show_progress": False},
    )
    table = find_label_noise(train_set, made, num_folds=2, seed=0)
    assert sorted(table["guid"]) == list(range(24))


def test_what_cannot_be_recorded_is_refused() -> None:
    train_set, _ = planted(30)
    from small_text import LeastConfidence

    with pytest.raises(TypeError, match="no classifier factory of this package"):
        find_label_noise(train_set, LeastConfidence())
    recorded = factory(recorder=DynamicsRecorder())
    with pytest.raises(ValueError, match="have a recorder"):
        fit_dynamics(recorded, train_set)
    for num_folds in (1, 31):
        with pytest.raises(ValueError, match=f"num_folds is {num_folds} for 30 items"):
            crossfit_dynamics(factory(), train_set, num_folds)
    with pytest.raises(ValueError, match="skip_first is 1"):
        crossfit_dynamics(factory(), train_set, skip_first=1.0)


def test_relabeled_leaves_the_given_dataset_alone() -> None:
    train_set = TextDataset(["a", "b"], np.array([0, 1]), target_labels=np.arange(2))
    changed = relabeled(train_set, np.array([2, 2]), 3)
    assert changed.y.tolist() == [2, 2]
    assert train_set.y.tolist() == [0, 1]
    assert list(changed.x) == ["a", "b"]


def test_bad_options_are_named_before_the_first_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    train_set, _ = planted(30)
    monkeypatch.setattr(MLPClassification, "fit", lambda *_: pytest.fail("a fit was begun"))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"method": "entropy"}, "method is 'entropy'"),
        ({"method": "logistic", "flipped_fraction": 0.5}, r"flipped_fraction is 0\.5"),
        ({"num_repeats": 0}, "num_repeats is 0"),
        ({"num_repeats": 3, "num_folds": None}, "num_folds is None"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            find_label_noise(train_set, **options)
    with pytest.raises(TypeError, match=r"num_folds is 2\.5"):
        crossfit_dynamics(factory(), train_set, 2.5)  # type: ignore[arg-type]


def test_few_right_labels_are_suspected_by_margins_of_a_linear_head() -> None:
    """Such a head cannot learn threshold samples, whose percentile then lies among right labels."""
    train_set, wrong = planted(300, noise=0.05)
    table = find_label_noise(train_set, method="aum", seed=0)
    suspected = table.loc[table["suspected"], "guid"].to_numpy()
    assert wrong[suspected].mean() > 0.4
    assert wrong[suspected].sum() > 0.7 * wrong.sum()
