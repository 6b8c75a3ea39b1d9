"""Plain text in LaTeX: nothing is a command, and no character stops pdflatex."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

MISSING: Final = "{?}"
"""Stands for a character that pdflatex has no sign for, e.g. a Chinese one."""

_ESCAPED: Final[Mapping[str, str]] = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$",
    ">": "$>$", "|": "$|$", '"': "''", "`": r"\textasciigrave{}",
    # After the end of a row these would be its arguments.
    "[": "{[}", "]": "{]}", "*": "{*}",
    "\u2212": "$-$", "\u2010": "-", "\u2011": "-", "–": "--", "—": "---", "…": r"\ldots{}",
    "’": "'", "‘": "`", "“": "``", "”": "''", "′": "$'$", "″": "$''$",
    "\u202f": r"\,", "\u00a0": "~", "•": r"\textbullet{}", "·": r"\textperiodcentered{}",
    "×": r"$\times$", "÷": r"$\div$", "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$",
    "≈": r"$\approx$", "≠": r"$\neq$", "∞": r"$\infty$", "√": r"$\surd$", "∆": r"$\Delta$",
    "→": r"$\to$", "←": r"$\leftarrow$", "↔": r"$\leftrightarrow$", "\u2044": "/",
    "°": r"\textdegree{}", "µ": r"\textmu{}", "μ": r"\textmu{}", "‰": r"\textperthousand{}",
    "§": r"\S{}", "¶": r"\P{}", "†": r"\dag{}", "‡": r"\ddag{}", "©": r"\copyright{}",
    "®": r"\textregistered{}", "£": r"\pounds{}", "€": r"\texteuro{}", "¬": r"$\neg$",
    "ς": r"$\varsigma$", "ϵ": r"$\epsilon$", "ϑ": r"$\vartheta$", "ϕ": r"$\phi$",
}  # fmt: skip
_LOWER: Final = (
    r"\alpha \beta \gamma \delta \varepsilon \zeta \eta \theta \iota \kappa \lambda \nu \xi o \pi "
    r"\rho \sigma \tau \upsilon \varphi \chi \psi \omega"
)
_UPPER: Final = (
    r"A B \Gamma \Delta E Z H \Theta I K \Lambda M N \Xi O \Pi P \Sigma T \Upsilon \Phi X "
    r"\Psi \Omega"
)
_GREEK: Final = {
    letter: f"${name}$"
    for letters, names in (
        ("αβγδεζηθικλνξοπρστυφχψω", _LOWER),
        ("ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ", _UPPER),
    )
    for letter, name in zip(letters, names.split(), strict=True)
}
_SIGNS: Final[Mapping[str, str]] = {**_ESCAPED, **_GREEK}
# Latin letters that LaTeX's own table of UTF-8 has; these few it has not.
_LATIN: Final = frozenset(map(chr, range(0xC0, 0x180))) - frozenset("ĦħĸĿŀŉŦŧſ")
_SPECIAL: Final = re.compile(f"[^ -~]|[{re.escape(''.join(c for c in _SIGNS if c < chr(128)))}]")
_RAISED: Final = {"<super>": r"\textsuperscript", "<sub>": r"\textsubscript"}


def latex_text(text: str) -> str:
    """Return plain text as LaTeX shows it: one line, and nothing in it is a command.

    Args:
        text: any. Superscripts, subscripts, Greek and Latin letters and common signs are shown; a
            letter with a mark that LaTeX lacks is shown without it, any other character as `{?}`.
    """
    line = re.sub(r"[\t\n\v\f\r ]+", " ", unicodedata.normalize("NFC", text))
    return _SPECIAL.sub(lambda found: _sign(found[0]), line)


def _sign(character: str) -> str:
    if character in _SIGNS or character in _LATIN or " " <= character <= "~":
        return _SIGNS.get(character, character)
    *kind, parts = _parts(character)
    shown = "".join(_sign(part) for part in parts if not unicodedata.combining(part))
    if kind:
        return f"{_RAISED[kind[0]]}{{{shown}}}"
    # What has no width, such as a mark of the writing direction, is not missed.
    unseen = unicodedata.category(character) in ("Cc", "Cf", "Mn")
    return shown or ("" if unseen else MISSING)


def _parts(character: str) -> list[str]:
    """The characters that one is made of, after how they are raised if they are."""
    kind, *codes = unicodedata.decomposition(character).split() or [""]
    if kind and not kind.startswith("<"):
        kind, codes = "", [kind, *codes]
    parts = "".join(chr(int(code, 16)) for code in codes)
    return [kind, parts] if kind in _RAISED else [parts]
