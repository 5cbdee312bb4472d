"""What Spark knows of the work that it has done."""

from __future__ import annotations

from typing import Any, Dict, List

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

PATIENCE_MILLISECONDS = 60_000


class Figures:
    """The stages of groups of Spark's jobs."""

    def __init__(self, session: SparkSession) -> None:
        self.context: Any = session.sparkContext._jsc.sc()
        self.tracker = session.sparkContext.statusTracker()

    def settle(self) -> None:
        """Waits until all that has happened is known."""
        self.context.listenerBus().waitUntilEmpty(PATIENCE_MILLISECONDS)

    def stages(self, groups: List[str]) -> List[Any]:
        """The stages of groups, but for those that were not run because others had done their work."""
        jobs = [job for group in groups for job in self.tracker.getJobIdsForGroup(group)]
        infos = [self.tracker.getJobInfo(job) for job in jobs]
        numbers = sorted({stage for info in infos if info is not None for stage in info.stageIds})
        return [stage for stage in map(self.stage, numbers) if stage is not None]

    def stage(self, number: int) -> Any:
        """A stage, if it was run."""
        try:
            return self.context.statusStore().lastStageAttempt(number)
        except Py4JJavaError:
            return None

    def rows_written(self, group: str) -> Dict[int, int]:
        """How many rows each task of the group's stage that writes has written."""
        rows = {}
        for stage in self.stages([group]):
            if stage.outputRecords() == 0:
                continue
            tasks = self.context.statusStore().taskList(stage.stageId(), stage.attemptId(), 2**31 - 1)
            for task in (tasks.apply(position) for position in range(tasks.size())):
                if str(task.status()) == "SUCCESS" and task.taskMetrics().isDefined():
                    rows[int(task.index())] = int(task.taskMetrics().get().outputMetrics().recordsWritten())
        return rows

    def memory(self, groups: List[str]) -> Dict[str, int]:
        """The most memory that a stage of the groups held, and what they wrote to disk because it was short."""
        stages = self.stages(groups)
        peak = max((int(stage.peakExecutionMemory()) for stage in stages), default=0)
        return {"peakMemoryBytes": peak, "spilledBytes": sum(int(stage.diskBytesSpilled()) for stage in stages)}
