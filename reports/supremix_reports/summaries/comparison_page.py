"""A comparison on a page: its table, and in plain sentences whether there is a winner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from supremix_reports.document.markdown import duration, specification, table
from supremix_reports.tables import schema

_HEAD: Final = (
    "method", "test", "difference", "validation", "best trial", "trials", "early", "failed",
    "epochs", "time",
)  # fmt: skip


def comparison_verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return in plain sentences whether the rows show a winner, and what they cannot show.

    Args:
        rows: those of the table `comparison`.
    """
    tested = sorted(
        (row for row in rows if row[schema.TEST] is not None), key=lambda row: row[schema.TEST]
    )
    if len(tested) < 2:
        return "No winner is shown: fewer than two methods have a test error."
    best, others = tested[0][schema.METHOD], tested[1:]
    behind = [row[schema.METHOD] for row in others if _above_zero(row)]
    close = [row[schema.METHOD] for row in others if not _above_zero(row)]
    if not close:
        first = (
            f"A winner is shown: {best} has the least test error, and no other method's "
            "difference to it has an interval that reaches 0."
        )
    else:
        first = (
            f"No winner is shown: {best} has the least test error, but the interval of its "
            f"difference to {_listed(close)} reaches 0."
        )
        first += f" It is ahead of {_listed(behind)}." if behind else ""
    return f"{first} {_caution(len(others))}"


def comparison_markdown(rows: Sequence[Mapping[str, Any]], spec: Mapping[str, object]) -> str:
    """Return the comparison as Markdown.

    Args:
        rows: those of the table `comparison`.
        spec: what the methods share; its plain values are listed.
    """
    dataset, unit = (rows[0][name] for name in (schema.DATASET, schema.UNIT))
    lacking = [[row[schema.METHOD], row[schema.REASON]] for row in rows if row[schema.REASON]]
    parts = [
        f"# {', '.join(row[schema.METHOD] for row in rows)} on {dataset}",
        f"**{comparison_verdict(rows)}**",
        table(_HEAD, [_cells(row) for row in rows]),
        f"Mean absolute errors in {unit} with 95 % intervals (bootstrap over groups, the "
        "patients). *Test*: the best hyperparameters, retrained on training and validation data "
        "and measured once. *Difference*: that minus the least one, paired, so that both methods "
        "are measured on the same drawn groups. *Validation*: the best trial; it was picked by "
        "this error, which is optimistically biased. *Early*: trials that were pruned or stopped. "
        "Epochs and time are those of all trials together.",
        "The methods had the same images, split, seed, encoder and, each, the same budget. Each "
        "has a run folder of its own, named like it.",
        "## Without a result\n\n" + table(["method", "why"], lacking) if lacking else "",
        specification(spec),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cells(row: Mapping[str, Any]) -> list[object]:
    early = row[schema.PRUNED] + row[schema.STOPPED]
    return [
        row[schema.METHOD],
        interval_text(row, schema.TEST),
        interval_text(row, schema.DIFFERENCE),
        interval_text(row, schema.VAL),
        row[schema.TRIAL],
        row[schema.FINISHED] + early + row[schema.FAILED],
        early,
        row[schema.FAILED],
        row[schema.EPOCHS],
        duration(row[schema.SECONDS]),
    ]


def interval_text(row: Mapping[str, Any], name: str) -> str:
    """Return a number of a row with its interval: ``4.21 (3.9 to 4.6)``; a dash for none."""
    value, low, high = (row[key] for key in interval_columns(name))
    if value is None:
        return "–"
    return f"{value:.4g}" if low is None else f"{value:.4g} ({low:.4g} to {high:.4g})"


def interval_columns(name: str) -> tuple[str, str, str]:
    """The columns of a number and of the two ends of its interval."""
    return name, f"{name}_{schema.LOW}", f"{name}_{schema.HIGH}"


def _above_zero(row: Mapping[str, Any]) -> bool:
    low = row[schema.DIFFERENCE_LOW]
    return low is not None and low > 0


def _caution(differences: int) -> str:
    several = (
        f" There are {differences} differences, each with an interval of its own that is not "
        "widened for their number."
        if differences > 1
        else ""
    )
    return (
        "This is one seed and one split: the intervals tell what other patients would change, not "
        f"what another seed or split would.{several}"
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
