"""Several studies on the same worker groups: which of them gets a group that is free."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from supremix.tuning.ledger.records import State
from supremix.tuning.study.config import WAIT, Proposal, Wait
from supremix.tuning.study.study import Study

GROUPS_PER_STUDY = 4
"""Worker groups that one study makes good use of; with more, the next study begins as well."""


def concurrent_studies(worker_groups: int, studies: int, *, warm_start: bool) -> int:
    """The number of studies that run at the same time.

    Studies that start from each other's results come one after the other as far as the worker
    groups allow, see `overlapping_studies`. Others all run at once.
    """
    return max(1, min(studies, overlapping_studies(worker_groups))) if warm_start else studies


def overlapping_studies(worker_groups: int) -> int:
    """The number of studies of a sequence that run at the same time.

    As many as make good use of the worker groups, and one more, so that the last trials of one
    leave no worker group idle; at most one a group. It does not depend on the number of studies.
    """
    return min(worker_groups, math.ceil(worker_groups / GROUPS_PER_STUDY) + 1)


def parallel_trials(worker_groups: int, concurrent: int) -> int:
    """Trials that one of `concurrent` studies runs at once.

    Twice its share of the worker groups, since it may get those of others.
    """
    return min(worker_groups, 2 * math.ceil(worker_groups / concurrent))


class ScheduledStudy:
    """A study that is opened when its turn has come.

    Args:
        open: Makes the study.
    """

    def __init__(self, open: Callable[[], Study]) -> None:  # noqa: A002
        self._open = open
        self.running = 0
        """Trials of it that occupy a worker group."""
        self.study: Study | None = None

    def begin(self) -> Study:
        """The study; made by the first call."""
        if self.study is None:
            self.study = self._open()
        return self.study


class StudyScheduler:
    """Hands worker groups to studies: the one with the fewest gets the next.

    Study k begins when the trials of study k - `concurrent` have ended, a rule that no timing
    changes; what it starts from is thus always the same.

    Args:
        scheduled: The studies, in their order.
        concurrent: Studies that run at the same time, at least 1.
    """

    def __init__(self, scheduled: Sequence[ScheduledStudy], concurrent: int) -> None:
        self.scheduled = tuple(scheduled)
        self._concurrent = concurrent

    @property
    def studies(self) -> list[Study]:
        """The studies that have begun."""
        return [one.study for one in self.scheduled if one.study is not None]

    @property
    def ended(self) -> bool:
        """Whether nothing is left to be proposed and nothing runs."""
        return len(self.studies) == len(self.scheduled) and all(s.ended for s in self.studies)

    def ask(self) -> tuple[int, Proposal] | Wait | None:
        """The next trial to run and the index of its study.

        Returns:
            `WAIT` when a running trial has to report first; None when there will be no more.
        """
        waiting = False
        for index in self._by_need():
            proposal = self.scheduled[index].begin().ask()
            if isinstance(proposal, Proposal):
                self.scheduled[index].running += 1
                return index, proposal
            waiting |= proposal is WAIT
        return WAIT if waiting or len(self.studies) < len(self.scheduled) else None

    def observe(self, index: int, number: int, row: Mapping[str, Any], total: int) -> bool:
        """Take an epoch's row of a trial; says whether it is to stop, as `Study.observe`."""
        stop = self.scheduled[index].begin().observe(number, row, total)
        self.scheduled[index].running -= stop
        return stop

    def finish(self, index: int, number: int, state: State, reason: str | None = None) -> None:
        """End a trial that occupies a worker group."""
        self.scheduled[index].running -= 1
        self.scheduled[index].begin().finish(number, state, reason)

    def _by_need(self) -> list[int]:
        ready = [index for index in range(len(self.scheduled)) if self._may_begin(index)]
        return sorted(ready, key=lambda index: (self.scheduled[index].running, index))

    def _may_begin(self, index: int) -> bool:
        former = index - self._concurrent
        if self.scheduled[index].study is not None or former < 0:
            return True
        study = self.scheduled[former].study
        return study is not None and study.searched
