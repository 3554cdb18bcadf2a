from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cache import CACHE_VARIABLE, cache_folder


def test_our_variable_comes_before_the_user_s_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    assert cache_folder() == Path("/somewhere/small-text-ext")
    monkeypatch.setenv(CACHE_VARIABLE, "/elsewhere")
    assert cache_folder() == Path("/elsewhere")
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "small-text-ext"
