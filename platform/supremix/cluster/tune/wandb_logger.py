"""Trials as runs of Weights & Biases, by its own library, as a logging callback of Ray Tune's.

Tune's own callback starts an actor for each trial and gives a resumed trial a new run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import wandb

from supremix.errors import SpecError

OFFLINE = ("offline", "disabled", "dryrun")
"""Values of ``WANDB_MODE`` with which no account is needed."""


class WandbLogger:
    """Records each trial as a run of a project; `setup` checks that this can be done.

    Args:
        project: Project, or ``ENTITY/PROJECT``.
        run: Name of the search, which groups its trials.
    """

    def __init__(self, project: str, run: str) -> None:
        self._entity, _, self._project = project.rpartition("/")
        self._group = run
        self._runs: dict[str, Any] = {}

    def setup(self) -> None:
        """Check that records can be kept.

        Raises:
            SpecError: Nobody is logged in, or the project has no usable name.
        """
        if not self._project:
            raise SpecError("wandb needs the name of a project, or ENTITY/PROJECT; found none.")
        if wandb.setup().settings.mode in OFFLINE:
            return
        try:
            known = wandb.login(prompt=False)
        except (wandb.Error, OSError, ValueError) as error:
            raise SpecError(f"cannot record in Weights & Biases: {error}. {_REMEDY}") from error
        if not known:
            raise SpecError(f"nobody is logged in to Weights & Biases. {_REMEDY}")

    def log_trial_start(self, trial: Any) -> None:
        """Begin a trial's run; one of an earlier session goes on in the run that it has."""
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_save_requirements=False,
        )
        self._runs[str(trial)] = wandb.init(
            project=self._project,
            entity=self._entity or None,
            group=self._group,
            name=str(trial),
            id=_identity(self._group, str(trial)),
            config=trial.config,
            resume="allow",
            reinit="create_new",
            settings=settings,
        )

    def log_trial_result(self, epoch: int, trial: Any, result: Mapping[str, Any]) -> None:
        """Record an epoch."""
        self._runs[str(trial)].log(dict(result), step=epoch)

    def log_trial_end(self, trial: Any, *, failed: bool = False) -> None:
        """End a trial's run."""
        self._runs.pop(str(trial)).finish(exit_code=int(failed))


_REMEDY = (
    "Run `wandb login` or set WANDB_API_KEY; with WANDB_MODE=offline the records are kept in "
    "$WANDB_DIR for `wandb sync`."
)


def _identity(run: str, trial: str) -> str:
    """The id of a trial's run, the same in every session: letters and digits, as wandb wants."""
    return hashlib.blake2b(f"{run}/{trial}".encode(), digest_size=12).hexdigest()
