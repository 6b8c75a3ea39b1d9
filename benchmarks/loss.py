"""Time and memory of the SupReMix loss beside a dense SupReMix and a plain SupCon.

Run it from an environment with supremix installed:

    python benchmarks/loss.py            # everything, a few minutes
    python benchmarks/loss.py --quick    # fewer rounds, without the dense way at M = 256

Each round runs every contestant of a row once or more, one after the other, so that whatever else
the machine does hits all of them alike; the table shows medians. Each run is forward and backward
from raw embeddings, drawing lam included. The dense way builds every mixture as a vector in one
``(M, M, M, D)`` tensor, as the published implementation does. At M = 256 that alone is 8.6 GB, so
there it goes by blocks of anchors of at most 1 GiB each, which costs it no extra arithmetic.

Run it on an idle machine. With two threads every parallel operation waits for the slower one; where
other processes hold the cores, that wait (milliseconds) outgrows the few milliseconds measured
here. ``--threads 1`` tells the two apart.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from supremix.losses import draw_beta, supremix_loss

WIDTH = 128
LABELS = 100
WINDOW = 5.0
TEMPERATURE = 0.3
DENSE_BLOCK = 1 << 28  # elements of the mixture tensor: 1 GiB


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a figure, what it has to be, and whether it is."""

    what: str
    figures: str
    goal: str
    met: bool


def make_batch(size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Raw embeddings of ``size`` views, two an image, with integer labels 0-99."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, LABELS, (size // 2,), generator=generator).float().repeat(2)
    embeddings = torch.randn(size, WIDTH, generator=generator)
    return embeddings.requires_grad_(), labels


def ours(embeddings: Tensor, labels: Tensor, lam: Tensor | None = None) -> float:
    """One forward and backward pass of supremix.losses."""
    loss = supremix_loss(embeddings, labels, temperature=TEMPERATURE, window=WINDOW, lam=lam)
    loss.backward()
    return float(loss.detach())


def dense(embeddings: Tensor, labels: Tensor, lam: Tensor | None = None) -> float:
    """One forward and backward pass with all mixtures as vectors, gradient stopped at them."""
    size = len(labels)
    if lam is None:
        lam = torch.distributions.Beta(2.0, 8.0).sample((size, size))
    z = functional.normalize(embeddings, dim=1)
    step = max(1, DENSE_BLOCK // (size * size * WIDTH))
    leaf = z.detach().requires_grad_()
    losses, count = 0.0, size  # with two views every anchor has a positive
    for first in range(0, size, step):
        rows = torch.arange(first, min(first + step, size))
        part = _dense_anchors(leaf, labels, lam[rows], rows) / count
        part.backward()
        losses += float(part.detach())
    z.backward(leaf.grad)
    return losses


def _dense_anchors(z: Tensor, labels: Tensor, lam: Tensor, rows: Tensor) -> Tensor:
    fixed, own = z.detach(), labels[rows]
    anchors = z[rows]
    gaps = own.unsqueeze(1) - labels  # (A, M)
    same = gaps == 0
    other = ~(torch.arange(len(labels)) == rows.unsqueeze(1))
    lam3 = lam.unsqueeze(2)
    negatives = lam3 * fixed[rows].unsqueeze(1) + (1 - lam3) * fixed  # (A, M, D)
    low, high = labels.view(1, -1, 1), labels.view(1, 1, -1)
    middle = own.view(-1, 1, 1)
    inside = (low < middle) & (middle < high) & (middle - low < WINDOW) & (high - middle < WINDOW)
    share = torch.where(inside, (high - middle) / (high - low), 0).unsqueeze(3)
    positives = share * fixed.view(1, -1, 1, WIDTH) + (1 - share) * fixed.view(1, 1, -1, WIDTH)
    real = anchors @ z.T / TEMPERATURE
    hard = torch.einsum("ad,akd->ak", anchors, negatives) / TEMPERATURE
    soft = torch.einsum("ad,ajkd->ajk", anchors, positives) / TEMPERATURE
    del positives
    nothing = -math.inf
    terms = (
        (real + gaps.abs().log1p()).masked_fill(~other, nothing),
        (hard + ((1 - lam) * gaps.abs()).log1p()).masked_fill(same, nothing),
        soft.masked_fill(~inside, nothing).flatten(1),
    )
    denominator = torch.cat(terms, dim=1).logsumexp(1)
    chosen = same & other
    pull = real.masked_fill(~chosen, 0).sum(1) + soft.masked_fill(~inside, 0).sum((1, 2))
    return (denominator - pull / (chosen.sum(1) + inside.sum((1, 2)))).sum()


def supcon(embeddings: Tensor, labels: Tensor) -> float:
    """One forward and backward pass of SupCon as it is commonly written, on autograd."""
    z = functional.normalize(embeddings, dim=1)
    logits = z @ z.T / TEMPERATURE
    logits = logits - logits.amax(1, keepdim=True).detach()
    other = 1 - torch.eye(len(labels))
    positives = (labels.unsqueeze(1) == labels).float() * other
    log_share = logits - (logits.exp() * other).sum(1, keepdim=True).log()
    loss = -((positives * log_share).sum(1) / positives.sum(1)).mean()
    loss.backward()
    return float(loss.detach())


def medians(
    contestants: Sequence[tuple[Callable[[], object], int]], rounds: int
) -> tuple[float, ...]:
    """Median seconds of each contestant, run as often as it says in every round."""
    times: list[list[float]] = [[] for _ in contestants]
    for run, _ in contestants:
        run()
    for _ in range(rounds):
        for seconds, (run, repeats) in zip(times, contestants, strict=True):
            for _ in range(repeats):
                start = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - start)
    return tuple(statistics.median(seconds) for seconds in times)


def against_dense(size: int, goal: float, rounds: int) -> Row:
    """Compare with the dense way, after checking that both compute the same."""
    embeddings, labels = make_batch(size)
    lam = draw_beta(size, size, alpha=2.0, beta=8.0)
    _check_same(embeddings, labels, lam)
    slow, fast = medians(
        [(lambda: dense(embeddings, labels), 1), (lambda: ours(embeddings, labels), 15)], rounds
    )
    figures = f"{slow * 1e3:9.1f} ms  {fast * 1e3:7.2f} ms  {slow / fast:8.1f} x faster"
    return Row(f"dense, M = {size}", figures, f"at least {goal:.0f} x faster", slow / fast >= goal)


def _check_same(embeddings: Tensor, labels: Tensor, lam: Tensor) -> None:
    found: list[tuple[float, Tensor]] = []
    for run in (dense, ours):
        embeddings.grad = None
        value = run(embeddings, labels, lam)
        gradient = embeddings.grad
        if gradient is None:
            raise RuntimeError("Expected a gradient from both ways, found none.")
        found.append((value, gradient))
    (theirs, wanted), (value, gradient) = found
    torch.testing.assert_close(value, theirs, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def against_supcon(size: int, goal: float, rounds: int) -> Row:
    """Compare with a plain SupCon, which has no mixture at all."""
    embeddings, labels = make_batch(size)
    plain, mixed = medians(
        [(lambda: supcon(embeddings, labels), 5), (lambda: ours(embeddings, labels), 5)], rounds
    )
    figures = f"{plain * 1e3:9.2f} ms  {mixed * 1e3:7.2f} ms  {mixed / plain:8.2f} x slower"
    return Row(
        f"SupCon, M = {size}", figures, f"at most {goal:.0f} x slower", mixed <= goal * plain
    )


def peak_memory(size: int, goal_gib: float) -> Row:
    """Run two steps in a process of their own and read its peak resident memory."""
    command = [sys.executable, __file__, "--only-run", str(size)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    before, peak = (float(word) / 2**20 for word in answer.stdout.split())
    figures = f"{peak:9.2f} GiB, of which {before:.2f} GiB torch itself"
    return Row(f"memory, M = {size}", figures, f"at most {goal_gib:g} GiB", peak <= goal_gib)


def only_run(size: int) -> None:
    """Print the peak memory in KiB before and after two steps of the loss."""
    ours(*make_batch(8))
    before = _peak_kib()
    for _ in range(2):
        ours(*make_batch(size))
    print(before, _peak_kib())


def _peak_kib() -> int:
    # Not getrusage: its peak is inherited from the process that started this one.
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("Expected VmHWM in /proc/self/status, found none: run this on Linux.")


def show(rows: Sequence[Row]) -> None:
    """Print the table, with what the reader has to know about the machine."""
    load = os.getloadavg()[0]
    print(
        f"SupReMix loss, forward + backward, D = {WIDTH}, window {WINDOW:g} on integer labels "
        f"0-{LABELS - 1}\ntorch {torch.__version__}, {torch.get_num_threads()} threads on "
        f"{os.cpu_count()} cores ({platform.machine()}), load of the machine {load:.1f}\n"
    )
    print(f"{'beside':18} {'other':>12}  {'ours':>10}  {'ratio':>17}   goal")
    for row in rows:
        print(f"{row.what:18} {row.figures:44}  {row.goal}: {'met' if row.met else 'MISSED'}")


def main() -> int:
    """Run the comparisons; the exit code is 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description="Time and memory of the SupReMix loss.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no dense M = 256")
    parser.add_argument("--threads", type=int, default=2, help="torch threads (default 2)")
    parser.add_argument("--only-run", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only_run:
        only_run(options.only_run)
        return 0
    rows = [against_dense(128, 40, rounds=1 if options.quick else 5)]
    if not options.quick:
        rows.append(against_dense(256, 150, rounds=3))
    rows.append(against_supcon(512, 12, rounds=5 if options.quick else 20))
    rows.append(peak_memory(2048, 2.0))
    show(rows)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
