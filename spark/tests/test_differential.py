"""The distributed engine gives the cells that the reference engine gives: in all cases, and in random jobs.

`python3 -m local test-spark` makes the jobs and runs this. A random job is replayed by its number:
`TIEOUT_SEED=<number> TIEOUT_JOBS=1`.
"""

from __future__ import annotations

import os
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

from pyspark.sql import functions

from tests.support import WORKERS, Tasks, session
from tieout_spark import chains, engine, frames, plain, reading, writing
from tieout_spark.frames import Frames

# What changes the way of a task, from which size on; and a bound that all are above.
LARGE_FROM: list[tuple[Any, str, int]] = [
    (frames, "RELATIONS_MAX", 3),
    (frames, "PYTHONS_MAX", 1),
    (chains, "FOLDED_MAX", 2),
    (writing, "SORTED_ALONE_BYTES_MAX", -1),
    (reading, "PLAIN_BYTES_MIN", 0),
]


class Differential(unittest.TestCase):
    tasks: Tasks

    @classmethod
    def setUpClass(cls) -> None:
        cls.tasks = Tasks(session(), Path(os.environ["TIEOUT_JOBS_FOLDER"]))

    def problems(self, names: list[str]) -> list[str]:
        """What is wrong with those tasks."""
        with ThreadPoolExecutor(WORKERS) as pool:
            found = zip(names, pool.map(self.tasks.problem, names))
        return [f"{name}: {problem}" for name, problem in found if problem]

    def test_cells_and_failures_are_those_of_the_reference(self) -> None:
        self.assertGreater(len(self.tasks.names), 100)
        problems = self.problems(self.tasks.names)
        self.assertFalse(problems, f"{len(problems)} of {len(self.tasks.names)} tasks:\n" + "\n".join(problems))

    def test_cells_are_the_same_where_all_is_treated_as_large(self) -> None:
        """Short sections, rows that are not sent around and are sorted into several parts, CSV that Spark takes apart
        by itself."""
        names = [name for index, name in enumerate(self.tasks.names) if index % 3 == 0 or self.moves_rows(name)]
        for setting, value in (("spark.sql.autoBroadcastJoinThreshold", "-1"), ("spark.sql.shuffle.partitions", "4")):
            self.addCleanup(self.tasks.spark.conf.set, setting, self.tasks.spark.conf.get(setting))
            self.tasks.spark.conf.set(setting, value)
        for module, bound, low in LARGE_FROM:
            patch = mock.patch.object(module, bound, low)
            patch.start()
            self.addCleanup(patch.stop)
        with mock.patch.object(plain, "read_plain", side_effect=plain.read_plain) as inputs:
            self.assertEqual(self.problems(names), [])
        self.assertGreater(inputs.call_count, len(names) // 4)

    def moves_rows(self, name: str) -> bool:
        """Whether a task is a case whose rows are moved to each other, or into an order."""
        relations = self.tasks.read("tasks", name)["plan"]["relations"]
        kinds = {relation["body"]["kind"] for relation in relations}
        return name.startswith("case-sort") or (name.startswith("case") and not kinds.isdisjoint(("join", "match")))

    def test_exact_arithmetic_gives_the_same(self) -> None:
        operations = ("add", "multiply", "divide", "variance", "averageIfs", "groupBy")
        names = [name for name in self.tasks.names if name.startswith(tuple(f"case-{one}-" for one in operations))]

        def exactly(spark: Any, store: Any, task: Any, exact: bool) -> Frames:
            return Frames(spark, store, task, True)

        with mock.patch.object(engine, "Frames", exactly):
            self.assertEqual(self.problems(names), [])

    def test_a_wrong_rule_is_noticed(self) -> None:
        """The comparison proves something only if it fails where an engine is wrong."""
        rounds = [name for name in self.tasks.names if name.startswith(("case-divide", "case-round"))]
        with mock.patch("tieout_spark.arithmetic.rounded", lambda sql, scale, kind, rounding: sql):
            self.assertTrue(self.problems(rounds))
        sorts = [name for name in self.tasks.names if name.startswith("case-sort")]
        with mock.patch.object(writing, "key_of", lambda key: functions.col(f"c{key['column']}").asc()):
            self.assertTrue(self.problems(sorts))


if __name__ == "__main__":
    unittest.main()
