"""The samplers: Optuna's, on a bounded history, each draw with a sampler and a seed of its own.

So nothing of a sampler is lost with the process: a resumed search draws what the first session
would have drawn. Optuna's CMA-ES is none of them: its state grows from draw to draw, and does not
follow from the trials.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Sequence
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from supremix_spaces import Space


class Sampler(Protocol):
    """Draws the hyperparameters of a proposal."""

    def propose(self, number: int, past: Sequence[FrozenTrial]) -> dict[str, Any]:
        """The hyperparameters of trial `number`, given what it may know."""
        ...


class _PerDraw(ABC):
    """Draws proposal n with a sampler of Optuna that is seeded with (seed, n).

    Nothing is lost with the process, and the same past gives the same hyperparameters.

    Args:
        space: The space that is searched.
        seed: Seed of the study.
        startup: Trials with a score before which hyperparameters are drawn at random.
    """

    def __init__(self, space: Space, seed: int, startup: int = 10) -> None:
        self._space, self._seed, self._startup = space, seed, startup
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # the progress display is ours

    def propose(self, number: int, past: Sequence[FrozenTrial]) -> dict[str, Any]:
        """The hyperparameters of trial `number`, given what it may know."""
        study = optuna.create_study(
            storage=_Past(number, past), sampler=self._sampler(number), direction="minimize"
        )
        return self._space.suggest(study.ask())

    @abstractmethod
    def _sampler(self, number: int) -> BaseSampler:
        """The sampler of one draw."""


class Tpe(_PerDraw):
    """The tree-structured Parzen estimator, each parameter by itself.

    The multivariate form models them together. On recorded curves, where a dozen parameters matter
    little against the luck of a seed, it settles around its first good trials and stays there
    (`benchmarks/search_quality.py`).
    """

    def _sampler(self, number: int) -> TPESampler:
        with warnings.catch_warnings():
            # `constant_liar` is marked experimental in some releases.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(
                seed=draw_seed(self._seed, number),
                n_startup_trials=self._startup,
                multivariate=False,
                constant_liar=True,
            )


class Gp(_PerDraw):
    """A Gaussian process over the finished trials, with the expected improvement.

    It does not see pruned trials, and draws hyperparameters that exist only under a condition at
    random.
    """

    def _sampler(self, number: int) -> GPSampler:
        return GPSampler(
            seed=draw_seed(self._seed, number),
            n_startup_trials=self._startup,
            warn_independent_sampling=False,
        )


class Uniform(_PerDraw):
    """Draws hyperparameters at random, without regard to the past."""

    def _sampler(self, number: int) -> RandomSampler:
        return RandomSampler(seed=draw_seed(self._seed, number))


SAMPLERS: dict[str, Callable[[Space, int, int], Sampler]] = {
    "tpe": Tpe,
    "gp": Gp,
    "random": Uniform,
}
"""The samplers by name; called with the space, the seed and the trials that are drawn at random."""


def startup_trials(trials: int | None) -> int:
    """Trials drawn at random before TPE takes over: ten, fewer in a short search."""
    return 10 if trials is None else min(10, max(4, trials // 4))


def draw_seed(seed: int, number: int) -> int:
    """The seed of one draw among many of a study."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


class _Past(InMemoryStorage):
    """Storage of one draw: the past as it is, uncopied, and the trial being drawn.

    Optuna copies every trial that is added to a storage, which for a history of a hundred costs
    more than the draw.
    """

    def __init__(self, number: int, past: Sequence[FrozenTrial]) -> None:
        super().__init__()
        self._number, self._shown = number, list(past)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """The past in the given states, then the trial being drawn."""
        own = super().get_all_trials(study_id, deepcopy, states)
        for trial in own:
            trial.number = self._number
        past = [t for t in self._shown if states is None or t.state in states]
        return past + own

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial being drawn, under its number in the study."""
        trial = super().get_trial(trial_id)
        trial.number = self._number
        return trial
