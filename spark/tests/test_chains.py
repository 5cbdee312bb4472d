"""Long jobs: a chain of steps is planned in sections."""

from __future__ import annotations

import unittest
from typing import Any, Dict
from unittest import mock

from tests.support import FolderTest
from tieout_spark import engine
from tieout_spark.frames import Frames

Json = Dict[str, Any]
PLACE = [{"id": 9000, "name": "#object", "type": "integer"}, {"id": 9001, "name": "#row", "type": "integer"}]


class Chains(FolderTest):
    def added(self, steps: int) -> Json:
        """What comes of a chain of steps, each of which adds one to what the step before has made."""
        text = "".join(f'{{"n": {number}}}\n' for number in (1, 2, 3))
        (self.folder / "data" / "a").write_text(text)
        task = self.task([("n", "decimal(2)")], "jsonLines", ["csv"])
        place = {"input": "a", "object": 9000, "row": 9001}
        relations = [{**task["plan"]["relations"][0], "place": place}]
        relations[0]["columns"] = [*relations[0]["columns"][:1], *PLACE]
        one = {"kind": "constant", "constant": {"value": "1.00", "type": "decimal(2)"}}
        for number in range(1, steps + 1):
            left = {"kind": "column", "id": number - 1, "type": "decimal(2)"}
            sum_of = {"kind": "arithmetic", "operator": "add", "left": left, "right": one, "type": "decimal(2)"}
            sum_of.update(rounding="halfUp", onZero="fail")
            compute = [{"column": number, "expression": sum_of}]
            body = {"kind": "project", "from": number - 1, "keep": [9000, 9001], "compute": compute}
            columns = [{"id": number, "name": "n", "type": "decimal(2)"}, *PLACE]
            step = {"step": f"s{number}", "operation": "add", "place": place}
            relations.append({"body": body, "columns": columns, **step})
        output = task["plan"]["outputs"][0]
        output.update({"from": steps, "columns": relations[-1]["columns"][:1]})
        output["order"] = [{"column": 9001, "descending": False}]
        task["plan"]["relations"] = relations
        return engine.run(self.spark, self.store, task)

    def test_three_hundred_steps_behind_one_another(self) -> None:
        report = self.added(300)
        self.assertEqual(self.text(report, 0), "301.00\r\n302.00\r\n303.00\r\n")
        self.assertEqual({step["rows"] for step in report["steps"]}, {3})
        self.assertEqual((len(report["steps"]), report["inputs"]["a"]["rows"]), (300, 3))

    def test_a_hundred_steps_that_are_calculated_exactly(self) -> None:
        def exactly(spark: Any, store: Any, task: Any, exact: bool) -> Frames:
            return Frames(spark, store, task, True)

        with mock.patch.object(engine, "Frames", exactly):
            self.assertEqual(self.text(self.added(100), 0), "101.00\r\n102.00\r\n103.00\r\n")


if __name__ == "__main__":
    unittest.main()
