"""A run that counts epochs instead of training them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class CountedRun:
    """Trains nothing; calls `deed` with the number of every epoch."""

    total = 3

    def __init__(self, deed: Callable[[int], None]) -> None:
        self.history: list[dict[str, Any]] = []
        self.deed = deed

    @property
    def epoch(self) -> int:
        return len(self.history)

    def advance(self) -> None:
        self.deed(self.epoch + 1)
        self.history.append({"epoch": self.epoch + 1})

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def continues(self, state: Any) -> bool:
        return True

    def load(self, state: dict[str, Any]) -> None:
        self.history = [{"epoch": epoch + 1} for epoch in range(state["epoch"])]
