from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import runner, units
from benchmarks.runner import (
    MANIFEST,
    encode_pending,
    make_tasks,
    prepare_run,
    read_manifest,
    write_manifest,
)
from benchmarks.selection import Selection, select_suite
from benchmarks.suggestions import SuiteError
from benchmarks.text_files import read_texts
from benchmarks.worker import execute
from small_text_ext import PoolEmbeddings
from tests.benchmarks.stand_ins import LocalHub


def prepare(suite_file: Path, folder: Path, *overrides: str, seeds: int = 1) -> runner.Run:
    suite = select_suite(Selection(str(suite_file), seeds=seeds, overrides=overrides))
    return prepare_run(suite, folder)


def test_everything_is_pending_in_an_empty_folder(suite_file: Path, tmp_path: Path) -> None:
    run = prepare(suite_file, tmp_path)
    assert [item.reason for item in run.pending] == ["new"] * 3
    assert [dataset.record.id for dataset in run.pending_datasets] == ["titles"]
    sources = encode_pending(run, show_progress=False)
    tasks = make_tasks(run.pending, sources, tmp_path, threads=1)
    assert [task.unit for task in tasks] == run.units
    assert len(sources["titles"].labels) == 240
    assert sources["titles"].embeddings.is_dir()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("methods.anchoral.anchor_selector=kmeens", "method 'anchoral' cannot be built"),
        ("classifiers.logistic.C=-1.0", "classifier 'logistic' cannot be built"),
        ("initial_minority=100", "data set 'titles': initial_minority asks for 100 of 38 texts"),
        ("datasets.0.prevalence=0.9", "data set 'titles': .*class 'business' makes up only"),
        ("test_size=0.001", "data set 'titles': .*test_size=0.001"),
    ],
)
def test_what_would_end_every_unit_ends_the_run_before_texts_are_encoded(
    suite_file: Path, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(SuiteError, match=message):
        prepare(suite_file, tmp_path, override)


def test_a_wrong_value_of_a_ceiling_is_the_classifier_s(suite_file: Path, tmp_path: Path) -> None:
    ceiling = ("methods.full-data.strategy=full-data", "methods.full-data.C=-1.0")
    with pytest.raises(SuiteError, match="classifier 'logistic' cannot be built"):
        prepare(suite_file, tmp_path, *ceiling)


def test_a_method_that_cannot_run_here_is_not_tried(suite_file: Path, tmp_path: Path) -> None:
    needs = ("methods.anchoral.requires=no_such_package", "methods.anchoral.num_anchors=0")
    run = prepare(suite_file, tmp_path, *needs)
    (skipped,) = run.skipped
    assert skipped.startswith("anchoral is left out: the package no_such_package is not installed")


def test_a_wrong_value_is_found_before_texts_are_read(
    suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(*_: object) -> None:
        raise AssertionError("the texts were read first")

    monkeypatch.setattr(units, "load_texts", unread)
    with pytest.raises(SuiteError, match="'anchoral'"):
        prepare(suite_file, tmp_path, "methods.anchoral.num_anchors=0")


def test_the_manifest_remembers_every_run(suite_file: Path, tmp_path: Path) -> None:
    first = prepare(suite_file, tmp_path)
    path = write_manifest(first, tmp_path)
    assert path == tmp_path / "titles" / MANIFEST
    changed = prepare(suite_file, tmp_path, "rounds=1", seeds=2)
    write_manifest(changed, tmp_path)
    known = read_manifest(path)
    assert known == {unit.spec.relative_path.as_posix(): unit.hash for unit in changed.units}
    assert len(known) == 6
    assert known.keys() > {unit.spec.relative_path.as_posix() for unit in first.units}
    assert json.loads(path.read_text()) == known


def test_a_broken_manifest_is_named_and_a_missing_one_empty(tmp_path: Path) -> None:
    path = tmp_path / MANIFEST
    assert read_manifest(path) == {}
    path.write_text("{")
    with pytest.raises(SuiteError, match=r"units\.json cannot be read"):
        read_manifest(path)


def test_texts_are_stored_only_where_a_classifier_is_fitted_on_them(
    suite_file: Path, tmp_path: Path
) -> None:
    plain = prepare(suite_file, tmp_path)
    assert plain.text_datasets == set()
    assert encode_pending(plain, show_progress=False)["titles"].texts is None
    with_texts = prepare(suite_file, tmp_path, "classifiers.transformer.num_epochs=1")
    assert with_texts.text_datasets == {"titles"}
    path = encode_pending(with_texts, show_progress=False)["titles"].texts
    assert path is not None
    assert read_texts(path) == with_texts.datasets[0].data.texts


PAIRS = """
rounds = 1
query_size = 4
initial_size = 12
initial_minority = 2

[[datasets]]
name = "hub:stanfordnlp/snli"
id = "snli"
text_column = "premise"
second_text_column = "hypothesis"
test_split = "validation"
drop_unlabeled = true

[classifiers.transformer]
model = "google-bert/bert-base-uncased"
num_epochs = 1
max_length = 16
validation_set_size = 0.0
[classifiers.logistic]
kind = "sklearn:LogisticRegression"

[methods.random]
"""


def test_pairs_of_texts_reach_classifiers_and_encoder(local_hub: LocalHub, tmp_path: Path) -> None:
    suite = tmp_path / "pairs.toml"
    suite.write_text(PAIRS)
    run = prepare(suite, tmp_path)
    data = run.datasets[0].data
    sources = encode_pending(run, show_progress=False)
    path = sources["snli"].texts
    assert path is not None
    assert read_texts(path) == data.items
    assert isinstance(data.items[0], tuple)
    embeddings = PoolEmbeddings.open(sources["snli"].embeddings, data.sentences)
    assert len(embeddings) == len(data)
    for task in make_tasks(run.pending, sources, tmp_path, threads=1, device="cpu"):
        assert execute(task).status == "passed"


def test_tasks_have_paths_that_hold_in_workers_started_elsewhere(
    suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = prepare(suite_file, Path("results"))
    sources = encode_pending(run, show_progress=False)
    tasks = make_tasks(run.pending, sources, Path("results"), 1, None, ["a:b"])
    assert {task.results for task in tasks} == {tmp_path.resolve() / "results"}
    assert all(task.source.embeddings.is_absolute() for task in tasks)
    assert {task.plugins for task in tasks} == {("a:b",)}
