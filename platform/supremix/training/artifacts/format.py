"""The files of an exported model and the version of their format."""

from __future__ import annotations

FORMAT = 1
WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"
