"""The rooms: no circle, no crowded folder, each on its floor, the tests beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
import structure
from structure import PACKAGES, REPOSITORY

LARGEST_FOLDER = 15
TESTS = {
    "supremix": REPOSITORY / "tests",
    "supremix_datasets": REPOSITORY / "tests" / "datasets",
    "supremix_reports": REPOSITORY / "tests" / "reports",
    "supremix_spaces": REPOSITORY / "tests" / "spaces",
}

# The rooms of the platform from the ground up: each imports only what stands below it.
GROUND_UP = (
    "supremix._choices",
    "supremix._errors",
    "supremix._display",
    "supremix.errors",
    "supremix.losses",
    "supremix.models",
    "supremix.storage",
    "supremix.methods",
    "supremix.training",
    "supremix.tuning",
    "supremix.reports",
    "supremix.progress",
    "supremix.cluster",
    "supremix.runs",
    "supremix.monitoring",
    "supremix.search",
    "supremix.data",
    "supremix.external",
    "supremix.explanation",
    "supremix.deployment",
    "supremix.joint_training",
    "supremix.benchmark",
    "supremix.planning",
    "supremix.cli",
)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_by_way_of_others(package: str) -> None:
    assert structure.circles(structure.graph(package)) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_imports_itself_by_way_of_its_neighbours(package: str) -> None:
    found = {
        folder: structure.circles(structure.siblings(package, folder))
        for folder in structure.folders(package)
    }

    assert {folder: circles for folder, circles in found.items() if circles} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_is_crowded(package: str) -> None:
    sizes = structure.sizes(package)

    assert {folder: n for folder, n in sizes.items() if n > LARGEST_FOLDER} == {}


def test_no_module_repeats_its_folder_as_a_prefix() -> None:
    named = [module.split(".")[-2:] for module in structure.modules() if "." in module]

    assert [pair for pair in named if pair[1].startswith(f"{pair[0]}_")] == []


def test_the_rooms_of_the_platform_are_these() -> None:
    assert structure.siblings("supremix", "supremix").keys() == set(GROUND_UP)


def test_every_room_imports_only_what_stands_below_it() -> None:
    height = {room: n for n, room in enumerate(GROUND_UP)}
    rooms = structure.siblings("supremix", "supremix")

    assert [(r, t) for r, targets in rooms.items() for t in targets if height[t] > height[r]] == []


def test_the_tests_have_the_rooms_of_the_code() -> None:
    for package, folder in TESTS.items():
        rooms = {room.name for room in (PACKAGES[package]).iterdir() if room.is_dir()}
        there = {f.name for f in folder.iterdir() if f.is_dir() and any(f.glob("test_*.py"))}
        others = (
            {"datasets", "reports", "spaces", "house", "live"} if folder.name == "tests" else set()
        )

        assert there - others <= rooms, f"{folder} has folders for rooms that {package} lacks"


def test_every_test_lies_in_a_room() -> None:
    strays = [path.name for path in (REPOSITORY / "tests").glob("test_*.py")]

    assert strays == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_house_in_numbers(package: str, record_property: pytest.RecordProperty) -> None:
    """Printed with `pytest -s`: modules, rooms, floors, and the largest folder."""
    graph = structure.graph(package)
    rooms = structure.siblings(package, package)
    name, most = max(structure.sizes(package).items(), key=lambda item: item[1])
    numbers = {
        "modules": len(graph),
        "rooms": len(rooms),
        "floors of rooms": max(structure.floors(rooms).values()),
        "floors of modules": max(structure.floors(graph).values()),
        "circles": len(structure.circles(graph)),
        "largest folder": f"{name} ({most})",
        "lines": sum(len(p.read_text().splitlines()) for p in PACKAGES[package].rglob("*.py")),
    }
    for key, value in numbers.items():
        record_property(key, value)
    print(f"\n{package}: {', '.join(f'{v} {k}' for k, v in numbers.items())}")

    assert numbers["floors of rooms"] <= 10


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": set()}, []),
        ({"a": {"b"}, "b": {"a"}}, [["a", "b"]]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [["a", "b", "c"]]),
    ],
)
def test_a_circle_is_seen(graph: dict[str, set[str]], expected: list[list[str]]) -> None:
    assert structure.circles({k: frozenset(v) for k, v in graph.items()}) == expected


def test_what_only_type_checkers_import_counts_as_an_import(tmp_path: Path) -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import supremix.search.spec"

    assert "supremix.search.spec" in structure.imports(source)
