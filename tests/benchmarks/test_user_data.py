from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import MissingSourceError, load_texts
from benchmarks.suggestions import SuiteError


def write(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return f"csv:{path}"


def test_a_csv_with_every_column(tmp_path: Path) -> None:
    name = write(
        tmp_path / "x.csv",
        "text,label,split,label2,group,note\n"
        '"one, with a comma",b,train,a,g1,-\n'
        "two,a,test,a,g2,-\n"
        "dréi,b,train,b,g1,-\n",
    )
    data = load_texts(name)
    assert data.texts == ("one, with a comma", "two", "dréi")
    assert data.class_names == ("a", "b")
    assert data.labels.tolist() == [1, 0, 1]
    assert data.is_test is not None
    assert data.is_test.tolist() == [False, True, False]
    assert data.groups is not None
    assert data.groups.tolist() == [0, 1, 0]
    assert data.second_labels is not None
    assert data.second_labels.tolist() == [0, 0, 1]


def test_a_csv_with_the_needed_columns_only(titles_csv: Path) -> None:
    data = load_texts(f"csv:{titles_csv}")
    assert len(data) == 240
    assert [data.is_test, data.groups, data.second_labels] == [None, None, None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("txt,label\na,b\n", r"x\.csv, line 1: no column 'text'"),
        ("text,label,text\na,b,c\n", "twice"),
        ("text,label\na,b\n,c\n", r"line 3, column 'text'"),
        ("text,label\na\n", r"line 2, column 'label'"),
        ("text,label\na,b,c\n", r"line 2: more cells"),
        ("text,label\n", "no rows"),
        ("text,label,split\na,b,train\nc,d,dev\n", r"'split': found \['dev', 'train'\]"),
        ("text,label,split\na,b,train\nc,d,train\n", "both train and test"),
        ("text,label,label2\na,b,z\n", r"'label2': \['z'\]"),
        ('text,label\n"a,b\n', "cannot be read as CSV"),
    ],
)
def test_what_is_wrong_with_a_csv_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        load_texts(write(tmp_path / "x.csv", content))


def test_a_csv_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingSourceError, match="no such file"):
        load_texts(f"csv:{tmp_path / 'x.csv'}")


def test_a_csv_of_pairs(tmp_path: Path) -> None:
    data = load_texts(
        write(tmp_path / "x.csv", "text,text2,label\na cat,an animal,yes\na cat,a dog,no\n")
    )
    assert data.items == (("a cat", "an animal"), ("a cat", "a dog"))
    with pytest.raises(SuiteError, match=r"line 2, column 'text2'"):
        load_texts(write(tmp_path / "y.csv", "text,text2,label\na cat,,yes\n"))


def test_columns_of_other_names(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    name = write(path, "article,bias,outlet,label\none,left,A,x\ntwo,right,B,y\nthree,left,A,x\n")
    options = {"text_column": "article", "label_column": "bias", "second_label_column": "outlet"}
    data = load_texts(name, options)
    assert data.texts == ("one", "two", "three")
    assert (data.class_names, data.second_names) == (("left", "right"), ("A", "B"))
    assert data.other_labels is not None
    assert data.other_labels.tolist() == [0, 1, 0]
    assert data.rows(np.array([1])).other_labels.tolist() == [1]  # type: ignore[union-attr]
    opinions = load_texts(write(path, "text,label,label2\na,b,b\n"))
    assert opinions.other_labels is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"second_label_column": "outlet"}, "no column 'outlet'.*set text_column, label_column"),
        ({"label_column": "bias"}, "no column 'bias'"),
        ({"config": "main"}, "'config' is of hub: data sets"),
    ],
)
def test_options_of_a_csv_that_cannot_be_used(
    tmp_path: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(SuiteError, match=message):
        load_texts(write(tmp_path / "x.csv", "text,label\na,b\n"), options)
