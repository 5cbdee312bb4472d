"""Files: Parquet in and out, ledgers' lines, and what two runs of one task leave behind."""

from __future__ import annotations

import datetime
import decimal
import json
import unittest
from typing import Any
from unittest import mock

from tests.support import FolderTest
from tieout_spark import engine
from tieout_spark.store import Store

COLUMNS = [
    ("name", "text"),
    ("count", "integer"),
    ("net", "decimal(2)"),
    ("day", "date"),
    ("at", "timestamp"),
    ("open", "boolean"),
]
UTC = datetime.timezone.utc
MOST = decimal.Decimal("9" * 36 + ".99")
ROWS: list[tuple[Any, ...]] = [
    ("b", 1, decimal.Decimal("-0.05"), datetime.date(2024, 2, 29), datetime.datetime(2024, 5, 1, 12, tzinfo=UTC), True),
    ("", None, None, None, None, None),
    (None, -(2**63), MOST, datetime.date(1, 1, 1), datetime.datetime(1582, 1, 1, 0, 0, 0, 5, tzinfo=UTC), False),
]


class Files(FolderTest):
    def put_parquet(self, schema: str, rows: list[tuple[Any, ...]]) -> None:
        """Makes the file `a`."""
        written = self.folder / "written"
        self.spark.createDataFrame(rows, schema).coalesce(1).write.parquet(str(written))
        next(written.glob("part-*")).rename(self.folder / "data" / "a")

    def test_parquet_in_both_directions(self) -> None:
        schema = "name string, count bigint, net decimal(38,2), day date, at timestamp, open boolean, more double"
        self.put_parquet(schema, [(*row, 0.5) for row in ROWS])
        report = engine.run(self.spark, self.store, self.task(COLUMNS, "parquet", ["csv", "parquet"]))
        lines = self.text(report, 0).split("\r\n")
        self.assertEqual(lines[0], "b,1,-0.05,2024-02-29,2024-05-01T12:00:00Z,true")
        self.assertEqual(lines[1], ",,,,,")
        self.assertEqual(lines[2], f",-9223372036854775808,{MOST},0001-01-01,1582-01-01T00:00:00.000005Z,false")
        written = report["outputs"][1]
        self.assertEqual(written["totals"], {"count": "-9223372036854775807", "net": "9" * 36 + ".94"})
        parts = [str(self.folder / "work" / part["key"]) for part in written["parts"]]
        self.assertTrue(all(part.endswith(".parquet") for part in parts))
        found = self.spark.read.parquet(*parts)
        self.assertEqual(
            found.dtypes,
            [
                ("name", "string"),
                ("count", "bigint"),
                ("net", "decimal(38,2)"),
                ("day", "date"),
                ("at", "timestamp"),
                ("open", "boolean"),
            ],
        )
        blank = [tuple(None if cell == "" else cell for cell in row) for row in ROWS]
        texts = ["cast(at as string) as at" if name == "at" else name for name, _ in COLUMNS]
        expected = self.spark.createDataFrame(blank, schema.rsplit(",", 1)[0]).selectExpr(*texts).collect()
        self.assertEqual(found.selectExpr(*texts).collect(), expected)

    def test_parquet_that_does_not_fit_is_told(self) -> None:
        self.put_parquet(
            "net decimal(10,3), name string", [(decimal.Decimal("1.500"), "a"), (decimal.Decimal("1.505"), "b")]
        )
        for columns, words in (
            ([("net", "decimal(2)")], '"1.505" is no decimal(2)'),
            ([("name", "integer")], "expected what can be integer"),
            ([("other", "text")], "no such column"),
        ):
            task = self.task(columns, "parquet", ["csv"])
            task["output"]["prefix"] = columns[0][0]
            failure = engine.run(self.spark, self.store, task)["failure"]
            self.assertIn(words, failure["message"])
            self.assertEqual(failure["column"], columns[0][0])
            if columns[0][1] == "decimal(2)":
                self.assertEqual((failure["object"], failure["row"]), ("a", 2))

    def test_values_inside_of_lines(self) -> None:
        """As part-files of ledgers have them."""

        def line(key: str, *amounts: tuple[Any, str]) -> str:
            paid = [{"currency": currency, "amount": amount} for currency, amount in amounts]
            return json.dumps({"key": key, "measures": {"paid": paid}}) + "\n"

        way = [{"member": "measures"}, {"member": "paid"}]
        euro = {"entry": {"member": "currency", "is": "EUR"}}
        amount = {"member": "amount"}
        paths = {"paid": [*way, "only", amount], "euro": [*way, euro, amount]}
        columns = [("key", "text"), ("paid", "decimal(2)"), ("euro", "decimal(2)")]
        lines = [line("a", ("EUR", "1.50")), line("b", (None, "2")), line("c")]
        (self.folder / "data" / "a").write_text("".join(lines))
        report = engine.run(self.spark, self.store, self.task(columns, "jsonLines", ["csv"], paths=paths))
        self.assertEqual(self.text(report, 0), "a,1.50,1.50\r\nb,2.00,\r\nc,,\r\n")
        (self.folder / "data" / "a").write_text(lines[0] + line("d", ("EUR", "1"), ("USD", "2")))
        task = self.task(columns, "jsonLines", ["csv"], paths=paths)
        task["output"]["prefix"] = "other"
        failure = engine.run(self.spark, self.store, task)["failure"]
        self.assertEqual((failure["row"], failure["column"]), (2, "paid"))
        self.assertIn("expected one entry of 2", failure["message"])

    def test_a_column_of_json_lines_that_no_row_has_is_named(self) -> None:
        """A name that is misspelt would make a blank column."""
        columns = [("key", "text"), ("net", "integer")]
        for number, (text, more, is_absent) in enumerate(
            [
                ('{"key": "a", "Net": 1}\n{"key": "b"}\n', {}, True),
                ('{"key": "a", "Net": 1}\n', {"optional": ["net"]}, False),
                ('{"key": "a", "Net": 1}\n{"net": null}\n', {}, False),
                ("\n", {}, False),
            ]
        ):
            (self.folder / "data" / "a").write_text(text)
            task = self.task(columns, "jsonLines", ["csv"], **more)
            task["output"]["prefix"] = f"run{number}"
            failure = engine.run(self.spark, self.store, task).get("failure")
            self.assertEqual(failure is not None, is_absent, text)
            if failure:
                self.assertEqual((failure["step"], failure["column"]), ("a", "net"))
                self.assertIn("no row has this member, one has Net, key; ", failure["message"])

    def test_formulas_are_guarded_where_an_output_says_so(self) -> None:
        """The same texts as in the embedded engine's tests: the engines write the same cells."""
        pairs = [
            ("=1+1", "'=1+1"),
            ("@SUM(A1),2", '"\'@SUM(A1),2"'),
            ("\ttab", "'\ttab"),
            ("\rcr", '"\'\rcr"'),
            ("+49 30 1234", "'+49 30 1234"),
            ("'=1", "''=1"),
            ("-", "'-"),
            ("-12.50", "-12.50"),
            ("'-12.50", "'-12.50"),
            ("+.5", "+.5"),
            ("-5.\n", '"\'-5.\n"'),
            ("a=1", "a=1"),
            ("-170141183460469231731687303715884105728", "-170141183460469231731687303715884105728"),
            ("-170141183460469231731687303715884105729", "'-170141183460469231731687303715884105729"),
            ("+170141183460469231731687303715884105728", "'+170141183460469231731687303715884105728"),
            ("-0.00000000000000000000001", "'-0.00000000000000000000001"),
        ]
        lines = (json.dumps({"text": text, "net": "-0.05"}) + "\n" for text, _ in pairs)
        (self.folder / "data" / "a").write_text("".join(lines))
        task = self.task([("text", "text"), ("net", "decimal(2)")], "jsonLines", ["csv"])
        plain = task["plan"]["outputs"][0]
        task["plan"]["outputs"] = [{**plain, "name": "guarded", "formulaGuard": True}, plain]
        report = engine.run(self.spark, self.store, task)
        self.assertEqual(self.text(report, 0), "".join(f"{cell},-0.05\r\n" for _, cell in pairs))
        self.assertTrue(self.text(report, 1).startswith("=1+1,-0.05\r\n"))

    def test_a_condition_that_is_false_by_itself_keeps_no_row(self) -> None:
        """Spark would put nothing in the place of all that is below it, and of what is counted there."""
        columns = [("name", "text"), ("count", "integer")]
        constant = {"kind": "constant", "constant": {"type": "text", "value": "A"}}
        column = {"kind": "column", "id": 2, "type": "text"}
        other = {"kind": "constant", "constant": {"type": "text", "value": "B"}}
        condition = {"kind": "compare", "comparison": "equal", "left": column, "right": other}
        for number, rows in enumerate(('{"name": "a", "count": 1}\n', '{"name": "a", "count": "one"}\n', "")):
            (self.folder / "data" / "a").write_text(rows)
            task = self.task(columns, "jsonLines", ["csv"])
            relations = task["plan"]["relations"]
            made = [*relations[0]["columns"], {"id": 2, "name": "kind", "type": "text"}]
            computed = [{"column": 2, "expression": constant}]
            for step, body in (
                ("kind", {"kind": "project", "from": 0, "keep": [0, 1, 90, 91], "compute": computed}),
                ("none", {"kind": "filter", "from": 1, "condition": condition}),
            ):
                relations.append({"body": body, "columns": made, "step": step, "operation": step})
            task["plan"]["outputs"][0]["from"] = 2
            task["output"]["prefix"] = str(number)
            report = engine.run(self.spark, self.store, task)
            if "one" in rows:
                self.assertEqual((report["failure"]["row"], report["failure"]["column"]), (1, "count"))
                continue
            self.assertEqual(self.text(report, 0), "")
            self.assertEqual(report["inputs"]["a"]["rows"], rows.count("\n"))
            self.assertEqual([step["rows"] for step in report["steps"]], [rows.count("\n"), 0])

    def test_of_two_runs_at_once_the_first_report_stands(self) -> None:
        (self.folder / "data" / "a").write_text('{"key": "a"}\n')
        task = self.task([("key", "text")], "jsonLines", ["csv"])
        first = engine.run(self.spark, self.store, task)
        # The other has looked for a report before there was one.
        with mock.patch.object(Store, "exists", return_value=False):
            second = engine.run(self.spark, self.store, task)
        self.assertEqual(first, second)
        self.assertEqual(self.text(first, 0), "a\r\n")
        runs = list((self.folder / "work" / "files" / "csv").iterdir())
        self.assertEqual(len(runs), 2)
        self.assertNotIn("milliseconds", json.dumps(first["steps"]))


if __name__ == "__main__":
    unittest.main()
