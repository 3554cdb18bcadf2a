"""What small-text and this house promise of a query strategy, one function a promise.

Each function takes a ``StrategyCase`` and raises ``AssertionError`` where the promise is broken;
nothing in here knows a particular strategy.
"""

from __future__ import annotations

import inspect
import pickle
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from small_text import (
    LABEL_IGNORED,
    ClassBalancer,
    EmptyPoolException,
    PoolBasedActiveLearner,
    PoolExhaustedException,
    QueryStrategy,
    ScoringMixin,
    SubsamplingQueryStrategy,
)

from tests.contract.cases import StrategyCase
from tests.contract.scenarios import (
    Context,
    Indices,
    Situation,
    clustered_labels,
    on_view,
    run_rounds,
    situation,
    start_learner,
    with_labels,
)
from tests.contract.states import random_states

Check = Callable[[StrategyCase], None]
CHECKS: list[Check] = []


def contract(check: Check) -> Check:
    """Add a check to those that run on every public strategy."""
    CHECKS.append(check)
    return check


def assert_valid(picks: Any, unlabeled: Indices, n: int) -> None:  # noqa: ANN401
    """Picks are n distinct members of the unlabelled indices, as an array of integers."""
    assert isinstance(picks, np.ndarray), f"query returned {type(picks)}"
    assert np.issubdtype(picks.dtype, np.integer), f"query returned {picks.dtype}"
    assert picks.shape == (n,), f"asked for {n}, got shape {picks.shape}"
    assert len(np.unique(picks)) == n, "picks repeat"
    assert np.isin(picks, unlabeled).all(), "picks are not all unlabelled"


def ids(picks: Any) -> list[int]:  # noqa: ANN401
    """Return picks in a form that compares and prints well; their order is no promise."""
    return sorted(int(pick) for pick in picks)


@contract
def check_signature_is_the_hosts(case: StrategyCase) -> None:
    parameters = inspect.signature(case.strategy().query).parameters
    expected = list(inspect.signature(QueryStrategy.query).parameters)[1:]
    assert list(parameters)[: len(expected)] == expected
    assert parameters["n"].default == 10
    extra = list(parameters.values())[len(expected) :]
    assert all(p.default is not p.empty or p.kind == p.VAR_KEYWORD for p in extra)


@contract
def check_n_distinct_unlabeled(case: StrategyCase) -> None:
    root = situation(case.context)
    for n in (1, 10, 25):
        assert_valid(root.query(case.strategy(), n), root.indices_unlabeled, n)


@contract
def check_ignored_rows_and_gaps(case: StrategyCase) -> None:
    ignored = list(range(0, case.context.num_rows, 3))
    root = situation(case.context, ignored=ignored)
    strategy = case.strategy()
    for n in (5, 60):
        assert_valid(root.query(strategy, n), root.indices_unlabeled, n)


@contract
def check_unsorted_indices(case: StrategyCase) -> None:
    root = situation(case.context)
    shuffled = np.random.default_rng(1).permutation(root.indices_unlabeled)
    assert_valid(
        replace(root, indices_unlabeled=shuffled).query(case.strategy()), root.indices_unlabeled, 10
    )


@contract
def check_unsigned_and_narrow_indices(case: StrategyCase) -> None:
    """The host's own wrappers hand over unsigned indices."""
    root = situation(case.context)
    expected = ids(root.query(case.strategy()))
    for dtype in (np.uint, np.int32):
        narrow = replace(
            root,
            indices_unlabeled=root.indices_unlabeled.astype(dtype),
            indices_labeled=root.indices_labeled.astype(dtype),
        )
        assert ids(narrow.query(case.strategy())) == expected


@contract
def check_takes_the_whole_pool(case: StrategyCase) -> None:
    root = situation(case.context)
    for size in (1, 12, len(root.indices_unlabeled)):
        part = replace(root, indices_unlabeled=root.indices_unlabeled[:size])
        picks = part.query(case.strategy(), size)
        assert_valid(picks, part.indices_unlabeled, size)


@contract
def check_more_than_the_pool_is_exhausted(case: StrategyCase) -> None:
    part = situation(case.context)
    part = replace(part, indices_unlabeled=part.indices_unlabeled[:9])
    with pytest.raises(PoolExhaustedException):
        part.query(case.strategy(), 10)


@contract
def check_empty_pool(case: StrategyCase) -> None:
    part = situation(case.context)
    with pytest.raises(EmptyPoolException):
        replace(part, indices_unlabeled=part.indices_unlabeled[:0]).query(case.strategy())


@contract
def check_more_than_the_neighbors(case: StrategyCase) -> None:
    """However few candidates a method finds, the base strategy can always choose n."""
    root = situation(case.context)
    n = len(root.indices_unlabeled) - 7
    assert_valid(root.query(case.strategy(), n), root.indices_unlabeled, n)


@contract
def check_float_labels(case: StrategyCase) -> None:
    """small-text turns labels into floats once one text was ignored, and keeps them so."""
    root = situation(case.context)
    picks = root.query(case.strategy())
    floats = replace(root, y=root.y.astype(np.float64))
    assert ids(floats.query(case.strategy())) == ids(picks)


@contract
def check_ignored_in_an_update(case: StrategyCase) -> None:
    if case.context.multi_label:
        return  # the host cannot mark a row of a sparse update without making it dense
    learner = start_learner(case.context, case.strategy())
    queried = learner.query(num_samples=200)
    y = case.context.y[queried].astype(np.float64)
    y[50:] = LABEL_IGNORED
    learner.update(y)
    assert learner.y.dtype == np.float64
    ignored = queried[50:]
    for _ in range(3):
        known = np.append(learner.indices_labeled, ignored)
        queried = learner.query(num_samples=50)
        assert_valid(queried, np.setdiff1d(np.arange(case.context.num_rows), known), 50)
        learner.update(case.context.y[queried])


@contract
def check_an_ignored_sample_is_never_picked(case: StrategyCase) -> None:
    learner = start_learner(case.context, case.strategy())
    run_rounds(learner, case.context, 1)
    probe = learner.query(num_samples=10)
    learner.update(case.context.y[probe])
    rest = np.setdiff1d(np.arange(case.context.num_rows), learner.indices_labeled)
    ignored = rest[::2]
    for index in ignored:
        learner.ignore_sample_at(index)
    for round_picks in run_rounds(learner, case.context, 3):
        assert not set(round_picks) & set(ids(ignored))


@contract
def check_removed_labels_can_be_picked_again(case: StrategyCase) -> None:
    strategy = case.strategy()
    learner = start_learner(case.context, strategy)
    picked = run_rounds(learner, case.context, 3)
    returned = learner.indices_labeled[-20:].copy()
    for index in returned[::-1]:  # from the end: the host's positions go stale otherwise
        learner.remove_label_at(index)
    assert set(ids(returned)) <= {index for round_ in picked for index in round_}
    others = np.setdiff1d(np.arange(case.context.num_rows), learner.indices_labeled)[:5]
    few = replace(
        situation(case.context, learner.indices_labeled),
        indices_unlabeled=np.union1d(returned, others),
    )
    picks = few.query(strategy, len(returned))
    assert_valid(picks, few.indices_unlabeled, len(returned))
    if case.history_free:
        assert ids(picks) == ids(few.query(case.strategy(), len(returned)))


@contract
def check_picks_after_removed_labels_are_those_of_a_new_strategy(case: StrategyCase) -> None:
    if not case.history_free:
        return
    strategy = case.strategy()
    learner = start_learner(case.context, strategy)
    run_rounds(learner, case.context, 3)
    for index in learner.indices_labeled[:-16:-1].copy():
        learner.remove_label_at(index)
    again = situation(case.context, learner.indices_labeled)
    for n in (10, 250):  # many, so that a row that stays hidden is missed
        assert ids(again.query(strategy, n)) == ids(again.query(case.strategy(), n))


@contract
def check_view_gives_the_picks_of_its_rows(case: StrategyCase) -> None:
    root = situation(case.context)
    for unlabeled in (root.indices_unlabeled[::2], root.indices_unlabeled[100:350]):
        part = replace(root, indices_unlabeled=unlabeled)
        view, rows = on_view(root, unlabeled)
        picks = view.query(case.strategy())
        assert_valid(picks, view.indices_unlabeled, 10)
        assert ids(rows[picks]) == ids(part.query(case.strategy()))


@contract
def check_view_of_a_view_gives_the_picks_of_its_rows(case: StrategyCase) -> None:
    root = situation(case.context)
    start, stop = 60, 540
    inside = (root.indices_unlabeled >= start) & (root.indices_unlabeled < stop)
    labeled_inside = (root.indices_labeled >= start) & (root.indices_labeled < stop)
    part = replace(
        with_labels(root, root.indices_labeled[labeled_inside], root.y[labeled_inside]),
        indices_unlabeled=root.indices_unlabeled[inside][::2],
    )
    sliced = replace(
        part,
        dataset=root.dataset[start:stop],
        indices_unlabeled=part.indices_unlabeled - start,
        indices_labeled=part.indices_labeled - start,
    )
    view, rows = on_view(sliced, sliced.indices_unlabeled)
    picks = view.query(case.strategy())
    assert ids(rows[picks] + start) == ids(part.query(case.strategy()))


class _Recorder(QueryStrategy):
    """Stands between a wrapper of the host and the strategy, and keeps what passes."""

    def __init__(self, inner: QueryStrategy) -> None:
        self.inner = inner
        self.calls: list[tuple[Situation, int, Indices]] = []

    def query(
        self,
        clf: Any,  # noqa: ANN401
        dataset: Any,  # noqa: ANN401
        indices_unlabeled: Indices,
        indices_labeled: Indices,
        y: Any,  # noqa: ANN401
        n: int = 10,
    ) -> Indices:
        asked = Situation(clf, dataset, indices_unlabeled, indices_labeled, y)
        picks = asked.query(self.inner, n)
        self.calls.append((asked, n, picks))
        return picks


def _check_wrapper(
    case: StrategyCase, wrap: Callable[[QueryStrategy], QueryStrategy], rounds: int = 2
) -> None:
    recorder = _Recorder(case.strategy())
    learner = start_learner(case.context, wrap(recorder))
    for _ in range(rounds):
        unlabeled = np.setdiff1d(np.arange(case.context.num_rows), learner.indices_labeled)
        picks = learner.query(num_samples=10)
        assert_valid(picks, unlabeled, 10)
        learner.update(case.context.y[picks])
    assert len(recorder.calls) >= rounds
    for asked, n, picks in recorder.calls:
        assert_valid(picks, asked.indices_unlabeled, n)
        rows = asked.dataset.selection
        at_root = replace(
            asked,
            dataset=asked.dataset.dataset,
            indices_unlabeled=rows[asked.indices_unlabeled],
            indices_labeled=rows[asked.indices_labeled],
        )
        if case.history_free:
            assert ids(rows[picks]) == ids(at_root.query(case.strategy(), n))


@contract
def check_inside_subsampling(case: StrategyCase) -> None:
    _check_wrapper(case, lambda inner: SubsamplingQueryStrategy(inner, subsample_size=250))


@contract
def check_inside_class_balancer(case: StrategyCase) -> None:
    if not case.context.multi_label:  # the host's ClassBalancer is for single-label tasks
        _check_wrapper(case, ClassBalancer)
        _check_wrapper(case, lambda inner: ClassBalancer(inner, subsample_size=300))


@contract
def check_learner_on_a_view(case: StrategyCase) -> None:
    """A learner on ``train[:400]``, embeddings of all of ``train``."""
    context, size = case.context, 400
    initial = context.initial(below=size)
    picks = run_rounds(
        start_learner(context, case.strategy(), context.dataset()[:size], initial), context, 3
    )
    assert all(max(round_) < size for round_ in picks)
    if case.exact:
        small = replace(context, num_rows=size)
        alone = start_learner(small, replace(case, context=small).strategy(), None, initial)
        assert run_rounds(alone, small, 3) == picks


@contract
def check_two_learners_share_a_strategy(case: StrategyCase) -> None:
    initials = case.context.initial(0), case.context.initial(1)
    alone = [
        run_rounds(start_learner(case.context, case.strategy(), initial=initial), case.context, 3)
        for initial in initials
    ]
    shared = case.strategy()
    learners = [start_learner(case.context, shared, initial=initial) for initial in initials]
    together: list[list[list[int]]] = [[], []]
    for _ in range(3):
        for learner, picks in zip(learners, together, strict=True):
            picks.extend(run_rounds(learner, case.context, 1))
    assert together == alone


@contract
def check_two_datasets_share_a_strategy(case: StrategyCase) -> None:
    """Two learners, one on the root and one on a view of it."""
    view_initial = case.context.initial(below=400)
    alone = run_rounds(start_learner(case.context, case.strategy()), case.context, 2)
    shared = case.strategy()
    on_root = start_learner(case.context, shared)
    on_part = start_learner(case.context, shared, case.context.dataset()[:400], view_initial)
    picks = []
    for _ in range(2):
        picks.extend(run_rounds(on_root, case.context, 1))
        run_rounds(on_part, case.context, 1)
    assert picks == alone


@contract
def check_same_seed_same_picks(case: StrategyCase) -> None:
    runs = []
    for unrelated in (98, 99):  # whatever global state the test before has left
        np.random.seed(unrelated)  # noqa: NPY002
        random.seed(unrelated)
        torch.manual_seed(unrelated)
        runs.append(run_rounds(start_learner(case.context, case.strategy()), case.context, 3))
    assert runs[0] == runs[1]


@contract
def check_asking_twice_changes_nothing(case: StrategyCase) -> None:
    root = situation(case.context)
    strategy = case.strategy()
    assert ids(root.query(strategy)) == ids(root.query(strategy))


@contract
def check_other_seeds_other_picks(case: StrategyCase) -> None:
    if case.random:
        root = situation(case.context)
        picks = {tuple(ids(root.query(case.strategy(seed)))) for seed in range(6)}
        assert len(picks) > 1


@contract
def check_kinds_of_seeds(case: StrategyCase) -> None:
    root = situation(case.context)
    first, second = (ids(root.query(case.strategy(np.random.default_rng(5)))) for _ in range(2))
    assert first == second
    assert_valid(root.query(case.strategy(None)), root.indices_unlabeled, 10)
    with pytest.raises(ValueError, match="seed"):
        case.strategy(-1)
    with pytest.raises(TypeError, match="seed"):
        case.strategy("seven")  # type: ignore[arg-type]


@contract
def check_global_random_state_is_left_alone(case: StrategyCase) -> None:
    root = situation(case.context)
    strategy = case.strategy()
    before = random_states()
    root.query(strategy)
    assert random_states() == before


@contract
def check_inputs_are_unchanged(case: StrategyCase) -> None:
    root = situation(case.context)
    arrays = [root.indices_unlabeled, root.indices_labeled, root.dataset.x, *_arrays(root.y)]
    arrays.extend(_arrays(root.dataset.y))
    copies = [array.copy() for array in arrays]
    vectors = np.array(case.context.embeddings)
    for array in arrays:
        array.flags.writeable = False
    root.query(case.strategy())
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(np.array(case.context.embeddings), vectors)


def _arrays(y: Any) -> list[NDArray[Any]]:  # noqa: ANN401
    return [y.data, y.indices, y.indptr] if isinstance(y, csr_matrix) else [y]


@contract
def check_result_is_the_callers(case: StrategyCase) -> None:
    """Whoever changes the returned array changes neither the pool nor the next query."""
    root = situation(case.context)
    strategy = case.strategy()
    first = root.query(strategy)
    expected = ids(first)
    first[:] = -1
    assert ids(root.query(strategy)) == expected
    assert root.indices_unlabeled.min() >= 0


@contract
def check_hidden_labels_are_not_read(case: StrategyCase) -> None:
    """In an experiment the dataset carries all labels; only those in ``y`` may count."""
    root = situation(case.context)
    blind = replace(root, dataset=case.context.dataset(known=root.indices_labeled))
    assert ids(blind.query(case.strategy())) == ids(root.query(case.strategy()))


@contract
def check_pickle_in_mid_run(case: StrategyCase) -> None:
    strategy = case.strategy()
    learner = start_learner(case.context, strategy)
    run_rounds(learner, case.context, 2)
    now = situation(case.context, learner.indices_labeled)
    copies = [pickle.loads(pickle.dumps(strategy)), dill.loads(dill.dumps(strategy))]
    expected = ids(now.query(strategy))
    assert [ids(now.query(copy)) for copy in copies] == [expected, expected]


@contract
def check_save_and_load_in_mid_run(case: StrategyCase) -> None:
    through = run_rounds(start_learner(case.context, case.strategy()), case.context, 4)
    learner = start_learner(case.context, case.strategy())
    assert run_rounds(learner, case.context, 2) == through[:2]
    with tempfile.TemporaryDirectory() as folder:
        learner.save(Path(folder))
        loaded = PoolBasedActiveLearner.load(Path(folder))
    assert run_rounds(loaded, case.context, 2) == through[2:]
    assert run_rounds(learner, case.context, 2) == through[2:]


@contract
def check_str(case: StrategyCase) -> None:
    strategy = case.strategy()
    text = str(strategy)
    assert text.startswith(f"{type(strategy).__name__}(")
    assert text.endswith(")")
    assert "\n" not in text
    assert " at 0x" not in text
    situation(case.context).query(strategy)
    assert str(strategy) == text == str(pickle.loads(pickle.dumps(strategy)))


@contract
def check_last_scores(case: StrategyCase) -> None:
    """Scores of the last query: from a strategy that has some, or whose base has."""
    strategy = case.strategy()
    if not isinstance(strategy, ScoringMixin):
        return
    assert strategy.last_scores is None
    situation(case.context).query(strategy)
    base = getattr(strategy, "base_query_strategy", strategy)
    assert (strategy.last_scores is not None) == isinstance(base, ScoringMixin)


@contract
def check_last_query_describes_the_query(case: StrategyCase) -> None:
    strategy = case.strategy()
    if not hasattr(strategy, "last_query"):
        return
    before = strategy.last_query
    assert before is None
    root = situation(case.context)
    picks = root.query(strategy)
    record: Any = strategy.last_query
    assert np.isin(record.subpool, root.indices_unlabeled).all()
    assert len(np.unique(record.subpool)) == len(record.subpool)
    assert np.isin(picks, record.subpool).all()
    assert record.seconds
    assert all(seconds >= 0 for seconds in record.seconds.values())


@contract
def check_texts_scored(case: StrategyCase) -> None:
    """A strategy that chooses a subpool shows the classifier that, and the labelled texts."""
    strategy = case.strategy()
    if not hasattr(strategy, "last_query") or case.sees_the_pool:
        return
    root = situation(case.context)
    assert root.clf is not None
    root.clf.rows_seen.clear()
    root.query(strategy)
    allowed = np.concatenate([strategy.last_query.subpool, root.indices_labeled])
    rows = {root.dataset.x[row].tobytes() for row in allowed}
    assert set(root.clf.rows_seen) <= rows
    assert len(root.clf.rows_seen) <= len(allowed) + len(root.indices_labeled)


@contract
def check_one_class_labeled(case: StrategyCase) -> None:
    labels = clustered_labels(case.context.num_rows)
    labeled = np.flatnonzero(labels == 1)[:15]
    root = situation(case.context)
    unlabeled = np.setdiff1d(np.arange(case.context.num_rows), labeled)
    part = replace(with_labels(root, labeled, case.context.y[labeled]), indices_unlabeled=unlabeled)
    assert_valid(part.query(case.strategy()), unlabeled, 10)


@contract
def check_one_text_labeled(case: StrategyCase) -> None:
    root = situation(case.context)
    part = with_labels(root, root.indices_labeled[:1], root.y[:1])
    assert_valid(part.query(case.strategy()), root.indices_unlabeled, 10)


@contract
def check_cold_start(case: StrategyCase) -> None:
    """Without classifier and labels: the learner initialised with None."""
    if case.needs_classifier:
        return
    learner = PoolBasedActiveLearner(None, case.strategy(), case.context.dataset())
    learner.initialize(None)
    picks = learner.query(num_samples=10)
    assert_valid(picks, np.arange(case.context.num_rows), 10)


@contract
def check_labels_without_a_class(case: StrategyCase) -> None:
    """Rows of a multi-label task may carry no label at all."""
    if not case.context.multi_label:
        return
    root = situation(case.context)
    none = np.flatnonzero(np.asarray(case.context.y.sum(axis=1)).ravel() == 0)[:8]
    for labeled in (none, np.append(none, root.indices_labeled)):
        unlabeled = np.setdiff1d(np.arange(case.context.num_rows), labeled)
        part = replace(
            with_labels(root, labeled, case.context.y[labeled]), indices_unlabeled=unlabeled
        )
        assert_valid(part.query(case.strategy()), unlabeled, 10)


@contract
def check_foreign_dataset_is_an_error(case: StrategyCase) -> None:
    """A dataset whose rows cannot be those of the embeddings is refused, not guessed at."""
    strategy = case.strategy()
    if getattr(strategy, "embeddings", None) is None:
        return
    root = situation(Context(case.context.multi_label, num_rows=case.context.num_rows + 60))
    with pytest.raises(ValueError, match=r"\b600\b"):
        root.query(strategy)


def replay(case: StrategyCase) -> list[list[int]]:
    """Return what a fresh process must repeat."""
    return run_rounds(start_learner(case.context, case.strategy()), case.context, 3)
