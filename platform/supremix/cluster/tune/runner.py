"""A campaign run by Ray Tune: a light trial actor, a searcher, a scheduler and a callback.

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
from supremix.cluster.tune.trial_template import TrialTemplate
from supremix.errors import ResourceError, SearchFailedError
from supremix.tuning.ledger.records import trial_key
from supremix.tuning.study.config import Proposal
from supremix.tuning.study.scheduler import StudyScheduler

Watcher = Callable[[int, int | None, str], None]
"""Told the index of a study, the number of the trial that did something (None: it has ended), and
what its worker wrote of it."""

NEXT = 1
"""Trials that wait, proposed and set up, for the first free group: it would do nothing while
Tune learns of a trial's end and starts another. Which trials they are, no timing changes."""


class LeasedTrial(Trainable):
    """A trial as Tune sees it: each step asks the trial's worker group for one more epoch.

    Where the trial is not about to be compared with others, the next epoch is asked for before the
    last one is told, so that the worker group does not wait for Tune, the study and the ledger
    meanwhile. Should the trial be given up all the same, that epoch does not count.
    """

    def setup(
        self, config: dict[str, Any], pool: Any = None, templates: Sequence[TrialTemplate] = ()
    ) -> None:
        """Take the first trial; Tune calls it in a new actor."""
        self._pool, self._templates = pool, templates
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another trial, in an actor whose last one has ended."""
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Have one more epoch trained."""
        if not self._templates:
            raise SearchFailedError("a trial's actor was set up without the search's templates.")
        trial, asked = self._trial, self._asked
        self._asked = None
        outcome: WorkerResult = ray.get(self._ask() if asked is None else asked)
        self._epoch += 1
        row = outcome.row or {}
        self._longest = max(self._longest or 0.0, row.get("seconds", 0.0))
        template = self._templates[trial["part"]]
        if outcome.failure is None and template.goes_on(self._epoch, outcome.total):
            self._asked = self._ask(ahead=True)
        # The flat numbers are for trackers such as TensorBoard; the search reads the text.
        return {
            **{name: value for name, value in row.items() if _plain(value)},
            "number": trial["number"],
            "row": json.dumps(outcome.row),
            "total": outcome.total,
            "failure": outcome.failure,
            "log": outcome.log,
            "cluster": outcome.cluster,
        }

    def _ask(self, *, ahead: bool = False) -> ray.ObjectRef[WorkerResult]:
        """Give the order to have one more epoch done."""
        trial = self._trial
        template = self._templates[trial["part"]]
        order = template.request(
            trial["number"],
            self._settings,
            self._epoch + 1,
            seed=trial["seed"],
            longest=self._longest,
            ahead=ahead,
            onward=self._epoch + 1 not in template.rungs,
        )
        return self._pool.execute.remote(order)

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Nothing to save: the worker group writes a checkpoint after every epoch."""
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing to load."""

    def _take(self, config: dict[str, Any]) -> None:
        self._trial: dict[str, Any] = json.loads(config["trial"])
        self._epoch: int = self._trial["epoch"]
        self._longest: float | None = None
        self._asked: ray.ObjectRef[WorkerResult] | None = None
        self._settings: dict[str, Any] = self._trial["config"]


def _plain(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


class _Here:
    """Mixin for what lives in the driver alone.

    Tune pickles its searcher, scheduler and callbacks, to restore a search from them. Ours are
    restored from the ledger, and hold open files: they pickle as nothing.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class TuneSearcher(_Here, Searcher):
    """Hands the campaign's proposals to Tune."""

    def __init__(self, campaign: StudyScheduler) -> None:
        super().__init__()
        self._campaign = campaign

    def suggest(self, trial_id: str) -> Any:
        """The next proposal; nothing while a running trial has to tell first."""
        answer = self._campaign.ask()
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


def _described(part: int, proposal: Proposal) -> dict[str, Any]:
    trial = {
        "part": part,
        "number": proposal.number,
        "epoch": proposal.epoch,
        "seed": proposal.seed,
        "config": proposal.config,
    }
    # As text, so that Tune neither flattens nor resolves what is in there; trackers see the rest.
    return {"trial": json.dumps(trial), "settings": proposal.config}


class TuneScheduler(_Here, FIFOScheduler):
    """Hands every epoch's row to its study and does what that says."""

    def __init__(
        self,
        campaign: StudyScheduler,
        templates: Sequence[TrialTemplate],
        watch: Watcher,
        worker_groups: int,
    ) -> None:
        super().__init__()
        self._campaign, self._templates, self._watch, self._worker_groups = (
            campaign,
            templates,
            watch,
            worker_groups,
        )
        self._controller: Any = None
        self.trouble: str | None = None
        """What befell the cluster, so that the search cannot go on; it says nothing of a trial."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Note who runs the trials, and have it keep an actor for each worker group.

        While a study waits for a running trial, Tune would end all other actors but one, and the
        next trials would wait for new processes. It has no setting for that.
        """
        if self._controller is None:
            # What a scheduler is given wraps the controller, to warn of what is not for schedulers.
            self._controller = vars(tune_controller).get("_tune_controller", tune_controller)
            cache = vars(self._controller).get("_actor_cache")
            if cache is not None:
                cache.increase_max(trial.placement_group_factory, by=self._worker_groups + NEXT)

    def end_actors(self) -> None:
        """End the trials' actors, as Tune does at the end and after an error."""
        if self._controller is not None:
            self._controller.cleanup()

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Hand over the epoch's row; stop where the study says so."""
        part, number = _whose(trial)
        study = self._campaign.scheduled[part].begin()
        if result["failure"] is not None and result["cluster"]:
            self.trouble = result["failure"]
            return TrialScheduler.STOP
        if result["failure"] is not None:
            self._campaign.finish(part, number, "failed", result["failure"])
            stop = True
        elif study.records[number].state != "running":  # given up while this epoch was trained
            stop = self._campaign.observe(part, number, {}, result["total"])
        else:
            template = self._templates[part]
            row = template.row(study.records[number], json.loads(result["row"]))
            total = result["total"] if len(template.tasks) == 1 else template.total
            stop = self._campaign.observe(part, number, row, total)
        self._watch(part, number, result["log"])
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE


class TuneCallback(_Here, Callback):
    """Frees worker groups of ended trials and looks after the executor."""

    def __init__(
        self,
        campaign: StudyScheduler,
        executor: Executor,
        templates: Sequence[TrialTemplate],
        watch: Watcher,
        scheduler: TuneScheduler,
    ) -> None:
        self._campaign, self._executor, self._templates = campaign, executor, templates
        self._watch, self._scheduler = watch, scheduler

    def be_silent(self) -> None:
        """Tell those who watch no more."""
        self._watch = _unseen

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """See whether the search shall stop, and whether all worker groups are alive."""
        interrupts.check()
        self._executor.check()
        if self._scheduler.trouble is not None:
            raise KeyboardInterrupt

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Free the trial's worker group."""
        self._free(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """End a trial whose actor died, and free its worker group."""
        self._campaign.finish(*_whose(trial), "failed", "its Tune actor died")
        self._free(trial)

    def _free(self, trial: Any) -> None:
        part, number = _whose(trial)
        self._executor.pool.release.remote(self._templates[part].key(trial_key(number)))
        self._watch(part, None, "")


def _unseen(part: int, number: int | None, log: str) -> None:
    """For when nobody is to be told."""


def _whose(trial: Any) -> tuple[int, int]:
    described = json.loads(trial.config["trial"])
    return described["part"], described["number"]


def run_studies(
    campaign: StudyScheduler,
    executor: Executor,
    templates: Sequence[TrialTemplate],
    watch: Watcher,
    storage: str,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Run a campaign's trials on a executor's worker groups until it proposes no more.

    Args:
        campaign: Decides.
        executor: The worker groups; as many trials as worker groups run at once, and `NEXT` more
            wait for one.
        templates: What the trials of each study share.
        watch: Called in this process after every epoch and every end of a trial.
        storage: Local folder for Tune's own state, of no use afterwards.
        callbacks: Tune's own that shall see the trials, such as trackers.

    Raises:
        ResourceError: No worker group is left, or none has had a place in the cluster for long; the
            search can be resumed.
    """
    scheduler = TuneScheduler(campaign, templates, watch, executor.plan.count)
    callback = TuneCallback(campaign, executor, templates, watch, scheduler)
    trainable = tune.with_parameters(LeasedTrial, pool=executor.pool, templates=tuple(templates))
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"CPU": TRIAL_CPU}),
        tune_config=tune.TuneConfig(
            search_alg=TuneSearcher(campaign),
            scheduler=scheduler,
            num_samples=-1,
            max_concurrent_trials=executor.plan.count + NEXT,
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
            # Tune tidies up after an exception, but this is none to it, and the actors would stay.
            callback.be_silent()
            scheduler.end_actors()
            if scheduler.trouble is None:
                raise
            raise ResourceError(
                f"the cluster failed the search: {scheduler.trouble}. Nothing is lost; go on with "
                "it by --resume once the cluster is there again."
            ) from None


def _dirname(trial: Any) -> str:
    part, number = _whose(trial)
    return f"{part}-{trial_key(number)}-{trial.trial_id}"
