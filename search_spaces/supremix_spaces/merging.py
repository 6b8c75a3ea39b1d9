"""Putting overrides over a space: which replacements fit, and what falls away with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from supremix_spaces.errors import SpaceError, hint
from supremix_spaces.parameters.parameters import Choice, Fixed, Float, Int, Parameter
from supremix_spaces.parameters.values import AUTO, Condition, Value, kind, member


def merge(
    base: Mapping[str, Parameter], overrides: Mapping[str, Parameter]
) -> dict[str, Parameter]:
    """Return `base` with `overrides` applied, in the order of `base`.

    Raises:
        SpaceError: when a replacement does not fit what it replaces, or has no effect.
    """
    result: dict[str, Parameter] = {}
    for name, old in base.items():
        new = _fitted(name, old, overrides[name]) if name in overrides else old
        condition = _still_possible(new.when, base, result)
        if new.when is None or condition is not None:
            result[name] = replace(new, when=condition)
        elif name in overrides:
            raise SpaceError(
                f"{name} = {new} has no effect: it exists only where {new.when[0]} is "
                f"{' or '.join(repr(v) for v in new.when[1])}. Drop one of the two."
            )
    return result


def _still_possible(
    condition: Condition | None, base: Mapping[str, Parameter], result: Mapping[str, Parameter]
) -> Condition | None:
    """Keep of a condition the values that its parameter can still have; None when none is left.

    A value that the parameter could never have stays, for the space to complain about.
    """
    if condition is None:
        return None
    name, values = condition
    if name not in result:
        return None if name in base else condition
    old, new = base[name], result[name]
    kept = tuple(v for v in values if new.contains(v) or not old.contains(v))
    return (name, kept) if kept else None


def _fitted(name: str, old: Parameter, new: Parameter) -> Parameter:
    """Return `new` as a replacement of `old`: of its kind, with its default and condition."""
    _check_kind(name, old, new)
    if new.when is None:
        new = replace(new, when=old.when)
    if "float" in _kinds(old) and "int" not in _kinds(old):
        new = _as_floats(new)
    if not isinstance(new, Fixed) and new.default is AUTO and new.contains(old.initial):
        # `contains` has just established that the old default is of the new one's type.
        new = replace(new, default=old.initial)  # pyright: ignore[reportArgumentType]
    return new


def _kinds(parameter: Parameter) -> set[str]:
    if isinstance(parameter, Float):
        return {"float"}
    if isinstance(parameter, Int):
        return {"int"}
    return {kind(v) for v in _values(parameter)}


def _values(parameter: Parameter) -> tuple[Value, ...]:
    if isinstance(parameter, Choice):
        return parameter.options
    return (parameter.value,) if isinstance(parameter, Fixed) else ()


def _check_kind(name: str, old: Parameter, new: Parameter) -> None:
    legal = _kinds(old)
    if legal == {"none"}:  # nothing is known about what stands in for None
        return
    if "float" in legal:
        legal = legal | {"int"}
    words = [v for v in _values(old) if kind(v) == "str"]
    for value in _values(new) if isinstance(new, Choice | Fixed) else (new.low,):
        # The words of a choice are all there are; of a fixed word the others are not known.
        strange = kind(value) == "str" and isinstance(old, Choice) and not member(value, words)
        if kind(value) not in legal or strange:
            close = hint(str(value), map(str, words))
            raise SpaceError(
                f"{name} = {new} does not fit: {value!r} stands where {old} stood.{close} "
                f"Give a value, a list or a range like {old}."
            )


def _as_floats(new: Parameter) -> Parameter:
    """Read whole numbers as floats, where floats are searched."""
    if isinstance(new, Int):
        default = AUTO if new.default is AUTO else float(new.initial)
        return Float(float(new.low), float(new.high), log=new.log, default=default, when=new.when)
    if isinstance(new, Choice):
        options = tuple(_float(v) for v in new.options)
        default = AUTO if new.default is AUTO else _float(new.initial)
        return replace(new, options=options, default=default)
    return Fixed(_float(new.value), when=new.when) if isinstance(new, Fixed) else new


def _float(value: Value) -> Value:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
