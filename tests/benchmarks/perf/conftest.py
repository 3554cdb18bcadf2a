"""Titles of news, and both sides with one tiny model, for all measurements of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.datasets import LabeledTexts
from benchmarks.perf.contestants import Sides, make_sides
from benchmarks.perf.shared import draw_texts
from tests.tiny_models import checkpoint


@pytest.fixture(scope="session")
def titles_source(titles_csv: Path, shared_cache: Path) -> str:
    """Name of the titles in the registry of data sets; their vectors go to the cache of tests."""
    return f"csv:{titles_csv}"


@pytest.fixture(scope="session")
def sample(titles_source: str) -> LabeledTexts:
    return draw_texts(titles_source, 96)


@pytest.fixture(scope="session")
def sides(sample: LabeledTexts) -> Sides:
    return make_sides(checkpoint(), sample, 64)
