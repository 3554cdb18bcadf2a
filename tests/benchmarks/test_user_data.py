from __future__ import annotations

from pathlib import Path

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


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))


@pytest.mark.usefixtures("hub_cache")
def test_a_folder_stands_in_for_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "reviews"
    folder.mkdir()
    (folder / "train.csv").write_text("sentence,label\ngood film,pos\nbad film,neg\n")
    (folder / "test.csv").write_text("sentence,label\nfine film,pos\n")
    data = load_texts(f"hub:{folder}")
    assert data.texts == ("good film", "bad film", "fine film")
    assert data.class_names == ("neg", "pos")
    assert data.labels.tolist() == [1, 0, 1]
    assert data.is_test is not None
    assert data.is_test.tolist() == [False, False, True]


@pytest.mark.usefixtures("hub_cache")
def test_columns_of_other_names_can_be_given(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "train.csv").write_text("body,verdict\ngood film,1\nbad film,0\n")
    with pytest.raises(SuiteError, match=r"\['body', 'verdict'\].*text_column"):
        load_texts(f"hub:{folder}")
    data = load_texts(f"hub:{folder}", {"text_column": "body", "label_column": "verdict"})
    assert data.class_names == ("0", "1")
    assert data.is_test is None


@pytest.mark.usefixtures("hub_cache")
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": null, "label": "pos"}', r"split 'train', column 'text', row 1: None is neither"),
        ('{"text": "bad film", "label": null}', r"column 'label', row 1: None"),
    ],
)
def test_a_missing_cell_of_the_hub_is_named(tmp_path: Path, row: str, message: str) -> None:
    folder = tmp_path / "gap"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "good film", "label": "pos"}\n' + row + "\n")
    with pytest.raises(SuiteError, match=message):
        load_texts(f"hub:{folder}")


@pytest.mark.usefixtures("hub_cache")
def test_several_labels_for_one_text_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "multi"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "good film", "labels": [1, 2]}\n')
    with pytest.raises(SuiteError, match=r"column 'labels', row 0: \[1, 2\] is neither"):
        load_texts(f"hub:{folder}")


def test_class_names_of_the_hub_are_kept(tmp_path: Path) -> None:
    import datasets

    from benchmarks.user_data import _hub_labels

    feature = datasets.ClassLabel(names=["zebra", "ant"])
    labels, names = _hub_labels("x", [1, 0], feature)
    assert (labels.tolist(), names) == ([1, 0], ("zebra", "ant"))
    with pytest.raises(SuiteError, match="unlabelled"):
        _hub_labels("x", [1, -1], feature)


def test_what_the_hub_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingSourceError, match="could not be loaded"):
        load_texts(f"hub:{tmp_path / 'nothing'}")
