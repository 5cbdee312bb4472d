"""The package that uploads Spark's scripts, called as CloudFormation calls it."""

import hashlib
import importlib.util
import io
import json
import tempfile
import threading
import unittest
import zipfile
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

from local import build, paths

BUCKET = "tieout-data"


class CloudFormation(HTTPServer):
    """Takes answers, or refuses them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.answers: list[tuple[str, str, dict[str, Any]]] = []
        self.status = 200


class Answer(BaseHTTPRequestHandler):
    server: CloudFormation

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answers.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class Uploader(unittest.TestCase):
    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        build.pack_spark(folder)
        self.package = folder / build.SPARK_UPLOADER
        self.objects: dict[tuple[str, str], bytes] = {}
        self.denied = False
        self.cloud_formation = CloudFormation()
        self.addCleanup(self.cloud_formation.server_close)
        server = threading.Thread(target=self.cloud_formation.serve_forever, kwargs={"poll_interval": 0.01})
        server.start()
        self.addCleanup(server.join)
        self.addCleanup(self.cloud_formation.shutdown)

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        if self.denied:
            raise PermissionError(f"no PutObject on {Key} for you")
        self.objects[Bucket, Key] = Body

    def function(self) -> ModuleType:
        """The function as it lies in its package."""
        module = importlib.util.spec_from_file_location("upload", self.package / "upload.py")
        assert module is not None and module.loader is not None
        loaded = importlib.util.module_from_spec(module)
        s3 = SimpleNamespace(put_object=self.put_object)
        with patch.dict("sys.modules", boto3=SimpleNamespace(client={"s3": s3}.__getitem__)):
            module.loader.exec_module(loaded)
        return loaded

    def call(self, request: str, **more: Any) -> dict[str, Any]:
        """What CloudFormation is answered."""
        event = {
            "RequestType": request,
            "ResponseURL": f"http://127.0.0.1:{self.cloud_formation.server_port}/answer?Signature=%2Fx",
            "StackId": "stack",
            "RequestId": request.lower(),
            "LogicalResourceId": "SparkScripts",
            "ResourceProperties": {"Bucket": BUCKET, "Version": "arn:1"},
            **more,
        }
        with redirect_stdout(io.StringIO()) as logged:
            self.function().handler(event, None)
        self.assertEqual(json.loads(logged.getvalue())["request"], request, "a line of JSON")
        where, kind, answer = self.cloud_formation.answers.pop()
        self.assertEqual((where, kind), ("/answer?Signature=%2Fx", ""), "the signature is of just that")
        self.assertEqual(
            [answer.pop(key) for key in ("StackId", "RequestId", "LogicalResourceId")],
            ["stack", request.lower(), "SparkScripts"],
        )
        return answer

    def test_what_is_packed_is_uploaded_into_a_folder_of_its_content(self) -> None:
        answer = self.call("Create")
        folder = answer["Data"]["Folder"]
        self.assertEqual(
            answer, {"PhysicalResourceId": "spark-scripts", "Status": "SUCCESS", "Data": {"Folder": folder}}
        )
        self.assertRegex(folder, f"^s3://{BUCKET}/spark-scripts/[0-9a-f]{{32}}$")
        key = folder.removeprefix(f"s3://{BUCKET}/")
        self.assertEqual({(BUCKET, f"{key}/run_task.py"), (BUCKET, f"{key}/tieout_spark.zip")}, self.objects.keys())
        self.assertEqual(self.objects[BUCKET, f"{key}/run_task.py"], (paths.SPARK / "run_task.py").read_bytes())
        with zipfile.ZipFile(io.BytesIO(self.objects[BUCKET, f"{key}/tieout_spark.zip"])) as package:
            packed = {Path(name).name for name in package.namelist() if Path(name).parent.name == "tieout_spark"}
        self.assertEqual(packed, {path.name for path in (paths.SPARK / "tieout_spark").glob("*.py")})

    def test_an_update_leaves_the_folder_of_jobs_that_run(self) -> None:
        first = self.call("Create")["Data"]["Folder"]
        again = self.call("Update", PhysicalResourceId="spark-scripts")
        self.assertEqual((again["Data"]["Folder"], len(self.objects)), (first, 2), "the same is the same")
        (self.package / "run_task.py").write_text("another")
        other = self.call("Update", PhysicalResourceId="spark-scripts")
        self.assertNotEqual(other["Data"]["Folder"], first)
        # Another id would make CloudFormation delete what the old one stands for.
        self.assertEqual((other["PhysicalResourceId"], len(self.objects)), ("spark-scripts", 4))

    def test_equal_sources_are_packed_into_equal_files(self) -> None:
        def digests() -> dict[str, str]:
            files = sorted(self.package.iterdir())
            return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

        before = digests()
        self.assertEqual(list(before), ["run_task.py", "tieout_spark.zip", "upload.py"])
        build.pack_spark(self.package.parent)
        self.assertEqual(digests(), before)

    def test_a_deletion_touches_nothing(self) -> None:
        self.denied = True
        for file in self.package.glob("*.zip"):
            file.unlink()
        answer = self.call("Delete", PhysicalResourceId="whatever it was")
        self.assertEqual(answer, {"PhysicalResourceId": "whatever it was", "Status": "SUCCESS"})

    def test_a_failure_is_told_with_its_reason(self) -> None:
        self.denied = True
        answer = self.call("Create")
        self.assertEqual((answer["Status"], answer.get("Data")), ("FAILED", None))
        self.assertRegex(
            answer["Reason"], "not uploaded: PermissionError: no PutObject on spark-scripts/.*/run_task.py"
        )
        self.assertEqual(self.call("Update", ResourceProperties={})["Reason"][-18:], "KeyError: 'Bucket'")

    def test_an_answer_that_is_not_taken_is_an_error_so_that_lambda_calls_again(self) -> None:
        self.cloud_formation.status = 403
        with self.assertRaisesRegex(OSError, "403"):
            self.call("Create")


if __name__ == "__main__":
    unittest.main()
