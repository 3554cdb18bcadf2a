from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from matplotlib.image import imread

from benchmarks import maps
from benchmarks.maps import DESCRIPTION, DYNAMICS, FILES, MapRequest, write_map
from benchmarks.suggestions import SuiteError
from small_text_ext.training.dynamics import TrainingDynamics
from small_text_ext.training.dynamics_files import read_metrics, read_regions
from tests.benchmarks.test_cli import invoke, plain
from tests.tiny_models import tiny_model


@pytest.fixture(scope="module")
def request_(titles_csv: Path, shared_cache: Path) -> MapRequest:
    return MapRequest(f"csv:{titles_csv}", params={"num_epochs": 4}, fraction=0.25)


@pytest.fixture(scope="module")
def finished(request_: MapRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map") / "titles"
    write_map(request_, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != DESCRIPTION
    }


def test_every_file_is_there_and_says_the_same(
    finished: Path, titles: list[tuple[str, str]]
) -> None:
    epochs = {f"{DYNAMICS}/dynamics_epoch_{epoch}.jsonl" for epoch in range(4)}
    assert contents(finished).keys() == {*FILES, *epochs}
    dynamics = TrainingDynamics.read_jsonl(finished)
    metrics = read_metrics(finished / "td_metrics.jsonl")
    assert metrics["confidence"].tolist() == dynamics.metrics()["confidence"].tolist()
    regions = read_regions(finished / "three_regions.json")
    assert {name: len(rows) for name, rows in regions.items()} == dict.fromkeys(regions, 60)
    assert regions["hard"] == dynamics.regions(0.25)["hard"].tolist()
    with (finished / "suspected_noise.csv").open(encoding="utf-8") as file:
        suspects = list(csv.DictReader(file))
    scores = [float(row["score"]) for row in suspects]
    assert len(suspects) == 240
    assert scores == sorted(scores, reverse=True)
    for row in suspects:
        assert (row["text"], row["label"]) == titles[int(row["guid"])]
    assert imread(finished / "data_map.png")[..., :3].std() > 0.05
    assert titles[0][0].split()[0] in (finished / "data_map.html").read_text(encoding="utf-8")


def test_the_description_says_of_what(finished: Path) -> None:
    content = json.loads((finished / DESCRIPTION).read_text())
    assert content["num_epochs"] == 4
    assert content["map"]["num_texts"] == 240
    assert content["map"]["classifier"]["params"] == {"num_epochs": 4}
    assert content["map"]["fraction"] == 0.25
    assert len(content["map"]["fingerprint"]) == 64
    assert "torch" in content["environment"]["packages"]


def test_the_same_map_again_makes_what_is_missing_alone(
    request_: MapRequest, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: object) -> None:
        raise AssertionError("fitted twice")

    before = contents(finished)
    missing = finished / "suspected_noise.csv"
    missing.unlink()
    kept = (finished / "data_map.png").stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(maps, "_fitted", again)
        write_map(request_, finished)
    assert contents(finished) == before
    assert (finished / "data_map.png").stat().st_mtime_ns == kept


def test_a_missing_epoch_is_a_new_fit_and_the_same_map(
    request_: MapRequest, finished: Path
) -> None:
    before = contents(finished)
    (finished / DYNAMICS / "dynamics_epoch_3.jsonl").unlink()
    write_map(request_, finished)
    after = contents(finished)
    assert after.keys() == before.keys()
    assert after["td_metrics.jsonl"] == before["td_metrics.jsonl"]


def test_a_fit_that_failed_is_taken_up_again(
    request_: MapRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(maps, "_fitted", broken)
        with pytest.raises(RuntimeError, match="killed"):
            write_map(request_, tmp_path)
    assert json.loads((tmp_path / DESCRIPTION).read_text())["num_epochs"] is None
    write_map(request_, tmp_path)
    assert all((tmp_path / name).exists() for name in FILES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, r"differs in seed \(0 there\)"),
        ({"fraction": 0.5}, "fraction"),
        ({"crossfit": 3}, "crossfit .*, observe"),
        ({"max_texts": 100}, "fingerprint .*, num_texts"),
        ({"params": {"num_epochs": 2}}, "classifier"),
    ],
)
def test_another_map_is_not_mixed_in(
    request_: MapRequest, finished: Path, changes: dict[str, object], message: str
) -> None:
    before = contents(finished)
    with pytest.raises(SuiteError, match=f"holds another map.*{message}"):
        write_map(MapRequest(**{**vars(request_), **changes}), finished)
    assert contents(finished) == before


def test_files_of_nobody_knows_what_are_left_alone(request_: MapRequest, tmp_path: Path) -> None:
    (tmp_path / "td_metrics.jsonl").write_text("{}")
    with pytest.raises(SuiteError, match=r"holds td_metrics.jsonl, but no map\.json"):
        write_map(request_, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["td_metrics.jsonl"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classifier": "sklearn:GaussianNB", "params": {}}, "a data map needs"),
        ({"classifier": "mpl"}, "Did you mean 'mlp'"),
        ({"params": {"num_epoch": 3}}, "Did you mean 'num_epochs'"),
        ({"params": {"num_epochs": 0}}, "cannot be built"),
        ({"fraction": 0.0}, "--fraction 0.0"),
        ({"crossfit": 1}, "--crossfit 1"),
    ],
)
def test_what_is_refused_is_refused_before_anything_is_written(
    request_: MapRequest, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SuiteError, match=message):
        write_map(MapRequest(**{**vars(request_), **changes}), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_command_prints_regions_and_suspects(request_: MapRequest, tmp_path: Path) -> None:
    arguments = ("map", "--dataset", request_.dataset, "--max-texts", 120, "--out", tmp_path / "m")
    options = ("--crossfit", 3, "--set", "num_epochs=3", "--fraction", 0.2)
    result = invoke(*arguments, *options)
    assert result.exit_code == 0, result.output
    text = plain(result)
    assert "│ ambiguous │ 24 │" in text
    assert "│ all │ 120 │" in text
    assert "Suspected labels" in text
    again = invoke(*arguments, *options)
    assert "the dynamics are there" in plain(again)
    other = invoke(*arguments)
    assert other.exit_code == 2
    assert "holds another map" in plain(other)


def test_an_encoder_is_mapped_on_texts(request_: MapRequest, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    quick = {"num_epochs": 2, "max_length": 8, "model": str(model)}
    request = MapRequest(request_.dataset, "transformer", quick, max_texts=60, observe="epoch_end")
    made = write_map(request, tmp_path / "map", device="cpu")
    assert made.dynamics.logits.shape == (2, 60, 5)
    content = json.loads((tmp_path / "map" / DESCRIPTION).read_text())
    assert content["map"]["encoder"] is None
    assert content["map"]["classifier"]["model"]["id"] == str(model)
    tiny_model(model, seed=1)
    with pytest.raises(SuiteError, match="differs in classifier"):
        write_map(request, tmp_path / "map", device="cpu")
