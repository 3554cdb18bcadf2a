"""One sentence for every optional package that is missing."""

from __future__ import annotations

import importlib
from types import ModuleType


class MissingExtraError(ImportError):
    """An optional package that is not installed; the message names the command."""


def require_extra(module: str, extra: str) -> ModuleType:
    """Import an optional package, or say how to install it.

    Parameters
    ----------
    module : str
        The module to import.
    extra : str
        The extra of this package that brings it.

    Returns
    -------
    types.ModuleType
        The imported module.

    Raises
    ------
    MissingExtraError
        If it is not installed; the message names the command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise  # installed, but one of its own imports is missing: its message is the better one
        raise MissingExtraError(
            f"The package '{module.split('.')[0]}' is not installed. "
            f'Install it with: pip install "small-text-ext[{extra}]"'
        ) from error
