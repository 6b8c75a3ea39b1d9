"""Messages by HTTP: that a search ended, failed, was interrupted, stalls or goes on."""

from __future__ import annotations

import json
import math
import queue
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPException
from typing import Any, Literal

from supremix.errors import SpecError

Kind = Literal["ended", "failed", "interrupted", "stalled", "resumed"]
"""Kinds of message: the search is concluded; it has no result; it was interrupted; no epoch has
been done for long; there are epochs again after that."""

_WORDS = {
    "ended": "has ended",
    "failed": "has failed",
    "interrupted": "was interrupted",
    "stalled": "stalls",
    "resumed": "goes on again",
}
_HEADERS = {"Content-Type": "application/json", "User-Agent": "supremix"}
_AGAIN = frozenset({408, 425, 429})
"""Answers of the 400s after which the same request may succeed."""


class Webhook(AbstractContextManager["Webhook", None]):
    """POSTs a JSON object for each message, from a thread of its own; a context manager.

    The object has ``event`` (see `Kind`), ``run``, ``dataset``, ``best_error``, ``best_basis``
    (what that was measured on), ``unit``, ``best_trial``, ``trials`` (ended ones), ``reason`` and
    ``text``, a sentence, which is what receivers like Slack and Mattermost show. A receiver that is
    down never holds up the search.

    Args:
        url: Address of the receiver, http or https.
        run: Name of the run.
        dataset: Name of its dataset or datasets.
        note: Called with a sentence when the receiver does not take a message, the first time.
        timeout: Seconds that the receiver has for an answer.
        tries: Number of times that a message is sent before it is given up.
        pause: Seconds before the second try; twice as long before each further one.

    Raises:
        SpecError: `url` is no such address.
    """

    def __init__(
        self,
        url: str,
        run: str,
        dataset: str,
        *,
        note: Callable[[str], None],
        timeout: float = 5.0,
        tries: int = 4,
        pause: float = 1.0,
    ) -> None:
        self._url, self._run, self._dataset = check_url(url), run, dataset
        self._note, self._timeout, self._tries, self._pause = note, timeout, tries, pause
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._over = threading.Event()
        self._noted = False
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def send(
        self,
        event: Kind,
        *,
        best_error: float | None = None,
        best_basis: str = "",
        unit: str = "",
        best_trial: int | None = None,
        trials: int = 0,
        reason: str | None = None,
    ) -> None:
        """Queue a message and return at once.

        Args:
            event: Kind of message.
            best_error: Error of the best hyperparameters so far, in `unit`.
            best_basis: What it was measured on, in words.
            unit: Unit of the error; may be empty.
            best_trial: Number of the trial that has them.
            trials: Trials that have ended.
            reason: Reason of the event, where there is one.
        """
        error = best_error if best_error is not None and math.isfinite(best_error) else None
        message = {
            "event": event,
            "run": self._run,
            "dataset": self._dataset,
            "best_error": error,
            "best_basis": best_basis,
            "unit": unit,
            "best_trial": best_trial,
            "trials": trials,
            "reason": reason,
        }
        self._messages.put({**message, "text": text_of(message)})

    def close(self, timeout: float = 15.0) -> None:
        """Wait until the queue is sent, but no longer than `timeout` seconds."""
        self._messages.put(None)
        self._thread.join(timeout)
        self._over.set()

    def __exit__(self, *error: object) -> None:
        self.close()

    def _work(self) -> None:
        while (message := self._messages.get()) is not None and not self._over.is_set():
            problem = self._deliver(json.dumps(message).encode())
            if problem and not self._noted:
                self._noted = True
                self._note(f"the webhook {_shown(self._url)} took no message: {problem}")

    def _deliver(self, body: bytes) -> str:
        """Send a message, more than once if need be; says what the problem is, if there is one."""
        problem = ""
        for number in range(self._tries):
            if number and self._over.wait(self._pause * 2 ** (number - 1)):
                break
            try:
                request = urllib.request.Request(self._url, body, _HEADERS, method="POST")
                with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                    answer.read()
            except urllib.error.HTTPError as error:
                problem = f"it answers {error.code} {error.reason}"
                error.close()
                if error.code < 500 and error.code not in _AGAIN:
                    break
            except (OSError, HTTPException) as error:
                problem = str(getattr(error, "reason", error)) or type(error).__name__
            else:
                return ""
        return problem


def check_url(url: str) -> str:
    """Check the address of a webhook and return it.

    Raises:
        SpecError: It is no http or https address.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise SpecError(
            f"expected the webhook's address to begin with http:// or https://, got {url!r}."
        )
    return url


def text_of(message: dict[str, Any]) -> str:
    """A message that has no text yet as a sentence to read."""
    text = f"{message['run']} ({message['dataset']}) {_WORDS[message['event']]}"
    if message["reason"]:
        text += f": {message['reason']}"
    text = f"{text.rstrip('.')}. {message['trials']} trials have ended"
    if message["best_error"] is None:
        return f"{text}."
    error = f"{message['best_error']:.4g} {message['unit']}".strip()
    of = "; ".join(filter(None, (message["best_basis"], f"trial {message['best_trial']}")))
    return f"{text}; the error of the best hyperparameters is {error} ({of})."


def _shown(url: str) -> str:
    """The address without its path and password, which may be a secret."""
    parts = urllib.parse.urlsplit(url)
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"
