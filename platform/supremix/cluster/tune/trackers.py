"""TensorBoard and MLflow, by Ray Tune's own callbacks.

Those write into the folder and under the name that Tune has for a trial, count epochs by Tune's
iterations, which begin anew in a resumed search, and run where Tune waits for them. Here they are
shown each trial under its own name, with its settings and epochs as the ledger has them, by a
thread, so that a tracking server that is slow or down costs its own records and not the search.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ray.tune import Callback

from supremix.errors import SpecError
from supremix.tuning.ledger.records import trial_key

LAST_WORDS = 60.0
"""Seconds that a tracker has at the end of a search for what it has not written yet."""


@dataclass(eq=False, slots=True)
class ShownTrial:
    """A trial as the callbacks of Tune are shown it; they ask for these names of Tune's."""

    name: str
    config: dict[str, Any]
    epoch: int
    """Epochs that an earlier session did."""
    local_path: str
    done: int = 0
    """Epochs of this session."""
    failed: bool = False

    @property
    def evaluated_params(self) -> dict[str, Any]:
        """The settings."""
        return self.config

    def init_local_path(self) -> None:
        """Make the trial's folder."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        return self.name


class Logger(Protocol):
    """What is asked of a callback of Tune's that logs."""

    def log_trial_start(self, trial: Any) -> None:
        """Begin a trial's records."""
        ...

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Record an epoch."""
        ...

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """End a trial's records."""
        ...


class Tracker(Callback):
    """Passes what Tune tells on to one of its logging callbacks, from a thread.

    Args:
        logger: That callback, set up.
        kind: Its name for people.
        names: The run of each study, by its number in the campaign, where there are several.
        folder: Where each trial has a folder of its own, for a logger that writes files.
        errors: What a tracker that fails raises; anything else is a mistake, and told as well.
        note: Told in a sentence when something could not be written, the first time.
    """

    def __init__(
        self,
        logger: Logger,
        kind: str,
        *,
        names: Sequence[str] = (),
        folder: str = "",
        errors: tuple[type[Exception], ...] = (OSError,),
        note: Callable[[str], None],
    ) -> None:
        self._logger, self._kind, self._names, self._folder = logger, kind, names, folder
        self._errors, self._note = errors, note
        self._shown: dict[str, ShownTrial] = {}
        self._noted = False
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
        shown = ShownTrial(
            name=name,
            config=described["config"],
            epoch=described["epoch"],
            local_path=f"{self._folder.rstrip('/')}/{name}",
        )
        self._shown[trial.trial_id] = shown
        self._jobs.put(lambda: self._logger.log_trial_start(shown))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Record an epoch."""
        shown = self._shown.get(trial.trial_id)
        if shown is None:
            return
        if result.get("failure") is not None:
            shown.failed = True
            return
        # Of a trial on several datasets each row counts from 1.
        shown.done += 1
        epoch = shown.epoch + shown.done
        # The iteration as Tune calls it is what loggers take for the step.
        told = {**numbers(json.loads(result["row"])), "epoch": epoch, "training_iteration": epoch}
        self._jobs.put(lambda: self._logger.log_trial_result(epoch, shown, told))

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
        """Write what is left, within `LAST_WORDS` seconds; closing twice is no error.

        Trials that are under way keep open records, which a resumed search goes on with.
        """
        self._jobs.put(None)
        self._thread.join(LAST_WORDS)
        if self._thread.is_alive():
            self._tell("it is too slow; the last records are missing")

    def _end(self, trial: Any, *, failed: bool) -> None:
        shown = self._shown.pop(trial.trial_id, None)
        if shown is not None:
            ended_ill = failed or shown.failed
            self._jobs.put(lambda: self._logger.log_trial_end(shown, failed=ended_ill))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except self._errors as error:
                self._tell(str(error) or type(error).__name__)
            except (KeyError, TypeError, ValueError) as error:
                # Of a trial whose beginning could not be recorded, loggers know nothing later.
                self._tell(f"{type(error).__name__}: {error}")

    def _tell(self, problem: str) -> None:
        if not self._noted:
            self._noted = True
            self._note(f"{self._kind} lacks records: {problem}")


def trial_name(described: Mapping[str, Any], names: Sequence[str]) -> str:
    """What a tracker calls a trial: its number, after its run where there are several.

    Args:
        described: ``part`` (number of its study) and ``number``.
        names: The run of each study; empty where there is one.
    """
    key = trial_key(described["number"])
    return f"{names[described['part']]}/{key}" if names else key


def numbers(row: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of an epoch's row, those of its measures as ``measures/NAME``."""
    told: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            told |= numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            told[prefix + name] = value
    return told


def make_trackers(
    *,
    tensorboard: str | None,
    mlflow: str | None,
    run: str,
    names: Sequence[str] = (),
    note: Callable[[str], None],
) -> list[Tracker]:
    """The trackers that were asked for.

    Args:
        tensorboard: Folder for TensorBoard, which gets one for the run and in it one a trial.
        mlflow: Address of an MLflow tracking server or database, e.g. ``sqlite:///mlflow.db``.
        run: Name of the run: TensorBoard's folder and MLflow's experiment.
        names: Where there are several studies, the name of each one's own run.
        note: Told in a sentence when something could not be written, the first time.

    Returns:
        Callbacks for Tune; to be closed where Tune does not come to its end.

    Raises:
        SpecError: A package is missing, or MLflow cannot be reached.
    """
    found: list[Tracker] = []
    if tensorboard is not None:
        folder = f"{tensorboard.rstrip('/')}/{run}"
        found.append(Tracker(_tensorboard(), "TensorBoard", names=names, folder=folder, note=note))
    if mlflow is not None:
        logger, errors = _mlflow(mlflow, run)
        found.append(Tracker(logger, "MLflow", names=names, errors=errors, note=note))
    return found


def _tensorboard() -> Any:
    from ray.tune.logger import TBXLoggerCallback

    try:
        return TBXLoggerCallback()
    except ImportError as error:
        raise _missing("TensorBoard", error, "tensorboard") from error


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
    """Not minutes, which MLflow takes by default, until a wrong address is told."""
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
