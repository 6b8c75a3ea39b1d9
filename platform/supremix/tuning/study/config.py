"""What a study goes by, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from supremix.tuning.ledger.ledger import Event
from supremix.tuning.ledger.records import Role
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.lookback import SLACK, Windows
from supremix.tuning.study.pruning import Rungs


class LedgerLike(Protocol):
    """Where a study writes down what happens."""

    @property
    def events(self) -> list[Event]:
        """What happened so far."""
        ...

    def append(self, kind: str, **content: Any) -> Event:
        """Write an event."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A trial to run: its number, its settings, and the epochs it has behind it.

    Args:
        number: Of the trial.
        config: Its settings.
        epoch: Epochs it has behind it.
        role: Whether it tries settings or confirms those of an earlier trial.
        replicate_of: That trial's number.
        seed: Of its training; None for the search's.
    """

    number: int
    config: dict[str, Any]
    epoch: int = 0
    role: Role = "search"
    replicate_of: int | None = None
    seed: int | None = None


class Wait:
    """What `Study.ask` answers when a running trial has to tell something first."""


WAIT: Final = Wait()
NEW_SEEDS: Final = 10**9
"""The first of the numbers that seeds of confirming trials are drawn by; no trial has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """What decides a study's course beside its space and seed.

    Args:
        budget: When to propose no more.
        rungs: Where trials are compared.
        parallel: Trials that run at once; of a resumed run, those of its first session.
        finalists: Best settings that are trained anew at the end, at least 1.
        seeds: New seeds each of them is trained with; 0 for none, and the least error is best.
        gpus: GPUs a trial occupies, for a budget of GPU hours.
        slack: Of the windows, see `Windows`.
        lead: Of the halving, see `Halving`; None for `parallel`: with less, trials train on in
            vain while they wait for others that run beside them.
    """

    budget: Budget
    rungs: Rungs
    parallel: int = 1
    finalists: int = 1
    seeds: int = 0
    gpus: float = 0.0
    slack: float = SLACK
    lead: int | None = None

    def windows(self) -> Windows:
        """How much proposals may know."""
        return Windows.of(self.rungs, self.parallel, self.slack)
