"""Where downloads and embeddings are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "SMALL_TEXT_EXT_CACHE"


def cache_folder() -> Path:
    """Return the folder for downloads and embeddings.

    ``SMALL_TEXT_EXT_CACHE`` where it is set, otherwise ``small-text-ext`` in the user's cache
    (``XDG_CACHE_HOME``, by default ``~/.cache``). It is safe to delete: all in it can be made
    again.

    Returns
    -------
    Path
        The folder, which may not exist yet.
    """
    if given := os.environ.get(CACHE_VARIABLE):
        return Path(given).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "small-text-ext"
