"""Studies run by Ray Tune: a light trial actor, a searcher, a scheduler and a callback.

Tune starts, counts and ends the trials; every decision is the studies'.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray import tune
from ray.tune import Callback, Trainable
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from supremix.cluster import TRIAL_CPU, Executor, WorkerResult
from supremix.cluster.interrupts import interrupts
from supremix.cluster.ray_private import end_trial_actors, find_controller, keep_actors
from supremix.cluster.tune.trial_template import TrialTemplate
from supremix.errors import ResourceError, SearchFailedError
from supremix.tuning.ledger.records import trial_key
from supremix.tuning.study.config import Proposal
from supremix.tuning.study.scheduler import StudyScheduler

TrialListener = Callable[[int, int | None, str], None]
"""Called with the index of a study, the number of the trial that finished an epoch (None: a trial
has ended), and its worker's log of that epoch."""

PREPARED = 1
"""Trials that wait, proposed and set up, for the first free worker group: it would be idle while
Tune learns of a trial's end and starts another. Which trials they are does not depend on timing."""


class LeasedTrial(Trainable):
    """A trial as Tune sees it: each step asks the trial's worker group for one more epoch.

    Where the trial is not about to be compared with others, the next epoch is requested before the
    last one is reported, so that the worker group does not wait for Tune, the study and the ledger
    meanwhile. Should the trial be pruned all the same, that epoch does not count.
    """

    def setup(
        self, config: dict[str, Any], pool: Any = None, templates: Sequence[TrialTemplate] = ()
    ) -> None:
        """Take the first trial; Tune calls it in a new actor."""
        if not templates:
            raise SearchFailedError("a trial's actor was set up without the search's templates.")
        self._pool, self._templates = pool, templates
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another trial, in an actor whose last one has ended."""
        self._trial: dict[str, Any] = json.loads(new_config["trial"])
        self._template = self._templates[self._trial["study"]]
        self._epoch: int = self._trial["epoch"]
        self._longest: float | None = None
        self._requested: ray.ObjectRef[WorkerResult] | None = None
        return True

    def step(self) -> dict[str, Any]:
        """Have one more epoch trained."""
        requested, self._requested = self._requested, None
        result: WorkerResult = ray.get(self._request() if requested is None else requested)
        self._epoch += 1
        row = result.row or {}
        self._longest = max(self._longest or 0.0, row.get("seconds", 0.0))
        if result.failure is None and self._template.goes_on(self._epoch, result.total):
            self._requested = self._request(speculative=True)
        # The flat numbers are for trackers such as TensorBoard; the search reads the text.
        return {
            **{name: value for name, value in row.items() if _plain(value)},
            "number": self._trial["number"],
            "row": json.dumps(result.row),
            "total": result.total,
            "failure": result.failure,
            "log": result.log,
            "cluster_failure": result.cluster_failure,
        }

    def _request(self, *, speculative: bool = False) -> ray.ObjectRef[WorkerResult]:
        """Request one more epoch."""
        epoch = self._epoch + 1
        request = self._template.request(
            self._trial["number"],
            self._trial["config"],
            epoch,
            seed=self._trial["seed"],
            longest=self._longest,
            speculative=speculative,
            train_ahead=epoch not in self._template.rungs,
        )
        return self._pool.execute.remote(request)

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Nothing to save: the worker group writes a checkpoint after every epoch."""
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing to load."""


def _plain(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


class _DriverOnly:
    """Mixin for objects that exist in the driver alone.

    Tune pickles its searcher, scheduler and callbacks, to restore a search from them. Ours are
    restored from the ledger, and hold open files: they pickle as nothing.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class TuneSearcher(_DriverOnly, Searcher):
    """Hands the studies' proposals to Tune."""

    def __init__(self, studies: StudyScheduler) -> None:
        super().__init__()
        self._studies = studies

    def suggest(self, trial_id: str) -> Any:
        """The next proposal; none while a running trial has to report first."""
        answer = self._studies.ask()
        if answer is None:
            return Searcher.FINISHED
        return _described(*answer) if isinstance(answer, tuple) else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The study has ended the trial already."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the studies are built from the ledger."""


def _described(study: int, proposal: Proposal) -> dict[str, Any]:
    names = ("number", "epoch", "seed", "config")
    trial = {"study": study, **{name: getattr(proposal, name) for name in names}}
    # As text, so that Tune neither flattens nor resolves what is in there.
    return {"trial": json.dumps(trial)}


class TuneScheduler(_DriverOnly, FIFOScheduler):
    """Hands every epoch's row to its study and does what that decides."""

    def __init__(
        self,
        studies: StudyScheduler,
        templates: Sequence[TrialTemplate],
        listener: TrialListener,
        worker_groups: int,
    ) -> None:
        super().__init__()
        self._studies, self._templates, self._listener = studies, templates, listener
        self._worker_groups = worker_groups
        self._controller: Any = None
        self.cluster_failure: str | None = None
        """Why the cluster cannot go on with the search; it says nothing of a trial."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Have Tune keep an actor for each worker group, with the first trial."""
        if self._controller is None:
            self._controller = find_controller(tune_controller)
            keep_actors(self._controller, trial, self._worker_groups + PREPARED)

    def end_actors(self) -> None:
        """End the trials' actors, as Tune does at the end and after an error."""
        if self._controller is not None:
            end_trial_actors(self._controller)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Hand over the epoch's row; stop where the study says so."""
        index, number = _indices(trial)
        study = self._studies.scheduled[index].begin()
        if result["failure"] is not None and result["cluster_failure"]:
            self.cluster_failure = result["failure"]
            return TrialScheduler.STOP
        if result["failure"] is not None:
            self._studies.finish(index, number, "failed", result["failure"])
            stop = True
        elif study.records[number].state != "running":  # pruned while this epoch was trained
            stop = self._studies.observe(index, number, {}, result["total"])
        else:
            template = self._templates[index]
            row = template.row(study.records[number], json.loads(result["row"]))
            total = result["total"] if len(template.tasks) == 1 else template.total
            stop = self._studies.observe(index, number, row, total)
        self._listener(index, number, result["log"])
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE


class TuneCallback(_DriverOnly, Callback):
    """Releases worker groups of ended trials and checks the executor."""

    def __init__(
        self,
        studies: StudyScheduler,
        executor: Executor,
        templates: Sequence[TrialTemplate],
        listener: TrialListener,
        scheduler: TuneScheduler,
    ) -> None:
        self._studies, self._executor, self._templates = studies, executor, templates
        self._listener, self._scheduler = listener, scheduler
        self.muted = False
        """Whether the listener is called no more."""

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Check whether the search shall stop, and whether all worker groups are alive."""
        interrupts.check()
        self._executor.check()
        if self._scheduler.cluster_failure is not None:
            raise KeyboardInterrupt

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Release the trial's worker group."""
        self._release(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """End a trial whose actor died, and release its worker group."""
        self._studies.finish(*_indices(trial), "failed", "its Tune actor died")
        self._release(trial)

    def _release(self, trial: Any) -> None:
        index, number = _indices(trial)
        self._executor.pool.release.remote(self._templates[index].key(trial_key(number)))
        if not self.muted:
            self._listener(index, None, "")


def _indices(trial: Any) -> tuple[int, int]:
    """Index of a trial's study, and of the trial in it."""
    described = json.loads(trial.config["trial"])
    return described["study"], described["number"]


def run_studies(
    studies: StudyScheduler,
    executor: Executor,
    templates: Sequence[TrialTemplate],
    listener: TrialListener,
    storage: str,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Run the trials of studies on an executor's worker groups until they propose no more.

    Args:
        studies: The studies, which decide.
        executor: The worker groups; as many trials as worker groups run at once, and `PREPARED`
            more wait for one.
        templates: The template of each study's trials.
        listener: Called in this process after every epoch and every end of a trial.
        storage: Local folder for Tune's own state, of no use afterwards.
        callbacks: Callbacks of Tune that shall see the trials, such as trackers.

    Raises:
        ResourceError: No worker group is left, there was no room for any in the cluster for long,
            or the prepared images are gone; the search can be resumed.
    """
    count = executor.plan.count
    scheduler = TuneScheduler(studies, templates, listener, count)
    callback = TuneCallback(studies, executor, templates, listener, scheduler)
    trainable = tune.with_parameters(LeasedTrial, pool=executor.pool, templates=tuple(templates))
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"CPU": TRIAL_CPU}),
        tune_config=tune.TuneConfig(
            search_alg=TuneSearcher(studies),
            scheduler=scheduler,
            num_samples=-1,
            max_concurrent_trials=count + PREPARED,
            reuse_actors=True,
            trial_dirname_creator=_dirname,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=storage,
            callbacks=[callback, *callbacks],
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    with interrupts.deferred():
        try:
            tuner.fit()
        except KeyboardInterrupt:
            # Tune cleans up after an exception, but takes this for none, and the actors would stay.
            callback.muted = True
            scheduler.end_actors()
            if scheduler.cluster_failure is None:
                raise
            raise ResourceError(
                f"the search was ended: {scheduler.cluster_failure}. Nothing is lost; continue it "
                "by --resume."
            ) from None


def _dirname(trial: Any) -> str:
    index, number = _indices(trial)
    return f"{index}-{trial_key(number)}-{trial.trial_id}"
