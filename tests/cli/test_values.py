from __future__ import annotations

import pytest

from supremix.cli.parsing.values import (
    format_value,
    parse_assignment,
)
from supremix.progress.words import format_duration
from supremix.search.request.values import parse_duration, parse_shape


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("1h", 3600), ("90s", 90), ("90", 90), ("1h30m", 5400), ("0.5h", 1800)],
)
def test_a_time_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0m", "-5m", "5 apples", "30m1h"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 30m, 1h, 1h30m or 90s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (42.4, "0:42"), (59.6, "1:00"), (3723, "1:02:03")]
)
def test_a_time_is_written_as_a_clock_does(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_an_assignment_is_a_name_and_a_value() -> None:
    assert parse_assignment("pixel_size=0.14") == ("pixel_size", "0.14")
    assert parse_assignment(" sex = not known ") == ("sex", "not known")


@pytest.mark.parametrize("text", ["pixel_size", "=0.14", "pixel_size= "])
def test_a_broken_assignment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_assignment(text)


@pytest.mark.parametrize(("text", "shape"), [("128,192", (128, 192)), ("48x56x48", (48, 56, 48))])
def test_a_shape_is_whole_numbers(text: str, shape: tuple[int, ...]) -> None:
    assert parse_shape(text) == shape


@pytest.mark.parametrize("text", ["", "48", "4,8,4,8", "48,-1", "48,0", "a,b"])
def test_a_broken_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write two or three whole numbers"):
        parse_shape(text)


def test_settings_are_written_briefly() -> None:
    assert [format_value(value) for value in (0.123456, 16, True, "probe")] == [
        "0.1235",
        "16",
        "True",
        "probe",
    ]
