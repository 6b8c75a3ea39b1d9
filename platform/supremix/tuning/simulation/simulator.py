"""A search on a virtual clock: the real studies and ledgers, on simulated worker groups.

Discrete events stand for Ray: a free worker group asks for a proposal and trains it epoch by epoch,
each taking the seconds that its `CurveModel` says, times the worker group's own pace. Nothing is
trained, so that days of a thousand worker groups pass in minutes. As on the real backend

- a worker group asks when it is free; where it has to wait, it idles until an epoch is observed,
- a trial that is stopped frees its worker group at that moment; one that a decision is awaited on
  trains on, and those epochs cost their time whether they count in the end or not,
- a worker group that dies takes up its trial after the last whole epoch once it is back.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from time import process_time

from supremix.errors import SearchFailedError
from supremix.tuning.simulation.cluster import SimulatedCluster, SimulationReport
from supremix.tuning.simulation.curves import Curve
from supremix.tuning.simulation.simulated_study import SimulatedStudy
from supremix.tuning.study.budget import Clock
from supremix.tuning.study.config import WAIT, Proposal
from supremix.tuning.study.scheduler import ScheduledStudy, StudyScheduler
from supremix.tuning.study.study import Study


@dataclass(slots=True)
class _Job:
    """A trial on a worker group."""

    index: int
    number: int
    curve: Curve
    epoch: int


@dataclass(slots=True, eq=False)
class _WorkerGroup:
    pace: float
    job: _Job | None = None
    since: float = 0.0  # when the present epoch, absence or idleness began
    seconds: float = 0.0  # of the present epoch, without what is around it
    turn: int = 0  # of the epoch that is awaited; another one's end was cut off by a death
    dead: bool = False


class _VirtualClock(Clock):
    """A study's clock that shows the simulated time, after the seconds of earlier sessions."""

    def __init__(self, used: float, time: Callable[[], float]) -> None:
        super().__init__(used)
        self._time = time

    def start(self, ago: float = 0.0) -> None:
        """Nothing to do: virtual time passes by itself."""

    def now(self) -> float:
        """Seconds used so far."""
        return self._used + self._time()


_EPOCH, _DEATH, _RETURN = range(3)


class Simulation:
    """Runs studies on simulated worker groups.

    Args:
        studies: The studies with their curves; their clocks are made to show virtual time.
        cluster: The worker groups that train.
        concurrent: Studies that run at the same time, at least 1; None for all.
    """

    def __init__(
        self,
        studies: Sequence[SimulatedStudy],
        cluster: SimulatedCluster,
        concurrent: int | None = None,
    ) -> None:
        self.studies, self.now, self.report = studies, 0.0, SimulationReport()
        self.scheduler = StudyScheduler(
            [ScheduledStudy(partial(self._open, one)) for one in studies],
            concurrent or len(studies),
        )
        self._cluster, self._random = cluster, random.Random(cluster.seed)
        self._worker_groups = [
            _WorkerGroup(cluster.paces[i % len(cluster.paces)])
            for i in range(cluster.worker_groups)
        ]
        self._idle, self._busy = deque(self._worker_groups), 0
        self._heap: list[tuple[float, int, int, int, _WorkerGroup]] = []
        self._order = count()
        self._wait = self._over = False
        self._last = 0.0  # when the latest proposal was given
        for worker_group in self._worker_groups:
            self._fate(worker_group)

    def run(self, until: Callable[[], bool] = lambda: False) -> SimulationReport:
        """Let time pass until nothing is left to do.

        Args:
            until: Called after every event; True ends the run early.

        Raises:
            SearchFailedError: Every worker group waits, and no trial runs that could end the
                waiting.
        """
        self._serve()
        while self._heap and not (self._over and not self._busy) and not until():
            if self._wait and not self._busy:
                raise SearchFailedError(
                    "every simulated worker group waits and no trial runs: the study waits for a "
                    "trial that nobody trains. This is a fault of the search; please report it."
                )
            self.now, _, kind, turn, worker_group = heapq.heappop(self._heap)
            (self._epoch_done, self._death, self._return)[kind](worker_group, turn)
            self._serve()
        self._close()
        return self.report

    def _open(self, one: SimulatedStudy) -> Study:
        study = one.begin()
        study.clock = _VirtualClock(study.clock.now(), lambda: self.now)
        return study

    @property
    def idle(self) -> int:
        """Worker groups that are alive and train nothing at the moment."""
        return len(self._idle)

    def _serve(self) -> None:
        """Hand out proposals until there is no worker group or no proposal left."""
        while self._idle and not (self._wait or self._over):
            begin = process_time()
            answer = self.scheduler.ask()
            took = process_time() - begin
            if isinstance(answer, tuple):
                self.report.asking.append(took)
                self._start(self._idle.popleft(), *answer)
                continue
            self._wait, self._over = answer is WAIT, answer is None
            self.report.refusals += 1
            self.report.refusing += took

    def _start(self, worker_group: _WorkerGroup, index: int, proposal: Proposal) -> None:
        self._pass(worker_group)
        self._last = self.now
        curve = self.studies[index].model.rows(proposal.config, proposal.seed)
        worker_group.job = _Job(index, proposal.number, curve, proposal.epoch)
        self._busy += 1
        self._train(worker_group, worker_group.job, setup=self._cluster.setup)

    def _train(self, worker_group: _WorkerGroup, job: _Job, setup: float = 0.0) -> None:
        seconds = job.curve[job.epoch][1] * worker_group.pace
        if self._cluster.jitter:
            seconds *= math.exp(self._random.gauss(0.0, self._cluster.jitter))
        worker_group.turn += 1
        worker_group.seconds = seconds
        whole = setup + seconds + self._cluster.save
        self._later(whole, _EPOCH, worker_group, worker_group.turn)

    def _epoch_done(self, worker_group: _WorkerGroup, turn: int) -> None:
        job = worker_group.job
        if turn != worker_group.turn or job is None:
            return
        self._pass(worker_group)
        error = job.curve[job.epoch][0]
        job.epoch += 1
        self.report.epochs += 1
        row = {"epoch": job.epoch, "stage": "regress", "error": error}
        row["seconds"] = worker_group.seconds
        begin = process_time()
        stop = self.scheduler.observe(job.index, job.number, row, len(job.curve))
        self.report.observing.append(process_time() - begin)
        self.studies[job.index].look(self.now, self.report.epochs)
        self._wait = False
        if stop:
            worker_group.job = None
            self._busy -= 1
            self._idle.append(worker_group)
        else:
            self._train(worker_group, job)

    def _death(self, worker_group: _WorkerGroup, _: int) -> None:
        self._pass(worker_group)
        worker_group.dead, worker_group.turn = True, worker_group.turn + 1
        if worker_group.job is None:
            self._idle.remove(worker_group)
        self._later(self._cluster.away, _RETURN, worker_group)

    def _return(self, worker_group: _WorkerGroup, _: int) -> None:
        self._pass(worker_group)
        worker_group.dead = False
        self._fate(worker_group)
        if worker_group.job is None:
            self._idle.append(worker_group)
        else:
            self._train(worker_group, worker_group.job)

    def _fate(self, worker_group: _WorkerGroup) -> None:
        if self._cluster.dies_after is not None:
            seconds = self._random.expovariate(1.0 / self._cluster.dies_after)
            self._later(seconds, _DEATH, worker_group)

    def _later(self, seconds: float, kind: int, worker_group: _WorkerGroup, turn: int = 0) -> None:
        heapq.heappush(
            self._heap, (self.now + seconds, next(self._order), kind, turn, worker_group)
        )

    def _pass(self, worker_group: _WorkerGroup) -> None:
        """Book the worker group's time since it was last looked at."""
        span, report = self.now - worker_group.since, self.report
        if worker_group.dead:
            report.away += span
        elif worker_group.job is not None:
            report.busy += span
        else:
            report.waiting += span
        worker_group.since = self.now

    def _close(self) -> None:
        for worker_group in self._worker_groups:
            if worker_group.job is None and not worker_group.dead:
                over = self.now - max(self._last, worker_group.since)
                self.report.drained += over
                self.report.waiting -= over
            self._pass(worker_group)
        whole = self.now * len(self._worker_groups)
        self.report.seconds = self.now
        if whole > 0:
            for name in ("busy", "waiting", "away", "drained"):
                setattr(self.report, name, getattr(self.report, name) / whole)
