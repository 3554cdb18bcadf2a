"""Query strategies that ask where a text lies among the labelled ones.

Made for embeddings that are aligned with the classes (`EmbeddingAlignmentClassification`), where
neighbours share a label and a class is one direction; any vectors will do. The pool is read in
blocks, so that a million texts need no more memory than the labelled ones and their scores.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from small_text_ext._random import Seed
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.neighbors import (
    Neighbors,
    Votes,
    checked_matrix,
    knn_votes,
    nearest_neighbors,
    unit_or_zero_rows,
)
from small_text_ext.pool.prototypes import PrototypeModel, class_prototypes, held_classes
from small_text_ext.protocols import class_probabilities, vectors_and_probabilities
from small_text_ext.query_strategies.alignment_scores import (
    PrototypeMeasure,
    contrastive_scores,
    prototype_scores,
)
from small_text_ext.query_strategies.committees import dense_labels, number_of_classes
from small_text_ext.query_strategies.context import Indices, QueryContext, check_at_least_one
from small_text_ext.query_strategies.dynamics_models import Representations
from small_text_ext.query_strategies.information_gain import committee_disagreement
from small_text_ext.query_strategies.scoring import PoolScoringStrategy, Ratings
from small_text_ext.query_strategies.uncertainty import UncertaintyMeasure, uncertainty_weights

EmbeddingsOrClassifier = PoolEmbeddings | ArrayLike | Literal["classifier"] | None
Opponent = Literal["prototypes", "classifier"]

# Texts that are read, embedded and scored at a time: 24 MB of vectors with 384 dimensions. Of many
# classes fewer, for the sake of their probabilities.
_BLOCK = 16_384
_BLOCK_PROBABILITIES = 2_000_000
_SMALLEST_BLOCK = 256
# What the cosines of a block of texts with what is labelled take; a search needs five times that.
_COSINE_BYTES = 2**24


@dataclass(frozen=True, eq=False)
class Texts:
    """Some texts as they are seen by strategies.

    Attributes
    ----------
    vectors : numpy.ndarray of float32, shape (m, d)
        Unit rows, or rows of zeros.
    probabilities : numpy.ndarray of float64, shape (m, num_classes), or None
        The classifier's, where the strategy asks for them.
    """

    vectors: NDArray[np.float32]
    probabilities: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class LabeledTexts:
    """What is labelled.

    Attributes
    ----------
    texts : Texts
        At least one.
    labels : numpy.ndarray, shape (n,) of int64, or (n, num_classes) of bool
        Their labels.
    num_classes : int
        Classes; not all need to occur.
    """

    texts: Texts
    labels: NDArray[Any]
    num_classes: int

    @property
    def multi_label(self) -> bool:
        """Whether labels are a matrix."""
        return self.labels.ndim == 2

    def neighbors_of(self, texts: Texts, num_neighbors: int) -> Neighbors:
        """Find the nearest labelled texts.

        Parameters
        ----------
        texts : Texts
            Others.
        num_neighbors : int
            Neighbours of each; all, where fewer are labelled.

        Returns
        -------
        Neighbors
            Rows of the labelled texts.
        """
        return nearest_neighbors(
            texts.vectors, self.texts.vectors, num_neighbors, block_bytes=_COSINE_BYTES
        )


Rater = Callable[[Texts], Ratings]


class LabeledVectorsStrategy(PoolScoringStrategy):
    """Rate unlabelled texts by the vectors of the labelled ones, block by block.

    Subclasses say how, in :meth:`rater`.

    Parameters
    ----------
    embeddings : PoolEmbeddings, array_like of shape (n, d), "classifier" or None
        Frozen vectors, one for each text of the root dataset; or the classifier's own.
    seed : int, numpy.random.Generator or None
        As for the template.
    """

    def __init__(self, embeddings: EmbeddingsOrClassifier, seed: Seed) -> None:
        if isinstance(embeddings, str):
            if embeddings != "classifier":
                raise ValueError(
                    f"embeddings is {embeddings!r}: pass PoolEmbeddings, an array, or 'classifier'."
                )
            embeddings = None
        super().__init__(embeddings, seed)

    @property
    def needs_probabilities(self) -> bool:
        """Whether the classifier is asked for probabilities."""
        return False

    @abstractmethod
    def rater(self, labeled: LabeledTexts) -> Rater:
        """Learn from what is labelled.

        Parameters
        ----------
        labeled : LabeledTexts
            At least one.

        Returns
        -------
        callable
            Takes `Texts`, returns `Ratings` of them.
        """

    def rate(self, context: QueryContext) -> Ratings:
        """Rate the unlabelled texts.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        Ratings
            In the order of ``context.unlabeled``.

        Raises
        ------
        TypeError
            If a classifier is needed, and there is none or it has no ``embed``.
        ValueError
            If nothing is labelled, or the embeddings belong to another dataset.
        """
        self._check(context)
        num_classes = number_of_classes(context)
        source = _Source(context, self.embeddings, num_classes, self.needs_probabilities)
        labels = dense_labels(context.y, num_classes)
        rater = self.rater(LabeledTexts(source.texts(context.labeled), labels, num_classes))
        rated = [rater(source.texts(block)) for block in _blocks(context.unlabeled, num_classes)]
        ties = [part.ties for part in rated if part.ties is not None]
        scores = np.concatenate([part.scores for part in rated])
        return Ratings(scores, np.concatenate(ties) if ties else None)

    def _check(self, context: QueryContext) -> None:
        name = type(self).__name__
        if context.clf is None and (self.embeddings is None or self.needs_probabilities):
            raise TypeError(
                f"{name} asks the classifier, and there is none yet: initialise the learner with "
                "labels first."
            )
        if len(context.labeled) == 0:
            raise ValueError(
                f"{name} compares texts with labelled ones, and nothing is labelled: pick the "
                "first texts with TypiClust or RandomSampling."
            )

    def _shown(self) -> str:
        if self.embeddings is None:
            return "'classifier'"
        return f"<{self.embeddings.shape[0]} x {self.embeddings.shape[1]}>"


class _Source:
    """Vectors, and probabilities where asked for, of any texts of the queried dataset."""

    def __init__(
        self,
        context: QueryContext,
        embeddings: PoolEmbeddings | None,
        num_classes: int,
        with_probabilities: bool,
    ) -> None:
        self._context, self._num_classes = context, num_classes
        self._frozen, self._with_probabilities = embeddings is not None, with_probabilities
        self._representations = Representations(context, embeddings)

    def texts(self, items: Indices) -> Texts:
        vectors, probabilities = self._asked(items)
        return Texts(unit_or_zero_rows(checked_matrix(vectors, "embeddings")), probabilities)

    def _asked(self, items: Indices) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        clf, dataset = self._context.clf, self._context.dataset
        if not self._with_probabilities:
            return self._representations.of(items), None
        if self._frozen:
            found = class_probabilities(clf, dataset[items], self._num_classes)
            return self._representations.of(items), found
        return vectors_and_probabilities(clf, dataset[items], self._num_classes)


class _VotingStrategy(LabeledVectorsStrategy):
    """Rate texts by how unsure the votes of their labelled neighbours are."""

    _measure: UncertaintyMeasure

    def __init__(
        self,
        embeddings: EmbeddingsOrClassifier = None,
        *,
        num_neighbors: int = 5,
        votes: Votes = "soft",
        temperature: float = 0.1,
        seed: Seed = None,
    ) -> None:
        super().__init__(embeddings, seed)
        self.num_neighbors, self.votes = num_neighbors, votes
        self.temperature = temperature
        _check_voting(num_neighbors, votes, temperature)

    def rater(self, labeled: LabeledTexts) -> Rater:
        """Learn from what is labelled; see `LabeledVectorsStrategy.rater`."""

        def rate(texts: Texts) -> Ratings:
            found = labeled.neighbors_of(texts, self.num_neighbors)
            proba = knn_votes(
                found,
                labeled.labels,
                labeled.num_classes,
                votes=self.votes,
                temperature=self.temperature,
            )
            scores = uncertainty_weights(proba, self._measure, labeled.multi_label)
            return Ratings(scores, ties=-found.similarities[:, 0].astype(np.float64))

        return rate

    def __str__(self) -> str:
        return (
            f"{type(self).__name__}(embeddings={self._shown()}, "
            f"num_neighbors={self.num_neighbors}, votes={self.votes!r}, "
            f"temperature={self.temperature}, seed={self.seed})"
        )


class KNNMargin(_VotingStrategy):
    """Pick texts whose labelled neighbours vote nearly as much for a second class as for the first.

    Nothing is trained: labels count as soon as they are given. With frozen vectors the classifier
    is not asked at all. With ``embeddings="classifier"`` neighbours are those of the present
    model; under `AnchorAL` with frozen vectors, that is geometry by frozen vectors and uncertainty
    by aligned ones.

    Parameters
    ----------
    embeddings : PoolEmbeddings, array_like of shape (n, d), "classifier" or None, default=None
        One vector for each text of the root dataset, in its order. "classifier", or None, takes
        the classifier's ``embed``: a forward pass over what is labelled and unlabelled, at every
        query.
    num_neighbors : int, default=5
        Labelled texts that vote; all, where fewer are labelled. With one, a text is unsure for its
        distance to it alone.
    votes : {"soft", "hard"}, default="soft"
        "soft" weighs a vote by ``exp((cosine - 1) / temperature)``, and makes what is far from all
        labels unsure; "hard" counts them.
    temperature : float, default=0.1
        Of soft votes. A small one leaves the nearest text alone to vote.
    seed : int, numpy.random.Generator or None, default=None
        Nothing is drawn; there for the sake of a common signature.

    Raises
    ------
    TypeError
        In a query: if the classifier is needed, and there is none or it has no ``embed``.
    ValueError
        If an argument is out of range; in a query: if nothing is labelled, or the embeddings belong
        to another dataset.

    Notes
    -----
    Of equally unsure texts that with the farthest nearest neighbour comes first. In a multi-label
    task the margins of the labels are averaged.

    Examples
    --------
    >>> str(KNNMargin(np.eye(8), seed=0))
    "KNNMargin(embeddings=<8 x 8>, num_neighbors=5, votes='soft', temperature=0.1, seed=0)"
    """

    _measure = "margin"


class KNNEntropy(_VotingStrategy):
    """Pick texts whose labelled neighbours vote for many classes.

    As `KNNMargin`, with the entropy of all votes in place of the margin of the two largest: of many
    classes, it prefers texts between several of them.

    Parameters
    ----------
    embeddings : PoolEmbeddings, array_like of shape (n, d), "classifier" or None, default=None
        As for `KNNMargin`.
    num_neighbors : int, default=5
        Labelled texts that vote.
    votes : {"soft", "hard"}, default="soft"
        How votes are weighed.
    temperature : float, default=0.1
        Of soft votes.
    seed : int, numpy.random.Generator or None, default=None
        Nothing is drawn; there for the sake of a common signature.

    Raises
    ------
    TypeError, ValueError
        As for `KNNMargin`.

    Notes
    -----
    In a multi-label task the entropies of the labels are averaged.

    Examples
    --------
    >>> str(KNNEntropy("classifier", votes="hard", seed=0))  # doctest: +ELLIPSIS
    "KNNEntropy(embeddings='classifier', num_neighbors=5, votes='hard', ..."
    """

    _measure = "entropy"


class PrototypeDisagreement(LabeledVectorsStrategy):
    """Pick texts of which the neighbours say something else than the class prototypes.

    A class that is one direction is seen alike by both. Where they differ, a text lies among odd
    members of another class: a class of several parts, a boundary that is no straight line, or
    labels that are wrong. Against ``"classifier"``, the votes are compared with what the
    classifier's own head says.

    Parameters
    ----------
    embeddings : PoolEmbeddings, array_like of shape (n, d), "classifier" or None, default=None
        As for `KNNMargin`; of neighbours and prototypes.
    against : {"prototypes", "classifier"}, default="prototypes"
        Whom the votes are compared with: a softmax over the cosines with the mean of each class, or
        the classifier's probabilities. If its head is a vote of neighbours in the same vectors,
        they hardly differ.
    num_neighbors : int, default=5
        Labelled texts that vote.
    temperature : float, default=0.1
        Of the (soft) votes.
    scale : float, default=16.0
        Cosines with prototypes are multiplied by it; a small one makes prototypes unsure of
        everything.
    seed : int, numpy.random.Generator or None, default=None
        Nothing is drawn; there for the sake of a common signature.

    Raises
    ------
    TypeError, ValueError
        As for `KNNMargin`, or if there is no classifier to compare with.

    Notes
    -----
    The score is the Jensen-Shannon divergence in nats; in a multi-label task the sum of those of
    the labels. That is `committee_disagreement` of a committee of two.

    Examples
    --------
    >>> str(PrototypeDisagreement(np.eye(8), seed=0))  # doctest: +ELLIPSIS
    "PrototypeDisagreement(embeddings=<8 x 8>, against='prototypes', num_neighbors=5, ..."
    """

    def __init__(
        self,
        embeddings: EmbeddingsOrClassifier = None,
        *,
        against: Opponent = "prototypes",
        num_neighbors: int = 5,
        temperature: float = 0.1,
        scale: float = 16.0,
        seed: Seed = None,
    ) -> None:
        super().__init__(embeddings, seed)
        if against not in get_args(Opponent):
            raise ValueError(f"against is {against!r}: pass one of {list(get_args(Opponent))}.")
        _check_voting(num_neighbors, "soft", temperature)
        if not 0 < scale < np.inf:
            raise ValueError(f"scale is {scale}: pass a number above 0.")
        self.against: Opponent = against
        self.num_neighbors, self.temperature = num_neighbors, temperature
        self.scale = scale

    @property
    def needs_probabilities(self) -> bool:
        """Whether votes are compared with the classifier's probabilities."""
        return self.against == "classifier"

    def rater(self, labeled: LabeledTexts) -> Rater:
        """Learn from what is labelled; see `LabeledVectorsStrategy.rater`."""
        labels, num_classes = labeled.labels, labeled.num_classes
        model = PrototypeModel.of(labeled.texts.vectors, labels, num_classes, scale=self.scale)

        def rate(texts: Texts) -> Ratings:
            found = labeled.neighbors_of(texts, self.num_neighbors)
            voted = knn_votes(found, labels, num_classes, temperature=self.temperature)
            other = texts.probabilities
            if other is None:
                other = model.proba(texts.vectors)
            return Ratings(committee_disagreement([voted, other], labeled.multi_label))

        return rate

    def __str__(self) -> str:
        return (
            f"PrototypeDisagreement(embeddings={self._shown()}, against={self.against!r}, "
            f"num_neighbors={self.num_neighbors}, temperature={self.temperature}, "
            f"scale={self.scale}, seed={self.seed})"
        )


class PrototypeGap(LabeledVectorsStrategy):
    """Pick texts that are far from the prototypes of all classes, or halfway between two.

    Aligned embeddings pull a class into one direction, its prototype. What is far from all of them
    is of a kind that has no label yet: a new class, an odd part of a known one, or noise.

    Parameters
    ----------
    embeddings : PoolEmbeddings, array_like of shape (n, d), "classifier" or None, default=None
        As for `KNNMargin`. Alignment draws texts of unseen classes to the classes that it was
        taught: to discover classes, frozen vectors are the safer choice.
    measure : {"novelty", "margin"}, default="novelty"
        "novelty": the gap to the nearest prototype, one minus the cosine. "margin": the gap between
        the nearest and the second nearest, the smallest first; single-label tasks only.
    seed : int, numpy.random.Generator or None, default=None
        Nothing is drawn; there for the sake of a common signature.

    Raises
    ------
    TypeError, ValueError
        As for `KNNMargin`, or if the margin is asked for in a multi-label task.

    Notes
    -----
    In a multi-label task, texts without a label have a prototype too: what is like them is not
    new. Where margins are equal (of one class, all are), the more novel text comes first.

    Examples
    --------
    >>> str(PrototypeGap(np.eye(8), seed=0))
    "PrototypeGap(embeddings=<8 x 8>, measure='novelty', seed=0)"
    """

    def __init__(
        self,
        embeddings: EmbeddingsOrClassifier = None,
        *,
        measure: PrototypeMeasure = "novelty",
        seed: Seed = None,
    ) -> None:
        super().__init__(embeddings, seed)
        if measure not in get_args(PrototypeMeasure):
            raise ValueError(
                f"measure is {measure!r}: pass one of {list(get_args(PrototypeMeasure))}."
            )
        self.measure: PrototypeMeasure = measure

    def rater(self, labeled: LabeledTexts) -> Rater:
        """Learn from what is labelled; see `LabeledVectorsStrategy.rater`."""
        if labeled.multi_label and self.measure == "margin":
            raise ValueError(
                "measure is 'margin' in a multi-label task, where a text may well be near to two "
                "prototypes: pass measure='novelty'."
            )
        held = held_classes(labeled.labels, labeled.num_classes)
        held = np.column_stack([held, ~held.any(axis=1)])
        prototypes = class_prototypes(labeled.texts.vectors, held)

        def rate(texts: Texts) -> Ratings:
            novelty = prototype_scores(texts.vectors, prototypes)
            if self.measure == "novelty":
                return Ratings(novelty)
            return Ratings(prototype_scores(texts.vectors, prototypes, "margin"), ties=novelty)

        return rate

    def __str__(self) -> str:
        return (
            f"PrototypeGap(embeddings={self._shown()}, measure={self.measure!r}, seed={self.seed})"
        )


class LabeledContrastiveActiveLearning(LabeledVectorsStrategy):
    """Pick texts that the classifier predicts otherwise than the labelled texts next to them.

    Contrastive active learning as published: neighbours are labelled texts.

    Parameters
    ----------
    embeddings : PoolEmbeddings, array_like of shape (n, d), "classifier" or None, default=None
        The vectors in which neighbours are searched, as for `KNNMargin`. "classifier", or None, is
        the published method; with frozen vectors, texts are alike to another model than the one
        that is asked.
    num_neighbors : int, default=10
        Labelled neighbours that a text is compared with, as published; all, where fewer are
        labelled.
    seed : int, numpy.random.Generator or None, default=None
        Nothing is drawn; there for the sake of a common signature.

    Raises
    ------
    TypeError, ValueError
        As for `KNNMargin`, or if there is no classifier.

    Notes
    -----
    small-text's ``ContrastiveActiveLearning`` searches neighbours among labelled and unlabelled
    texts, the text itself included, and takes no vectors but the classifier's; this one is the
    paper's. See `contrastive_scores` for the score; in a multi-label task it is the sum over
    labels. Differences from the authors' code: neighbours are by cosine, not by Euclidean distance,
    and may be those of frozen vectors.

    References
    ----------
    K. Margatina et al., "Active Learning by Acquiring Contrastive Examples", EMNLP 2021.

    Examples
    --------
    >>> str(LabeledContrastiveActiveLearning(seed=0))
    "LabeledContrastiveActiveLearning(embeddings='classifier', num_neighbors=10, seed=0)"
    """

    def __init__(
        self,
        embeddings: EmbeddingsOrClassifier = None,
        *,
        num_neighbors: int = 10,
        seed: Seed = None,
    ) -> None:
        super().__init__(embeddings, seed)
        check_at_least_one(num_neighbors=num_neighbors)
        self.num_neighbors = num_neighbors

    @property
    def needs_probabilities(self) -> bool:
        """Whether the classifier is asked for probabilities: always."""
        return True

    def rater(self, labeled: LabeledTexts) -> Rater:
        """Learn from what is labelled; see `LabeledVectorsStrategy.rater`."""
        known = labeled.texts.probabilities
        assert known is not None

        def rate(texts: Texts) -> Ratings:
            assert texts.probabilities is not None
            ids = labeled.neighbors_of(texts, self.num_neighbors).ids
            return Ratings(contrastive_scores(ids, known, texts.probabilities, labeled.multi_label))

        return rate

    def __str__(self) -> str:
        return (
            f"LabeledContrastiveActiveLearning(embeddings={self._shown()}, "
            f"num_neighbors={self.num_neighbors}, seed={self.seed})"
        )


def _check_voting(num_neighbors: int, votes: str, temperature: float) -> None:
    check_at_least_one(num_neighbors=num_neighbors)
    if votes not in get_args(Votes):
        raise ValueError(f"votes is {votes!r}: pass one of {list(get_args(Votes))}.")
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature is {temperature}: pass a number above 0.")


def _blocks(items: Indices, num_classes: int) -> Iterator[Indices]:
    size = min(_BLOCK, max(_SMALLEST_BLOCK, _BLOCK_PROBABILITIES // num_classes))
    return (items[start : start + size] for start in range(0, len(items), size))
