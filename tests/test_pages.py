from __future__ import annotations

import json
import math

import pytest

from small_text_ext._pages import fill_template, script_json


def test_a_value_that_names_a_place_keeps_it() -> None:
    page = fill_template("{{title}}|{{data}}|{{other}}", {"title": "{{data}}", "data": "1"})
    assert page == "{{data}}|1|{{other}}"


def test_data_cannot_leave_their_script() -> None:
    content = {"text": "</script><!--&\u2028"}
    text = script_json(content)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == content


def test_what_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        script_json({"value": math.nan})
