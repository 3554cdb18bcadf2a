"""Plugins: your own methods, classifiers and data sets, under names that suites can use.

A plugin is a function that takes a :class:`Registry`; it is named ``module:function``, on the
command line by ``--plugin`` or in a suite by ``plugins = [...]``. Workers load it too, so its
module must be one that they can import.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from benchmarks.classifiers import CLASSIFIERS
from benchmarks.datasets import DATASETS, DatasetSpec, Loader
from benchmarks.kinds import ClassifierKind
from benchmarks.methods import METHODS, PLUGIN_STRATEGIES, Preset, strategy_names
from benchmarks.suggestions import SuiteError, unknown_name

_FINGERPRINT_LENGTH = 16

_loaded: set[str] = set()
"""Plugins that this process has loaded: each is loaded once."""

_added_kinds: set[str] = set()
"""Kinds of classifiers that plugins have added."""


class Registry:
    """What a plugin adds to; nothing of it counts before the plugin has ended without an error.

    Parameters
    ----------
    plugin : str
        Name of the plugin, for messages.
    """

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self._methods: dict[str, Preset] = {}
        self._strategies: dict[str, Any] = {}
        self._classifiers: dict[str, ClassifierKind] = {}
        self._datasets: dict[str, DatasetSpec] = {}

    def add_strategy(
        self,
        name: str,
        strategy: type,
        description: str = "",
        *,
        base: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a query strategy: a method of this name, and its class for other methods.

        Parameters
        ----------
        name : str
            Name of the method in suites and tables.
        strategy : type
            A small-text ``QueryStrategy``. What it calls ``embeddings`` or ``seed`` in its
            constructor it gets from the runner, ``base_query_strategy`` from the suite's ``base``.
        description : str, default=""
            One line for ``list``.
        base : str or None, default=None
            The base strategy, if it takes one.
        params : mapping, optional
            Its parameters in this method.

        Raises
        ------
        SuiteError
            If there is such a method or strategy already, or the class is no query strategy.
        """
        from small_text import QueryStrategy

        if not inspect.isclass(strategy) or not issubclass(strategy, QueryStrategy):
            raise SuiteError(
                f"plugin '{self.plugin}': the strategy of '{name}' is {strategy!r}: pass a class "
                "that derives from small_text's QueryStrategy."
            )
        known = self._strategies.get(strategy.__name__)
        if known is not strategy:
            self._check_free("strategy", strategy.__name__, (*strategy_names(), *self._strategies))
        self._check_free("method", name, (*METHODS, *self._methods))
        self._strategies[strategy.__name__] = strategy
        self._methods[name] = Preset(strategy.__name__, description, base, params)

    def add_classifier(self, name: str, kind: ClassifierKind) -> None:
        """Add a kind of classifier.

        Parameters
        ----------
        name : str
            What suites call it.
        kind : ClassifierKind
            How it is built, and what it is fitted on.

        Raises
        ------
        SuiteError
            If there is one of this name already, or it is not built by a function or class.
        """
        self._check_free("classifier", name, (*CLASSIFIERS, *self._classifiers))
        # Its file is what tells a changed plugin; an object or a partial has values beside it.
        if not (inspect.isfunction(kind.build) or inspect.isclass(kind.build)):
            raise SuiteError(
                f"plugin '{self.plugin}': '{name}' is built by {kind.build!r}: pass a function or "
                "a class, so that results can tell when it was changed."
            )
        self._classifiers[name] = kind

    def add_dataset(
        self,
        name: str,
        load: Loader,
        description: str = "",
        *,
        licence: str = "your own",
        source: str = "a plugin",
        rare_classes: Sequence[str] = (),
    ) -> None:
        """Add a data set.

        Parameters
        ----------
        name : str
            What suites call it.
        load : callable
            A function of a module, without arguments, that returns
            :class:`benchmarks.datasets.LabeledTexts`.
        description, licence, source : str
            What ``list`` and reports show.
        rare_classes : sequence of str, default=()
            What ``minority = "all"`` stands for; the first is the default.

        Raises
        ------
        SuiteError
            If there is one of this name already, a name with a colon, or ``load`` is not a function
            of a module.
        """
        self._check_free("data set", name, (*DATASETS, *self._datasets))
        if ":" in name:
            raise SuiteError(
                f"plugin '{self.plugin}': the data set is called '{name}', but what stands behind "
                "a colon names classes: leave it out."
            )
        if not inspect.isfunction(load) or not load.__qualname__.isidentifier():
            raise SuiteError(
                f"plugin '{self.plugin}': '{name}' is loaded by {load!r}: pass a function of a "
                "module, which workers can import by its name."
            )
        loader = f"{load.__module__}:{load.__qualname__}"
        self._datasets[name] = DatasetSpec(
            name, description, licence, source, loader, tuple(rare_classes)
        )

    def _check_free(self, kind: str, name: str, known: Iterable[str]) -> None:
        if name in known:
            raise SuiteError(
                f"plugin '{self.plugin}': there is a {kind} called '{name}' already: give yours "
                "another name."
            )

    def apply(self) -> None:
        """Put everything that was added into the registries."""
        METHODS.update(self._methods)
        PLUGIN_STRATEGIES.update(self._strategies)
        CLASSIFIERS.update(self._classifiers)
        DATASETS.update(self._datasets)
        _added_kinds.update(self._classifiers)


def load_plugins(names: Iterable[str]) -> None:
    """Load plugins that this process has not loaded yet.

    Parameters
    ----------
    names : iterable of str
        Each ``module:function``.

    Raises
    ------
    SuiteError
        If one cannot be found, or adds a name that exists; nothing of that one is added.
    """
    for name in names:
        if name not in _loaded:
            registry = Registry(name)
            _register_function(name)(registry)
            registry.apply()
            _loaded.add(name)


def _register_function(name: str) -> Callable[[Registry], object]:
    module_name, colon, function = name.partition(":")
    if not (module_name and colon and function):
        raise SuiteError(
            f"plugin '{name}': write module:function, such as my_method:register, where "
            "my_method.py lies in the present folder or on PYTHONPATH."
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # An import that the plugin itself lacks is another matter: its own message says which.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise SuiteError(
            f"plugin '{name}': there is no module {error.name}: run from its folder, or put that "
            "on PYTHONPATH."
        ) from error
    found = getattr(module, function, None)
    if not callable(found):
        functions = inspect.getmembers(module, inspect.isfunction)
        raise unknown_name(f"function of plugin module {module_name}", function, dict(functions))
    return cast(Callable[[Registry], object], found)


def strategies_fingerprint(strategies: Iterable[str | None]) -> str | None:
    """Return what units of a method carry, so that they run again when its plugin was changed.

    Parameters
    ----------
    strategies : iterable of str or None
        Names of the strategies that the method is made of.

    Returns
    -------
    str or None
        A hash of the files that define those of plugins; None where none of them is.
    """
    found = sorted(
        {_source_fingerprint(PLUGIN_STRATEGIES[n]) for n in strategies if n in PLUGIN_STRATEGIES}
    )
    return "+".join(found) or None


def classifier_fingerprint(kind: str) -> str | None:
    """Return what units of a classifier carry, see :func:`strategies_fingerprint`."""
    if kind not in _added_kinds:
        return None
    return _source_fingerprint(CLASSIFIERS[kind].build)


@cache
def _source_fingerprint(source: Any) -> str:  # noqa: ANN401 - a class or a function
    path = inspect.getsourcefile(source)
    content = source.__module__.encode() if path is None else Path(path).read_bytes()
    return hashlib.sha256(content).hexdigest()[:_FINGERPRINT_LENGTH]
