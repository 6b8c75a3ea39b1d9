"""Several studies on the same worker groups: which of them gets a group that has become free."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from supremix.tuning.ledger.records import State
from supremix.tuning.study.config import WAIT, Proposal, Wait
from supremix.tuning.study.study import Study

GANGS_A_STUDY = 4
"""Worker groups that one study makes good use of; with more, the next study begins beside it."""


def lanes(worker_groups: int, studies: int, *, learning: bool) -> int:
    """How many studies are worked on at the same time.

    Studies that learn from each other come one after the other as far as the worker groups allow,
    so that the later ones have something to learn from, see `in_turn`. Others all run at once.
    """
    return max(1, min(studies, worker_groups, in_turn(worker_groups))) if learning else studies


def in_turn(worker_groups: int) -> int:
    """How many studies that come one after the other are worked on at the same time.

    As many as make good use of the worker groups, and one more, so that the last trials of one
    leave no worker group idle. It does not depend on the number of studies.
    """
    return math.ceil(worker_groups / GANGS_A_STUDY) + 1


def trials_at_once(worker_groups: int, lanes: int) -> int:
    """What a study reckons with: twice its share of the groups, for it may get those of others."""
    return min(worker_groups, 2 * math.ceil(worker_groups / lanes))


class Part:
    """One study of a campaign.

    Args:
        open: Makes the study, when its turn has come.
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

    Study k begins when the trials of study k - `lanes` have ended, a rule that no timing changes;
    what it learns from them is thus always the same.

    Args:
        parts: The studies, in their order.
        lanes: Studies worked on at the same time.
    """

    def __init__(self, parts: Sequence[Part], lanes: int) -> None:
        self.parts = tuple(parts)
        self._lanes = lanes

    @property
    def studies(self) -> list[Study]:
        """Those that have begun."""
        return [part.study for part in self.parts if part.study is not None]

    @property
    def ended(self) -> bool:
        """Whether nothing is left to be proposed and nothing runs."""
        return len(self.studies) == len(self.parts) and all(s.ended for s in self.studies)

    def ask(self) -> tuple[int, Proposal] | Wait | None:
        """The next trial to run and the index of its study.

        Returns:
            `WAIT` when a running trial has to tell first; None when there will be no more.
        """
        waiting = False
        for index in self._by_need():
            proposal = self.parts[index].begin().ask()
            if isinstance(proposal, Proposal):
                self.parts[index].running += 1
                return index, proposal
            waiting |= proposal is WAIT
        return WAIT if waiting or len(self.studies) < len(self.parts) else None

    def observe(self, index: int, number: int, row: Mapping[str, Any], total: int) -> bool:
        """Take an epoch's row of a trial; says whether it is to stop, as `Study.observe`."""
        stop = self.parts[index].begin().observe(number, row, total)
        self.parts[index].running -= stop
        return stop

    def finish(self, index: int, number: int, state: State, reason: str | None = None) -> None:
        """End a trial that occupies a worker group."""
        self.parts[index].running -= 1
        self.parts[index].begin().finish(number, state, reason)

    def _by_need(self) -> list[int]:
        ready = [index for index in range(len(self.parts)) if self._may_begin(index)]
        return sorted(ready, key=lambda index: (self.parts[index].running, index))

    def _may_begin(self, index: int) -> bool:
        former = index - self._lanes
        if self.parts[index].study is not None or former < 0:
            return True
        study = self.parts[former].study
        return study is not None and study.searched
