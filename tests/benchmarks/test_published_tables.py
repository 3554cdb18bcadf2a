from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.experiments import EXPERIMENTS
from benchmarks.frames import Section, split_sections
from benchmarks.parsing import parse_suite
from benchmarks.published_tables import (
    AMBIGUOUS,
    NOT_MEASURED,
    NOT_RUN,
    PublishedComparison,
    PublishedSuite,
    published_comparisons,
    published_facts,
    published_suites,
    published_summary,
    published_table,
    unit_measure,
)
from benchmarks.results import UnitResult
from benchmarks.specs import PublishedNumber
from tests.benchmarks.stand_ins import LocalHub
from tests.benchmarks.synthetic import make_result

BASE = {"base": "LeastConfidence"}

SUITE = """
name = "demo"
rounds = 4

[[datasets]]
name = "debian-sections"
id = "sections:radio"
minority = ["radio"]

[classifiers.mlp]
kind = "mlp"

[methods.anchoral]

[methods.seals]

[published]
id = "made-up"
line = "anchoral"
source = "a | paper"
status = "partly recovered"
reason = "a figure only"
differences = ["another encoder"]

[[published.numbers]]
value = 0.75
metric = "published_area_f1"
dataset = "sections:radio"
classifier = "mlp"
method = "anchoral"
spread = 0.05
note = "read off a figure"

[[published.numbers]]
value = 0.9
metric = "final_accuracy"
method = "seals"

[[published.numbers]]
value = 0.5
metric = "final_accuracy"

[[published.numbers]]
value = 0.5
metric = "final_accuracy"
method = "random"

[[published.numbers]]
value = 0.5
metric = "final_unheard_of"
method = "seals"
"""


@pytest.fixture
def suites(tmp_path: Path) -> dict[str, PublishedSuite]:
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "made-up.toml").write_text(SUITE, encoding="utf-8")
    (tmp_path / "plain.toml").write_text('name = "plain"\n', encoding="utf-8")
    return published_suites(tmp_path)


def _sections(results: Sequence[UnitResult]) -> list[Section]:
    return split_sections(results)


def _results() -> list[UnitResult]:
    # F1 is half of the heights: areas by rounds of .5 and 1.
    return [
        make_result("anchoral", 0, [0.25] * 5, method=BASE),
        make_result("anchoral", 1, [0.5] * 5, method=BASE),
        make_result("seals", 0, method=BASE),
    ]


def _compared(suites: dict[str, PublishedSuite]) -> PublishedComparison:
    (comparison,) = published_comparisons(_sections(_results()), suites)
    return comparison


def test_suites_in_folders_are_found_and_plain_ones_are_none(
    suites: dict[str, PublishedSuite],
) -> None:
    assert list(suites) == ["demo"]
    assert suites["demo"].publication.id == "made-up"


def test_a_number_is_beside_ours_with_interval_and_difference(
    suites: dict[str, PublishedSuite],
) -> None:
    row = _compared(suites).rows[0]
    assert row.ours is not None and row.ours.num_seeds == 2
    assert (row.ours.mean, row.ours.low, row.ours.high) == pytest.approx((0.75, 0.5, 1.0))
    assert row.difference == pytest.approx(0.0)
    assert "| sections:radio | mlp | anchoral | published_area_f1 | 0.750 | 0.050 |" in (
        published_table(_compared(suites))
    )


def test_what_has_no_number_says_why(suites: dict[str, PublishedSuite]) -> None:
    rows = _compared(suites).rows
    assert rows[1].ours is not None and rows[1].ours.mean == pytest.approx(0.99)
    assert (rows[1].dataset, rows[1].classifier) == ("sections:radio", "mlp")
    assert [row.reason for row in rows] == ["", "", AMBIGUOUS, NOT_RUN, NOT_MEASURED]
    assert [row.difference for row in rows[2:]] == [None] * 3


def test_another_loop_is_compared_with_nothing(suites: dict[str, PublishedSuite]) -> None:
    short = make_result("anchoral", 0, protocol={"rounds": 2}, method=BASE)
    (comparison,) = published_comparisons(_sections([short]), suites)
    assert {row.reason for row in comparison.rows} == {NOT_RUN}
    assert "rounds 2 in place of 4" in published_facts(comparison)
    rarer = make_result("anchoral", 0, dataset={"prevalence": 0.01}, method=BASE)
    (comparison,) = published_comparisons(_sections([rarer]), suites)
    assert "prevalence 0.01 in place of null" in published_facts(comparison)
    elsewhere = make_result("anchoral", 0, dataset={"id": "other"}, method=BASE)
    (comparison,) = published_comparisons(_sections([elsewhere]), suites)
    assert "the suite has no data set other" in published_facts(comparison)


def test_other_data_encoders_and_test_sets_are_compared_with_nothing(
    suites: dict[str, PublishedSuite],
) -> None:
    demo = suites["demo"]
    spec = make_result("anchoral", 0, method=BASE).spec
    assert demo.changed(spec) == []
    other = {"id": "wsc", "name": "hub:wsc", "fingerprint": "f", "num_texts": 3}
    data = {"name": "bbc-news", "out_of_distribution": [other]}
    encoder = spec.encoder.model_copy(update={"id": "mpnet", "precision": "bfloat16"})
    elsewhere = make_result(
        "anchoral", 0, dataset=data, protocol={"test_size": 0.5}, method=BASE
    ).spec.model_copy(update={"encoder": encoder})
    assert demo.changed(elsewhere) == [
        'data "bbc-news" in place of "debian-sections"',
        'other test sets {"wsc":"hub:wsc"} in place of {}',
        'encoder "mpnet" in place of "minilm"',
        'its precision "bfloat16" in place of "float32"',
        "test_size 0.5 in place of 0.2",
    ]


def test_a_table_of_one_s_own_may_have_any_name(suites: dict[str, PublishedSuite]) -> None:
    demo = suites["demo"]
    raw = {**demo.raw, "datasets": [{**demo.raw["datasets"][0], "name": "csv:articles.csv"}]}
    mine = make_result("anchoral", 0, dataset={"name": "csv:my/own.csv"}, method=BASE).spec
    assert PublishedSuite("demo", demo.publication, raw).changed(mine) == []
    assert "csv:" in demo.changed(mine)[0]


def test_vectors_that_come_with_the_data_are_the_encoder(suites: dict[str, PublishedSuite]) -> None:
    demo = suites["demo"]
    entry: dict[str, object] = {
        "name": "hub:a/b",
        "id": "sections:radio",
        "minority": ["radio"],
        "embeddings": {"name": "mpnet", "column": "vectors"},
    }
    suite = PublishedSuite("demo", demo.publication, {**demo.raw, "datasets": [entry]})
    spec = make_result("anchoral", 0, dataset={"name": "hub:a/b"}, method=BASE).spec
    assert suite.changed(spec) == ['encoder "minilm" in place of "mpnet"']
    given = spec.encoder.model_copy(update={"id": "mpnet"})
    assert suite.changed(spec.model_copy(update={"encoder": given})) == []


def test_classifiers_of_a_method_are_compared_by_the_names_of_their_models() -> None:
    suite = published_suites()["rho-sst2"]
    parsed = parse_suite(suite.raw)
    dataset = parsed.datasets[0].id
    records = parsed.method_records(dataset)
    (method,) = [record for record in records if record.params["score"] == "reducible_loss"]
    nested = dict(method.params["irreducible_classifier"])
    settings = dict(nested["params"])
    model = {"id": settings.pop("model"), "fingerprint": "f" * 64}

    def changed(**changes: object) -> list[str]:
        found = {"kind": nested["kind"], "params": settings, "model": model, **changes}
        params = {**method.params, "irreducible_classifier": found}
        ran = method.model_copy(update={"params": params})
        spec = make_result("random", 0, dataset={"id": dataset}).spec
        return suite.changed_method(spec.model_copy(update={"method": ran}))

    assert changed() == []
    assert changed(model={**model, "fingerprint": "e" * 64}) == []
    assert "albert" in changed(model={**model, "id": "gpt2"})[0]
    assert '"num_epochs":2' in changed(params={**settings, "num_epochs": 2})[0]


def test_numbers_up_to_a_round_or_of_passes_need_every_run(
    suites: dict[str, PublishedSuite],
) -> None:
    demo = suites["demo"]
    area = PublishedNumber(value=0.5, metric="published_area_f1", method="anchoral")
    numbers = [
        area.model_copy(update={"up_to_round": 2}),
        area.model_copy(update={"up_to_round": 3}),
        PublishedNumber(value=2, metric="epochs_to_accuracy_0.9", method="anchoral"),
        PublishedNumber(value=2, metric="epochs_to_accuracy_0.995", method="anchoral"),
    ]
    publication = demo.publication.model_copy(update={"numbers": tuple(numbers)})
    changed = {"demo": PublishedSuite("demo", publication, demo.raw)}
    results = [
        make_result("anchoral", 0, [0.5] * 5, method=BASE),
        make_result("anchoral", 1, [0.5] * 3, method=BASE),
    ]
    (comparison,) = published_comparisons(_sections(results), changed)
    rows = comparison.rows
    assert rows[0].ours is not None and rows[0].ours.mean == pytest.approx(0.5)
    assert (rows[1].ours, rows[1].reason) == (None, "reached by 1 of 2 runs")
    assert rows[2].ours is not None and rows[2].ours.mean == 1
    assert (rows[3].ours, rows[3].reason) == (None, "reached by 0 of 2 runs")


def test_a_published_median_stands_beside_ours(suites: dict[str, PublishedSuite]) -> None:
    demo = suites["demo"]
    number = PublishedNumber(
        value=0.5, metric="published_area_f1", method="anchoral", statistic="median"
    )
    publication = demo.publication.model_copy(update={"numbers": (number,)})
    heights = (0.1, 0.5, 0.6)
    results = [
        make_result("anchoral", seed, [height] * 5, method=BASE)
        for seed, height in enumerate(heights)
    ]
    changed = {"demo": PublishedSuite("demo", publication, demo.raw)}
    (comparison,) = published_comparisons(_sections(results), changed)
    (row,) = comparison.rows
    areas = [unit_measure(result, number.metric) for result in results]
    assert row.ours is not None and row.ours.num_seeds == 3
    assert (row.ours.mean, row.ours.low, row.ours.high) == (areas[1], areas[0], areas[2])
    assert "| published_area_f1, median | 0.500 |" in published_table(comparison)


def test_another_classifier_is_compared_with_nothing(suites: dict[str, PublishedSuite]) -> None:
    spec = make_result("anchoral", 0, method=BASE).spec
    assert suites["demo"].changed(spec) == []
    longer = spec.classifier.model_copy(update={"params": {"num_epochs": 99}, "kind": "lora"})
    changed = suites["demo"].changed(spec.model_copy(update={"classifier": longer}))
    assert changed == [
        'kind "lora" in place of "mlp"',
        "num_epochs 99 in place of its default",
    ]
    other = spec.classifier.model_copy(update={"id": "other"})
    assert (
        "no classifier other"
        in suites["demo"].changed(spec.model_copy(update={"classifier": other}))[0]
    )


def test_another_method_is_compared_with_nothing(suites: dict[str, PublishedSuite]) -> None:
    more = {"params": {"num_anchors": 20, "embeddings": {"nested": 1}}}
    results = [
        make_result("anchoral", 0, method={**BASE, **more}),
        make_result("seals", 0, method=BASE),
        make_result("random", 0),
    ]
    (comparison,) = published_comparisons(_sections(results), suites)
    assert [row.reason for row in comparison.rows[:2]] == [NOT_RUN, ""]
    facts = published_facts(comparison)
    assert (
        'mlp, anchoral ran num_anchors 20 in place of its default, embeddings {"nested":1} in '
        "place of its default\n" in facts
    )
    assert "mlp, random ran what the suite has not" in facts
    assert "- ran on sections:radio: 25,000 texts" in facts


@pytest.mark.parametrize("name", ["cea-frozen-cls", "lightly-zero-shot"])
def test_weights_that_were_found_are_no_other_method(name: str, local_hub: LocalHub) -> None:
    suite = published_suites()[name]
    parsed = parse_suite(suite.raw)
    spec = make_result("random", 0).spec
    dataset = parsed.datasets[0].id
    for method in parsed.method_records(dataset):
        found = EXPERIMENTS[method.strategy].resolve(method)
        # Descriptions in vectors are the suite's encoder's, and have none of their own.
        assert (found == method) == (method.id == "zero-shot-vectors")
        ran = {"dataset": spec.dataset.model_copy(update={"id": dataset}), "method": found}
        assert suite.changed_method(spec.model_copy(update=ran)) == []
        other = found.model_copy(update={"params": {**found.params, "template": "{}!", "k": 7}})
        assert suite.changed_method(spec.model_copy(update={**ran, "method": other}))


def test_a_suite_that_repeats_nothing_has_no_table(suites: dict[str, PublishedSuite]) -> None:
    assert published_comparisons(_sections(_results()), {}) == []
    assert "a | paper: numbers partly recovered" in published_facts(_compared(suites))


def test_measures_are_those_of_rounds_where_the_summary_has_none() -> None:
    result = make_result("anchoral", 0, [0.2, 0.4, 0.4], query_seconds=30.0, method=BASE)
    assert unit_measure(result, "published_area_average_precision") == pytest.approx(0.7)
    assert unit_measure(result, "area_average_precision") == pytest.approx(0.35)
    assert unit_measure(result, "final_f1") == pytest.approx(0.2)
    assert unit_measure(result, "accuracy") == 0.99
    assert unit_measure(result, "query_minutes") == pytest.approx(1.0)
    assert unit_measure(result, "epochs_to_accuracy_0.99") == 1
    assert unit_measure(result, "epochs_to_accuracy_0.995") is None
    assert unit_measure(result.model_copy(update={"summary": {"final_f1": 0.7}}), "final_f1") == 0.7
    rounds = tuple(
        record.model_copy(update={"per_class": {"other": {"f1": 0.5}, "radio": {"f1": 0.1}}})
        for record in result.rounds
    )
    known = result.model_copy(update={"rounds": rounds})
    assert unit_measure(known, "published_area_majority_f1") == pytest.approx(1.0)
    assert unit_measure(make_result("full-data", 0, [0.8]), "area_f1") is None


def test_the_summary_is_plain(suites: dict[str, PublishedSuite]) -> None:
    (summary,) = published_summary([_compared(suites)])
    assert summary["published"] == "made-up"
    assert summary["numbers"][0]["ours"]["num_seeds"] == 2
    assert summary["numbers"][3]["reason"] == NOT_RUN


def test_the_project_s_own_suites_can_be_read() -> None:
    for name, suite in published_suites().items():
        assert suite.name == name and suite.publication.id
