"""Puts the distributed engine where Spark reads it: a function that CloudFormation calls when it deploys a stack.

It is packed with what it uploads, into a folder that is named after its content: a job that runs keeps the script that
it began with, and to upload the same again changes nothing. For the sake of such jobs nothing is ever deleted.
"""

from __future__ import annotations

import hashlib
import json
import urllib.request
from pathlib import Path
from typing import Any, Dict

import boto3

SCRIPTS = ("run_task.py", "tieout_spark.zip")
HERE = Path(__file__).resolve().parent
# No tenant's name has a hyphen.
FOLDER = "spark-scripts"
# CloudFormation takes 4 KiB in all.
REASON_CHARACTERS = 1000


def handler(event: Dict[str, Any], context: Any) -> None:
    """Answers CloudFormation whatever happens: it would wait. An answer that cannot be given is an error, and Lambda
    calls again."""
    answer: Dict[str, Any] = {
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "PhysicalResourceId": event.get("PhysicalResourceId", FOLDER),
        "Status": "SUCCESS",
    }
    try:
        if event["RequestType"] != "Delete":
            answer["Data"] = {"Folder": upload(event["ResourceProperties"]["Bucket"])}
    except Exception as error:
        reason = f"Spark's scripts were not uploaded: {type(error).__name__}: {error}"
        answer.update(Status="FAILED", Reason=reason[:REASON_CHARACTERS])
    log = {"message": "stack answered", "request": event["RequestType"]}
    print(json.dumps(log | {key.lower(): answer[key] for key in ("Status", "Reason", "Data") if key in answer}))
    respond(event["ResponseURL"], answer)


def upload(bucket: str) -> str:
    """Puts the scripts into the bucket, and says where they are."""
    contents = {name: (HERE / name).read_bytes() for name in SCRIPTS}
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    folder = f"{FOLDER}/{digest.hexdigest()[:32]}"
    objects = boto3.client("s3")
    for name, content in contents.items():
        objects.put_object(Bucket=bucket, Key=f"{folder}/{name}", Body=content)
    return f"s3://{bucket}/{folder}"


def respond(address: str, answer: Dict[str, Any]) -> None:
    """Tells CloudFormation, at an address that was signed without a type."""
    body = json.dumps(answer).encode()
    request = urllib.request.Request(address, data=body, method="PUT", headers={"Content-Type": ""})
    with urllib.request.urlopen(request, timeout=20):
        pass
