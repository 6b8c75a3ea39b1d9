"""The workers of a worker group as the pool knows them, and the control of their processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

VMSTAT = Path("/proc/vmstat")


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One worker of a worker group.

    Args:
        rank: Its rank.
        node: Ray's id of its node.
        actor: Handle of its actor.
        kills: The value of `memory_kills` on its node when it started.
    """

    rank: int
    node: str
    actor: Any = None
    kills: int = 0


@dataclass(slots=True)
class WorkerSet:
    """The workers that a worker group has at a time; after a restart it has another set.

    Args:
        key: Unique among all sets.
        world: Number of workers.
        members: Workers that have joined, by rank.
        draining: Whether the removal of one of their nodes was announced.
    """

    key: str
    world: int
    members: dict[int, Member] = field(default_factory=dict[int, Member])
    draining: bool = False

    def on(self, nodes: frozenset[str]) -> bool:
        """Whether a member is on one of the nodes."""
        return any(member.node in nodes for member in self.members.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Death:
    """The death of a worker: a text, and whether for a lack of memory as far as that is known."""

    text: str
    memory: bool = False


class ProcessControl(Protocol):
    """The control of workers by the pool, which itself knows nothing of Ray."""

    async def ping(self, member: Member) -> Death | None:
        """Return None as soon as the worker answers, how it died if it is dead.

        Does not return while a worker is alive and does not answer.
        """
        ...

    async def kill(self, member: Member) -> None:
        """End a worker's process at once, in any state."""
        ...


def memory_kills() -> int:
    """Processes that this node's kernel has killed for a lack of memory; 0 where it does not say.

    A worker that the kernel kills cannot report it; a count that has grown since its start can.
    """
    try:
        lines = VMSTAT.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    counts = dict(line.split(maxsplit=1) for line in lines)
    return int(counts.get("oom_kill", 0))
