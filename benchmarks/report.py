"""How collecting results scales: from 10,000 trials to a million, with twenty curve rows each.

    python benchmarks/report.py [--trials 10000 100000 1000000] [--per-run 1000] [--folder DIR]

Writes made-up run folders of a benchmark (10 datasets, 10 methods, 3 seeds on 60 test patients) as
the platform writes them: a thousand trials in each by default, so a thousand folders for a million.
Then, in a process of its own for each size, collects them, aggregates all trials and all curves by
dataset and method, and puts both beside the measured errors in one table, a row a dataset and
method. Apart from that, an interval of each row is reckoned anew from the predictions, and the
curves are aggregated in SQL. Memory is the most that the process ever held. Prints a Markdown
table.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
from pyarrow import parquet

from supremix_reports import SCHEMAS, Store, collect, mae_rows, seeds_interval
from supremix_reports.tables.tables import conformed

DATASETS = METHODS = 10
EPOCHS, SEEDS, PATIENTS = 20, 3, 60
KEYS = ["dataset", "method"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--per-run", type=int, default=1_000)
    parser.add_argument("--folder", help="where the runs are written; by default a temporary one")
    parser.add_argument("--only", help="measure this folder in this process; prints JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = [apart(Path(folder), trials, options.per_run) for trials in options.trials]
    print(table(rows))


def apart(folder: Path, trials: int, per_run: int) -> dict[str, float]:
    """Write runs until there are so many trials; measure them in a process of its own."""
    began = perf_counter()
    for number in range(trials // per_run):
        if not (folder / f"run-{number:05}").exists():
            write_run(folder / f"run-{number:05}", number, per_run)
    size = sum(file.stat().st_size for file in folder.rglob("*.parquet")) / 2**20
    print(f"{trials} trials written in {perf_counter() - began:.0f} s", file=sys.stderr)
    command = [sys.executable, __file__, "--only", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout, file=sys.stderr, end="")
    return {"size": trials, "MiB": size, **json.loads(done.stdout)}


def write_run(folder: Path, number: int, trials: int) -> None:
    random = np.random.default_rng(number)
    source = {
        "run": folder.name,
        "dataset": f"dataset-{number % DATASETS}",
        "method": f"method-{number // DATASETS % METHODS}",
    }
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps(source))
    (folder / "ledger.jsonl").write_text("{}\n")
    curves = made_curves(source, trials, random)
    write(folder, "curves", curves)
    write(folder, "trials", made_trials(source, curves, random))
    predictions = made_predictions(source, random)
    write(folder, "predictions", predictions)
    write(folder, "mae", pl.DataFrame(mae_rows(predictions, unit="mm", resamples=100)))
    write(folder, "measures", pl.DataFrame(schema=dict.fromkeys(SCHEMAS["measures"].names)))


def write(folder: Path, name: str, frame: pl.DataFrame) -> None:
    whole = conformed(frame.to_arrow(), SCHEMAS[name], name)
    parquet.write_table(whole, folder / f"{name}.parquet", compression="zstd")


def made_curves(source: dict[str, str], trials: int, random: np.random.Generator) -> pl.DataFrame:
    shape = (trials, EPOCHS)
    fall = np.exp(-np.arange(1, EPOCHS + 1) / 6)
    error = 5 + 3 * random.random((trials, 1)) + 9 * fall + 0.2 * random.normal(size=shape)
    numbers = {
        "error": error,
        "loss": fall + random.random(shape),
        "mae": error,
        "rmse": 1.3 * error,
        "r2": 1 - error / 20,
        "pearson": 1 - error / 30,
        "lr": np.broadcast_to(1e-3 * fall, shape),
        "seconds": 1 + random.random(shape),
    }
    return pl.DataFrame(
        {
            "trial": np.repeat(np.arange(trials), EPOCHS),
            "epoch": np.tile(np.arange(1, EPOCHS + 1), trials),
            **{name: values.ravel() for name, values in numbers.items()},
        }
    ).with_columns(stage=pl.lit("regress"), **{k: pl.lit(v) for k, v in source.items()})


def made_trials(
    source: dict[str, str], curves: pl.DataFrame, random: np.random.Generator
) -> pl.DataFrame:
    last = curves.filter(pl.col("epoch") == EPOCHS)
    configs = [
        json.dumps({"lr": float(lr), "temperature": float(t), "batch_size": 32})
        for lr, t in random.random((last.height, 2))
    ]
    return last.select("trial", "error", "mae", "rmse", "r2", "pearson", "seconds").with_columns(
        state=pl.lit("finished"),
        epochs=pl.lit(EPOCHS),
        seed=pl.lit(0),
        config=pl.Series(configs),
        unit=pl.lit("mm"),
        **{k: pl.lit(v) for k, v in source.items()},
    )


def made_predictions(source: dict[str, str], random: np.random.Generator) -> pl.DataFrame:
    patients = np.tile(np.arange(PATIENTS), SEEDS).astype(str)
    target = np.tile(60 + 10 * random.normal(size=PATIENTS), SEEDS)
    return pl.DataFrame(
        {
            "trial": 0,
            "seed": np.repeat(np.arange(SEEDS), PATIENTS),
            "split": "test",
            "id": patients,
            "group": patients,
            "target": target,
            "prediction": target + 5 * random.normal(size=len(target)),
            **source,
        }
    )


def measure(folder: str) -> dict[str, float]:
    """Collect a folder and make its table; seconds of each part, and what was held at most."""
    seconds: dict[str, float] = {}

    def timed(name: str, part: Callable[[], Any]) -> Any:
        began = perf_counter()
        result = part()
        seconds[name] = perf_counter() - began
        return result

    found = timed("collect", lambda: collect(folder))
    if found.problems:
        raise SystemExit(f"{len(found.problems)} problems, such as {found.problems[0]}")
    trials = timed("trials", lambda: of_trials(found.trials))
    curves = timed("curves", lambda: of_curves(found.curves))
    made = timed("table", lambda: of_errors(found.mae).join(trials, on=KEYS).join(curves, on=KEYS))
    together, held = sum(seconds.values()), memory()
    timed("intervals", lambda: anew(found.predictions))
    with Store(found) as store:
        timed("SQL", lambda: store.sql(QUERY))
    rows = {"runs": len(found.runs), "rows": int(made["curve_rows"].sum()), "cells": made.height}
    return {**rows, **seconds, "together": together, "peak": held, "peak of all": memory()}


def of_trials(trials: pl.LazyFrame) -> pl.DataFrame:
    error = pl.col("error")
    summary = trials.group_by(KEYS).agg(
        pl.len().alias("trials"), error.min().alias("best"), error.median().alias("median")
    )
    return summary.collect(engine="streaming")


def of_curves(curves: pl.LazyFrame) -> pl.DataFrame:
    summary = curves.group_by(KEYS).agg(
        pl.len().alias("curve_rows"),
        pl.col("seconds").sum(),
        *(pl.col("error").filter(pl.col("epoch") == e).mean().alias(f"at_{e}") for e in (1, 10)),
    )
    return summary.collect(engine="streaming")


def of_errors(mae: pl.LazyFrame) -> pl.DataFrame:
    """Mean over the runs of a dataset and method, which have an interval each."""
    own = mae.filter(pl.col("metric") == "mae", pl.col("split") == "test")
    numbers = [pl.col(name).mean() for name in ("value", "low", "high")]
    return own.group_by(KEYS).agg(*numbers, pl.len().alias("runs")).sort(KEYS).collect()


QUERY = (
    "SELECT dataset, method, count(*), sum(seconds), avg(error) FILTER (epoch = 10) FROM curves "
    "GROUP BY ALL ORDER BY ALL"
)


def anew(predictions: pl.LazyFrame) -> list[Any]:
    """The interval of the first run of each dataset and method, over patients and seeds."""
    whole = predictions.collect()
    first = whole.group_by(KEYS).agg(pl.col("run").min())
    cells = whole.join(first, on=[*KEYS, "run"], how="semi").partition_by(KEYS, maintain_order=True)
    return [
        seeds_interval(
            (cell["prediction"] - cell["target"]).to_numpy(),
            cell["group"].to_numpy(),
            cell["seed"].to_numpy(),
        )
        for cell in cells
    ]


def memory() -> float:
    """MiB that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(rows: list[dict[str, float]]) -> str:
    head = {
        "size": "trials", "rows": "curve rows", "runs": "runs", "cells": "cells",
        "MiB": "files, MiB", "collect": "collect, s", "trials": "trials, s",
        "curves": "curves, s", "table": "table, s", "together": "together, s",
        "peak": "peak, MiB", "intervals": "intervals, s", "SQL": "SQL, s",
        "peak of all": "peak of all, MiB",
    }  # fmt: skip
    lines = ["| " + " | ".join(head.values()) + " |", "|" + " ---: |" * len(head)]
    for row in rows:
        cells = [row[name] for name in head]
        lines.append("| " + " | ".join(f"{cell:,.2f}".removesuffix(".00") for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
