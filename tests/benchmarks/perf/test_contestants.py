from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.datasets import LabeledTexts
from benchmarks.perf import contestants
from benchmarks.perf.contestants import (
    Sides,
    host_dataset,
    make_sides,
    our_dataset,
    precisions,
    set_host_batch_size,
)
from tests.tiny_models import checkpoint


def test_all_sides_have_the_same_weights(sides: Sides) -> None:
    weights = sides.host.model.state_dict()
    assert len(weights) > 10
    for classifier in sides.ours.values():
        ours = classifier.model.state_dict()
        assert set(ours) == set(weights)
        assert all(torch.equal(ours[name], value) for name, value in weights.items())


def test_the_weights_are_trained_so_that_a_difference_would_show(
    sides: Sides, sample: LabeledTexts
) -> None:
    proba = sides.ours["float32"].predict_proba(our_dataset(sample))
    # Fifty times the difference that is allowed.
    assert proba.std(axis=0).max() > 0.005


def test_making_the_sides_leaves_the_global_generators_alone(sample: LabeledTexts) -> None:
    before = torch.get_rng_state()
    make_sides(checkpoint(), sample, 8)
    assert torch.equal(torch.get_rng_state(), before)


def test_bfloat16_is_a_side_where_the_hardware_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants, "has_bfloat16", lambda device: True)
    assert precisions() == ("float32", "bfloat16")
    monkeypatch.setattr(contestants, "has_bfloat16", lambda device: False)
    assert precisions() == ("float32",)


def test_the_hosts_dataset_is_padded_and_ours_is_text(sides: Sides, sample: LabeledTexts) -> None:
    theirs, ours = host_dataset(sample, sides.host, 64), our_dataset(sample)
    assert {tuple(ids.shape) for ids in theirs.x} == {(1, 64)}
    assert list(ours.x) == list(sample.texts)
    assert np.array_equal(theirs.y, ours.y)
    assert np.array_equal(theirs.target_labels, ours.target_labels)


def test_the_hosts_batch_size_is_that_of_scoring_and_embedding(
    sides: Sides, sample: LabeledTexts
) -> None:
    sizes: list[int] = []
    handle = sides.host.model.register_forward_pre_hook(
        lambda module, inputs: sizes.append(len(inputs[0]))
    )
    set_host_batch_size(sides.host, 40)
    dataset = host_dataset(sample, sides.host, 64)
    sides.host.predict_proba(dataset)
    sides.host.embed(dataset)
    handle.remove()
    assert sizes == [40, 40, 16] * 2
