"""Loading ahead, in a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")

DEPTH = 2
"""Items that are loaded while another is used."""

_END = object()


def prefetched(items: Iterator[T], device: torch.device, depth: int = DEPTH) -> Generator[T]:
    """What an iterator gives, in its order, drawn in a thread while the last item is used.

    An error of the iterator is raised where its item would have been given. The thread ends with
    the generator: close it where it is left early.

    Args:
        items: The iterator; nothing else may draw from it meanwhile.
        device: Device that the thread prepares its items for.
        depth: Number of items that are drawn before they are asked for.
    """

    def begin() -> None:
        # A new thread would take pinned memory on the first GPU, whichever is computed on.
        if device.type == "cuda":
            torch.cuda.set_device(device)

    thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch", initializer=begin)
    waiting: deque[Future[T | object]] = deque()
    try:
        while True:
            while len(waiting) <= depth:
                waiting.append(thread.submit(next, items, _END))
            item = waiting.popleft().result()
            if item is _END:
                return
            yield item  # pyright: ignore[reportReturnType]
    finally:
        thread.shutdown(wait=True, cancel_futures=True)
