"""The kinds of parameters: a range of floats, a range of integers, a choice, a fixed value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Protocol

from supremix_spaces.errors import SpaceError
from supremix_spaces.parameters.values import (
    AUTO,
    Auto,
    Condition,
    Value,
    is_number,
    is_value,
    kind,
    member,
    same,
    text,
)


class Trial(Protocol):
    """What a space needs of an Optuna trial; any object with these methods will do."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Draw a float."""
        ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Draw an integer."""
        ...

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """Draw one of the choices."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conditional:
    when: Condition | None = None

    def _check_condition(self) -> None:
        if self.when is None:
            return
        name, values = self.when
        object.__setattr__(self, "when", (name, tuple(values)))
        if not values or not all(is_value(v) for v in values):
            raise SpaceError(
                "A condition is (name of a choice, (value, ...)) with at least one value; "
                f"got {self.when!r}."
            )


@dataclass(frozen=True, slots=True)
class Float(_Conditional):
    """A range of floats, both ends included.

    Args:
        low: Smallest value, finite; above 0 when `log`.
        high: Largest value, finite, above `low`.
        log: Search on a logarithmic scale.
        default: The first value tried; left out, the middle of the range (on its scale).
        when: Condition under which the parameter exists at all.

    Raises:
        SpaceError: when the above does not hold.
    """

    low: float
    high: float
    _: KW_ONLY
    log: bool = False
    default: float | Auto = AUTO

    def __post_init__(self) -> None:
        _check_range(self)
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        _check_default(self)
        if self.default is not AUTO:
            object.__setattr__(self, "default", float(self.default))
        self._check_condition()

    @property
    def initial(self) -> float:
        """The first value tried."""
        return _middle(self) if isinstance(self.default, Auto) else self.default

    def contains(self, value: object) -> bool:
        """Whether `value` is a number within the range."""
        return _within(self, value)

    def suggest(self, name: str, trial: Trial) -> float:
        """Draw a value with an Optuna trial."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def __str__(self) -> str:
        # A float range with whole ends needs the point: "2..20" reads as integers.
        low, high = (
            f"{text(v)}.0" if text(v).lstrip("-").isdigit() else text(v)
            for v in (self.low, self.high)
        )
        return f"{low}..{high}" + (":log" if self.log else "")


@dataclass(frozen=True, slots=True)
class Int(_Conditional):
    """A range of integers, both ends included.

    Args:
        low: Smallest value; at least 1 when `log`.
        high: Largest value, above `low`, a whole number of steps away from it.
        log: Search on a logarithmic scale (with step 1 only).
        step: Distance of neighbouring values, at least 1.
        default: The first value tried; left out, the middle of the range (on its scale).
        when: Condition under which the parameter exists at all.

    Raises:
        SpaceError: when the above does not hold.
    """

    low: int
    high: int
    _: KW_ONLY
    log: bool = False
    step: int = 1
    default: int | Auto = AUTO

    def __post_init__(self) -> None:
        if not all(kind(v) == "int" for v in (self.low, self.high, self.step)):
            raise SpaceError(f"An integer range needs integer ends and step; got {self!r}.")
        _check_range(self)
        if self.step < 1 or (self.high - self.low) % self.step or (self.log and self.step != 1):
            raise SpaceError(
                "The step of an integer range has to be at least 1, to divide high - low, and to "
                f"be 1 on a logarithmic scale; got step={self.step} for {self.low}..{self.high}."
            )
        _check_default(self)
        self._check_condition()

    @property
    def initial(self) -> int:
        """The first value tried."""
        if isinstance(self.default, int):
            return self.default
        return self.low + round((_middle(self) - self.low) / self.step) * self.step

    def contains(self, value: object) -> bool:
        """Whether `value` is an integer of the range."""
        return (
            isinstance(value, int) and _within(self, value) and (value - self.low) % self.step == 0
        )

    def suggest(self, name: str, trial: Trial) -> int:
        """Draw a value with an Optuna trial."""
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def __str__(self) -> str:
        step = f":step={self.step}" if self.step != 1 else ""
        return f"{self.low}..{self.high}" + (":log" if self.log else "") + step


@dataclass(frozen=True, slots=True)
class Choice(_Conditional):
    """One of a few values without an order.

    Args:
        options: The values, each once; at least one.
        default: The first value tried; left out, the first option.
        when: Condition under which the parameter exists at all.

    Raises:
        SpaceError: when the above does not hold.
    """

    options: tuple[Value, ...]
    _: KW_ONLY
    default: Value | Auto = AUTO

    def __post_init__(self) -> None:
        if kind(self.options) == "str":
            raise SpaceError(f"A choice needs a list of options; got {self.options!r}.")
        options = tuple(self.options)
        object.__setattr__(self, "options", options)
        if not options or not all(is_value(v) for v in options):
            raise SpaceError(
                "A choice needs at least one option, each a number, a string, a bool or None; "
                f"got {options!r}."
            )
        if any(member(option, options[:i]) for i, option in enumerate(options)):
            raise SpaceError(f"Each option of a choice may be given once; got {options!r}.")
        _check_default(self)
        self._check_condition()

    @property
    def initial(self) -> Value:
        """The first value tried."""
        return self.options[0] if isinstance(self.default, Auto) else self.default

    def contains(self, value: object) -> bool:
        """Whether `value` is one of the options."""
        return member(value, self.options)

    def suggest(self, name: str, trial: Trial) -> Value:
        """Draw a value with an Optuna trial."""
        return trial.suggest_categorical(name, self.options)

    def __str__(self) -> str:
        return ",".join(text(v) for v in self.options)


@dataclass(frozen=True, slots=True)
class Fixed(_Conditional):
    """A value that is part of the configuration and not searched.

    Args:
        value: A finite number, a string, a bool or None.
        when: Condition under which the parameter exists at all.

    Raises:
        SpaceError: when `value` is something else.
    """

    value: Value

    def __post_init__(self) -> None:
        if not is_value(self.value):
            raise SpaceError(
                "A fixed value has to be a finite number, a string, a bool or None; "
                f"got {self.value!r}."
            )
        self._check_condition()

    @property
    def initial(self) -> Value:
        """The value."""
        return self.value

    def contains(self, value: object) -> bool:
        """Whether `value` is the fixed value."""
        return same(value, self.value)

    def suggest(self, name: str, trial: Trial) -> Value:
        """Return the value; the trial is not asked."""
        return self.value

    def __str__(self) -> str:
        return text(self.value)


Parameter = Float | Int | Choice | Fixed


def _check_range(p: Float | Int) -> None:
    if not (is_number(p.low) and is_number(p.high) and p.low < p.high):
        raise SpaceError(
            f"A range needs finite numbers with low < high; got low={p.low!r}, high={p.high!r}. "
            "Use a fixed value where there is nothing to search."
        )
    if kind(p.log) != "bool":
        raise SpaceError(f"log has to be true or false; got {p.log!r}.")
    if p.log and p.low <= 0:
        raise SpaceError(
            f"A logarithmic range needs low > 0; got low={p.low!r}. Raise low, or drop log."
        )


def _check_default(p: Float | Int | Choice) -> None:
    if p.default is not AUTO and not p.contains(p.default):
        raise SpaceError(f"The default {p.default!r} is not among the legal values {p}.")


def _middle(p: Float | Int) -> float:
    # The clip is for rounding: exp(log(x)) need not be x.
    middle = math.sqrt(p.low) * math.sqrt(p.high) if p.log else p.low + (p.high - p.low) / 2
    return min(max(middle, p.low), p.high)


def _within(p: Float | Int, value: object) -> bool:
    return isinstance(value, int | float) and is_number(value) and p.low <= value <= p.high
