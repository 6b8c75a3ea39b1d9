"""The shape of the house: source roots, the standard library's `platform`, exported names."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ROOTS = ("platform", "search_spaces", "datasets", "reports")
PACKAGES = ("supremix", "supremix_spaces", "supremix_datasets", "supremix_reports")
ROOMS = (*PACKAGES, "supremix.losses", "supremix.models", "supremix.training", "supremix.cli")


@pytest.mark.parametrize("root", [*ROOTS, "tests", "tests/platform"])
def test_a_root_is_not_a_package(root: str) -> None:
    found = REPOSITORY / root / "__init__.py"

    assert not found.exists(), f"{found} would shadow a package of the same name"


@pytest.mark.parametrize("root", ROOTS)
def test_a_root_holds_one_typed_package(root: str) -> None:
    packages = [path.parent for path in (REPOSITORY / root).glob("*/__init__.py")]

    assert [package.name in PACKAGES for package in packages] == [True]
    assert (packages[0] / "py.typed").is_file()


def test_the_standard_platform_module_wins_in_the_checkout() -> None:
    program = "import platform, sys; sys.exit(not platform.python_version())"

    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False)

    assert done.returncode == 0


def brought_in(room: str) -> dict[str, bool]:
    """The names that a room's front door imports from our own modules, and whether `as` themselves.

    `from … import name as name` is the form that says "public" to a type checker. A room that loads
    its names late declares them in its stub alone.
    """
    front = Path(inspect.getsourcefile(importlib.import_module(room)) or "")
    stub = front.with_suffix(".pyi")
    source = (stub if stub.is_file() else front).read_text()
    return {
        alias.asname or alias.name: alias.asname == alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        and (node.level or (node.module or "").startswith("supremix"))
        for alias in node.names
    }


def exported(room: str) -> set[str]:
    """The public names of a room: its `__all__`, or else what it re-exports."""
    reexported = {name for name, public in brought_in(room).items() if public}
    return set(getattr(importlib.import_module(room), "__all__", reexported))


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_are_what_is_exported(room: str) -> None:
    module = importlib.import_module(room)

    assert exported(room)
    assert [name for name in exported(room) if not hasattr(module, name)] == []
    assert brought_in(room).keys() <= exported(room)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_thing_says_what_it_is(room: str) -> None:
    module = importlib.import_module(room)
    things = {name: getattr(module, name) for name in exported(room)}
    ours = {n: t for n, t in things.items() if inspect.isclass(t) or inspect.isfunction(t)}
    mute = [name for name, thing in ours.items() if not thing.__doc__]

    assert module.__doc__
    assert mute == []


# `import supremix.losses` must stay cheap: it is used in other people's training loops. And each
# process of a cluster that has to do with trials imports `supremix.training`.
@pytest.mark.parametrize("room", [*PACKAGES, "supremix.losses", "supremix.training"])
def test_nothing_slow_is_imported_by(room: str) -> None:
    slow = {"ray", "matplotlib", "sklearn", "optuna", "duckdb", "scipy.special", "nibabel"}
    program = f"import sys, {room}; print(*({slow} & sys.modules.keys()))"

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == []


@pytest.mark.parametrize("room", ["supremix", "supremix_reports"])
def test_names_that_are_loaded_late_are_those_of_their_modules(room: str) -> None:
    module = importlib.import_module(room)

    assert set(module.__all__) == set(dir(module)) == brought_in(room).keys()
    with pytest.raises(AttributeError, match=f"module '{room}' has no attribute 'nothing'"):
        _ = module.nothing


def test_every_requirement_has_a_pin() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["test"], *extras["lint"]]
    pins = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0] for line in pins if not line.startswith("#")}

    missing = [name for line in wanted if (name := _name(line)) not in pinned]

    assert missing == []


def _name(requirement: str) -> str:
    return requirement.split(">")[0].split("=")[0].split("[")[0].lower()
