"""Files: Parquet in and out, ledgers' lines, and what two runs of one task leave behind."""

from __future__ import annotations

import datetime
import decimal
import json
import shutil
import unittest
from typing import Any
from unittest import mock

from tests.support import FolderTest, put_parquet
from tieout_spark import engine, parquet, writing
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

    def put_files(self, files: list[tuple[str, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
        """Makes the file `a`, and others, as Parquet's schemas have them. The objects that they are."""
        objects = []
        for number, (columns, rows) in enumerate(files):
            path = self.folder / "data" / ("a" if number == 0 else f"other-{number}")
            put_parquet(self.spark, path, columns, rows)
            objects.append({"bucket": "data", "key": path.name, "etag": "", "bytes": path.stat().st_size})
        return objects

    def test_parquet_is_read_however_each_file_stores_its_columns(self) -> None:
        may = 1_714_521_600
        objects = self.put_files(
            [
                (
                    """int64 at (TIMESTAMP(NANOS,true))
                    int32 count
                    int32 net (DECIMAL(9,2))
                    int32 day (DATE)
                    binary name (STRING)
                    boolean open
                    int64 clock (TIME(NANOS,true))
                    int96 old
                    double rate""",
                    [
                        {"at": may * 10**9 + 1000, "count": 7, "net": -5, "day": 19844, "name": "é", "open": True},
                        {"at": -may * 10**9 - 999_999_000, "count": -(2**31), "name": "", "clock": 10**12, "rate": 0.5},
                    ],
                ),
                (
                    """int64 count
                    fixed_len_byte_array(9) net (DECIMAL(18,2))
                    int64 at (TIMESTAMP(MILLIS,false))
                    binary day (STRING)
                    binary name (UTF8)
                    binary open (STRING)""",
                    [
                        {
                            "count": 2**40,
                            "net": (10**17 + 7).to_bytes(9, "big"),
                            "at": may * 1000 + 1,
                            "day": "2024-05-01",
                        },
                        {"net": (-5).to_bytes(9, "big", signed=True), "day": "", "open": "FALSE"},
                    ],
                ),
                (
                    """int32 count (INTEGER(32,false))
                    binary net (DECIMAL(5,2))
                    int64 at (TIMESTAMP(MICROS,true))
                    int32 day (DATE)
                    binary name (STRING)
                    boolean open""",
                    [{"count": -1, "net": (705).to_bytes(2, "big"), "at": may * 10**6 + 1, "day": -719_162}],
                ),
                (
                    """int32 count (INTEGER(8,false))
                    int64 net (DECIMAL(10,2))
                    int32 at (DATE)
                    binary day (STRING)
                    binary name (STRING)
                    boolean open""",
                    [{"count": 200, "net": 3 * 10**9, "at": 19844}],
                ),
                (
                    """int64 count (DECIMAL(18,3))
                    int32 net (INTEGER(16,true))
                    binary at (STRING)
                    int32 day (DATE)
                    binary name (STRING)
                    boolean open""",
                    [{"count": 3 * 10**12, "net": -300, "at": "2024-05-01T02:00+02"}],
                ),
            ]
        )
        cells = [
            "é,7,-0.05,2024-05-01,2024-05-01T00:00:00.000001Z,true",
            ",-2147483648,,,1915-09-02T23:59:59.000001Z,",
            ",1099511627776,1000000000000000.07,2024-05-01,2024-05-01T00:00:00.001Z,",
            ",,-0.05,,,false",
            ",4294967295,7.05,0001-01-01,2024-05-01T00:00:00.000001Z,",
            ",200,30000000.00,,2024-05-01T00:00:00Z,",
            ",3000000000,-300.00,,2024-05-01T00:00:00Z,",
        ]
        for columns, expected in ((COLUMNS, cells), ([], ["1", "2", "1", "2", "1", "1", "1"])):
            task = self.task(columns, "parquet", ["csv"])
            task["inputs"]["a"]["objects"] = objects
            task["output"]["prefix"] = f"columns-{len(columns)}"
            output = task["plan"]["outputs"][0]
            output["order"] = [{"column": column, "descending": False} for column in (90, 91)]
            output["columns"] = output["columns"] or [{"id": 91, "name": "row", "type": "integer"}]
            report = engine.run(self.spark, self.store, task)
            self.assertEqual(self.text(report, 0).splitlines(), expected)
            self.assertEqual(report["inputs"]["a"]["rows"], 7)

    def test_which_of_many_files_a_row_is_of_is_looked_up_not_searched(self) -> None:
        objects = self.put_files([("int32 n", [{"n": number}]) for number in range(3)])
        paths = {number: self.store.path(one["bucket"], one["key"]) for number, one in enumerate(objects)}
        column, stored = {"id": 0, "name": "n", "type": "integer"}, parquet.Stored("integer", "integer")
        found = parquet.rows(self.spark, self.store, paths, [column], (stored,))
        self.assertEqual(
            sorted((row["p0"], row["#object"], row["#row"]) for row in found.collect()),
            [(number, number, 1) for number in range(3)],
        )
        jvm: Any = found
        self.assertIn("BroadcastHashJoin", jvm._jdf.queryExecution().executedPlan().toString())
        paths = {0: paths[0], 1: f"{paths[1]}*"}
        raised = self.assertRaisesRegex(Exception, "an object that is none of the input")
        with mock.patch.object(parquet, "NO_PATTERNS", {}), raised:
            parquet.rows(self.spark, self.store, paths, [column], (stored,)).collect()

    def test_keys_may_look_like_patterns_and_have_colons(self) -> None:
        folder = self.folder / "data" / "at 10:00:00"
        folder.mkdir()
        for number, name in enumerate(("a[1]", "a1", "{a,b}*?", "%5B#\\a", "b")):
            put_parquet(self.spark, folder / f"{name}.parquet", "int32 n", [{"n": number}])
            (folder / f"{name}.jsonl").write_text(f'{{"n": {number}}}\n')
            for form, extension in (("parquet", "parquet"), ("jsonLines", "jsonl")):
                path = folder / f"{name}.{extension}"
                shutil.copy(path, self.folder / "data" / "a")
                task = self.task([("n", "integer")], form, ["csv"])
                task["inputs"]["a"]["objects"][0]["key"] = f"{folder.name}/{path.name}"
                task["output"]["prefix"] = f"{form}-{number}"
                report = engine.run(self.spark, self.store, task)
                self.assertEqual(self.text(report, 0), f"{number}\r\n", (name, form))

    def test_parquet_that_does_not_fit_is_told(self) -> None:
        columns = """fixed_len_byte_array(5) net (DECIMAL(10,3))
            binary name (STRING)
            binary memo (STRING)
            binary note (STRING)
            fixed_len_byte_array(16) wide (DECIMAL(38,2))
            fixed_len_byte_array(16) fine (DECIMAL(38,20))
            int64 at (TIMESTAMP(NANOS,true))
            int64 late (TIMESTAMP(MILLIS,true))
            int32 day (DATE)
            int64 many
            int64 size (INTEGER(64,false))
            group in { optional int32 x; }
            repeated int32 more"""
        good = {"net": (1500).to_bytes(5, "big"), "name": "1", "at": 10**12, "late": 10**12, "day": 0, "many": 2**33}
        bad = {"net": (1505).to_bytes(5, "big"), "name": "b", "at": 10**12 + 1, "late": 2**62, "day": 10**8}
        good["memo"], bad["memo"] = "\ufffd😀", b"\xffA"
        good["wide"] = good["fine"] = (0).to_bytes(16, "big")
        bad["wide"] = bad["fine"] = (10**38 - 1).to_bytes(16, "big")
        good["note"], bad["note"] = "a", "a\0"
        objects = self.put_files([(columns, [good, {**bad, "many": 2**63 - 1}])])
        for column, kind, row, words in (
            ("net", "decimal(2)", 2, '"1.505" is no decimal(2)'),
            ("net", "integer", 1, '"1.500" is no integer'),
            ("name", "integer", 2, '"b" is no integer'),
            ("memo", "text", 2, "expected text in utf-8: there are bytes that are none"),
            ("note", "text", 2, "there is a NUL byte"),
            ("wide", "decimal(20)", 2, "is no decimal(20)"),
            ("fine", "decimal(0)", 2, "is no decimal(0)"),
            ("memo", "boolean", 1, "is no boolean"),
            ("at", "timestamp", 2, '"1000000000001" is no timestamp'),
            ("late", "timestamp", 2, "is no timestamp"),
            ("day", "date", 2, "is no date"),
            ("many", "decimal(20)", 2, "is no decimal(20)"),
            ("many", "text", None, "it is integer in the file: expected what can be text"),
            ("net", "date", None, "it is decimal(3) in the file: expected what can be date"),
            ("size", "integer", None, "it is optional int64 size (INTEGER(64,false)) in the file"),
            ("in", "integer", None, "expected what can be integer"),
            ("more", "integer", None, "expected what can be integer"),
            ("other", "text", None, "no such column"),
        ):
            task = self.task([(column, kind)], "parquet", ["csv"])
            task["inputs"]["a"]["objects"] = objects
            task["output"]["prefix"] = f"{column}-{kind}"
            failure = engine.run(self.spark, self.store, task)["failure"]
            self.assertIn(words, failure["message"])
            self.assertEqual((failure["column"], failure["object"], failure.get("row")), (column, "a", row))

    def test_a_java_whose_language_changes_case_is_refused(self) -> None:
        locale = self.spark._jvm.java.util.Locale
        before = locale.getDefault()
        self.addCleanup(locale.setDefault, before)
        for language in ("tr", "az", "lt"):
            locale.setDefault(locale.forLanguageTag(language))
            with self.assertRaisesRegex(RuntimeError, "user.language=en"):
                engine.prepare(self.spark)

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

    def test_json_lines_have_one_byte_order_mark(self) -> None:
        for marks in (1, 2):
            (self.folder / "data" / "a").write_text("\ufeff" * marks + '{"key": "a"}\n')
            task = self.task([("key", "text")], "jsonLines", ["csv"])
            task["output"]["prefix"] = f"marks-{marks}"
            report = engine.run(self.spark, self.store, task)
            if marks == 1:
                self.assertEqual(self.text(report, 0), "a\r\n")
            else:
                self.assertEqual(report["failure"]["row"], 1)
                self.assertIn("expected an object of JSON", report["failure"]["message"])

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

    def test_a_step_has_the_rows_of_all_its_results(self) -> None:
        """Of those that something is made of: here two outputs."""
        (self.folder / "data" / "a").write_text("".join(f'{{"n": {number}}}\n' for number in range(10)))
        column = {"kind": "column", "id": 0, "type": "integer"}
        for parts, expected in (((3,), 3), ((3, 5), 8)):
            task = self.task([("n", "integer")], "jsonLines", ["csv"])
            plan = task["plan"]
            output, made = plan["outputs"].pop(), plan["relations"][0]["columns"]
            for at, part in enumerate(parts, 1):
                most = {"kind": "constant", "constant": {"type": "integer", "value": str(part)}}
                less = {"kind": "compare", "comparison": "less", "left": column, "right": most}
                body = {"kind": "filter", "from": 0, "condition": less}
                plan["relations"].append({"body": body, "columns": made, "step": "parts", "operation": "match"})
                plan["outputs"].append({**output, "name": f"o{at}", "from": at})
            task["output"]["prefix"] = str(expected)
            report = engine.run(self.spark, self.store, task)
            self.assertEqual(report["steps"], [{"step": "parts", "operation": "match", "rows": expected}])

    def test_a_large_job_is_spread_over_as_many_partitions_as_it_has_pieces(self) -> None:
        """So its parts are not larger than those of a small one."""
        lines = [f'{{"key": "{number:04}"}}\n' for number in range(1000)]
        (self.folder / "data" / "a").write_text("".join(lines))
        # Spark joins small partitions again, but none as small as these.
        for name in ("coalescePartitions.minPartitionSize", "advisoryPartitionSizeInBytes"):
            self.spark.conf.set(f"spark.sql.adaptive.{name}", "1b")
            self.addCleanup(self.spark.conf.unset, f"spark.sql.adaptive.{name}")
        with mock.patch.object(engine, "PIECE_BYTES", 2000), mock.patch.object(writing, "SORTED_ALONE_BYTES_MAX", 0):
            report = engine.run(self.spark, self.store, self.task([("key", "text")], "jsonLines", ["csv"]))
        self.assertEqual(len(report["outputs"][0]["parts"]), sum(map(len, lines)) // 2000)
        self.assertEqual(self.text(report, 0), "".join(f"{number:04}\r\n" for number in range(1000)))

    def test_a_small_job_that_makes_many_rows_has_several_parts(self) -> None:
        """One task would write all of them, and what checks it would read them again in one go."""
        lines = [json.dumps({"key": "k", "text": f"{number:03}" * 30}) + "\n" for number in range(100)]
        (self.folder / "data" / "a").write_text("".join(lines))
        for name in ("coalescePartitions.minPartitionSize", "advisoryPartitionSizeInBytes"):
            self.spark.conf.set(f"spark.sql.adaptive.{name}", "1b")
            self.addCleanup(self.spark.conf.unset, f"spark.sql.adaptive.{name}")
        task = self.task([("key", "text"), ("text", "text")], "jsonLines", ["csv"])
        relations, (output,) = task["plan"]["relations"], task["plan"]["outputs"]
        place = [{"id": 92, "name": "#object", "type": "integer"}, {"id": 93, "name": "#row", "type": "integer"}]
        other = [{"id": 10, "name": "other", "type": "text"}, *place]
        computed = [
            {"column": to, "expression": {"kind": "column", "id": of, "type": kind}}
            for to, of, kind in ((10, 0, "text"), (92, 90, "integer"), (93, 91, "integer"))
        ]
        for body, columns in (
            ({"kind": "project", "from": 0, "keep": [], "compute": computed}, other),
            (
                {"kind": "join", "join": "inner", "left": 0, "right": 1, "keys": [[0, 10]]},
                relations[0]["columns"] + other,
            ),
        ):
            relations.append({"body": body, "columns": columns, "step": body["kind"], "operation": body["kind"]})
        output.update({"from": 2, "order": [{"column": 91, "descending": False}, {"column": 93, "descending": False}]})
        expected = "".join(f"k,{f'{number:03}' * 30}\r\n" * 100 for number in range(100))
        for most, parts in ((64 << 20, 1), (64 << 10, 2)):
            task["output"]["prefix"] = f"most-{most}"
            with mock.patch.object(writing, "SORTED_ALONE_BYTES_MAX", most):
                report = engine.run(self.spark, self.store, task)
            self.assertEqual(len(report["outputs"][0]["parts"]), parts)
            self.assertEqual(self.text(report, 0), expected)
            self.assertEqual(report["outputs"][0]["rows"], 10_000)

    def test_rows_behind_a_window_over_all_of_them_are_several_parts(self) -> None:
        lines = [f'{{"n": {number}}}\n' for number in range(1000)]
        (self.folder / "data" / "a").write_text("".join(lines))
        for name in ("coalescePartitions.minPartitionSize", "advisoryPartitionSizeInBytes"):
            self.spark.conf.set(f"spark.sql.adaptive.{name}", "1b")
            self.addCleanup(self.spark.conf.unset, f"spark.sql.adaptive.{name}")
        task = self.task([("n", "integer")], "jsonLines", ["csv"])
        relations, (output,) = task["plan"]["relations"], task["plan"]["outputs"]
        total = {"id": 10, "name": "total", "type": "decimal(0)"}
        order = [{"column": 91, "descending": False}]
        made = {"kind": "runningSum", "of": 0}
        body = {"kind": "window", "from": 0, "partition": [], "order": order, "function": made, "column": 10}
        columns = [*relations[0]["columns"], total]
        relations.append({"body": body, "columns": columns, "step": "total", "operation": "runningTotal"})
        output.update({"from": 1, "order": [], "columns": [*output["columns"], total]})
        report = engine.run(self.spark, self.store, task)
        self.assertGreater(len(report["outputs"][0]["parts"]), 1)
        sums = [f"{number},{number * (number + 1) // 2}" for number in range(1000)]
        self.assertEqual(sorted(self.text(report, 0).split()), sorted(sums))

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
