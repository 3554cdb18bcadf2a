"""Real titles in a CSV file, a small suite over them, and a cache of their own for the tests."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.cache import CACHE_VARIABLE
from benchmarks.corpora import load_bbc_news

if TYPE_CHECKING:
    from tests.benchmarks.stand_ins import LocalHub

SUITE = """
description = "titles of news"
seeds = 2
rounds = 2
query_size = 5
initial_size = 12
initial_minority = 2

[encoder]
name = "minilm"

[[datasets]]
name = "csv:{path}"
id = "titles"
minority = ["business"]

[classifiers.logistic]
kind = "sklearn:LogisticRegression"

[methods.random]

[methods.least-confidence]

[methods.anchoral]
subpool_size = 40
num_neighbors = 5
"""


@pytest.fixture(scope="session")
def titles() -> list[tuple[str, str]]:
    """240 titles of news articles with their class, business being one in five."""
    news = load_bbc_news()
    rows = [row for label in range(5) for row in (news.labels == label).nonzero()[0][:48]]
    return [
        (news.texts[row].split("\n")[0], news.class_names[int(news.labels[row])]) for row in rows
    ]


@pytest.fixture(scope="session")
def titles_csv(titles: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("titles") / "titles.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(titles)
    return path


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the whole session: the titles are encoded once."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="session")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where stand-ins of the hub's data sets are written, once in a session."""
    return tmp_path_factory.mktemp("hub")


@pytest.fixture
def local_hub(hub_folder: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    """Stand-ins in the hub's place: data sets of the same schema, tiny models."""
    # Generating them needs libraries that take seconds to load.
    from tests.benchmarks.stand_ins import LocalHub

    hub = LocalHub(hub_folder)
    hub.install(monkeypatch)
    return hub


@pytest.fixture(scope="session")
def suite_file(titles_csv: Path, shared_cache: Path) -> Path:
    path = titles_csv.with_name("titles.toml")
    path.write_text(SUITE.format(path=titles_csv), encoding="utf-8")
    return path
