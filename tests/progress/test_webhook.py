"""The webhook against a real server: what it sends, when it tries again, whom it holds up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from receiver import Receiver

from supremix.errors import SearchFailedError, SpecError
from supremix.progress.notify import notified
from supremix.progress.progress import SEARCHING, Progress
from supremix.progress.stalls import LIMIT_FACTOR, StallWatch, epoch_limit
from supremix.progress.webhook import Webhook


def hook(url: str, note: Any = pytest.fail, **more: Any) -> Webhook:
    return Webhook(url, "runs/a", "hc18", note=note, pause=0.01, **more)


def test_a_message_has_the_facts_and_a_sentence(receiver: Receiver) -> None:
    with hook(receiver.url) as webhook:
        webhook.send("ended", best_error=3.25, unit="mm", best_trial=7, trials=32)
    (message,) = receiver.messages
    assert message == {
        "event": "ended",
        "run": "runs/a",
        "dataset": "hc18",
        "best_error": 3.25,
        "best_basis": "",
        "unit": "mm",
        "best_trial": 7,
        "trials": 32,
        "reason": None,
        "text": "runs/a (hc18) has ended. 32 trials have ended; the error of the best "
        "hyperparameters is 3.25 mm (trial 7).",
    }
    assert receiver.types == ["application/json"]


def test_without_a_result_there_is_no_error_to_tell(receiver: Receiver) -> None:
    with hook(receiver.url) as webhook:
        webhook.send("failed", best_error=float("nan"), trials=3, reason="all trials failed.")
    (message,) = receiver.messages
    assert message["best_error"] is None
    assert message["text"] == ("runs/a (hc18) has failed: all trials failed. 3 trials have ended.")


@pytest.mark.parametrize("answer", [500, 503, 429])
def test_a_receiver_that_is_busy_is_asked_again(receiver: Receiver, answer: int) -> None:
    receiver.answers = [answer, answer]
    with hook(receiver.url) as webhook:
        webhook.send("stalled")
    assert [message["event"] for message in receiver.messages] == ["stalled"] * 3


def test_a_refusal_is_noted_once_and_without_the_secret(receiver: Receiver) -> None:
    receiver.answers = [404, 404]
    notes: list[str] = []
    with hook(receiver.url, notes.append) as webhook:
        webhook.send("stalled")
        webhook.send("resumed")
    assert len(receiver.messages) == 2  # one try each
    (note,) = notes
    assert "it answers 404" in note
    assert "secret" not in note


def test_messages_come_in_their_order(receiver: Receiver) -> None:
    receiver.answers = [500]
    with hook(receiver.url) as webhook:
        for event in ("stalled", "resumed", "ended"):
            webhook.send(event)
    assert [m["event"] for m in receiver.messages] == ["stalled", "stalled", "resumed", "ended"]


def test_a_receiver_that_is_down_is_noted_once(receiver: Receiver) -> None:
    receiver.stop()
    notes: list[str] = []
    with hook(receiver.url, notes.append, tries=2) as webhook:
        webhook.send("stalled")
        webhook.send("ended")
    (note,) = notes
    assert "took no message" in note


@pytest.mark.timeout(30)  # less than the 60 s for which the receiver would be waited for
def test_a_receiver_that_never_answers_holds_up_nobody(receiver: Receiver) -> None:
    receiver.gate.clear()
    notes: list[str] = []
    webhook = hook(receiver.url, notes.append, timeout=60.0)
    for _ in range(100):
        webhook.send("stalled")
    webhook.close(timeout=0.05)

    assert not receiver.gate.is_set()
    assert len(receiver.messages) <= 1  # the others are dropped, not sent once it answers
    assert notes == []


@pytest.mark.parametrize("url", ["hooks.example.org/x", "ftp://host/x", "http://", "http://[", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SpecError, match="begin with http:// or https://"):
        hook(url)


class Told:
    """Stalls on a clock that is set by hand, and what it told."""

    def __init__(self, seconds: float | None) -> None:
        self.now, self.heard = 0.0, list[str]()
        self.stalls = StallWatch(
            lambda silence: self.heard.append(f"stalled {silence:g}"),
            lambda: self.heard.append("resumed"),
            seconds,
            clock=lambda: self.now,
        )

    def at(self, now: float, *, epoch: bool = False) -> None:
        self.now = now
        if epoch:
            self.stalls.moved()
        self.stalls.check()


def test_silence_is_told_once_until_an_epoch_comes() -> None:
    told = Told(60.0)
    for now in (10, 59, 60, 90, 500):
        told.at(now)
    assert told.heard == ["stalled 60"]
    told.at(510, epoch=True)
    told.at(560)
    assert told.heard == ["stalled 60", "resumed"]
    told.at(570)
    assert told.heard == ["stalled 60", "resumed", "stalled 60"]


def test_epochs_that_come_in_time_are_nothing_to_tell() -> None:
    told = Told(60.0)
    for now in range(0, 600, 30):
        told.at(now, epoch=True)
    assert told.heard == []


def test_silence_is_measured_by_the_longest_epoch() -> None:
    told = Told(None)
    told.at(epoch_limit(None) - 1)
    assert told.heard == []
    told.stalls.moved(100.0)
    told.stalls.moved(40.0)
    start = told.now
    told.at(start + 100 * LIMIT_FACTOR - 1)
    assert told.heard == []
    told.at(start + 100 * LIMIT_FACTOR)
    assert told.heard == [f"stalled {100 * LIMIT_FACTOR:g}"]


def test_a_thread_notices_silence_by_itself() -> None:
    heard = threading.Event()
    stalls = StallWatch(lambda silence: heard.set(), lambda: None, 0.05)
    with stalls.watching():
        assert heard.wait(60)


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(SpecError, match="above 0 s"):
        StallWatch(lambda silence: None, lambda: None, 0.0)


def searching(done: int, part: str = "") -> Progress:
    return Progress(
        message=SEARCHING, done=done, part=part, best_error=2.5, best_trial=1, unit="mm"
    )


def test_the_end_of_a_search_is_told_with_what_it_came_to(receiver: Receiver) -> None:
    heard: list[Progress] = []
    with notified(receiver.url, "runs/a", "hc18", heard.append) as listen:
        for done in range(4):
            listen(searching(done))
    (message,) = receiver.messages
    facts = [message[key] for key in ("event", "trials", "best_error", "best_trial", "unit")]
    assert facts == ["ended", 3, 2.5, 1, "mm"]
    assert [progress.done for progress in heard] == [0, 1, 2, 3]


def test_errors_of_several_datasets_are_not_mixed(receiver: Receiver) -> None:
    with notified(receiver.url, "runs/a", "hc18, ixi", lambda progress: None) as listen:
        listen(searching(3, "hc18 (1 of 2)"))
        listen(searching(4, "ixi (2 of 2)"))
    (message,) = receiver.messages
    assert (message["trials"], message["best_error"]) == (7, None)


@pytest.mark.parametrize(
    ("error", "event", "reason"),
    [
        (KeyboardInterrupt(), "interrupted", None),
        (SearchFailedError("all trials failed"), "failed", "all trials failed"),
        (RuntimeError(), "failed", "RuntimeError"),
    ],
)
def test_an_error_is_told_and_goes_its_way(
    receiver: Receiver, error: BaseException, event: str, reason: str | None
) -> None:
    def search() -> None:
        with notified(receiver.url, "runs/a", "hc18", lambda progress: None) as listen:
            listen(searching(1))
            raise error

    with pytest.raises(type(error)):
        search()
    (message,) = receiver.messages
    assert (message["event"], message["reason"]) == (event, reason)


def test_a_search_that_stalls_and_goes_on_tells_both(receiver: Receiver) -> None:
    with notified(receiver.url, "a", "hc18", lambda progress: None, stall=0.05) as listen:
        listen(Progress(message="preparing images"))
        listen(searching(0))
        wait_for(lambda: len(receiver.messages) == 1)
        listen(searching(1))
        wait_for(lambda: len(receiver.messages) >= 2)
    assert [m["event"] for m in receiver.messages[:2]] == ["stalled", "resumed"]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_a_webhook_the_listener_stays_as_it_is() -> None:
    heard: list[Progress] = []
    listener = heard.append
    with notified(None, "runs/a", "hc18", listener) as listen:
        assert listen == listener
