"""Joins: what Spark need not look at for a join is looked at all the same."""

from __future__ import annotations

import unittest
from typing import Any, Dict, Iterable, List

from tests.support import FolderTest, put_parquet
from tieout_spark import engine

Json = Dict[str, Any]
# Keys on the left end here.
LAST = 50


def column(number: int) -> Json:
    return {"kind": "column", "id": number, "type": "integer"}


def columns(*numbers: int) -> List[Json]:
    return [{"id": number, "name": f"n{number}", "type": "integer"} for number in numbers]


ONE = {"kind": "constant", "constant": {"value": "1", "type": "integer"}}
PLACE = [{"id": 11, "name": "#row", "type": "integer"}]
READS: List[Json] = [
    {"body": {"kind": "read", "input": "a"}, "columns": columns(0), "step": "a", "operation": "input"},
    {"body": {"kind": "read", "input": "b"}, "columns": columns(10) + PLACE, "step": "b", "operation": "input"},
]
FIRST = {"kind": "compare", "comparison": "equal", "left": column(12), "right": ONE}


class Joins(FolderTest):
    """Rows of one side that no row of the other one can match, behind all that can: Spark leaves them alone where the
    rows of both sides lie in order already."""

    def setUp(self) -> None:
        super().setUp()
        for name, value in (("spark.sql.autoBroadcastJoinThreshold", "-1"), ("spark.sql.shuffle.partitions", "4")):
            self.addCleanup(self.spark.conf.set, name, self.spark.conf.get(name))
            self.spark.conf.set(name, value)

    def inputs(self, left: Iterable[int], right: Iterable[int], form: str = "jsonLines") -> Dict[str, Json]:
        """Rows of `a` and of `b`, which have those keys."""
        inputs: Dict[str, Json] = {}
        for name, column, keys in (("a", "n0", left), ("b", "n10", right)):
            path = self.folder / "data" / name
            if form == "parquet":
                put_parquet(self.spark, path, f"int32 {column}", [{column: key} for key in keys])
            else:
                path.write_text("".join(f'{{"{column}": {key}}}\n' for key in keys))
            objects = [{"bucket": "data", "key": name, "etag": "", "bytes": path.stat().st_size}]
            inputs[name] = {"format": form, "objects": objects, "optional": ["n0", "n10"]}
        return inputs

    def joined(
        self, how: str, left: Iterable[int], right: Iterable[int], between: List[Json], step: str, run: str
    ) -> Json:
        """What comes of a join of `a` with `b`, whose rows have been numbered by their key and looked at in a step."""
        numbered: Json = {"kind": "window", "from": 1, "partition": [10], "column": 12}
        numbered.update(function={"kind": "rowNumber"}, order=[{"column": 11, "descending": False}])
        relations = [
            *READS,
            {"body": numbered, "columns": columns(10, 12), "step": step, "operation": "add"},
            *({"body": body, "columns": columns(10, 12), "step": step, "operation": "add"} for body in between),
        ]
        return self.run_join(how, relations, self.inputs(left, right), f"{how}-{run}-{self.id()}")

    def run_join(self, how: str, relations: List[Json], inputs: Json, prefix: str) -> Json:
        """What comes of a join of the first of those relations with the last."""
        join = {"kind": "join", "join": how, "left": 0, "right": len(relations) - 1, "keys": [[0, 10]]}
        made = columns(0) if how in ("semi", "anti") else columns(0, 10)
        relations = [*relations, {"body": join, "columns": made, "step": "joined", "operation": "join"}]
        output = {"name": "o", "format": "csv", "from": len(relations) - 1, "columns": columns(0), "order": []}
        task = {
            "version": 1,
            "job": {"tenant": "tests", "job": "joins", "attempt": 1},
            "plan": {"version": 1, "relations": relations, "outputs": [output]},
            "inputs": inputs,
            "output": {"bucket": "work", "prefix": prefix},
        }
        return engine.run(self.spark, self.store, task)

    def test_a_key_that_no_row_can_match_fails_as_any_other(self) -> None:
        unique = {"kind": "require", "condition": FIRST, "of": column(12), "message": "stands twice", "shown": []}
        project = {"kind": "project", "from": 2, "keep": [10], "compute": [{"column": 12, "expression": unique}]}
        keep = {"kind": "filter", "from": 2, "condition": {**unique, "of": FIRST}}
        twice = [*range(1, LAST + 9), LAST + 8]
        for how in ("left", "inner", "semi", "anti"):
            for left in (range(0), range(1, LAST)):
                for body in (project, keep):
                    report = self.joined(how, left, twice, [body], "joined", f"{body['kind']}-{len(left)}")
                    told = report.get("failure", {}).get("message", "")
                    self.assertIn("stands twice", told, (how, left, body["kind"]))

    def test_rows_that_no_row_can_match_are_counted(self) -> None:
        kept = {"kind": "filter", "from": 2, "condition": FIRST}
        cells = [{"name": "number", "column": 12}]
        long = {"kind": "unpivot", "from": 2, "cells": cells, "name": 13, "value": 12, "ordinal": 14}
        for how in ("left", "inner", "semi", "right"):
            # Of one row, most partitions have none.
            for body, left in ((kept, range(1, LAST)), (long, range(1, 2))):
                run = f"rows-{body['kind']}"
                report = self.joined(how, left, range(1, LAST + 200), [body], "looked", run)
                steps = {step["step"]: step["rows"] for step in report["steps"]}
                self.assertEqual(steps["looked"], LAST + 199, (how, body["kind"]))

    def test_what_spark_compiles_is_not_left_to_the_session(self) -> None:
        """Where it does not compile a join with nothing, it takes no row of the other side."""
        self.spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "10MB")
        self.spark.conf.set("spark.sql.codegen.maxFields", "1")
        engine.prepare(self.spark)
        report = self.run_join("inner", READS, self.inputs(range(0), range(1, LAST), "parquet"), self.id())
        self.assertEqual(report["inputs"]["b"]["rows"], LAST - 1)


if __name__ == "__main__":
    unittest.main()
