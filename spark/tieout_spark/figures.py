"""What Spark knows of the work that it has done."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple

from pyspark.sql import SparkSession

PATIENCE_MILLISECONDS = 60_000
# How Spark says that it gave an executor back itself, which it does to none that holds anything.
GIVEN_BACK = "killed by driver"


class Work(NamedTuple):
    """What was done to write an output."""

    # How many rows each partition has written.
    rows: Dict[int, int]
    # The most memory that a stage held, and what was written to disk because it was short.
    memory_bytes: int
    spilled_bytes: int


class Figures:
    """The stages that Spark has run since these were made, each as often as it was tried. Spark keeps the last of them
    and forgets the others: they are looked at whenever an output has been written."""

    def __init__(self, session: SparkSession) -> None:
        self.context: Any = session.sparkContext._jsc.sc()
        self.tracker = session.sparkContext.statusTracker()
        self.none: Any = session._jvm.java.util.ArrayList()
        self.quantiles: Any = session.sparkContext._gateway.new_array(session._jvm.double, 0)
        self.begun = next((int(stage.stageId()) for stage in self.newest()), -1)
        # The newest stage that was looked at.
        self.known = self.begun
        # Whether work was done twice.
        self.twice = False

    def work(self, group: str, kept: bool) -> Work:
        """What was done for a group of jobs that has just ended. `kept`: whether rows were to be kept for later."""
        # Until all that has happened is known.
        self.context.listenerBus().waitUntilEmpty(PATIENCE_MILLISECONDS)
        self.twice = self.repeated(kept) or self.twice
        stages = self.stages(group)
        peak = max((int(stage.peakExecutionMemory()) for stage in stages), default=0)
        return Work(self.rows_written(stages), peak, sum(int(stage.diskBytesSpilled()) for stage in stages))

    def newest(self) -> Iterator[Any]:
        """Every attempt at every stage, the last first."""
        return each(self.context.statusStore().stageList(self.none, False, False, self.quantiles, self.none))

    def repeated(self, kept: bool) -> bool:
        """Whether work was done twice whose result had been lost with an executor: what Spark counts meanwhile, it has
        then counted twice. Nobody knows it of a stage that Spark has forgotten."""
        found = set()
        for stage in self.newest():
            number = int(stage.stageId())
            if number <= self.begun:
                break
            if stage.attemptId() > 0 or stage.numCompleteTasks() > stage.numTasks():
                return True
            found.add(number)
        before, self.known = self.known, max(found, default=self.known)
        if not found.issuperset(range(before + 1, self.known + 1)):
            return True
        return kept and any(lost(executor) for executor in each(self.context.statusStore().executorList(False)))

    def stages(self, group: str) -> List[Any]:
        """All attempts at the stages of a group of jobs."""
        infos = [self.tracker.getJobInfo(job) for job in self.tracker.getJobIdsForGroup(group)]
        numbers = sorted({stage for info in infos if info is not None for stage in info.stageIds})
        return [attempt for number in numbers for attempt in self.attempts(number)]

    def attempts(self, number: int) -> List[Any]:
        """All attempts at a stage, in order."""
        store = self.context.statusStore()
        return list(each(store.stageData(number, False, self.none, False, self.quantiles)))

    def rows_written(self, stages: List[Any]) -> Dict[int, int]:
        """How many rows each partition of that stage has written that writes. A partition is committed once, whichever
        attempt at the stage it was of, and however many tasks there were for it."""
        rows = {}
        for stage in stages:
            if stage.outputRecords() == 0:
                continue
            for task in each(self.context.statusStore().taskList(stage.stageId(), stage.attemptId(), 2**31 - 1)):
                if str(task.status()) == "SUCCESS" and task.taskMetrics().isDefined():
                    written = int(task.taskMetrics().get().outputMetrics().recordsWritten())
                    rows[int(task.partitionId())] = written
        return rows


def each(found: Any) -> Iterator[Any]:
    """What a sequence of Scala's holds."""
    return (found.apply(position) for position in range(found.size()))


def lost(executor: Any) -> bool:
    """Whether an executor ended without being asked to."""
    if executor.isActive():
        return False
    reason = executor.removeReason()
    return not (reason.isDefined() and GIVEN_BACK in str(reason.get()))
