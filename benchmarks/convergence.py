"""The forecast of a longer training, checked on recorded trainings that were longer.

    python benchmarks/convergence.py [--curves benchmarks/curves/long/trainings.parquet]

The recording holds trainings on `hc18`, `rsna-bone-age` and OASIS-1, the validation error after
every evaluated epoch. Each is cut at a quarter, three eighths and half of its length; from what is
left `power_law_forecast` says how much the error falls until the training is twice as
long, and the recording says how much it fell. Both are of the error averaged over an eighth of the
longer training. `--record FILE…` writes the recording from JSON lines, a training each, with
dataset, method, schedule, averaging, seed, epochs and its rows of the table `curves`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from supremix_reports.statistics.learning_curves.convergence import (
    ANYTIME,
    FEWEST,
    evaluated_errors,
    forecast_verdict,
)
from supremix_reports.statistics.learning_curves.power_law import power_law_forecast

RECORDING = Path(__file__).parent / "curves" / "long" / "trainings.parquet"
TRAINING = ("dataset", "method", "schedule", "averaging", "seed", "width", "epochs", "config")
CUTS = (1 / 4, 3 / 8, 1 / 2)
LONGER = 15 / 8
"""Times the length at which the last eighth of a training twice as long has its middle."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=Path, default=RECORDING)
    parser.add_argument("--record", type=Path, nargs="+", metavar="FILE")
    options = parser.parse_args()
    if options.record:
        write_recording(options.record, options.curves)
    cases = pl.DataFrame(list(all_cases(pl.read_parquet(options.curves))))
    for by in (["dataset"], ["method"], ["schedule"], ["cut"], ["verdict"], []):
        print(markdown(summary(cases, by)), end="\n\n")


def all_cases(recording: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """A row for each anytime training and cut: the forecast and what came."""
    groups = recording.group_by(TRAINING, maintain_order=True)
    for number, (key, rows) in enumerate(groups):
        known = dict(zip(TRAINING, key, strict=True))
        errors = evaluated_errors(rows.to_dicts())
        lengths = np.array(list(errors), np.float64)
        values = np.array(list(errors.values()))
        for cut in CUTS if known["schedule"] in ANYTIME else ():
            end = cut * lengths[-1]
            seen = lengths <= end
            if seen.sum() < FEWEST:
                continue
            found = power_law_forecast(lengths[seen], values[seen], times=LONGER)
            now = (lengths > 7 / 8 * end) & (lengths <= 9 / 8 * end)
            later = (lengths > 7 / 4 * end) & (lengths <= 2 * end)
            fell = float(np.median(values[now]) - np.median(values[later]))
            percent = 100 / found.error
            yield {
                **known,
                "training": number,
                "cut": f"{cut:g}",
                "verdict": forecast_verdict(power_law_forecast(lengths[seen], values[seen])),
                "forecast": percent * found.gain,
                "fell": percent * fell,
                "width": percent * (found.high - found.low),
                "covered": found.low <= fell <= found.high,
                "above": fell > found.high,
            }


def summary(cases: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """A row a group of cases."""
    miss = pl.col("forecast") - pl.col("fell")
    measures = [
        pl.col("training").n_unique().alias("trainings"),
        pl.len().alias("cases"),
        (100 * pl.col("covered").mean()).alias("covered %"),
        (100 * pl.col("above").mean()).alias("fell more %"),
        pl.col("forecast").median().alias("forecast %"),
        pl.col("fell").median().alias("fell %"),
        pl.col("fell").min().alias("least %"),
        miss.median().alias("bias %"),
        miss.abs().median().alias("off by %"),
        pl.col("width").median().alias("width %"),
    ]
    return cases.group_by(by or pl.lit("all").alias("all")).agg(measures).sort(pl.first())


def markdown(table: pl.DataFrame) -> str:
    """The table as Markdown, numbers with one decimal."""
    rows = [[f"{x:.1f}" if isinstance(x, float) else str(x) for x in row] for row in table.rows()]
    lines = [table.columns, ["---"] * table.width, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_recording(files: list[Path], target: Path) -> None:
    """Write the last trained stage of each training in JSON lines; a repeated training once."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for line in (line for file in files for line in file.read_text().splitlines()):
        training = json.loads(line)
        config = json.dumps(training["config"], sort_keys=True)
        known = {name: training.get(name) for name in TRAINING} | {"config": config}
        stage = training["rows"][0]["stage"]
        for row in training["rows"]:
            if row["loss"] == row["loss"]:
                stage = row["stage"]
        kept = [row for row in training["rows"] if row["stage"] == stage]
        rows[json.dumps(known)] = [
            {**known, **{name: row[name] for name in ("epoch", "stage", "error", "loss")}}
            for row in kept
        ]
    target.parent.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame([row for own in rows.values() for row in own], infer_schema_length=None)
    table.cast({"error": pl.Float32, "loss": pl.Float32}).write_parquet(target, compression="zstd")


if __name__ == "__main__":
    main()
