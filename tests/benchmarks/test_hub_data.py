from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from benchmarks import hub_data
from benchmarks.datasets import LabeledTexts, MissingSourceError, load_texts
from benchmarks.hub_data import EmbeddingsOptions, load_hub
from benchmarks.suggestions import SuiteError

NAME = "someone/something"


def splits(**tables: Mapping[str, Any]) -> DatasetDict:
    return DatasetDict({name: Dataset.from_dict(dict(table)) for name, table in tables.items()})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str | None, DatasetDict]:
    """Configurations of one data set, which a test fills."""
    held: dict[str | None, DatasetDict] = {}

    def open_hub(
        location: str, config: str | None = None, revision: str | None = None
    ) -> DatasetDict:
        assert location == NAME
        return held[config]

    monkeypatch.setattr(hub_data, "open_hub", open_hub)
    return held


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_unlabelled_texts_are_dropped_where_classes_have_no_names(
    hub: dict[str | None, DatasetDict],
) -> None:
    hub[None] = splits(train={"text": ["a", "b", "c", "d"], "label": [-1, 0, 1, -1]})
    assert load_hub(NAME, drop_unlabeled=True).counts() == {"0": 1, "1": 1}
    assert load_hub(NAME).counts() == {"-1": 2, "0": 1, "1": 1}, "-1 may be a class"
    grouped = load_hub(NAME, drop_unlabeled=True, label_groups={"yes": (1,)})
    assert grouped.counts() == {"yes": 1, "others": 1}
    with pytest.raises(SuiteError, match=r"gathers \['1'\] under 'yes', none of which.*such val"):
        load_hub(NAME, label_groups={"yes": ("1",)})


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


def test_what_the_hub_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingSourceError, match=r"could not be loaded: .*name a folder of files"):
        load_texts(f"hub:{tmp_path / 'nothing'}")


@pytest.mark.usefixtures("hub_cache")
def test_a_folder_that_the_library_has_saved_is_opened(tmp_path: Path) -> None:
    splits(train={"text": ["a", "b"], "label": ["x", "y"]}).save_to_disk(tmp_path / "saved")
    assert load_texts(f"hub:{tmp_path / 'saved'}").texts == ("a", "b")


def test_class_names_of_the_hub_are_kept(hub: dict[str | None, DatasetDict]) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["zebra", "ant"])})
    table = {"text": ["a", "b", "c"], "label": [1, 0, -1]}
    hub[None] = DatasetDict({"train": Dataset.from_dict(table, features=features)})
    with pytest.raises(SuiteError, match=r"1 unlabelled texts \(-1\).*drop_unlabeled"):
        load_hub(NAME)
    data = load_hub(NAME, drop_unlabeled=True)
    assert (data.labels.tolist(), data.class_names) == ([1, 0], ("zebra", "ant"))
    assert data.texts == ("a", "b")


def test_numbers_get_names(hub: dict[str | None, DatasetDict]) -> None:
    hub[None] = splits(train={"text": ["a", "b"], "label": [2, 0]})
    data = load_hub(NAME, label_names=("zebra", "ant", "bee"))
    assert (data.labels.tolist(), data.class_names) == ([2, 0], ("zebra", "ant", "bee"))
    with pytest.raises(SuiteError, match=r"the label 2, but label_names holds 2 names, for 0 to 1"):
        load_hub(NAME, label_names=("zebra", "ant"))


def test_pairs_are_items_and_sentences(hub: dict[str | None, DatasetDict]) -> None:
    table = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": ["x", "y"]}
    hub[None] = splits(train=table)
    data = load_hub(NAME, text_column="premise", second_text_column="hypothesis")
    assert data.items == (("a", "c"), ("b", "d"))
    assert data.sentences == ["a c", "b d"]
    alone = load_hub(NAME, text_column="premise")
    assert alone.items == ("a", "b")
    assert alone.texts_fingerprint != data.texts_fingerprint
    turned = load_hub(NAME, text_column="hypothesis", second_text_column="premise")
    assert turned.fingerprint != data.fingerprint
    assert data.rows(np.array([1])).items == (("b", "d"),)
    with pytest.raises(SuiteError, match=r"none of them \['premiss'\]: set second_text_column"):
        load_hub(NAME, text_column="premise", second_text_column="premiss")


SPLITS = {
    name: {"text": [f"{name} {number}" for number in range(2)], "label": ["x", "y"]}
    for name in ("train", "validation", "test")
}


@pytest.mark.parametrize(
    ("options", "pool", "test"),
    [
        ({}, ("train",), ("test",)),
        ({"test_split": "validation"}, ("train",), ("validation",)),
        ({"train_split": "train+validation"}, ("train", "validation"), ("test",)),
        ({"train_split": "train + test"}, ("train", "test"), ()),
        (
            {"train_split": "validation", "test_split": "test+train"},
            ("validation",),
            ("test", "train"),
        ),
    ],
)
def test_splits_are_chosen_and_joined(
    hub: dict[str | None, DatasetDict],
    options: dict[str, str],
    pool: tuple[str, ...],
    test: tuple[str, ...],
) -> None:
    hub[None] = splits(**SPLITS)
    data = load_hub(NAME, **options)
    assert data.texts == tuple(f"{name} {n}" for name in (*pool, *test) for n in range(2))
    expected = None if not test else [False, False] * len(pool) + [True, True] * len(test)
    assert (None if data.is_test is None else data.is_test.tolist()) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"train_split": "train+dev"},
            r"\['train', 'validation', 'test'\], not 'dev': change",
        ),
        ({"test_split": "valid"}, "not 'valid': change test_split"),
        ({"test_split": "train"}, "the split train is pool and test set at once"),
    ],
)
def test_absent_and_shared_splits_are_errors(
    hub: dict[str | None, DatasetDict], options: dict[str, str], message: str
) -> None:
    hub[None] = splits(**SPLITS)
    with pytest.raises(SuiteError, match=message):
        load_hub(NAME, **options)


def test_a_column_that_a_later_split_lacks_is_an_error(hub: dict[str | None, DatasetDict]) -> None:
    hub[None] = splits(train={"text": ["a"], "label": ["x"]}, test={"text": ["b"], "gold": ["x"]})
    with pytest.raises(SuiteError, match="split 'test', column 'label', row 0: None is"):
        load_hub(NAME)


def test_classes_are_made_of_lists_and_the_last_group_wins(
    hub: dict[str | None, DatasetDict],
) -> None:
    items = [[1, 246], [413], [], [413, 677], [677, 413], [2]]
    hub[None] = splits(train={"text": list("abcdef"), "ids": items})
    groups = {"philosophy": (413, 3999), "agriculture": (246,), "audio": (677,)}
    data = load_hub(NAME, label_column="ids", label_groups=groups)
    assert data.class_names == ("philosophy", "agriculture", "audio", "others")
    assert data.labels.tolist() == [1, 0, 3, 2, 2, 3]
    with pytest.raises(SuiteError, match="names a class 'others'"):
        load_hub(NAME, label_column="ids", label_groups={"others": (1,)})


def test_groups_are_made_of_single_values_too(hub: dict[str | None, DatasetDict]) -> None:
    hub[None] = splits(train={"text": list("abc"), "label": ["NUM:date", "HUM:ind", "LOC:city"]})
    data = load_hub(NAME, label_groups={"person": ("HUM:ind",)})
    assert data.labels.tolist() == [1, 0, 1]


VECTORS = [[float(number), 1.0, 0.0] for number in range(4)]


def with_vectors(hub: dict[str | None, DatasetDict], **changes: Any) -> None:  # noqa: ANN401
    text = {"text": list("abcd"), "label": list("xyxy"), "uid": [7, 8, 9, 10]}
    hub[None] = splits(train=text, test={**text, "text": list("efgh")})
    held = {"uid": [10, 9, 8, 7], "mpnet": VECTORS, **changes}
    hub["vectors"] = splits(train=held, test={**held, "uid": [7, 8, 9, 10]})


def load_with_vectors(column: str = "mpnet", **changes: Any) -> LabeledTexts:  # noqa: ANN401
    given = {"name": "mpnet", "column": column, "config": "vectors", "key": "uid", **changes}
    return load_hub(NAME, embeddings=EmbeddingsOptions(**given))


def test_vectors_are_put_to_their_texts_by_the_key(hub: dict[str | None, DatasetDict]) -> None:
    with_vectors(hub)
    data = load_with_vectors()
    assert data.vectors is not None
    assert np.concatenate(list(data.vectors.chunks())).tolist() == [*VECTORS[::-1], *VECTORS]
    by_row = load_with_vectors(key=None).vectors
    assert by_row is not None
    assert np.concatenate(list(by_row.chunks())).tolist() == [*VECTORS, *VECTORS]


def test_vectors_lie_beside_the_texts_too(hub: dict[str | None, DatasetDict]) -> None:
    hub[None] = splits(train={"text": list("abcd"), "label": list("xyxy"), "mpnet": VECTORS})
    vectors = load_with_vectors(config=None, key=None).vectors
    assert vectors is not None
    assert next(vectors.chunks()).tolist() == VECTORS


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"column": "mpnett"}, r"no column 'mpnett' in split 'train' \(\['mpnet', 'uid'\]\)"),
        ({"uid": [10, 9, 8, 6]}, {}, "1 texts have no embedding; the first has uid 7"),
        ({}, {"key": "id"}, r"none of them \['id'\]: set embeddings.key"),
        ({"uid": [1, 2, 3], "mpnet": VECTORS[:3]}, {"key": None}, "4 texts, but 3 embeddings"),
    ],
)
def test_vectors_of_other_texts_are_errors(
    hub: dict[str | None, DatasetDict],
    changes: dict[str, Any],
    options: dict[str, Any],
    message: str,
) -> None:
    with_vectors(hub)
    held = hub["vectors"]["train"].to_dict()
    held = {**held, **changes}
    hub["vectors"]["train"] = Dataset.from_dict(held)
    with pytest.raises(SuiteError, match=message):
        load_with_vectors(**options)
