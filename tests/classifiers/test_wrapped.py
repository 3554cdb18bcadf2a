"""What wrapped classifiers hand on, and which factories they take."""

from __future__ import annotations

import numpy as np
import pytest
from small_text import LeastConfidence

from small_text_ext import DynamicsRecorder
from small_text_ext.classifiers.reducible_loss import ReducibleLossClassification
from small_text_ext.classifiers.wrapped import check_own_factory, is_multi_label
from small_text_ext.protocols import dynamics_of
from tests.classifiers.test_crossfit import factory, planted


def test_a_recorder_within_is_found() -> None:
    train_set, _ = planted(60)
    recorder = DynamicsRecorder("epoch_end")
    clf = ReducibleLossClassification(factory(recorder=recorder), selected_fraction=0.5, seed=0)
    assert clf.recorder is None
    clf.fit(train_set)
    assert isinstance(clf.recorder, DynamicsRecorder)
    assert clf.recorder is not recorder, "each classifier has one of its own"
    np.testing.assert_array_equal(dynamics_of(clf).ids, np.arange(60))


def test_unfitted_is_said() -> None:
    clf = ReducibleLossClassification(factory(), seed=0)
    for call in (clf.predict, clf.predict_proba, clf.embed):
        with pytest.raises(ValueError, match="is not fitted: call fit first"):
            call(planted(10)[0])


def test_only_factories_of_this_package_have_the_seams() -> None:
    assert check_own_factory(factory()) is not None
    assert is_multi_label(factory(multi_label=True))
    assert not is_multi_label(factory())
    with pytest.raises(TypeError, match="no classifier factory of this package"):
        check_own_factory(LeastConfidence())
