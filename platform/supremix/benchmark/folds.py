"""The folds of a cross-validation: a search each, and what they have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from upath import UPath

from supremix.errors import SpecError
from supremix.runs.folder import RunFolder, read_json, write_json_once
from supremix.search.prepare import PreparedSearch, Resources, splits_of
from supremix.search.spec import SearchSpec
from supremix_datasets import has_own_folds
from supremix_reports import FoldRun, LabelDensity, write_folds
from supremix_spaces import Fixed

REPEAT_SEEDS = 1000
"""Difference between the seeds of two repeats, larger than any number of test seeds."""


def fold_specs(spec: SearchSpec) -> list[SearchSpec]:
    """The specification of the search in each fold, repeat by repeat; without folds the one given.

    Each repeat has another seed, of its folds and of its searches.
    """
    if spec.folds is None:
        return [spec]
    return [
        dataclasses.replace(
            spec,
            fold=fold,
            repeat=repeat,
            seed=spec.seed + REPEAT_SEEDS * repeat,
            split_seed=spec.split_seed + REPEAT_SEEDS * repeat,
        )
        for repeat in range(spec.repeats)
        for fold in range(spec.folds)
    ]


def fold_folder(spec: SearchSpec) -> str:
    """Name of a fold's run folder inside that of its cross-validation; empty without folds."""
    if spec.fold is None:
        return ""
    name = f"fold-{spec.fold}"
    return name if spec.repeats == 1 else f"repeat-{spec.repeat}-{name}"


def is_first(spec: SearchSpec) -> bool:
    """Whether a search is that of the first fold, whose hyperparameters others may take."""
    return (spec.fold, spec.repeat) == (0, 0)


def fold_resources(spec: SearchSpec, resources: Resources) -> Resources:
    """The resources of a search with the splits of its fold.

    Raises:
        SpecError: Repeats are asked for, but the dataset has folds of its own.
        DatasetError: The folds cannot be used.
    """
    if spec.fold is None:
        return resources
    if spec.repeats > 1 and has_own_folds(resources.store.index):
        raise SpecError(
            f"the table has folds of its own, so {spec.repeats} repeats would have the same. Leave "
            "repeats out, or take the column of the fold out of the table."
        )
    return dataclasses.replace(resources, splits=splits_of(spec, resources.store))


def with_hyperparameters(prepared: PreparedSearch, config: Mapping[str, Any]) -> PreparedSearch:
    """A prepared search whose only trial has the hyperparameters that were found elsewhere."""
    spec = dataclasses.replace(
        prepared.spec, trials=1, time=None, gpu_hours=None, points=(), confirm_seeds=0,
        pruner="none", grace=None, reduction=None,
    )  # fmt: skip
    space = prepared.space.merged({name: Fixed(value) for name, value in config.items()})
    return dataclasses.replace(prepared, spec=spec, space=space)


def write_pooled(folder: UPath, spec: SearchSpec, searches: Sequence[PreparedSearch]) -> None:
    """Write the tables of all folds together, and what they run on.

    Args:
        folder: Folder of the cross-validation.
        spec: Its specification.
        searches: The searches in its folds, all tested.
    """
    first, run = searches[0], RunFolder(folder)
    card, targets = first.store.card, first.store.targets
    environment = read_json(first.run.environment) | {"images": {"test": len(targets)}}
    write_json_once(run.environment, environment)
    write_json_once(run.space, read_json(first.run.space))
    write_folds(
        str(folder),
        run.name,
        [
            FoldRun(folder=str(one.run.path), fold=one.spec.fold or 0, repeat=one.spec.repeat)
            for one in searches
        ],
        {**spec.to_dict(), "epochs": first.task.epochs, "copies": first.copies},
        density=LabelDensity.of(targets, card.label_bin),
    )
