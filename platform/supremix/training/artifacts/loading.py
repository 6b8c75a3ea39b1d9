"""Loading the model of a run folder: one network, or those of several seeds or folds as one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl
from upath import UPath

from supremix._errors import ModelError
from supremix.errors import RunFolderError
from supremix.storage.paths import Address, children, read_bytes, to_path
from supremix.storage.retry import storage_errors
from supremix.training.artifacts.format import DESCRIPTION, FOLDS, NETWORKS
from supremix.training.artifacts.pretrained import model_folder
from supremix.training.artifacts.trained_model import TrainedModel


def load(path: Address, *, ensemble: bool = False, **objects: Any) -> TrainedModel:
    """Load a trained model.

    Args:
        path: A run folder, or the folder of a model; a local path or an fsspec address. Of the
            folder of a cross-validation it is the ensemble of all folds' models, of all seeds.
        ensemble: Whether to take the mean of the networks of all seeds (of `test_seeds`; without a
            test of `confirm_seeds`), in place of the first one.
        objects: What is not in the file: the callable of an encoder of your own (``builder``), or
            the `Dataset` of one.

    Raises:
        RunFolderError: There is no model there, or it cannot be read.
        ModelError: A network cannot be rebuilt, or there is one seed and so no ensemble.
    """
    folder = to_path(path)
    with storage_errors(str(folder)):
        if (folder / FOLDS).is_file():
            folds: dict[str, list[TrainedModel]] = {}
            for name in json.loads(read_bytes(folder / FOLDS))["runs"]:
                # Those of repeats are named repeat-0-fold-0 and so on.
                fold = folds.setdefault(name.rpartition("fold-")[2], [])
                fold += _networks(folder / name, objects)
            return TrainedModel.of_folds([*folds.values()], out_of_fold=_out_of_fold(folder))
        members = _networks(folder, objects) if ensemble else [_network_of(folder, objects)]
    if not ensemble:
        return members[0]
    if len(members) < 2:
        raise ModelError(
            f"the model in {folder} has the network of one seed, so it is no ensemble: search with "
            "--test-seeds 2 or more (without a test --confirm-seeds 2 or more), or leave out "
            "--ensemble"
        )
    return TrainedModel.ensemble(members)


def _networks(folder: UPath, objects: Mapping[str, Any]) -> list[TrainedModel]:
    """The models of all seeds, first that of the run."""
    first, kept = _network_of(folder, objects), model_folder(folder) / NETWORKS
    others = [one for one in children(kept) if (one / DESCRIPTION).is_file()]
    return [first, *(TrainedModel.load(one, **objects) for one in others)]


def _network_of(folder: UPath, objects: Mapping[str, Any]) -> TrainedModel:
    model = model_folder(folder)
    if not (model / DESCRIPTION).is_file():
        raise RunFolderError(
            f"there is no model in {folder}: expected model.json and model.safetensors, there or "
            "in its folder 'best'. Name the run folder of a search that was concluded."
        )
    return TrainedModel.load(model, **objects)


def _out_of_fold(folder: UPath) -> pl.DataFrame | None:
    """The pooled predictions of a cross-validation, where it is concluded."""
    try:
        return pl.read_parquet(read_bytes(folder / "predictions.parquet"))
    except FileNotFoundError:
        return None
