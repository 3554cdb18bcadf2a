from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import plugins
from benchmarks.classifiers import CLASSIFIERS
from benchmarks.cli import app
from benchmarks.datasets import DATASETS, LabeledTexts, load_texts
from benchmarks.kinds import ClassifierKind
from benchmarks.lens import write_lens
from benchmarks.methods import METHODS, PLUGIN_STRATEGIES
from benchmarks.plugins import Registry, classifier_fingerprint, load_plugins
from benchmarks.results import NoResultsError, iterate_results, stable_content, write_result
from benchmarks.selection import Selection, select_suite
from benchmarks.side_classifiers import is_nested_classifier, side_record
from benchmarks.specs import ClassifierEntry, MethodEntry, method_record
from benchmarks.suggestions import SuiteError
from tests.benchmarks.example_plugin import FirstRows, load_colours
from tests.benchmarks.synthetic import make_result

PLUGIN = "tests.benchmarks.example_plugin:register"
REGISTRIES: tuple[dict[str, Any], ...] = (METHODS, PLUGIN_STRATEGIES, CLASSIFIERS, DATASETS)


@pytest.fixture(autouse=True)
def registries_as_they_were() -> Iterator[None]:
    """Plugins stay for the life of a process: these tests take theirs out again."""
    before = [dict(registry) for registry in REGISTRIES]
    yield
    for registry, content in zip(REGISTRIES, before, strict=True):
        for name in registry.keys() - content.keys():
            del registry[name]
    plugins._loaded.clear()
    plugins._added_kinds.clear()


def test_a_plugin_adds_names_once() -> None:
    load_plugins([PLUGIN, PLUGIN])
    load_plugins([PLUGIN])
    assert METHODS["first-rows"].strategy == "FirstRows"
    assert "tree" in CLASSIFIERS
    data = load_texts("colours")
    assert isinstance(data, LabeledTexts)
    assert data.counts() == {"blue": 30, "red": 30}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("example_plugin", "write module:function"),
        ("no_such_module:register", "there is no module no_such_module: run from its folder"),
        ("tests.benchmarks.no_such:register", r"no module tests\.benchmarks\.no_such"),
        ("tests.benchmarks.example_plugin:regster", "Did you mean 'register'"),
        (
            "tests.benchmarks.example_plugin:register_taken",
            "there is a method called 'random' already",
        ),
    ],
)
def test_a_plugin_that_cannot_be_loaded_says_why_and_adds_nothing(name: str, message: str) -> None:
    before = [dict(registry) for registry in REGISTRIES]
    with pytest.raises(SuiteError, match=message):
        load_plugins([name])
    assert [dict(registry) for registry in REGISTRIES] == before


def test_names_that_are_taken_and_things_of_another_kind_are_refused() -> None:
    registry = Registry("mine:register")
    kind = ClassifierKind("", lambda request: None, set)
    with pytest.raises(SuiteError, match="'mine:register': there is a classifier called 'mlp'"):
        registry.add_classifier("mlp", kind)
    with pytest.raises(SuiteError, match="data set called 'bbc-news' already"):
        registry.add_dataset("bbc-news", load_colours)
    with pytest.raises(SuiteError, match="a colon names classes"):
        registry.add_dataset("mine:all", load_colours)
    with pytest.raises(SuiteError, match="derives from small_text's QueryStrategy"):
        registry.add_strategy("mine", dict)
    for unnamed in (lambda: load_colours(), partial(load_colours)):
        with pytest.raises(SuiteError, match="pass a function of a module"):
            registry.add_dataset("unnamed", unnamed)
    with pytest.raises(SuiteError, match=r"is built by functools\.partial.*pass a function or"):
        registry.add_classifier("unnamed", replace(kind, build=partial(lambda request: None)))
    registry.add_strategy("first", FirstRows)
    registry.add_strategy("first-again", FirstRows)
    with pytest.raises(SuiteError, match="method called 'first' already"):
        registry.add_strategy("first", FirstRows)
    impostor = type("AnchorAL", (FirstRows,), {})
    with pytest.raises(SuiteError, match="strategy called 'AnchorAL' already"):
        registry.add_strategy("impostor", impostor)


def write_suite(suite_file: Path, folder: Path) -> Path:
    head, _, _ = suite_file.read_text().partition("[classifiers")
    path = folder / "mine.toml"
    path.write_text(
        f'plugins = ["{PLUGIN}"]\n{head}\n[classifiers.tree]\nmax_depth = 3\n'
        "[methods.random]\n[methods.first-rows]\n"
    )
    return path


def test_units_of_a_plugin_carry_its_fingerprint(suite_file: Path, tmp_path: Path) -> None:
    suite = select_suite(Selection(str(write_suite(suite_file, tmp_path))))
    assert suite.plugins == (PLUGIN,)
    prints = {method.id: method.plugin for method in suite.method_records("titles")}
    assert prints["random"] is None
    assert prints["first-rows"]
    (classifier,) = suite.classifier_records()
    assert classifier.plugin == prints["first-rows"]
    assert "plugin" not in suite.method_records("titles")[0].model_dump()


def test_a_method_that_refers_to_a_plugin_s_carries_its_fingerprint() -> None:
    load_plugins([PLUGIN])
    own = MethodEntry(strategy="FirstRows")
    for entry in (
        MethodEntry(strategy="RandomSubset", base="FirstRows"),
        MethodEntry(strategy="RandomSubset", params={"subpool_size": own}),
    ):
        assert method_record("x", entry).plugin == method_record("own", own).plugin


def test_a_classifier_beside_another_carries_its_fingerprint() -> None:
    load_plugins([PLUGIN])
    beside = ClassifierEntry(kind="tree", params={"max_depth": 3})
    entry = MethodEntry(strategy="BatchSelection", params={"irreducible_classifier": beside})
    value = method_record("x", entry).params["irreducible_classifier"]
    assert value["plugin"] == method_record("own", MethodEntry(strategy="FirstRows")).plugin
    assert is_nested_classifier(value)
    assert side_record(value).plugin == value["plugin"]
    plain = ClassifierEntry(kind="mlp")
    entry = MethodEntry(strategy="BatchSelection", params={"irreducible_classifier": plain})
    assert method_record("x", entry).params["irreducible_classifier"] == {
        "kind": "mlp",
        "params": {},
    }


def test_workers_load_plugins_too(suite_file: Path, tmp_path: Path) -> None:
    suite = write_suite(suite_file, tmp_path)
    contents = []
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        arguments = ["run", str(suite), "--seeds", "1", "--jobs", str(jobs), "--out", str(folder)]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        contents.append([stable_content(unit) for unit in iterate_results(folder)])
    assert contents[0] == contents[1]
    first = next(iterate_results(tmp_path / "1"))
    assert first.spec.method.strategy == "FirstRows"
    assert list(first.rounds[1].picks) == sorted(first.rounds[1].picks)


def test_plugins_of_a_suite_must_be_a_list(suite_file: Path) -> None:
    with pytest.raises(SuiteError, match=r'write plugins = \["module:function"\]'):
        select_suite(Selection(str(suite_file), overrides=["plugins=mine"]))


def test_the_lens_leaves_out_what_it_cannot_map_and_says_why(tmp_path: Path) -> None:
    made = make_result("seals", 0)

    def write(folder: Path, plugin: str | None) -> None:
        classifier = made.spec.classifier.model_copy(
            update={"id": "mine", "kind": "tree", "plugin": plugin}
        )
        spec = made.spec.model_copy(update={"classifier": classifier})
        write_result(made.model_copy(update={"spec": spec}), folder)

    def lens(folder: Path) -> list[str]:
        lines: list[str] = []
        with pytest.raises(NoResultsError, match="classifier that can be recorded"):
            write_lens(folder, report=lines.append)
        return lines

    write(tmp_path / "old", "an older hash")
    (line,) = lens(tmp_path / "old")
    assert "mine is left out: its kind tree is unknown here" in line and "--plugin" in line
    result = CliRunner().invoke(app, ["lens", str(tmp_path / "old"), "--plugin", PLUGIN])
    assert result.exit_code != 0
    assert "has changed since it ran" in " ".join(result.output.split())
    write(tmp_path / "new", classifier_fingerprint("tree"))
    (line,) = lens(tmp_path / "new")
    assert "while it is trained cannot be recorded" in line
