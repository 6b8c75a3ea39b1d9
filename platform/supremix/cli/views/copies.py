"""The sentence about images that occur under several patients."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape


def show_copies(text: str, console: Console) -> None:
    """Show the sentence of `Store.describe_copies`, with what to do."""
    console.print(
        f"[bold yellow]{escape(text)}[/]: if that is one patient, give the images one group, or "
        "splits will share them; --keep-copies-together keeps them in one split",
        soft_wrap=True,
        highlight=False,
    )
