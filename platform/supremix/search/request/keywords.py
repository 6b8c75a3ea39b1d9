"""The keyword arguments for type checkers; a test compares them with the declaration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from supremix.models import EncoderSpec
    from supremix_spaces import Space


class TrainingKeywords(TypedDict, total=False):
    """Keyword arguments of everything that trains: `joint` takes these."""

    phantoms: int | None
    fractions: tuple[float, float, float] | str
    split_seed: int
    keep_copies_together: bool
    effort: str
    epochs: int | None
    images_seen: int | str | None
    seed: int
    encoder: str | EncoderSpec | Callable[..., Any]
    width: int | None
    depth: int | None
    norm: str | None
    shortcut: str | None
    precision: str
    workers: int
    cpus_per_worker: float | None
    gpus_per_worker: float | None
    span_nodes: bool
    address: str | None
    cache: str | Path | None
    stores: str | None


class SearchKeywords(TrainingKeywords, total=False):
    """Keyword arguments of `Search`, `Comparison`, `MultiDatasetSearch`, `Benchmark` and `plan`."""

    shape: Sequence[int] | str | None
    folds: int | None
    repeats: int
    stratify_by_site: bool
    search_once: bool
    label_fraction: float
    trials: int | None
    time: float | str | None
    gpu_hours: float | None
    final_images_seen: int | str | None
    space: str | Path | Space | None
    overrides: Sequence[str]
    points: Sequence[str]
    warm_start: bool | None
    sampler: str
    pruner: str
    grace: int | None
    reduction: float | None
    finalists: int
    confirm_seeds: int
    test: bool
    test_seeds: int
    pretrained: str | Path | None
    min_matched: float
    chunk: int | None
    deterministic: bool
    compile: bool
    epoch_limit: float | str | None
    concurrent_trials: int | None
    wheel: str | Path | None
    tensorboard: str | Path | None
    mlflow: str | None
    wandb: str | None
    webhook: str | None
    stall: float | str | None
