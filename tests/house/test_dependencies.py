"""What the sources import from others is declared, and installed where types are checked."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache

import pytest
from structure import PACKAGES, REPOSITORY

IGNORED = "# pyright: ignore[reportMissingImports]"
DISTRIBUTIONS = {
    "mlflow": "mlflow-skinny",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "upath": "universal-pathlib",
    "xdist": "pytest-xdist",
    "yaml": "pyyaml",
}
"""Packages of others whose distribution has another name."""
OWN = {path.stem.replace("_", "-") for path in (REPOSITORY / "tests").rglob("*.py")}
"""Modules of the tests themselves, as distributions would be named."""


@cache
def declared() -> dict[str, set[str]]:
    """Names of the distributions that are required, and by extra those that may be installed."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        extra: {re.split(r"[^\w.-]", line)[0].lower() for line in lines}
        for extra, lines in groups.items()
    }


def imported(source: str) -> Iterator[tuple[str, bool]]:
    """Packages that a source imports, and whether pyright is told to pass over them."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [str(node.module)]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            names = [a.value for a in node.args if isinstance(a, ast.Constant)]
        for name in names:
            ignored = IGNORED in lines[node.lineno - 1]  # type: ignore[attr-defined]
            yield name.split(".")[0], ignored


def missing(source: str, *, extras: set[str]) -> list[str]:
    """Distributions that a source imports and that an installation with extras may lack."""
    groups = declared()
    there = groups[""].union(*(groups[extra] for extra in extras))
    found: set[str] = set()
    for package, ignored in imported(source):
        if ignored or package in sys.stdlib_module_names or package in PACKAGES:
            continue
        distribution = DISTRIBUTIONS.get(package, package.lower().replace("_", "-"))
        if distribution not in there:
            found.add(distribution)
    return sorted(found)


@pytest.mark.parametrize("package", PACKAGES)
def test_what_the_product_imports_is_there_where_types_are_checked(package: str) -> None:
    files = [path for path in PACKAGES[package].rglob("*.py*") if path.suffix in (".py", ".pyi")]
    found = {
        str(path.relative_to(REPOSITORY)): names
        for path in files
        if (names := missing(path.read_text(), extras={"test", "lint"}))
    }

    assert found == {}, f"declare them in pyproject.toml, in 'test' too, or write {IGNORED}"


def test_what_the_tests_import_is_there_where_they_run() -> None:
    found = {
        str(path.relative_to(REPOSITORY)): names
        for path in (REPOSITORY / "tests").rglob("*.py")
        if (names := set(missing(path.read_text(), extras={"test"})) - OWN - {"supremix-proof"})
    }

    assert found == {}


def test_what_an_extra_adds_is_tested() -> None:
    groups = declared()
    apart = {"lint", "docs", "dev"}  # tools of the house, which nothing imports
    added = {name for extra, names in groups.items() if extra not in apart for name in names}

    assert added - groups["test"] - groups[""] == set()


@pytest.mark.parametrize(
    "source",
    [
        "import IPython",
        "def f():\n    from IPython.display import HTML",
        "import importlib\nimportlib.import_module('tomli.parser')",
        "import furo",
    ],
)
def test_what_is_not_declared_is_seen(source: str) -> None:
    assert missing(source, extras={"test", "lint"})


@pytest.mark.parametrize(
    "source",
    [
        "import os.path, supremix.losses",
        "from . import own",
        "from PIL import Image",
        f"from IPython.display import HTML  {IGNORED}",
        "import wandb",
    ],
)
def test_what_is_declared_or_passed_over_is_none(source: str) -> None:
    assert missing(source, extras={"test", "lint"}) == []
