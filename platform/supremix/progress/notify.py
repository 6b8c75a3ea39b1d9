"""Notifications: a listener that also informs a webhook of how a search ends or stalls."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from supremix.errors import SearchInterrupted
from supremix.progress.progress import Listener, Progress, messages
from supremix.progress.stalls import StallWatch
from supremix.progress.webhook import Kind, Webhook


@contextmanager
def notified(
    url: str | None, run: str, dataset: str, listen: Listener, *, stall: float | None = None
) -> Generator[Listener]:
    """Notify a webhook of how the work in the block ends, and when it stalls meanwhile.

    Args:
        url: Address of the webhook; None for none.
        run: Name or address of the run, for the messages.
        dataset: Name of its dataset or datasets.
        listen: Listener that is called at every step in any case.
        stall: Seconds without an epoch that count as a stall; None for `epoch_limit`.

    Yields:
        The listener for the work in the block.

    Raises:
        SpecError: `url` is no http or https address.
    """
    if url is None:
        yield listen
        return
    with Webhook(url, run, dataset, note=messages(listen)) as webhook:
        notifier = _Notifier(webhook, listen, stall)
        with notifier.ending(), notifier.watching:
            yield notifier


class _Notifier:
    """A listener that remembers the latest progress for the messages to the webhook."""

    def __init__(self, webhook: Webhook, listen: Listener, stall: float | None) -> None:
        self._webhook, self._listen = webhook, listen
        self._latest: dict[str, Progress] = {}
        self._stalls = StallWatch(self._stalled, lambda: self._send("resumed"), stall)
        self.watching = contextlib.ExitStack()

    def __call__(self, progress: Progress) -> None:
        """Take note of a step and pass it on."""
        if progress.about_trials:
            if not self._latest:  # what comes before the trials may take as long as it likes
                self.watching.enter_context(self._stalls.watching())
            self._latest[progress.part] = progress
        self._stalls.moved(progress.longest)
        self._listen(progress)

    @contextmanager
    def ending(self) -> Generator[None]:
        """Notify of how the block ends."""
        try:
            yield
        except (KeyboardInterrupt, SearchInterrupted):
            self._send("interrupted")
            raise
        except Exception as error:
            self._send("failed", str(error) or type(error).__name__)
            raise
        self._send("ended")

    def _stalled(self, silence: float) -> None:
        self._send("stalled", f"no epoch for {silence / 60:.0f} min")

    def _send(self, event: Kind, reason: str | None = None) -> None:
        self._webhook.send(event, reason=reason, **_facts(self._latest))


def _facts(latest: dict[str, Progress]) -> dict[str, Any]:
    """Trials of all parts; the best of them where there is one, since units differ."""
    parts = list(latest.values())
    facts: dict[str, Any] = {"trials": sum(part.done for part in parts)}
    if len(parts) == 1:
        (only,) = parts
        facts |= {
            name: getattr(only, name) for name in ("best_error", "best_basis", "best_trial", "unit")
        }
    return facts
