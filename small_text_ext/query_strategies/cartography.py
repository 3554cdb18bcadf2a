"""Dataset cartography in active learning: what the last fit made of the labelled texts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from small_text.query_strategies import QueryStrategy

from small_text_ext._random import Seed
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.roots import root_rows
from small_text_ext.protocols import class_probabilities
from small_text_ext.query_strategies.anchoral import prediction_entropy
from small_text_ext.query_strategies.context import (
    Indices,
    QueryContext,
    check_at_least_one,
    seed_to_show,
)
from small_text_ext.query_strategies.dynamics_models import (
    LabeledMap,
    Representations,
    Scale,
    fit_coordinate,
    fit_distributions,
    fit_hard,
)
from small_text_ext.query_strategies.prediction_history import (
    Change,
    PredictionHistory,
    change_over_epochs,
)
from small_text_ext.query_strategies.scoring import (
    PoolScoringStrategy,
    Ratings,
    as_embeddings,
    root_levels,
)
from small_text_ext.query_strategies.subpool import QueryRecord, SubpoolQueryStrategy

Region = Literal["hard", "easy", "ambiguous"]
Measure = Literal["predicted_entropy", "predicted_margin", "variability", "flips"]
Over = Literal["rounds", "epochs"]

# The coordinate that a region is predicted by, and the sign that makes its items the largest.
_COORDINATES: dict[Region, tuple[str, int]] = {
    "hard": ("confidence", -1),
    "easy": ("confidence", 1),
    "ambiguous": ("variability", 1),
}
# A spread below this, of numbers between 0 and 1, is rounding.
_CONSTANT = 1e-9
# The share of the least confident labelled texts that counts as hard where none, or all, are.
_HARDEST = 0.2
# Items whose epochs are read at a time.
_BLOCK = 16_384
# Items by which two datasets of one length are told apart.
_COMPARED = 64

_logger = logging.getLogger(__name__)


@dataclass
class FilterRecord(QueryRecord):
    """What a query of `CartographyFilter` did.

    Attributes
    ----------
    num_predicted : int
        Unlabelled texts whose coordinate was predicted.
    num_dropped : int
        Texts that were withheld.
    num_explored : int
        Texts that would have been withheld, and stayed in by chance.
    skill : float
        The share of the variance of left-out labelled texts that the model explains; NaN where
        there is no model.
    note : str or None
        Why nothing was dropped, where that is so.
    """

    num_predicted: int = 0
    num_dropped: int = 0
    num_explored: int = 0
    skill: float = float("nan")
    note: str | None = None


class CartographyFilter(SubpoolQueryStrategy):
    """Withhold from a base strategy what is predicted to be hard to learn.

    Uncertainty sampling is drawn to texts that no model learns: garbled, unanswerable or
    mislabelled ones, which lie together. This strategy fits a ridge regression of the data map of
    what is labelled (its confidence, from a vector per text), predicts the confidence of every
    unlabelled text by a matrix product, and hides the lowest quarter. What it hides is a guess: a
    share of it stays in at random, so that a region that was misjudged is labelled in the end.

    With ``fraction=0``, or ``exploration=1``, it is its base strategy.

    Parameters
    ----------
    base_query_strategy : small_text.query_strategies.QueryStrategy
        Any strategy; it sees what is left and the labelled texts.
    embeddings : PoolEmbeddings, array_like of shape (n, d), or None
        One vector for each text of the root dataset, in its order. None takes the classifier's
        ``embed``: a forward pass over all that is labelled and unlabelled, at every query.
    drop : {"hard", "easy", "ambiguous"}, default="hard"
        What to withhold: the lowest confidence, the highest, or the highest variability.
    fraction : float, default=0.25
        The share of the unlabelled texts to withhold, rounded down; less where the base strategy
        would have too few to choose from.
    exploration : float, default=0.1
        The share of those that stays in, drawn anew at every query.
    within_classes : bool, default=True
        Whether a labelled text counts as hard compared with its class (in multi-label tasks, with
        the texts of the same labels). A rare class is harder than the rest until it is learnt:
        with False, what looks like it is withheld.
    min_labeled : int, default=20
        With fewer labelled texts on the map nothing is withheld.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks.

    Attributes
    ----------
    last_query : FilterRecord or None
        What the last query did.

    Raises
    ------
    TypeError
        In a query: if the classifier has no map; see `small_text_ext.protocols.dynamics_of`.
    ValueError
        If an argument is out of range; in a query: if the classifier was fitted on other labels
        than those of the query, or the embeddings belong to another dataset.

    Notes
    -----
    Nothing is withheld, with a logged reason that ``last_query.note`` repeats, where there are too
    few labels, where the coordinate is the same for all of them, or where the regression predicts
    left-out labelled texts no better than it predicts shuffled coordinates.

    Hard is not bad: among the hard texts are those a model would learn most from (try
    ``drop="easy"``). Compare with the base strategy alone.

    Differences from what Karamcheti et al. did: their ablation removes texts from the pool by the
    map of a model that was trained on all labels, a diagnosis and no method; here the map is that
    of the labels at hand, and the rest is predicted. ``within_classes`` is ours.

    References
    ----------
    S. Karamcheti et al., "Mind Your Outliers! Investigating the Negative Impact of Outliers on
    Active Learning for Visual Question Answering", ACL 2021. S. Swayamdipta et al., "Dataset
    Cartography", EMNLP 2020.

    Examples
    --------
    >>> from small_text import LeastConfidence
    >>> str(CartographyFilter(LeastConfidence(), np.eye(8), seed=0))  # doctest: +ELLIPSIS
    "CartographyFilter(base_query_strategy=LeastConfidence(), drop='hard', fraction=0.25, ..."
    """

    def __init__(
        self,
        base_query_strategy: QueryStrategy,
        embeddings: PoolEmbeddings | ArrayLike | None,
        *,
        drop: Region = "hard",
        fraction: float = 0.25,
        exploration: float = 0.1,
        within_classes: bool = True,
        min_labeled: int = 20,
        seed: Seed = None,
    ) -> None:
        # Of one unlabelled text nothing can be withheld; any larger pool is filtered.
        super().__init__(base_query_strategy, 1, seed)
        _check_choice("drop", drop, get_args(Region))
        if not 0 <= fraction < 1:
            raise ValueError(f"fraction is {fraction}: pass a share of at least 0 and below 1.")
        _check_share("exploration", exploration)
        check_at_least_one(min_labeled=min_labeled)
        self.embeddings = as_embeddings(embeddings)
        self.drop: Region = drop
        self.fraction, self.exploration = float(fraction), float(exploration)
        self.within_classes = bool(within_classes)
        self.min_labeled = max(int(min_labeled), 2)
        self.last_query: FilterRecord | None = None
        self.seed = seed_to_show(seed, self._seed)
        self._outcome: dict[str, Any] = {}

    def pick(self, context: QueryContext) -> Indices:
        """Pick from what is left, and keep what was found out on the way.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        numpy.ndarray of int64, shape (context.n,)
            Distinct members of ``context.unlabeled``.
        """
        self._outcome = {}
        picks = super().pick(context)
        self.last_query = FilterRecord(**{**vars(self.last_query), **self._outcome})
        return picks

    def check(self, context: QueryContext) -> None:
        """Check that the embeddings belong to the dataset, and the map to the labels.

        Parameters
        ----------
        context : QueryContext
            The query.
        """
        LabeledMap.of(context)
        Representations(context, self.embeddings)

    def choose(self, context: QueryContext, record: QueryRecord) -> Indices:
        """Predict the coordinate of every unlabelled text, and withhold the extreme ones.

        Parameters
        ----------
        context : QueryContext
            The query.
        record : QueryRecord
            Where counts and times are noted.

        Returns
        -------
        numpy.ndarray of int64
            What is left, in the given order.
        """
        with record.timed("predict"):
            rating = self._predicted(context)
        if rating is None:
            return context.unlabeled
        worst = np.argsort(-rating, kind="stable")[: int(self.fraction * len(rating))]
        explored = round(self.exploration * len(worst))
        stays = self.generator(context).choice(len(worst), explored, replace=False)
        dropped = np.delete(worst, stays)
        missing = max(context.n - (len(rating) - len(dropped)), 0)
        dropped = dropped[: len(dropped) - missing]  # the least extreme come back first
        record.num_retrieved, record.num_topped_up = len(rating) - len(dropped), missing
        self._outcome |= {"num_dropped": len(dropped), "num_explored": explored}
        return np.delete(context.unlabeled, dropped)

    def _predicted(self, context: QueryContext) -> NDArray[np.float64] | None:
        """Predict how far in the region each unlabelled text is; None where that is not known."""
        labeled = LabeledMap.of(context)
        vectors = Representations(context, self.embeddings)
        column, sign = _COORDINATES[self.drop]
        target = np.asarray(labeled.dynamics.metrics()[column], dtype=np.float64)
        if self.within_classes:
            target = _beside_its_class(target, labeled.dynamics.labels)
        if len(target) < self.min_labeled:
            self._note(f"{len(target)} labelled texts are on the map, not {self.min_labeled}")
            return None
        if np.ptp(target) < _CONSTANT:
            self._note(f"the {column} of all labelled texts is the same")
            return None
        known = vectors.of(labeled.items)
        scale = Scale.of(known)
        predictor, skill = fit_coordinate(scale(known), target)
        self._outcome["skill"] = skill
        if predictor is None:
            self._note(f"the {column} of left-out labelled texts is predicted no better than noise")
            return None
        self._outcome["num_predicted"] = len(context.unlabeled)
        return sign * vectors.predict(predictor, scale, context.unlabeled)

    def _note(self, reason: str) -> None:
        self._outcome["note"] = reason
        _logger.warning("CartographyFilter withholds nothing: %s.", reason)

    def __str__(self) -> str:
        return (
            f"CartographyFilter(base_query_strategy={self.base_query_strategy}, "
            f"drop={self.drop!r}, fraction={self.fraction}, exploration={self.exploration}, "
            f"embeddings={_shown(self.embeddings)}, within_classes={self.within_classes}, "
            f"min_labeled={self.min_labeled}, "
            f"seed={self.seed})"
        )


class CartographyActiveLearning(PoolScoringStrategy):
    """CAL: pick the texts on the boundary between what is learnt and what is hard to learn.

    Every labelled text that the model predicted correctly in at most a fifth of the epochs is
    "hard", the others are not; a binary classifier learns to tell them apart from a vector per
    text, and the unlabelled texts it is least sure of are picked. They are where learning is
    neither done nor hopeless.

    A ``threshold`` near 1 calls all hard that were ever predicted wrongly.

    Parameters
    ----------
    embeddings : PoolEmbeddings, array_like of shape (n, d), or None, default=None
        One vector for each text of the root dataset, in its order. None takes the present
        classifier's ``embed``, as published: a forward pass over what is labelled and unlabelled,
        at every query. In a large pool use it as the base strategy of an ``AnchorAL``.
    threshold : float, default=0.2
        The largest share of epochs with a correct prediction at which a text is hard.
    C : float, default=10.0
        Inverse penalty of the binary classifier, on vectors scaled to a mean squared length of one.
    min_labeled : int, default=10
        With fewer labelled texts on the map, picks are random.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks. Draws only where there is nothing to learn from.

    Raises
    ------
    TypeError
        In a query: if the classifier has no map; see `small_text_ext.protocols.dynamics_of`.
    ValueError
        If an argument is out of range; in a query: if the classifier was fitted on other labels
        than those of the query, or the embeddings belong to another dataset.

    Notes
    -----
    Scores are 1 less the probability of the likelier side: 0.5 on the boundary.

    Where no text is hard, or all are (common: a model of a hundred labels fits them all), the
    fifth with the lowest confidence counts as hard. With fewer than ``min_labeled`` texts, or the
    same confidence everywhere, picks are random. Both are logged.

    In multi-label tasks a prediction is correct where all labels are, as in the map.

    Differences from the authors' code (jjzha/cal), four of them defects there: texts are told apart
    on their present vectors (there, labelled texts by those of epoch 0, unlabelled ones by the
    final ones); the binary classifier is fitted anew at every query (there, its reset did nothing);
    classes are balanced (there, the weights were computed and not used); its logits are not
    clipped at 0. It is a logistic regression fitted to convergence, not a layer trained for 30
    epochs; correctness is not rounded to fifths before it is compared, and a degenerate target has
    a fallback.

    References
    ----------
    M. Zhang and B. Plank, "Cartography Active Learning", Findings of EMNLP 2021.

    Examples
    --------
    >>> str(CartographyActiveLearning(seed=0))  # doctest: +ELLIPSIS
    'CartographyActiveLearning(embeddings=None, threshold=0.2, C=10.0, ...'
    """

    def __init__(
        self,
        embeddings: PoolEmbeddings | ArrayLike | None = None,
        *,
        threshold: float = 0.2,
        C: float = 10.0,
        min_labeled: int = 10,
        seed: Seed = None,
    ) -> None:
        super().__init__(embeddings, seed)
        _check_share("threshold", threshold)
        _check_inverse_penalty(C)
        check_at_least_one(min_labeled=min_labeled)
        self.threshold = float(threshold)
        self.C = float(C)
        self.min_labeled = int(min_labeled)

    def rate(self, context: QueryContext) -> Ratings:
        """Rate texts by how unsure the binary classifier is.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        Ratings
            At most 0.5; random numbers where there is nothing to learn from.
        """
        labeled = LabeledMap.of(context)
        vectors = Representations(context, self.embeddings)
        hard = self._hard(labeled)
        if hard is None:
            return Ratings(self.generator(context).random(len(context.unlabeled)))
        known = vectors.of(labeled.items)
        scale = Scale.of(known)
        predictor = fit_hard(scale(known), hard, self.C)
        probability = vectors.predict(predictor, scale, context.unlabeled)
        return Ratings(np.minimum(probability, 1 - probability))

    def _hard(self, labeled: LabeledMap) -> NDArray[np.bool_] | None:
        """Return which labelled texts are hard; None where nothing tells."""
        metrics = labeled.dynamics.metrics()
        confidence = np.asarray(metrics["confidence"], dtype=np.float64)
        # A share such as 3 of 15 is not exactly 0.2.
        hard = np.asarray(metrics["correctness_fraction"]) <= self.threshold + _CONSTANT
        if len(hard) < max(self.min_labeled, 2):
            reason = f"{len(hard)} labelled texts are on the map, min_labeled={self.min_labeled}"
        elif 0 < hard.sum() < len(hard):
            return hard
        elif np.ptp(confidence) < _CONSTANT:
            reason = "the confidence of all labelled texts is the same"
        else:
            _logger.info(
                "%s labelled texts are hard at threshold=%s: the fifth of lowest confidence is.",
                "All" if hard.all() else "No",
                self.threshold,
            )
            return _lowest(confidence, _HARDEST)
        _logger.warning("CartographyActiveLearning picks at random: %s.", reason)
        return None

    def __str__(self) -> str:
        return (
            f"CartographyActiveLearning(embeddings={_shown(self.embeddings)}, "
            f"threshold={self.threshold}, C={self.C}, min_labeled={self.min_labeled}, "
            f"seed={self.seed})"
        )


class DynamicsUncertainty(PoolScoringStrategy):
    """Pick the texts whose predictions waver in training, or would.

    A final prediction can be sure of what training went back and forth on. Two measures predict
    the course of training from the labelled texts, as TiDAL does: a small model learns each one's
    mean predicted distribution over the epochs, and rates the unlabelled texts by the entropy, or
    the margin, of what it predicts for them. Two observe it: how much the unlabelled texts' own
    predictions vary, or how often they flip, over rounds of active learning or over the epochs of
    the last fit.

    Parameters
    ----------
    measure : str, default="predicted_entropy"
        One of "predicted_entropy"; "predicted_margin", the predicted share of the class that the
        classifier predicts less that of the next one, the smallest first; "variability", the mean
        over classes of the variance of its probability; and "flips", the share of rounds, or
        epochs, with another prediction than the one before.
    embeddings : PoolEmbeddings, array_like of shape (n, d), or None, default=None
        One vector for each text of the root dataset, in its order: what the predicting model sees.
        None takes the present classifier's ``embed``: a forward pass over what is labelled and
        unlabelled. For "variability" and "flips" they say which texts are meant alone; None takes
        positions in the dataset at the root of all views.
    over : {"rounds", "epochs"}, default="rounds"
        For "variability" and "flips". "rounds" costs a pass of the classifier over what is offered,
        and starts to tell texts apart at the second query. "epochs" reads what a
        ``HeldOutRecorder`` of the root dataset has recorded in the last fit, at no further pass
        here (and one after each epoch there: cheap on frozen vectors alone).
    C : float, default=10.0
        Inverse penalty of the predicting model, on vectors scaled to a mean squared length of one.
    seed : int, numpy.random.Generator or None, default=None
        Checked, and not used: nothing is drawn. All strategies of this package take one.

    Raises
    ------
    TypeError
        In a query: if the classifier has no map (predicted measures; see
        `small_text_ext.protocols.dynamics_of`) or no such recorder (epochs).
    ValueError
        If an argument is unknown or out of range; in a query: if the map is one of other labels,
        the recorder's items are not those of a dataset that is queried, or the embeddings belong to
        another one.

    Notes
    -----
    Texts with equal scores are picked by least confidence ("variability" and "flips"; also all that
    were seen less than twice, whose score is 0), then by their order in the pool.

    Rounds are told apart by what is labelled, so that several learners may share the strategy, a
    label that is taken back drops the rounds that followed it, a smaller subpool leaves gaps that
    do no harm, and asking twice counts once. Learners with the same labels on datasets of the same
    length share a history: give each a strategy. The state, which is pickled, is that of the last
    8 rounds of all learners; each holds, for every text offered so far, a mean per class
    (variability) or the last prediction (flips), and three numbers more: for a million texts of ten
    classes, 64 or 28 MB.

    In multi-label tasks the predicting model is one per class, entropies are added up, the margin
    is that of the label with the smallest, and a prediction is another where any label is.

    Differences from TiDAL's code: the predicting model is fitted after the classifier, on fixed
    vectors (there, a head is trained with it, on its intermediate features, at a weight of one), so
    that it works with any classifier; it is a softmax regression to convergence.

    The predicted measures hold one copy of each labelled vector per class while they fit.

    References
    ----------
    S. M. Kye et al., "TiDAL: Learning Training Dynamics for Active Learning", ICCV 2023. G. Pleiss
    et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020.

    Examples
    --------
    >>> str(DynamicsUncertainty("flips", over="epochs"))  # doctest: +ELLIPSIS
    "DynamicsUncertainty(measure='flips', embeddings=None, over='epochs', C=10.0, seed=None)"
    """

    def __init__(
        self,
        measure: Measure = "predicted_entropy",
        embeddings: PoolEmbeddings | ArrayLike | None = None,
        *,
        over: Over = "rounds",
        C: float = 10.0,
        seed: Seed = None,
    ) -> None:
        super().__init__(embeddings, seed)
        _check_choice("measure", measure, get_args(Measure))
        _check_choice("over", over, get_args(Over))
        if over == "epochs" and measure not in get_args(Change):
            raise ValueError(
                f"over is 'epochs' with the measure {measure!r}, which is predicted from the map: "
                "leave it out, or pass measure='variability' or 'flips'."
            )
        _check_inverse_penalty(C)
        self.measure: Measure = measure
        self.over: Over = over
        self.C = float(C)
        self._history = PredictionHistory("flips" if measure == "flips" else "variability")

    def rate(self, context: QueryContext) -> Ratings:
        """Rate texts by the measure.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        Ratings
            Entropies, negative margins, variances or shares.
        """
        if self.measure in ("predicted_entropy", "predicted_margin"):
            return Ratings(self._predicted(context))
        return self._over_epochs(context) if self.over == "epochs" else self._over_rounds(context)

    def _predicted(self, context: QueryContext) -> NDArray[np.float64]:
        labeled = LabeledMap.of(context)
        vectors = Representations(context, self.embeddings)
        multi_label, known = labeled.dynamics.multi_label, vectors.of(labeled.items)
        scale = Scale.of(known)
        targets = labeled.dynamics.mean_probabilities()
        predictor = fit_distributions(scale(known), targets, multi_label, self.C)
        proba = vectors.predict(predictor, scale, context.unlabeled)
        if self.measure == "predicted_entropy":
            return prediction_entropy(proba, multi_label)
        return -margins(proba, _probabilities(context), multi_label)

    def _over_rounds(self, context: QueryContext) -> Ratings:
        if context.clf is None:
            raise TypeError(
                f"measure {self.measure!r} needs a classifier, and there is none yet: initialise "
                "the learner with labels first."
            )
        root = root_levels(context.dataset)[-1]
        rows, size = root.positions, root.size
        if self.embeddings is not None:
            rows, size = root_rows(context.dataset, self.embeddings), len(self.embeddings)
        proba, multi_label = _probabilities(context), bool(context.clf.multi_label)
        scores = self._history.observe(
            rows[context.unlabeled], proba, rows[context.labeled], size, multi_label
        )
        return Ratings(scores, -_confidence(proba, multi_label))

    def _over_epochs(self, context: QueryContext) -> Ratings:
        logits, rows = _held_out(context, self.embeddings)
        multi_label, scores, last = bool(context.clf.multi_label), [], []
        for start in range(0, len(rows), _BLOCK):
            block = np.asarray(logits[:, rows[start : start + _BLOCK]], dtype=np.float64)
            proba = expit(block) if multi_label else softmax(block, axis=2)
            scores.append(change_over_epochs(proba, self._history.measure, multi_label))
            last.append(_confidence(proba[-1], multi_label))
        return Ratings(np.concatenate(scores), -np.concatenate(last))

    def __str__(self) -> str:
        return (
            f"DynamicsUncertainty(measure={self.measure!r}, "
            f"embeddings={_shown(self.embeddings)}, over={self.over!r}, C={self.C}, "
            f"seed={self.seed})"
        )


def margins(
    dynamics: NDArray[np.float64], proba: NDArray[np.float64], multi_label: bool
) -> NDArray[np.float64]:
    """Return the predicted area under the margin.

    Parameters
    ----------
    dynamics : numpy.ndarray of float64, shape (m, classes)
        Predicted mean distributions over the epochs.
    proba : numpy.ndarray of float64, shape (m, classes)
        What the classifier predicts.
    multi_label : bool
        Whether labels are independent: then it is the margin of each class's predicted side over
        the other one, and the smallest of a text counts.

    Returns
    -------
    numpy.ndarray of float64, shape (m,)
        Margins in [-1, 1]: of the classifier's class over the best other one.

    Examples
    --------
    >>> dynamics = np.array([[0.5, 0.3, 0.2], [0.2, 0.7, 0.1]])
    >>> margins(dynamics, np.array([[0.9, 0.1, 0.0]] * 2), multi_label=False).round(2).tolist()
    [0.2, -0.5]
    """
    if multi_label:
        towards_one = 2 * dynamics - 1
        return np.asarray(np.where(proba > 0.5, towards_one, -towards_one).min(axis=1))
    rows, predicted = np.arange(len(proba)), proba.argmax(axis=1)
    others = dynamics.copy()
    others[rows, predicted] = -np.inf
    return np.asarray(dynamics[rows, predicted] - others.max(axis=1))


def _held_out(
    context: QueryContext, embeddings: PoolEmbeddings | None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return what the classifier's recorder saw, and the rows there of the unlabelled texts."""
    recorder = getattr(context.clf, "recorder", None)
    logits, held_out = getattr(recorder, "logits", None), getattr(recorder, "held_out", None)
    if logits is None or held_out is None:
        raise TypeError(
            f"over is 'epochs', but {type(context.clf).__name__} records no held-out items: give "
            "its factory recorder=HeldOutRecorder(dataset), with the dataset of the learner."
        )
    if len(logits) == 0:
        raise ValueError("The HeldOutRecorder has recorded no epoch: fit the classifier first.")
    if embeddings is not None and len(embeddings) == logits.shape[1]:
        return logits, root_rows(context.dataset, embeddings)[context.unlabeled]
    levels = root_levels(context.dataset)
    same = [level.positions for level in levels if level.dataset is held_out]
    # After a save and load the objects differ: then the level nearest to the root that holds the
    # same items.
    same += [
        level.positions
        for level in reversed(levels)
        if level.size == logits.shape[1] and _same_items(level.dataset, held_out)
    ]
    if not same:
        raise ValueError(
            f"The HeldOutRecorder holds {logits.shape[1]} items, the dataset and what it is a view "
            f"of {[level.size for level in levels]}, and none of them holds the same items: give "
            "it the dataset of the learner."
        )
    return logits, same[0][context.unlabeled]


def _same_items(dataset: Any, other: Any) -> bool:  # noqa: ANN401
    """Compare some items of two datasets of one length: texts, vectors, or tensors."""
    rows = np.unique(np.linspace(0, len(dataset) - 1, _COMPARED).astype(np.int64))
    one, two = dataset[rows].x, other[rows].x
    if hasattr(one, "shape") and hasattr(two, "shape"):
        return one.shape == two.shape and np.allclose(np.asarray(one), np.asarray(two))
    return all(str(left) == str(right) for left, right in zip(one, two, strict=True))


def _probabilities(context: QueryContext) -> NDArray[np.float64]:
    """Return the classifier's probabilities of the unlabelled texts, one column a class."""
    clf = context.clf
    return class_probabilities(clf, context.dataset[context.unlabeled], int(clf.num_classes))


def _confidence(proba: NDArray[np.float64], multi_label: bool) -> NDArray[np.float64]:
    """Return the probability of what is predicted: of the least sure label, if multi-label."""
    if multi_label:
        return np.asarray(np.maximum(proba, 1 - proba).min(axis=1))
    return np.asarray(proba.max(axis=1))


def _beside_its_class(values: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return by how much each item is above the mean of those with its label, or labels."""
    _, group = np.unique(labels, axis=0, return_inverse=True)
    group = group.ravel()
    means = np.bincount(group, values) / np.bincount(group)
    return np.asarray(values - means[group])


def _lowest(values: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    marked = np.zeros(len(values), dtype=bool)
    marked[np.argsort(values, kind="stable")[: max(1, round(share * len(values)))]] = True
    return marked


def _shown(embeddings: PoolEmbeddings | None) -> str:
    return "None" if embeddings is None else f"<{embeddings.shape[0]} x {embeddings.shape[1]}>"


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:  # noqa: ANN401
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: pass one of {list(choices)}.")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}: pass a share from 0 to 1.")


def _check_inverse_penalty(value: float) -> None:
    if not 0 < value < np.inf:
        raise ValueError(f"C is {value}: pass a number above 0.")
