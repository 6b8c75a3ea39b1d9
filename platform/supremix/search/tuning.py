"""The study run by Ray Tune: a light trial actor, a searcher, a scheduler and a callback.

Tune starts, counts and ends the trials; every decision is the study's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune
from ray.tune import Callback, Trainable
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from supremix.cluster import TRIAL_CPU, Crew, Order, Outcome
from supremix.errors import SearchFailedError
from supremix.search.interrupts import interrupts
from supremix.search.record import trial_key
from supremix.search.study import Study
from supremix.training import Task

Watcher = Callable[[Study], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What every trial of a search shares.

    Args:
        run: Name of the search's run, unlike that of any other that the crew works for.
        task: Dataset, method, encoder and what else does not change.
        checkpoints: Folder with a checkpoint file for each trial that is under way.
    """

    run: str
    task: Task
    checkpoints: str

    def key(self, name: str) -> str:
        """What one training of this search is called among all that the crew works for."""
        return f"{self.run}/{name}"

    def order(self, number: int, config: dict[str, Any], epoch: int, **more: Any) -> Order:
        """The order to have `epoch` epochs of a trial done."""
        name = trial_key(number)
        return Order(
            key=self.key(name),
            task=self.task,
            config=config,
            checkpoint=f"{self.checkpoints}/{name}.pt",
            epoch=epoch,
            **more,
        )


class LeasedTrial(Trainable):
    """A trial as Tune sees it: each step asks the trial's gang for one more epoch."""

    def setup(self, config: dict[str, Any], pool: Any = None, bench: Bench | None = None) -> None:
        """Take the first trial; Tune calls it in a new actor."""
        self._pool, self._bench = pool, bench
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another trial, in an actor whose last one has ended."""
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Have one more epoch trained."""
        if self._bench is None:
            raise SearchFailedError("a trial's actor was set up without the search's bench.")
        epoch = self._epoch + 1
        order = self._bench.order(self._number, self._settings, epoch)
        outcome: Outcome = ray.get(self._pool.execute.remote(order))
        self._epoch = epoch
        return {
            "number": self._number,
            "row": json.dumps(outcome.row),
            "total": outcome.total,
            "failure": outcome.failure,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Nothing to save: the gang writes a checkpoint after every epoch."""
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing to load."""

    def _take(self, config: dict[str, Any]) -> None:
        self._number: int = config["number"]
        self._epoch: int = config["epoch"]
        self._settings: dict[str, Any] = json.loads(config["settings"])


class _Here:
    """Mixin for what lives in the driver alone.

    Tune pickles its searcher, scheduler and callbacks, to restore a search from them. Ours are
    restored from the ledger, and hold open files: they pickle as nothing.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StudySearcher(_Here, Searcher):
    """Hands the study's proposals to Tune."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._study = study

    def suggest(self, trial_id: str) -> Any:
        """The study's next proposal."""
        proposal = self._study.ask()
        if proposal is None:
            return Searcher.FINISHED
        # As text, so that Tune neither flattens nor resolves what is in there.
        settings = json.dumps(proposal.config)
        return {"number": proposal.number, "epoch": proposal.epoch, "settings": settings}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The study has ended the trial already."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the study is built from the ledger."""


class StudyScheduler(_Here, FIFOScheduler):
    """Hands every epoch's row to the study and does what it says."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._study = study
        self._controller: Any = None

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Note who runs the trials."""
        self._controller = tune_controller

    def end_actors(self) -> None:
        """End the trials' actors, as Tune does at the end and after an error."""
        if self._controller is not None:
            self._controller.cleanup()

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Hand over the epoch's row; stop where the study says so."""
        number = result["number"]
        if result["failure"] is not None:
            self._study.finish(number, "failed", result["failure"])
            return TrialScheduler.STOP
        stop = self._study.observe(number, json.loads(result["row"]), result["total"])
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE


class StudyCallback(_Here, Callback):
    """Frees gangs of ended trials, looks after the crew, and tells who watches."""

    def __init__(self, study: Study, crew: Crew, bench: Bench, watch: Watcher) -> None:
        self._study, self._crew, self._bench, self._watch = study, crew, bench, watch

    def be_silent(self) -> None:
        """Tell those who watch no more."""
        self._watch = lambda _: None

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """See whether the search shall stop, and whether all gangs are alive."""
        interrupts.check()
        self._crew.check()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Tell who watches."""
        self._watch(self._study)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Free the trial's gang."""
        self._free(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """End a trial whose actor died, and free its gang."""
        self._study.finish(trial.config["number"], "failed", "its Tune actor died")
        self._free(trial)

    def _free(self, trial: Any) -> None:
        key = self._bench.key(trial_key(trial.config["number"]))
        self._crew.pool.release.remote(key)
        self._watch(self._study)


def run_study(study: Study, crew: Crew, bench: Bench, watch: Watcher, storage: str) -> None:
    """Run a study's trials on a crew's gangs until the study proposes no more.

    Args:
        study: Decides.
        crew: The gangs; as many trials as gangs run at once.
        bench: What the trials share.
        watch: Called in this process after every epoch and every end of a trial.
        storage: Folder for Tune's own state, of no use afterwards.
    """
    scheduler, callback = StudyScheduler(study), StudyCallback(study, crew, bench, watch)
    trainable = tune.with_parameters(LeasedTrial, pool=crew.pool, bench=bench)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"CPU": TRIAL_CPU}),
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(study),
            scheduler=scheduler,
            num_samples=-1,
            max_concurrent_trials=crew.plan.gangs,
            reuse_actors=True,
            trial_dirname_creator=_dirname,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=storage,
            callbacks=[callback],
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    with interrupts.patient():
        try:
            tuner.fit()
        except KeyboardInterrupt:
            # Tune tidies up after an exception, but this is none to it, and the actors would stay.
            callback.be_silent()
            scheduler.end_actors()
            raise


def _dirname(trial: Any) -> str:
    return f"{trial_key(trial.config['number'])}-{trial.trial_id}"
