from __future__ import annotations

from benchmarks.frames import split_sections
from benchmarks.results import SINGLE_FIT, UnitResult
from benchmarks.single_fit_tables import fit_comparisons, fit_summary, fit_table
from tests.benchmarks.synthetic import make_result


def judged(classifier: str, seed: int = 0, **metrics: float) -> UnitResult:
    method = {"strategy": SINGLE_FIT, "ablation": False}
    result = make_result("bias", seed, [0.5], method=method)
    rounds = (result.rounds[0].model_copy(update={"metrics": {"test_accuracy": 0.5, **metrics}}),)
    changed = result.spec.classifier.model_copy(update={"id": classifier})
    spec = result.spec.model_copy(update={"classifier": changed})
    return result.model_copy(update={"spec": spec, "rounds": rounds})


def test_classifiers_stand_beside_each_other() -> None:
    results = [
        judged("batch", development_accuracy=0.9, second_accuracy=0.7),
        judged("pushed", development_accuracy=0.8),
    ]
    (found,) = fit_comparisons(split_sections(results))
    assert fit_table(found).split("\n")[2:] == [
        "| `batch` | bias | 1 | 0.500 | 0.900 | 0.700 | - | - |",
        "| `pushed` | bias | 1 | 0.500 | 0.800 | - | - | - |",
    ]
    first, second = fit_summary([found])
    assert (first["classifier"], first["second_accuracy"]["mean"]) == ("batch", 0.7)
    assert second["second_accuracy"] is None


def test_seeds_are_averaged() -> None:
    results = [judged("batch", seed, second_floor=0.4 + 0.2 * seed) for seed in (0, 1)]
    (found,) = fit_comparisons(split_sections(results))
    estimate = found.estimate(("batch", "bias"), "second_floor")
    assert estimate is not None
    assert (round(estimate.mean, 6), estimate.num_seeds) == (0.5, 2)


def with_params(result: UnitResult, **params: object) -> UnitResult:
    method = result.spec.method.model_copy(update={"params": params})
    return result.model_copy(update={"spec": result.spec.model_copy(update={"method": method})})


def test_two_methods_of_one_name_are_never_averaged() -> None:
    first, second = (judged("batch", seed, second_accuracy=0.4 + 0.2 * seed) for seed in (0, 1))
    (found,) = fit_comparisons(split_sections([first, with_params(second, share=0.5)]))
    names = [name for _, name in found.records]
    assert len(names) == 2 and all(name.startswith("bias (") for name in names)
    assert "0.400" in fit_table(found) and "0.600" in fit_table(found)


def test_without_such_units_there_is_no_table() -> None:
    assert fit_comparisons(split_sections([make_result("random", 0)])) == []
