"""A progress in words and numbers, as terminals and notebooks show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supremix.progress.progress import Progress


def format_duration(seconds: float) -> str:
    """Write a time as a clock would.

    Args:
        seconds: Not negative.

    Returns:
        Such as `0:42`, `12:05` or `1:02:03`.
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def counts(progress: Progress) -> str:
    """The numbers of ended trials, by their end, and of running ones; elsewhere the steps done."""
    total = "" if progress.total is None else f" of {progress.total}"
    part = f"{progress.part}: " if progress.part else ""
    if not progress.about_trials:
        return part + (f"{progress.message} {progress.done}{total}" if total else progress.message)
    early = ((progress.pruned, "stopped early"), (progress.failed, "failed"))
    ends = [f"{number} {how}" for number, how in early if number]
    ended = f" ({', '.join(ends)})" if ends else ""
    return f"{part}{progress.done}{total} trials done{ended}, {progress.running} running"


def best(progress: Progress) -> str:
    """The error of the best hyperparameters so far and their trial; empty where there is none."""
    if not progress.about_trials:
        return ""
    if progress.best_error is None:
        return "no trial finished yet"
    of = "; ".join(filter(None, (progress.best_basis, f"trial {progress.best_trial}")))
    return f"best so far {progress.best_error:.4g} {progress.unit} ({of})"


def times(progress: Progress) -> str:
    """Time elapsed and time left, the latter an estimate."""
    if not progress.elapsed:
        return ""
    elapsed = f"{format_duration(progress.elapsed)} elapsed"
    left = "" if progress.left is None else f", about {format_duration(progress.left)} left"
    return elapsed + left


def share(progress: Progress) -> float:
    """The share of the work that is done, 0 to 1; by time where the time left is known."""
    if progress.left is not None and progress.about_trials:
        return progress.elapsed / (progress.elapsed + progress.left)
    return progress.done / progress.total if progress.total else 0.0
