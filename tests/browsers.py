"""A Chromium without a window, for tests of pages as their readers see them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_NO_DRIVER = "There is no playwright: install the dependency group test of pyproject.toml."
_NO_BROWSER = (
    "There is no Chromium: install the system's package chromium (or run `playwright install "
    "chromium`) to test the page in a browser."
)


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser; without one the test is skipped, or fails where one is required."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _give_up(_NO_DRIVER)
    with sync_playwright() as driver:
        executable = _executable(driver.chromium)
        if executable is None:
            _give_up(_NO_BROWSER)
        # Chromium's own sandbox does not start as root, and the page is ours.
        started = driver.chromium.launch(executable_path=executable, chromium_sandbox=False)
        yield started
        started.close()


def _executable(installed: Any) -> str | None:  # noqa: ANN401
    own = installed.executable_path
    return own if Path(own).exists() else next(filter(None, map(shutil.which, _NAMES)), None)


def _give_up(reason: str) -> NoReturn:
    """Skip, but where a browser is required fail: CI must not pass for want of one."""
    if os.environ.get("CI_REQUIRES_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
