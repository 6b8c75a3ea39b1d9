"""Errors of L1 under each schedule of the learning rate, on real images and phantoms.

    python benchmarks/schedules.py FILE [--hc18 FOLDER] [--rsna FOLDER] [--table NAME=FOLDER]
        [--phantoms ukb-t1] [--schedules …] [--seeds 3] [--epochs 120] [--lr 4e-3]

Every training is a line of FILE (JSON) with its curve; what stands in it is not trained again, so a
recording that was stopped goes on. At the end the table of docs/schedules.md is printed: the mean
over seeds of the error on validation after half and two thirds of the epochs and at the end, and of
the error on test. `benchmarks/convergence.py --record FILE` takes the file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from supremix.models import EncoderSpec
from supremix.training import Task, TrialRun
from supremix.training.steps.schedule import SCHEDULES
from supremix_datasets import Store, prepare

SHAPES = {"hc18": (48, 72), "rsna-bone-age": (64, 64)}
WIDTH = 8
"""Channels after the first layer: small, for trainings by the dozen on one core."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--hc18")
    parser.add_argument("--rsna")
    parser.add_argument("--table", metavar="NAME=FOLDER", help="volumes of your own, at 8 mm")
    parser.add_argument("--phantoms", metavar="DATASET")
    parser.add_argument("--schedules", default=",".join(SCHEDULES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--lr", type=float, default=4e-3)
    options = parser.parse_args()
    for name, store in stores(options):
        for seed in range(options.seeds):
            for schedule in options.schedules.split(","):
                training = {"dataset": name, "method": "l1", "schedule": schedule, "seed": seed}
                training |= {"epochs": options.epochs, "width": WIDTH, "lr": options.lr}
                if training not in [known(line) for line in lines(options.file)]:
                    trained(store, training, options.file)
    print(table(lines(options.file)))


def stores(options: argparse.Namespace) -> Iterator[tuple[str, Store]]:
    """The prepared images of the datasets that are asked for."""
    if options.hc18:
        yield "hc18", prepare("hc18", options.hc18, shape=SHAPES["hc18"])
    if options.rsna:
        name = "rsna-bone-age"
        yield name, prepare(name, options.rsna, shape=SHAPES[name])
    if options.table:
        name, _, folder = options.table.partition("=")
        full = prepare("table", folder)
        shape = tuple(size // 2 for size in full.card.shape)
        yield name, prepare("table", folder, shape=shape)
    if options.phantoms:
        yield options.phantoms, prepare(options.phantoms)


def trained(store: Store, training: dict[str, Any], file: Path) -> None:
    """Train once and append the curve and the error on test to the file."""
    task = Task(
        store=store.path,
        method="l1",
        encoder=EncoderSpec(width=WIDTH),
        epochs=training["epochs"],
        seed=training["seed"],
        threads=1,
    )
    run, rows = TrialRun(task, {"schedule": training["schedule"], "lr": training["lr"]}), []
    while not run.done:
        row = run.advance()
        rows.append({k: row[k] for k in ("epoch", "stage", "error", "loss", "seconds")})
    found = run.evaluate("test")
    test = float(np.abs(found["prediction"] - found["target"]).mean())
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps({**training, "test": test, "rows": rows}) + "\n")
    print(training["dataset"], training["schedule"], training["seed"], f"{test:.4g}", flush=True)


def lines(file: Path) -> list[dict[str, Any]]:
    """The trainings in a file."""
    return (
        [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        if file.exists()
        else []
    )


def known(line: dict[str, Any]) -> dict[str, Any]:
    """What a training was asked to be."""
    return {name: value for name, value in line.items() if name not in ("test", "rows")}


def table(trainings: list[dict[str, Any]]) -> str:
    """The table of docs/schedules.md."""
    rows: list[dict[str, Any]] = []
    for one in trainings:
        errors = [row["error"] for row in one["rows"]]
        rows.append(
            {
                "dataset": one["dataset"],
                "schedule": one["schedule"],
                "half": errors[len(errors) // 2 - 1],
                "two thirds": errors[2 * len(errors) // 3 - 1],
                "end": errors[-1],
                "test": one["test"],
            }
        )
    means = (
        pl.DataFrame(rows)
        .group_by("dataset", "schedule", maintain_order=True)
        .agg(pl.exclude("dataset", "schedule").mean(), pl.len().alias("seeds"))
        .sort("dataset", "end")
    )
    head = "| " + " | ".join(means.columns) + " |\n" + "| --- " * len(means.columns) + "|"
    body = [
        "| " + " | ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row) + " |"
        for row in means.rows()
    ]
    return "\n".join([head, *body])


if __name__ == "__main__":
    main()
