"""What is counted and found while Spark runs, without a run of its own unless work was lost and done again."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from functools import reduce
from typing import Any, Dict, List, Optional, Tuple

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as f

PATIENCE_SECONDS = 60


@dataclass
class Watch:
    """Rows of a relation that are watched."""

    relation: int
    observation: Observation
    # The rows, and what is found out about them.
    data: DataFrame
    columns: List[Column]
    found: Optional[Dict[str, Any]] = None

    def get(self) -> Dict[str, Any]:
        """What was found: known soon after the rows have been written."""
        if self.found is None:
            # Waiting has no bound of its own.
            thread = threading.Thread(target=self._wait, daemon=True)
            thread.start()
            thread.join(PATIENCE_SECONDS)
        if self.found is None:
            raise RuntimeError(f"nothing was found out about the rows of relation {self.relation}")
        return self.found

    def find_in(self, query: Any) -> None:
        """Looks for it in a query that was run as part of another, of which Spark does not tell by itself."""
        self.observation._jo.onFinish(query)

    def _wait(self) -> None:
        self.found = self.observation.get

    def fault(self) -> Optional[Dict[str, Any]]:
        """The first fault."""
        text = self.get().get("fault")
        fault: Optional[Dict[str, Any]] = None if text is None else json.loads(text)
        return fault


class Watches:
    """All that is watched of a task."""

    def __init__(self) -> None:
        self.all: List[Watch] = []

    def watch(self, data: DataFrame, relation: int, faulty: bool, *others: Column) -> Tuple[DataFrame, Watch]:
        """The same rows, counted; and the first of their faults."""
        observation = Observation()
        columns = [f.count(f.lit(1)).alias("rows"), *others]
        if faulty:
            columns.append(f.expr("to_json(min(`#fault`))").alias("fault"))
        watch = Watch(relation, observation, data, columns)
        self.all.append(watch)
        return data.observe(observation, *columns), watch

    def first_fault(self) -> Optional[Dict[str, Any]]:
        """The fault of the first relation that has one."""
        faults = [fault for fault in (watch.fault() for watch in self.all) if fault is not None]
        return min(
            faults, key=lambda fault: (fault["relation"], fault.get("object", -1), fault.get("row", -1)), default=None
        )


def count_again(watches: List[Watch]) -> None:
    """Finds all of it by one run of its own, whose result has each row once, whatever Spark had to repeat.
    What Spark observes on the way is counted each time that it is done."""
    found = [
        watch.data.agg(*watch.columns).select(f.lit(number), f.to_json(f.struct("*"), {"ignoreNullFields": "false"}))
        for number, watch in enumerate(watches)
    ]
    for number, text in reduce(DataFrame.unionAll, found).collect():
        watches[number].found = json.loads(text)
