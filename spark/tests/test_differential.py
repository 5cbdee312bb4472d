"""The distributed engine gives the cells that the reference engine gives: in all cases, and in random jobs.

`python3 -m local test-spark` makes the jobs and runs this. A random job is replayed by its number:
`TIEOUT_SEED=<number> TIEOUT_JOBS=1`.
"""

from __future__ import annotations

import json
import os
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

from pyspark.sql import functions

from tests.support import WORKERS, Tasks, session
from tieout_spark import engine, frames, plain, reading, writing
from tieout_spark.frames import Frames


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

    def test_rows_are_sorted_over_several_parts(self) -> None:
        names = [name for name in self.tasks.names if name.startswith(("case-sort", "case-join", "case-sumIfs"))]
        with mock.patch.object(writing, "SORTED_ALONE_BYTES_MAX", -1):
            self.assertEqual(self.problems(names), [])

    def test_joins_of_what_is_too_large_to_be_sent_around_give_the_same(self) -> None:
        def joins(name: str) -> bool:
            relations = self.tasks.read("tasks", name)["plan"]["relations"]
            return any(relation["body"]["kind"] in ("join", "match") for relation in relations)

        names = [name for name in self.tasks.names if joins(name)]
        self.assertGreater(len(names), 50)
        for setting, value in (("spark.sql.autoBroadcastJoinThreshold", "-1"), ("spark.sql.shuffle.partitions", "4")):
            self.addCleanup(self.tasks.spark.conf.set, setting, self.tasks.spark.conf.get(setting))
            self.tasks.spark.conf.set(setting, value)
        with mock.patch.object(writing, "SORTED_ALONE_BYTES_MAX", -1):
            self.assertEqual(self.problems(names), [])

    def test_jobs_that_are_planned_in_short_sections_give_the_same(self) -> None:
        names = [name for name in self.tasks.names if name.startswith("random")]
        bounds = mock.patch.multiple(frames, RELATIONS_MAX=3, FOLDED_MAX=2, PYTHONS_MAX=1)
        with bounds:
            self.assertEqual(self.problems(names[::3]), [])

    def test_csv_that_spark_reads_by_itself_gives_the_same(self) -> None:
        names = [name for name in self.tasks.names if '"csv":' in json.dumps(self.tasks.read("tasks", name))]
        self.assertGreater(len(names), 100)
        swift = mock.patch.object(plain, "read_plain", side_effect=plain.read_plain)
        with mock.patch.object(reading, "PLAIN_BYTES_MIN", 0), swift as inputs:
            self.assertEqual(self.problems(names[::4]), [])
        self.assertGreater(inputs.call_count, len(names[::4]) // 4)

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
