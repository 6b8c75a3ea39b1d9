from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from supremix_datasets import Card, CardError, Covariate, CovariateError, get, names

SEX = Covariate(name="sex", words=(("M", 0), ("F", 1), ("woman", 1)), doc="at birth")


@pytest.mark.parametrize(("text", "number"), [("M", 0), ("f", 1), (" F ", 1), ("WOMAN", 1)])
def test_a_word_has_its_number_in_any_case(text: str, number: float) -> None:
    assert SEX.number(text) == number


@pytest.mark.parametrize("text", ["7", "1", "0", "Fe", "", "nan"])
def test_what_is_none_of_the_words_is_refused_with_the_words(text: str) -> None:
    with pytest.raises(CovariateError, match=r"sex \(at birth\) must be M, F or woman, found"):
        SEX.number(text)


def test_a_number_gives_its_first_word_and_none_where_it_has_none() -> None:
    assert [SEX.word(n) for n in (0, 1, 0.5, None)] == ["M", "F", None, None]


def test_words_may_be_numerals_and_come_from_a_spreadsheet() -> None:
    coded = Covariate(name="sex", words=(("1", 1), ("2", 0)))
    assert [coded.number(text) for text in ("1", "2", "2.0")] == [1, 0, 0]
    assert [coded.word(number) for number in (1, 0)] == ["1", "2"]


def test_without_words_numbers_stay_numbers() -> None:
    size = Covariate(name="size", log=True)
    assert (size.number("0.14"), size.word(0.14), size.word(2.0)) == (0.14, "0.14", "2")
    assert size.expected == "a positive number"
    for text in ("1_5", "0,14", "wide"):
        with pytest.raises(CovariateError, match="size must be a positive number, found"):
            size.number(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"M": float("nan")}, "each word must have a finite number"),
        ({" ": 1.0}, "each word must have a finite number"),
        ({"M": 0.0, "m": 1.0}, "the same but for upper and lower case"),
    ],
)
def test_words_that_cannot_be_used_are_refused(words: dict[str, float], message: str) -> None:
    with pytest.raises(CardError, match=message):
        Covariate(name="sex", words=tuple(words.items()))


def test_a_card_keeps_its_words_in_json() -> None:
    card = replace(get("ukb-t1").card, covariates=(SEX,))
    assert Card.from_dict(json.loads(json.dumps(card.to_dict()))) == card


@pytest.mark.parametrize("name", names())
def test_each_category_of_an_official_dataset_has_words(name: str) -> None:
    known: dict[str, Any] = {c.name: c.expected for c in get(name).card.covariates}
    assert known.get("sex", "female or male") == "female or male"
    assert set(known.values()) <= {
        "female or male", "no or yes", "AV45 or PIB", "a positive number",
    }  # fmt: skip
