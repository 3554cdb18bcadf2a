from __future__ import annotations

from typing import Any

from benchmarks.frames import split_sections
from benchmarks.notes import environment_lines, failures_table, section_facts, section_warnings
from benchmarks.results import ClassifierRecord, ModelRecord, UnitResult
from benchmarks.tables import Comparison
from tests.benchmarks.synthetic import make_failure, make_result


def elsewhere(result: UnitResult, **changes: Any) -> UnitResult:  # noqa: ANN401 - fields of a model
    place = result.environment.model_copy(update=changes)
    return result.model_copy(update={"environment": place})


def warnings_of(results: list[UnitResult]) -> list[str]:
    sections = split_sections(results)
    return list(section_warnings(Comparison(sections[0]), sections))


def six_seeds() -> list[UnitResult]:
    return [make_result("random", seed) for seed in range(6)]


def test_units_of_one_state_of_the_code_need_no_warning() -> None:
    results = six_seeds()
    moved = elsewhere(results[0], finished_at="later", cpu="another CPU", threads=8)
    assert warnings_of([moved, *results[1:]]) == []


def test_units_of_different_code_are_named() -> None:
    results = six_seeds()
    changed = [
        elsewhere(results[0], revision="fedcba9876543210"),
        elsewhere(results[1], dirty=True),
        elsewhere(results[2], packages={"small-text-ext": "0.2.0"}),
        *results[3:],
    ]
    (warning,) = warnings_of(changed)
    assert "ran 4 different states of the code" in warning
    assert "revision fedcba987654;" in warning
    assert "revision 0123456789ab with uncommitted changes" in warning
    assert "small-text-ext 0.2.0" in warning


def test_a_subpool_of_the_whole_pool_is_said() -> None:
    results = six_seeds()
    results += [make_result("seals", seed, subpool_size=500) for seed in range(6)]
    assert warnings_of(results) == []
    results += [make_result("anchoral", seed, subpool_size=19_900) for seed in range(6)]
    (warning,) = warnings_of(results)
    assert "**anchoral (6 of 6 units): the subpool was the whole pool in every query**" in warning


def test_the_facts_name_the_wanted_classes() -> None:
    facts = section_facts(Comparison(split_sections(six_seeds())[0]))
    assert "pool of 20,000 texts, of which radio 100 (0.50 %)" in facts
    assert "5 of them of each minority class" in facts


def test_a_fine_tuned_model_is_among_the_facts() -> None:
    result = make_result("random", 0)
    model = ModelRecord(id="minilm", fingerprint="53aa51172d142c89")
    classifier = ClassifierRecord(id="tuned", kind="transformer", model=model)
    spec = result.spec.model_copy(update={"classifier": classifier})
    tuned = result.model_copy(update={"spec": spec})
    facts = section_facts(Comparison(split_sections([tuned])[0]))
    assert "classifier `tuned` fine-tunes `minilm` (weights `53aa51172d14`)" in facts
    assert "fine-tunes" not in section_facts(Comparison(split_sections([result])[0]))


def test_where_all_classes_are_wanted_the_facts_say_so() -> None:
    result = make_result("random", 0, dataset={"minority": ()})
    facts = section_facts(Comparison(split_sections([result])[0]))
    assert "pool of 20,000 texts in 2 classes, all wanted; test set of 5,000 texts in 2" in facts
    assert "5 of them of each class" in facts


def test_a_long_message_of_a_failure_is_cut_to_its_first_line() -> None:
    failed = make_failure("seals", 0)
    assert failed.error is not None
    error = failed.error.model_copy(update={"message": "x" * 500 + "\nsecond line"})
    table = failures_table([failed.model_copy(update={"error": error})])
    assert "x" * 160 + "..." in table
    assert "second" not in table and "x" * 161 not in table


def test_bfloat16_is_part_of_an_environment_where_it_is_known() -> None:
    result = make_result("random", 0)
    lines = [environment_lines([elsewhere(result, bfloat16=has_it)]) for has_it in (True, False)]
    assert "1 thread, cpu, bfloat16 in hardware; Python" in lines[0][0]
    assert lines[1] == environment_lines([result])


def test_environments_are_counted() -> None:
    results = six_seeds()
    (text,) = environment_lines([*results[:5], elsewhere(results[5], dirty=True)])
    first, second = text.split("\n")
    assert first.startswith("- 5 units: a CPU, 1 thread, cpu; Python 3.11.9")
    assert second.startswith("- 1 unit: ") and second.endswith("with uncommitted changes")
