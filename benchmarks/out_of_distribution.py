"""Test sets of another distribution: what a model that was taught one data set knows of another.

They belong to a data set of a suite, are never trained on, and are the same for every seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from benchmarks.datasets import Item, LabeledTexts, load_texts
from benchmarks.fillings import Fillings
from benchmarks.hub_data import HubOptions
from benchmarks.suggestions import SuiteError, unknown_name

Labels = NDArray[np.int64]

MEASURE = "accuracy."
"""What a metric's name begins with; the id of the test set follows."""

# What is trained on, and what vectors come with the data, is no matter here.
_OPTIONS = {field.name for field in fields(HubOptions)} - {
    "train_split",
    "test_split",
    "embeddings",
}


class OutOfDistributionEntry(BaseModel):
    """A test set of another distribution, as a suite names it.

    Parameters
    ----------
    id : str
        What tables show.
    name : str
        A name of the registry, ``csv:PATH`` or ``hub:NAME``.
    split : str or None
        Of ``hub:``, the split that is used, or several joined by ``+``. None is the test set that
        comes with the data, and all of them where they have none.
    classes : dict of str to str
        Its class names to those of the training set. Those that are not named have the same name
        there.
    options : dict
        For the loader of ``hub:``, as a data set of a suite has them: ``config``, ``revision``,
        ``text_column``, ``label_column`` and others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    name: str
    split: str | None = None
    classes: dict[str, str] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("options")
    @classmethod
    def _known(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in options:
            if name not in _OPTIONS:
                raise unknown_name("option of out_of_distribution", name, _OPTIONS)
        if "fillings" not in options:
            return options
        return {**options, "fillings": Fillings.model_validate(options["fillings"])}


@dataclass(frozen=True)
class OtherTestSet:
    """A test set of another distribution, as a unit judges by it.

    Parameters
    ----------
    id : str
        What metrics are called after.
    vectors : numpy.ndarray of float32, shape (n, d)
        Its vectors.
    labels : numpy.ndarray of int64, shape (n,)
        Its labels, those of the training set.
    texts : sequence or None
        Its texts, or pairs of texts, for classifiers that read them.
    """

    id: str
    vectors: NDArray[np.float32]
    labels: Labels
    texts: Sequence[Item] | None = None


def load_other_test(entry: OutOfDistributionEntry, class_names: Sequence[str]) -> LabeledTexts:
    """Load a test set of another distribution, with the labels of the training set.

    Parameters
    ----------
    entry : OutOfDistributionEntry
        What the suite says.
    class_names : sequence of str
        The classes of the training set.

    Returns
    -------
    LabeledTexts
        Its test part alone.

    Raises
    ------
    SuiteError
        If a class has no counterpart; the message names both sides.
    MissingSourceError
        If it is not on this machine.
    """
    options = dict(entry.options)
    if entry.split is not None:
        options["train_split"] = entry.split
    if options and not entry.name.startswith("hub:"):
        raise SuiteError(
            f"out_of_distribution '{entry.id}': {entry.name} takes no {', '.join(options)}: only "
            "hub: data sets do."
        )
    data = load_texts(entry.name, options)
    if data.is_test is not None:
        wanted = data.is_test if entry.split is None else ~data.is_test
        data = data.rows(np.flatnonzero(wanted))
    mapping = _mapping(entry, data.class_names, class_names)
    labels = mapping[data.labels]
    return replace(data, labels=labels, class_names=tuple(class_names), is_test=None, groups=None)


def _mapping(
    entry: OutOfDistributionEntry, own: Sequence[str], trained: Sequence[str]
) -> NDArray[np.int64]:
    kind = f"class of out_of_distribution '{entry.id}'"
    for name, target in entry.classes.items():
        if name not in own:
            raise unknown_name(kind, name, own)
        if target not in trained:
            raise unknown_name(f"class that '{name}' of '{entry.id}' stands for", target, trained)
    named = [entry.classes.get(name, name) for name in own]
    missing = [name for name in named if name not in trained]
    if missing:
        raise SuiteError(
            f"out_of_distribution '{entry.id}' has the class '{missing[0]}', which the training "
            f"set does not have ({', '.join(trained)}): say which one it is, with "
            f'classes = {{"{missing[0]}" = "..."}}.'
        )
    return np.array([list(trained).index(name) for name in named], dtype=np.int64)


def check_ids(entries: Sequence[OutOfDistributionEntry]) -> None:
    """Check that no two test sets of a data set have one id.

    Raises
    ------
    ValueError
        If two have; the message names it.
    """
    ids = [entry.id for entry in entries]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise ValueError(f"out_of_distribution has two test sets '{twice[0]}': rename one.")


def judge_others(
    predict: Callable[[OtherTestSet], NDArray[np.float64]], others: Sequence[OtherTestSet]
) -> dict[str, float | None]:
    """Return the accuracy on each test set of another distribution.

    Parameters
    ----------
    predict : callable
        From a test set to the probabilities of its classes, (n, num_classes).
    others : sequence of OtherTestSet
        The test sets.

    Returns
    -------
    dict of str to float
        ``accuracy.<id>``.

    Examples
    --------
    >>> other = OtherTestSet("wsc", np.zeros((2, 1), dtype=np.float32), np.array([0, 1]))
    >>> judge_others(lambda other: np.array([[0.9, 0.1], [0.8, 0.2]]), [other])
    {'accuracy.wsc': 0.5}
    """
    return {
        f"{MEASURE}{other.id}": float((predict(other).argmax(axis=1) == other.labels).mean())
        for other in others
    }


def measure_titles(ids: Sequence[str]) -> Mapping[str, str]:
    """Return titles of columns to the metrics of these test sets."""
    return {f"accuracy on {name}": f"{MEASURE}{name}" for name in ids}
