"""Seeds, splits, imbalance and initial labels: what all methods of one seed share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import DatasetRecord, ProtocolRecord, SeedRecord
from benchmarks.suggestions import SuiteError

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Positions in the complete data set: the pool and the test set."""

    pool: Rows
    test: Rows


@dataclass(frozen=True)
class DrawnRows:
    """What all methods of one seed share.

    Parameters
    ----------
    pool, test : numpy.ndarray of int64
        Positions in the complete data set.
    initial : numpy.ndarray of int64
        Positions in the pool of the first labels.
    minority : tuple of int
        The wanted classes; all, where the data set names none.
    """

    pool: Rows
    test: Rows
    initial: Rows
    minority: tuple[int, ...]


def draw_rows(
    dataset: DatasetRecord,
    protocol: ProtocolRecord,
    seed: int,
    labels: NDArray[np.int64],
    is_test: NDArray[np.bool_] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> DrawnRows:
    """Split a data set for one seed, make the wanted classes rare, and draw the first labels.

    Parameters
    ----------
    dataset : DatasetRecord
        Classes and prevalence.
    protocol : ProtocolRecord
        Sizes.
    seed : int
        The seed of the data.
    labels : numpy.ndarray of int64, shape (n,)
        Labels of the complete data set.
    is_test : numpy.ndarray of bool, shape (n,), optional
        A split that comes with the data.
    groups : numpy.ndarray of int64, shape (n,), optional
        Groups that a split keeps together.

    Returns
    -------
    DrawnRows
        The positions.

    Raises
    ------
    SuiteError
        If the data are too small for what is asked.
    """
    names = dataset.class_names
    minority = tuple(names.index(name) for name in dataset.minority) or tuple(range(len(names)))
    split = split_rows(labels, seed, protocol.test_size, is_test, groups)
    pool = split.pool
    if dataset.prevalence is not None:
        pool = make_rare(labels, pool, minority, dataset.prevalence, seed, names)
    initial = initial_rows(
        labels[pool], minority, protocol.initial_size, protocol.initial_minority, seed
    )
    return DrawnRows(pool, split.test, initial, minority)


def seed_triple(number: int, grid: tuple[int, int, int] | None = None) -> SeedRecord:
    """Derive the seeds of data, model and query from the number of a run.

    Parameters
    ----------
    number : int
        0, 1, 2, ...
    grid : tuple of 3 int, or None, default=None
        Numbers of seeds of data, model and query, of which ``number`` is one combination: the query
        changes first, the data last. Seed k of each is that of run k without a grid.

    Returns
    -------
    SeedRecord
        Three independent seeds below 2**31, which scikit-learn takes, too.

    Examples
    --------
    >>> seed_triple(0) == seed_triple(0), seed_triple(0) == seed_triple(1)
    (True, False)
    >>> runs = [seed_triple(number, (2, 2, 2)) for number in range(8)]
    >>> len({run.data for run in runs}), runs[0] == seed_triple(0)
    (2, True)
    """
    if grid is not None:
        places = np.unravel_index(number, grid)
        of_data, of_model, of_query = (seed_triple(int(place)) for place in places)
        return SeedRecord(
            number=number, data=of_data.data, model=of_model.model, query=of_query.query
        )
    data, model, query = (np.random.SeedSequence(number).generate_state(3) >> 1).tolist()
    return SeedRecord(number=number, data=data, model=model, query=query)


def split_rows(
    labels: NDArray[np.int64],
    seed: int,
    test_size: float,
    is_test: NDArray[np.bool_] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> Split:
    """Divide a data set into pool and test set, with equal shares of the classes.

    Parameters
    ----------
    labels : numpy.ndarray of int64, shape (n,)
        The labels.
    seed : int
        The seed of the data.
    test_size : float
        Share of the test set, between 0 and 1.
    is_test : numpy.ndarray of bool, shape (n,), optional
        A given split, which then holds for every seed.
    groups : numpy.ndarray of int64, shape (n,), optional
        Texts of one group stay together; the share of the test set is then 1 / round(1 / share).

    Returns
    -------
    Split
        Sorted positions.

    Raises
    ------
    SuiteError
        If a class is too small to be on both sides.
    """
    from sklearn.model_selection import StratifiedGroupKFold, train_test_split

    if is_test is not None:
        return Split(np.flatnonzero(~is_test), np.flatnonzero(is_test))
    rows = np.arange(len(labels))
    try:
        if groups is not None:
            folds = StratifiedGroupKFold(
                n_splits=max(2, round(1 / test_size)), shuffle=True, random_state=seed
            )
            pool, test = next(iter(folds.split(rows, labels, groups)))
        else:
            pool, test = train_test_split(
                rows, test_size=test_size, stratify=labels, random_state=seed
            )
    except ValueError as error:
        raise SuiteError(f"The data cannot be split with test_size={test_size}: {error}") from error
    return Split(np.sort(pool), np.sort(test))


def make_rare(
    labels: NDArray[np.int64],
    pool: Rows,
    minority: Sequence[int],
    prevalence: float,
    seed: int,
    class_names: Sequence[str] | None = None,
) -> Rows:
    """Drop texts of the wanted classes from the pool until each has the given prevalence.

    All other texts stay; of each wanted class ``ceil(p * others / (1 - p))`` remain, as in the
    published experiments. The test set is not touched: metrics weigh it to the pool's prior.

    Parameters
    ----------
    labels : numpy.ndarray of int64, shape (n,)
        The labels of the complete data set.
    pool : numpy.ndarray of int64
        Positions of the pool.
    minority : sequence of int
        The wanted classes.
    prevalence : float
        Share of each wanted class among itself and all unwanted ones, between 0 and 1.
    seed : int
        The seed of the data.
    class_names : sequence of str, optional
        What errors call the classes; by default their numbers.

    Returns
    -------
    numpy.ndarray of int64
        Positions that remain, sorted.

    Raises
    ------
    SuiteError
        If a class has fewer texts than the prevalence asks for, or no class is unwanted.

    Examples
    --------
    >>> labels = np.array([0] * 99 + [1] * 50)
    >>> pool = make_rare(labels, np.arange(149), [1], prevalence=0.01, seed=0)
    >>> np.bincount(labels[pool]).tolist()
    [99, 1]
    """
    generator = np.random.default_rng([seed, 1])
    others = pool[~np.isin(labels[pool], minority)]
    if not len(others):
        raise SuiteError(
            f"prevalence is {prevalence}, but every class is wanted: name the minority, or leave "
            "prevalence out."
        )
    wanted = math.ceil(prevalence * len(others) / (1 - prevalence))
    kept = [others]
    for label in minority:
        members = pool[labels[pool] == label]
        if len(members) < wanted:
            natural = len(members) / (len(members) + len(others))
            name = label if class_names is None else class_names[label]
            raise SuiteError(
                f"prevalence is {prevalence}, but class '{name}' makes up only {natural:.4f} of "
                "the pool: ask for less, or leave prevalence out."
            )
        kept.append(generator.choice(members, size=wanted, replace=False))
    return np.sort(np.concatenate(kept))


def initial_rows(
    labels: NDArray[np.int64],
    minority: Sequence[int],
    initial_size: int,
    initial_minority: int,
    seed: int,
) -> Rows:
    """Draw the labels that the first model is fitted on.

    ``initial_minority`` of each wanted class, and texts of the other classes up to
    ``initial_size``, as in the published experiments. Where all classes are wanted, the rest is
    drawn from all remaining texts.

    Parameters
    ----------
    labels : numpy.ndarray of int64, shape (n,)
        True labels of the pool.
    minority : sequence of int
        The wanted classes.
    initial_size, initial_minority : int
        Labels in all, and of each wanted class.
    seed : int
        The seed of the data.

    Returns
    -------
    numpy.ndarray of int64, shape (initial_size,)
        Positions in the pool, in random order.

    Raises
    ------
    SuiteError
        If the pool is too small.
    """
    generator = np.random.default_rng([seed, 2])
    chosen = [
        _draw(generator, np.flatnonzero(labels == label), initial_minority, "initial_minority")
        for label in minority
    ]
    taken = np.concatenate(chosen) if chosen else np.empty(0, dtype=np.int64)
    if initial_size < len(taken):
        raise SuiteError(
            f"initial_size is {initial_size}, but initial_minority of {initial_minority} for each "
            f"of {len(minority)} wanted classes makes {len(taken)}: raise initial_size, or lower "
            "initial_minority."
        )
    rest = np.setdiff1d(np.flatnonzero(~np.isin(labels, minority)), taken)
    if not len(rest):
        rest = np.setdiff1d(np.arange(len(labels)), taken)
    remaining = _draw(generator, rest, initial_size - len(taken), "initial_size")
    return generator.permutation(np.concatenate([taken, remaining]))


def _draw(generator: np.random.Generator, rows: Rows, number: int, argument: str) -> Rows:
    if not 0 <= number <= len(rows):
        raise SuiteError(
            f"{argument} asks for {number} of {len(rows)} texts: lower {argument}, or take a "
            "larger data set or prevalence."
        )
    return np.asarray(generator.choice(rows, size=number, replace=False))
