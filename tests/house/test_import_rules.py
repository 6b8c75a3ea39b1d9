"""Who may import whom, read from the sources; importing nothing."""

from __future__ import annotations

import sys

import pytest
from structure import PACKAGES, imports, modules, package_of, within

ERRORS = "supremix._errors"  # the heads of the exceptions import nothing, so anyone may have them
CHOICES = "supremix._choices"  # so do the legal values of options
OWN_OBJECTS = "supremix_datasets.own_objects"  # so does the import of objects by their path
DISPLAY = "supremix._display"  # and so does the way that objects show themselves

# Room -> the modules of ours that it may import, beside itself.
OURS: dict[str, set[str]] = {
    "supremix_datasets": set(),
    "supremix_spaces": set(),
    "supremix_reports": set(),
    "supremix.losses": {ERRORS},
    "supremix.models": {ERRORS, CHOICES, OWN_OBJECTS},
    "supremix.methods": {
        CHOICES,
        ERRORS,
        "supremix.losses",
        "supremix.models",
        "supremix_datasets",
    },
    "supremix.storage": {ERRORS, "supremix.errors", "supremix_datasets"},
    "supremix.training": {
        CHOICES,
        DISPLAY,
        ERRORS,
        "supremix.errors",
        "supremix.losses",
        "supremix.models",
        "supremix.methods",
        "supremix.storage",
        "supremix_datasets",
        "supremix_reports.statistics.conformal",  # needs numpy and polars, no table of a run
    },
}
# Room -> the only packages of others that it may import.
OTHERS: dict[str, set[str]] = {
    "supremix.losses": {"torch", "numpy", "scipy"},
    "supremix.models": {"torch", "numpy", "scipy", "monai", "safetensors"},
    "supremix.methods": {"torch", "numpy", "scipy"},
}
MAY_IMPORT_RAY = {"supremix.cluster"}
MAY_IMPORT_OPTUNA = {"supremix.tuning", "supremix.monitoring", "supremix.planning"}


def _one_of(module: str, rooms: set[str]) -> bool:
    return any(within(module, room) for room in rooms)


def complaints(module: str, names: set[str]) -> list[str]:
    """What is wrong with `module` importing `names`; an empty list where all is well."""
    wrong: list[str] = []
    room = next((room for room in OURS if within(module, room)), None)
    for name in sorted(names):
        top = name.split(".")[0]
        if top == "ray" and not _one_of(module, MAY_IMPORT_RAY):
            wrong.append(f"{module} imports {name}; only {sorted(MAY_IMPORT_RAY)} import ray")
        if (
            top == "optuna"
            and within(module, "supremix")
            and not _one_of(module, MAY_IMPORT_OPTUNA)
        ):
            wrong.append(f"{module} imports {name}; only {sorted(MAY_IMPORT_OPTUNA)} import optuna")
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
        for module, path in modules().items()
        if within(module, package)
        for complaint in complaints(module, imports(path.read_text(), package_of(module, path)))
    ]

    assert wrong == []


@pytest.mark.parametrize("room", sorted({*OURS, *MAY_IMPORT_RAY}))
def test_every_room_of_the_rules_exists(room: str) -> None:
    assert any(within(module, room) for module in modules())


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("supremix_datasets.stores.store", "import supremix.training"),
        ("supremix_datasets.stores.store", "def f():\n    import ray"),
        ("supremix_reports.tables.tables", "from supremix_spaces import Space"),
        ("supremix.losses.supremix.loss", "import monai"),
        ("supremix.losses.supremix.loss", "from supremix import training"),
        ("supremix.models.heads", "from supremix.training.task import Task"),
        ("supremix.training.run", "from supremix.search import engine"),
        ("supremix.training.run", "import ray.train"),
        ("supremix.cli.commands.searches.search", "from ray import tune"),
        ("supremix.search.search", "import ray"),
        ("supremix.tuning.study.study", "import ray"),
        ("supremix.search.search", "import optuna"),
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
        ("supremix.losses.supremix.loss", "import math\nimport torch.nn.functional as F"),
        ("supremix.models.encoders", "from supremix._errors import ModelError\nimport monai"),
        ("supremix.training.run", "from supremix.losses import supremix_loss"),
        ("supremix.cluster.worker.group", "import ray.train.torch"),
        ("supremix.search.search", "from supremix.search import engine"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert complaints(module, imports(source)) == []
