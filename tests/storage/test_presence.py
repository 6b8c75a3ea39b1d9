"""Whether a remote holder is alive is told by its signs of life, not by any clock but one's own."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from supremix.storage.liveness import Liveness
from supremix.storage.paths import discard, to_path, write_bytes


class Room:
    """A run folder in memory whose holder gives signs of life at set times; time is a number."""

    def __init__(self) -> None:
        self.path = to_path(f"memory://{uuid.uuid4().hex}/run")
        self.now = 0.0
        self.beat: Callable[[float], str | None] = lambda now: None
        self.presence = Liveness(self.path, stale=15.0, clock=lambda: self.now, sleep=self.sleep)
        self.slept = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.at(self.now + seconds)

    def at(self, now: float) -> None:
        self.now = now
        sign = self.beat(now)
        if sign is None:
            discard(self.path / ".lock")
        else:
            write_bytes(self.path / ".lock", sign.encode())

    def look(self, now: float) -> bool:
        self.at(now)
        return self.presence.look()


@pytest.fixture
def room() -> Room:
    return Room()


def test_a_folder_without_a_lock_is_nobodys_at_once(room: Room) -> None:
    assert not room.look(0.0)
    assert room.slept == 0.0


def test_a_first_look_waits_for_the_next_sign_of_life_only(room: Room) -> None:
    room.beat = lambda now: str(now // 3)
    assert room.look(1.0)
    assert room.slept <= 3.5


def test_a_lock_left_by_a_killed_driver_is_dead_after_its_time(room: Room) -> None:
    room.beat = lambda now: "the last one"
    assert not room.look(0.0)
    assert room.slept == pytest.approx(15.0, abs=1.0)


def test_later_looks_do_not_wait(room: Room) -> None:
    room.beat = lambda now: str(now // 3)
    room.look(0.0)
    waited = room.slept
    assert room.look(10.0)
    room.beat = lambda now: "killed"
    assert room.look(13.0)  # that was one more change
    assert room.look(20.0)
    assert not room.look(28.1)
    room.beat = lambda now: None
    assert not room.look(29.0)
    assert room.slept == waited


def test_a_driver_that_comes_back_is_seen(room: Room) -> None:
    room.beat = lambda now: "killed"
    assert not room.look(0.0)
    room.beat = lambda now: f"new {now // 3}"
    assert room.look(30.0)
