"""How many epochs a search spends until its best trial is within 1 % of the best known error.

    python benchmarks/search_quality.py [DATASET…] [--curves benchmarks/curves] [--seeds 20]
                                        [--worker-groups 2 8] [--within 1] [--transfer] [--tune]
                                        [--against-defaults] [--jobs 2]

The searches run on simulated worker groups over recorded learning curves of real training (made by
`record_curves.py`): a proposed configuration is answered by a forest fitted to the
recordings, with the luck of a seed as recorded, see `ForestCurves`. The best known error is the
least that the forest expects. Counted is every epoch that any worker group has trained, until a
trial has finished whose expected error is within 1 % of it. Rivals run in the same
simulator: hyperparameters at random trained to the end, TPE trained to the end, and asynchronous
successive halving (Ray's own scheduler, fed by arrival) with hyperparameters at random. What random
ones trained to the end take is also computed, from the share of all that are good enough.

--transfer: a search on one dataset after searches on the others, with and without what those found;
also how good the best hyperparameters are after 4 to 32 trainings' worth of epochs.
--tune: how the design constants of the search move the figure.
--against-defaults: the true error of what is named best, against the defaults, see `named_best`;
recordings, and ``invented:SPREAD``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import named_best
import numpy as np
from curve_forest import ForestCurves
from simulated_searches import MILESTONES, Task, Variant, model_of, run

RIVALS = {
    "random, no pruning": Variant(sampler="random", pruning="none"),
    "TPE, no pruning": Variant(pruning="none"),
    "ASHA, random": Variant(sampler="random", pruning="asha"),
    "ours": Variant(),
}

TRANSFER = {"ours, alone": Variant(), "ours, after the others": Variant(warm_start=True)}


def median(values: Sequence[float]) -> tuple[float, float, float]:
    """Median and its 95 % interval (bootstrap over seeds); infinity where most were censored."""
    sample = np.random.default_rng(0).choice(values, (4000, len(values)))
    middles = np.sort(np.quantile(sample, 0.5, axis=1, method="lower"))
    low, high = middles[int(0.025 * len(middles))], middles[int(0.975 * len(middles))]
    return float(np.quantile(values, 0.5, method="lower")), float(low), float(high)


def compare(
    names: Sequence[str], ways: Mapping[str, Variant], worker_groups: Iterable[int], options: Any
) -> list[dict[str, Any]]:
    """Every way to search on every dataset; a row each."""
    cells = [(name, count, label) for name in names for count in worker_groups for label in ways]
    others = sorted(path.stem for path in options.curves.glob("*.parquet"))
    tasks = [
        Task(
            curves=str(options.curves),
            name=name,
            variant=ways[label],
            seed=seed,
            worker_groups=count,
            others=tuple(other for other in others if other != name),
            within=1 + options.within / 100,
        )
        for name, count, label in cells
        for seed in range(options.seeds)
    ]
    # Not forked: polars' threads do not live through that, and reading a table waits for ever.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(run, tasks))
    rows: list[dict[str, Any]] = []
    for index, (name, count, label) in enumerate(cells):
        outcomes = results[index * options.seeds : (index + 1) * options.seeds]
        values = [outcome.epochs for outcome in outcomes]
        middle, low, high = median(values)
        rows.append(
            {
                "dataset": name, "groups": count, "search": label, "median": middle, "low": low,
                "high": high, "missed": int(np.isinf(values).sum()), "epochs": values,
                "gaps": [outcome.gaps for outcome in outcomes],
            }
        )  # fmt: skip
    return rows


def markdown(rows: Sequence[dict[str, Any]], reference: str) -> str:
    """The rows as a table, each beside the reference on the same dataset and worker groups."""
    base = {(r["dataset"], r["groups"]): r["median"] for r in rows if r["search"] == reference}
    lines = [
        "| dataset | groups | search | epochs, median | 95 % interval | of first's | not found |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        share = row["median"] / base.get((row["dataset"], row["groups"]), np.nan)
        beside = f"{share:.2f}" if np.isfinite(share) and share > 0 else ""
        lines.append(
            f"| {row['dataset']} | {row['groups']} | {row['search']} | {row['median']:.0f} | "
            f"{row['low']:.0f} to {row['high']:.0f} | {beside} | {row['missed'] or ''} |"
        )
    return "\n".join(lines)


def milestones(rows: Sequence[dict[str, Any]], reference: str) -> str:
    """How good the best trial is on the way, and the difference to the reference's, by seed."""
    base = {(r["dataset"], r["groups"]): r["gaps"] for r in rows if r["search"] == reference}
    lines = [
        f"| dataset | worker groups | search | {' | '.join(f'after {n}' for n in MILESTONES)} |",
        f"| --- | --- | --- | {' | '.join('---' for _ in MILESTONES)} |",
    ]
    for row in rows:
        gaps = np.array(row["gaps"])
        apart = gaps - np.array(base[row["dataset"], row["groups"]])
        cells: list[str] = []
        for own, beside in zip(gaps.T, apart.T, strict=True):
            known = beside[np.isfinite(beside)]
            error = 1.96 * known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
            text = f"{np.nanmean(own):.1%}"
            cells.append(text if row["search"] == reference else
                         f"{text} ({100 * known.mean():+.1f} ± {100 * error:.1f})")  # fmt: skip
        lines.append(
            f"| {row['dataset']} | {row['groups']} | {row['search']} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def chance(names: Sequence[str], options: Any) -> str:
    """What random trials trained to the end take, from how many of them are good enough."""
    lines = []
    for name in names:
        model, space = model_of(str(options.curves), name)
        if not isinstance(model, ForestCurves):
            continue
        share, total = model.share(1 + options.within / 100), len(model.rows(space.defaults(), 0))
        # The median of the first success among independent draws.
        median = total * np.log(0.5) / np.log1p(-share) if share else np.inf
        lines.append(
            f"{name}: hyperparameters explain {model.explained:.0%} of the last error; {share:.3%} "
            f"of all are within {options.within:g} %, so random ones take {median:.0f} epochs "
            "(median)"
        )
    return "\n".join(lines)


def fifth(count: int) -> int:
    """The best fifth of the trials are TPE's good ones."""
    return max(1, count // 5)


def root(count: int) -> int:
    """The square root of their number, halved."""
    return max(1, int(np.sqrt(count) / 2))


def variants() -> dict[str, Variant]:
    """Ours, with one constant changed at a time."""
    ours = Variant()
    found = {"ours": ours, "random, no pruning": RIVALS["random, no pruning"]}
    found |= {f"reduction {r:g}": replace(ours, reduction=r) for r in (2.0, 4.0, 6.0)}
    found |= {f"grace {g}": replace(ours, grace=g) for g in (1, 4, 6, 9, 12)}
    found |= {f"slack {s:g}": replace(ours, slack=s) for s in (0.0, 0.5, 2.5)}
    found |= {f"lead {n}": replace(ours, lead=n) for n in (2, 4, 8)}
    found |= {f"startup {n}": replace(ours, startup=n) for n in (4, 20, 30)}
    found |= {
        f"history {c}": replace(ours, caps=c) for c in ((16, 32, 8), (64, 128, 16), (999, 999, 16))
    }
    ways: dict[str, dict[str, Any]] = {
        "multivariate": {"multivariate": True, "group": True},
        "no liar": {"constant_liar": False},
        "candidates 100": {"n_ei_candidates": 100},
        "gamma 0.2": {"gamma": fifth},
        "gamma sqrt": {"gamma": root},
    }
    found |= {f"lead {n}, grace 9": replace(ours, lead=n, grace=9) for n in (2, 8)}
    found["multivariate, no pruning"] = replace(ours, pruning="none", tpe=ways["multivariate"])
    return found | RIVALS | {name: replace(ours, tpe=way) for name, way in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--curves", type=Path, default=Path(__file__).parent / "curves")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--worker-groups", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--within", type=float, default=1.0, help="per cent above the best error")
    parser.add_argument("--transfer", action="store_true")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--only", nargs="+", help="labels of --tune to try")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file for the figures of every seed")
    parser.add_argument("--against-defaults", action="store_true")
    options = parser.parse_args()
    names = options.names or sorted(path.stem for path in options.curves.glob("*.parquet"))
    if options.against_defaults:
        print(named_best.table(str(options.curves), names, options.seeds))
        return
    ways = TRANSFER if options.transfer else variants() if options.tune else RIVALS
    if options.only:
        ways = {label: way for label, way in ways.items() if label in options.only}
    print(chance(names, options), flush=True)
    rows = compare(names, ways, options.worker_groups, options)
    print(markdown(rows, next(iter(TRANSFER if options.transfer else RIVALS))))
    if options.transfer:
        print("\nabove the least error, after so many trainings' worth of epochs (means)\n")
        print(milestones(rows, next(iter(TRANSFER))))
    if options.out:
        options.out.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
