"""The specification of a search: everything that decides its numbers, checked before it starts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from upath import UPath

import supremix_datasets
from supremix.errors import SpecError
from supremix.models import EncoderSpec
from supremix.models.own_encoder import imported
from supremix.progress.webhook import check_url
from supremix.search.checks import (
    check_batch,
    check_points,
    check_resumed_with,
    check_values,
    parse_point,
)
from supremix.search.request.declaration import MACHINE, Request
from supremix.search.request.effort import EFFORTS, Effort
from supremix.search.request.option import declared
from supremix.search.request.serialization import plain, restored
from supremix.search.request.values import to_option
from supremix.storage.paths import absolute
from supremix.training import EndToEnd, Method, TwoStage, get_method
from supremix.training.steps.gradient_cache import check_encoder
from supremix.tuning.pruners.pruner import Pruner
from supremix.tuning.pruners.registry import make_pruner
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.config import StudyConfig
from supremix_datasets import Dataset, Fold
from supremix_datasets.cache import cache_folder
from supremix_datasets.own_objects import is_import_path
from supremix_spaces import (
    TRANSFER,
    Space,
    SpaceError,
    load_parameters,
    own_space,
    parse_overrides,
    space_for,
)

T = TypeVar("T")

PHANTOM = "phantom"
"""The source that stands for generated data, written in the dataset's official layout."""

_CONFIRMED_BY_EFFORT = ("confirm_seeds", "test_seeds")


@dataclass(frozen=True, kw_only=True)
class SearchSpec(Request):
    """The checked specification of one search: the options of `Request` for one dataset and method.

    Args:
        lenient: Whether values of hyperparameters that the method does not have are ignored, for
            where several methods share them. The caller checks that each is some method's.
        fold: Index of the fold that is the test split; None for a search without folds, or for all
            of them together.
        repeat: Index of the repeat of the cross-validation.

    Raises:
        SpecError: An option has an illegal value, or two contradict each other.
        UnknownNameError: A name stands for nothing.
    """

    lenient: bool = False
    fold: int | None = None
    repeat: int = 0

    def __post_init__(self) -> None:
        self._normalise()
        check_values(self)
        self._follow_effort()
        self.budget()
        self.stopping_rule()
        if self.webhook is not None:
            check_url(self.webhook)
        supremix_datasets.get(self.dataset)
        self.resolve_method()
        check_points(self)
        check_encoder(self.chunk, self.encoder_spec())

    def _normalise(self) -> None:
        """Bring the values into their one form, in which the file holds from any working folder."""
        values: dict[str, Any] = {one.name: getattr(self, one.name) for one in declared(type(self))}
        for one in declared(type(self)):
            value = values[one.name]
            if isinstance(value, Path | UPath):
                value = str(value)
            try:
                value = to_option(one, value)
            except ValueError as error:
                raise SpecError(str(error)) from None
            if one.address and isinstance(value, str) and value != PHANTOM:
                value = absolute(value)
            values[one.name] = value
        if is_import_path(values["encoder"]):
            values["encoder"] = imported(values["encoder"])
        if self.stores is None and self.cache is None:  # else each node has a cache of its own
            values["cache"] = str(cache_folder())
        for name, value in (values | {"warm_start": bool(self.warm_start)}).items():
            object.__setattr__(self, name, value)

    def _follow_effort(self) -> None:
        """Fill in what the effort decides before the images are known."""
        if self.epochs is not None and self.images_seen is not None:
            raise SpecError(
                f"epochs={self.epochs} and images_seen={self.images_seen} both give the length of "
                "a trial; leave one of them out."
            )
        effort, values = self.resolve_effort(), dict[str, int | None]()
        if self.trials is self.time is self.gpu_hours is None:
            values["trials"] = effort.trials
        for name in _CONFIRMED_BY_EFFORT:
            given: int | None = getattr(self, name)
            values[name] = getattr(effort, name) if given is None else given
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def facts(self) -> dict[str, str]:
        """Dataset, method and every other option that is not at its default, as text."""
        facts = {"dataset": _shown(self.dataset), "method": _shown(self.method)}
        for one in declared(type(self)):
            value = getattr(self, one.name)
            default = bool(one.default) if isinstance(value, bool) else one.default
            if one.name in _CONFIRMED_BY_EFFORT:
                default = getattr(self.resolve_effort(), one.name)
            if one.name not in (*facts, *MACHINE) and value != default:
                facts[one.name] = _shown(value)
        return facts

    def resolve_fold(self) -> Fold | None:
        """The fold of a cross-validation that is the test split; None for none."""
        if self.folds is None or self.fold is None:
            return None
        return Fold(number=self.fold, count=self.folds, by_site=self.stratify_by_site)

    def resolve_effort(self) -> Effort:
        """The effort, by its name."""
        return EFFORTS[self.effort]

    def budget(self) -> Budget:
        """The limits of the search."""
        return Budget(trials=self.trials, seconds=self.time, gpu_hours=self.gpu_hours)

    def stopping_rule(self) -> Pruner:
        """The rule by which trials are stopped early."""
        return make_pruner(self.pruner, grace=self.grace, reduction=self.reduction)

    def study_config(
        self, *, epochs: int, datasets: int, parallel: int, gpus: float
    ) -> StudyConfig:
        """The configuration of its study.

        Args:
            epochs: Epochs of a trial on a dataset.
            datasets: Datasets that a trial goes through.
            parallel: Trials that run at once.
            gpus: GPUs that a trial occupies.
        """
        return StudyConfig(
            budget=self.budget(),
            epochs=epochs,
            datasets=datasets,
            pruner=self.stopping_rule(),
            sampler=self.sampler,
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
        """The source of the images: as given, else the phantom where the dataset has one."""
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
        names = ("width", "depth", "norm", "shortcut")
        values = {name: getattr(self, name) for name in names}
        given: dict[str, Any] = {name: v for name, v in values.items() if v is not None}
        name = str(self.encoder) if named else "custom"
        return EncoderSpec(name=name, builder=builder, **given)

    def resolve_space(
        self,
        *,
        window: float,
        label_bin: float,
        train_size: int,
        label_scale: float | None = None,
        volumes: bool = False,
    ) -> Space:
        """The space to search: the method's preset, a file or object, and the overrides.

        Args:
            window: The card's window, in its unit.
            label_bin: The card's label bin, in its unit.
            train_size: Images in the training split; no batch is larger.
            label_scale: The card's label scale, in its unit; None takes the label bin.
            volumes: Whether the images have three axes.

        Raises:
            SpaceError: It names an unknown parameter, or holds a batch that is too large.
        """
        method = self.resolve_method()
        known = parameter_names(method)
        if isinstance(self.space, Space):
            space = self.space
        else:
            sizes = {"window": window, "label_bin": label_bin, "train_size": train_size}
            more = {"volumes": volumes, "pretrained": self.pretrained is not None}
            space = _preset(method, sizes, label_scale=label_scale, **more)
            if self.space is not None:
                space = space.merged(self._meant(load_parameters(self.space), known))
        overrides = self._meant(parse_overrides(self.overrides), known)
        idle = [name for name in TRANSFER if name in overrides and name not in space]
        if idle and self.pretrained is None:
            raise SpecError(
                f"{' and '.join(idle)} would keep pretrained weights, and the encoder starts from "
                "random ones. Give pretrained (--pretrained RUN or FILE), or leave it out."
            )
        space = space.merged(overrides)
        space.check_names(known, owner=f"method {method.name}")
        check_batch(space, train_size)
        return space

    def starting_points(self, space: Space) -> tuple[dict[str, Any], ...]:
        """The hyperparameters of `points`, completed by the defaults of a space.

        Args:
            space: The space that is searched.

        Raises:
            SpecError: One of them is not in the space.
        """
        known, points = parameter_names(self.resolve_method()), list[dict[str, Any]]()
        for text in self.points:
            try:
                points.append(space.completed(self._meant(parse_point(text), known)))
            except SpaceError as error:
                raise SpecError(f"the point {text!r} is not in the space: {error}") from error
        return tuple(points)

    def _meant(self, values: Mapping[str, T], known: Collection[str]) -> dict[str, T]:
        return {k: v for k, v in values.items() if k in known or not self.lenient}

    def to_dict(self) -> dict[str, Any]:
        """The specification as plain values; objects of the user's own are named, not stored."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **objects: Any) -> SearchSpec:
        """Rebuild a specification.

        Args:
            data: Plain values from `to_dict`.
            objects: Objects that could not be stored, and where to run (`MACHINE`) if that is
                different now.

        Raises:
            SpecError: An object of the user's own cannot be imported and was not given, one of
                `objects` would make it another search, or `data` has an option that there is not.
        """
        check_resumed_with(objects)
        known = {one.name for one in fields(cls)}
        if unknown := data.keys() - known:
            raise SpecError(
                f"the specification has {', '.join(sorted(unknown))}, which this version of "
                "supremix does not know. Resume the run with the version that began it."
            )
        stored = {name: value for name, value in data.items() if name not in objects}
        values = {name: restored(name, value) for name, value in stored.items()}
        return cls(**values, **objects)


def _shown(value: Any) -> str:
    """A value in brief: an object of the user's own by its name, or by its type."""
    if isinstance(value, str | int | float | tuple):
        return str(value)
    return str(getattr(value, "name", None) or type(value).__name__)


def parameter_names(method: Method) -> tuple[str, ...]:
    """The parameters that a method has."""
    return tuple(parameter.name for parameter in fields(method.config))


def _preset(method: Method, sizes: Mapping[str, Any], **more: Any) -> Space:
    own = getattr(method, "space", None)
    if own is not None:
        return own(**sizes)
    if isinstance(method, TwoStage | EndToEnd) and method.searched is not None:
        stages = "two-stage" if isinstance(method, TwoStage) else "end-to-end"
        return own_space(method.searched, training=stages, **sizes, **more)
    return space_for(method.name, **sizes, **more)
