from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.splits import initial_rows, make_rare, seed_triple, split_rows
from benchmarks.suggestions import SuiteError


def test_seeds_differ_among_themselves_and_between_runs() -> None:
    seeds = [seed_triple(number) for number in range(50)]
    values = [value for seed in seeds for value in (seed.data, seed.model, seed.query)]
    assert len(set(values)) == 150
    assert max(values) < 2**31
    assert seeds[3] == seed_triple(3)


def test_a_split_is_stratified_complete_and_repeatable() -> None:
    labels = np.repeat([0, 1], [900, 100])
    split = split_rows(labels, seed=5, test_size=0.2)
    assert sorted([*split.pool, *split.test]) == list(range(1000))
    assert labels[split.test].sum() == 20
    assert (split_rows(labels, 5, 0.2).test == split.test).all()
    assert (split_rows(labels, 6, 0.2).test != split.test).any()


def test_a_given_split_holds_for_every_seed() -> None:
    given = np.array([False, True, False, True])
    for seed in (0, 1):
        split = split_rows(np.array([0, 0, 1, 1]), seed, 0.2, is_test=given)
        assert (split.pool.tolist(), split.test.tolist()) == ([0, 2], [1, 3])


def test_groups_stay_on_one_side() -> None:
    groups = np.repeat(np.arange(40), 5)
    labels = np.tile([0, 1, 0, 0, 1], 40)
    split = split_rows(labels, 0, 0.2, groups=groups)
    assert not set(groups[split.pool]) & set(groups[split.test])
    assert len(split.test) == 40


def test_a_class_too_small_to_split_is_explained() -> None:
    with pytest.raises(SuiteError, match="test_size"):
        split_rows(np.array([0, 0, 0, 1]), 0, 0.25)


@pytest.mark.parametrize("prevalence", [0.01, 0.05, 0.2])
def test_the_published_number_of_rare_texts_remains(prevalence: float) -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 300])
    pool = np.arange(0, 1200, 2)
    kept = make_rare(labels, pool, [1, 2], prevalence, seed=0)
    wanted = math.ceil(prevalence * 300 / (1 - prevalence))
    assert np.bincount(labels[kept]).tolist() == [300, wanted, wanted]
    assert set(kept) <= set(pool)
    assert (make_rare(labels, pool, [1, 2], prevalence, seed=0) == kept).all()


def test_more_than_there_is_cannot_be_asked_for() -> None:
    labels = np.repeat([0, 1], [90, 10])
    with pytest.raises(SuiteError, match=r"0\.1000"):
        make_rare(labels, np.arange(100), [1], 0.5, seed=0)


def test_the_class_that_is_too_small_is_named() -> None:
    labels = np.repeat([0, 1], [90, 10])
    with pytest.raises(SuiteError, match="class 'tech' makes up"):
        make_rare(labels, np.arange(100), [1], 0.5, seed=0, class_names=["other", "tech"])


def test_where_every_class_is_wanted_none_can_be_made_rare() -> None:
    labels = np.repeat([0, 1], [90, 10])
    with pytest.raises(SuiteError, match="every class is wanted"):
        make_rare(labels, np.arange(100), [0, 1], 0.05, seed=0)


def test_initial_labels_hold_the_wanted_number_of_each_class() -> None:
    labels = np.repeat([0, 1, 2], [500, 30, 20])
    rows = initial_rows(labels, [1, 2], initial_size=100, initial_minority=5, seed=0)
    assert np.bincount(labels[rows]).tolist() == [90, 5, 5]
    assert len(set(rows)) == 100


def test_where_all_classes_count_the_rest_is_drawn_from_all() -> None:
    labels = np.repeat([0, 1], [500, 500])
    rows = initial_rows(labels, [0, 1], initial_size=100, initial_minority=5, seed=0)
    assert len(set(rows)) == 100
    assert np.bincount(labels[rows]).min() >= 5


@pytest.mark.parametrize(
    ("size", "minority", "message"),
    [
        (10, 50, "initial_minority asks for 50 of 20 texts"),
        (900, 5, "initial_size asks for 895 of 500 texts"),
        (10, 15, "initial_size is 10, but initial_minority of 15 .* 1 wanted classes makes 15"),
    ],
)
def test_a_pool_too_small_is_explained(size: int, minority: int, message: str) -> None:
    labels = np.repeat([0, 1], [500, 20])
    with pytest.raises(SuiteError, match=message):
        initial_rows(labels, [1], size, minority, seed=0)


def test_a_grid_combines_seeds_of_data_models_and_queries() -> None:
    runs = [seed_triple(number, (2, 3, 2)) for number in range(12)]
    triples = [(run.data, run.model, run.query) for run in runs]
    assert len(set(triples)) == 12
    assert [len({triple[part] for triple in triples}) for part in range(3)] == [2, 3, 2]
    assert [run.number for run in runs] == list(range(12))
    plain = [seed_triple(number) for number in range(3)]
    assert triples[0] == (plain[0].data, plain[0].model, plain[0].query)
    assert triples[1] == (plain[0].data, plain[0].model, plain[1].query)
    assert triples[2] == (plain[0].data, plain[1].model, plain[0].query)
    assert triples[11] == (plain[1].data, plain[2].model, plain[1].query)


def test_seeds_without_a_grid_are_what_they_were() -> None:
    first = seed_triple(0)
    assert (first.data, first.model, first.query) == (1484405855, 1838574579, 372825380)
