"""Words that a shell completes: names of datasets and methods, and runs, also found by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

RUNS = "runs/"
"""Folder whose runs are offered where nothing is typed yet."""


def complete_datasets(incomplete: str) -> list[str]:
    """The datasets that a list of names, separated by commas, may go on with."""
    from supremix_datasets.registry import names

    return _listed(names(), incomplete)


def complete_methods(incomplete: str) -> list[str]:
    """The methods that a list of names, separated by commas, may go on with."""
    from supremix_spaces.presets.presets import space_names

    return _listed(space_names(), incomplete)


def complete_runs(incomplete: str) -> list[str]:
    """The folders that a path may go on with; those of ``runs`` where none is typed."""
    text = incomplete or RUNS
    parent = text[: text.rfind("/") + 1]
    try:
        paths = list(Path(parent or ".").expanduser().iterdir())
    except OSError:
        return []
    shown = sorted(parent + p.name for p in paths if p.is_dir() and not p.name.startswith("."))
    return [path for path in shown if path.startswith(text)]


def find_run(text: str | None) -> str | None:
    """The address of a run: as it is written, or of that name in ``runs``, as pages name runs.

    Args:
        text: A path, an address, or the name of a run.
    """
    if text is None or "://" in text or Path(text).expanduser().exists():
        return text
    named = RUNS + text
    return named if Path(named).exists() else text


RunOrModel = Annotated[
    str,
    typer.Argument(
        metavar="RUN_OR_MODEL",
        autocompletion=complete_runs,
        callback=find_run,
        help="A run folder, or a model's folder.",
    ),
]
"""The trained model that a command takes."""


def find_runs(texts: list[str] | None) -> list[str] | None:
    """The addresses of several runs, see `find_run`."""
    return None if texts is None else [find_run(text) or text for text in texts]


def complete_from(values: Iterable[str]) -> Callable[[str], list[str]]:
    """What completes one of some values.

    Args:
        values: The values.
    """
    known = list(values)

    def complete(incomplete: str) -> list[str]:
        return [value for value in known if value.startswith(incomplete)]

    return complete


def _listed(names: Iterable[str], incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [
        f"{before}{comma}{name}" for name in names if name.startswith(last) and name not in given
    ]
