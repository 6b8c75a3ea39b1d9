"""Mapping a function over items by Ray tasks, in order and within bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import ray

from supremix.cluster.runtime import cluster_nodes

Item = TypeVar("Item")
Mapped = TypeVar("Mapped")


def ray_map(
    function: Callable[[Item], Mapped], items: Iterable[Item], *, ahead: int = 2
) -> Iterator[Mapped]:
    """Apply `function` to every item in Ray tasks of one CPU each.

    Args:
        function: Any picklable callable; a raised exception reaches the caller.
        items: Its arguments; drawn as tasks end.
        ahead: Tasks in flight for each CPU of the cluster, which bounds the memory in use.

    Yields:
        The results in the order of the items.
    """
    cpus = sum(node.get("CPU", 0) for node in cluster_nodes())
    limit = max(1, int(cpus * ahead))
    task: Any = ray.remote(_call).options(num_cpus=1, max_retries=3)
    shared = ray.put(function)
    pending: deque[ray.ObjectRef[Mapped]] = deque()
    for item in items:
        if len(pending) >= limit:
            yield ray.get(pending.popleft())
        pending.append(task.remote(shared, item))
    while pending:
        yield ray.get(pending.popleft())


def _call(function: Callable[[Item], Mapped], item: Item) -> Mapped:
    return function(item)
