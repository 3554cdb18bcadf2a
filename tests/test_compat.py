"""What touches private names of small-text still finds them."""

from __future__ import annotations

import sys

import pytest

from small_text_ext import _compat


def test_the_replaced_method_is_the_hosts() -> None:
    host = pytest.importorskip("small_text").SetFitClassification
    assert callable(getattr(host, "_call_setfit_trainer", None)), "small-text renamed it"
    assert issubclass(_compat.HookedSetFitClassification, host)


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "setfit", None)
    with pytest.raises(ImportError, match="setfit"):
        _compat._WithoutSetFit()
