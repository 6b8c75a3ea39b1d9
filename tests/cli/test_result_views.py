"""Tables of results on a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from supremix.cli.views.search import line_table, print_whole


def test_a_table_of_errors_stays_whole_on_a_narrow_terminal() -> None:
    table = line_table("method", "test")
    table.add_row("supremix", "5.036 (4.001 to 6.256)")
    shown = io.StringIO()
    print_whole(Console(width=12, file=shown), table)
    assert [" ".join(line.split()) for line in shown.getvalue().splitlines()] == [
        "method test",
        "supremix 5.036 (4.001 to 6.256)",
    ]
