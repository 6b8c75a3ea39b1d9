"""The page of options, `docs/options.md`, written from their declaration.

python -m supremix.cli.parsing.options_page docs/options.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supremix.search.request.commands import COMMAND_OPTIONS
from supremix.search.request.declaration import OPTIONS
from supremix.search.request.option import COMMANDS, GROUPS, REQUIRED, Option, with_flags

_INTRODUCTION = """# Options

All options of the commands that take a request. `supremix COMMAND --help` shows the same, in the
same words. In Python they are keyword arguments, named as in the second column: those of `search`
of `supremix.Search`, `Comparison` and `MultiDatasetSearch`, those of the other commands of
`Benchmark`, `plan` and `joint`. What takes several datasets or methods calls them `datasets`,
`sources`, `methods`, and `joint` takes `shapes` by dataset and hyperparameters as `config`. A run
folder keeps the options in `spec.json` under their names in Python, which are also those in a file
with a request. Illegal values are refused before anything starts. [running.md](running.md) explains
how options work together.

This page is written from the declaration of the options:
`python -m supremix.cli.parsing.options_page docs/options.md`.
"""
_HEAD = """| option | Python | default | meaning | commands |
| --- | --- | --- | --- | --- |
"""


def options_page(options: Sequence[Option] = (*OPTIONS, *COMMAND_OPTIONS)) -> str:
    """The page as Markdown, with a table for each group."""
    tables = [_table(group, options) for group in GROUPS]
    return "\n".join([_INTRODUCTION, *tables])


def _table(group: str, options: Sequence[Option]) -> str:
    rows = [_row(one, options) for one in options if one.group == group]
    return f"## {group}\n\n{_HEAD}{''.join(rows)}"


def _row(one: Option, options: Sequence[Option]) -> str:
    flag = f"{one.on_command_line} {one.metavar or ''}".strip()
    if one.written == "switch":
        flag = f"{flag}`, `--no-{flag.removeprefix('--')}"
    commands = ", ".join(command for command in COMMANDS if command in one.commands)
    cells = (f"`{flag}`", f"`{one.name}`", _default(one.default), _meaning(one, options), commands)
    return f"| {' | '.join(cells)} |\n"


def _meaning(one: Option, options: Sequence[Option]) -> str:
    """The help, and what of it is different in some commands."""
    texts = [one.text]
    others: dict[str, list[str]] = {}
    for command in one.changes:
        there = one.at(command)
        if there.text != one.text:
            others.setdefault(there.text, []).append(f"`{command}`")
        if there.default != one.default and there.default is not None:
            texts.append(f"In `{command}` the default is {_default(there.default)}.")
    texts += [f"In {' and '.join(commands)}: {text}" for text, commands in others.items()]
    return with_flags(" ".join(texts), options)


def _default(value: Any) -> str:
    if value is REQUIRED:
        return "required"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"`{value}`" if value not in (None, "") else ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(options_page(), encoding="utf-8")
