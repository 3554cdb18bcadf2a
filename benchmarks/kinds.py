"""What a kind of classifier is to the runner: how it is built, and what it trains on."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Features = Literal["vectors", "texts"]
"""What a classifier is fitted on: the frozen vectors of the pool, or its texts."""

_GIVEN_TO_ALL = frozenset(
    {
        "self",
        "batch_selector",
        "device",
        "model_args",
        "multi_label",
        "num_classes",
        "random_state",
        "recorder",
        "seed",
    }
)


JUDGE_EPOCHS = "judge_epochs"
"""A parameter of every kind that can be recorded: judge the model on the test set after each epoch
of each fit, and keep the losses."""


@dataclass(frozen=True)
class FactoryRequest:
    """What a factory is built for.

    Parameters
    ----------
    params : mapping of str to Any
        Parameters of the classifier, the model not among them.
    num_classes : int
        Number of classes.
    seed : int
        The seed of the model.
    device : str or None, default=None
        Where it is trained, for classifiers that have a choice.
    model : str or None, default=None
        Folder of the pretrained model, for kinds that have one.
    recorder : Any or None, default=None
        A recorder of training dynamics, for kinds that can be recorded.
    """

    params: Mapping[str, Any]
    num_classes: int
    seed: int
    device: str | None = None
    model: str | None = None
    recorder: Any = None


@dataclass(frozen=True)
class ClassifierKind:
    """An entry of the registry of classifiers.

    Parameters
    ----------
    description : str
        One line for ``list``.
    build : callable
        From a :class:`FactoryRequest` to a small-text factory.
    parameters : callable
        Returns every parameter name of the classes behind it, those that the runner fills in
        included.
    features : {"vectors", "texts"}, default="vectors"
        What it is fitted on.
    default_model : str or None, default=None
        The pretrained model that it starts from, where a suite names none; None: it has no model.
    given : frozenset of str, default=frozenset()
        Parameters that the runner fills in, beside those it fills in for all kinds.
    is_recorded : bool, default=False
        Whether its training dynamics can be recorded.
    """

    description: str
    build: Callable[[FactoryRequest], Any]
    parameters: Callable[[], set[str]]
    features: Features = "vectors"
    default_model: str | None = None
    given: frozenset[str] = frozenset()
    is_recorded: bool = False

    @property
    def takes_model(self) -> bool:
        """Whether it starts from a pretrained model."""
        return self.default_model is not None

    def is_given(self, name: str) -> bool:
        """Return whether the runner fills in this parameter."""
        return name in _GIVEN_TO_ALL or name in self.given

    def open_parameters(self) -> set[str]:
        """Return the parameters that a suite may set."""
        found = {name for name in self.parameters() if not self.is_given(name)}
        found |= {"model"} if self.takes_model else set()
        return found | {JUDGE_EPOCHS} if self.is_recorded else found


def signature_names(cls: Any) -> set[str]:  # noqa: ANN401
    """Return the names of the parameters of a class."""
    return set(inspect.signature(cls.__init__).parameters)


def field_names(cls: Any) -> set[str]:  # noqa: ANN401
    """Return the names of the fields of a dataclass."""
    return {field.name for field in dataclasses.fields(cls)}
