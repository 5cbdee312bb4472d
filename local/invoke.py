"""Calls one function on the local stack with its sample event, once what the event speaks of is there.

Run by the Python of `.local/venvs/tools`, in the stack's environment: it speaks to the emulator through boto3.
"""

from __future__ import annotations

import base64
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local import build, example, paths
from local.console import Stop, complain, say
from local.settings import STACK

# The stages that a function's sample run must have behind it.
BEFORE = {
    "splitter": (),
    "chunk-processor": ("splitter",),
    "merger": ("splitter", "chunk-processor"),
    "emailer": ("splitter", "chunk-processor", "merger"),
}
# Of the ledger, what can be called without a batch or a job of one's own.
LEDGER = "ledger"
LEDGER_ALONE = ("backlog-manager",)

Event = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Calls the function, and prints its log and its reply; 1 when it fails."""
    if not arguments or len(arguments) > 2 or arguments[0] not in build.functions():
        raise Stop(f"say which: make invoke FUNCTION=<{'|'.join(build.functions())}> [EVENT=<file>]")
    function = arguments[0]
    if len(arguments) == 2:
        # A person's own event, who knows what it needs.
        event = read(Path(arguments[1]))
    else:
        event = sample_event(function)
        if pipeline(function) == LEDGER:
            refuse_without_job(function)
        else:
            prepare(function, event)
    return show(*call(function, event))


def sample_event(function: str) -> Event:
    """The event in `events/<pipeline>/`."""
    return read(sample(function))


def sample(function: str) -> Path:
    """Its file."""
    files = list(paths.EVENTS.glob(f"*/{function}.json"))
    if len(files) != 1:
        raise Stop(f"there is no events/<pipeline>/{function}.json")
    return files[0]


def pipeline(function: str) -> str:
    """The pipeline that a function belongs to."""
    return sample(function).parent.name


def refuse_without_job(function: str) -> None:
    """What a function of the ledger takes is of one attempt at one job: no sample can stand for it."""
    if function not in LEDGER_ALONE:
        raise Stop(
            f"{function} works for a batch or a job that is there: say which with EVENT=<file>, after the pattern of "
            f"{paths.shown(sample(function))}"
        )


def read(file: Path) -> Event:
    """A JSON file."""
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError) as error:
        raise Stop(f"{file} is no event: {error}") from error


def prepare(function: str, event: Event) -> None:
    """Puts the sample feed and file where the event expects them, and runs the stages before."""
    if not example.is_loaded():
        example.load(example.FINANCIALS)
    if function in BEFORE:
        # A run of its own each time: what was done once for a run is not done again.
        event["run"] = f"{event['run'].rpartition('-')[0]}-{uuid.uuid4().hex}"
        upload(sample_event("splitter")["input"])
        for stage in BEFORE[function]:
            answer, failed, _ = call(stage, sample_event(stage) | {"run": event["run"]})
            if failed:
                raise Stop(f"{stage}, which comes before {function}, failed: {json.dumps(answer)}")
    elif "bucket" in event.get("detail", {}):
        upload({"bucket": event["detail"]["bucket"]["name"], "key": event["detail"]["object"]["key"]})


def upload(at: dict[str, str]) -> None:
    """Puts the sample orders there."""
    boto3.client("s3").put_object(Bucket=at["bucket"], Key=at["key"], Body=example.ORDERS.read_bytes())


def call(function: str, event: Event) -> tuple[Any, bool, str]:
    """The function's reply, whether that is an error, and its log."""
    client = boto3.client("lambda", config=Config(read_timeout=900, retries={"total_max_attempts": 1}))
    answer = client.invoke(FunctionName=f"{STACK}-{function}", Payload=json.dumps(event), LogType="Tail")
    log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
    return json.loads(answer["Payload"].read() or b"null"), "FunctionError" in answer, log


def show(answer: Any, failed: bool, log: str) -> int:
    """Prints log and reply."""
    complain(log.rstrip())
    say(json.dumps(answer, indent=2))
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as reason:
        complain(f"invoke: {reason}")
        sys.exit(1)
