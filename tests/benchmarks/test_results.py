from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.results import (
    ClassifierRecord,
    DatasetRecord,
    EncoderRecord,
    Environment,
    MethodRecord,
    ModelRecord,
    NoResultsError,
    ProtocolRecord,
    ResultFileError,
    RoundRecord,
    UnitResult,
    UnitSpec,
    UnwritableError,
    iterate_results,
    quarantine_result,
    read_result,
    spec_hash,
    stable_content,
    unit_path,
    write_result,
)
from benchmarks.splits import seed_triple


def make_spec(**changes: Any) -> UnitSpec:  # noqa: ANN401 - fields of a model
    content: dict[str, Any] = {
        "suite": "demo",
        "dataset": DatasetRecord(
            id="news:business",
            name="news",
            fingerprint="aa",
            class_names=("other", "business"),
            minority=("business",),
            num_texts=100,
        ),
        "encoder": EncoderRecord(id="minilm", fingerprint="bb"),
        "classifier": ClassifierRecord(id="mlp", kind="mlp"),
        "method": MethodRecord(id="anchoral", strategy="AnchorAL", params={"num_anchors": 10}),
        "protocol": ProtocolRecord(
            rounds=2, query_size=5, initial_size=10, initial_minority=2, test_size=0.2
        ),
        "seed": seed_triple(0),
    }
    return UnitSpec(**{**content, **changes})


def make_result(
    seconds: float = 1.0,
    finished_at: str = "then",
    **changes: Any,  # noqa: ANN401 - fields of a model
) -> UnitResult:
    record = RoundRecord(
        round=0,
        num_labeled=10,
        metrics={"minority_f1": 0.5, "ece": None},
        per_class={"business": {"f1": 0.5}},
        labeled_counts={"other": 8, "business": 2},
        seconds={"fit": seconds},
        picks=(3, 1),
    )
    environment = Environment(
        python="3",
        packages={},
        revision=None,
        dirty=None,
        cpu="x",
        threads=1,
        device="cpu",
        finished_at=finished_at,
    )
    content: dict[str, Any] = {
        "status": "passed",
        "spec": make_spec(),
        "spec_hash": "cc",
        "environment": environment,
        "rounds": (record,),
        "summary": {"final_minority_f1": 0.5, "seconds_fit": seconds},
    }
    return UnitResult(**{**content, **changes})


def test_a_result_survives_the_disk(tmp_path: Path) -> None:
    result = make_result()
    path = write_result(result, tmp_path)
    assert path == tmp_path / "demo/news-business/mlp/anchoral/seed-0.json"
    assert read_result(path) == result
    assert list(iterate_results(tmp_path)) == [result]
    assert not list(path.parent.glob(".*")), "the file it was written to first is gone"


def test_stable_content_leaves_time_and_place_out_and_numbers_in() -> None:
    assert stable_content(make_result(1.0, "then")) == stable_content(make_result(2.0, "now"))
    other = make_result(summary={"final_minority_f1": 0.6})
    assert stable_content(make_result()) != stable_content(other)


CHANGES: dict[str, dict[str, Any]] = {
    "data": {"dataset": make_spec().dataset.model_copy(update={"fingerprint": "other"})},
    "prevalence": {"dataset": make_spec().dataset.model_copy(update={"prevalence": 0.1})},
    "weights": {"encoder": EncoderRecord(id="minilm", fingerprint="other")},
    "precision": {"encoder": EncoderRecord(id="minilm", fingerprint="bb", precision="bfloat16")},
    "classifier": {"classifier": ClassifierRecord(id="mlp", kind="mlp", params={"lr": 0.1})},
    "model": {
        "classifier": ClassifierRecord(
            id="mlp", kind="mlp", model=ModelRecord(id="minilm", fingerprint="bb")
        )
    },
    "parameter": {"method": MethodRecord(id="anchoral", strategy="AnchorAL", params={})},
    "base": {
        "method": MethodRecord(
            id="anchoral", strategy="AnchorAL", base="BreakingTies", params={"num_anchors": 10}
        )
    },
    "protocol": {"protocol": make_spec().protocol.model_copy(update={"query_size": 6})},
    "seed": {"seed": seed_triple(1)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_can_change_a_number_changes_the_hash(change: dict[str, Any]) -> None:
    assert spec_hash(make_spec(**change), "1") != spec_hash(make_spec(), "1")


def test_the_version_changes_the_hash_and_names_do_not() -> None:
    spec = make_spec()
    renamed = make_spec(
        suite="other",
        dataset=spec.dataset.model_copy(update={"id": "x", "name": "csv:elsewhere"}),
        method=spec.method.model_copy(update={"id": "y", "ablation": True}),
        classifier=spec.classifier.model_copy(update={"id": "z"}),
    )
    assert spec_hash(renamed, "1") == spec_hash(spec, "1")
    assert spec_hash(spec, "2") != spec_hash(spec, "1")


def test_a_known_specification_keeps_its_hash() -> None:
    known = "e5adff23bf8e4cb38fe7fc848e146f18dc657b4c8a19c83fe97fdabc1c5ff96e"
    assert spec_hash(make_spec(), "1") == known, "results on disk would run again"


@pytest.mark.parametrize("content", ['{"schema_version": 1, "sta', "[]", "{}", "\xff"])
def test_a_cut_off_or_foreign_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "seed-0.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ResultFileError, match=r"seed-0\.json"):
        read_result(path)


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = write_result(make_result(), tmp_path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "schema_version": 2}))
    with pytest.raises(ResultFileError, match="schema"):
        read_result(path)


def test_a_missing_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(NoResultsError, match="benchmarks run"):
        list(iterate_results(tmp_path / "nothing"))


def test_a_path_as_a_name_stays_below_the_folder() -> None:
    path = unit_path("..", "csv:/data/../x.csv", "sklearn:NB", "a/b", 3)
    assert len(path.parts) == 5
    assert ".." not in path.parts
    assert not path.is_absolute()


def test_other_weights_or_another_name_of_a_model_change_the_hash() -> None:
    hashes = {
        spec_hash(
            make_spec(
                classifier=ClassifierRecord(
                    id="x", kind="transformer", model=ModelRecord(id=name, fingerprint=weights)
                )
            ),
            "1",
        )
        for name in ("minilm", "other")
        for weights in ("aa", "bb")
    }
    assert len(hashes) == 4


def test_results_from_before_there_were_models_are_still_valid(tmp_path: Path) -> None:
    assert spec_hash(make_spec(), "1") == (
        "e5adff23bf8e4cb38fe7fc848e146f18dc657b4c8a19c83fe97fdabc1c5ff96e"
    ), "the hash of this specification before classifiers had models"
    path = write_result(make_result(), tmp_path)
    content = json.loads(path.read_text())
    assert content["spec"]["classifier"] == {"id": "mlp", "kind": "mlp", "params": {}}
    assert read_result(path).spec.classifier.model is None


def test_a_model_survives_the_disk(tmp_path: Path) -> None:
    model = ModelRecord(id="minilm", fingerprint="bb")
    spec = make_spec(classifier=ClassifierRecord(id="x", kind="transformer", model=model))
    path = write_result(make_result(spec=spec), tmp_path)
    assert read_result(path).spec.classifier.model == model


OLD_RESULTS = Path(__file__).parent / "old_results" / "schema-1"
EXPERIMENTS = {
    "anchoral": "AnchorAL",
    "batch-selection": "BatchSelection",
    "full-data": "full-data",
    "labeled-sample": "LabeledSample",
    "noise-detection": "NoiseDetection",
    "random": "RandomSampling",
    "subset": "MapSubset",
    "zero-shot": "ZeroShot",
}
"""Files of one tiny run of each kind, as the runner wrote them at revision 1388457."""


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_old_results_stay_readable_and_keep_their_hashes(name: str) -> None:
    result = read_result(OLD_RESULTS / f"{name}.json")
    assert result.status == "passed"
    assert result.spec.method.strategy == EXPERIMENTS[name]
    assert result.rounds
    # A changed hash would run everything again that lies on disks already.
    version = result.environment.packages["small-text-ext"]
    assert spec_hash(result.spec, version) == result.spec_hash


def test_old_results_of_every_kind_are_there() -> None:
    assert {path.stem for path in OLD_RESULTS.iterdir()} == {*EXPERIMENTS, "failed"}
    failed = read_result(OLD_RESULTS / "failed.json")
    assert failed.error is not None
    assert read_result(OLD_RESULTS / "random.json").rounds[0].epochs


@pytest.mark.parametrize("text", ["", "{", '{"schema_version": 2}', "\udcff"])
def test_what_is_no_result_is_renamed_and_nothing_is_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seed-0.json"
    for number in (1, 2):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(ResultFileError, match="run the suite again, which puts it aside"):
            read_result(path)
        assert quarantine_result(path) == tmp_path / f"seed-0.json.corrupt-{number}"
    assert len(list(tmp_path.iterdir())) == 2
    assert not path.exists()


@pytest.mark.parametrize("target", [(os, "fsync"), (Path, "replace")], ids=["write", "replace"])
def test_a_disk_that_is_full_leaves_the_old_file_whole(
    target: tuple[Any, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_result(make_result(), tmp_path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*target, full)
    with pytest.raises(UnwritableError, match=r"seed-0\.json could not be written \(No space left"):
        write_result(make_result(seconds=2.0), tmp_path)
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == [path.name]
