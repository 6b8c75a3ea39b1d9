"""Methods: a name, a configuration class, and the stages a configuration stands for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from supremix.training.errors import ConfigError, UnknownMethodError
from supremix.training.recipes import Recipe
from supremix_datasets.cards.card import Card

Objective = Literal["contrastive", "regression", "probe"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A part of a trial with one objective, one optimizer and one cycle of the rate.

    Args:
        name: what the curves call it, "pretrain" or "regress" for the built-in methods.
        objective: "contrastive": two augmented views of each image, the loss on the embeddings
            of the whole batch. "regression": one view, the loss on standardised predictions.
            "probe": nothing is trained, the head becomes the ridge solution on frozen features.
        epochs: at least 1; a probe needs one.
        batch_size: images of a step over all workers (twice as many views when contrastive).
        loss: contrastive: loss(embeddings (M, D), labels (M,) in the task's unit, *, generator,
            anchors: slice) -> scalar, whose sum over the workers' slices is the batch's loss.
            regression: loss(predictions (B,), targets (B,)) -> (B,), one value a sample; one that
            has to know the data is given by its `bind`, see `recipes.Bindable`.
        lr: peak of the rate. weight_decay: of the matrices. warmup: share of the steps on the way
            up to the peak. clip: largest norm of the gradient, None for no limit.
        projection_dim: width of the embedding; contrastive only. None for no projection head:
            the embedding is the joined features.
        recipe: what a regression does beside its loss, None for nothing; regression only.
    """

    name: str
    objective: Objective
    epochs: int
    batch_size: int
    loss: Callable[..., Tensor] | None = None
    lr: float = 0.0
    weight_decay: float = 0.0
    warmup: float = 0.1
    clip: float | None = 5.0
    projection_dim: int | None = 128
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ConfigError(
                f"a stage needs at least one epoch and one image a step, stage {self.name!r} has "
                f"epochs={self.epochs}, batch_size={self.batch_size}"
            )
        if self.recipe is not None and self.objective != "regression":
            raise ConfigError(
                f"stage {self.name!r} is {self.objective} and has a recipe, which is for regression"
            )
        if self.objective != "probe" and (self.loss is None or self.lr <= 0):
            raise ConfigError(
                f"stage {self.name!r} is trained and needs a loss and lr > 0, found lr={self.lr}"
            )


@runtime_checkable
class Method(Protocol):
    """A way to train. Any object with these two attributes and this function will do."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def config(self) -> type[Any]:
        """A dataclass; its fields are the legal parameters, their defaults the defaults."""
        ...

    def stages(self, config: Any, *, epochs: int, card: Card) -> tuple[Stage, ...]:
        """The stages of a configuration (an instance of `config`), `epochs` long together."""
        ...


def get_method(method: str | Method) -> Method:
    """A built-in method by its name; an object of the user's own is returned as it is."""
    if not isinstance(method, str):
        own: Any = method
        if isinstance(own, Method) and is_dataclass(own.config):
            return own
        raise UnknownMethodError(
            "a method object needs a name, a config dataclass and a function stages(config, *, "
            f"epochs, card); found {type(method).__name__}"
        )
    known = _registry()
    if method in known:
        return known[method]
    raise UnknownMethodError(_unknown("method", method, tuple(known)))


def method_names() -> tuple[str, ...]:
    """The names of the built-in methods."""
    return tuple(_registry())


def _registry() -> dict[str, Method]:
    # Not at the top: these modules build on this one.
    from supremix.training.method_contrastive import CONTRASTIVE
    from supremix.training.method_density import DENSITIES
    from supremix.training.method_direct import DIRECT
    from supremix.training.method_l1 import L1
    from supremix.training.method_mixup import MIXUPS
    from supremix.training.method_supremix import SUPREMIX
    from supremix.training.method_terms import TERMS

    direct = (L1(), *DIRECT, *MIXUPS, *TERMS, *DENSITIES)
    return {method.name: method for method in (SUPREMIX, *CONTRASTIVE, *direct)}


def make_config(method: Method, values: Mapping[str, Any]) -> Any:
    """An instance of the method's configuration class from a trial's parameters.

    Numbers may come as NumPy scalars and whole numbers as floats (a table's way of keeping
    them); both are taken as what the field wants.

    Raises:
        ConfigError: an unknown parameter, a missing one without default, an illegal value.
    """
    known = {f.name: f for f in fields(method.config)}
    for name in values:
        if name not in known:
            text = _unknown(f"parameter of {method.name}", name, tuple(known))
            raise ConfigError(text)
    missing = [n for n, f in known.items() if n not in values and _required(f)]
    if missing:
        raise ConfigError(f"{method.name} needs a value for {', '.join(missing)}")
    return method.config(**{n: _plain(n, v, known[n]) for n, v in values.items()})


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _plain(name: str, value: Any, field: Field[Any]) -> Any:
    if hasattr(value, "item") and not isinstance(value, torch.Tensor):
        value = value.item()
    kind = str(field.type)
    try:
        if isinstance(value, float) and kind.startswith("int") and value.is_integer():
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and kind.startswith("float"):
            return float(value)
    except OverflowError as error:
        raise ConfigError(f"{name}={value!r} is out of range") from error
    _check_type(name, value, kind)
    return value


def _check_type(name: str, value: Any, kind: str) -> None:
    expected = {"int": int, "float": float, "bool": bool, "str": str}.get(kind.split(" ")[0])
    if expected is None or (value is None and "None" in kind):
        return
    # A bool is an int to Python, and a batch of True images is none.
    if isinstance(value, expected) and isinstance(value, bool) == (expected is bool):
        return
    raise ConfigError(f"{name} must be of type {kind}, found {value!r}")


def _unknown(kind: str, name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown {kind}: {name!r}; known are {', '.join(known)}{hint}"
