from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import pytest

from small_text_ext._files import write_json, write_whole


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.bin"
    write_whole(target, lambda file: file.write(b"old"))

    def fail(file: IO[bytes]) -> None:
        file.write(b"half of the new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(target, fail)
    assert target.read_bytes() == b"old"
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


def test_json_is_sorted_and_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": "é", "a": [1]})
    text = (tmp_path / "a.json").read_text("utf-8")
    assert json.loads(text) == {"a": [1], "b": "é"}
    assert text.index('"a"') < text.index('"b"')
    assert "é" in text


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {})
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "plain").stat().st_mode
