"""The files of an exported model and the version of their format."""

from __future__ import annotations

FORMAT = 2
WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"
CALIBRATION = "calibration.json"
"""Predictions on patients that no network was trained on, see `Calibration`; a search writes it."""
NETWORKS = "networks"
"""Folder of the same training's networks of other seeds, each a model as well."""
REFERENCE = "reference."
"""Beginning of the names of the tensors that are no weights: see `training_facts`."""
FOLDS = "folds.json"
"""File of the folder of a cross-validation, which names the folders of its folds."""
