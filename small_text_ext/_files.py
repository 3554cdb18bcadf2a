"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside its target, then put it in place in one step.

    Parameters
    ----------
    path : pathlib.Path
        The target; its folder is made where it is missing.
    write : callable
        Takes the open binary file and writes the content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with part_of(path) as part, part.open("xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """Name a file or folder beside its target, and put it in place where the block ends well.

    Parameters
    ----------
    path : pathlib.Path
        The target, in a folder that exists. A folder replaces an empty one only.

    Yields
    ------
    pathlib.Path
        A name of its own for every caller; there is no such file or folder yet.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        part.replace(path)
    except BaseException:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all, with sorted keys.

    Parameters
    ----------
    path : pathlib.Path
        The target.
    content : mapping
        What to write.
    """
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode("utf-8")))
