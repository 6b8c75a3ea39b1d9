"""The command line: `supremix search`, `prepare`, `datasets`, `predict`."""

from __future__ import annotations

from supremix.cli.app import app as app
from supremix.cli.app import main as main

__all__ = ["app", "main"]
