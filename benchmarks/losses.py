"""Time and memory of every loss, and of two of them beside the direct way.

Run it from an environment with supremix installed:

    python benchmarks/losses.py            # everything, a few minutes
    python benchmarks/losses.py --quick    # M up to 512, without the direct Rank-N-Contrast

Each figure is one forward and one backward pass from raw embeddings, drawing what is random
included; times are medians. Each loss runs in a process of its own, with the sizes in ascending
order, so that the peak of the resident memory is that of the last size; what is shown is how far
it rises above the process before its first batch. The exponent is that of the last two sizes:
2 means that twice the batch costs four times as much. Small figures are mostly overhead, and
their exponents low. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from loss import Row, _peak_kib, make_batch, medians, supcon
from torch import Tensor

import supremix.losses as ours

SIZES = (128, 512, 2048)
QUICK = (128, 512)
# Rank-N-Contrast as it is written down looks at this many triples at once: 256 MiB.
BLOCK = 1 << 26

Loss = Callable[[Tensor, Tensor], Tensor]


def _conr(embeddings: Tensor, labels: Tensor) -> Tensor:
    predictions = labels + 5 * torch.randn(len(labels))
    return ours.ConRLoss()(embeddings, labels, predictions)


def _soft(embeddings: Tensor, labels: Tensor) -> Tensor:
    grid = ours.SoftLabels(low=0.0, high=float(embeddings.shape[1]))
    return grid.loss(embeddings, labels).mean()


def _smoothing() -> Loss:
    module = ours.FeatureSmoothing(128, low=0.0, high=100.0)

    def step(embeddings: Tensor, labels: Tensor) -> Tensor:
        moved = module(embeddings, labels)
        module.collect(embeddings, labels)
        return moved.sum()

    module.collect(*make_batch(512))
    module.finish()
    return step


def _mixing(embeddings: Tensor, labels: Tensor) -> Tensor:
    partners = ours.c_mixup_partners(labels, bandwidth=5.0)
    return ours.mix(embeddings, partners, ours.draw_mixing(len(labels), alpha=2.0)).sum()


def contestants() -> dict[str, Loss]:
    """Every loss by its name."""
    return {
        "supcon, plain": supcon,
        "supcon": ours.SupConLoss(),
        "simclr": ours.SimCLRLoss(),
        "supremix": ours.SupReMixLoss(),
        "supremix, gradient": ours.SupReMixLoss(stop_gradient=False),
        "supremix, no mix_neg": ours.SupReMixLoss(mix_neg=False),
        "supremix, no mix_pos": ours.SupReMixLoss(mix_pos=False),
        "supremix, 256 pairs": ours.SupReMixLoss(max_pairs=256),
        "supremix, normalised": ours.SupReMixLoss(normalize_mixtures=True),
        "rnc": ours.RnCLoss(),
        "yaware": ours.YAwareLoss(),
        "expw": ours.ExpLoss(),
        "adacon": ours.AdaConLoss(),
        "ranksim": ours.RankSimLoss(),
        "ordinal entropy": ours.OrdinalEntropyLoss(),
        "conr": _conr,
        "balanced mse": lambda e, y: ours.BalancedMSELoss()(e[:, 0], y),
        "soft labels": _soft,
        "huber": lambda e, y: ours.HuberLoss()(e[:, 0], y).mean(),
        "c-mixup": _mixing,
        "fds": _smoothing(),
        "lds": lambda e, y: (ours.DensityWeights()(y) * ours.l1(e[:, 0], y)).mean(),
    }


def run(loss: Loss, embeddings: Tensor, labels: Tensor) -> None:
    """One forward and backward pass."""
    embeddings.grad = None
    value = loss(embeddings, labels)
    # The plain way has gone backward already.
    if isinstance(value, Tensor):
        value.backward()


def measure(name: str, sizes: tuple[int, ...]) -> None:
    """Print seconds and MiB of one loss at each size, as JSON."""
    loss = contestants()[name]
    run(loss, *make_batch(8))
    before = _peak_kib()
    found: list[tuple[float, float]] = []
    for size in sizes:
        work = partial(run, loss, *make_batch(size))
        start = time.perf_counter()
        work()
        rounds = max(3, min(30, int(1.0 / (time.perf_counter() - start))))
        found.append((medians([(work, 1)], rounds)[0], (_peak_kib() - before) / 1024))
    print(json.dumps(found))


def table(sizes: tuple[int, ...], threads: int) -> None:
    """Print time and memory of every loss at each size, and how they grow."""
    head = "".join(f"{f'M = {size}':>22}" for size in sizes)
    print(f"{'':22}{head}{'exponent':>20}\n{'':22}" + f"{'ms':>12}{'MiB':>10}" * len(sizes), end="")
    print(f"{'time':>12}{'memory':>8}")
    for name in contestants():
        command = [sys.executable, __file__, "--only-run", name, "--threads", str(threads)]
        if sizes == QUICK:
            command.append("--quick")
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        found: list[tuple[float, float]] = json.loads(answer.stdout)
        cells = "".join(f"{seconds * 1e3:12.2f}{mib:10.1f}" for seconds, mib in found)
        step = math.log(sizes[-1] / sizes[-2])
        (early, small), (late, large) = found[-2:]
        rise = f"{math.log(late / early) / step:12.2f}"
        # Under a few MiB the pages of the allocator are what is measured.
        rise += f"{math.log(large / small) / step:8.2f}" if small >= 2 else f"{'-':>8}"
        print(f"{name:22}{cells}{rise}", flush=True)


def direct_rnc(embeddings: Tensor, labels: Tensor) -> float:
    """Rank-N-Contrast by looking at every triple, blocks of anchors at a time."""
    count = len(labels)
    gaps = (labels.unsqueeze(1) - labels).abs()
    own = torch.eye(count, dtype=torch.bool)
    step, total = max(1, BLOCK // count**2), 0.0
    for first in range(0, count, step):
        rows = slice(first, min(first + step, count))
        level = -torch.cdist(embeddings[rows], embeddings) / 2.0
        level = level.masked_fill(own[rows], -torch.inf)
        nearer = gaps[rows].unsqueeze(1) < gaps[rows].unsqueeze(2)
        denominator = level.unsqueeze(1).masked_fill(nearer, -torch.inf).logsumexp(2)
        terms = (denominator - level).masked_fill(own[rows], 0)
        part = terms.sum() / (count * (count - 1))
        part.backward()
        total += float(part.detach())
    return total


def against_direct_rnc(size: int, goal: float) -> Row:
    """Compare Rank-N-Contrast with the direct way, after checking that both compute the same."""
    embeddings, labels = make_batch(size)
    start = time.perf_counter()
    value = direct_rnc(embeddings, labels)
    slow, wanted = time.perf_counter() - start, embeddings.grad
    work = partial(run, ours.RnCLoss(), embeddings, labels)
    fast = medians([(work, 5)], 3)[0]
    found = ours.RnCLoss()(embeddings, labels)
    torch.testing.assert_close(float(found.detach()), value, rtol=1e-5, atol=0)
    torch.testing.assert_close(embeddings.grad, wanted, rtol=1e-3, atol=1e-9)
    figures = f"{slow * 1e3:9.1f} ms  {fast * 1e3:7.2f} ms  {slow / fast:8.1f} x faster"
    goals = f"at least {goal:.0f} x faster"
    return Row(f"rnc, direct, M = {size}", figures, goals, slow / fast >= goal)


def against_supcon(size: int, goal: float, rounds: int) -> Row:
    """Compare SupReMix with SupCon as it is commonly written."""
    embeddings, labels = make_batch(size)
    mixed = partial(run, ours.SupReMixLoss(), embeddings, labels)
    plain, slow = medians([(lambda: supcon(embeddings, labels), 5), (mixed, 5)], rounds)
    figures = f"{plain * 1e3:9.2f} ms  {slow * 1e3:7.2f} ms  {slow / plain:8.2f} x slower"
    goals = f"at most {goal:.0f} x slower"
    return Row(f"supremix, SupCon, M = {size}", figures, goals, slow <= goal * plain)


def main() -> int:
    """Print the tables; the exit code is 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description="Time and memory of every loss.")
    parser.add_argument("--quick", action="store_true", help="M up to 512, no direct rnc")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    parser.add_argument("--only-run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = QUICK if options.quick else SIZES
    if options.only_run:
        measure(options.only_run, sizes)
        return 0
    print(
        f"forward + backward, D = 128, two views, integer labels 0-99; torch {torch.__version__}, "
        f"{options.threads} threads on {os.cpu_count()} cores ({platform.machine()}), load "
        f"{os.getloadavg()[0]:.1f}\n"
    )
    table(sizes, options.threads)
    rows = [against_supcon(512, 8, rounds=5 if options.quick else 20)]
    if not options.quick:
        rows.append(against_direct_rnc(1024, 50))
    print(f"\n{'beside':26} {'other':>12}  {'ours':>10}  {'ratio':>17}   goal")
    for row in rows:
        print(f"{row.what:26} {row.figures:44}  {row.goal}: {'met' if row.met else 'MISSED'}")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
