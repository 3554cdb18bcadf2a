from __future__ import annotations

import sys
from pathlib import Path

import pytest

from small_text_ext._extras import MissingExtraError, require_extra


def test_what_is_installed_is_imported() -> None:
    assert require_extra("json.decoder", "any").__name__ == "json.decoder"


def test_what_is_missing_names_the_command() -> None:
    with pytest.raises(MissingExtraError, match=r'pip install "small-text-ext\[hnsw\]"'):
        require_extra("no_such_package_at_all", "hnsw")


def test_an_installed_package_that_lacks_another_keeps_its_own_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("import no_such_dependency_of_it")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency_of_it"):
        require_extra("broken_package", "hnsw")
    assert "broken_package" not in sys.modules
