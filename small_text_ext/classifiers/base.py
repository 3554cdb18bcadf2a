"""What every trained classifier of this package shares: checks, weights, and results."""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, issparse
from scipy.special import expit, softmax
from small_text import AbstractClassifierFactory, Classifier, EmbeddingMixin, empty_result

from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.training.seams import Recorder

ClassWeight = Literal["balanced"] | None
Labels = NDArray[np.int64] | NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Items:
    """Rows of a dataset that are trained or validated on, with labels and weights.

    Parameters
    ----------
    data_set : small_text.data.Dataset
        Where the items lie.
    rows : numpy.ndarray of int64, shape (n,)
        Which rows of it; what the seams call ids.
    labels : numpy.ndarray, shape (n,) of int64, or (n, num_classes) of float32 if multi-label
        Their labels.
    weights : numpy.ndarray of float32, of the shape of ``labels``
        Factors of their losses: class and sample weights in one.
    """

    data_set: Any
    rows: NDArray[np.int64]
    labels: Labels
    weights: NDArray[np.float32]

    def take(self, positions: NDArray[np.int64]) -> Items:
        """Return the items at the given positions."""
        return Items(
            self.data_set, self.rows[positions], self.labels[positions], self.weights[positions]
        )


@dataclass(frozen=True, eq=False)
class Inference:
    """What one pass over a dataset gives.

    Parameters
    ----------
    logits : numpy.ndarray of float32, shape (n, num_classes)
        Scores before the softmax, or before the sigmoid if multi-label.
    embeddings : numpy.ndarray of float32, shape (n, d), or None
        Vectors, where they were asked for.
    """

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32] | None = None


class TrainedClassifier(EmbeddingMixin, Classifier):
    """Checks what comes in, asks a subclass to train or infer, and shapes what goes out.

    A subclass implements `_train` and `_infer`.

    Parameters
    ----------
    num_classes : int
        The number of classes; a training set need not hold all of them.
    multi_label : bool
        Whether an item may have several labels, or none.
    class_weight : {"balanced"} or None
        "balanced" weights each class inversely to its frequency, so that all classes weigh the
        same in the loss; see `balanced_class_weights`.
    validation_set_size : float
        The share of the training set that is split off where `fit` is given no validation set.
    seed : int, numpy.random.Generator or None
        Where all draws come from.
    """

    model: Any = None
    recorder: Recorder | None = None

    def __init__(
        self,
        num_classes: int,
        multi_label: bool,
        *,
        class_weight: ClassWeight,
        validation_set_size: float,
        seed: Seed,
    ) -> None:
        check_positive_integer("num_classes", num_classes)
        if num_classes == 1 and not multi_label:
            raise ValueError("num_classes is 1: a single-label task needs at least 2 classes.")
        if class_weight not in (None, "balanced"):
            raise ValueError(f"class_weight is {class_weight!r}: pass 'balanced' or None.")
        if not 0 <= validation_set_size < 1:
            raise ValueError(
                f"validation_set_size is {validation_set_size}: pass a share of at least 0 and "
                "below 1."
            )
        # numpy's integers, as y.max() + 1 is one, could not be written as JSON.
        self.num_classes = int(num_classes)
        self.multi_label = bool(multi_label)
        self.class_weight = class_weight
        self.validation_set_size = validation_set_size
        self.seed = resolve_seed(seed)

    @abstractmethod
    def _train(self, train: Items, validation: Items | None, seed: int) -> None:
        """Train ``self.model``, from its present parameters where there are any."""

    @abstractmethod
    def _infer(self, data_set: Any, embed: bool = False) -> Inference:  # noqa: ANN401
        """Run the model over the dataset once."""

    def fit(
        self,
        train_set: Any,  # noqa: ANN401
        validation_set: Any | None = None,  # noqa: ANN401
        weights: ArrayLike | None = None,
    ) -> Self:
        """Train on a labelled dataset.

        A second fit starts from the parameters of the first: this is what the ``reuse_model`` of
        small-text's active learner asks for.

        Parameters
        ----------
        train_set : small_text.data.Dataset
            Labelled items; not all classes need to occur.
        validation_set : small_text.data.Dataset or None, default=None
            Decides which epoch is best and when to stop early. If None, a share of
            ``validation_set_size`` of the training set does.
        weights : array-like of float, shape (n,), or None, default=None
            Positive sample weights in the order of ``train_set``. Only their proportions count:
            they are scaled to a mean of one.

        Returns
        -------
        Self
            The classifier itself.

        Raises
        ------
        ValueError
            If a dataset is empty, unlabelled, or has labels that do not fit the classifier, or if
            a weight is missing, not finite or not positive.
        TypeError
            If the features of a dataset are of a kind that the classifier does not take.
        """
        train, validation, seed = self._prepared(train_set, validation_set, weights)
        self._train(train, validation, seed)
        return self

    def _prepared(
        self,
        train_set: Any,  # noqa: ANN401
        validation_set: Any | None,  # noqa: ANN401
        weights: ArrayLike | None,
    ) -> tuple[Items, Items | None, int]:
        """Return what to train and validate on, and the seed of this fit."""
        train, validation = self._items(train_set, validation_set, weights)
        seed = int(derived_generator(self.seed, len(train.rows)).integers(2**31))
        if validation is None and self.validation_set_size > 0:
            train, validation = _split(train, self.validation_set_size, seed)
        return train, validation, seed

    def predict(
        self,
        data_set: Any,  # noqa: ANN401
        return_proba: bool = False,
        multi_label_threshold: float = 0.5,
    ) -> Any:  # noqa: ANN401
        """Predict labels.

        Parameters
        ----------
        data_set : small_text.data.Dataset
            What to predict; its labels are not looked at.
        return_proba : bool, default=False
            Whether to return probabilities too.
        multi_label_threshold : float, default=0.5
            In a multi-label task, a label is predicted where its probability is above this.

        Returns
        -------
        predictions : numpy.ndarray of int64, shape (n,), or scipy.sparse.csr_matrix
            Class ids, or in a multi-label task a sparse matrix of ones.
        proba : numpy.ndarray of float64, or scipy.sparse.csr_matrix, shape (n, num_classes)
            As `predict_proba` returns it; only with ``return_proba=True``.
        """
        proba = self._proba(self._inference(data_set))
        if len(proba) == 0:
            return empty_result(self.multi_label, self.num_classes, return_proba=return_proba)
        shaped = self._shaped(proba, multi_label_threshold)
        if self.multi_label:
            predictions = csr_matrix(proba > multi_label_threshold, dtype=np.int64)
        else:
            predictions = proba.argmax(axis=1)
        return (predictions, shaped) if return_proba else predictions

    def predict_proba(
        self,
        data_set: Any,  # noqa: ANN401
        multi_label_threshold: float = 0.5,
    ) -> Any:  # noqa: ANN401
        """Predict class probabilities.

        Parameters
        ----------
        data_set : small_text.data.Dataset
            What to predict; its labels are not looked at.
        multi_label_threshold : float, default=0.5
            In a multi-label task, probabilities at or below this are left out of the sparse
            result, as small-text does; 0.0 keeps them all. Ignored in a single-label task.

        Returns
        -------
        numpy.ndarray of float64, or scipy.sparse.csr_matrix, shape (n, num_classes)
            Rows that sum to one, or in a multi-label task the probabilities above the threshold.
        """
        return self._shaped(self._proba(self._inference(data_set)), multi_label_threshold)

    def embed(
        self,
        data_set: Any,  # noqa: ANN401
        return_proba: bool = False,
        multi_label_threshold: float = 0.5,
    ) -> Any:  # noqa: ANN401
        """Return the vectors that the last layer sees.

        Parameters
        ----------
        data_set : small_text.data.Dataset
            What to embed.
        return_proba : bool, default=False
            Whether to return probabilities, from the same pass, too.
        multi_label_threshold : float, default=0.5
            As in `predict_proba`.

        Returns
        -------
        embeddings : numpy.ndarray of float32, shape (n, d)
            One vector per item.
        proba : numpy.ndarray of float64, or scipy.sparse.csr_matrix, shape (n, num_classes)
            As `predict_proba` returns it; only with ``return_proba=True``.
        """
        inference = self._inference(data_set, embed=True)
        if not return_proba:
            return inference.embeddings
        return inference.embeddings, self._shaped(self._proba(inference), multi_label_threshold)

    def _items(
        self,
        train_set: Any,  # noqa: ANN401
        validation_set: Any | None,  # noqa: ANN401
        weights: ArrayLike | None,
    ) -> tuple[Items, Items | None]:
        labels = checked_labels(train_set, self.num_classes, self.multi_label, "train_set")
        class_weights = (
            balanced_class_weights(labels, self.num_classes) if self.class_weight else None
        )
        item_weights = loss_weights(labels, class_weights, checked_weights(weights, len(labels)))
        train = Items(train_set, np.arange(len(labels)), labels, item_weights)
        if validation_set is None:
            return train, None
        labels = checked_labels(
            validation_set, self.num_classes, self.multi_label, "validation_set"
        )
        item_weights = loss_weights(labels, class_weights)
        return train, Items(validation_set, np.arange(len(labels)), labels, item_weights)

    def _held_out(self) -> Items | None:
        """Return what the recorder wants to see after each epoch and is not trained."""
        if self.recorder is None or self.recorder.observe != "held_out":
            return None
        data_set = getattr(self.recorder, "held_out", None)
        if data_set is None:
            raise TypeError(
                f"{type(self.recorder).__name__} observes held-out items and has none: give it a "
                "dataset as the attribute held_out."
            )
        shape = (len(data_set), self.num_classes) if self.multi_label else (len(data_set),)
        labels = np.zeros(shape, dtype=np.float32 if self.multi_label else np.int64)
        return Items(data_set, np.arange(len(data_set)), labels, np.ones(shape, dtype=np.float32))

    def _inference(self, data_set: Any, embed: bool = False) -> Inference:  # noqa: ANN401
        self._check_fitted()
        return self._infer(data_set, embed=embed)

    def _check_fitted(self) -> None:
        if self.model is None:
            raise ValueError(f"This {type(self).__name__} is not fitted: call fit first.")

    def _proba_of_samples(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities for the logits of several passes, (n, passes, num_classes)."""
        rows = logits.reshape(logits.shape[0] * logits.shape[1], self.num_classes)
        return self._proba(Inference(rows)).reshape(logits.shape)

    def _proba(self, inference: Inference) -> NDArray[np.float64]:
        logits = inference.logits.astype(np.float64)
        return np.asarray(expit(logits) if self.multi_label else softmax(logits, axis=1))

    def _shaped(
        self, proba: NDArray[np.float64], threshold: float
    ) -> NDArray[np.float64] | csr_matrix:
        if not 0 <= threshold <= 1:
            raise ValueError(
                f"multi_label_threshold is {threshold}: pass a probability between 0 and 1."
            )
        # The host's own helper walks the rows in Python, seconds on a large pool.
        return csr_matrix(np.where(proba > threshold, proba, 0)) if self.multi_label else proba


class TrainedClassifierFactory(AbstractClassifierFactory):
    """Keeps the arguments of a classifier, checked, at the positions of small-text's factories.

    Parameters
    ----------
    model_args : Any
        What the classifier takes as its model.
    num_classes : int
        The number of classes.
    classification_kwargs : dict or None, default=None
        Further arguments of the classifier. A ``seed`` that is missing, None or a generator is
        drawn once, so that all classifiers of a factory have the same.

    Raises
    ------
    TypeError, ValueError
        If the classifier does not take the arguments.
    """

    def __init__(
        self,
        model_args: Any,  # noqa: ANN401
        num_classes: int,
        classification_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.model_args = model_args
        self.num_classes = num_classes
        self.classification_kwargs = dict(classification_kwargs or {})
        self.classification_kwargs["seed"] = resolve_seed(self.classification_kwargs.get("seed"))
        self.new()

    @abstractmethod
    def new(self) -> TrainedClassifier:
        """Return a new, unfitted classifier."""

    def _made(self, kind: type[_Classifier]) -> _Classifier:
        arguments: Any = kind
        # Of its own, for each classifier: with one for all, an older one's map would be a newer's.
        own = {"recorder": copy.copy(self.classification_kwargs.get("recorder"))}
        kwargs = {**self.classification_kwargs, **{k: v for k, v in own.items() if v is not None}}
        made: _Classifier = arguments(self.model_args, self.num_classes, **kwargs)
        return made


_Classifier = TypeVar("_Classifier", bound=TrainedClassifier)


def check_positive_integer(name: str, value: int) -> None:
    """Raise an error that names the argument unless ``value`` is an integer of at least 1.

    Parameters
    ----------
    name : str
        The argument.
    value : int
        Its value.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is below 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} is {value!r}: pass an integer.")
    if value < 1:
        raise ValueError(f"{name} is {value}: pass an integer of at least 1.")


def checked_labels(data_set: Any, num_classes: int, multi_label: bool, name: str) -> Labels:  # noqa: ANN401
    """Return the labels of a dataset as numbers to train on, or say what is wrong with them.

    small-text hands over float labels once a text was ignored, so whole floats are cast.

    Parameters
    ----------
    data_set : small_text.data.Dataset
        A labelled dataset.
    num_classes : int
        The number of classes of the classifier.
    multi_label : bool
        Whether the classifier is multi-label.
    name : str
        What the dataset is called in errors.

    Returns
    -------
    numpy.ndarray, shape (n,) of int64, or (n, num_classes) of float32 if multi-label
        Class ids, or zeros and ones.

    Raises
    ------
    ValueError
        If the dataset is empty, unlabelled, of the other kind, or of other classes.
    """
    if data_set.is_multi_label != multi_label:
        kinds = {True: "multi-label", False: "single-label"}
        raise ValueError(
            f"{name} is {kinds[not multi_label]}, but multi_label={multi_label} makes this a "
            f"{kinds[multi_label]} classifier: pass multi_label={not multi_label}."
        )
    y = data_set.y
    if y.shape[0] == 0:
        raise ValueError(f"{name} is empty: pass at least one labelled item.")
    _check_target_labels(data_set, num_classes, name)
    return (
        _multi_labels(y, num_classes, name) if multi_label else _single_labels(y, num_classes, name)
    )


def _check_target_labels(data_set: Any, num_classes: int, name: str) -> None:  # noqa: ANN401
    """Compare numbers of classes as small-text does, but forgive a dataset that infers its own.

    Without explicit target labels a dataset knows only the classes that occur, and in the early
    rounds of active learning some do not.
    """
    num_targets, root = len(data_set.target_labels), data_set
    while hasattr(root, "dataset"):
        root = root.dataset
    inferred = getattr(root, "track_target_labels", False)
    if num_targets > num_classes or (num_targets < num_classes and not inferred):
        raise ValueError(
            f"{name} has {num_targets} target labels, but num_classes is {num_classes}: pass "
            f"target_labels=np.arange({num_classes}) to the dataset, or "
            f"num_classes={num_targets} to the classifier."
        )


def _single_labels(y: ArrayLike, num_classes: int, name: str) -> NDArray[np.int64]:
    values = np.asarray(y)
    if values.ndim != 1:
        raise ValueError(f"{name} has labels of shape {values.shape}: pass one label per item.")
    if not np.all(np.isfinite(values)) or np.any(values != np.floor(values)):
        raise ValueError(
            f"{name} has labels that are not whole numbers: leave ignored items out, and pass "
            "class ids."
        )
    labels = values.astype(np.int64)
    if labels.min() < 0:
        raise ValueError(
            f"{name} has {np.sum(labels < 0)} unlabelled items (negative labels): train on the "
            "labelled items only."
        )
    _check_largest_label(int(labels.max()), num_classes, name)
    return labels


def _multi_labels(y: csr_matrix, num_classes: int, name: str) -> NDArray[np.float32]:
    if len(y.indices):
        _check_largest_label(int(y.indices.max()), num_classes, name)
    if not np.all(np.isfinite(y.data)) or np.any(y.data < 0):
        raise ValueError(
            f"{name} has labels that are negative or not finite: leave ignored items out."
        )
    labels = np.zeros((y.shape[0], num_classes), dtype=np.float32)
    width = min(num_classes, y.shape[1])
    labels[:, :width] = y[:, :width].toarray() != 0
    return labels


def _check_largest_label(largest: int, num_classes: int, name: str) -> None:
    if largest >= num_classes:
        raise ValueError(
            f"{name} has the label {largest}, but num_classes is {num_classes}: labels run from 0 "
            f"to {num_classes - 1}."
        )


def checked_weights(weights: ArrayLike | None, num_items: int) -> NDArray[np.float64] | None:
    """Return sample weights scaled to a mean of one, or say what is wrong with them.

    Parameters
    ----------
    weights : array-like of float, shape (n,), or None
        Sample weights.
    num_items : int
        The number of training items.

    Returns
    -------
    numpy.ndarray of float64, shape (n,), or None
        Their proportions.

    Raises
    ------
    ValueError
        If they are not one per item, finite and positive.

    Examples
    --------
    >>> checked_weights([1, 3], num_items=2).tolist()
    [0.5, 1.5]
    """
    if weights is None:
        return None
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (num_items,):
        raise ValueError(
            f"weights has the shape {values.shape}, but train_set has {num_items} items: pass one "
            "weight per item."
        )
    if not np.all(np.isfinite(values)) or values.min() <= 0:
        raise ValueError(
            "weights holds a value that is not finite or not above 0: to drop an item, leave it "
            "out of train_set."
        )
    return np.asarray(values / values.mean())


def balanced_class_weights(labels: Labels, num_classes: int) -> NDArray[np.float64]:
    """Return class weights that make all classes weigh the same in the loss.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n,) of int, or (n, num_classes) of zeros and ones
        The training labels.
    num_classes : int
        The number of classes.

    Returns
    -------
    numpy.ndarray of float64, shape (num_classes,), or (2, num_classes) if multi-label
        Single-label: ``n / (classes present * count)``, as scikit-learn's "balanced"; 1 for a
        class that does not occur. Multi-label: the same for each label's zeros (first row) and
        ones (second row); 1 where a label has only zeros or only ones. In both cases the weights
        of the items have a mean of one.

    Examples
    --------
    >>> balanced_class_weights(np.array([0, 0, 0, 1]), num_classes=2).round(2).tolist()
    [0.67, 2.0]
    """
    if labels.ndim == 2:
        ones = labels.sum(axis=0, dtype=np.float64)
        counts = np.stack([len(labels) - ones, ones])
        mixed = np.all(counts > 0, axis=0)
        return np.where(mixed, len(labels) / (2 * np.where(mixed, counts, 1)), 1.0)
    counts = np.bincount(labels.astype(np.int64), minlength=num_classes)
    present = counts > 0
    return np.where(present, len(labels) / (present.sum() * np.maximum(counts, 1)), 1.0)


def loss_weights(
    labels: Labels,
    class_weights: NDArray[np.float64] | None = None,
    sample_weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Join class and sample weights to one factor per loss.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n,) of int, or (n, num_classes) of zeros and ones
        The labels.
    class_weights : numpy.ndarray or None, default=None
        As `balanced_class_weights` returns them; None weighs all the same.
    sample_weights : numpy.ndarray of float64, shape (n,), or None, default=None
        One weight per item; None weighs all the same.

    Returns
    -------
    numpy.ndarray of float32, of the shape of ``labels``
        Factors.
    """
    factors = np.ones(labels.shape, dtype=np.float64)
    if class_weights is not None and labels.ndim == 2:
        factors *= np.where(labels > 0, class_weights[1], class_weights[0])
    elif class_weights is not None:
        factors *= class_weights[labels.astype(np.int64)]
    if sample_weights is not None:
        factors *= sample_weights[:, None] if labels.ndim == 2 else sample_weights
    return factors.astype(np.float32)


def _split(items: Items, share: float, seed: int) -> tuple[Items, Items | None]:
    """Split off a validation set that holds every class in proportion.

    Evenly spaced positions in the shuffled items, sorted by class, are such a sample. A class with
    one item stays in training.
    """
    rng = derived_generator(seed, 2)
    key = _stratum(items.labels)
    order = rng.permutation(len(key))
    order = order[np.argsort(key[order], kind="stable")]
    eligible = order[np.bincount(key)[key[order]] > 1]
    wanted = min(max(1, round(share * len(key))), len(eligible))
    if wanted == 0 or wanted >= len(key):
        return items, None
    spaced = ((np.arange(wanted) + rng.random()) * len(eligible) / wanted).astype(np.int64)
    held_out = np.zeros(len(key), dtype=bool)
    held_out[eligible[spaced]] = True
    return items.take(np.flatnonzero(~held_out)), items.take(np.flatnonzero(held_out))


def _stratum(labels: Labels) -> NDArray[np.int64]:
    """Return class ids; in a multi-label task the rarest label of each item, counted from 1."""
    if labels.ndim == 1:
        return labels.astype(np.int64)
    rarity = np.where(labels > 0, labels.sum(axis=0), np.inf)
    return np.where(labels.any(axis=1), rarity.argmin(axis=1) + 1, 0)


def dense_matrix(x: Any, name: str = "x") -> Any:  # noqa: ANN401
    """Return ``x`` as it is where it is a dense matrix, or say how to make one.

    Parameters
    ----------
    x : array-like, shape (n, d)
        The features of a dataset; a `PoolEmbeddings` is not read here.
    name : str, default="x"
        What it is called in errors.

    Returns
    -------
    array-like, shape (n, d)
        An array, or what can be sliced as one.

    Raises
    ------
    TypeError
        If it is sparse, or holds no numbers.
    ValueError
        If it is not two-dimensional.
    """
    if issparse(x):
        raise TypeError(
            f"{name} is a sparse matrix: this classifier works on dense sentence vectors. Encode "
            "the texts with PoolEmbeddings.encode, or use small-text's SklearnClassifierFactory."
        )
    if not hasattr(x, "shape"):
        x = np.asarray(x)
    if getattr(x.dtype, "kind", "f") not in "fiu":
        raise TypeError(
            f"{name} holds {x.dtype}, not numbers: encode the texts with PoolEmbeddings.encode, "
            "and pass a SklearnDataset."
        )
    if len(x.shape) != 2:
        raise ValueError(f"{name} has the shape {x.shape}: pass one vector per item, (n, d).")
    return x
