"""The command line: `supremix search`, `check`, `prepare`, `predict`, `datasets`, `phantom`."""

from __future__ import annotations

from supremix.cli.app import app, main

__all__ = ["app", "main"]
