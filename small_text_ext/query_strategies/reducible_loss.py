"""Acquisition by expected reducible loss: texts whose label would teach what can be learnt."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from small_text_ext._random import Seed
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.roots import root_rows
from small_text_ext.protocols import class_probabilities
from small_text_ext.query_strategies.committees import (
    FactorySource,
    HeadSource,
    Model,
    ModelSource,
    bootstrap_positions,
    crossfit_positions,
    dense_labels,
    number_of_classes,
)
from small_text_ext.query_strategies.context import Indices, QueryContext, check_at_least_one
from small_text_ext.query_strategies.dynamics_models import Representations
from small_text_ext.query_strategies.information_gain import (
    LabelDistribution,
    committee_disagreement,
    expected_predictive_information_gain,
    expected_reducible_loss,
)
from small_text_ext.query_strategies.scoring import PoolScoringStrategy, Ratings, root_levels

Variant = LabelDistribution | Literal["committee"]

_VARIANTS = (*get_args(LabelDistribution), "committee")
_SEEDS = 2**31

_logger = logging.getLogger(__name__)


class ExpectedReducibleLoss(PoolScoringStrategy):
    """Pick the texts whose label would remove most of the loss that can be removed.

    Uncertainty sampling cannot tell what is not learnt yet from what nobody can learn. A second,
    better-informed model can: a text on which the current model is unsure and the informed one is
    sure is worth a label, one on which both are unsure is noise, and one on which both are sure is
    learnt. The score is the divergence of the two, ``KL(informed || current)``. (So it also finds
    texts of which the current model is surer than the informed one.)

    **The informed model has to know something that the current one does not**: a hold-out set, a
    larger encoder, more text (zero-shot probabilities). The default, logistic regression on frozen
    vectors, is taught the same labels. Beside an encoder that is fine-tuned on a hundred labels,
    it knows what the frozen vectors do; beside a head on the same vectors it knows nothing more,
    and what is left is the difference of two penalties: then pass ``hold_out``, an ``informed``
    model, or ``variant="committee"``, which needs none.

    Parameters
    ----------
    informed : object, default=None
        Where the better-informed model comes from. None: logistic regression on ``embeddings``,
        taught the present labels. A small-text classifier factory: a classifier of it, taught the
        present labels, at the cost of a fit in every query. A fitted classifier: as it is, such as
        one trained on a hold-out set; it reads the texts of the dataset. An array of shape
        (n, num_classes): probabilities of each text of the root dataset, in its order, such as
        those of a zero-shot model; better calibrated before, see `expected_reducible_loss`.
    embeddings : PoolEmbeddings, array_like of shape (n, d), or None, default=None
        One vector for each text of the root dataset, in its order: what logistic regression
        learns from, and what ``diversity`` measures distances in. None takes the present
        classifier's ``embed`` for a committee and for ``diversity``.
    variant : {"expected", "pseudo", "optimistic", "committee"}, default="expected"
        The label that counts: see `expected_reducible_loss`. "committee" does without a
        better-informed model: it trains members on parts of the labels, and scores by their
        disagreement, see `committee_disagreement`. The current classifier is not asked then.
    num_members : int, default=5
        Of the committee. Each is taught what lies outside of its fold: with more members each
        knows more, and they differ less.
    hold_out : small_text.data.Dataset or None, default=None
        Labelled texts outside of the pool, such as the development set, that logistic regression
        is taught beside the present labels: texts, where ``embeddings`` knows its encoder, or
        vectors of it. (With another source, train it on them before.)
    diversity : float or None, default=None
        At least 1: picks are spread over the ``diversity * n`` best texts, each drawn with a
        probability of its score times the squared distance to the nearest pick, as k-means++ does.
        Large values trade scores for spread; 1 and None take the best.
    smallest : float, default=1e-3
        Probabilities are raised to it; see `expected_reducible_loss`.
    C : float, default=10.0
        Inverse penalty of logistic regression, on vectors scaled to a mean squared length of one.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks. Deals folds, seeds factories, draws for ``diversity``,
        and between equal scores.

    Raises
    ------
    TypeError
        If ``informed`` is none of the above; in a query: if there is no classifier to compare with.
    ValueError
        If arguments do not fit each other or are out of range; in a query: if embeddings or
        probabilities belong to another dataset.

    Notes
    -----
    A query costs one pass of the current classifier over what is offered (none with a committee),
    and what the informed model costs: milliseconds for logistic regression, a fit and a pass for a
    factory, ``num_members`` of both for a committee of one. In a large pool, put it under an
    ``AnchorAL``.

    With fewer than two labelled texts a committee has no members, and picks are random; this is
    logged.

    Differences from the published method: it needs labels, and selects training batches; here the
    label is unknown and taken from the informed model. Taken from the current one, the score would
    be largest where nothing is to be learnt; see `expected_reducible_loss`.

    References
    ----------
    S. Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and
    Not Yet Learnt", ICML 2022. A. McCallum and K. Nigam, "Employing EM and Pool-Based Active
    Learning for Text Classification", ICML 1998. D. Arthur and S. Vassilvitskii, "k-means++: The
    Advantages of Careful Seeding", SODA 2007.

    Examples
    --------
    >>> zero_shot = np.full((8, 2), 0.5)
    >>> str(ExpectedReducibleLoss(zero_shot, diversity=5, seed=0))  # doctest: +ELLIPSIS
    "ExpectedReducibleLoss(informed=<8 x 2>, embeddings=None, variant='expected', ..."
    """

    def __init__(
        self,
        informed: Any = None,  # noqa: ANN401
        embeddings: PoolEmbeddings | ArrayLike | None = None,
        *,
        variant: Variant = "expected",
        num_members: int = 5,
        hold_out: Any = None,  # noqa: ANN401
        diversity: float | None = None,
        smallest: float = 1e-3,
        C: float = 10.0,
        seed: Seed = None,
    ) -> None:
        super().__init__(embeddings, seed)
        _check_options(variant, diversity, smallest, C)
        _check_members(num_members)
        self.informed = _checked_informed(informed)
        self.variant: Variant = variant
        self.num_members = int(num_members)
        self.hold_out = hold_out
        self.diversity = None if diversity is None else float(diversity)
        self.smallest, self.C = float(smallest), float(C)
        self._check_sources()

    def rate(self, context: QueryContext) -> Ratings:
        """Rate texts by their expected reducible loss, or by the disagreement of a committee.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        Ratings
            In nats; random numbers where a committee has nothing to learn from.
        """
        if self.embeddings is not None:
            root_rows(context.dataset, self.embeddings)  # those of another dataset are an error
        generator = self.generator(context)
        ties = generator.random(len(context.unlabeled))
        seed = int(generator.integers(_SEEDS))
        if self.variant != "committee":
            scores = self._beside_the_current(context, seed)
        elif len(context.labeled) < 2:
            _log_random(self, context)
            return Ratings(ties)
        else:
            scores = self._among_members(context, generator)
        if self.diversity is None:
            return Ratings(scores, ties)
        vectors = Representations(context, self.embeddings)
        return SpreadRatings(
            scores,
            ties,
            vectors=lambda positions: vectors.of(context.unlabeled[positions]),
            factor=self.diversity,
            seed=seed,
        )

    def _among_members(
        self, context: QueryContext, generator: np.random.Generator
    ) -> NDArray[np.float64]:
        source = self._source(context)
        labels = dense_labels(context.y, source.num_classes)
        parts = crossfit_positions(labels, self.num_members, generator)
        models = _fitted(source, parts, generator)
        return committee_disagreement(
            source.predict(models, context.unlabeled), issparse(context.y)
        )

    def _beside_the_current(self, context: QueryContext, seed: int) -> NDArray[np.float64]:
        if context.clf is None:
            raise TypeError(
                f"variant {self.variant!r} compares with the current classifier, and there is none "
                "yet: initialise the learner with labels first."
            )
        informed = self._of_informed(context, seed)
        offered = context.dataset[context.unlabeled]
        current = class_probabilities(context.clf, offered, informed.shape[1])
        assert self.variant != "committee"
        return expected_reducible_loss(
            informed, current, self.variant, issparse(context.y), self.smallest
        )

    def _of_informed(self, context: QueryContext, seed: int) -> NDArray[np.float64]:
        """Return the informed model's probabilities of the unlabelled texts."""
        if isinstance(self.informed, np.ndarray):
            return self._given_rows(context, self.informed)
        if self.informed is not None and not _is_factory(self.informed):
            offered = context.dataset[context.unlabeled]
            return class_probabilities(self.informed, offered, number_of_classes(context))
        if not len(context.labeled) and self.hold_out is None:
            raise ValueError(
                "There is no labelled text, and so nothing to inform a model by: label some at "
                "random first, or pass a hold_out, a fitted classifier or probabilities."
            )
        source = self._source(context)
        model = source.fit(np.arange(len(context.labeled)), seed)
        return np.asarray(source.predict([model], context.unlabeled)[0])

    def _given_rows(self, context: QueryContext, known: NDArray[np.float64]) -> NDArray[np.float64]:
        num_classes = number_of_classes(context)
        if known.shape[1] != num_classes:
            raise ValueError(
                f"informed has {known.shape[1]} columns, and the task has {num_classes} classes: "
                "pass one column for each."
            )
        if self.embeddings is not None:
            return known[root_rows(context.dataset, self.embeddings)[context.unlabeled]]
        levels = root_levels(context.dataset)
        for level in reversed(levels):
            if level.size == len(known):
                return np.asarray(known[level.positions[context.unlabeled]])
        raise ValueError(
            f"informed has {len(known)} rows, the dataset and what it is a view of "
            f"{[level.size for level in levels]}: pass one row for each text of the root dataset."
        )

    def _source(self, context: QueryContext) -> ModelSource:
        if self.hold_out is not None and self.hold_out is context.dataset:
            raise ValueError(
                "hold_out is the pool itself, whose labels nobody knows yet: pass labelled texts "
                "that are not in it, or leave hold_out out."
            )
        if self.hold_out is not None:
            _check_apart(self.hold_out, context)
        num_classes = number_of_classes(context, self.hold_out)
        if self.informed is not None:
            return FactorySource(context, num_classes, self.informed)
        return HeadSource(context, num_classes, self.embeddings, self.C, self.hold_out)

    def _check_sources(self) -> None:
        known = self.informed
        if known is None and self.embeddings is None and self.variant != "committee":
            raise ValueError(
                "informed and embeddings are None: pass embeddings, for logistic regression on "
                "them, or a better-informed model."
            )
        if self.variant == "committee" and known is not None and not _is_factory(known):
            raise ValueError(
                f"variant is 'committee', and informed is {_shown(known)}: pass a factory that "
                "makes the members, or None for logistic regression."
            )
        if self.hold_out is not None and (known is not None or self.embeddings is None):
            raise ValueError(
                "hold_out is for logistic regression on embeddings: leave informed out and pass "
                "embeddings, or pass as informed a classifier that was trained on it."
            )
        given = isinstance(known, np.ndarray) and self.embeddings is not None
        if given and len(known) != len(self.embeddings or ()):
            raise ValueError(
                f"informed has {len(known)} rows, embeddings {len(self.embeddings or ())}: pass "
                "one of each for every text of the root dataset."
            )

    def __str__(self) -> str:
        return (
            f"ExpectedReducibleLoss(informed={_shown(self.informed)}, "
            f"embeddings={_shown(self.embeddings)}, variant={self.variant!r}, "
            f"num_members={self.num_members}, hold_out={_shown(self.hold_out)}, "
            f"diversity={self.diversity}, smallest={self.smallest}, C={self.C}, seed={self.seed})"
        )


def _check_apart(hold_out: Any, context: QueryContext) -> None:  # noqa: ANN401
    """Refuse a hold-out set with texts that are rated: a model that was taught one knows it.

    Texts are compared with texts and vectors with vectors; vectors of the pool's texts are not
    recognised.
    """
    held = set(_contents(hold_out.x, np.arange(len(hold_out))))
    shared = [content in held for content in _contents(context.dataset.x, context.unlabeled)]
    if any(shared):
        position = int(context.unlabeled[shared.index(True)])
        raise ValueError(
            f"Text {position} of the pool is in hold_out, too ({sum(shared)} such texts), and so "
            "its label would be known before anyone gave it: take them out of either."
        )


def _contents(x: Any, positions: Indices) -> list[Any]:  # noqa: ANN401
    """Return what tells items apart: texts, or the bytes of vectors."""
    if issparse(x):
        x = x.tocsr()
        return [x[position].toarray().tobytes() for position in positions]
    if isinstance(x, np.ndarray) and x.ndim == 2:
        return [row.tobytes() for row in np.ascontiguousarray(x[positions], dtype=np.float32)]
    return [x[position] for position in positions]


class EPIG(PoolScoringStrategy):
    """Pick the texts whose label tells most of the labels of target texts.

    BALD, and a committee's disagreement, ask for what tells most of the model, and so for odd texts
    that no one will ever ask about. EPIG asks how much a label tells of predictions for a sample of
    targets: the mutual information of the two labels under a committee, a sample of the posterior.

    Parameters
    ----------
    embeddings : PoolEmbeddings, array_like of shape (n, d), or None, default=None
        One vector for each text of the root dataset, in its order: what the committee, logistic
        regressions, learns from. None takes the present classifier's ``embed``: a forward pass
        over what is labelled, unlabelled and targeted.
    targets : array_like of int, or None, default=None
        Texts that predictions are wanted for, labelled or not: rows of the embeddings, without them
        positions in the dataset at the root of all views. None draws from the unlabelled texts that
        are offered; under an ``AnchorAL``, or any other wrapper, those are not the pool, so pass
        some.
    factory : object, default=None
        Any small-text classifier factory, for a committee of its classifiers, instead of
        embeddings: ``num_members`` fits, and passes, in every query.
    num_targets : int, default=200
        Targets to draw where none are given, anew in every query. The score is a mean over them.
    num_members : int, default=10
        Of the committee. With few, chance agreement counts as information.
    C : float, default=10.0
        Inverse penalty of logistic regression, on vectors scaled to a mean squared length of one.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks. Draws labels for each member, targets, and between equal
        scores.

    Raises
    ------
    TypeError
        If ``factory`` makes no classifiers; in a query: if there are neither embeddings nor a
        classifier with ``embed``.
    ValueError
        If an argument is out of range; in a query: if the embeddings belong to another dataset, or
        a target is outside of it.

    Notes
    -----
    Each member is taught a bootstrap sample of the labels, drawn within each class (in multi-label
    tasks, over all). A classifier's passes with dropout are no committee here: each text gets
    dropout masks of its own, so that pass k is another model for every text, and the labels of two
    texts tell nothing of each other.

    Beside the committee, a query costs ``m * num_targets * num_classes ** 2`` logarithms: for
    10,000 texts, 200 targets and two classes, eight million; for twenty classes, 800 million. Joint
    probabilities are held in blocks of some 100 MB.

    With fewer than two labelled texts there is no committee, and picks are random; this is logged.

    Differences from the authors' code: the posterior is a bootstrap of linear models (there,
    dropout with masks shared by all texts, or random forests); see also
    `expected_predictive_information_gain`.

    References
    ----------
    F. Bickford Smith et al., "Prediction-Oriented Bayesian Active Learning", AISTATS 2023.

    Examples
    --------
    >>> str(EPIG(np.eye(8), targets=[0, 3], seed=0))  # doctest: +ELLIPSIS
    'EPIG(embeddings=<8 x 8>, targets=<2>, factory=None, num_targets=200, num_members=10, ...'
    """

    def __init__(
        self,
        embeddings: PoolEmbeddings | ArrayLike | None = None,
        *,
        targets: ArrayLike | None = None,
        factory: Any = None,  # noqa: ANN401
        num_targets: int = 200,
        num_members: int = 10,
        C: float = 10.0,
        seed: Seed = None,
    ) -> None:
        super().__init__(embeddings, seed)
        check_at_least_one(num_targets=num_targets)
        _check_members(num_members)
        _check_inverse_penalty(C)
        if factory is not None and not _is_factory(factory):
            raise TypeError(f"factory is {_shown(factory)}: pass a small-text classifier factory.")
        if factory is not None and self.embeddings is not None:
            raise ValueError(
                "embeddings are for logistic regressions, and a factory is given: pass one of them."
            )
        self.targets = None if targets is None else _checked_targets(targets)
        self.factory = factory
        self.num_targets, self.num_members = int(num_targets), int(num_members)
        self.C = float(C)

    def rate(self, context: QueryContext) -> Ratings:
        """Rate texts by what their label tells of the targets' labels.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        Ratings
            In nats; random numbers where there is no committee.
        """
        if self.embeddings is not None:
            root_rows(context.dataset, self.embeddings)  # those of another dataset are an error
        generator = self.generator(context)
        ties = generator.random(len(context.unlabeled))
        if len(context.labeled) < 2:
            _log_random(self, context)
            return Ratings(ties)
        source = self._source(context)
        labels = dense_labels(context.y, source.num_classes)
        parts = bootstrap_positions(labels, self.num_members, generator)
        models = _fitted(source, parts, generator)
        probabilities = source.predict(models, context.unlabeled)
        if self.targets is not None:
            of_targets = source.predict_at_root(models, self.targets)
        else:
            number = min(self.num_targets, len(context.unlabeled))
            drawn = generator.choice(len(context.unlabeled), number, replace=False)
            of_targets = probabilities[:, drawn]
        scores = expected_predictive_information_gain(
            probabilities, of_targets, issparse(context.y)
        )
        return Ratings(scores, ties)

    def _source(self, context: QueryContext) -> ModelSource:
        num_classes = number_of_classes(context)
        if self.factory is not None:
            return FactorySource(context, num_classes, self.factory)
        return HeadSource(context, num_classes, self.embeddings, self.C)

    def __str__(self) -> str:
        return (
            f"EPIG(embeddings={_shown(self.embeddings)}, targets={_shown(self.targets)}, "
            f"factory={_shown(self.factory)}, num_targets={self.num_targets}, "
            f"num_members={self.num_members}, C={self.C}, seed={self.seed})"
        )


@dataclass(frozen=True, kw_only=True)
class SpreadRatings(Ratings):
    """Ratings whose best are spread: drawn from a shortlist, far from each other.

    Attributes
    ----------
    vectors : callable
        Positions (s,) to vectors (s, d): what distances are measured in.
    factor : float
        The shortlist is so many times longer than the picks.
    seed : int
        Draws.
    """

    vectors: Callable[[Indices], NDArray[Any]]
    factor: float
    seed: int

    def best(self, n: int) -> NDArray[np.int64]:
        """Return the positions of picks, the best first, then in the order in which they are drawn.

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        numpy.ndarray of int64, shape (n,)
            Positions.
        """
        shortlist = super().best(max(n, int(self.factor * n)))
        generator = np.random.default_rng(self.seed)
        weights = self.scores[shortlist]
        return shortlist[spread_picks(self.vectors(shortlist), weights, n, generator)]


def spread_picks(
    vectors: ArrayLike, weights: ArrayLike, n: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw items that are far from each other, as k-means++ draws its first centres.

    Parameters
    ----------
    vectors : array_like of float, shape (m, d)
        Vectors.
    weights : array_like of float, shape (m,)
        An item is drawn with a probability of its weight times its squared distance to the nearest
        pick; below zero counts as zero.
    n : int
        At most m.
    generator : numpy.random.Generator
        Draws.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Distinct positions: the first item, then what is drawn, then, where no weight or distance is
        left, the others in order.

    References
    ----------
    D. Arthur and S. Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007.

    Examples
    --------
    >>> vectors = [[0.0], [0.0], [5.0]]
    >>> spread_picks(vectors, [3.0, 2.0, 1.0], 2, np.random.default_rng(0)).tolist()
    [0, 2]
    """
    rows = np.asarray(vectors, dtype=np.float64)
    worth = np.maximum(np.asarray(weights, dtype=np.float64), 0.0)
    picks = [0]
    nearest = np.full(len(rows), np.inf)
    while len(picks) < n:
        nearest = np.minimum(nearest, ((rows - rows[picks[-1]]) ** 2).sum(axis=1))
        nearest[picks[-1]] = 0.0
        chances = worth * nearest
        if not chances.sum() > 0:
            rest = np.setdiff1d(np.arange(len(rows)), picks)
            return np.append(picks, rest[: n - len(picks)]).astype(np.int64)
        picks.append(int(generator.choice(len(rows), p=chances / chances.sum())))
    return np.array(picks[:n], dtype=np.int64)


def _fitted(
    source: ModelSource, parts: list[Indices], generator: np.random.Generator
) -> list[Model]:
    return [source.fit(part, int(generator.integers(_SEEDS))) for part in parts]


def _log_random(strategy: PoolScoringStrategy, context: QueryContext) -> None:
    _logger.warning(
        "%s picks at random: a committee needs two labelled texts, and there are %s.",
        type(strategy).__name__,
        len(context.labeled),
    )


def _is_factory(informed: Any) -> bool:  # noqa: ANN401
    return callable(getattr(informed, "new", None))


def _checked_informed(informed: Any) -> Any:  # noqa: ANN401
    if informed is None or _is_factory(informed) or hasattr(informed, "predict_proba"):
        return informed
    if not (isinstance(informed, list | tuple) or hasattr(informed, "__array__")):
        raise TypeError(
            f"informed is {informed!r}: pass a classifier factory, a fitted classifier, an array "
            "of probabilities, or None."
        )
    known = np.array(informed, dtype=np.float64)
    if known.ndim != 2 or not ((known >= 0) & (known <= 1)).all():
        raise ValueError(
            f"informed has the shape {known.shape} and values that are no probabilities, or not "
            "two dimensions: pass one row a text of the root dataset, one column a class."
        )
    return known


def _checked_targets(targets: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(targets)
    if given.ndim != 1 or len(given) == 0 or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(
            f"targets has the shape {given.shape} and the type {given.dtype}: pass at least one "
            "position of the root dataset, as integers."
        )
    if given.min() < 0:
        raise ValueError(f"targets hold {given.min()}: pass positions of at least 0.")
    return given.astype(np.int64)


def _check_options(
    variant: str,
    diversity: float | None,
    smallest: float,
    C: float,
) -> None:
    if variant not in _VARIANTS:
        raise ValueError(f"variant is {variant!r}: pass one of {list(_VARIANTS)}.")
    if diversity is not None and not 1 <= diversity < np.inf:
        raise ValueError(f"diversity is {diversity}: pass a factor of at least 1, or None.")
    if not 0 < smallest < 0.5:
        raise ValueError(f"smallest is {smallest}: pass a probability above 0 and below 0.5.")
    _check_inverse_penalty(C)


def _check_members(num_members: int) -> None:
    check_at_least_one(num_members=num_members)
    if num_members < 2:
        raise ValueError("num_members is 1: pass at least 2, since one agrees with itself.")


def _check_inverse_penalty(value: float) -> None:
    if not 0 < value < np.inf:
        raise ValueError(f"C is {value}: pass a number above 0.")


def _shown(value: Any) -> str:  # noqa: ANN401
    """Return what ``str`` shows of something large: its shape, else its class."""
    if value is None:
        return "None"
    shape = getattr(value, "shape", None)
    if shape is None:
        return f"<{type(value).__name__}>"
    return f"<{' x '.join(str(size) for size in shape)}>"
