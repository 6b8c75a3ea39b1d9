"""The reader of hc18 that writes down what it decodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supremix_datasets import Scan, get

DECODED: list[str] = []
"""Names of the files that were decoded, in order; a test clears it."""


@dataclass(frozen=True)
class Counting:
    """The reader of hc18 that writes down what it decodes."""

    version: int = 1

    def scan(self, source: str) -> Scan:
        return get("hc18").reader.scan(source)

    def decode(self, address: str) -> Any:
        DECODED.append(Path(address).name)
        return get("hc18").reader.decode(address)
