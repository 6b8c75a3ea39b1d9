"""Standard output and error that take any text, whatever the terminal's encoding is."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

ERRORS = "supremix.plain"
"""Name of the error handler that writes the signs an encoding lacks with signs that it has."""

_PLAIN = {
    **dict.fromkeys("–—−", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    **dict.fromkeys("━─", "-"),
    **dict.fromkeys("▁▂▃▄▅▆▇█", "#"),
    "·": ",", "…": "...", "×": "x", "±": "+-", "→": "->", "▏": "|",
}  # fmt: skip


def accept_any_text() -> None:
    """Have standard output and error replace what their encoding lacks, instead of failing."""
    codecs.register_error(ERRORS, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(_plain(sign) for sign in found), error.end


def _plain(sign: str) -> str:
    """A sign in ASCII: a likeness, the letter without its accent, or a question mark."""
    letters = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return _PLAIN.get(sign) or letters or "?"
