from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.cache import CACHE_VARIABLE
from benchmarks.corpora import load_bbc_news, load_debian_sections, load_movie_snippets
from benchmarks.datasets import MissingSourceError
from benchmarks.suggestions import SuiteError

LISTING = """\
Package: alpha
Version: 1
Description: editor for circuits
Section: electronics
Tag: role::program,
 uitoolkit::gtk

Package: alpha-nonfree
Description: simulator of antennas
Section: non-free/hamradio

Package: alpha-copy
Description: editor for circuits
Section: utils

Package: without-section
Description: nothing of note

Package: beta
Description-en: player for films: small and fast
Section: contrib/video
"""


def test_sections_lose_their_area_and_repeated_summaries_are_dropped() -> None:
    commands = []

    def fake_apt(command: list[str]) -> bytes:
        commands.append(command)
        return LISTING.encode()

    data = load_debian_sections(fake_apt)
    assert commands == [["apt-cache", "dumpavail"]]
    assert data.texts == (
        "editor for circuits",
        "simulator of antennas",
        "player for films: small and fast",
    )
    assert [data.class_names[label] for label in data.labels] == [
        "electronics",
        "hamradio",
        "video",
    ]


def test_without_apt_the_command_is_named() -> None:
    def no_apt(command: list[str]) -> bytes:
        raise FileNotFoundError(f"No such file or directory: {command[0]}")

    with pytest.raises(MissingSourceError, match="apt-get update"):
        load_debian_sections(no_apt)


def test_empty_package_lists_name_the_command() -> None:
    with pytest.raises(MissingSourceError, match="apt-get update"):
        load_debian_sections(lambda command: b"")


def test_the_news_are_all_there() -> None:
    data = load_bbc_news()
    assert data.counts() == {
        "business": 510,
        "entertainment": 386,
        "politics": 417,
        "sports": 511,
        "tech": 401,
    }
    assert data.texts[0].startswith("Ad sales boost Time Warner profit")
    assert load_bbc_news().fingerprint == data.fingerprint


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingSourceError, match=r"small-text-ext\[offline\]"):
        load_bbc_news()


def test_a_download_that_fails_says_what_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))

    def no_network(command: list[str]) -> bytes:
        raise subprocess.CalledProcessError(1, command, stderr=b"first\nno route to host\n")

    with pytest.raises(MissingSourceError, match=r"no route to host.*pip download") as caught:
        load_movie_snippets(no_network)
    assert "vaderSentiment==0.5" in str(caught.value)
    assert not list((tmp_path / "downloads").iterdir()), "nothing half fetched is left"


def test_another_archive_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))

    def wrong_archive(command: list[str]) -> bytes:
        folder = Path(command[command.index("--dest") + 1])
        (folder / "vaderSentiment-0.5.zip").write_bytes(b"something else")
        return b""

    with pytest.raises(SuiteError, match=r"sha256.*nothing was kept") as caught:
        load_movie_snippets(wrong_archive)
    assert "delete it" not in str(caught.value)
    archive = tmp_path / "downloads" / "vaderSentiment-0.5.zip"
    assert not archive.exists()
    archive.write_bytes(b"something else")
    with pytest.raises(SuiteError, match=r"sha256.*delete it"):
        load_movie_snippets(wrong_archive)
