"""Errors that name what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SuiteError(ValueError):
    """A suite, an option or a name that cannot be run; the message says what to write instead."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SuiteError:
    """Make the error for a name that does not exist, with the nearest one that does.

    Parameters
    ----------
    kind : str
        What the name is of, such as ``"method"``.
    name : str
        What was given.
    known : iterable of str
        What exists.

    Returns
    -------
    SuiteError
        The error, to be raised by the caller.

    Examples
    --------
    >>> str(unknown_name("method", "anchral", ["anchoral", "random"]))
    "Unknown method 'anchral'. Did you mean 'anchoral'? Known: anchoral, random."
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return SuiteError(f"Unknown {kind} '{name}'.{hint} Known: {', '.join(names) or 'none'}.")
