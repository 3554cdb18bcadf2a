"""What classifiers share that train another one in a way of their own."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from small_text import AbstractClassifierFactory, Classifier, EmbeddingMixin

from small_text_ext._random import resolve_seed
from small_text_ext.classifiers.base import TrainedClassifier, TrainedClassifierFactory


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

    def _fitted(self) -> TrainedClassifier:
        if self.classifier_ is None:
            raise ValueError(f"This {type(self).__name__} is not fitted: call fit first.")
        return self.classifier_


class WrappedClassifierFactory(AbstractClassifierFactory):
    """Keeps a factory and the options of a classifier around it, checked.

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

    def __init__(self, base_factory: TrainedClassifierFactory, **options: Any) -> None:  # noqa: ANN401
        self.base_factory = base_factory
        self.options = {**options, "seed": resolve_seed(options.get("seed"))}
        self.new()

    @abstractmethod
    def new(self) -> WrappedClassifier:
        """Return a new, unfitted classifier."""


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
