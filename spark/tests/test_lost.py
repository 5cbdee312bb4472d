"""What happens around a task while it runs: inputs that change, work that is lost."""

from __future__ import annotations

import json
import os
import time
import unittest
from pathlib import Path
from typing import Any, Optional
from unittest import mock

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from tests.support import SCRATCH, FolderTest
from tieout_spark import engine, figures, writing
from tieout_spark.pins import planned
from tieout_spark.store import Look, Store, looked_at


class Versioned(Store):
    """A store that knows tags and versions; after so many looks they are others."""

    looks = 0
    changes_after = 0

    def look(self, bucket: str, key: str) -> Optional[Look]:
        found = super().look(bucket, key)
        self.looks += 1
        number = 1 if self.looks <= self.changes_after else 2
        return found and found._replace(etag=f"e{number}", version=f"v{number}")


class Inputs(FolderTest):
    def copied(self, store: Store, **pinned: str) -> dict[str, Any]:
        """What is told of a task that copies an object."""
        (self.folder / "data" / "a").write_text('{"key": "a"}\n')
        task = self.task([("key", "text")], "jsonLines", ["csv"])
        task["inputs"]["a"]["objects"][0].update(pinned)
        return engine.run(self.spark, store, task)

    def test_an_object_that_is_written_again_meanwhile_is_told(self) -> None:
        store = Versioned(self.spark, str(self.folder))
        store.changes_after = 1
        failure = self.copied(store, etag="e1", version="v1")["failure"]
        self.assertEqual(store.looks, 2)
        message = 'input "a" (a): s3://data/a has changed since it was first read'
        self.assertEqual(failure, {"class": "InvalidInput", "message": message, "input": "a", "object": "a"})

    def test_an_object_of_another_version_than_planned_is_not_read(self) -> None:
        store = Versioned(self.spark, str(self.folder))
        store.changes_after = 9
        with mock.patch.object(engine, "Frames", side_effect=AssertionError("nothing is read")) as frames:
            frames.side_effect = None
            failure = self.copied(store, etag="e0", version="v0")["failure"]
            frames.return_value.make.assert_not_called()
        self.assertIn("has changed since it was first read", failure["message"])

    def test_what_changes_where_nothing_is_versioned_is_noticed_by_its_time(self) -> None:
        write = writing.write

        def disturbed(*given: Any) -> Any:
            written = write(*given)
            (self.folder / "data" / "a").write_text('{"key": "b"}\n')
            os.utime(self.folder / "data" / "a", (0, time.time() + 5))
            return written

        with mock.patch.object(engine, "write", disturbed):
            self.assertIn("has changed", self.copied(self.store)["failure"]["message"])

    def test_an_object_that_is_gone_is_told(self) -> None:
        (self.folder / "data" / "a").write_text("{}\n")
        task = self.task([("key", "text")], "jsonLines", ["csv"])
        (self.folder / "data" / "a").unlink()
        failure = engine.run(self.spark, self.store, task)["failure"]
        self.assertEqual(failure["message"], 'input "a" (a): s3://data/a does not exist')

    def test_which_object_is_the_planned_one(self) -> None:
        given = {"bytes": 3, "etag": "e", "version": "v"}
        for look, same in (
            (Look(3, "e", "v", 0), True),
            (Look(3, "e", "other", 0), True),
            (Look(3, "other", "other", 0), False),
            (Look(4, "e", "v", 0), False),
            (Look(3, None, None, 0), True),
        ):
            self.assertEqual(planned(look, given), same, look)
        self.assertFalse(planned(Look(3, "other", None, 0), {"bytes": 3, "etag": "e"}))

    def test_the_service_is_asked_for_tag_and_version(self) -> None:
        head = mock.Mock()
        head.contentLength.return_value = 3
        head.eTag.return_value, head.versionId.return_value = '"e"', None
        head.lastModified().toEpochMilli.return_value = 7
        service, requests = mock.Mock(), mock.Mock()
        service.headObject.return_value = head
        self.assertEqual(looked_at(service, requests, "b", "k"), Look(3, "e", None, 7))
        requests.HeadObjectRequest.builder().bucket.assert_called_with("b")
        for name, gone in (("NoSuchKeyException", True), ("S3Exception", False)):
            error = Py4JJavaError.__new__(Py4JJavaError)
            error.java_exception = mock.Mock()
            error.java_exception.getClass().getName.return_value = f"model.{name}"
            service.headObject.side_effect = error
            if gone:
                self.assertIsNone(looked_at(service, requests, "b", "k"))
            else:
                with mock.patch.object(Py4JJavaError, "__str__", lambda _: "denied"), self.assertRaises(Py4JJavaError):
                    looked_at(service, requests, "b", "k")

    def test_a_report_is_put_where_there_is_none(self) -> None:
        """By S3 itself: what looks first and puts then, puts over another's."""

        def answer(status: int, name: str = "S3Exception") -> Py4JJavaError:
            error = Py4JJavaError.__new__(Py4JJavaError)
            error.java_exception = mock.Mock()
            error.java_exception.getClass().getName.return_value = f"model.{name}"
            error.java_exception.statusCode.return_value = status
            return error

        store = Store(mock.MagicMock())
        sdk = store.jvm.software.amazon.awssdk
        request = sdk.services.s3.model.PutObjectRequest.builder().bucket().key()
        for answers, standing in (
            ([None], "mine"),
            ([answer(412)], "another's"),
            ([answer(409), None], "mine"),
            ([answer(409), answer(412)], "another's"),
            ([answer(409)] * 99, OSError),
            ([answer(503)], Py4JJavaError),
            ([answer(412, "SdkClientException")], Py4JJavaError),
        ):
            store.service = mock.Mock()
            store.service.putObject.side_effect = answers
            texts = mock.patch.object(Py4JJavaError, "__str__", lambda _: "failed")
            read = mock.patch.object(store, "read", return_value="another's")
            with texts, read, mock.patch.object(store, "_service", return_value=store.service):
                if isinstance(standing, str):
                    self.assertEqual(store.write_first("b", "k", "mine"), standing)
                else:
                    with self.assertRaises(standing):
                        store.write_first("b", "k", "mine")
            put, body = store.service.putObject.call_args.args
            self.assertEqual(put, request.overrideConfiguration().build())
            self.assertEqual(body, sdk.core.sync.RequestBody.fromString())
        sdk.core.sync.RequestBody.fromString.assert_any_call("mine")
        sdk.awscore.AwsRequestOverrideConfiguration.builder().putHeader.assert_called_with("If-None-Match", "*")


class Work(FolderTest):
    def test_work_that_is_done_twice_counts_once(self) -> None:
        """The files between two stages are deleted while the second runs: Spark does the first again, and what of the
        second is missing."""
        rows = [{"key": f"k{number}", "n": number} for number in range(100)]
        (self.folder / "data" / "a").write_text("".join(json.dumps(row) + "\n" for row in rows))
        task = self.task([("key", "text"), ("n", "integer")], "jsonLines", ["csv"])
        columns = task["plan"]["outputs"][0]["columns"]
        total = {"function": "sum", "of": 1, "column": 1, "type": "integer"}
        body = {"kind": "aggregate", "from": 0, "keys": [0], "measures": [total]}
        relation = {"body": body, "columns": columns, "step": "sums", "operation": "groupBy"}
        task["plan"]["relations"].append(relation)
        task["plan"]["outputs"][0].update({"from": 1, "order": []})
        lines, deleted = writing.lines, str(self.folder / "deleted")

        def disturbed(data: DataFrame, output: Any) -> DataFrame:
            delete = f.udf(deleting(SCRATCH.name, deleted))
            return lines(data, output).select(delete("value").alias("value"))

        settings = {"spark.sql.shuffle.partitions": "6", "spark.sql.adaptive.coalescePartitions.enabled": "false"}
        for name, value in settings.items():
            self.addCleanup(self.spark.conf.set, name, self.spark.conf.get(name))
            self.spark.conf.set(name, value)
        with mock.patch.object(writing, "lines", disturbed):
            report = engine.run(self.spark, self.store, task)
        self.assertTrue(Path(deleted).exists())
        output = report["outputs"][0]
        self.assertEqual(sorted(self.text(report, 0).split()), sorted(f"{row['key']},{row['n']}" for row in rows))
        self.assertEqual((output["rows"], output["totals"]), (100, {"n": "4950"}))
        self.assertEqual(report["inputs"]["a"]["rows"], 100)
        self.assertEqual([step["rows"] for step in report["steps"]], [100])
        for part in output["parts"]:
            self.assertEqual((self.folder / "work" / part["key"]).read_text().count("\n"), part["rows"], part)
        seen = figures.Figures(self.spark)
        seen.begun = -1
        self.assertTrue(seen.repeated(False))

    def test_rows_are_counted_again_only_where_work_was_done_twice_or_nobody_knows(self) -> None:
        (self.folder / "data" / "a").write_text('{"key": "a"}\n{"key": "b"}\n')
        task = self.task([("key", "text")], "jsonLines", ["csv", "jsonLines"])
        seen = figures.Figures(self.spark)
        with mock.patch.object(engine, "count_again", side_effect=AssertionError):
            engine.run(self.spark, self.store, task)
        stages = list(seen.newest())
        self.assertGreater(len(stages), 1)
        with mock.patch.object(seen, "newest", lambda: iter(stages[:1] + stages[2:])):
            self.assertTrue(seen.repeated(False))
        self.assertFalse(seen.repeated(False))

    def test_all_is_counted_again_by_one_run(self) -> None:
        rows = [{"key": f"k{number % 7}", "n": 10**17 + number} for number in range(50)]
        (self.folder / "data" / "a").write_text("".join(json.dumps(row) + "\n" for row in rows))
        task = self.task([("key", "text"), ("n", "integer")], "jsonLines", ["csv", "jsonLines"])
        condition = {"kind": "isBlank", "of": {"kind": "column", "id": 0, "type": "text"}}
        body = {"kind": "filter", "from": 0, "condition": {"kind": "not", "of": condition}}
        columns = task["plan"]["relations"][0]["columns"]
        task["plan"]["relations"].append({"body": body, "columns": columns, "step": "keyed", "operation": "filter"})
        task["plan"]["outputs"][1]["from"] = 1
        expected = engine.run(self.spark, self.store, task)
        task["output"]["prefix"] = "again"
        collect = mock.patch.object(DataFrame, "collect", autospec=True, side_effect=DataFrame.collect)
        with collect as runs, mock.patch.object(figures.Figures, "repeated", return_value=True):
            found = engine.run(self.spark, self.store, task)
        self.assertEqual(runs.call_count, 1)
        for name in ("inputs", "steps"):
            self.assertEqual(found[name], expected[name])
        for one, other in zip(found["outputs"], expected["outputs"]):
            self.assertEqual((one["rows"], one["totals"]), (other["rows"], other["totals"]))
            self.assertEqual(one["totals"], {"n": str(50 * 10**17 + 49 * 25)})

    def test_what_was_kept_for_an_output_is_given_back_when_it_is_written(self) -> None:
        (self.folder / "data" / "a").write_text('{"key": "b"}\n{"key": "a"}\n')
        task = self.task([("key", "text")], "jsonLines", ["csv", "jsonLines"])
        write, kept, held = writing.write, [], self.spark.sparkContext._jsc.sc().getPersistentRDDs

        def observed(*given: Any) -> Any:
            written = write(*given)
            kept.append(held().size())
            return written

        with (
            mock.patch.object(engine, "write", observed),
            mock.patch.object(writing, "SORTED_ALONE_BYTES_MAX", -1),
            mock.patch.object(figures, "lost", return_value=True),
        ):
            report = engine.run(self.spark, self.store, task)
        self.assertEqual(kept, [0, 0])
        self.assertEqual(self.text(report, 0), "b\r\na\r\n")

    def test_rows_of_parts_are_known_or_there_is_no_report(self) -> None:
        (self.folder / "data" / "a").write_text('{"key": "a"}\n{"key": "b"}\n')
        task = self.task([("key", "text")], "jsonLines", ["csv"])
        told = self.assertRaisesRegex(RuntimeError, "output csv: Spark says 0 rows of its parts, 2 were made")
        with mock.patch.object(figures.Figures, "rows_written", return_value={}), told:
            engine.run(self.spark, self.store, task)
        self.assertFalse((self.folder / "work" / "files" / "report.json").exists())

    def test_which_executors_are_lost(self) -> None:
        for active, reason, expected in (
            (True, None, False),
            (False, "Executor killed by driver.", False),
            (False, "Executor decommission.", True),
            (False, None, True),
        ):
            executor = mock.Mock()
            executor.isActive.return_value = active
            executor.removeReason().isDefined.return_value = reason is not None
            executor.removeReason().get.return_value = reason
            self.assertEqual(figures.lost(executor), expected, reason)


def deleting(folder: str, mark: str) -> Any:
    """A function that deletes what lies between two stages when it is called first, and changes nothing."""

    def unchanged(value: str) -> str:
        try:
            Path(mark).touch(exist_ok=False)
        except FileExistsError:
            return value
        # All that there is now, and nothing that is being written anew as soon as the first is missed.
        for path in list(Path(folder).glob("blockmgr-*/*/shuffle_*")):
            path.unlink(missing_ok=True)
        return value

    return unchanged


if __name__ == "__main__":
    unittest.main()
