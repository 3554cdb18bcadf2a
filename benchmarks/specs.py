"""Suites: what a TOML file may say, as models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from benchmarks.datasets import dataset_spec, resolve_minority
from benchmarks.fillings import Fillings
from benchmarks.hub_data import EmbeddingsOptions, HubOptions
from benchmarks.methods import nested_method
from benchmarks.out_of_distribution import OutOfDistributionEntry, check_ids
from benchmarks.plugins import classifier_fingerprint, strategies_fingerprint
from benchmarks.results import ClassifierRecord, MethodRecord, ProtocolRecord
from benchmarks.side_classifiers import nested_classifier
from benchmarks.suggestions import SuiteError


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EncoderEntry(_Entry):
    """The frozen encoder of a suite.

    Parameters
    ----------
    name : str
        ``minilm``, a folder, or a name on the hub.
    precision : {"float32", "bfloat16"}
        Arithmetic of the encoder; it changes vectors, so it is part of the hash.
    storage_dtype : {"float32", "float16"}
        Of the vectors on disk.
    """

    name: str = "minilm"
    precision: Literal["float32", "bfloat16"] = "float32"
    storage_dtype: Literal["float32", "float16"] = "float32"


class EmbeddingsEntry(_Entry):
    """Vectors that a data set of the hub brings with it, used in the place of an encoder's.

    Parameters
    ----------
    name : str
        What results call the encoder.
    column : str
        The column of the vectors.
    config : str or None
        The configuration that holds it; None: the one of the texts.
    key : str or None
        A column of texts and vectors alike, by which they are put together; None: row by row.
    """

    name: str
    column: str
    config: str | None = None
    key: str | None = None


class DatasetEntry(_Entry):
    """A data set of a suite, and what is made of it.

    Parameters
    ----------
    name : str
        A name of the registry, ``csv:PATH`` or ``hub:NAME``.
    id : str or None
        What tables show; by default the name with the wanted classes and the prevalence.
    minority : list of str, "all" or None
        The wanted classes, against the rest. None takes the first rare class of the registry; where
        there is none, all classes count alike.
    prevalence : float or None
        Share that the wanted class is sampled down to in the pool; it needs a wanted class.
    min_class_size : int or None
        Leave out the classes with fewer texts than that.
    max_texts : int or None
        Draw so many texts first, always the same ones.
    min_per_class : int
        Draw so many texts of each class first, all where there are fewer.
    keep_minority : bool
        Draw them from the unwanted classes only: a slice of some thousand texts would hold a
        handful of a class of 3 in 1,000, too few for pool and test set. With a prevalence the pool
        is thinned to it afterwards; the test set keeps its share of all wanted texts.
    optional : bool
        Where the source is missing, skip it and say so.
    max_test_majority : int or None
        Keep only so many unwanted texts of the test set that comes with the data; it needs a wanted
        class.
    config, revision, text_column, second_text_column, label_column, train_split, test_split, \
label_names, label_groups, drop_unlabeled, embeddings, fillings
        For ``hub:``, see :class:`benchmarks.hub_data.HubOptions`; the columns of texts and labels
        also for ``csv:``.
    second_label_column : str or None
        For ``csv:``, see :func:`benchmarks.user_data.load_csv`.
    rounds, query_size, initial_size, initial_minority : int or None
        The loop on this data set, where it is not that of the suite.
    out_of_distribution : tuple of OutOfDistributionEntry
        Test sets of other distributions, which every fit on this data set is judged by, too.
    """

    name: str
    id: str = ""
    minority: tuple[str, ...] | str | None = None
    prevalence: float | None = Field(default=None, gt=0, lt=1)
    min_class_size: int | None = Field(default=None, ge=1)
    max_texts: int | None = Field(default=None, ge=1)
    min_per_class: int = Field(default=0, ge=0)
    keep_minority: bool = False
    optional: bool = False
    max_test_majority: int | None = Field(default=None, ge=1)
    config: str | None = None
    revision: str | None = None
    text_column: str | None = None
    second_text_column: str | None = None
    label_column: str | None = None
    second_label_column: str | None = None
    train_split: str | None = None
    test_split: str | None = None
    label_names: tuple[str, ...] | None = None
    label_groups: dict[str, tuple[int | str, ...]] | None = None
    drop_unlabeled: bool = False
    embeddings: EmbeddingsEntry | None = None
    fillings: Fillings | None = None
    rounds: int | None = Field(default=None, ge=0)
    query_size: int | None = Field(default=None, ge=1)
    initial_size: int | None = Field(default=None, ge=1)
    initial_minority: int | None = Field(default=None, ge=1)
    out_of_distribution: tuple[OutOfDistributionEntry, ...] = ()

    @model_validator(mode="after")
    def _with_distinct_ids(self) -> DatasetEntry:
        check_ids(self.out_of_distribution)
        if self.embeddings is not None and self.out_of_distribution:
            raise SuiteError(
                f"data set '{self.id}': its embeddings come with the data, and the test sets of "
                "out_of_distribution have none of that encoder: leave either out."
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, value: Any) -> Any:  # noqa: ANN401 - raw TOML
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            return value
        spec = dataset_spec(value["name"])
        minority = resolve_minority(spec, value.get("minority"))
        marks = ":" + ("all" if value.get("minority") == "all" else "+".join(minority))
        share = value.get("prevalence")
        if share is not None and not minority:
            raise SuiteError(
                f"data set '{value['name']}': prevalence is {share}, but no class is wanted: name "
                "one with minority (in a suite) or --minority, or leave prevalence out."
            )
        shown = f"@{share:g}" if isinstance(share, int | float) else ""
        default = value["name"] + marks.rstrip(":") + shown
        least = value.get("min_class_size")
        if least is not None and minority:
            raise SuiteError(
                f"data set '{value['name']}': min_class_size leaves small classes out, and "
                f"{', '.join(minority)} is wanted: pass minority = [] with it, or leave it out."
            )
        if value.get("max_test_majority") is not None and not minority:
            raise SuiteError(
                f"data set '{value['name']}': max_test_majority keeps all wanted texts, but no "
                "class is wanted: name one with minority, or leave max_test_majority out."
            )
        return {"id": default, **value, "minority": minority}

    @property
    def wanted(self) -> tuple[str, ...]:
        """The wanted classes; empty where all count alike."""
        return tuple(self.minority or ())

    @property
    def options(self) -> dict[str, Any]:
        """What the loader of ``hub:`` gets."""
        given = {field.name: getattr(self, field.name) for field in fields(HubOptions)}
        given["second_label_column"] = self.second_label_column
        options = {name: value for name, value in given.items() if value}
        if self.embeddings is not None:
            options["embeddings"] = EmbeddingsOptions(**self.embeddings.model_dump())
        return options


class ClassifierEntry(_Entry):
    """A classifier of a suite: its kind, any parameters of its class; and where it is used.

    Parameters
    ----------
    kind : str
        A kind of the registry.
    params : dict
        Parameters of the class; ``model`` names the pretrained model of a kind that has one.
    datasets, methods : tuple of str or None
        Data sets (by id, or by name for all variants of one), and names of the methods, that it is
        used with; None: all.
    seeds : int or None
        Number of its seeds; None: that of the suite. One that takes minutes a fit has fewer.
    """

    kind: str
    params: dict[str, Any] = Field(default_factory=dict)
    datasets: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    seeds: int | None = Field(default=None, ge=1)


class MethodEntry(_Entry):
    """A method of a suite: strategy, base, any parameters of its class; and where it runs.

    Parameters
    ----------
    strategy : str
        A class of small-text-ext or small-text, or a one-shot experiment: ``full-data``,
        ``MapSubset`` or ``NoiseDetection``.
    base : str or None
        The base strategy.
    params : dict
        Parameters of the strategy. ``{method = "NAME"}`` stands for another method of the suite,
        with the parameters that it has on the same data set, ``{classifier = "NAME"}`` for a
        classifier of the suite.
    ablation : bool
        Tables show it apart.
    datasets, classifiers : tuple of str or None
        Data sets (by id, or by name for all variants of one), and names of the classifiers, that it
        runs with; None: all.
    requires : str or None
        A package that it needs; where it is not installed, the method is skipped, and that is said.
    on : dict of str to dict
        Other parameters on one data set, by its name or id: a subpool for millions of texts does
        not filter a thousand. What stands under an id wins.
    """

    strategy: str
    base: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    ablation: bool = False
    datasets: tuple[str, ...] | None = None
    classifiers: tuple[str, ...] | None = None
    requires: str | None = None
    on: dict[str, dict[str, Any]] = Field(default_factory=dict)


class PublishedNumber(_Entry):
    """A number that a paper or its authors' repository gives, with its place in the suite.

    Parameters
    ----------
    value : float
        The number, in the unit of ``metric``: shares and F1 between 0 and 1.
    metric : str
        A summary of a result, such as ``final_accuracy`` or ``published_area_f1``; or
        ``epochs_to_accuracy_0.9``, see :func:`benchmarks.selection_tables.epochs_to_accuracy`, or
        ``times_faster_steps``.
    dataset, classifier, method : str or None
        Names in the suite; None: the paper's number is not of one.
    spread : float or None
        What the source gives behind the plus-minus sign.
    up_to_round : int or None
        The last round that the number counts; None: all. Runs that end earlier have none.
    statistic : {"mean", "median"}
        What the source takes over its runs, and the report over ours.
    note : str
        What the reader must know: from memory, read off a figure, another test set.
    """

    value: float
    metric: str
    dataset: str | None = None
    classifier: str | None = None
    method: str | None = None
    spread: float | None = None
    up_to_round: int | None = Field(default=None, ge=0)
    statistic: Literal["mean", "median"] = "mean"
    note: str = ""


OUT_OF_SCOPE: Final = "out of scope"
"""The status of a published experiment that has a suite without units."""


class Publication(_Entry):
    """The published experiment that a suite repeats.

    Parameters
    ----------
    id : str
        Its id in the list that ``list published`` shows.
    line : {"anchoral", "rho-loss", "cartography", "alignment", "diversity"}
        The line of research.
    source : str
        Paper, repository or article.
    status : {"recovered", "partly recovered", "not recovered", "out of scope"}
        Whether its numbers were found. What is out of scope has a suite without units.
    reason : str
        Why it is out of scope, or what was not found.
    differences : tuple of str
        Where the suite departs from what was published.
    numbers : tuple of PublishedNumber
        What was found.
    """

    id: str
    line: Literal["anchoral", "rho-loss", "cartography", "alignment", "diversity"]
    source: str
    status: Literal["recovered", "partly recovered", "not recovered", "out of scope"]
    reason: str = ""
    differences: tuple[str, ...] = ()
    numbers: tuple[PublishedNumber, ...] = ()


class Suite(_Entry):
    """A whole suite, see ``suites/*.toml``.

    Parameters
    ----------
    name, description : str
        The folder of the results, and one line for ``list``.
    seeds : int
        Number of seeds, of classifiers that say nothing else.
    seed_grid : tuple of 3 int, or None
        So many seeds of the data, of models and of queries, each combined with each: (2, 2, 2) are
        8 runs, of which ``seeds`` are the first; by default all. None: every run has three seeds of
        its own.
    rounds, query_size : int
        Queries, and labels of each.
    initial_size, initial_minority : int
        Labels before the first query, and how many of them of each wanted class.
    test_size : float
        Share of the test set, where the data have none of their own.
    time_limit : float or None
        Seconds after which a unit starts no further round. What a unit reaches then depends on the
        machine.
    encoder, datasets, classifiers, methods
        What is run: every method on every data set with every classifier and seed. A published
        experiment that is out of scope has nothing to run.
    published : Publication or None
        The published experiment that it repeats, with its numbers.
    plugins : tuple of str
        Plugins that it needs, each ``module:function``, see :mod:`benchmarks.plugins`.
    """

    name: str
    description: str = ""
    seeds: int = Field(default=3, ge=1)
    seed_grid: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    rounds: int = Field(default=20, ge=0)
    query_size: int = Field(default=25, ge=1)
    initial_size: int = Field(default=100, ge=1)
    initial_minority: int = Field(default=5, ge=1)
    test_size: float = Field(default=0.2, gt=0, lt=1)
    time_limit: float | None = Field(default=None, gt=0)
    encoder: EncoderEntry = EncoderEntry()
    datasets: tuple[DatasetEntry, ...] = ()
    classifiers: dict[str, ClassifierEntry] = Field(default_factory=dict)
    methods: dict[str, MethodEntry] = Field(default_factory=dict)
    published: Publication | None = None
    plugins: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _count_seeds(cls, value: Any) -> Any:  # noqa: ANN401 - raw TOML
        grid = value.get("seed_grid") if isinstance(value, dict) else None
        if not isinstance(grid, list | tuple) or not all(type(n) is int and n > 0 for n in grid):
            return value
        return {"seeds": math.prod(grid), **value}

    @model_validator(mode="after")
    def _check_seeds(self) -> Self:
        if self.seed_grid is None:
            return self
        number = math.prod(self.seed_grid)
        for asked in (self.seeds, *(entry.seeds or 0 for entry in self.classifiers.values())):
            if asked > number:
                raise SuiteError(
                    f"suite '{self.name}': seeds is {asked}, but seed_grid {list(self.seed_grid)} "
                    f"has {number} combinations: ask for fewer, or leave seed_grid out."
                )
        return self

    @model_validator(mode="after")
    def _check_scope(self) -> Self:
        sections = {
            "datasets": self.datasets,
            "classifiers": self.classifiers,
            "methods": self.methods,
        }
        if self.out_of_scope is not None:
            if filled := [name for name, content in sections.items() if content]:
                raise SuiteError(
                    f"suite '{self.name}' is out of scope, but has {' and '.join(filled)}: leave "
                    "them out, or give published another status."
                )
            return self
        if empty := [name for name, content in sections.items() if not content]:
            raise SuiteError(
                f"suite '{self.name}' has no {' and no '.join(empty)}: it needs at least one of "
                "each."
            )
        return self

    @property
    def out_of_scope(self) -> str | None:
        """Why there is nothing to run; None where there is."""
        if self.published is None or self.published.status != OUT_OF_SCOPE:
            return None
        return self.published.reason

    @property
    def protocol(self) -> ProtocolRecord:
        """The loop's part."""
        return ProtocolRecord(
            rounds=self.rounds,
            query_size=self.query_size,
            initial_size=self.initial_size,
            initial_minority=self.initial_minority,
            test_size=self.test_size,
            time_limit=self.time_limit,
        )

    def protocol_on(self, dataset: str) -> ProtocolRecord:
        """Return the loop on one data set.

        Parameters
        ----------
        dataset : str
            Id of the data set.

        Returns
        -------
        ProtocolRecord
            The suite's, but for what the data set changes.
        """
        (entry,) = (entry for entry in self.datasets if entry.id == dataset)
        changes = {name: getattr(entry, name) for name in _LOOP_FIELDS}
        given = {name: value for name, value in changes.items() if value is not None}
        return self.protocol.model_copy(update=given)

    def classifier_records(self) -> list[ClassifierRecord]:
        """Return the classifiers as results describe them."""
        return [
            ClassifierRecord(
                id=name,
                kind=entry.kind,
                params=entry.params,
                plugin=classifier_fingerprint(entry.kind),
            )
            for name, entry in self.classifiers.items()
        ]

    def num_seeds(self, classifier: str) -> int:
        """Return the number of seeds of a classifier."""
        own = self.classifiers[classifier].seeds
        return self.seeds if own is None else own

    def method_records(self, dataset: str, classifier: str | None = None) -> list[MethodRecord]:
        """Return the methods that run on a data set, with a classifier, as results describe them.

        Parameters
        ----------
        dataset : str
            Id of the data set.
        classifier : str or None, default=None
            Name of the classifier; None: whichever.

        Returns
        -------
        list of MethodRecord
            In the order of the suite.
        """
        names = (*(entry.name for entry in self.datasets if entry.id == dataset), dataset)
        return [
            method_record(name, entry, names)
            for name, entry in self.methods.items()
            if _allowed(names, entry.datasets)
            and (classifier is None or self.runs_with(classifier, name, names))
        ]

    def runs_with(self, classifier: str, method: str, dataset: Sequence[str] = ()) -> bool:
        """Return whether a method and a classifier run with each other on a data set.

        Parameters
        ----------
        classifier, method : str
            Names in the suite.
        dataset : sequence of str, default=()
            Name and id of the data set; empty: on any.

        Returns
        -------
        bool
            Whether they do.
        """
        used = self.classifiers[classifier]
        return (
            _allowed((classifier,), self.methods[method].classifiers)
            and _allowed((method,), used.methods)
            and _allowed(dataset, used.datasets)
        )


_LOOP_FIELDS = ("rounds", "query_size", "initial_size", "initial_minority")


def _allowed(names: Sequence[str], allowed: tuple[str, ...] | None) -> bool:
    return not names or allowed is None or not set(names).isdisjoint(allowed)


def method_record(name: str, entry: MethodEntry, dataset: Sequence[str] = ()) -> MethodRecord:
    """Return one method, with its parameters on one data set, as results describe it.

    Parameters
    ----------
    name : str
        The method's name.
    entry : MethodEntry
        What the suite says.
    dataset : sequence of str, default=()
        Name and id of the data set, the one that wins last.

    Returns
    -------
    MethodRecord
        The record; methods that it refers to stand in their places, as they are on this data set.
    """
    params = dict(entry.params)
    for known_as in dataset:
        params |= entry.on.get(known_as, {})
    return MethodRecord(
        id=name,
        strategy=entry.strategy,
        base=entry.base,
        params={key: _resolved(key, value, dataset) for key, value in params.items()},
        ablation=entry.ablation,
        plugin=strategies_fingerprint(_strategies(entry, params)),
    )


def _resolved(name: str, value: Any, dataset: Sequence[str]) -> Any:  # noqa: ANN401 - raw TOML
    """Return a parameter's value, with a method or classifier that it stands for as results do."""
    if isinstance(value, MethodEntry):
        return nested_method(method_record(name, value, dataset))
    if isinstance(value, ClassifierEntry):
        plugin = classifier_fingerprint(value.kind)
        record = ClassifierRecord(id=name, kind=value.kind, params=value.params, plugin=plugin)
        return nested_classifier(record)
    return value


def _strategies(entry: MethodEntry, params: Mapping[str, Any]) -> list[str | None]:
    """Return the names of all strategies that a method is made of."""
    nested = [value for value in params.values() if isinstance(value, MethodEntry)]
    return [name for each in (entry, *nested) for name in (each.strategy, each.base)]
