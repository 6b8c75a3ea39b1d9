"""A search space: parameters by name, some of which exist only under a condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from supremix_spaces import checks, merging
from supremix_spaces.errors import NotInSpaceError
from supremix_spaces.parameters import serialization as files
from supremix_spaces.parameters.parameters import Choice, Fixed, Float, Parameter, Trial
from supremix_spaces.parameters.values import Value, member


@dataclass(frozen=True, slots=True)
class Space:
    """An immutable search space that checks itself.

    Args:
        parameters: The parameters by name, in the order in which they are drawn. A condition may
            refer to an earlier choice (or fixed value) only, so that there can be no cycle.

    Raises:
        SpaceError: when a name is not an identifier or a condition cannot hold.
    """

    parameters: Mapping[str, Parameter]

    def __post_init__(self) -> None:
        parameters = dict(self.parameters)
        for position, name in enumerate(parameters):
            checks.check_type(name, parameters[name])
            checks.check_condition(name, parameters, tuple(parameters)[:position])
        object.__setattr__(self, "parameters", MappingProxyType(parameters))

    def __reduce__(self) -> tuple[type[Space], tuple[dict[str, Parameter]]]:
        return Space, (dict(self.parameters),)  # a mapping proxy cannot be pickled

    def __getitem__(self, name: str) -> Parameter:
        self._check_known([name])
        return self.parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __contains__(self, name: object) -> bool:
        return name in self.parameters

    def __len__(self) -> int:
        return len(self.parameters)

    def __str__(self) -> str:
        width = max(map(len, self.parameters), default=0)
        return "\n".join(f"{n:{width}}  {_line(p)}" for n, p in self.parameters.items())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all parameters, fixed ones included."""
        return tuple(self.parameters)

    @property
    def searched(self) -> tuple[str, ...]:
        """The names of the parameters that are not fixed."""
        return tuple(n for n, p in self.parameters.items() if not isinstance(p, Fixed))

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """Draw a point with an Optuna trial.

        Args:
            trial: An `optuna.Trial`, or anything with its three `suggest_` methods.

        Returns:
            A value for each parameter whose condition holds, fixed ones included.
        """
        return self._walk(lambda name, parameter: parameter.suggest(name, trial))

    def defaults(self) -> dict[str, Value]:
        """Return the first point of a search: each parameter's default, where it exists."""
        return self._walk(lambda _, parameter: parameter.initial)

    def completed(self, config: Mapping[str, object]) -> dict[str, Value]:
        """Return `config` with the default of every parameter that it leaves out.

        Raises:
            UnknownParameterError, NotInSpaceError: as `check` does.
        """
        self._check_known(config)

        def value(name: str, parameter: Parameter) -> Value:
            return _legal(name, parameter, config[name]) if name in config else parameter.initial

        result = self._walk(value)
        self._check_active(config, result)
        return result

    def check(self, config: Mapping[str, object]) -> dict[str, Value]:
        """Check that `config` is a point of this space.

        Args:
            config: A value for every parameter whose condition holds, and for no other.

        Returns:
            The same point in the space's order, whole numbers in a float range made floats.

        Raises:
            UnknownParameterError: for a name that the space does not have.
            NotInSpaceError: for a value outside its parameter's, a missing one, or one whose
                condition does not hold.
        """
        result = self.completed(config)
        missing = [name for name in result if name not in config]
        if missing:
            raise NotInSpaceError(
                f"The configuration lacks {', '.join(missing)}. Add them, or take the defaults "
                "with Space.completed(config)."
            )
        return result

    def check_names(self, legal: Iterable[str], *, owner: str) -> None:
        """Check that every parameter is one that `owner` (say, "method supremix") understands.

        Raises:
            UnknownParameterError: naming the legal ones and the closest match.
        """
        known = tuple(legal)
        for name in self.parameters:
            if name not in known:
                raise checks.unknown_parameter(name, known, owner)

    def merged(self, overrides: Space | Mapping[str, Parameter]) -> Space:
        """Return this space with some parameters replaced.

        A replacement without a default keeps the old one where that is still legal, and one
        without a condition keeps the old condition. A parameter whose condition can no longer
        hold is left out.

        Args:
            overrides: The new parameters; another space, or parameters by name.

        Raises:
            UnknownParameterError: for a name that this space does not have.
            SpaceError: for a parameter of another kind than the one replaced, and for one that
                has no effect because of another override.
        """
        given = dict(overrides.parameters if isinstance(overrides, Space) else overrides)
        self._check_known(given)
        return Space(merging.merge(dict(self.parameters), given))

    def to_dict(self) -> dict[str, dict[str, object]]:
        """Return the space as JSON-able data, each parameter as `{"type": ..., ...}`."""
        return {name: files.parameter_to_dict(p) for name, p in self.parameters.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Space:
        """Build a space from what `to_dict` returns, or a user wrote (see `load_parameters`).

        Raises:
            SpaceError: when an entry cannot be read or the space is not sound.
        """
        return cls(files.parameters_from_dict(data))

    def _walk(self, value_of: Callable[[str, Parameter], Value]) -> dict[str, Value]:
        config: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            parent, values = parameter.when or ("", ())
            if parameter.when is None or (parent in config and member(config[parent], values)):
                config[name] = value_of(name, parameter)
        return config

    def _check_known(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.parameters:
                raise checks.unknown_parameter(name, self.names, "this space")

    def _check_active(self, config: Mapping[str, object], active: Mapping[str, Value]) -> None:
        for name in config:
            condition = self.parameters[name].when
            if name not in active and condition is not None:
                raise NotInSpaceError(
                    f"{name} exists only {_clause(self.parameters[name])}, which is not so in "
                    f"{dict(config)}. Leave {name} out, or change {condition[0]}."
                )


def load_space(address: str) -> Space:
    """Read a whole space of the user's own from a TOML or JSON file.

    Args:
        address: Path or fsspec address of the file, in the form shown in `files.py`.

    Raises:
        SpaceError: when the file is missing, cannot be read, or the space is not sound.
    """
    return Space(files.load_parameters(address))


def _legal(name: str, parameter: Parameter, value: object) -> Value:
    if not parameter.contains(value):
        raise NotInSpaceError(f"{name} = {value!r} is not among the legal values {parameter}.")
    if isinstance(parameter, Choice):
        return next(option for option in parameter.options if member(value, [option]))
    if isinstance(parameter, Fixed):
        return parameter.value
    return float(str(value)) if isinstance(parameter, Float) else int(str(value))


def _clause(parameter: Parameter) -> str:
    if parameter.when is None:
        return ""
    name, values = parameter.when
    return f"when {name} is {' or '.join(repr(v) for v in values)}"


def _line(parameter: Parameter) -> str:
    parts = [str(parameter)]
    if not isinstance(parameter, Fixed):
        parts.append(f"default {Fixed(parameter.initial)}")
    if parameter.when is not None:
        parts.append(_clause(parameter))
    return "  ".join(parts)
