"""The result of a benchmark on a terminal: errors, gains, searches without a result, files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from supremix.cli.views.search import (
    line_table,
    print_plain,
    print_whole,
    show_files,
    show_notes,
    show_skill,
)

if TYPE_CHECKING:
    import polars as pl

    from supremix.benchmark.result import BenchmarkResult
    from supremix.cli.views.progress import Display

FILES = {
    "report/report.html": "everything on a page, with tables and plots",
    "mae.parquet": "a row a dataset, method, split and metric, with its interval",
    "gains.parquet": "a row a dataset and method: against the reference",
    "comparison.parquet": "a row a search: best trial, errors, what it took",
    "external.parquet": "a row an outside cohort, dataset and method: errors, calibration",
}


def with_report(result: BenchmarkResult, display: Display) -> None:
    """Write a benchmark's report into its folder."""
    import supremix

    display(supremix.Progress(message="writing the report"))
    supremix.report(str(result.path), out=str(result.path / "report"))


def show_benchmark(result: BenchmarkResult, console: Console) -> None:
    """Show the errors of all methods on all datasets, what they gain, and the files."""
    print_whole(console, _errors(result))
    show_notes(
        console,
        f"mean absolute errors on the test split with 95 % intervals over patients and "
        f"{result.test_seeds} seeds; best hyperparameters of a search each, retrained on training "
        "and validation data",
    )
    if result.selection:
        print_plain(console, f"\n{result.selection}")
    skills = _skills(result)
    if skills.row_count:
        console.print("\nskill")
        print_whole(console, skills)
    show_skill(console, result.mae)
    gains = _gains(result)
    if gains.row_count:
        console.print(f"\nagainst {result.reference} (gain in percent, Holm-adjusted p)")
        print_whole(console, gains)
    if result.external is not None:
        _show_external(result.external, console)
    for (dataset, method), reason in result.failures.items():
        text = f"\n{method} on {dataset} has no result: {reason}"
        console.print(Text(text), soft_wrap=True)
    runs = {dataset: f"the runs on {dataset}, one a method" for dataset in result.datasets}
    there = {name: why for name, why in FILES.items() if (result.path / name).is_file()}
    show_files(console, result.path, there | runs)


def _show_external(external: pl.DataFrame, console: Console) -> None:
    """Show the errors and the calibration on outside cohorts, and what to mind of each."""
    from supremix_reports import interval_text

    heads = {
        "test": "test",
        "mae": "cohort",
        "null_mae": "training median",
        "calibration_slope": "slope",
        "calibration_intercept": "intercept",
    }
    for (cohort,), rows in external.group_by(["cohort"], maintain_order=True):
        table = line_table("dataset", "method", *heads.values(), "against the reference")
        notes: dict[str, list[str]] = {}
        for row in rows.to_dicts():
            names = row["dataset"], row["method"]
            gain = "" if row["method"] == row["reference"] else _gain(row)
            table.add_row(*names, *(interval_text(row, name) for name in heads), gain)
            reason = [f"not measured: {row['reason']}"] if row["reason"] else []
            for text in [*(row["warnings"] or "").splitlines(), *reason]:
                notes.setdefault(text, []).append(f"{row['method']} on {row['dataset']}")
        print_plain(
            console,
            f"\non the outside cohort {cohort} ({rows['unit'][0]}); the line of the label on the "
            "prediction has slope 1 and intercept 0 if calibrated",
        )
        print_whole(console, table)
        for text, named in notes.items():
            warning = f"\nwarning: {', '.join(named)}: {text}"
            console.print(Text(warning, style="bold yellow"), soft_wrap=True)


def _errors(result: BenchmarkResult) -> Table:
    # Imported here so that `--help` need not wait for it.
    from supremix_reports import interval_text, null_rows

    rows = _tested(result, "mae")
    units = {row["dataset"]: row["unit"] for row in result.table.to_dicts()}
    tests = result.mae.filter(result.mae["split"] == "test")
    null = {d: null_rows(tests.filter(tests["dataset"] == d)) for d in result.datasets}
    names = dict.fromkeys(row["method"] for own in null.values() for row in own)
    table = line_table("dataset", "unit", *result.methods, *names)
    for dataset in result.datasets:
        cells = [_interval(rows.get((dataset, method))) for method in result.methods]
        known = {row["method"]: interval_text(row, "test") for row in null[dataset]}
        cells += [known.get(name, "–") for name in names]
        table.add_row(dataset, units.get(dataset, ""), *cells)
    return table


def _skills(result: BenchmarkResult) -> Table:
    table, rows = line_table("dataset", *result.methods), _tested(result, "skill")
    for dataset in result.datasets if rows else ():
        cells = [_interval(rows.get((dataset, method))) for method in result.methods]
        table.add_row(dataset, *cells)
    return table


def _tested(result: BenchmarkResult, metric: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of a metric on test, by dataset and method."""
    rows = result.mae.filter(result.mae["split"] == "test", result.mae["metric"] == metric)
    return {(row["dataset"], row["method"]): row for row in rows.to_dicts()}


def _gains(result: BenchmarkResult) -> Table:
    others = [method for method in result.methods if method != result.reference]
    table = line_table("dataset", *others)
    rows = {(row["dataset"], row["method"]): row for row in result.gains.to_dicts()}
    for dataset in result.datasets:
        if others:
            table.add_row(dataset, *(_gain(rows.get((dataset, method))) for method in others))
    return table


def _interval(row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "–"
    if row["low"] is None:
        return f"{row['value']:.3g}"
    return f"{row['value']:.3g} ({row['low']:.3g}–{row['high']:.3g})"


def _gain(row: dict[str, Any] | None) -> str:
    if row is None or row["gain"] is None:
        return "–" if row is None or not row["note"] else f"– ({row['note']})"
    text = f"{row['gain']:+.1f} %"
    if row["significant"] is None:
        return f"{text} ({row['note']})" if row["note"] else text
    return f"{text} (p {row['p_adjusted']:.2g}{', significant' if row['significant'] else ''})"
