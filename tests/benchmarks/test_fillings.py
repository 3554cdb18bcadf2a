from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from benchmarks.datasets import load_texts
from benchmarks.fillings import Fillings, filled_pairs
from benchmarks.parsing import dataset_entry
from benchmarks.suggestions import SuiteError
from tests.benchmarks.stand_ins import LocalHub

WINOGRANDE = {"columns": ["option1", "option2"], "mark": "_"}
WINOGRAD = {"columns": ["options"], "position": "pronoun_loc", "replaced": "pronoun"}


def test_a_mark_is_filled_with_either_word() -> None:
    pairs = filled_pairs("x", ["_ ate it", "it was _."], [("A", "B"), ("C", "D")], mark="_")
    assert pairs == [("A ate it", "B ate it"), ("it was C.", "it was D.")]


def test_a_pronoun_is_filled_where_it_stands_and_not_where_it_first_occurs() -> None:
    text = "It fell because it was heavy."
    places = [(text.index("it "), "It")]
    (pair,) = filled_pairs("x", [text], [["the cup", "the box"]], places=places)
    assert pair == (
        "It fell because the cup was heavy.",
        "It fell because the box was heavy.",
    )


@pytest.mark.parametrize(
    ("texts", "choices", "message"),
    [
        (["no gap"], [("A", "B")], "x, row 0: '_' does not stand in 'no gap'"),
        (["a _", "b _"], [("A", "B"), ("A", "B", "C")], "x, row 1: 3 words for the gap"),
    ],
)
def test_rows_without_a_gap_or_two_words_are_named(
    texts: list[str], choices: list[tuple[str, ...]], message: str
) -> None:
    with pytest.raises(SuiteError, match=message):
        filled_pairs("x", texts, choices, mark="_")


def test_another_word_in_the_pronoun_s_place_is_named() -> None:
    with pytest.raises(SuiteError, match="'they' does not stand in"):
        filled_pairs("x", ["it was heavy"], [["a", "b"]], places=[(0, "they")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"columns": ["a", "b", "c"], "mark": "_"}, "names 3 columns"),
        ({"columns": ["a", "b"]}, "by mark, or by position and replaced"),
        ({"columns": ["a"], "position": "p"}, "by mark, or by position and replaced"),
        ({**WINOGRAD, "mark": "_"}, "by mark, or by position and replaced"),
    ],
)
def test_half_a_description_is_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Fillings.model_validate(content)


def test_winogrande_and_winograd_schemas_become_pairs(local_hub: LocalHub) -> None:
    entry = dataset_entry(
        {
            "name": "hub:allenai/winogrande",
            "config": "winogrande_xl",
            "label_column": "answer",
            "train_split": "train",
            "test_split": "validation",
            "fillings": WINOGRANDE,
        }
    )
    data = load_texts(entry.name, entry.options)
    assert data.class_names == ("1", "2")
    for item in data.items[:5]:
        assert not isinstance(item, str)
        first, second = item
        assert "_" not in first
        assert first != second
        assert first.split()[-2:] == second.split()[-2:] == ["was", "new"]
    options = {"config": "wsc273", "fillings": Fillings.model_validate(WINOGRAD)}
    schemas = load_texts("hub:lighteval/winograd_wsc", options)
    assert schemas.second_texts is not None
    first, second = schemas.texts[0], schemas.second_texts[0]
    assert first.startswith("the goal hit the market because the goal was")
    assert second.startswith("the goal hit the market because the market was")


def test_a_missing_column_of_words_is_named(local_hub: LocalHub) -> None:
    options = {"config": "wsc273", "fillings": Fillings(columns=("words",), mark="_")}
    with pytest.raises(SuiteError, match=r"none of them \['words'\]: set fillings"):
        load_texts("hub:lighteval/winograd_wsc", options)
