"""What is asked of Ray beyond tasks and actors: pulses, nodes that go, groups without owner."""

from __future__ import annotations

from typing import Any

import ray
from ray._private import state as ray_state
from ray.core.generated import gcs_pb2
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.util.placement_group import PlacementGroup, remove_placement_group

from supremix.cluster.members import Death, Member

_STATE: Any = ray_state.state
_GROUP: Any = getattr(gcs_pb2, "PlacementGroupTableData")  # noqa: B009 - made at run time


class RayProcessControl:
    """`ProcessControl` for workers that are Ray actors."""

    async def ping(self, member: Member) -> Death | None:
        """Ask the worker's actor for nothing; its main thread is free while it trains."""
        try:
            await member.actor.__ray_ready__.remote()
        except RayActorError as error:
            return death_of(error)
        except OutOfMemoryError as error:
            return Death(text=first_line(error), memory=True)
        return None

    async def kill(self, member: Member) -> None:
        """End the process; its node does it by force where it does not end by itself."""
        ray.kill(member.actor)


def death_of(error: Exception) -> Death:
    """How an actor died, from what Ray says of it."""
    text = str(error)
    memory = "low on memory" in text
    for line in text.splitlines():
        if line.startswith("The actor is dead because"):
            # What follows is advice for the general case, not a finding.
            return Death(text=line.split(" Some common causes")[0], memory=memory)
    return Death(text=first_line(error), memory=memory)


def first_line(error: BaseException) -> str:
    """The beginning of an error's text, or its name."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def dead_nodes() -> frozenset[str]:
    """Ids of the nodes that have been in the cluster and are no more."""
    return frozenset(node["NodeID"] for node in ray.nodes() if not node["Alive"])


def draining_nodes() -> frozenset[str]:
    """Ids of the nodes that were announced to go."""
    return frozenset(_STATE.get_draining_nodes())


def remove_orphans() -> int:
    """Free the placement groups of this job's groups whose creator, their controller, is dead.

    Ray frees a placement group with its job; that of a controller that was killed would keep its
    place from others for as long as this driver runs.

    Returns:
        Placement groups that worker groups of this job had before the call.
    """
    job = ray.get_runtime_context().get_job_id()
    accessor = _STATE._connect_and_get_accessor()  # noqa: SLF001
    table = [_GROUP.FromString(raw) for raw in accessor.get_placement_group_table()]
    # Of the groups of this job those of worker groups alone were created by an actor.
    ours = [group for group in table if group.creator_job_id.hex() == job and _by_actor(group)]
    for group in ours:
        if group.creator_actor_dead:
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))
    return len(ours)


def controllers_left() -> int:
    """How many controllers of this job's worker groups are alive, or about to be."""
    job = ray.JobID(bytes.fromhex(ray.get_runtime_context().get_job_id()))
    table: dict[str, Any] = _STATE.actor_table(None, job_id=job)
    ours = (actor for actor in table.values() if actor["ActorClassName"] == "TrainController")
    return sum(actor["State"] != "DEAD" for actor in ours)


def _by_actor(group: Any) -> bool:
    creator = group.creator_actor_id
    alive = group.state != _GROUP.REMOVED and not group.is_detached
    return alive and len(creator) > 0 and not ray.ActorID(creator).is_nil()
