"""The configuration of a study, and what it proposes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final, Protocol

from supremix.tuning.ledger.ledger import Event
from supremix.tuning.ledger.records import TrialRecord
from supremix.tuning.pruners.none import NoPruning
from supremix.tuning.pruners.pruner import Pruner, Rungs
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.lookback import SLACK, Lookback


class LedgerLike(Protocol):
    """The event log of a study."""

    @property
    def events(self) -> list[Event]:
        """The events so far."""
        ...

    def append(self, kind: str, **content: Any) -> Event:
        """Write an event."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A trial to run, or to go on with.

    Args:
        number: Index of the trial in the study.
        config: Its hyperparameters.
        epoch: Epochs that are done already.
        replicate_of: The trial whose hyperparameters are retrained with a new seed; None
            for a trial of the search.
        seed: Seed of its training; None for the search's.
    """

    number: int
    config: dict[str, Any]
    epoch: int = 0
    replicate_of: int | None = None
    seed: int | None = None

    @classmethod
    def of(cls, record: TrialRecord) -> Proposal:
        """The proposal of a trial that is known."""
        return cls(**{f.name: getattr(record, f.name) for f in fields(cls)})


class Wait:
    """The answer of `Study.ask` when a running trial has to report first."""


WAIT: Final = Wait()


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """The configuration of a study: with its space and seed it decides every proposal.

    Args:
        budget: Limits after which no new hyperparameters are tried.
        epochs: Epochs of a whole trial on one dataset, at least 1.
        datasets: Datasets that a trial goes through one after the other.
        pruner: The stopping rule.
        sampler: Name of the sampler, see `sampler.SAMPLERS`.
        parallel: Trials that run at once; of a resumed run, those of its first session.
        top_k: The best trials whose hyperparameters are trained again at the end, at least 1; the
            defaults are trained again with them.
        replicates: New seeds that each of them is trained with; 0 for none: then the trial of least
            error is the best.
        gpus: GPUs a trial occupies, for a budget of GPU hours.
        slack: How much slower than usual a trial may be before a proposal waits, see `Lookback`.
        lead: How many trials before a trial the ones begin that it is compared with; None for
            `parallel`: with less, trials train on in vain while they wait for those that run in
            parallel.
    """

    budget: Budget
    epochs: int
    datasets: int = 1
    pruner: Pruner = field(default_factory=NoPruning)
    sampler: str = "tpe"
    parallel: int = 1
    top_k: int = 1
    replicates: int = 0
    gpus: float = 0.0
    slack: float = SLACK
    lead: int | None = None

    @property
    def finalists(self) -> int:
        """Hyperparameters that are trained again at most: the best ones, and the defaults."""
        return self.top_k + 1

    @property
    def rungs(self) -> Rungs:
        """The epochs after which trials are compared."""
        return self.pruner.rungs(self.epochs, self.datasets)

    @property
    def lookback(self) -> Lookback:
        """The past that a proposal may know."""
        return Lookback.of(self.rungs, self.parallel, self.slack)
