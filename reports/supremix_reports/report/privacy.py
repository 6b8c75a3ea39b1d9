"""What of a run may be shown to others: names instead of places, and never a secret.

A report goes to reviewers and into supplements. Paths and addresses are cut down to their last
name, unless asked for. Never shown are the address of a webhook, which works as a password, and
a user's name, password or key within an address.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

SECRET: Final = "(not shown)"
_SECRETS: Final = ("webhook",)
# Of no meaning to somebody else, on another machine.
_PRIVATE: Final = (
    *("address", "cache", "stores", "wheel", "tensorboard", "mlflow", "wandb", "journal"),
)
_USER = re.compile(
    r"(?<=://)(?:[^/\s'\"]*@|[^/\s'\":@]*:(?!\d+(?:[/\s]|$))[^\s'\"@]*@)"  # a key may have a slash
)
_SIGNED = re.compile(
    r"([?&][^=&\s'\"]*(?:sig|token|key|secret|pass|credential)[^=&\s'\"]*=)"
    r"[^&#\s'\"]*[^&#\s'\".,;:)]",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"(['\"])((?:(?!\1).)*/(?:(?!\1).)*)\1")
_START = r"[A-Za-z][A-Za-z0-9+.-]*://|~?/|\.{1,2}/|[A-Za-z]:\\"
_HOME = r"(?:/home/|/Users/|[A-Za-z]:\\Users\\)[^\s/\\'\"`,;]+(?: [^\s/\\'\"`,;]+){1,3}[/\\]"
_INSIDE, _LAST = r"[^\s'\"`,;()<>]", r"[^\s'\"`,;:.()<>]"
# A word with a slash after a blank belongs to the path before it: a folder has a blank in its name.
_GOES_ON = r" (?![~.])(?=[^\s'\"`,;:()<>/\\]+[/\\])"
_PLACE = re.compile(
    rf"(?<![\w./-])(?:{_HOME}|{_START})(?:{_INSIDE}*{_LAST}{_GOES_ON})*{_INSIDE}*{_LAST}"
)


def without_secrets(text: str) -> str:
    """Return a text without the user names, passwords and keys in its addresses."""
    return _SIGNED.sub(r"\g<1>…", _USER.sub("", text))


def last_name(place: str) -> str:
    """Return the last name of a path or address, without what a URL carries behind a "?".

    Args:
        place: e.g. ``/home/me/data/hc18`` or ``s3://bucket/hc18?versionId=1``.
    """
    place = without_secrets(place)
    bare = re.split(r"[?#]", place, maxsplit=1)[0] if "://" in place else place
    return re.split(r"[/\\]", bare.rstrip("/\\"))[-1] or "…"


def is_place(text: str) -> bool:
    """Whether a word is a path or an address: it has a slash, or is one of Windows' paths."""
    return "/" in text or re.match(r"[A-Za-z]:\\", text) is not None


def without_places(text: str) -> str:
    """Return a sentence with each absolute path and address in it cut down to its last name."""
    text = without_secrets(text)
    quoted = _QUOTED.sub(lambda found: f"{found[1]}{last_name(found[2])}{found[1]}", text)
    return _PLACE.sub(lambda found: last_name(found[0]), quoted)


def shown_command(command: str, *, paths: bool = False) -> str | None:
    """Return a command line as others may read it.

    Args:
        command: as it was given; its first word may be a path of the program's own file.
        paths: whether paths and addresses stay whole, but for passwords in them.

    Returns:
        The command, beginning with `supremix`; None where another program's is recorded, as of a
        run started from Python. What follows an option that is a secret is left out, and what
        means nothing on another machine too, unless `paths`.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # a quote in a name: the line was joined from words that had none
        words = command.split()
    if not words or not _is_ours(words[0]):
        return None
    return " ".join(map(_quoted, ["supremix", *_kept(words[1:], paths=paths)]))


def _is_ours(program: str) -> bool:
    """Whether it is the command `supremix`, or what `python -m` makes of it."""
    *folders, name = re.split(r"[/\\]", program)
    module = name == "__main__.py" and "supremix" in folders[-2:]
    return module or name in ("supremix", "supremix.exe")


def _quoted(word: str) -> str:
    """A word as a shell takes it; the sign for what was left out stays as it is."""
    plain = word.replace("…", "x")
    return word if shlex.quote(plain) == plain else shlex.quote(word)


def _kept(words: list[str], *, paths: bool) -> list[str]:
    left_out = _SECRETS if paths else (*_SECRETS, *_PRIVATE)
    kept: list[str] = []
    skip = False
    for word in words:
        name, equals, _ = word.partition("=")
        if name.removeprefix("--") in left_out and name.startswith("--"):
            skip = not equals
            continue
        if not skip:
            kept.append(without_secrets(word) if paths else _reduced(word))
        skip = False
    return kept


def _reduced(text: str) -> str:
    """Cut each place in a value down: one of several after commas, one that is given a name."""
    # A comma before a blank is that of a folder, such as "Smith, John".
    parts = re.split(r",(?!\s)", without_secrets(text))
    return ",".join(_named(part) for part in parts)


def _named(part: str) -> str:
    if not is_place(part):
        return part
    name, equals, value = part.partition("=")
    if equals and not is_place(name):
        return f"{name}={_named(value)}"
    return last_name(part)


def shown_spec(spec: Mapping[str, Any], *, paths: bool = False) -> dict[str, Any]:
    """Return a specification as others may read it.

    Args:
        spec: of a run, as in its `spec.json`.
        paths: whether paths and addresses stay whole, but for passwords in them, and what means
            nothing elsewhere stays.

    Returns:
        The settings that are given (not None), in their order. Of specifications within it the
        same is left out.
    """
    return _shown({k: v for k, v in spec.items() if v is not None}, paths=paths)


def _shown(value: Any, *, paths: bool) -> Any:
    if isinstance(value, str):
        return without_secrets(value) if paths else _reduced(value)
    if isinstance(value, Mapping):
        hidden = () if paths else _PRIVATE
        return {
            k: SECRET if k in _SECRETS and v is not None else _shown(v, paths=paths)
            for k, v in cast("Mapping[str, Any]", value).items()
            if k not in hidden
        }
    if isinstance(value, (list, tuple)):
        return [_shown(v, paths=paths) for v in cast("Sequence[Any]", value)]
    return value
