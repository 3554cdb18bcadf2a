"""The rules of the house that neither ruff nor mypy know."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import small_text_ext
from tests.sources import (
    BENCHMARKS,
    PACKAGE,
    ROOT,
    imported_on_import,
    imports,
    parse,
    python_files,
    relative,
    run_python,
)

FILES = python_files(PACKAGE, BENCHMARKS)
MAX_CLASS_LINES = 250
MAX_FUNCTION_LINES = 60
# The one module that may touch what small-text does not promise to keep.
PRIVATE_HOST_NAMES_ALLOWED = PACKAGE / "_compat.py"
# What the host itself documents as the first call of every query.
HOST_HOOKS = {"_validate_query_input"}


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _code_lines(node: Definition) -> int:
    """Count the lines on which code starts: neither docstrings, nor comments, nor blank lines."""
    docstrings = {
        owner.body[0].lineno
        for owner in ast.walk(node)
        if isinstance(owner, Definition) and ast.get_docstring(owner) is not None
    }
    starts = {child.lineno for child in ast.walk(node) if hasattr(child, "lineno")}
    return len(starts - docstrings)


def test_lines_of_code_are_counted_without_documentation() -> None:
    tree = ast.parse(
        'def f(a,\n      b):\n    """One.\n\n    Two.\n    """\n    # why\n\n    return a\n'
    )
    assert isinstance(tree.body[0], ast.FunctionDef)
    assert _code_lines(tree.body[0]) == 3


def _definitions(path: Path) -> Iterator[Definition]:
    return (node for node in ast.walk(parse(path)) if isinstance(node, Definition))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_classes_and_functions_stay_small(path: Path) -> None:
    for node in _definitions(path):
        limit = MAX_CLASS_LINES if isinstance(node, ast.ClassDef) else MAX_FUNCTION_LINES
        lines = _code_lines(node)
        assert lines <= limit, f"{relative(path)}:{node.lineno} {node.name} has {lines} lines"


def test_the_pool_and_the_strategies_do_not_import_torch() -> None:
    files = python_files(PACKAGE / "pool", PACKAGE / "query_strategies")
    offenders = [
        f"{relative(path)} imports {module}"
        for path in files
        for module in imported_on_import(parse(path))
        if module.split(".")[0] in {"torch", "transformers", "sentence_transformers"}
    ]
    assert not offenders


@pytest.mark.parametrize(
    "module", ["small_text_ext", "small_text_ext.pool.embeddings", "small_text_ext.protocols"]
)
def test_light_modules_load_no_framework(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'small_text', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert run_python(code).strip() == "[]"


def test_import_time_imports_are_seen_where_they_hide() -> None:
    tree = ast.parse(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "try:\n    import hnswlib\nexcept ImportError:\n    pass\n"
        "class A:\n    import setfit\n"
        "def f():\n    import transformers\n"
    )
    assert imported_on_import(tree) == ["typing", "hnswlib", "setfit"]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_private_host_names_stay_in_one_module(path: Path) -> None:
    if path == PRIVATE_HOST_NAMES_ALLOWED:
        return
    offenders = [
        f"{relative(path)}:{line} {module} {name or ''}"
        for line, module, name in imports(parse(path))
        if module.split(".")[0] == "small_text"
        and any(part.startswith("_") for part in [*module.split("."), name or ""])
    ]
    assert not offenders


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_private_attribute_of_another_project_is_used(path: Path) -> None:
    """On ``self`` any private name of ours will do, on other objects one that the file defines."""
    if path == PRIVATE_HOST_NAMES_ALLOWED:
        return
    tree = parse(path)
    ours, of_this_file = _private_names_of_the_house(), _names_defined(tree)
    offenders = [
        f"{relative(path)}:{node.lineno} {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and re.fullmatch(r"_[^_].*", node.attr)
        and node.attr not in (ours if _is_own_object(node.value) else of_this_file)
    ]
    assert not offenders


def _is_own_object(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in {"self", "cls"}


@cache
def _private_names_of_the_house() -> set[str]:
    return set().union(HOST_HOOKS, *(_names_defined(parse(path)) for path in FILES))


def _names_defined(tree: ast.Module) -> set[str]:
    """Return the names that a file defines: functions, classes, attributes and variables."""
    defined: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, Definition):
            defined.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            defined.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
    return defined


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_global_random_numbers(path: Path) -> None:
    """Ruff bans numpy's legacy calls; this covers Python's own module, which has them too."""
    if path == PACKAGE / "_random.py":
        return
    assert not [line for line, module, _ in imports(parse(path)) if module == "random"]


def _tracked_text() -> list[Path]:
    folders = [PACKAGE, BENCHMARKS, ROOT / "tests"]
    suffixes = {".py", ".md", ".toml", ".json", ".csv", ".txt", ".html"}
    inside = [path for folder in folders for path in folder.rglob("*") if path.suffix in suffixes]
    return [
        *inside,
        *(path for path in ROOT.iterdir() if path.suffix in suffixes),
        ROOT / "Makefile",
    ]


def test_no_path_of_one_machine() -> None:
    files = _tracked_text()
    assert len(files) > 20
    pattern = re.compile(r"(?<![\w.])/(?:home|root|Users|work|opt|mnt)/\w|[A-Z]:\\\\Users")
    offenders = [
        f"{relative(path)}:{number} {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line) and path != Path(__file__)
    ]
    assert not offenders


def test_rooms_import_downwards_only() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = len(declared["tool"]["importlinter"]["contracts"])
    assert contracts >= 3
    assert f"Contracts: {contracts} kept, 0 broken" in finished.stdout


def test_there_are_public_names() -> None:
    assert len(small_text_ext.__all__) >= 8
    assert len(set(small_text_ext.__all__)) == len(small_text_ext.__all__)
    assert not [name for name in small_text_ext.__all__ if name not in dir(small_text_ext)]


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchStrategy"):
        _ = small_text_ext.NoSuchStrategy


@pytest.mark.parametrize("name", small_text_ext.__all__)
def test_public_names_resolve_and_are_documented(name: str) -> None:
    public = getattr(small_text_ext, name)
    if not (inspect.isclass(public) or inspect.isfunction(public)):
        return
    documentation = inspect.getdoc(public) or ""
    summary = documentation.split("\n\n")[0]
    assert summary.endswith("."), f"{name}: the first paragraph is one sentence"
    if inspect.signature(public).parameters:
        assert _has_section(documentation, "Parameters"), name
        for parameter in inspect.signature(public).parameters:
            assert re.search(
                rf"^(.*, )?\*{{0,2}}{parameter}\b.* ?:", documentation, re.MULTILINE
            ), f"{name}: parameter {parameter} is not documented"
    if inspect.isclass(public) and not issubclass(public, Exception):
        assert _has_section(documentation, "Examples") or _has_section(documentation, "References")


def _has_section(documentation: str, title: str) -> bool:
    return re.search(rf"^{title}\n-{{{len(title)}}}$", documentation, re.MULTILINE) is not None


@pytest.mark.parametrize("name", small_text_ext.__all__)
def test_public_methods_are_documented(name: str) -> None:
    public = getattr(small_text_ext, name)
    if not inspect.isclass(public):
        return
    undocumented = [
        attribute
        for attribute, value in vars(public).items()
        if not attribute.startswith("_") and callable(value) and not inspect.getdoc(value)
    ]
    assert not undocumented
