"""Control over the processes and the placement groups of worker groups, through Ray."""

from __future__ import annotations

import ray
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.util.placement_group import PlacementGroup, remove_placement_group

from supremix.cluster import ray_private
from supremix.cluster.members import Death, Member


class RayProcessControl:
    """`ProcessControl` for workers that are Ray actors."""

    async def ping(self, member: Member) -> Death | None:
        """Wait for an answer of the worker's actor; its main thread is free while it trains."""
        try:
            await ray_private.ready(member.actor)
        except RayActorError as error:
            return death_of(error)
        except OutOfMemoryError as error:
            return Death(text=first_line(error), memory=True)
        return None

    async def kill(self, member: Member) -> None:
        """End the process; its node does it by force where it does not end by itself."""
        ray.kill(member.actor)


def death_of(error: Exception) -> Death:
    """The death of an actor, from what Ray says of it."""
    text = str(error)
    memory = "low on memory" in text
    for line in text.splitlines():
        if line.startswith("The actor is dead because"):
            # What follows is advice for the general case, not a finding.
            return Death(text=line.split(" Some common causes")[0], memory=memory)
    return Death(text=first_line(error), memory=memory)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its name."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def dead_nodes() -> frozenset[str]:
    """Ids of the nodes that were in the cluster and have died."""
    return frozenset(node["NodeID"] for node in ray.nodes() if not node["Alive"])


def remove_orphans() -> int:
    """Remove the placement groups of this job's worker groups whose controller is dead.

    Ray removes a placement group with its job; that of a controller that was killed would hold its
    resources for as long as this driver runs.

    Returns:
        Placement groups that worker groups of this job had before the call.
    """
    groups = list(ray_private.worker_placement_groups(_job()))
    for group, orphaned in groups:
        if orphaned:
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(group)))
    return len(groups)


def controllers_left() -> int:
    """The number of controllers of this job's worker groups that are alive, or about to be."""
    names = [name for name, _ in ray_private.living_actors(_job())]
    return names.count(ray_private.CONTROLLER)


def _job() -> str:
    return ray.get_runtime_context().get_job_id()
