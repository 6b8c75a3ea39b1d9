"""`supremix phantom`: synthetic images in a dataset's official layout, for the user to keep."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from supremix.cli.views.progress import Display, ProgressConsole
from supremix.cli.views.search import print_plain


def phantom(
    dataset: Annotated[
        str, typer.Argument(help="Name of a dataset with phantoms; see `supremix datasets`.")
    ],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="A new or an empty folder.")],
    n: Annotated[
        int | None,
        typer.Option("--n", min=1, help="How many; by default the dataset's own number."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and number, same files.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result.")] = False,
) -> None:
    """Write phantoms, synthetic images with known labels, in a dataset's official layout.

    A search without --source generates its own and keeps them in the cache; these are for viewing,
    for trying commands, and as an example of the official folder.

    \b
    Examples:
      supremix phantom ukb-t1 --out phantoms --n 64
      supremix check ukb-t1 --source phantoms
    """
    import supremix

    with Display(ProgressConsole(), f"phantoms of {dataset}", quiet=quiet) as display:
        written = supremix.phantom(dataset, out, n=n, seed=seed, progress=display)
    print_plain(Console(), f"{written} phantoms of {dataset} in {out}")
