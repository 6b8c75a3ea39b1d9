"""The private parts of Ray that are used: all in one file, and all there in the installed Ray."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

ROOT = Path(__file__).parents[2]
FILE = ROOT / "platform" / "supremix" / "cluster" / "ray_private.py"

CLASSES = {
    "ray._private.services.ConsolePopen": "starts Ray's processes; patched for their process group",
    "ray._private.state.GlobalState.get_draining_nodes": "tells which nodes will be removed",
    "ray._private.state.GlobalState.actor_table": "lists actors without the dashboard",
    "ray._private.state.GlobalState._connect_and_get_accessor": "leads to the placement groups",
    "ray._raylet.GlobalStateAccessor.get_placement_group_table": "tells who made a placement group",
    "ray.core.generated.gcs_pb2.PlacementGroupTableData": "decodes a placement group",
    "ray.train.torch.TorchTrainer._create_default_callbacks": "is overridden to leave two out",
    "ray.train.v2._internal.callbacks.datasets.DatasetsCallback": "is left out",
    "ray.train.v2._internal.callbacks.placement_group_callback.PlacementGroupCleanerCallback": (
        "is left out: it needs the dashboard"
    ),
    "ray.train.v2._internal.execution.controller.controller.TrainController": (
        "is recognised by its name among the actors"
    ),
    "ray.train.v2._internal.execution.worker_group.worker.RayTrainWorker": (
        "is recognised by its name among the actors, in tests"
    ),
    "ray.tune.execution.tune_controller.TuneController.cleanup": "ends the trials' actors",
    "ray.tune.utils.object_cache._ObjectCache.increase_max": "makes Tune keep idle actors",
}
"""Classes and methods, and what each is used for."""

ATTRIBUTES = {
    ("ray.tune.execution.tune_controller.TrialRunnerWrapper", "_tune_controller"): (
        "leads from a scheduler's argument to Tune's controller"
    ),
    ("ray.tune.execution.tune_controller.TuneController", "_actor_cache"): (
        "holds the actors that Tune keeps"
    ),
}
"""Attributes that a constructor sets, and what each is used for."""

FIELDS = (
    "creator_actor_dead", "creator_actor_id", "creator_job_id", "is_detached",
    "placement_group_id", "state",
)  # fmt: skip


def missing(name: str, purpose: str) -> str:
    return (
        f"Ray {ray.__version__} has no {name} any more. It {purpose}, see {FILE.name}: find what "
        "replaces it there, or pin the Ray before."
    )


def find(name: str) -> Any:
    """The object of a dotted name, None where there is none."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for part in parts[end:]:
            found = getattr(found, part, None)
        return found
    return None


@pytest.mark.parametrize("name", CLASSES)
def test_a_private_class_or_method_is_there(name: str) -> None:
    assert find(name) is not None, missing(name, CLASSES[name])


@pytest.mark.parametrize("name", [*CLASSES, "ray._private.state.missing", "ray.missing.Class"])
def test_a_name_is_found_only_where_it_is(name: str) -> None:
    assert (find(name) is None) == ("missing" in name)


@pytest.mark.parametrize(("owner", "attribute"), ATTRIBUTES)
def test_a_private_attribute_is_there(owner: str, attribute: str) -> None:
    found, sentence = find(owner), missing(f"{owner}.{attribute}", ATTRIBUTES[owner, attribute])
    assert found is not None, sentence
    assert f"self.{attribute} = " in inspect.getsource(found.__init__), sentence


def test_an_actor_answers_without_work() -> None:
    source = inspect.getsource(importlib.import_module("ray.actor"))
    name = "the method __ray_ready__ of every actor"
    assert "def __ray_ready__(self):" in source, missing(name, "pings a worker")


@pytest.mark.parametrize("field", FIELDS)
def test_a_placement_group_has_the_field(field: str) -> None:
    message = find("ray.core.generated.gcs_pb2.PlacementGroupTableData")
    name = f"PlacementGroupTableData.{field}"
    assert field in message.DESCRIPTOR.fields_by_name, missing(
        name, "finds orphaned placement groups"
    )


def test_the_coordinator_is_called_so() -> None:
    package = Path(ray.__file__).parent / "data"
    sources = (path.read_text() for path in package.rglob("*.py"))
    name = "_AutoscalingCoordinatorActor"
    assert any(f"class {name}" in text for text in sources), missing(
        name, "is left by every search"
    )


def test_mlflow_runs_of_trials_can_be_set() -> None:
    pytest.importorskip("mlflow")
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    source = inspect.getsource(MLflowLoggerCallback)
    for attribute in ("self._trial_runs[trial]", "self.mlflow_util = "):
        name = f"MLflowLoggerCallback: {attribute}"
        assert attribute in source, missing(name, "lets a resumed trial continue its MLflow run")


PRIVATE = re.compile(r"ray(\.\w+)*\._|^ray\.core\.generated|^ray\.train\.v2")


def imports_of_ray(file: Path) -> Iterator[str]:
    """What a file imports of Ray, and what it reaches by attributes: ``ray._private.state``."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def test_only_one_file_uses_private_parts() -> None:
    roots = ("platform", "search_spaces", "datasets", "reports", "benchmarks", "tests")
    files = [file for root in roots for file in (ROOT / root).rglob("*.py")]
    users = {f for f in files if any(PRIVATE.match(name) for name in imports_of_ray(f))}
    assert users == {FILE, Path(__file__)}, f"move what is private to Ray to {FILE}"


def test_every_private_import_is_named_here() -> None:
    used = {name for name in imports_of_ray(FILE) if PRIVATE.match(name)}
    modules = {name.rsplit(".", 1)[0] for name in CLASSES}
    modules |= {module.rsplit(".", 1)[0] for module in modules}
    assert all(name in CLASSES or name in modules for name in used), used
