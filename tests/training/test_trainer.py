"""The loss of a step, the two seams, and the batches: whatever is chosen has its exact gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from small_text import TextDataset
from torch import Tensor
from torch.nn import functional
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainingArguments
from transformers.modeling_outputs import SequenceClassifierOutput

from small_text_ext import TransformerClassification
from small_text_ext.training.seams import CandidateBatch, FitPlan, Selection, UniformSelector
from tests.classifiers import texts
from tests.classifiers.texts import classifier, history_of
from tests.tiny_models import checkpoint, topic_texts
from tests.training.doubles import (
    ListRecorder,
    MemberSelector,
    StepLog,
    assert_same_parameters,
    parameters,
)

# So small a step leaves the weights where they are: every gradient is that of the checkpoint.
STILL = 1e-30
Gradient = dict[str, Tensor]


def still(**options: Any) -> TransformerClassification:  # noqa: ANN401
    """Return a classifier that computes gradients and does not move; nothing is clipped."""
    arguments = {"max_grad_norm": 0.0, **options.pop("training_arguments", {})}
    small = {"num_epochs": 1, "lr": STILL, "weight_decay": 0.0, "training_arguments": arguments}
    return classifier(head=True, dropout=False, **{**small, **options})


def expected_gradient(
    data_set: TextDataset, rows: Sequence[int], weights: Sequence[float] | None = None
) -> Gradient:
    """Return the gradient of the mean of the weighted losses of some rows, with torch alone."""
    folder = checkpoint("bert", 3)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer([data_set.x[row] for row in rows], padding=True, return_tensors="pt")
    labels = torch.from_numpy(data_set.y[list(rows)])
    losses = functional.cross_entropy(model(**inputs).logits, labels, reduction="none")
    if weights is not None:
        losses = losses * torch.tensor(weights, dtype=torch.float32)
    torch.autograd.backward(losses.mean())
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_same_gradient(given: Gradient, expected: Gradient) -> None:
    assert given.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    assert largest > 1e-3
    for name, gradient in expected.items():
        difference = float((given[name] - gradient).abs().max())
        assert difference < 2e-5 * largest, f"{name} differs by {difference / largest:.1%}"


def fit_gradients(
    data_set: TextDataset,
    weights: Any = None,  # noqa: ANN401
    **options: Any,  # noqa: ANN401
) -> list[Gradient]:
    clf = still(**options)
    with StepLog() as log:
        clf.fit(data_set, weights=weights)
    return [log.gradient(step, clf.model) for step in range(len(log))]


# The loss is a mean over the items of a step


@pytest.mark.parametrize("group_by_length", [True, False])
def test_the_gradient_of_a_batch_is_that_of_its_mean_loss(group_by_length: bool) -> None:
    data_set = texts.single(20)
    (gradient,) = fit_gradients(data_set, batch_size=20, group_by_length=group_by_length)
    assert_same_gradient(gradient, expected_gradient(data_set, range(20)))


@pytest.mark.parametrize("num_texts", [32, 31, 17])
@pytest.mark.parametrize("weighted", [False, True])
def test_two_accumulated_batches_of_16_have_the_gradient_of_one_of_32(
    num_texts: int, weighted: bool
) -> None:
    """With unequal weights, and with a last batch that is smaller, too."""
    data_set = texts.single(num_texts)
    weights = np.random.default_rng(0).uniform(0.1, 5.0, num_texts) if weighted else None
    accumulate = {"gradient_accumulation_steps": 2}
    (one,) = fit_gradients(data_set, weights, batch_size=32)
    (two,) = fit_gradients(data_set, weights, batch_size=16, training_arguments=accumulate)
    scaled = None if weights is None else (weights / weights.mean()).tolist()
    assert_same_gradient(one, expected_gradient(data_set, range(num_texts), scaled))
    assert_same_gradient(two, one)


def test_a_rest_of_accumulated_batches_is_a_step_of_its_own() -> None:
    data_set, recorder = texts.single(45), ListRecorder("training")
    gradients = fit_gradients(
        data_set,
        batch_size=16,
        recorder=recorder,
        training_arguments={"gradient_accumulation_steps": 2},
    )
    batches = [ids.tolist() for ids, *_ in recorder.records]
    assert [len(batch) for batch in batches] == [15, 15, 15]
    assert len(gradients) == 2
    assert_same_gradient(gradients[0], expected_gradient(data_set, batches[0] + batches[1]))
    assert_same_gradient(gradients[1], expected_gradient(data_set, batches[2]))


def test_class_weights_and_sample_weights_meet_in_the_loss() -> None:
    y = np.array([0] * 9 + [1] * 2 + [2])
    data_set = TextDataset(topic_texts(12), y, target_labels=np.arange(3))
    given = np.linspace(1, 2, 12)
    (gradient,) = fit_gradients(data_set, given, batch_size=12, class_weight="balanced")
    balanced = 12 / (3 * np.bincount(y)[y])
    factors = (balanced * given / given.mean()).tolist()
    assert_same_gradient(gradient, expected_gradient(data_set, range(12), factors))


@pytest.mark.parametrize("validation_set_size", [0.0, 0.3])
def test_an_item_of_huge_weight_dominates(validation_set_size: float) -> None:
    """The host hands the weights of other items to a training set it has split itself."""
    data_set, recorder = texts.single(30), ListRecorder("training")
    options: dict[str, Any] = {
        "validation_set_size": validation_set_size,
        "recorder": recorder,
        "batch_size": 30,
    }
    fit_gradients(data_set, **options)
    trained = sorted(recorder.plans[-1].ids.tolist())
    assert len(trained) == (21 if validation_set_size else 30)
    for heavy in (trained[-1], trained[len(trained) // 2]):
        weights = np.ones(30)
        weights[heavy] = 1e6
        (gradient,) = fit_gradients(data_set, weights, **options)
        share = weights.mean() * len(trained) / 1e6
        for name, value in expected_gradient(data_set, [heavy]).items():
            torch.testing.assert_close(gradient[name] * share, value, atol=1e-4, rtol=1e-3)


def test_multi_label_losses_are_means_over_items_and_labels() -> None:
    data_set = texts.multi(12)
    (gradient,) = fit_gradients(data_set, batch_size=12, multi_label=True)
    folder = checkpoint("bert", 3)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = AutoTokenizer.from_pretrained(folder)(
        list(data_set.x), padding=True, return_tensors="pt"
    )
    labels = torch.from_numpy(data_set.y.toarray()).float()
    loss = functional.binary_cross_entropy_with_logits(model(**inputs).logits, labels)
    torch.autograd.backward(loss)
    expected = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert_same_gradient(gradient, expected)


def test_gradients_are_clipped_to_a_norm_of_one_by_default() -> None:
    """Unless they are shorter; a large selection weight makes them longer."""
    data_set = texts.single(24)
    norms = []
    for weight in (0.1, 100.0):
        options: dict[str, Any] = {"num_epochs": 1, "lr": STILL, "batch_size": 4}
        selector = FixedSelector([3], [weight])
        clf = classifier(head=True, dropout=False, batch_selector=selector, **options)
        with StepLog() as log:
            clf.fit(data_set)
        gradients = [gradient.norm() for gradient in log.gradient(0, clf.model).values()]
        norms.append(float(torch.stack(gradients).norm()))
    expected = [value.norm() for value in expected_gradient(data_set, [3], [0.1]).values()]
    assert norms[0] == pytest.approx(float(torch.stack(expected).norm()), rel=1e-4)
    assert norms[0] < 0.9
    assert norms[1] == pytest.approx(1.0, rel=1e-3)


# The seams


@pytest.mark.parametrize("validation", ["none", "split", "given"])
@pytest.mark.parametrize("observe", ["training", "epoch_end"])
def test_ids_at_the_seams_are_positions_in_the_training_set(
    validation: str,
    observe: Any,  # noqa: ANN401
) -> None:
    whole, recorder = texts.single(70), ListRecorder(observe)
    rows = np.arange(65, 5, -1)  # a view: positions are not the rows of the root
    clf = classifier(
        num_epochs=2, recorder=recorder, validation_set_size=0.25 if validation == "split" else 0.0
    )
    clf.fit(whole[rows], validation_set=texts.single(12, seed=4) if validation == "given" else None)
    (plan,) = recorder.plans
    ids = plan.ids.tolist()
    assert len(ids) == (45 if validation == "split" else 60)
    assert sorted(set(ids)) == sorted(ids)
    assert set(ids) <= set(range(60))
    for epoch in range(2):
        assert sorted(recorder.ids_of(epoch)) == sorted(ids)
    for batch_ids, logits, labels, _ in recorder.records:
        np.testing.assert_array_equal(labels.numpy(), whole.y[rows[batch_ids.numpy()]])
        assert batch_ids.device.type == "cpu"
        assert logits.shape == (len(batch_ids), 3)
        assert not logits.requires_grad
        assert logits.dtype == torch.float32


def test_the_plan_says_what_will_be_trained() -> None:
    recorder = ListRecorder("training")
    clf = classifier(num_epochs=3, batch_size=7, recorder=recorder)
    clf.fit(texts.single(20))
    clf.fit(texts.single(25))
    first, second = recorder.plans
    assert isinstance(first, FitPlan)
    assert (first.num_classes, first.num_epochs, first.batch_size) == (3, 3, 7)
    assert first.ids.tolist() == list(range(20))
    assert second.ids.tolist() == list(range(25))
    assert not first.multi_label


@pytest.mark.parametrize("validation_set_size", [0.0, 0.3])
def test_epoch_end_logits_are_those_of_predict(validation_set_size: float) -> None:
    recorder, data_set = ListRecorder("epoch_end"), texts.single(30)
    clf = classifier(num_epochs=3, recorder=recorder, validation_set_size=validation_set_size)
    clf.fit(data_set)
    trained, best = sorted(recorder.plans[0].ids.tolist()), history_of(clf).best_epoch
    torch.testing.assert_close(
        recorder.logits_of(best).double().softmax(dim=1),
        torch.from_numpy(clf.predict_proba(data_set)[trained]),
        atol=1e-5,
        rtol=1e-5,
    )
    assert not torch.allclose(recorder.logits_of(1), recorder.logits_of(2), atol=1e-3)


def test_training_logits_are_those_of_the_training_pass() -> None:
    data_set = texts.single(20)
    for dropout in (False, True):
        recorder = ListRecorder("training")
        options: dict[str, Any] = {"num_epochs": 1, "lr": STILL, "batch_size": 20}
        clf = classifier(head=True, dropout=dropout, recorder=recorder, **options).fit(data_set)
        expected = torch.from_numpy(clf.predict_proba(data_set)).float()
        agree = torch.allclose(recorder.logits_of(0).softmax(dim=1), expected, atol=1e-5)
        assert agree != dropout


@pytest.mark.parametrize("observe", ["training", "epoch_end"])
def test_a_recorder_does_not_change_a_fit(observe: Any) -> None:  # noqa: ANN401
    data_set = texts.single(30)
    recorded = classifier(recorder=ListRecorder(observe), validation_set_size=0.2).fit(data_set)
    alone = classifier(validation_set_size=0.2).fit(data_set)
    assert_same_parameters(parameters(recorded), parameters(alone))


class FixedSelector:
    """Chooses given ids, in the given order and number, with weights; keeps what it was shown."""

    def __init__(self, ids: list[int], weights: list[float] | None = None, size: int = 24) -> None:
        self.ids, self.weights, self.size = torch.tensor(ids), weights, size
        self.batches: list[CandidateBatch] = []

    def begin(self, plan: FitPlan) -> int:
        return self.size

    def select(self, batch: CandidateBatch) -> Selection:
        self.batches.append(batch)
        positions = (self.ids[:, None] == batch.ids).nonzero()[:, 1]
        return Selection(positions, None if self.weights is None else torch.tensor(self.weights))


@pytest.mark.parametrize(
    ("ids", "weights"),
    [
        ([5], None),
        ([5], [3.0]),
        ([7, 2, 11], None),
        ([4, 4, 4, 9], None),
        ([4, 4, 9], [1.0, 2.0, 0.25]),
        (list(range(24)), None),
        (list(range(24)) * 2, None),
    ],
    ids=["one", "one-weighted", "three", "twice", "twice-weighted", "all", "all-twice"],
)
def test_a_step_has_the_gradient_of_what_was_selected(
    ids: list[int], weights: list[float] | None
) -> None:
    data_set, recorder = texts.single(24), ListRecorder("training")
    selector = FixedSelector(ids, weights)
    (gradient,) = fit_gradients(data_set, batch_size=4, batch_selector=selector, recorder=recorder)
    assert_same_gradient(gradient, expected_gradient(data_set, ids, weights))
    assert sorted(recorder.ids_of(0)) == sorted(ids)


def test_sample_weights_and_selection_weights_multiply() -> None:
    data_set, given = texts.single(24), np.linspace(1, 3, 24)
    selector = FixedSelector([3, 20], [2.0, 0.5])
    (gradient,) = fit_gradients(data_set, given, batch_size=4, batch_selector=selector)
    scaled = given / given.mean()
    expected = expected_gradient(data_set, [3, 20], [2.0 * scaled[3], 0.5 * scaled[20]])
    assert_same_gradient(gradient, expected)


def test_selections_accumulate_to_a_mean_over_what_they_chose() -> None:
    """Two candidate batches of which one and three items are chosen are a step of four."""
    data_set = texts.single(24)
    selector = MemberSelector([1, 5, 6, 20], 12)
    accumulate = {"gradient_accumulation_steps": 2}
    (gradient,) = fit_gradients(
        data_set, batch_size=4, batch_selector=selector, training_arguments=accumulate, seed=3
    )
    chosen = [int(torch.isin(b.ids, selector.members).sum()) for b in selector.batches]
    assert sum(chosen) == 4
    parts = [
        expected_gradient(data_set, [int(i) for i in b.ids if i in selector.members])
        for b in selector.batches
    ]
    by_candidates = {name: (parts[0][name] + parts[1][name]) / 2 for name in parts[0]}
    # Each candidate batch counts by its share of the candidates, as it does without accumulation.
    assert_same_gradient(gradient, by_candidates)


def test_a_selector_sees_the_candidates_and_the_current_model() -> None:
    data_set = texts.single(26)
    seen: list[tuple[Tensor, Tensor, CandidateBatch]] = []

    class Scorer(FixedSelector):
        def select(self, batch: CandidateBatch) -> Selection:
            logits, noisy = batch.score(), batch.score(training=True)
            assert not logits.requires_grad
            assert not noisy.requires_grad
            seen.append((logits.clone(), noisy.clone(), batch))
            losses = functional.cross_entropy(logits, batch.labels, reduction="none")
            hardest = losses.topk(batch.num_selected)
            return Selection(hardest.indices, hardest.values)  # weights made of scores

    selector = Scorer([], size=12)
    clf = classifier(head=True, num_epochs=2, batch_size=4, lr=STILL, batch_selector=selector).fit(
        data_set
    )
    expected = torch.from_numpy(np.log(clf.predict_proba(data_set))).float()
    for logits, noisy, batch in seen:
        torch.testing.assert_close(
            logits.log_softmax(dim=1), expected[batch.ids], atol=1e-4, rtol=1e-4
        )
        assert not torch.allclose(noisy, logits, atol=1e-3)
        np.testing.assert_array_equal(batch.labels.numpy(), data_set.y[batch.ids.numpy()])
        with torch.no_grad():
            again = clf.model(**clf._text_tokenizer.pad(batch.inputs)).logits
        torch.testing.assert_close(again, logits, atol=1e-4, rtol=1e-4)
    # 26 candidates come as 9, 9 and 8; each batch keeps the ratio of a third.
    shapes = sorted((batch.epoch, -len(batch.ids), batch.num_selected) for _, _, batch in seen)
    assert shapes == [(0, -9, 3), (0, -9, 3), (0, -8, 3), (1, -9, 3), (1, -9, 3), (1, -8, 3)]
    for epoch in range(2):
        ids = torch.cat([batch.ids for _, _, batch in seen if batch.epoch == epoch])
        assert sorted(ids.tolist()) == list(range(26))


def test_scoring_changes_nothing_but_the_choice() -> None:
    """A selector that scores with dropout and then takes all trains what no selector trains."""

    class Curious(FixedSelector):
        def select(self, batch: CandidateBatch) -> Selection:
            batch.score()
            return Selection(torch.arange(len(batch.ids)))

    data_set = texts.single(24)
    options: dict[str, Any] = {"dropout": False, "head": True, "batch_size": 12}
    curious = classifier(batch_selector=Curious([], size=24), **options).fit(data_set)
    plain = classifier(**{**options, "batch_size": 24}).fit(data_set)
    for name, value in parameters(plain).items():
        torch.testing.assert_close(parameters(curious)[name], value, atol=1e-5, rtol=1e-4)


def test_uniform_selection_trains_a_share_of_each_epoch() -> None:
    recorder = ListRecorder("training")
    clf = classifier(
        num_epochs=4, batch_size=4, batch_selector=UniformSelector(20), recorder=recorder
    ).fit(texts.single(40))
    assert [len(set(recorder.ids_of(epoch))) for epoch in range(4)] == [8] * 4
    assert history_of(clf).num_steps == 8
    assert len({tuple(sorted(recorder.ids_of(epoch))) for epoch in range(4)}) > 1


def test_a_selector_without_a_choice_is_not_asked() -> None:
    class Unasked(UniformSelector):
        def select(self, batch: CandidateBatch) -> Selection:
            raise AssertionError("asked for a choice")

    data_set = texts.single(20)
    unasked = classifier(batch_selector=Unasked(1)).fit(data_set)
    assert_same_parameters(parameters(unasked), parameters(classifier().fit(data_set)))


def test_a_candidate_batch_below_the_batch_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="chooses from 4 candidates, but batch_size is 8"):
        classifier(batch_selector=FixedSelector([1], size=4)).fit(texts.single(20))


@pytest.mark.parametrize(
    ("positions", "weights"),
    [([], None), ([24], None), ([-1], None), ([1, 2], [1.0])],
    ids=["nothing", "beyond", "negative", "weights-of-other-length"],
)
def test_a_bad_choice_is_an_error_that_names_the_selector(
    positions: list[int], weights: list[float] | None
) -> None:
    class Careless(FixedSelector):
        def select(self, batch: CandidateBatch) -> Selection:
            chosen = torch.tensor(positions, dtype=torch.int64)
            return Selection(chosen, None if weights is None else torch.tensor(weights))

    with pytest.raises(ValueError, match="Careless"):
        classifier(batch_selector=Careless([])).fit(texts.single(24))


# Several GPUs


class Halves(torch.nn.Module):
    """Does what torch's DataParallel does with two GPUs: half of a batch each, outputs joined."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module
        self.given: list[set[str]] = []

    def forward(self, **inputs: Any) -> SequenceClassifierOutput:  # noqa: ANN401
        assert all(isinstance(value, Tensor) for value in inputs.values())
        assert len({len(value) for value in inputs.values()}) == 1, "not all have the batch's size"
        self.given.append(set(inputs))
        halves = [{k: v.chunk(2)[n] for k, v in inputs.items()} for n in range(2)]
        return SequenceClassifierOutput(
            logits=torch.cat([self.module(**half).logits for half in halves])
        )


def test_data_parallel_splits_the_models_inputs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids, labels and weights stay together, so the loss is that of the whole batch."""
    made: list[Halves] = []

    class Watched(Halves):
        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__(module)
            made.append(self)

    monkeypatch.setattr(torch.nn, "DataParallel", Watched)
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda _: 2))
    data_set, recorder = texts.single(21), ListRecorder("training")
    weights = np.linspace(1, 3, 21)
    options: dict[str, Any] = {"batch_size": 21, "recorder": recorder}
    clf = still(**options)
    with StepLog() as log:
        clf.fit(data_set, weights=weights)
    scaled = (weights / weights.mean()).tolist()
    assert_same_gradient(log.gradient(0, clf.model), expected_gradient(data_set, range(21), scaled))
    assert sorted(recorder.ids_of(0)) == list(range(21))
    assert made[0].given == [{"input_ids", "attention_mask", "token_type_ids"}]
    assert not isinstance(clf.model, Halves)
    assert clf.predict_proba(data_set).shape == (21, 3)


# Batches


@pytest.mark.parametrize("num_texts", [33, 34, 47, 48, 49])
def test_no_batch_is_much_smaller_than_the_others(num_texts: int) -> None:
    recorder = ListRecorder("training")
    classifier(batch_size=16, num_epochs=1, recorder=recorder).fit(texts.single(num_texts))
    sizes = [len(ids) for ids, *_ in recorder.records]
    assert sum(sizes) == num_texts
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 16


def test_batches_of_similar_length_pad_less() -> None:
    data_set = TextDataset(
        [
            text
            for n in range(32)
            for text in (topic_texts(1, seed=n, length=4)[0], topic_texts(1, seed=n, length=60)[0])
        ],
        np.arange(64) % 3,
        target_labels=np.arange(3),
    )

    def padding(group_by_length: bool) -> float:
        recorder = ListRecorder("training")
        options: dict[str, Any] = {"num_epochs": 2, "group_by_length": group_by_length}
        classifier(recorder=recorder, **options).fit(data_set)
        sizes = np.array([len(text.split()) for text in data_set.x])
        padded = sum(sizes[ids].max() * len(ids) for ids, *_ in recorder.records)
        return float(padded / (2 * sizes.sum()))

    assert padding(True) < 1.3
    assert padding(False) > 1.4


def test_the_mean_of_an_accumulated_step_is_over_what_was_chosen() -> None:
    """One of eight candidates and seven of eight make a mean over eight items, not over halves."""

    class Uneven:
        def __init__(self) -> None:
            self.calls, self.chosen = 0, list[int]()

        def begin(self, plan: FitPlan) -> int:
            return 8

        def select(self, batch: CandidateBatch) -> Selection:
            self.calls += 1
            count = 1 if self.calls % 2 else 7
            self.chosen += batch.ids[:count].tolist()
            return Selection(torch.arange(count))

    data_set = texts.single(16)
    selector = Uneven()
    clf = classifier(
        head=True,
        dropout=False,
        num_epochs=1,
        lr=STILL,
        batch_size=4,
        batch_selector=selector,
        training_arguments={"gradient_accumulation_steps": 2, "max_grad_norm": 0.0},
    )
    with StepLog() as log:
        clf.fit(data_set)
    assert len(selector.chosen) == 8
    expected = expected_gradient(data_set, selector.chosen, [1.0] * 8)
    for name, gradient in log.gradient(0, clf.model).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("stale", [False, True])
def test_a_stale_choice_is_of_the_weights_before_the_step_before(
    stale: bool, accumulated: int
) -> None:
    seen: list[tuple[CandidateBatch, Tensor]] = []
    weights: list[list[Tensor]] = []

    class Scorer(FixedSelector):
        stale = False

        def select(self, batch: CandidateBatch) -> Selection:
            seen.append((batch, batch.score()))
            return Selection(torch.arange(batch.num_selected))

    def note(optimizer: torch.optim.Optimizer, *_: object) -> None:
        groups = [group["params"] for group in optimizer.param_groups]
        weights.append([p.detach().clone() for group in groups for p in group])
        order.extend(id(p) for group in groups for p in group)

    selector, recorder, order = Scorer([], size=8), ListRecorder("training"), list[int]()
    selector.stale = stale
    accumulate = {"gradient_accumulation_steps": accumulated}
    options: dict[str, Any] = {"head": True, "dropout": False, "num_epochs": 2, "batch_size": 4}
    clf = classifier(
        batch_selector=selector, recorder=recorder, training_arguments=accumulate, **options
    )
    handle = register_optimizer_step_pre_hook(note)
    clf.fit(texts.single(40))
    handle.remove()

    batches_an_epoch, steps_an_epoch = 5, -(-5 // accumulated)
    assert len(weights) == 2 * steps_an_epoch
    model: Any = clf.model
    by_id = {id(p): p for p in model.parameters()}
    for number, (batch, logits) in enumerate(seen):
        epoch, place = divmod(number, batches_an_epoch)
        assert batch.epoch == epoch
        step = place // accumulated
        of = epoch * steps_an_epoch + (max(step - 1, 0) if stale else step)
        with torch.no_grad():
            for key, value in zip(order, weights[of], strict=False):
                by_id[key].copy_(value)
            now = model(**clf._text_tokenizer.pad(batch.inputs)).logits
        torch.testing.assert_close(now, logits, atol=1e-5, rtol=1e-4)
    trained = [ids.tolist() for ids, *_ in recorder.records]
    assert trained == [batch.ids[: batch.num_selected].tolist() for batch, _ in seen]
    for epoch in range(2):
        ids = torch.cat([batch.ids for batch, _ in seen if batch.epoch == epoch])
        assert sorted(ids.tolist()) == list(range(40))
