"""What of a run may be shown to others: names instead of places, and never a secret.

A report goes to reviewers and into supplements. Paths and addresses are cut down to their last
name, unless asked for; the address of a webhook, which works as a password, is never shown.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any, Final, cast

SECRET: Final = "(not shown)"
_SECRETS: Final = ("webhook",)
# Of no meaning to somebody else, on another machine.
_PRIVATE: Final = ("address", "cache", "stores", "wheel", "tensorboard", "mlflow", "journal")
_QUOTED = re.compile(r"(['\"])((?:(?!\1).)*/(?:(?!\1).)*)\1")
_PLACE = re.compile(
    r"(?<![\w./-])(?:[A-Za-z][A-Za-z0-9+.-]*://|~?/|\.{1,2}/|[A-Za-z]:\\)[^\s'\"`,;()<>]*[^\s'\"`,;:.()<>]"
)


def last_name(place: str) -> str:
    """Return the last name of a path or address, without what a URL carries behind a "?".

    Args:
        place: e.g. ``/home/me/data/hc18`` or ``s3://bucket/hc18?versionId=1``.
    """
    bare = re.split(r"[?#]", place, maxsplit=1)[0] if "://" in place else place
    return re.split(r"[/\\]", bare.rstrip("/\\"))[-1] or "…"


def is_place(text: str) -> bool:
    """Whether a word is a path or an address: it has a slash, or is one of Windows' paths."""
    return "/" in text or re.match(r"[A-Za-z]:\\", text) is not None


def without_places(text: str) -> str:
    """Return a sentence with each absolute path and address in it cut down to its last name."""
    quoted = _QUOTED.sub(lambda found: f"{found[1]}{last_name(found[2])}{found[1]}", text)
    return _PLACE.sub(lambda found: last_name(found[0]), quoted)


def shown_command(command: str, *, paths: bool = False) -> str:
    """Return a command line as others may read it.

    Args:
        command: as it was given; its first word may be a path of the program's own file.
        paths: whether paths and addresses stay whole.

    Returns:
        The command, beginning with `supremix`. What follows an option that is a secret is left
        out, and what means nothing on another machine too, unless `paths`.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # a quote in a name: the line was joined from words that had none
        words = command.split()
    kept = ["supremix", *_kept(words[1:], paths=paths)]
    return " ".join(word if "…" in word or word == SECRET else shlex.quote(word) for word in kept)


def _kept(words: list[str], *, paths: bool) -> list[str]:
    left_out = _SECRETS if paths else (*_SECRETS, *_PRIVATE)
    kept: list[str] = []
    skip = False
    for word in words:
        name, equals, value = word.partition("=")
        if name.removeprefix("--") in left_out and name.startswith("--"):
            skip = not equals
            continue
        if not skip:
            kept.append(word if paths else _reduced(word, name, value, equals))
        skip = False
    return kept


def _reduced(word: str, name: str, value: str, equals: str) -> str:
    if not is_place(word):
        return word
    if equals and name.startswith("--"):
        return f"{name}={last_name(value)}"
    return last_name(word)


def shown_spec(spec: Mapping[str, Any], *, paths: bool = False) -> dict[str, Any]:
    """Return a specification as others may read it.

    Args:
        spec: of a run, as in its `spec.json`.
        paths: whether paths and addresses stay whole, and what means nothing elsewhere stays.

    Returns:
        The settings that are given (not None), in their order.
    """
    hidden = () if paths else _PRIVATE
    kept = {k: v for k, v in spec.items() if v is not None and k not in hidden}
    return {
        name: SECRET if name in _SECRETS else value if paths else _without(value)
        for name, value in kept.items()
    }


def _without(value: Any) -> Any:
    if isinstance(value, str):
        return last_name(value) if is_place(value) else value
    if isinstance(value, Mapping):
        return {k: _without(v) for k, v in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [_without(v) for v in cast("list[Any]", value)]
    return value
