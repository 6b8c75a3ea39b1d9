"""Interrupts: kept while they would do harm, raised when checked for, never lost."""

from __future__ import annotations

import os
import signal

import pytest

from supremix.cluster.interrupts import Interrupts

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def ctrl_c_is_on() -> object:
    # A test run in a shell's background has it off.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_is_raised_at_once_unless_it_is_deferred(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts().handled():
        send(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_deferred_interrupt_is_raised_by_a_check(number: signal.Signals) -> None:
    interrupts, done = Interrupts(), list[str]()
    with interrupts.handled(), interrupts.deferred():
        send(number)
        done.append("the write that was under way")
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        interrupts.check()  # once is enough
    assert done


def test_an_interrupt_that_is_not_checked_for_is_raised_at_the_end() -> None:
    interrupts, done = Interrupts(), list[str]()

    def work() -> None:
        with interrupts.handled(), interrupts.deferred():
            send(signal.SIGINT)
            done.append("the write that was under way")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done


def test_a_second_interrupt_is_raised_at_once() -> None:
    interrupts, done = Interrupts(), list[str]()
    with interrupts.handled(), interrupts.deferred():
        send(signal.SIGINT)
        done.append("the first one kept")
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert done


def test_the_hosts_handlers_are_left_as_they_were() -> None:
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts().handled():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    signal.signal(signal.SIGINT, ignored)
