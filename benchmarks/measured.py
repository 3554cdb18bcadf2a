"""Thin adapters that time a strategy and a classifier, and count the texts it scores."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


class Stopwatch:
    """Seconds by name, summed until they are taken.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> with watch.measure("fit"):
    ...     pass
    >>> sorted(watch.take()), watch.take()
    (['fit'], {})
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the duration of a block to ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            passed = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0.0) + passed

    def take(self) -> dict[str, float]:
        """Return what was measured and begin anew."""
        taken, self._seconds = self._seconds, {}
        return taken


class MeasuredClassifier:
    """A classifier whose fits are timed and whose scored texts are counted and timed.

    Everything else is passed on, so that strategies find what they look for (``num_classes``,
    ``embed`` where there is one).

    Parameters
    ----------
    classifier : small_text.Classifier
        The classifier.
    watch : Stopwatch
        Gets ``fit``.
    """

    _COUNTED = ("predict", "predict_proba", "embed")

    def __init__(self, classifier: Any, watch: Stopwatch) -> None:  # noqa: ANN401 - any classifier
        self.classifier = classifier
        self.rows_scored = 0
        self.seconds_scoring = 0.0
        self._watch = watch

    def fit(self, *args: Any, **kwargs: Any) -> MeasuredClassifier:  # noqa: ANN401
        """Fit the classifier; only this call counts as ``fit``."""
        with self._watch.measure("fit"):
            self.classifier.fit(*args, **kwargs)
        return self

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("__") or name == "classifier":
            raise AttributeError(name)
        value = getattr(self.classifier, name)
        return self._counted(value) if name in self._COUNTED else value

    def _counted(self, method: Any) -> Any:  # noqa: ANN401
        def call(data_set: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            self.rows_scored += num_items(data_set)
            start = time.perf_counter()
            try:
                return method(data_set, *args, **kwargs)
            finally:
                self.seconds_scoring += time.perf_counter() - start

        return call


def num_items(data_set: Any) -> int:  # noqa: ANN401 - small-text's datasets carry no usable types
    """Return the length of a dataset; that of a view without making its items.

    ``len`` of a view on texts gathers every text of it, and of a view on a view all of them again
    for every text.
    """
    selection = getattr(data_set, "selection", None)
    if isinstance(selection, np.ndarray) and selection.dtype != np.bool_:
        return int(selection.size)
    return len(data_set)


class MeasuredFactory:
    """A factory whose classifiers are measured.

    Parameters
    ----------
    factory : small_text.AbstractClassifierFactory
        The factory.
    watch : Stopwatch
        Gets ``fit``.
    """

    def __init__(self, factory: Any, watch: Stopwatch) -> None:  # noqa: ANN401
        self._factory = factory
        self._watch = watch

    def new(self) -> MeasuredClassifier:
        """Return a new classifier."""
        return MeasuredClassifier(self._factory.new(), self._watch)


class MeasuredStrategy:
    """A strategy whose queries are timed, and that knows what the classifier did in each one.

    ``rows_scored`` is the number of texts that the classifier scored or embedded (a text that is
    embedded and scored counts twice), ``seconds_scoring`` how long that took.

    Parameters
    ----------
    strategy : small_text.QueryStrategy
        The strategy.
    watch : Stopwatch
        Gets ``query``.
    """

    def __init__(self, strategy: Any, watch: Stopwatch) -> None:  # noqa: ANN401
        self.strategy = strategy
        self.rows_scored = 0
        self.seconds_scoring = 0.0
        self._watch = watch

    def query(self, clf: MeasuredClassifier, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Query; only this call counts as ``query``."""
        rows, seconds = clf.rows_scored, clf.seconds_scoring
        with self._watch.measure("query"):
            picks = self.strategy.query(clf, *args, **kwargs)
        self.rows_scored = clf.rows_scored - rows
        self.seconds_scoring = clf.seconds_scoring - seconds
        return picks
