"""Who may import whom, read from the sources; importing nothing."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = {
    "supremix": REPOSITORY / "platform" / "supremix",
    "supremix_spaces": REPOSITORY / "search_spaces" / "supremix_spaces",
    "supremix_datasets": REPOSITORY / "datasets" / "supremix_datasets",
    "supremix_reports": REPOSITORY / "reports" / "supremix_reports",
}
ERRORS = "supremix._errors"  # the heads of the exceptions import nothing, so anyone may have them

# Room -> the modules of ours that it may import, beside itself.
OURS: dict[str, set[str]] = {
    "supremix_datasets": set(),
    "supremix_spaces": set(),
    "supremix_reports": set(),
    "supremix.losses": {ERRORS},
    "supremix.models": {ERRORS},
    "supremix.training": {ERRORS, "supremix.losses", "supremix.models", "supremix_datasets"},
}
# Room -> the only packages of others that it may import.
OTHERS: dict[str, set[str]] = {
    "supremix.losses": {"torch", "numpy", "scipy"},
    "supremix.models": {"torch", "numpy", "scipy", "monai", "safetensors"},
}
MAY_IMPORT_RAY = {"supremix.cluster", "supremix.search"}


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def package_of(module: str, path: Path) -> str:
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def modules() -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            dotted = ".".join((package, *parts)).removesuffix(".__init__")
            found.append((dotted, path))
    return found


def imports(source: str, package: str = "") -> set[str]:
    """Every module named by an import statement, wherever it stands in the file.

    A relative one is taken from `package`, the package that the file lies in.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # `from supremix import losses` names a module by its member, so both are kept.
            module = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                module = ".".join([*above, *filter(None, [module])])
            if any(within(module, package) for package in PACKAGES):
                names |= {f"{module}.{alias.name}" for alias in node.names}
            else:
                names.add(module)
    return names


def complaints(module: str, names: set[str]) -> list[str]:
    """What is wrong with `module` importing `names`; an empty list where all is well."""
    wrong: list[str] = []
    room = next((room for room in OURS if within(module, room)), None)
    for name in sorted(names):
        top = name.split(".")[0]
        if top == "ray" and not any(within(module, room) for room in MAY_IMPORT_RAY):
            wrong.append(f"{module} imports {name}; only {sorted(MAY_IMPORT_RAY)} import ray")
        if room is None or top in sys.stdlib_module_names:
            continue
        if top in PACKAGES:
            if not any(within(name, allowed) for allowed in {room, *OURS[room]}):
                wrong.append(f"{module} imports {name}; {room} may import {sorted(OURS[room])}")
        elif room in OTHERS and top not in OTHERS[room]:
            wrong.append(f"{module} imports {name}; {room} may import {sorted(OTHERS[room])}")
    return wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_keeps_to_its_room(package: str) -> None:
    wrong = [
        complaint
        for module, path in modules()
        if within(module, package)
        for complaint in complaints(module, imports(path.read_text(), package_of(module, path)))
    ]

    assert wrong == []


@pytest.mark.parametrize("room", sorted({*OURS, *MAY_IMPORT_RAY}))
def test_every_room_of_the_rules_exists(room: str) -> None:
    assert any(within(module, room) for module, _ in modules())


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("supremix_datasets.stores.store", "import supremix.training"),
        ("supremix_datasets.stores.store", "def f():\n    import ray"),
        ("supremix_reports.tables.tables", "from supremix_spaces import Space"),
        ("supremix.losses.supremix", "import monai"),
        ("supremix.losses.supremix", "from supremix import training"),
        ("supremix.models.heads", "from supremix.training.task import Task"),
        ("supremix.training.run", "from supremix.search import engine"),
        ("supremix.training.run", "import ray.train"),
        ("supremix.cli.search", "from ray import tune"),
        ("supremix.api", "import ray"),
    ],
)
def test_a_breach_is_seen(module: str, source: str) -> None:
    assert complaints(module, imports(source)) != []


def test_relative_imports_are_followed() -> None:
    source = "from . import card\nfrom ..search import engine\nfrom .store import Store"

    assert imports(source, "supremix.training") == {
        "supremix.training.card",
        "supremix.search.engine",
        "supremix.training.store.Store",
    }


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "supremix_datasets.stores.store",
            "import numpy, polars\nfrom supremix_datasets.cards.card import Card",
        ),
        ("supremix.losses.supremix", "import math\nimport torch.nn.functional as F"),
        ("supremix.models.encoders", "from supremix._errors import ModelError\nimport monai"),
        ("supremix.training.run", "from supremix.losses import supremix_loss"),
        ("supremix.cluster.gang", "import ray.train.torch"),
        ("supremix.api", "from supremix.search import engine"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert complaints(module, imports(source)) == []
