"""Every private part of Ray and Ray Tune that is used, in one place: an upgrade may remove one.

`tests/cluster/test_ray_private.py` names each of them, and fails with a sentence for one that an
upgrade has taken away.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterator
from typing import Any

import ray
from ray._private import services, state
from ray.core.generated import gcs_pb2
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

CONTROLLER, WORKER = "TrainController", "RayTrainWorker"
"""Classes of the actors that Ray Train runs for each worker group."""

COORDINATOR = "_AutoscalingCoordinatorActor"
"""Class of the one actor that Ray keeps in a cluster once Ray Train was used in it."""

_GROUP: Any = getattr(gcs_pb2, "PlacementGroupTableData")  # noqa: B009 - made at run time
_STATE: Any = state.state


class _OwnProcessGroup(services.ConsolePopen):
    """A process of Ray's that leads a process group of its own."""

    def __init__(self, *rest: Any, **named: Any) -> None:
        super().__init__(*rest, **{"process_group": 0, **named})


@contextlib.contextmanager
def own_process_groups() -> Generator[None]:
    """Have Ray's processes started outside of this process's group, for the time of the block.

    A signal to the whole group (of ``timeout``, of a batch system) would end Ray at once, and
    nothing could end in order. They end with this process all the same: the kernel sees to that,
    and where it does not, the group is needed, and stays. Ray has no setting for it.
    """
    plain: Any = services.ConsolePopen
    if sys.platform == "linux":
        services.ConsolePopen = _OwnProcessGroup
    try:
        yield
    finally:
        services.ConsolePopen = plain


def ready(actor: Any) -> Any:
    """A reference that resolves as soon as an actor's main thread answers; it does no work."""
    return actor.__ray_ready__.remote()


def draining_nodes() -> frozenset[str]:
    """Ids of the nodes whose removal was announced; Ray's public list of nodes has no such word."""
    return frozenset(_STATE.get_draining_nodes())


def living_actors(job: str | None = None) -> list[tuple[str, int]]:
    """Class and process of every actor that is not dead, of one job or of all.

    Ray's public way needs the dashboard.
    """
    job_id = None if job is None else ray.JobID(bytes.fromhex(job))
    table: dict[str, Any] = _STATE.actor_table(None, job_id=job_id)
    return [(a["ActorClassName"], a["Pid"]) for a in table.values() if a["State"] != "DEAD"]


def worker_placement_groups(job: str) -> Iterator[tuple[bytes, bool]]:
    """Id of each placement group of a job's worker groups, and whether its creator is dead.

    Ray's public table does not tell the creator. Of the placement groups of a job those of worker
    groups alone were created by an actor, their controller.
    """
    for raw in _STATE._connect_and_get_accessor().get_placement_group_table():  # noqa: SLF001
        group = _GROUP.FromString(raw)
        exists = group.state != _GROUP.REMOVED and not group.is_detached
        creator = group.creator_actor_id
        by_actor = len(creator) > 0 and not ray.ActorID(creator).is_nil()
        if exists and by_actor and group.creator_job_id.hex() == job:
            yield group.placement_group_id, group.creator_actor_dead


class LeanTrainer(TorchTrainer):
    """A trainer with two processes less for every worker group.

    The detached actor that frees a worker group's resources when its controller dies needs the
    dashboard's server, and stays for ever where there is none; the executor does its work
    (`remove_orphans`). The manager of Ray Data's datasets has nothing to manage.
    """

    def _create_default_callbacks(self) -> list[Any]:
        return [
            callback
            for callback in super()._create_default_callbacks()
            if not isinstance(callback, (PlacementGroupCleanerCallback, DatasetsCallback))
        ]


def find_controller(given: Any) -> Any:
    """Tune's controller: what a scheduler is given wraps it, to warn of what is not for them."""
    return vars(given).get("_tune_controller", given)


def keep_actors(controller: Any, trial: Any, count: int) -> None:
    """Have Tune keep up to `count` idle actors for its next trials.

    While a study waits for a running trial, Tune would end all other actors but one, and the next
    trials would wait for new processes. It has no setting for that.
    """
    vars(controller)["_actor_cache"].increase_max(trial.placement_group_factory, by=count)


def end_trial_actors(controller: Any) -> None:
    """End the trials' actors, as Tune does at its end and after an error but not on Ctrl-C."""
    controller.cleanup()


def continue_mlflow_run(logger: Any, trial: Any, run_id: str) -> None:
    """Have Tune's MLflow callback record a trial in a run that exists, instead of a new one."""
    logger._trial_runs[trial] = run_id  # noqa: SLF001


def mlflow_experiment(logger: Any) -> str:
    """Id of the experiment that Tune's MLflow callback records in."""
    return str(logger.mlflow_util.experiment_id)
