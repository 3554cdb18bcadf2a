"""Which public names the contract applies to: whoever adds a class is found without a list."""

from __future__ import annotations

import inspect
from typing import Any

from small_text import AbstractClassifierFactory, Classifier, QueryStrategy, VectorIndex

import small_text_ext


def public_classes(base: type[Any]) -> dict[str, type[Any]]:
    """Return the concrete public classes of the package that derive from a class of the host."""
    public = {name: getattr(small_text_ext, name) for name in small_text_ext.__all__}
    return {
        name: value
        for name, value in public.items()
        if inspect.isclass(value) and issubclass(value, base) and not inspect.isabstract(value)
    }


STRATEGIES = public_classes(QueryStrategy)
INDEXES = public_classes(VectorIndex)
CLASSIFIERS = public_classes(Classifier)
FACTORIES = public_classes(AbstractClassifierFactory)
