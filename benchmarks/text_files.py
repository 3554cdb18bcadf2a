"""Texts on disk, for classifiers that are fitted on them: written once, read once by a worker."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.cache import cache_folder
from benchmarks.datasets import Item, LabeledTexts
from small_text_ext._files import write_whole

# Scraped texts hold halves of surrogate pairs, which strict UTF-8 has no place for.
_LENIENT = "surrogatepass"


def store_texts(dataset: LabeledTexts) -> Path:
    """Write the texts of a data set into the cache, unless they are there.

    Parameters
    ----------
    dataset : LabeledTexts
        The texts, before any split.

    Returns
    -------
    Path
        One JSON file, named after the fingerprint of the texts; 60,000 summaries of 50 letters are
        4 MB.
    """
    path = cache_folder() / "texts" / f"{dataset.texts_fingerprint[:32]}.json"
    if not path.exists():
        content = json.dumps(dataset.items, ensure_ascii=False).encode("utf-8", _LENIENT)
        write_whole(path, lambda file: file.write(content))
    return path


def read_texts(path: Path) -> tuple[Item, ...]:
    """Read the texts of a data set.

    Parameters
    ----------
    path : Path
        What :func:`store_texts` returned.

    Returns
    -------
    tuple of str, or of (str, str)
        The texts or the pairs of texts, in order.
    """
    items = json.loads(path.read_bytes().decode("utf-8", _LENIENT))
    return tuple(item if isinstance(item, str) else tuple(item) for item in items)
