from __future__ import annotations

from typing import Any

import pytest

from benchmarks.batch_selection import SelectionSettings
from benchmarks.frames import Section, split_sections
from benchmarks.results import BATCH_SELECTION, RoundRecord, UnitResult
from benchmarks.selection_tables import (
    Condition,
    SelectionComparison,
    epochs_to_accuracy,
    record_seconds,
    record_steps,
    selection_comparisons,
    selection_summary,
    selection_table,
)
from tests.benchmarks.synthetic import make_result

NUM_SEEDS = 6
# Uniform ends at .8 and gets there with its fifth evaluation; reducible loss with its second.
UNIFORM = (0.3, 0.5, 0.6, 0.8, 0.8, 0.8)
FAST = (0.6, 0.8, 0.9, 0.9, 0.9, 0.9)
SLOW = (0.2, 0.3, 0.4, 0.5, 0.5, 0.5)


def unit(
    name: str,
    seed: int,
    heights: tuple[float, ...],
    seconds: float = 2.0,
    before: float = 0.0,
    metrics: dict[str, float] | None = None,
    **params: Any,  # noqa: ANN401
) -> UnitResult:
    method = {"strategy": BATCH_SELECTION, "ablation": False, "params": params}
    made = make_result(name, seed, heights, method=method)
    rounds = tuple(
        RoundRecord(
            round=number,
            num_labeled=1000,
            step=10 * (number + 1),
            metrics={"accuracy": height + 0.001 * seed, "selected_noisy": 0.25, **(metrics or {})},
            per_class={},
            labeled_counts={"other": 1000},
            seconds={"fit": seconds, "irreducible": before if number == 0 else 0.0},
        )
        for number, height in enumerate(heights)
    )
    return made.model_copy(update={"rounds": rounds})


def section(*more: UnitResult) -> Section:
    seeds = range(NUM_SEEDS)
    results = [unit("uniform", seed, UNIFORM, score="uniform") for seed in seeds]
    results += [
        unit(
            "rho",
            seed,
            FAST,
            seconds=4.0,
            before=8.0,
            metrics={"irreducible_accuracy": 0.7},
            score="reducible_loss",
        )
        for seed in seeds
    ]
    results += [unit("loss", seed, SLOW, score="loss") for seed in seeds]
    (found,) = split_sections([*results, *more])
    return found


def comparison(*more: UnitResult) -> SelectionComparison:
    return selection_comparisons(section(*more))[0]


def cells(table: str) -> dict[str, list[str]]:
    lines = [line.strip("| ").split(" | ") for line in table.split("\n")[2:]]
    return {line[0]: line for line in lines}


def test_steps_to_the_target_are_those_of_the_first_evaluation_that_reaches_it() -> None:
    rows = cells(selection_table(comparison()))
    assert list(rows) == ["uniform", "loss", "rho", "(irreducible model, 5 folds)"]
    name, seeds, accuracy, difference, steps, reached, faster, quicker, total = rows["rho"][:9]
    assert (name, seeds, steps, reached) == ("rho", "6", "20", "6/6")
    assert accuracy.startswith(("0.902 [", "0.903 ["))
    assert difference == "**+0.100 [+0.100, +0.100]**"
    assert float(faster.split(" ")[0]) == pytest.approx(40 / 20)
    assert float(quicker.split(" ")[0]) == pytest.approx(4 * 2.0 / (8.0 + 2 * 4.0))
    assert total == "32"
    assert rows["uniform"][3:8] == ["-", "40", "6/6", "-", "-"]
    assert rows["rho"][9:] == ["0.250", "-", "-"]
    assert rows["(irreducible model, 5 folds)"][2] == "0.700 [0.700, 0.700]"


def test_a_method_that_never_gets_there_counts_with_all_its_steps() -> None:
    rows = cells(selection_table(comparison()))
    assert rows["loss"][4:6] == ["-", "0/6"]
    assert rows["loss"][6].startswith("at most 0.67 [")
    assert rows["loss"][7].startswith("at most 0.67 [")


def test_a_shorter_run_that_never_gets_there_is_not_faster_for_it() -> None:
    short = [unit("short", seed, SLOW[:3], score="loss") for seed in range(NUM_SEEDS)]
    rows = cells(selection_table(comparison(*short)))
    assert rows["short"][4:6] == ["-", "0/6"]
    assert rows["short"][6].startswith("at most 0.67 [")


def test_an_ablation_of_uniform_is_no_reference() -> None:
    other = [unit("a-half", seed, FAST, score="uniform", lr=0.5) for seed in range(NUM_SEEDS)]
    marked = [
        result.model_copy(
            update={
                "spec": result.spec.model_copy(
                    update={"method": result.spec.method.model_copy(update={"ablation": True})}
                )
            }
        )
        for result in other
    ]
    found = comparison(*marked)
    assert found.uniform is not None
    assert found.uniform.name == "uniform"


def test_what_was_done_to_the_data_is_compared_apart() -> None:
    noisy = [
        unit("uniform-20", seed, SLOW, score="uniform", noise=0.2) for seed in range(NUM_SEEDS)
    ]
    found = selection_comparisons(section(*noisy))
    assert [each.condition.title for each in found] == ["labels as they are", "20 % wrong labels"]
    assert [curve.name for curve in found[1].curves] == ["uniform-20"]
    assert found[1].uniform is found[1].curves[0]
    assert found[1].targets[0] == pytest.approx(0.5)


def test_a_longer_uniform_run_is_no_reference() -> None:
    longer = [
        unit("a-longer", seed, (*FAST, *FAST), score="uniform", passes=2.0)
        for seed in range(NUM_SEEDS)
    ]
    found = comparison(*longer)
    assert found.uniform is not None
    assert found.uniform.name == "uniform"
    alone = selection_comparisons(split_sections(longer)[0])[0]
    assert alone.uniform is None
    assert cells(selection_table(alone))["a-longer"][3:8] == ["-", "-", "0/0", "-", "-"]


def test_seconds_count_what_came_before_the_first_step() -> None:
    (rho,) = [curve for curve in comparison().curves if curve.name == "rho"]
    assert record_seconds(rho.rounds[0]) == [12.0, 16.0, 20.0, 24.0, 28.0, 32.0]
    assert record_steps(rho.rounds[0]) == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]


def test_the_summary_has_the_numbers_of_the_table() -> None:
    rho = next(row for row in selection_summary(section()) if row["method"] == "rho")
    assert rho["seeds"] == list(range(NUM_SEEDS))
    assert rho["times_faster_steps"]["mean"] == pytest.approx(2.0)
    assert rho["steps_to_target"][3] == 20.0


@pytest.mark.parametrize(
    ("settings", "title"),
    [
        (SelectionSettings(noise_kind="structured"), "labels as they are"),
        (SelectionSettings(noise=0.4), "40 % wrong labels"),
        (
            SelectionSettings(noise=0.2, noise_kind="structured", irrelevant=0.5),
            "20 % wrong labels (structured), 50 % of the classes irrelevant",
        ),
    ],
)
def test_conditions_in_words(settings: SelectionSettings, title: str) -> None:
    assert Condition.of(settings).title == title


def test_epochs_to_an_accuracy_are_counted_from_one() -> None:
    from benchmarks.results import RoundRecord

    records = [
        RoundRecord(
            round=n, num_labeled=9, metrics={"accuracy": a}, per_class={}, labeled_counts={}
        )
        for n, a in enumerate([0.5, 0.825, 0.8, 0.9])
    ]
    reached = [epochs_to_accuracy(records, share) for share in (0.5, 0.825, 0.9, 0.95)]
    assert reached == [1, 2, 4, None]
