"""Numbers and categories that go into the model with the image."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import cast

from supremix_datasets.errors import CardError, CovariateError
from supremix_datasets.sources.numbers import to_number


@dataclass(frozen=True, kw_only=True, slots=True)
class Covariate:
    """One number, or one category, that goes into the model with the image.

    Args:
        name: Name of the covariate, a Python identifier: it is the keyword of ``predict``.
        log: True where the model sees its natural logarithm (the value then must be positive).
        per_pixel: True where it is the size of one pixel of the *file*. Images are resampled to the
            card's grid, so such a value is multiplied by the number of file pixels per grid pixel:
            the model always sees the size of one pixel of what it looks at.
        default: Value where none is known; None makes the covariate compulsory.
        doc: Meaning and unit in one line.
        words: Words of a category, each with the number that the model sees; empty for a number.
            Words with the same number are one category, named by the first of them. Upper and
            lower case are one word.

    Raises:
        CardError: the name is no identifier, or the default or a word cannot be used.
    """

    name: str
    log: bool = False
    per_pixel: bool = False
    default: float | None = None
    doc: str = ""
    words: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        words = tuple((str(word), float(number)) for word, number in self.words)
        object.__setattr__(self, "words", words)
        if not self.name.isidentifier():
            raise CardError(f"a covariate's name must be a Python identifier, found {self.name!r}")
        if self.default is not None and not math.isfinite(self.default):
            raise CardError(f"covariate {self.name}: the default must be finite, or None")
        if self.log and self.default is not None and self.default <= 0:
            raise CardError(f"covariate {self.name}: log=True needs a positive default")
        if not all(_plain(word) and self.allows(number) for word, number in words):
            raise CardError(
                f"covariate {self.name}: each word must have {self._number}, found {dict(words)}"
            )
        if len({_plain(word) for word, _ in words}) < len(words):
            raise CardError(
                f"covariate {self.name}: two of the words {[w for w, _ in words]} are the same but "
                "for upper and lower case"
            )

    @property
    def _number(self) -> str:
        return "a positive number" if self.log else "a finite number"

    @property
    def expected(self) -> str:
        """Values that it takes, in words: ``F or M``, ``a finite number``."""
        if not self.words:
            return self._number
        *others, last = [word for word, _ in self.words]
        return f"{', '.join(others)} or {last}" if others else last

    def allows(self, number: float) -> bool:
        """True where the number can be used: finite, and positive under a logarithm."""
        return math.isfinite(number) and (number > 0 or not self.log)

    def number(self, text: str) -> float:
        """The number that a word stands for, or that a text writes where there are no words.

        Raises:
            CovariateError: it is none of the words, or no number.
        """
        try:
            if not self.words:
                return cast("float", to_number(text.strip()))
            known = {_plain(word): number for word, number in self.words}
            return known[_plain(text)]
        except (KeyError, ValueError):
            raise self.refusal(text) from None

    def refusal(self, value: object) -> CovariateError:
        """The error that says what is expected in the place of a value."""
        doc = f" ({self.doc})" if self.doc else ""
        return CovariateError(f"{self.name}{doc} must be {self.expected}, found {value!r}")

    def word(self, number: float | None) -> str | None:
        """The word that a number stands for; the number itself where there are no words.

        Args:
            number: Raw value as a reader gives it; None where it is not known.

        Returns:
            None where the number is not known, or stands for none of the words.
        """
        if number is None:
            return None
        if not self.words:
            return f"{number:.12g}"
        return next((word for word, its in self.words if its == number), None)


def _plain(word: str) -> str:
    """A word without what does not make it another: case, Unicode form, ``.0`` of a spreadsheet."""
    return unicodedata.normalize("NFC", word).strip().casefold().removesuffix(".0")


SEX = Covariate(name="sex", default=0.5, words=(("female", 0.0), ("male", 1.0)))
"""Sex, as the official datasets have it; halfway between the words where it is not known."""
