"""The source tree, as the tests about the source see it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "small_text_ext"
BENCHMARKS = ROOT / "benchmarks"


def python_files(*folders: Path) -> list[Path]:
    """Return every Python file under the folders, sorted; finding none is an error."""
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    assert files, f"no Python file under {[str(folder) for folder in folders]}"
    return files


def parse(path: Path) -> ast.Module:
    """Return the syntax tree of one file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def relative(path: Path) -> str:
    """Return a path as messages and test ids show it."""
    return path.relative_to(ROOT).as_posix()


def imported_on_import(tree: ast.Module) -> list[str]:
    """Return the modules that are imported when the file is; ``if TYPE_CHECKING`` does not run."""
    visitor = _ImportTimeVisitor()
    visitor.visit(tree)
    return visitor.modules


def imports(tree: ast.Module) -> Iterator[tuple[int, str, str | None]]:
    """Yield (line, module, name) of every import, wherever it stands; name is None for modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, None
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, "." * node.level + (node.module or ""), alias.name


class _ImportTimeVisitor(ast.NodeVisitor):
    """Collects imports at module and class level, without entering functions."""

    def __init__(self) -> None:
        self.modules: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Functions do not run on import."""

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]
    visit_Lambda = visit_FunctionDef  # type: ignore[assignment]

    def visit_If(self, node: ast.If) -> None:
        """Skip what only type checkers read."""
        body = [] if "TYPE_CHECKING" in ast.unparse(node.test) else node.body
        for statement in [*body, *node.orelse]:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        self.modules.extend(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.modules.append("." * node.level + (node.module or ""))


def fresh_environment() -> dict[str, str]:
    """Return the environment of a process whose strings hash differently from this one's."""
    return {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)}


def run_python(code: str, *arguments: str) -> str:
    """Run code in a fresh process, in the repository's root; return what it wrote."""
    finished = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=fresh_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
