"""TensorBoard and MLflow by Ray Tune's own callbacks, Weights & Biases by its own library.

Tune's callbacks use Tune's folder and name of a trial, count epochs by Tune's iterations, which
start again in a resumed search, and make Tune wait for them. Here they get each trial under its own
name, with its hyperparameters and epochs as the ledger has them, in a thread, so that a tracking
server that is slow or down costs its own records and not the search.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune import Callback

from supremix.errors import SpecError
from supremix.tuning.ledger.records import trial_key

CLOSE_TIMEOUT = 60.0
"""Seconds that a tracker has at the end of a search for records it has not written yet."""


@dataclass(eq=False, slots=True)
class TrackedTrial:
    """A trial as the callbacks of Tune get it; they read these attributes of Tune's trials."""

    name: str
    config: dict[str, Any]
    epoch: int
    """Epochs of earlier sessions."""
    local_path: str
    done: int = 0
    """Epochs of this session."""
    failed: bool = False

    @property
    def evaluated_params(self) -> dict[str, Any]:
        """The hyperparameters."""
        return self.config

    def init_local_path(self) -> None:
        """Make the trial's folder."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        return self.name


class Tracker(Callback):
    """Passes Tune's events on to one of its logging callbacks, from a thread.

    Args:
        logger: A logging callback of Tune's (`LoggerCallback`), set up.
        kind: Its name in messages.
        names: The run of each study, by its index, where there are several.
        folder: Folder in which each trial has one, for a logger that writes files.
        errors: Errors that a tracker which fails raises; others are bugs, and reported as well.
        warn: Called with a sentence when something could not be written, the first time.
    """

    def __init__(
        self,
        logger: Any,
        kind: str,
        *,
        names: Sequence[str] = (),
        folder: str = "",
        errors: tuple[type[Exception], ...] = (OSError,),
        warn: Callable[[str], None],
    ) -> None:
        self._logger, self._kind, self._names, self._folder = logger, kind, names, folder
        self._errors, self._warn = errors, warn
        self._trials: dict[str, TrackedTrial] = {}
        self._warned = False
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"{kind} tracker", daemon=True)
        self._thread.start()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks, and these hold open files and threads."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Begin a trial's records."""
        described: dict[str, Any] = json.loads(trial.config["trial"])
        name = trial_name(described, self._names)
        tracked = TrackedTrial(
            name=name,
            config=described["config"],
            epoch=described["epoch"],
            local_path=f"{self._folder.rstrip('/')}/{name}",
        )
        self._trials[trial.trial_id] = tracked
        self._jobs.put(lambda: self._logger.log_trial_start(tracked))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Record an epoch."""
        tracked = self._trials.get(trial.trial_id)
        if tracked is None:
            return
        if result.get("failure") is not None:
            tracked.failed = True
            return
        # Of a trial on several datasets each row counts from 1.
        tracked.done += 1
        epoch = tracked.epoch + tracked.done
        # Loggers take what Tune calls the iteration for the step.
        record = {**numbers(json.loads(result["row"])), "epoch": epoch, "training_iteration": epoch}
        self._jobs.put(lambda: self._logger.log_trial_result(epoch, tracked, record))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """End a trial's records."""
        self._end(trial, failed=False)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """End the records of a trial whose actor died."""
        self._end(trial, failed=True)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Write what is left."""
        self.close()

    def close(self) -> None:
        """Write what is left, within `CLOSE_TIMEOUT` seconds; closing twice is no error.

        Trials that are under way keep open records, which a resumed search continues.
        """
        self._jobs.put(None)
        self._thread.join(CLOSE_TIMEOUT)
        if self._thread.is_alive():
            self._report("it is too slow; the last records are missing")

    def _end(self, trial: Any, *, failed: bool) -> None:
        tracked = self._trials.pop(trial.trial_id, None)
        if tracked is not None:
            failed = failed or tracked.failed
            self._jobs.put(lambda: self._logger.log_trial_end(tracked, failed=failed))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except self._errors as error:
                self._report(str(error) or type(error).__name__)
            except (KeyError, TypeError, ValueError) as error:
                # Raised for a trial whose beginning could not be recorded.
                self._report(f"{type(error).__name__}: {error}")

    def _report(self, problem: str) -> None:
        if not self._warned:
            self._warned = True
            self._warn(f"{self._kind} lacks records: {problem}")


def trial_name(described: Mapping[str, Any], names: Sequence[str]) -> str:
    """A trial's name in a tracker: its number, after its run where there are several.

    Args:
        described: ``study`` (index of its study) and ``number``.
        names: The run of each study; empty where there is one.
    """
    key = trial_key(described["number"])
    return f"{names[described['study']]}/{key}" if names else key


def numbers(row: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of an epoch's row, those of its measures as ``measures/NAME``."""
    found: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[prefix + name] = value
    return found


def make_trackers(
    *,
    tensorboard: str | None,
    mlflow: str | None,
    wandb: str | None = None,
    run: str,
    names: Sequence[str] = (),
    warn: Callable[[str], None],
) -> list[Tracker]:
    """Make the trackers that were asked for.

    Args:
        tensorboard: Folder for TensorBoard; gets a folder for the run and in it one per trial.
        mlflow: Address of an MLflow tracking server or database, e.g. ``sqlite:///mlflow.db``.
        wandb: Project of Weights & Biases, or ``ENTITY/PROJECT``.
        run: Name of the run: TensorBoard's folder, MLflow's experiment, the group of wandb's runs.
        names: The name of each study's run, where there are several.
        warn: Called with a sentence when something could not be written, the first time.

    Returns:
        Callbacks for Tune; to be closed where Tune does not end by itself.

    Raises:
        SpecError: A package is missing, MLflow cannot be reached, or nobody is logged in to
            Weights & Biases.
    """
    found: list[Tracker] = []
    if tensorboard is not None:
        from ray.tune.logger import TBXLoggerCallback

        folder = f"{tensorboard.rstrip('/')}/{run}"
        try:
            board = TBXLoggerCallback()
        except ImportError as error:
            raise _missing("TensorBoard", error, "tensorboard") from error
        found.append(Tracker(board, "TensorBoard", names=names, folder=folder, warn=warn))
    if mlflow is not None:
        logger, errors = _mlflow(mlflow, run)
        found.append(Tracker(logger, "MLflow", names=names, errors=errors, warn=warn))
    if wandb is not None:
        logger, errors = _wandb(wandb, run)
        found.append(Tracker(logger, "Weights & Biases", names=names, errors=errors, warn=warn))
    return found


def _wandb(project: str, run: str) -> tuple[Any, tuple[type[Exception], ...]]:
    try:
        from wandb import Error

        from supremix.cluster.tune.wandb_logger import WandbLogger
    except ImportError as error:
        raise _missing("Weights & Biases", error, "wandb") from error
    logger = WandbLogger(project, run)
    logger.setup()
    return logger, (OSError, Error)


def _mlflow(address: str, run: str) -> tuple[Any, tuple[type[Exception], ...]]:
    try:
        from mlflow.exceptions import MlflowException

        from supremix.cluster.tune.mlflow_logger import MLflowLogger
    except ImportError as error:
        raise _missing("MLflow", error, "mlflow") from error
    try:
        logger = MLflowLogger(tracking_uri=address, experiment_name=run)
        with _few_tries():
            logger.setup()
    except (MlflowException, OSError) as error:
        raise SpecError(
            f"cannot record in MLflow at {address!r}: {error}. Expected a tracking server "
            "(http://host:5000) or a database (sqlite:////path/mlflow.db)."
        ) from error
    return logger, (OSError, MlflowException)


@contextmanager
def _few_tries() -> Generator[None]:
    """Have MLflow refuse a wrong address at once; by default it tries for minutes."""
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES as TRIES

    if TRIES.is_set():
        yield
        return
    TRIES.set(1)
    try:
        yield
    finally:
        TRIES.unset()


def _missing(what: str, error: ImportError, extra: str) -> SpecError:
    return SpecError(
        f"{what} needs a package that is not installed ({error.name}): "
        f"pip install 'supremix[{extra}]'"
    )
