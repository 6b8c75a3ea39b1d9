"""Linear models against a network on the phantoms of every dataset: the table in the docs.

    python benchmarks/phantoms.py [DATASET…] [--epochs 60] [--seed 0]

All are fitted on the training split and evaluated once on the test split; what has to be chosen
(the strength of the ridge regression, the resolution it sees) is chosen on the validation split.
The network is the default one with the default hyperparameters of L1, its last epoch, no search. A
phantom that a linear model solves teaches nothing, so the last column should be well above 1.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from supremix.training import Task, TrialRun
from supremix_datasets import Store, get, names, prepare
from supremix_datasets.splits import assign

GRAINS = (1, 2, 4)
"""The linear model sees block means of so many pixels a side."""

STRENGTHS = 10.0 ** np.arange(-1, 7)
FRAMES = 16
"""Frames of a video that the linear model sees, evenly spread over all of it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [name for name in names() if get(name).phantom is not None]
    parser.add_argument("datasets", nargs="*", default=known)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| dataset | unit | images | mean | ridge | network | ridge / network | s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in options.datasets:
        began = time.perf_counter()
        store = prepare(name, phantom_seed=options.seed)
        split = assign(store.index, seed=options.seed)
        mean, ridge = linear(store, split)
        network = trained(store, options.epochs, options.seed)
        spent = time.perf_counter() - began
        print(
            f"| {name} | {store.card.unit} | {len(store)} | {mean:.3g} | {ridge:.3g} | "
            f"{network:.3g} | {ridge / network:.2f} | {spent:.0f} |",
            flush=True,
        )


def linear(store: Store, split: NDArray[np.str_]) -> tuple[float, float]:
    """MAE on the test split of the training mean, and of the best ridge regression."""
    y = store.targets
    fit, choose, test = (split == part for part in ("train", "val", "test"))
    mean = float(np.abs(y[test] - y[fit].mean()).mean())
    candidates: list[tuple[float, float]] = []
    for grain in GRAINS:
        x = pixels(store, grain)
        centre, scale = x[fit].mean(0), x[fit].std(0) + 1e-6
        x = (x - centre) / scale
        gram, cross = x @ x[fit].T, y[fit] - y[fit].mean()
        for strength in STRENGTHS:
            weights = np.linalg.solve(gram[fit] + strength * np.eye(int(fit.sum())), cross)
            error = np.abs(gram @ weights + y[fit].mean() - y)
            candidates.append((float(error[choose].mean()), float(error[test].mean())))
    return mean, min(candidates)[1]


def pixels(store: Store, grain: int) -> NDArray[np.float64]:
    """Every sample as one row: block means of its pixels, then its covariates."""
    if store.card.period is None:
        images = store.images[store.rows][:, 0].astype(np.float64)
    else:
        images = np.stack([spread(store, position) for position in range(len(store))])
    axes = range(1 if store.card.period is None else 2, images.ndim)
    for axis in axes:
        whole = images.shape[axis] // grain * grain
        images = np.take(images, range(whole), axis)
        shape = (*images.shape[:axis], whole // grain, grain, *images.shape[axis + 1 :])
        images = images.reshape(shape).mean(axis + 1)
    return np.concatenate([images.reshape(len(store), -1), store.covariates], axis=1)


def spread(store: Store, position: int) -> NDArray[np.float64]:
    """Frames of a video, evenly spread over it."""
    length = int(store.lengths[position])
    chosen = np.linspace(0, length - 1, FRAMES).round().astype(int)
    return store.images[store.rows[position] + chosen, 0].astype(np.float64)


def trained(store: Store, epochs: int, seed: int) -> float:
    """MAE on the test split of the default network, trained end to end."""
    run = TrialRun(Task(store=store.path, method="l1", epochs=epochs, seed=seed, flips=True), {})
    while not run.done:
        run.advance()
    evaluated = run.evaluate("test")
    return float(np.abs(evaluated["prediction"] - evaluated["target"]).mean())


if __name__ == "__main__":
    main()
