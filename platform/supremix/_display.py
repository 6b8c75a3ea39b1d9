"""The facts that objects of the interface show of themselves, in a shell and in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape
from typing import Any


class Displayed(ABC):
    """An object that shows a few facts: a line in a shell, a table in a notebook."""

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """What is shown of it, by the word for each."""

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}: {fact}" for name, fact in self.facts().items())
        return f"<{type(self).__name__} {facts}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(fact)}</td></tr>"
            for name, fact in self.facts().items()
        )
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"


def shown_values(config: Mapping[str, Any]) -> str:
    """Hyperparameters in a line, numbers with four digits."""
    short = ((k, f"{v:.4g}" if isinstance(v, float) else str(v)) for k, v in config.items())
    return ", ".join(f"{name}={value}" for name, value in short)
