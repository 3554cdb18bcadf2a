from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import calibration, planning
from benchmarks.calibration import UnitCosts
from benchmarks.loop import run_unit
from benchmarks.planning import (
    Costs,
    Size,
    cost_key,
    describe_plan,
    make_plan,
    rows_scored,
    total_seconds,
    unit_seconds,
)
from benchmarks.results import (
    BATCH_SELECTION,
    MAP_SUBSET,
    NOISE_DETECTION,
    ClassifierRecord,
    MethodRecord,
    UnitSpec,
)
from benchmarks.runner import prepare_run
from benchmarks.selection import Selection, select_suite
from tests.benchmarks.synthetic import make_spec
from tests.tiny_models import tiny_model

COST = UnitCosts(fit=2.0, evaluate=0.001, first_query=30.0, later_query=0.5, harness=0.25)
BBC = {"num_texts": 1_000}


def costs(*specs: UnitSpec, cost: UnitCosts = COST) -> Costs:
    units = {cost_key(spec): cost for spec in specs}
    sizes = {spec.dataset.id: Size(pool=800, test=200) for spec in specs}
    return Costs(encode={}, units=units, sizes=sizes, load=0.01, start=5.0, pool_size=400)


def test_a_unit_takes_its_fits_its_index_and_its_queries() -> None:
    spec = make_spec("anchoral", 0, dataset=BBC)
    queries = 2 * (30.0 + 3 * 0.5)  # the pool is twice the calibration's
    rounds = 5 * (2.0 + 200 * 0.001 + 0.25)
    assert unit_seconds(spec, costs(spec)) == pytest.approx(queries + rounds)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (400, 800.0),  # the whole pool
        (800, 1_600.0),  # embedded and scored
        (399, 399.0),  # a subpool
        (0, 0.0),
    ],
)
def test_a_subpool_does_not_grow_with_the_pool(rows: int, expected: float) -> None:
    assert rows_scored(rows, calibration_pool=400, pool=800) == expected
    spec = make_spec("anchoral", 0, dataset=BBC)
    slow = replace(COST, rows=rows, score=0.125)
    difference = unit_seconds(spec, costs(spec, cost=slow)) - unit_seconds(spec, costs(spec))
    assert difference == pytest.approx(4 * expected * 0.125)


def test_a_subpool_is_never_more_than_the_pool() -> None:
    assert rows_scored(300, calibration_pool=400, pool=200) == 200.0


def test_time_depends_on_the_data_where_a_classifier_reads_texts() -> None:
    first, second = (make_spec("random", 0, dataset={"id": name}) for name in ("a", "b"))
    assert cost_key(first) == cost_key(second)
    text = ClassifierRecord(id="x", kind="transformer")
    changed = [spec.model_copy(update={"classifier": text}) for spec in (first, second)]
    assert cost_key(changed[0]) != cost_key(changed[1])


def test_methods_that_differ_in_their_wrong_labels_are_timed_once() -> None:
    spec = make_spec("random", 0, dataset=BBC)

    def key(name: str, **params: object) -> str:
        method = MethodRecord(id=name, strategy=BATCH_SELECTION, params=params)
        return cost_key(spec.model_copy(update={"method": method}))

    plain = key("rho", score="reducible_loss")
    assert key("rho-20", score="reducible_loss", noise=0.2, noise_kind="structured") == plain
    assert key("loss", score="loss") != plain
    assert key("rho-half", score="reducible_loss", selected_fraction=0.5) != plain


def test_without_rounds_there_is_no_query() -> None:
    spec = make_spec("anchoral", 0, dataset=BBC, protocol={"rounds": 0})
    assert unit_seconds(spec, costs(spec)) == pytest.approx(2.0 + 0.2 + 0.25)


def test_the_ceiling_is_one_fit_that_grows_with_the_pool() -> None:
    spec = make_spec("full-data", 0, dataset=BBC)
    assert unit_seconds(spec, costs(spec)) == pytest.approx(2 * 2.0 + 0.2 + 0.25)


def test_a_one_shot_experiment_is_all_its_fits_that_grow_with_the_pool() -> None:
    for strategy, params in ((MAP_SUBSET, {"keep": "hard"}), (NOISE_DETECTION, {"noise": 0.1})):
        method = {"strategy": strategy, "ablation": False, "params": params}
        spec = make_spec("mine", 0, dataset=BBC, method=method)
        assert unit_seconds(spec, costs(spec)) == pytest.approx(2 * 2.0 + 0.2 + 0.25)


def test_units_share_workers_and_data_but_not_their_start() -> None:
    specs = [make_spec(name, seed, dataset=BBC) for name in ("random", "seals") for seed in (0, 1)]
    cost = costs(*specs)
    alone = sum(unit_seconds(spec, cost) for spec in specs)
    assert total_seconds(specs, cost, jobs=2) == pytest.approx(5 + 2 * 1_000 * 0.01 + alone / 2)
    assert total_seconds([], cost, jobs=2) == 0.0


def test_a_plan_of_a_real_suite_counts_and_times(suite_file: Path, tmp_path: Path) -> None:
    run = prepare_run(select_suite(Selection(str(suite_file))), tmp_path)
    before = torch.get_num_threads()
    plan = make_plan(run)
    assert torch.get_num_threads() == before
    assert (plan.units, plan.pending, plan.fits, plan.failures) == (6, 6, 18, ())
    assert plan.unit_seconds > 0
    rows = dict(describe_plan(plan))
    assert rows["fits"] == "18"
    done = make_plan(replace(run, pending=[]))
    assert (done.pending, done.fits, done.hours) == (0, 0, 0.0)


def test_every_method_is_queried_with_the_threads_of_a_worker(
    suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int, list[bool]]] = []

    def spy(spec: UnitSpec, *arguments: Any) -> Any:  # noqa: ANN401
        records = run_unit(spec, *arguments)
        queries = [record.seconds["query"] > 0 for record in records]
        seen.append((spec.method.id, torch.get_num_threads(), queries))
        return records

    monkeypatch.setattr(calibration, "run_unit", spy)
    monkeypatch.setattr(planning, "threads_per_worker", lambda jobs: 10 + jobs)
    make_plan(prepare_run(select_suite(Selection(str(suite_file))), tmp_path))
    timed = seen[1:]  # the first is the warm-up
    assert seen[0][0] == "random"
    assert [name for name, _, _ in timed] == ["random", "least-confidence", "anchoral"]
    assert {threads for _, threads, _ in seen} == {11}
    assert all(queries == [False, True, True] for _, _, queries in timed)


def test_what_fails_in_the_calibration_is_said(suite_file: Path, tmp_path: Path) -> None:
    text = suite_file.read_text() + "\n[methods.anchor-subsampling]\nsubsample_size = 50\n"
    broken = tmp_path / "broken.toml"
    broken.write_text(text)
    plan = make_plan(prepare_run(select_suite(Selection(str(broken))), tmp_path))
    (failure,) = plan.failures
    assert failure.startswith("anchor-subsampling with logistic: AttributeError")
    assert ("fails in the calibration", failure) in describe_plan(plan)


TEXT_SUITE = """
rounds = 2
query_size = 5
initial_size = 12
initial_minority = 2

[[datasets]]
name = "csv:{path}"
minority = ["business"]

[classifiers.transformer]
model = "{model}"
num_epochs = {epochs}
max_length = 8

[methods.random]
[methods.least-confidence]
[methods.random-subset]
subpool_size = 30
[methods.full-data]
num_epochs = 1
[methods.half]
preset = "subset"
keep = "hard"
fraction = 0.5
"""


def text_suite(titles_csv: Path, folder: Path, epochs: int = 1) -> Path:
    path = folder / "texts.toml"
    model = tiny_model(folder / "model")
    path.write_text(TEXT_SUITE.format(path=titles_csv, model=model, epochs=epochs))
    return path


@pytest.fixture
def few_texts(monkeypatch: pytest.MonkeyPatch, shared_cache: Path) -> None:
    monkeypatch.setattr(planning, "CALIBRATION_TEXTS", 16)


@pytest.mark.usefixtures("few_texts")
def test_classifiers_on_texts_are_timed_on_the_texts_of_the_data_set(
    titles_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[int] = []
    seen: list[tuple[UnitSpec, Costs]] = []

    def spy_fit(factory: Any, data_set: Any) -> Any:  # noqa: ANN401
        fits.append(len(data_set))
        return original(factory, data_set)

    def spy_costs(spec: UnitSpec, costs: Costs) -> float:
        seen.append((spec, costs))
        return unit_seconds(spec, costs)

    original = calibration._timed_fit
    monkeypatch.setattr(calibration, "_timed_fit", spy_fit)
    monkeypatch.setattr(planning, "unit_seconds", spy_costs)
    run = prepare_run(
        select_suite(Selection(str(text_suite(titles_csv, tmp_path)), seeds=1)), tmp_path
    )
    plan = make_plan(run)
    assert plan.failures == ()
    assert plan.fits == 3 * 3 + 1 + 2
    # Methods share a fit of the middle round's 17 labels; the ceiling's equals it here.
    assert fits[1::2] == [17]
    costs_by_method = {spec.method.id: costs.units[cost_key(spec)] for spec, costs in seen}
    pool_size = seen[0][1].pool_size
    assert {name: cost.rows for name, cost in costs_by_method.items()} == {
        "random": 0,
        "least-confidence": pool_size,
        "random-subset": 30 + 17 + 5,
        "full-data": 0,
        "half": 0,
    }
    timed = costs_by_method["random"]
    assert timed.fit > 0
    assert timed.score == timed.evaluate > 0
    assert costs_by_method["full-data"].fit == pytest.approx(timed.fit * pool_size / 17)
    assert costs_by_method["half"].fit == pytest.approx(1.5 * timed.fit * pool_size / 17)
    (size,) = seen[0][1].sizes.values()
    assert size == Size(pool=192, test=48)


@pytest.mark.usefixtures("few_texts")
def test_a_fit_on_texts_that_fails_is_said_once_for_each_method(
    titles_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(calibration, "_timed_fit", broken)
    run = prepare_run(
        select_suite(
            Selection(
                str(text_suite(titles_csv, tmp_path)), seeds=2, methods=["random", "full-data"]
            )
        ),
        tmp_path,
    )
    failures = make_plan(run).failures
    assert failures == (
        "random with transformer: RuntimeError: no memory left",
        "full-data with transformer: RuntimeError: no memory left",
    )
