"""`supremix joint`: one encoder on several datasets at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from supremix.cli.parsing.dispatch import dataset_names, request_values
from supremix.cli.parsing.signature import takes_options_of
from supremix.cli.views.progress import Display, ProgressConsole
from supremix.cli.views.search import line_table, print_whole, show_skill
from supremix.search.request.option import JOINT
from supremix.search.request.values import parse_shape

if TYPE_CHECKING:
    from supremix import JointResult


@takes_options_of(JOINT)
def joint(**given: Any) -> None:
    """Train one encoder on several datasets at once, and on each alone for comparison.

    Datasets with the same number of image dimensions share all of the encoder but its first layer,
    and that as well where they have the same number of channels. Each has a regression head of its
    own, and images are contrasted with those of the same dataset only.

    \b
    Examples:
      supremix joint --dataset ukb-t1,adni-amyloid --epochs 15
      supremix joint --dataset ukb-t1,hcp-aging --method l1 \\
          --source ukb-t1=path/to/ukb --source hcp-aging=path/to/hcp
      supremix joint --dataset ukb-t1,adni-amyloid --set lr=0.002 --set ukb-t1.window=3
    """
    import supremix

    values = request_values(given)
    datasets = dataset_names(values.pop("dataset"))
    title = f"{given['method']} on {' and '.join(datasets)}"
    with Display(ProgressConsole(), title, quiet=given["quiet"]) as display:
        result = supremix.joint(
            datasets=datasets,
            sources=_pairs(values.pop("source"), "--source"),
            shapes=_shapes(values.pop("shape")),
            config=_read_hyperparameters(values.pop("overrides")),
            progress=display,
            **values,
        )
    show_joint(result, Console())


def _read_hyperparameters(texts: Sequence[str]) -> dict[str, Any]:
    """The hyperparameters of `--set` by name; written as for a search, but each is one value."""
    from supremix.errors import SpaceError
    from supremix_spaces import Fixed, parse_overrides

    found: dict[str, Any] = {}
    for text in texts:
        name, _, _ = text.partition("=")
        owner, dot, _ = name.rpartition(".")
        try:
            parsed = parse_overrides([text.removeprefix(owner + dot)])
        except SpaceError as error:
            raise typer.BadParameter(str(error), param_hint="--set") from None
        for parameter, value in parsed.items():
            if not isinstance(value, Fixed):
                raise typer.BadParameter(
                    f"{text!r} is to be searched; a joint training takes one value: NAME=0.1.",
                    param_hint="--set",
                )
            found[f"{owner}{dot}{parameter}"] = value.value
    return found


def _pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (equals and name and value):
            raise typer.BadParameter(
                f"{text!r} does not say of which dataset; write NAME=VALUE.", param_hint=option
            )
        pairs[name.strip()] = value.strip()
    return pairs


def _shapes(texts: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    try:
        return {name: parse_shape(text) for name, text in _pairs(texts, "--shape").items()}
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shape") from None


def show_joint(result: JointResult, console: Console) -> None:
    """Show each dataset's errors, trained jointly and alone, and the run folder."""
    from supremix.joint_training.report import interval_words

    head = ("dataset", "split", "joint", "alone", "training median", "joint minus alone", "unit")
    table = line_table(*head)
    for row in result.rows:
        cells = [interval_words(one) for one in (row.joint, row.alone, row.null)]
        cells.append(interval_words(row.difference, "+"))
        table.add_row(row.dataset, row.split, *cells, row.unit)
    print_whole(console, table)
    show_skill(console, result.mae)
    console.print(Text(f"\neverything is in {result.path}"), soft_wrap=True)
