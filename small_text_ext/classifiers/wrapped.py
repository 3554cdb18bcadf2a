"""What classifiers share that train another one in a way of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from small_text import AbstractClassifierFactory, Classifier, EmbeddingMixin

from small_text_ext._random import resolve_seed
from small_text_ext.classifiers.base import TrainedClassifier, TrainedClassifierFactory

_logger = logging.getLogger(__name__)


class WrappedClassifier(EmbeddingMixin, Classifier):
    """Predicts by a classifier within, which a subclass trains.

    Parameters
    ----------
    base_factory : TrainedClassifierFactory
        Makes the classifier within.

    Attributes
    ----------
    classifier_ : TrainedClassifier or None
        The one that predicts; None before the first fit.
    """

    def __init__(self, base_factory: TrainedClassifierFactory) -> None:
        self.base_factory = check_own_factory(base_factory)
        self.num_classes = base_factory.num_classes
        self.multi_label = is_multi_label(base_factory)
        self.classifier_: TrainedClassifier | None = None

    def predict(
        self,
        data_set: Any,  # noqa: ANN401
        return_proba: bool = False,
        multi_label_threshold: float = 0.5,
    ) -> Any:  # noqa: ANN401
        """Predict labels; see `TrainedClassifier.predict`."""
        return self._fitted().predict(data_set, return_proba, multi_label_threshold)

    def predict_proba(
        self,
        data_set: Any,  # noqa: ANN401
        multi_label_threshold: float = 0.5,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Predict class probabilities; see the classifier within for further options."""
        return self._fitted().predict_proba(data_set, multi_label_threshold, **options)

    def embed(
        self,
        data_set: Any,  # noqa: ANN401
        return_proba: bool = False,
        multi_label_threshold: float = 0.5,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Return vectors; see the classifier within for further options."""
        return self._fitted().embed(data_set, return_proba, multi_label_threshold, **options)

    @property
    def recorder(self) -> Any:  # noqa: ANN401
        """The recorder of the classifier that predicts, None where it has none."""
        return None if self.classifier_ is None else self.classifier_.recorder

    def _fitted_on(
        self,
        rows: NDArray[np.int64],
        train_set: Any,  # noqa: ANN401
        validation_set: Any | None,  # noqa: ANN401
        weights: ArrayLike | None,
        options: dict[str, Any],
    ) -> TrainedClassifier:
        """Return the classifier within, trained on some rows; it goes on where it left off."""
        classifier: Any = self.classifier_ or self.base_factory.new()
        of_rows = None if weights is None else np.asarray(weights)[rows]
        classifier.fit(train_set[rows], validation_set, of_rows, **options)
        trained: TrainedClassifier = classifier
        return trained

    def _fitted(self) -> TrainedClassifier:
        if self.classifier_ is None:
            raise ValueError(f"This {type(self).__name__} is not fitted: call fit first.")
        return self.classifier_


Wrapped = TypeVar("Wrapped", bound=WrappedClassifier)


class WrappedClassifierFactory(AbstractClassifierFactory, Generic[Wrapped]):
    """Keeps a factory and the options of a classifier around it, checked.

    Subclasses say of which classifier, by their attribute ``classifier``.

    Parameters
    ----------
    base_factory : TrainedClassifierFactory
        Makes the classifiers within.
    **options : Any
        Further arguments of the classifier. A ``seed`` that is missing, None or a generator is
        drawn once.

    Raises
    ------
    TypeError, ValueError
        If the classifier does not take the arguments.
    """

    classifier: Callable[..., Wrapped]

    def __init__(self, base_factory: TrainedClassifierFactory, **options: Any) -> None:  # noqa: ANN401
        self.base_factory = base_factory
        self.options = {**options, "seed": resolve_seed(options.get("seed"))}
        self.new()

    def new(self) -> Wrapped:
        """Return a new, unfitted classifier.

        Returns
        -------
        WrappedClassifier
            Of the class that the factory is called after.
        """
        return type(self).classifier(self.base_factory, **self.options)


def check_own_factory(factory: Any) -> TrainedClassifierFactory:  # noqa: ANN401
    """Check that a factory makes classifiers with the two seams of this package.

    Parameters
    ----------
    factory : Any
        The factory.

    Returns
    -------
    TrainedClassifierFactory
        The same.

    Raises
    ------
    TypeError
        If it is another's.
    """
    if not isinstance(factory, TrainedClassifierFactory):
        raise TypeError(
            f"{factory!r} is no classifier factory of this package: pass one that is, such as "
            "MLPClassificationFactory or TransformerClassificationFactory; small-text's own "
            "neither say what they think during training nor let it be chosen what is trained."
        )
    return factory


def kept_or_all(
    kept: NDArray[np.int64], labels: NDArray[Any], choice: str, remedy: str
) -> tuple[NDArray[np.int64], str | None]:
    """Return what is kept, or everything, with a logged reason, where a class would be lost.

    Parameters
    ----------
    kept : numpy.ndarray of int64
        Positions to train on.
    labels : numpy.ndarray, shape (n,) or (n, num_classes)
        Of all items.
    choice : str
        What has chosen them, for the reason.
    remedy : str
        What to do, for the reason.

    Returns
    -------
    kept : numpy.ndarray of int64
        In order.
    reason : str or None
        Why it is everything.
    """
    missing = _classes(labels) - _classes(labels[kept])
    if not missing:
        return np.sort(kept), None
    reason = (
        f"{choice} would leave {len(kept)} of them and lose class {min(missing)}; {remedy}, or "
        "label more of it."
    )
    _logger.info("Training on all %d items: %s", len(labels), reason)
    return np.arange(len(labels)), reason


def _classes(labels: NDArray[Any]) -> set[int]:
    present = np.unique(labels) if labels.ndim == 1 else np.flatnonzero(labels.any(axis=0))
    return {int(label) for label in present}


def is_multi_label(factory: TrainedClassifierFactory) -> bool:
    """Tell whether a factory makes multi-label classifiers.

    Parameters
    ----------
    factory : TrainedClassifierFactory
        The factory.

    Returns
    -------
    bool
        Whether it does.
    """
    return bool(factory.classification_kwargs.get("multi_label", False))
