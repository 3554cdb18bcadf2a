"""Strategies that pick texts far from each other or typical of many, joined with uncertainty."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.pool.distances import DistancePrecision
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.roots import root_rows
from small_text_ext.protocols import class_probabilities
from small_text_ext.query_strategies.committees import number_of_classes
from small_text_ext.query_strategies.context import (
    ContextQueryStrategy,
    Indices,
    QueryContext,
    check_at_least_one,
    seed_to_show,
)
from small_text_ext.query_strategies.facility_location import facility_location
from small_text_ext.query_strategies.joint_scores import (
    ClassBalance,
    Combine,
    Weight,
    as_pool,
    similarity_weight,
)
from small_text_ext.query_strategies.k_center import check_options, k_center_greedy
from small_text_ext.query_strategies.neighbors import positions_of
from small_text_ext.query_strategies.typiclust import typiclust
from small_text_ext.query_strategies.uncertainty import UncertaintyMeasure, uncertainty_weights

__all__ = [
    "ClassBalance",
    "FacilityLocation",
    "KCenterGreedy",
    "TypiClust",
    "Weight",
    "facility_location",
    "k_center_greedy",
    "similarity_weight",
    "typiclust",
]

# Of a text that the classifier is entirely sure of, in a product.
_SMALLEST_WEIGHT = 1e-6


class DiversityStrategy(ContextQueryStrategy):
    """Pick a set of texts by their frozen vectors, with or without the classifier's uncertainty.

    Subclasses say how, in :meth:`select`.

    Parameters
    ----------
    embeddings : PoolEmbeddings or array_like, shape (n, d)
        One vector for each text of the root dataset, in its order.
    uncertainty : {"margin", "entropy", "least_confidence"} or None
        What picks are weighted by; None leaves the classifier out.
    uncertainty_strength : float
        Exponent of the weight.
    device : str or None
        Where distances are computed.
    seed : int, numpy.random.Generator or None
        The same seed gives the same picks.
    """

    def __init__(
        self,
        embeddings: PoolEmbeddings | ArrayLike,
        uncertainty: UncertaintyMeasure | None,
        uncertainty_strength: float,
        device: str | None,
        seed: Seed,
    ) -> None:
        if uncertainty is not None:
            uncertainty_weights(np.empty((0, 2)), uncertainty)  # an unknown name is an error
        check_finite(uncertainty_strength=uncertainty_strength)
        self.embeddings = as_pool(embeddings)
        self.uncertainty = uncertainty
        self.uncertainty_strength = float(uncertainty_strength)
        self.device = device
        self._seed = resolve_seed(seed)
        self.seed = seed_to_show(seed, self._seed)

    @abstractmethod
    def select(self, context: QueryContext, rows: Indices) -> Indices:
        """Select texts.

        Parameters
        ----------
        context : QueryContext
            The query.
        rows : numpy.ndarray of int64
            The row of the embeddings of each position of the queried dataset.

        Returns
        -------
        numpy.ndarray of int64, shape (context.n,)
            Rows of the embeddings, in the order of the picks.
        """

    def pick(self, context: QueryContext) -> Indices:
        """Pick what is selected, in that order.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        numpy.ndarray of int64, shape (context.n,)
            Distinct members of ``context.unlabeled``.

        Raises
        ------
        TypeError
            If a classifier is needed, and there is none.
        ValueError
            If the embeddings belong to another dataset, or a text is labelled and unlabelled.
        """
        rows = root_rows(context.dataset, self.embeddings)
        _check_indices(context, len(rows))
        return positions_of(self.select(context, rows), context.unlabeled, rows)

    def generator(self, context: QueryContext) -> np.random.Generator:
        """Return the generator of this query, derived from the seed and the number of labels.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        numpy.random.Generator
            A new generator.
        """
        return derived_generator(self._seed, len(context.labeled))

    @property
    def asks_for_uncertainty(self) -> bool:
        """Whether uncertainty has a say."""
        return self.uncertainty is not None and self.uncertainty_strength != 0

    def weights(
        self,
        context: QueryContext,
        rows: Indices,
        of_labeled: bool = False,
        probabilities: NDArray[np.float64] | None = None,
    ) -> list[Weight]:
        """Return the classifier's uncertainty as a weight of rows.

        Parameters
        ----------
        context : QueryContext
            The query.
        rows : numpy.ndarray of int64
            The row of the embeddings of each position of the queried dataset.
        of_labeled : bool, default=False
            Whether labelled texts have a weight too; else it is 1.
        probabilities : numpy.ndarray of float64, shape (m, num_classes), or None, default=None
            What the classifier said of the unlabelled texts, and then of the labelled ones if they
            have a weight. None asks it.

        Returns
        -------
        list of Weight
            None, or one with a value for each row of the embeddings.

        Raises
        ------
        TypeError
            If there is no classifier.
        """
        if self.uncertainty is None or not self.asks_for_uncertainty:
            return []
        asked = np.concatenate([context.unlabeled, context.labeled[: None if of_labeled else 0]])
        if probabilities is None:
            probabilities = self.probabilities(context, asked)
        values = np.ones(len(self.embeddings))
        values[rows[asked]] = uncertainty_weights(
            probabilities, self.uncertainty, issparse(context.y)
        )
        return [Weight(values, self.uncertainty_strength)]

    def probabilities(self, context: QueryContext, items: Indices) -> NDArray[np.float64]:
        """Ask the classifier.

        Parameters
        ----------
        context : QueryContext
            The query.
        items : numpy.ndarray of int64, shape (m,)
            Indices into the queried dataset.

        Returns
        -------
        numpy.ndarray of float64, shape (m, num_classes)
            Probabilities.

        Raises
        ------
        TypeError
            If there is no classifier.
        """
        if context.clf is None:
            raise TypeError(
                f"{type(self).__name__} asks the classifier, and there is none yet: initialise "
                "the learner with labels first, or leave uncertainty and balance out."
            )
        return class_probabilities(context.clf, context.dataset[items], number_of_classes(context))


class KCenterGreedy(DiversityStrategy):
    """Pick texts far from everything labelled and from each other: k-center greedy, or core-set.

    Exact, also where tens of thousands are picked at once. With ``uncertainty``, each pick is the
    best compromise between distance and uncertainty; two further terms balance predicted classes,
    and prefer what is like given examples. Farthest-first goes for outliers: where these are
    noise, `FacilityLocation` and `TypiClust` do not.

    Parameters
    ----------
    embeddings : PoolEmbeddings or array_like, shape (n, d)
        One vector for each text of the root dataset, in its order.
    uncertainty : {"margin", "entropy", "least_confidence"} or None, default=None
        What distances are joined with; None leaves the classifier out.
    combine : {"product", "objective"}, default="product"
        How terms are joined; see `k_center_greedy`. "objective" is the rule of Lightly's engine.
    strength : float, default=1.0
        Exponent of diversity. 0 picks by the other terms alone.
    uncertainty_strength : float, default=1.0
        Exponent of uncertainty; a negative one prefers what the classifier is sure of.
    minimum_uncertainty : float, default=0.0
        Texts below are picked only where no other is left.
    balance_strength : float, default=0.0
        Exponent of class balance: texts of a predicted class that few of the labelled texts and
        picks have are preferred. Single-label tasks only.
    examples : array_like of str, or of shape (d,) or (k, d), or None, default=None
        Texts, or vectors, of what is wanted.
    similarity_strength : float, default=1.0
        Exponent of the similarity to the examples.
    precision : {"float32", "float64"}, default="float32"
        Arithmetic of distances.
    device : str or None, default=None
        A torch device ("cuda") on which distances are computed; None computes with numpy.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks. Decides between equal scores, and for the first pick
        where nothing is labelled.

    References
    ----------
    O. Sener and S. Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set
    Approach", ICLR 2018.

    Examples
    --------
    >>> str(KCenterGreedy(np.eye(8), uncertainty="margin", seed=0))  # doctest: +ELLIPSIS
    "KCenterGreedy(uncertainty='margin', combine='product', strength=1.0, ..."
    """

    def __init__(
        self,
        embeddings: PoolEmbeddings | ArrayLike,
        *,
        uncertainty: UncertaintyMeasure | None = None,
        combine: Combine = "product",
        strength: float = 1.0,
        uncertainty_strength: float = 1.0,
        minimum_uncertainty: float = 0.0,
        balance_strength: float = 0.0,
        examples: ArrayLike | None = None,
        similarity_strength: float = 1.0,
        precision: DistancePrecision = "float32",
        device: str | None = None,
        seed: Seed = None,
    ) -> None:
        super().__init__(embeddings, uncertainty, uncertainty_strength, device, seed)
        check_options(combine, strength, None, precision)
        check_finite(balance_strength=balance_strength, similarity_strength=similarity_strength)
        if not 0 <= minimum_uncertainty <= 1 or (minimum_uncertainty and uncertainty is None):
            raise ValueError(
                f"minimum_uncertainty is {minimum_uncertainty} and uncertainty {uncertainty!r}: "
                "pass a number from 0 to 1, and a measure of uncertainty."
            )
        self.combine: Combine = combine
        self.strength, self.minimum_uncertainty = float(strength), float(minimum_uncertainty)
        self.balance_strength = float(balance_strength)
        self.examples = (
            None if examples is None else self.embeddings.vectors_of(examples, "examples")
        )
        self.similarity_strength = float(similarity_strength)
        self.precision: DistancePrecision = precision

    @property
    def asks_for_uncertainty(self) -> bool:
        """Whether uncertainty has a say; that it is required of texts is one."""
        return super().asks_for_uncertainty or self.minimum_uncertainty > 0

    def select(self, context: QueryContext, rows: Indices) -> Indices:
        """Select texts; see `DiversityStrategy.select`."""
        labeled, candidates = rows[context.labeled], rows[context.unlabeled]
        of_labeled = self.combine == "objective"
        balance, probabilities = self._balance(context, rows, of_labeled)
        weights = self.weights(context, rows, of_labeled, probabilities)
        unsure = candidates
        if weights and self.minimum_uncertainty > 0:
            unsure = candidates[
                np.asarray(weights[0].values)[candidates] >= self.minimum_uncertainty
            ]
        if self.examples is not None and self.similarity_strength != 0:
            weights.append(
                similarity_weight(self.embeddings, self.examples, self.similarity_strength)
            )
        generator, picks = self.generator(context), labeled[:0]
        for offered in (unsure, np.setdiff1d(candidates, unsure)):
            n = min(context.n - len(picks), len(offered))
            if n > 0:
                more = k_center_greedy(
                    self.embeddings,
                    n,
                    np.concatenate([labeled, picks]),
                    _raised_to_tiny(weights, self.combine),
                    candidates=offered,
                    combine=self.combine,
                    strength=self.strength,
                    balance=balance,
                    precision=self.precision,
                    device=self.device,
                    seed=generator,
                )
                picks = np.concatenate([picks, more])
        return picks

    def _balance(
        self, context: QueryContext, rows: Indices, of_labeled: bool
    ) -> tuple[ClassBalance | None, NDArray[np.float64] | None]:
        """Return the balance, and what the classifier was asked for it: it is asked once."""
        if self.balance_strength == 0:
            return None, None
        if issparse(context.y):
            raise ValueError(
                f"balance_strength is {self.balance_strength} in a multi-label task, where a text "
                "has no one class: leave it out."
            )
        others = context.labeled[: None if of_labeled and self.asks_for_uncertainty else 0]
        asked = np.concatenate([context.unlabeled, others])
        probabilities = self.probabilities(context, asked)
        classes = np.zeros(len(self.embeddings), dtype=np.int64)
        classes[rows[asked]] = probabilities.argmax(axis=1)
        classes[rows[context.labeled]] = context.y
        targets = np.ones(probabilities.shape[1])
        return ClassBalance(classes, targets, self.balance_strength), probabilities

    def __str__(self) -> str:
        examples = None if self.examples is None else f"<{len(self.examples)}>"
        return (
            f"KCenterGreedy(uncertainty={self.uncertainty!r}, combine={self.combine!r}, "
            f"strength={self.strength}, uncertainty_strength={self.uncertainty_strength}, "
            f"minimum_uncertainty={self.minimum_uncertainty}, "
            f"balance_strength={self.balance_strength}, examples={examples}, "
            f"similarity_strength={self.similarity_strength}, precision={self.precision!r}, "
            f"device={self.device!r}, seed={self.seed})"
        )


class FacilityLocation(DiversityStrategy):
    """Pick texts that the unlabelled ones are near to: one in the middle of each dense region.

    Parameters
    ----------
    embeddings : PoolEmbeddings or array_like, shape (n, d)
        One vector for each text of the root dataset, in its order.
    uncertainty : {"margin", "entropy", "least_confidence"} or None, default=None
        What the gain of a text is multiplied by; None leaves the classifier out.
    uncertainty_strength : float, default=1.0
        Exponent of uncertainty.
    num_neighbors : int, default=64
        A text represents those that have it among so many nearest.
    device : str or None, default=None
        A torch device ("cuda") on which neighbours are searched; None computes with numpy.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks. Decides between equal gains.

    Notes
    -----
    See `facility_location` for what is maximised, and what it costs.

    References
    ----------
    K. Wei, R. Iyer and J. Bilmes, "Submodularity in Data Subset Selection and Active Learning",
    ICML 2015.

    Examples
    --------
    >>> str(FacilityLocation(np.eye(8), num_neighbors=4, seed=0))  # doctest: +ELLIPSIS
    'FacilityLocation(uncertainty=None, uncertainty_strength=1.0, num_neighbors=4, ...'
    """

    def __init__(
        self,
        embeddings: PoolEmbeddings | ArrayLike,
        *,
        uncertainty: UncertaintyMeasure | None = None,
        uncertainty_strength: float = 1.0,
        num_neighbors: int = 64,
        device: str | None = None,
        seed: Seed = None,
    ) -> None:
        super().__init__(embeddings, uncertainty, uncertainty_strength, device, seed)
        check_at_least_one(num_neighbors=num_neighbors)
        self.num_neighbors = int(num_neighbors)

    def select(self, context: QueryContext, rows: Indices) -> Indices:
        """Select texts; see `DiversityStrategy.select`."""
        return facility_location(
            self.embeddings,
            context.n,
            rows[context.labeled],
            _raised_to_tiny(self.weights(context, rows), "product"),
            candidates=rows[context.unlabeled],
            num_neighbors=self.num_neighbors,
            device=self.device,
            seed=self.generator(context),
        )

    def __str__(self) -> str:
        return (
            f"FacilityLocation(uncertainty={self.uncertainty!r}, "
            f"uncertainty_strength={self.uncertainty_strength}, "
            f"num_neighbors={self.num_neighbors}, device={self.device!r}, seed={self.seed})"
        )


class TypiClust(DiversityStrategy):
    """Pick the most typical text of each cluster that has no label yet: for the first labels.

    Parameters
    ----------
    embeddings : PoolEmbeddings or array_like, shape (n, d)
        One vector for each text of the root dataset, in its order.
    uncertainty : {"margin", "entropy", "least_confidence"} or None, default=None
        What typicality is multiplied by; None leaves the classifier out, as published.
    uncertainty_strength : float, default=1.0
        Exponent of uncertainty.
    num_neighbors : int, default=20
        Neighbours that typicality is the inverse mean distance to.
    max_clusters : int, default=500
        There are as many clusters as labels after the query, but no more than this.
    min_cluster_size : int, default=5
        Smaller clusters come last.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks. Starts k-means.

    Notes
    -----
    See `typiclust` for differences from the authors' code.

    References
    ----------
    G. Hacohen, A. Dekel and D. Weinshall, "Active Learning on a Budget: Opposite Strategies Suit
    High and Low Budgets", ICML 2022.

    Examples
    --------
    >>> str(TypiClust(np.eye(8), max_clusters=4, seed=0))  # doctest: +ELLIPSIS
    'TypiClust(uncertainty=None, uncertainty_strength=1.0, num_neighbors=20, max_clusters=4, ...'
    """

    def __init__(
        self,
        embeddings: PoolEmbeddings | ArrayLike,
        *,
        uncertainty: UncertaintyMeasure | None = None,
        uncertainty_strength: float = 1.0,
        num_neighbors: int = 20,
        max_clusters: int = 500,
        min_cluster_size: int = 5,
        seed: Seed = None,
    ) -> None:
        super().__init__(embeddings, uncertainty, uncertainty_strength, None, seed)
        check_at_least_one(
            num_neighbors=num_neighbors,
            max_clusters=max_clusters,
            min_cluster_size=min_cluster_size,
        )
        self.num_neighbors, self.max_clusters = int(num_neighbors), int(max_clusters)
        self.min_cluster_size = int(min_cluster_size)

    def select(self, context: QueryContext, rows: Indices) -> Indices:
        """Select texts; see `DiversityStrategy.select`."""
        return typiclust(
            self.embeddings,
            context.n,
            rows[context.labeled],
            _raised_to_tiny(self.weights(context, rows), "product"),
            candidates=rows[context.unlabeled],
            num_neighbors=self.num_neighbors,
            max_clusters=self.max_clusters,
            min_cluster_size=self.min_cluster_size,
            seed=self.generator(context),
        )

    def __str__(self) -> str:
        return (
            f"TypiClust(uncertainty={self.uncertainty!r}, "
            f"uncertainty_strength={self.uncertainty_strength}, "
            f"num_neighbors={self.num_neighbors}, max_clusters={self.max_clusters}, "
            f"min_cluster_size={self.min_cluster_size}, seed={self.seed})"
        )


def check_finite(**arguments: float) -> None:
    """Check that numbers are finite.

    Parameters
    ----------
    **arguments : float
        Name and value.

    Raises
    ------
    ValueError
        If one is not.
    """
    for name, value in arguments.items():
        if not np.isfinite(value):
            raise ValueError(f"{name} is {value}: pass a finite number.")


def _raised_to_tiny(weights: list[Weight], combine: Combine) -> list[Weight]:
    """Keep a classifier that is entirely sure from making its texts all alike.

    In a product a weight of 0 leaves no distance to compare, and has no negative power.
    """
    if combine == "objective":
        return weights
    return [
        Weight(np.maximum(np.asarray(weight.values), _SMALLEST_WEIGHT), weight.strength)
        for weight in weights
    ]


def _check_indices(context: QueryContext, size: int) -> None:
    items = np.concatenate([context.unlabeled, context.labeled])
    if items.min() < 0 or items.max() >= size:
        raise ValueError(
            f"indices reach from {items.min()} to {items.max()}, the dataset has {size} items: "
            "pass indices into the dataset that is queried."
        )
    both = np.intersect1d(context.unlabeled, context.labeled)
    if len(both):
        raise ValueError(
            f"{len(both)} texts are labelled and unlabelled at once, such as {both[0]}: leave "
            "what is labelled out of indices_unlabeled."
        )
