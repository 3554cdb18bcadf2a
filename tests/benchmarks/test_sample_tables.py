from __future__ import annotations

from benchmarks.frames import split_sections
from benchmarks.results import LABELED_SAMPLE, UnitResult
from benchmarks.sample_tables import (
    SampleComparison,
    sample_comparisons,
    sample_summary,
    sample_table,
)
from tests.benchmarks.synthetic import make_result

KINDS = {"fine-tuned": "transformer", "frozen": "sklearn:LogisticRegression", "ours": "mlp"}
HEIGHTS = {"fine-tuned": 0.7, "frozen": 0.6, "ours": 0.75}


def sample(classifier: str, seed: int, per_class: int = 8, number: int = 6) -> UnitResult:
    method = {"strategy": LABELED_SAMPLE, "ablation": False, "params": {"per_class": per_class}}
    changes = {"id": classifier, "kind": KINDS[classifier]}
    result = make_result(f"few-{per_class}", seed, [0.5], method=method)
    record = result.rounds[0]
    height = HEIGHTS[classifier] + 0.01 * seed
    metrics = {**record.metrics, "accuracy": height, "macro_f1": height / 2, "peak_memory": 100.0}
    spec = result.spec.model_copy(
        update={"classifier": result.spec.classifier.model_copy(update=changes)}
    )
    rounds = (record.model_copy(update={"metrics": metrics}),)
    return result.model_copy(update={"spec": spec, "rounds": rounds})


def comparisons(*more: UnitResult) -> list[SampleComparison]:
    results = [sample(name, seed) for name in KINDS for seed in range(6)]
    return sample_comparisons(split_sections([*results, *more]))


def rows_of(table: str) -> dict[str, list[str]]:
    lines = [line.strip("| ").split(" | ") for line in table.split("\n")[2:]]
    return {cells[0].strip("`"): cells for cells in lines}


def test_classifiers_stand_beside_each_other_paired_by_seed() -> None:
    (found,) = comparisons()
    assert found.title.endswith("8 a class")
    rows = rows_of(sample_table(found))
    assert list(rows) == list(KINDS)
    assert rows["ours"][1:3] == ["6", "100"]
    assert rows["ours"][3].startswith("0.775 [")
    assert rows["ours"][4:6] == [
        "**+0.050 [+0.050, +0.050]**",
        "**+0.150 [+0.150, +0.150]**",
    ]
    assert rows["fine-tuned"][4] == "-"
    assert rows["frozen"][5] == "-"
    assert rows["ours"][-1].startswith("100")


def test_each_number_of_labels_has_a_table() -> None:
    found = comparisons(sample("ours", 0, per_class=64))
    assert [each.title.rsplit(" · ", 1)[1] for each in found] == ["8 a class", "64 a class"]
    assert found[1].kinds == ()
    assert rows_of(sample_table(found[1]))["ours"][1] == "1"


def test_a_missing_seed_is_left_out_of_the_pairs() -> None:
    results = [sample(name, seed) for name in ("fine-tuned", "ours") for seed in range(6)]
    (found,) = sample_comparisons(split_sections(results[:-1]))
    ours = found.reference("mlp")
    assert ours is not None
    difference = found.difference(ours, "transformer")
    assert difference is not None
    assert difference.num_seeds == 5


def test_the_summary_has_the_numbers_of_the_table() -> None:
    rows = {row["classifier"]: row for row in sample_summary(comparisons())}
    assert rows["ours"]["accuracy"]["mean"] == 0.775
    assert abs(rows["ours"]["differences"]["transformer"]["mean"] - 0.05) < 1e-9
    assert rows["fine-tuned"]["differences"]["transformer"] is None
    assert rows["ours"]["fit_seconds"]["mean"] == 2.0


def test_without_such_units_there_is_no_table() -> None:
    assert sample_comparisons(split_sections([make_result("random", 0)])) == []
