"""Record learning curves of real training, for benchmarks/search_quality.py to search over.

    python benchmarks/record_curves.py [DATASET=TRIALS…] [--epochs 18] [--out benchmarks/curves]

Settings are drawn at random from the preset of SupReMix and trained to the end, whatever they
look like, on the phantoms of a dataset (or on `hc18`, from the folder --hc18 names). What comes
out is a table a dataset, one row a trial and epoch: trial, config (JSON), epoch, error (MAE on
validation in the dataset's unit, of the ridge probe while pretraining), seconds. A recording that
was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import optuna
import polars as pl

from supremix.models import EncoderSpec
from supremix.training import Task, TrialRun
from supremix_datasets import Store, prepare
from supremix_datasets.splits import assign
from supremix_spaces import Space, space_for

PHANTOMS = {
    "ukb-t1": 128, "hcp-aging": 128, "rsna-bone-age": 400,
    "echonet-dynamic": 96, "adni-amyloid": 128, "a4-amyloid": 128,
}  # fmt: skip
WIDTH = 8
"""First stage's channels: small, for curves by the hundred on one core."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wanted", nargs="*", default=[f"{name}=60" for name in PHANTOMS])
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--hc18", help="folder of the HC18 download")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "curves")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for item in options.wanted:
        name, _, count = item.partition("=")
        record(name, int(count or 60), options.epochs, options.out, options.hc18)


def record(name: str, count: int, epochs: int, out: Path, hc18: str | None) -> None:
    """Train `count` random configurations on a dataset one by one, and write their curves."""
    store = stored(name, hc18)
    space = space_of(store)
    draft = out / f"{name}.jsonl"
    known = draft.read_text().splitlines() if draft.exists() else []
    for number in range(len(known), count):
        config = drawn(space, number)
        rows = trained(store, config, epochs)
        with draft.open("a") as file:
            file.write(json.dumps({"trial": number, "config": config, "rows": rows}) + "\n")
        print(f"{name} {number + 1} of {count}: {rows[-1]['error']:.4g}", flush=True)
    write_table(draft, out / f"{name}.parquet")


def stored(name: str, hc18: str | None) -> Store:
    """The prepared images: phantoms, or the real ones of HC18 on a small grid."""
    if name == "hc18":
        return prepare(name, hc18, shape=(48, 72))
    return prepare(name, phantoms=PHANTOMS[name])


def space_of(store: Store) -> Space:
    """The preset of SupReMix for the dataset."""
    card = store.card
    train = int((assign(store.index, seed=0) == "train").sum())
    return space_for(
        "supremix",
        window=card.window,
        label_bin=card.label_bin,
        label_scale=card.label_scale,
        train_size=train,
    )


def drawn(space: Space, number: int) -> dict[str, Any]:
    """Settings drawn at random, the same for the same number; the first are the defaults."""
    if number == 0:
        return space.defaults()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number))
    return space.suggest(study.ask())


def trained(store: Store, config: dict[str, Any], epochs: int) -> list[dict[str, float]]:
    """The error after every epoch; a training that diverged ends early."""
    task = Task(
        store=store.path,
        method="supremix",
        encoder=EncoderSpec(name="resnet", width=WIDTH),
        epochs=epochs,
        threads=1,
    )
    run, rows = TrialRun(task, config), list[dict[str, float]]()
    while not run.done:
        row = run.advance()
        rows.append({name: row[name] for name in ("epoch", "error", "seconds")})
    return rows


def write_table(draft: Path, path: Path) -> None:
    """Turn the lines of a recording into its table."""
    rows: list[dict[str, Any]] = []
    for line in draft.read_text(encoding="utf-8").splitlines():
        trial = json.loads(line)
        config = json.dumps(trial["config"], sort_keys=True)
        rows += [{"trial": trial["trial"], "config": config, **row} for row in trial["rows"]]
    pl.DataFrame(rows).write_parquet(path, compression="zstd")
    draft.unlink()


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    main()
