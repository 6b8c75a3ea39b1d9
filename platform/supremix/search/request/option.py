"""The form in which an option of a request is declared."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Command = Literal["search", "benchmark", "plan", "joint", "prepare", "check"]

SEARCH: Final = "search"
BENCHMARK: Final = "benchmark"
PLAN: Final = "plan"
JOINT: Final = "joint"
PREPARE: Final = "prepare"
CHECK: Final = "check"
COMMANDS: tuple[Command, ...] = (SEARCH, BENCHMARK, PLAN, JOINT, PREPARE, CHECK)
"""The commands that take options of a request; `search` also compares methods and datasets."""

SEARCHES: tuple[Command, ...] = (SEARCH, BENCHMARK, PLAN)
TRAININGS: tuple[Command, ...] = (*SEARCHES, JOINT)

DATA, BUDGET, SETTINGS, EVALUATION, MODEL, TRAINING, CLUSTER, OUTPUT = GROUPS = (
    "Data",
    "Budget",
    "Search",
    "Evaluation",
    "Model",
    "Training",
    "Cluster",
    "Output",
)
"""The groups of the options, in the order in which they are listed."""

Form = Literal[
    "text", "integer", "number", "switch", "flag", "texts", "time", "count", "shape", "fractions"
]
"""What is written on the command line. A switch has a negative (``--no-…``), a flag has none;
``texts`` may be repeated."""

_FORMS: Mapping[str, Form] = {"int": "integer", "float": "number", "bool": "switch"}
_NAME = re.compile(r"`(\w+)`")

OTHER_LENGTH = {"epochs": "images_seen", "images_seen": "epochs"}
"""The two options that give the length of a trial; one wins over the other in a file."""

REQUIRED: Any = dataclasses.MISSING

OPTIONAL = {"default": None, "type": "str | None"}
"""Changes of an option that a command can do without, as it may be given a run folder instead."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a request.

    Args:
        help: Its effect in full sentences, with its unit. Options in backquotes are shown as
            the reader writes them: ``--trials`` on the command line, ``trials`` in Python.
        group: One of `GROUPS`.
        commands: The commands that take it.
        default: Its default; `REQUIRED` for none.
        choices: Legal values, where they are names.
        least: Smallest legal number.
        above: Number that a legal one is greater than.
        most: Largest legal number.
        form: How it is written on the command line; by default as its type asks for.
        metavar: Placeholder of its value in the help.
        flag: Its name on the command line; by default ``--`` and its name with hyphens.
        resumable: Whether a resumed run may be given another value.
        address: Whether it is a path or an address; a path is stored absolute, so that a run can be
            resumed from any working folder.
        changes: By command, what of all this is different there.
        name: Its name in Python and in ``spec.json``; taken from the field.
        type: Its type in Python; taken from the field.
    """

    help: str
    group: str
    commands: tuple[Command, ...] = SEARCHES
    default: Any = None
    choices: tuple[str, ...] = ()
    least: float | None = None
    above: float | None = None
    most: float | None = None
    form: Form | None = None
    metavar: str | None = None
    flag: str = ""
    resumable: bool = False
    address: bool = False
    changes: Mapping[Command, Mapping[str, Any]] = field(
        default_factory=dict[Command, Mapping[str, Any]]
    )
    name: str = ""
    type: str = "str | None"

    def at(self, command: Command) -> Option:
        """The option as the command has it."""
        return dataclasses.replace(self, **self.changes.get(command, {}))

    @property
    def written(self) -> Form:
        """Its spelling on the command line."""
        return self.form or _FORMS.get(self.type.partition(" ")[0], "text")

    @property
    def on_command_line(self) -> str:
        """Its name on the command line."""
        return self.flag or f"--{self.name.replace('_', '-')}"

    @property
    def legal(self) -> str:
        """Its legal values in words, empty where any value of its type is legal."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        bounds = (("at least", self.least), ("above", self.above), ("at most", self.most))
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)

    @property
    def text(self) -> str:
        """Its help with its legal values."""
        return f"{self.help} {self.legal[0].upper()}{self.legal[1:]}." if self.legal else self.help

    def allows(self, value: Any) -> bool:
        """Whether the value is legal; None, and an object where names are chosen from, are."""
        if value is None or (self.choices and not isinstance(value, str)):
            return True
        if self.choices:
            return value in self.choices
        bounded = not (self.least is self.above is self.most is None)
        return not bounded or (
            isinstance(value, int | float)
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
        )


def option(default: Any = None, **given: Any) -> Any:
    """A dataclass field that is an option of a request; the arguments are those of `Option`."""
    declared = Option(default=default, **given)
    return field(default=default, metadata={"option": declared})


def declared(fields_of: Any) -> Iterator[Option]:
    """The options among the fields of a dataclass, named and typed like their fields."""
    for one in dataclasses.fields(fields_of):
        if "option" in one.metadata:
            yield dataclasses.replace(one.metadata["option"], name=one.name, type=str(one.type))


def in_order(options: Sequence[Option], command: Command) -> tuple[Option, ...]:
    """Those of the options that a command takes, as it has them, group by group."""
    taken = [one.at(command) for one in options if command in one.commands]
    return tuple(sorted(taken, key=lambda one: GROUPS.index(one.group)))


def with_flags(text: str, options: Sequence[Option]) -> str:
    """The text with options in backquotes as they are written on the command line."""
    flags = {one.name: one.on_command_line for one in options}
    return _NAME.sub(lambda found: flags.get(found[1], found[0]), text)
