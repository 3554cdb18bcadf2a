"""Loader for ``hub:NAME``: a data set of the Hugging Face hub, or a local folder in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import DATASETS, LabeledTexts, MissingSourceError, encode_labels
from benchmarks.fillings import Fillings, filled_pairs
from benchmarks.given_vectors import GivenVectors
from benchmarks.suggestions import SuiteError
from small_text_ext._extras import require_extra

TEXT_COLUMNS = ("text", "sentence", "content", "comment_text", "review", "document")
LABEL_COLUMNS = ("label", "labels", "coarse_label", "class", "category", "target")
OTHERS = "others"
"""The class of the items that are in none of ``label_groups``."""

_SPLITS = ("train", "test")
_SAVED_FOLDER = "dataset_dict.json"
_UNLABELED = -1


@dataclass(frozen=True)
class EmbeddingsOptions:
    """Where a data set's own vectors are.

    Parameters
    ----------
    name : str
        What results call the encoder.
    column : str
        The column of the vectors.
    config : str or None, default=None
        The configuration that holds it; None: the one of the texts.
    key : str or None, default=None
        A column of texts and vectors alike, by which they are put together. None: row by row.
    """

    name: str
    column: str
    config: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class HubOptions:
    """What a suite says of a data set of the hub.

    Parameters
    ----------
    config, revision : str or None, default=None
        Name of the configuration; commit, tag or branch: pin it for numbers that others should
        reproduce.
    text_column, label_column : str or None, default=None
        Columns to use; by default the first of the usual names that exists.
    second_text_column : str or None, default=None
        The second texts, where items are pairs.
    train_split, test_split : str or None, default=None
        Names of splits, or several joined by ``+``. By default train and test, where both exist;
        otherwise the first split, which is divided by the seed.
    label_names : sequence of str or None, default=None
        Names for the labels 0, 1, ...
    label_groups : mapping of str to sequence of int or str, or None, default=None
        Classes that are made of the values in the label column, which may be lists: name to
        values. Where an item has values of several classes, the last of them in this order counts;
        where it has none, its class is ``others``.
    drop_unlabeled : bool, default=False
        Leave out items with the label -1.
    embeddings : EmbeddingsOptions or None, default=None
        Vectors that come with the data.
    fillings : Fillings or None, default=None
        Makes pairs of texts with a gap, filled with one word or another.
    """

    config: str | None = None
    revision: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    second_text_column: str | None = None
    train_split: str | None = None
    test_split: str | None = None
    label_names: Sequence[str] | None = None
    label_groups: Mapping[str, Sequence[int | str]] | None = None
    drop_unlabeled: bool = False
    embeddings: EmbeddingsOptions | None = None
    fillings: Fillings | None = None


def open_hub(location: str, config: str | None = None, revision: str | None = None) -> Any:  # noqa: ANN401
    """Open a data set with all its splits: the one place where the hub is asked for data.

    Parameters
    ----------
    location : str
        Name on the hub, a folder of CSV, JSON or Parquet files, or one that ``save_to_disk`` of the
        ``datasets`` library wrote.
    config, revision : str or None, default=None
        As in :class:`HubOptions`.

    Returns
    -------
    datasets.DatasetDict
        The splits by name.

    Raises
    ------
    MissingSourceError
        If it cannot be loaded, with the library's own words.
    """
    library = require_extra("datasets", "bench")
    try:
        if (Path(location) / _SAVED_FOLDER).is_file():
            return library.load_from_disk(location)
        return library.load_dataset(location, name=config, revision=revision)
    except Exception as error:  # the library raises a dozen unrelated types here
        raise MissingSourceError(
            f"hub:{location} could not be loaded: {error}. Check the name and the network, log in "
            "(hf auth login) where it is gated, or name a folder of files: hub:FOLDER."
        ) from error


def load_hub(location: str, **options: Any) -> LabeledTexts:  # noqa: ANN401
    """Load a data set through the ``datasets`` library.

    Parameters
    ----------
    location : str
        As for :func:`open_hub`.
    **options
        Those of :class:`HubOptions`.

    Returns
    -------
    LabeledTexts
        The texts of train and test; without a test split, those of train alone.

    Raises
    ------
    MissingSourceError
        If it cannot be loaded.
    SuiteError
        If a column or split does not exist or cannot be told, a text or label is missing or a
        list, or the vectors do not belong to the texts; the message names what to change.
    """
    if "second_label_column" in options:
        raise SuiteError(
            f"hub:{location}: second_label_column is of csv: data sets: write the texts into a CSV "
            "file, or leave it out."
        )
    chosen = HubOptions(**options)
    source = _Source.open(location, chosen)
    text = source.column("text_column", chosen.text_column, TEXT_COLUMNS)
    label = source.column("label_column", chosen.label_column, LABEL_COLUMNS)
    labels, names = _labels(source, chosen, label)
    texts, second_texts = _items(source, chosen, text)
    data = LabeledTexts(
        name=source.name,
        texts=texts,
        labels=labels,
        class_names=names,
        licence=DATASETS["hub:"].licence,
        source=f"{location}@{chosen.revision}" if chosen.revision else location,
        is_test=source.is_test(),
        second_texts=second_texts,
        vectors=None if chosen.embeddings is None else _vectors(source, chosen.embeddings),
    )
    return _labeled_only(data, chosen.drop_unlabeled)


@dataclass(frozen=True)
class _Source:
    """The splits that are used, and how errors call them."""

    location: str
    revision: str | None
    config: str | None
    splits: Mapping[str, Any]
    train: tuple[str, ...]
    test: tuple[str, ...]

    @classmethod
    def open(cls, location: str, options: HubOptions) -> _Source:
        splits = dict(open_hub(location, options.config, options.revision))
        train, test = _chosen_splits(f"hub:{location}", list(splits), options)
        return cls(location, options.revision, options.config, splits, train, test)

    @property
    def name(self) -> str:
        return f"hub:{self.location}"

    @property
    def used(self) -> tuple[str, ...]:
        return self.train + self.test

    def is_test(self) -> NDArray[np.bool_] | None:
        if not self.test:
            return None
        sizes = [len(self.splits[name]) for name in self.used]
        return np.repeat([name in self.test for name in self.used], sizes)

    def column(self, argument: str, given: str | None, usual: Sequence[str] = ()) -> str:
        candidates = [given] if given is not None else list(usual)
        features = self.splits[self.used[0]].features
        for name in candidates:
            if name in features:
                return name
        raise SuiteError(
            f"{self.name} has the columns {sorted(features)}, none of them {candidates}: set "
            f"{argument} in the suite's data set."
        )

    def values(self, column: str, is_usable: Callable[[Any], bool], hint: str) -> list[Any]:
        """Return a column of all used splits, each value of which is usable."""
        values: list[Any] = []
        for name in self.used:
            found = _whole_column(self.splits[name], column)
            for row, value in enumerate(found):
                if not is_usable(value):
                    raise SuiteError(
                        f"{self.name}, split '{name}', column '{column}', row {row}: {value!r} is "
                        f"{hint}"
                    )
            values += found
        return values

    def texts(self, column: str) -> tuple[str, ...]:
        hint = (
            "neither a text nor a number. Drop such rows, or choose another column with "
            "text_column or label_column."
        )
        return tuple(map(str, self.values(column, _is_cell, hint)))


def _chosen_splits(
    name: str, known: list[str], options: HubOptions
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    both = set(_SPLITS) <= set(known)
    train = _split_names(name, "train_split", options.train_split, known)
    train = train or (("train",) if both else tuple(known[:1]))
    test = _split_names(name, "test_split", options.test_split, known)
    if not test and both and "test" not in train:
        test = ("test",)
    if shared := sorted(set(train) & set(test)):
        raise SuiteError(
            f"{name}: the split {', '.join(shared)} is pool and test set at once: change "
            "train_split or test_split."
        )
    return train, test


def _split_names(name: str, argument: str, given: str | None, known: list[str]) -> tuple[str, ...]:
    names = () if given is None else tuple(part.strip() for part in given.split("+"))
    if unknown := [part for part in names if part not in known]:
        raise SuiteError(
            f"{name} has the splits {known}, not {', '.join(map(repr, unknown))}: change "
            f"{argument} in the suite's data set."
        )
    return names


def _whole_column(split: Any, column: str) -> list[Any]:  # noqa: ANN401 - a datasets.Dataset
    if column not in split.features:
        return [None] * len(split)
    return list(split.select_columns([column])[:][column])


def _is_cell(value: Any) -> bool:  # noqa: ANN401
    # A number that is not equal to itself is how tables spell a missing one.
    return isinstance(value, str | int | float) and value == value


def _items(
    source: _Source, options: HubOptions, column: str
) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Return the texts and, where items are pairs, the second texts."""
    texts = source.texts(column)
    if options.fillings is not None:
        return _filled(source, options.fillings, texts)
    if options.second_text_column is None:
        return texts, None
    second = source.column("second_text_column", options.second_text_column)
    return texts, source.texts(second)


def _filled(
    source: _Source, fillings: Fillings, texts: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    hint = "neither a text nor a list of texts: change fillings in the suite's data set."
    found = [
        source.values(
            source.column("fillings", name), lambda v: isinstance(v, list) or _is_cell(v), hint
        )
        for name in (*fillings.columns, fillings.position, fillings.replaced)
        if name is not None
    ]
    words, places = found[: len(fillings.columns)], found[len(fillings.columns) :]
    choices = words[0] if len(words) == 1 else list(zip(*words, strict=True))
    pairs = filled_pairs(
        source.name, texts, choices, fillings.mark, list(zip(*places, strict=True))
    )
    first, second = zip(*pairs, strict=True)
    return first, second


def _labels(
    source: _Source, options: HubOptions, column: str
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if options.label_groups is not None:
        return _grouped_labels(source, options.label_groups, column, options.drop_unlabeled)
    hint = (
        "neither a text nor a number. Drop such rows, choose another column with label_column, or "
        "make classes of lists with label_groups."
    )
    values = source.values(column, _is_cell, hint)
    feature = source.splits[source.used[0]].features[column]
    names = options.label_names or getattr(feature, "names", None)
    if names is None:
        unlabeled = [options.drop_unlabeled and value == _UNLABELED for value in values]
        kept = np.flatnonzero(~np.asarray(unlabeled))
        labels = np.full(len(values), _UNLABELED, dtype=np.int64)
        labels[kept], found = encode_labels([str(values[row]) for row in kept])
        return labels, found
    return _numbered_labels(source.name, values, tuple(names)), tuple(names)


def _numbered_labels(name: str, values: list[Any], names: tuple[str, ...]) -> NDArray[np.int64]:
    outside = [v for v in values if v not in range(_UNLABELED, len(names))]
    if outside:
        raise SuiteError(
            f"{name} has the label {outside[0]!r}, but label_names holds {len(names)} names, for 0 "
            f"to {len(names) - 1}: name every class, in the order of the numbers."
        )
    return np.asarray(values, dtype=np.int64)


def _grouped_labels(
    source: _Source, groups: Mapping[str, Sequence[int | str]], column: str, drop_unlabeled: bool
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if OTHERS in groups:
        raise SuiteError(
            f"label_groups of {source.name} names a class '{OTHERS}', which is what all other "
            "items are in: call it something else."
        )
    # Later groups overwrite earlier ones here, and win below, where the highest number is taken.
    place = {value: label for label, values in enumerate(groups.values()) for value in values}
    hint = "neither a text, a number nor a list of them. Drop such rows."
    items = source.values(column, lambda value: isinstance(value, list) or _is_cell(value), hint)
    lists = [item if isinstance(item, list) else [item] for item in items]
    known = {value for values in lists for value in values}
    for name, values in groups.items():
        if known.isdisjoint(values):
            raise SuiteError(
                f"label_groups of {source.name} gathers {list(values)} under '{name}', none of "
                f"which column '{column}' has: it holds such values as "
                f"{sorted(known, key=str)[:5]}."
            )
    labels = [
        _UNLABELED
        if drop_unlabeled and values == [_UNLABELED]
        else max((place[value] for value in values if value in place), default=len(groups))
        for values in lists
    ]
    return np.asarray(labels, dtype=np.int64), (*groups, OTHERS)


def _labeled_only(data: LabeledTexts, drop: bool) -> LabeledTexts:
    labeled = data.labels >= 0
    if labeled.all():
        return data
    if not drop:
        raise SuiteError(
            f"{data.name} holds {int((~labeled).sum())} unlabelled texts (-1): choose labelled "
            "splits with train_split and test_split, or leave such texts out with "
            "drop_unlabeled = true."
        )
    return data.rows(np.flatnonzero(labeled))


def _vectors(source: _Source, options: EmbeddingsOptions) -> GivenVectors:
    library = require_extra("datasets", "bench")
    held = source.splits
    if options.config is not None and options.config != source.config:
        held = dict(open_hub(source.location, options.config, source.revision))
    for name in source.used:
        if name not in held or options.column not in held[name].features:
            found = sorted(held[name].features) if name in held else f"no split '{name}'"
            raise SuiteError(
                f"{source.name}, embeddings of configuration {options.config!r}: no column "
                f"'{options.column}' in split '{name}' ({found}): change embeddings.column or "
                "embeddings.config."
            )
    parts, positions, start = [], [], 0
    for name in source.used:
        positions.append(start + _matched_rows(source, held, name, options.key))
        parts.append(held[name].select_columns([options.column]))
        start += len(held[name])
    table = library.concatenate_datasets(parts)
    return GivenVectors(options.name, table, options.column, np.concatenate(positions))


def _matched_rows(
    source: _Source, held: Mapping[str, Any], split: str, key: str | None
) -> NDArray[np.int64]:
    """Return the row of the vector for each text of a split."""
    number = len(source.splits[split])
    if key is None:
        if len(held[split]) != number:
            raise SuiteError(
                f"{source.name}, split '{split}': {number} texts, but {len(held[split])} "
                "embeddings: name a column that both have as embeddings.key."
            )
        return np.arange(number)
    source.column("embeddings.key", key)
    place = {value: row for row, value in enumerate(_whole_column(held[split], key))}
    wanted = _whole_column(source.splits[split], key)
    if missing := [value for value in wanted if value not in place]:
        raise SuiteError(
            f"{source.name}, split '{split}': {len(missing)} texts have no embedding; the first "
            f"has {key} {missing[0]!r}. Leave embeddings out, and the texts are encoded."
        )
    return np.asarray([place[value] for value in wanted], dtype=np.int64)
