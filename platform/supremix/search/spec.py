"""The specification of a search: everything that decides its numbers, checked before it starts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import supremix_datasets
from supremix.errors import SpecError, UnknownNameError
from supremix.models import EncoderSpec
from supremix.progress.webhook import check_url
from supremix.search.serialization import plain, restored
from supremix.training import Method, get_method
from supremix.training.steps.gradient_cache import check_encoder
from supremix.tuning.pruners.pruner import Pruner
from supremix.tuning.pruners.registry import make_pruner
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.config import StudyConfig
from supremix_datasets import Dataset
from supremix_spaces import Parameter, Space, load_parameters, parse_overrides, space_for

PHANTOM = "phantom"
"""The source that stands for generated data, written in the dataset's official layout."""

PLACE = ("address", "wheel", "cache")
"""Where and on what a search runs: what may be another when it goes on."""

_OBJECTS = ("dataset", "method", "space", "encoder")


@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """What a search is asked to do; the arguments are those of `supremix.Search`."""

    dataset: str | Dataset
    source: str | None = None
    method: str | Method = "supremix"
    trials: int | None = None
    time: float | None = None
    gpu_hours: float | None = None
    seed: int = 0
    warm_start: bool = False
    space: str | Space | None = None
    overrides: tuple[str, ...] = ()
    encoder: str | EncoderSpec | Callable[..., Any] = "resnet"
    width: int | None = None
    depth: int | None = None
    norm: str | None = None
    epochs: int = 60
    shape: tuple[int, ...] | None = None
    phantoms: int | None = None
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    split_seed: int = 0
    workers: int = 1
    concurrent_trials: int | None = None
    cpus_per_worker: float | None = None
    gpus_per_worker: float | None = None
    prune: bool = True
    grace: int | None = None
    reduction: float = 3.0
    finalists: int = 3
    confirm_seeds: int = 2
    test: bool = True
    test_seeds: int = 1
    label_fraction: float = 1.0
    pretrained: str | None = None
    precision: str = "auto"
    chunk: int | None = None
    cache: str | None = None
    stores: str | None = None
    address: str | None = None
    wheel: str | None = None
    epoch_limit: float | None = None
    tensorboard: str | None = None
    mlflow: str | None = None
    webhook: str | None = None
    stall: float | None = None
    lenient: bool = False
    """Whether values for parameters that the method does not have are passed over, as where several
    methods share them. The caller sees to it that each is one of some method's."""

    def __post_init__(self) -> None:
        self.budget()
        self.pruner()
        if self.epochs < 2:
            raise SpecError(
                f"a trial needs at least 2 epochs, one for each stage; got epochs={self.epochs}."
            )
        if not 0 < self.label_fraction <= 1:
            raise SpecError(
                f"label_fraction is the share of the training patients whose labels are used, "
                f"above 0 and at most 1; got label_fraction={self.label_fraction:g}."
            )
        if self.precision not in ("auto", "fp32", "bf16", "fp16"):
            raise UnknownNameError("precision", self.precision, ("auto", "fp32", "bf16", "fp16"))
        self._check_numbers()
        supremix_datasets.get(self.dataset)
        self.resolve_method()
        self._check_chunk()

    def _check_numbers(self) -> None:
        if self.finalists < 1 or self.confirm_seeds < 0:
            raise SpecError(
                "at the end at least 1 finalist is trained with 0 or more new seeds; got "
                f"finalists={self.finalists}, confirm_seeds={self.confirm_seeds}."
            )
        if self.test_seeds < 1:
            raise SpecError(
                "the best settings are judged on the test split with at least 1 seed; got "
                f"test_seeds={self.test_seeds}. To leave the test split alone, turn test off."
            )
        for name in ("epoch_limit", "stall"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SpecError(f"{name} is a time above 0 s, or None; got {value:g}.")
        if self.webhook is not None:
            check_url(self.webhook)

    def budget(self) -> Budget:
        """The limits of the search."""
        return Budget(trials=self.trials, seconds=self.time, gpu_hours=self.gpu_hours)

    def pruner(self) -> Pruner:
        """The stopping rule."""
        halving = {"grace": self.grace, "reduction": self.reduction}
        return make_pruner("halving", **halving) if self.prune else make_pruner("none")

    def study_config(self, *, datasets: int, parallel: int, gpus: float) -> StudyConfig:
        """The configuration of its study.

        Args:
            datasets: Datasets that a trial goes through.
            parallel: Trials that run at once.
            gpus: GPUs that a trial occupies.
        """
        return StudyConfig(
            budget=self.budget(),
            epochs=self.epochs,
            datasets=datasets,
            pruner=self.pruner(),
            parallel=parallel,
            top_k=self.finalists,
            replicates=self.confirm_seeds,
            gpus=gpus,
        )

    def resolve_dataset(self) -> Dataset:
        """The dataset, by name or as given; one that its source describes is read from there.

        Raises:
            DatasetError: The source does not describe it.
        """
        source = self.resolve_source()
        return supremix_datasets.get(self.dataset).at(None if source == PHANTOM else source)

    def resolve_method(self) -> Method:
        """The method, by name or as given."""
        return get_method(self.method)

    def resolve_source(self) -> str:
        """Where the images are: as given, else the phantom where the dataset has one."""
        dataset = supremix_datasets.get(self.dataset)
        if self.source is not None and (self.source != PHANTOM or dataset.phantom is not None):
            return self.source
        if dataset.phantom is None:
            raise SpecError(
                f"dataset {dataset.card.name!r} has no phantom, so its images are needed: give "
                "the folder as source (--source FOLDER)."
            )
        return PHANTOM

    def encoder_spec(self) -> EncoderSpec:
        """The encoder with the given width, depth and normalisation."""
        if isinstance(self.encoder, EncoderSpec):
            return self.encoder
        named = isinstance(self.encoder, str)
        builder = None if isinstance(self.encoder, str) else self.encoder
        usual = EncoderSpec(name=str(self.encoder) if named else "custom", builder=builder)
        return EncoderSpec(
            name=usual.name,
            builder=usual.builder,
            width=usual.width if self.width is None else self.width,
            depth=usual.depth if self.depth is None else self.depth,
            norm=usual.norm if self.norm is None else self.norm,
        )

    def _check_chunk(self) -> None:
        encoder = self.encoder_spec()
        if self.chunk is not None and self.chunk < 1:
            raise SpecError(f"chunk must be at least 1 image, or None for all; got {self.chunk}.")
        check_encoder(self.chunk, encoder)

    def resolve_space(
        self, *, window: float, label_bin: float, train_size: int, label_scale: float | None = None
    ) -> Space:
        """The space to search: the method's preset, a file or object, and the overrides.

        Args:
            window: The card's window, in its unit.
            label_bin: The card's label bin, in its unit.
            train_size: Images in the training split; no batch is larger.
            label_scale: The card's label scale, in its unit; None takes the label bin.

        Raises:
            SpaceError: It names an unknown parameter, or holds a batch that is too large.
        """
        method = self.resolve_method()
        known = parameter_names(method)
        if isinstance(self.space, Space):
            space = self.space
        else:
            space = _preset(method, window, label_bin, train_size, label_scale)
            if self.space is not None:
                space = space.merged(self._meant(load_parameters(self.space), known))
        space = space.merged(self._meant(parse_overrides(self.overrides), known))
        space.check_names(known, owner=f"method {method.name}")
        _check_batch(space, train_size)
        return space

    def _meant(
        self, values: Mapping[str, Parameter], known: Collection[str]
    ) -> dict[str, Parameter]:
        return {k: v for k, v in values.items() if k in known or not self.lenient}

    def to_dict(self) -> dict[str, Any]:
        """The specification as plain values; objects of the user's own are named, not stored."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **objects: Any) -> SearchSpec:
        """Rebuild a specification.

        Args:
            data: As `to_dict` gave it.
            objects: Again what could not be stored; and where to run, if not as stored (`PLACE`).

        Raises:
            SpecError: An object of the user's own cannot be imported and was not given, or one of
                `objects` would make it another search.
        """
        _check_given(objects)
        known = {f.name for f in fields(cls)}
        values = {
            name: restored(name, value)
            for name, value in data.items()
            if name in known and name not in objects
        }
        given: dict[str, Any] = {
            name: str(v) if isinstance(v, Path) else v for name, v in objects.items()
        }
        return cls(**values, **given)


def parameter_names(method: Method) -> tuple[str, ...]:
    """The parameters that a method has."""
    return tuple(parameter.name for parameter in fields(method.config))


def _check_given(objects: Collection[str]) -> None:
    for name in objects:
        if name not in (*_OBJECTS, *PLACE):
            raise SpecError(
                f"a resumed search keeps to its specification, so it takes no {name}: only where "
                f"to run ({', '.join(PLACE)}), and objects of your own that it was started with "
                f"({', '.join(_OBJECTS)}). Leave {name} out."
            )


def _preset(
    method: Method, window: float, label_bin: float, train_size: int, label_scale: float | None
) -> Space:
    own = getattr(method, "space", None)
    if own is not None:
        return own(window=window, label_bin=label_bin, train_size=train_size)
    return space_for(
        method.name,
        window=window,
        label_bin=label_bin,
        train_size=train_size,
        label_scale=label_scale,
    )


def _check_batch(space: Space, train_size: int) -> None:
    parameter: Parameter | None = space.parameters.get("batch_size")
    largest = max(_numbers(parameter), default=0)
    if largest > train_size:
        raise SpecError(
            f"batch_size goes up to {largest:g}, but the training split has {train_size} images. "
            f"Search no batch above {train_size}, e.g. --set batch_size={train_size}."
        )


def _numbers(parameter: Parameter | None) -> list[float]:
    if parameter is None:
        return []
    values = [getattr(parameter, name, None) for name in ("high", "value")]
    values += list(getattr(parameter, "options", ()))
    return [value for value in values if isinstance(value, int | float)]
