"""Checkpoints written while the training goes on: one at a time, in their order."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

from supremix.training import save_checkpoint
from supremix.training.artifacts.checkpoint import State

logger = logging.getLogger(__name__)


class AsyncCheckpointer:
    """Writes checkpoints in a thread, while the next epoch is trained.

    That epoch is lost, and no more than that, should the process be killed before the file is
    complete.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def save(self, state: State, address: str) -> None:
        """Begin to write a state, a copy that is not changed afterwards.

        Raises:
            Exception: The error of the checkpoint before it, see `wait`.
        """
        self.wait()
        self._writing = self._thread.submit(save_checkpoint, state, address)

    def wait(self) -> None:
        """Wait until the last checkpoint is on the storage.

        Raises:
            RunFolderError: The storage went on failing.
            OSError: The storage refuses.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def forget(self) -> None:
        """Wait for the last checkpoint of a trial that has failed; an error of it is logged."""
        try:
            self.wait()
        except Exception:
            logger.warning("a checkpoint was not written", exc_info=True)
