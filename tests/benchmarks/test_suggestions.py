from __future__ import annotations

import pytest

from benchmarks.suggestions import SuiteError, unknown_name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("anchral", "Unknown method 'anchral'. Did you mean 'anchoral'? Known: anchoral, random."),
        ("zzz", "Unknown method 'zzz'. Known: anchoral, random."),
    ],
)
def test_only_a_near_name_is_suggested(name: str, message: str) -> None:
    error = unknown_name("method", name, ["random", "anchoral", "random"])
    assert isinstance(error, SuiteError)
    assert str(error) == message


def test_nothing_known_is_said() -> None:
    assert str(unknown_name("method", "x", [])) == "Unknown method 'x'. Known: none."
