"""Hundreds of columns."""

from __future__ import annotations

import unittest
from typing import Any

from tests.support import FolderTest
from tieout_spark import engine

MONTHS = [f"m{number:03}" for number in range(500)]
ACCOUNTS = ["a", "b", "c"]


class Wide(FolderTest):
    def unpivoted(self, wanted: list[str]) -> dict[str, Any]:
        """A task that makes rows of all months, of which those columns are wanted."""
        task = self.task([("account", "text")], "jsonLines", [])
        cells = [{"name": month, "column": number} for number, month in enumerate(MONTHS, 100)]
        read = [{"id": cell["column"], "name": cell["name"], "type": "decimal(2)"} for cell in cells]
        task["plan"]["relations"][0]["columns"].extend(read)
        new = [("month", "text", 1000), ("net", "decimal(2)", 1001), ("#", "integer", 1002)]
        kept = [("account", "text", 0), ("#row", "integer", 91)]
        columns: list[dict[str, Any]] = [
            {"id": number, "name": name, "type": kind} for name, kind, number in [*kept, *new]
        ]
        columns = [column for column in columns if column["name"] in wanted]
        body = {"kind": "unpivot", "from": 0, "cells": cells, "name": 1000, "value": 1001, "ordinal": 1002}
        relation = {"body": body, "columns": columns, "step": "long", "operation": "unpivot"}
        task["plan"]["relations"].append(relation)
        shown = [column for column in columns if not column["name"].startswith("#")]
        order = [{"column": column["id"], "descending": False} for column in columns if column["name"].startswith("#")]
        task["plan"]["outputs"] = [{"name": "csv", "format": "csv", "from": 1, "columns": shown, "order": order}]
        return task

    def test_five_hundred_columns_become_rows_of_one_reading(self) -> None:
        rows = []
        for row, account in enumerate(ACCOUNTS):
            cells = [f'"{month}": {row}.{number % 100:02}' for number, month in enumerate(MONTHS) if number != row]
            rows.append(f'{{"account": "{account}", {", ".join(cells)}}}\n')
        (self.folder / "data" / "a").write_text("".join(rows))
        report = engine.run(self.spark, self.store, self.unpivoted(["account", "month", "net", "#row", "#"]))
        expected = [
            f"{account},{month}," + ("" if number == row else f"{row}.{number % 100:02}")
            for row, account in enumerate(ACCOUNTS)
            for number, month in enumerate(MONTHS)
        ]
        self.assertEqual(self.text(report, 0).split("\r\n")[:-1], expected)
        self.assertEqual(report["inputs"]["a"]["rows"], len(ACCOUNTS))

    def test_rows_are_made_of_cells_that_nobody_wants(self) -> None:
        (self.folder / "data" / "a").write_text('{"account": "a", "m000": 1}\n{"account": "b", "m001": 2}\n')
        task = self.unpivoted(["account"])
        task["inputs"]["a"]["optional"] = MONTHS
        report = engine.run(self.spark, self.store, task)
        self.assertEqual(report["outputs"][0]["rows"], 2 * len(MONTHS))
        self.assertEqual(sorted(set(self.text(report, 0).split("\r\n"))), ["", "a", "b"])


if __name__ == "__main__":
    unittest.main()
