"""Output in any encoding: signs that a terminal lacks are replaced, nothing fails."""

from __future__ import annotations

import io
import sys

import pytest

from supremix import cli
from supremix.cli.streams import accept_any_text

SHOWN = "é × — … · █ 中 \udcff ±\n"


def written(encoding: str, text: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    accept_any_text()
    sys.stdout.write(text)
    sys.stdout.flush()
    return raw.getvalue()


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", "e x - ... , # ? ? +-\n"),
        ("latin-1", "é × - ... · # ? ? ±\n"),
        ("utf-8", "é × — … · █ 中 ? ±\n"),
    ],
)
def test_signs_that_the_encoding_lacks_are_replaced(
    encoding: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert written(encoding, SHOWN, monkeypatch) == expected.encode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_command_ends_well_in_any_encoding(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    with pytest.raises(SystemExit) as end:
        cli.main(["datasets"])
    sys.stdout.flush()
    assert end.value.code == 0
    assert b"hc18" in raw.getvalue()


def test_a_stream_that_is_none_of_the_system_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    accept_any_text()
    sys.stdout.write(SHOWN)
