"""What a space needs of an Optuna trial; any object with these methods will do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from supremix_spaces.parameters.values import Value


class Trial(Protocol):
    """What a space needs of an Optuna trial."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Draw a float."""
        ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Draw an integer."""
        ...

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """Draw one of the choices."""
        ...
