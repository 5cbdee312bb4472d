"""Deploys the template to the emulator when anything has changed: with the AWS CLI, by the two steps that `sam deploy`
takes on AWS (package, then a change set), and with what samconfig.toml has for its environment `local`.

The stack itself remembers what it was deployed from, in a tag: whatever happened to the emulator since, the tag tells.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

from local import build, paths
from local.console import Stop, step
from local.settings import HOST, STACK, Settings, opened
from local.venvs import program

CONTENT_TAG = "content"
# The emulator, as SES does, takes mail only from a sender that was verified.
MAIL_DOMAIN = "example.com"
SETTLED = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
# A stack under review exists in name only.
CHANGEABLE = (*SETTLED, "UPDATE_ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS")
SETTLE_SECONDS = 90


def configured() -> dict[str, Any]:
    """How samconfig.toml has the stack deployed locally."""
    return dict(tomllib.loads(paths.SAM_CONFIG.read_text())["local"]["deploy"]["parameters"])


def parameters(settings: Settings) -> dict[str, str]:
    """The template's parameters: those of samconfig.toml's `local` environment, with this machine's own."""
    overrides = dict(parameter.split("=", 1) for parameter in configured()["parameter_overrides"])
    return overrides | {
        "Architecture": build.native(),
        "LocalEndpoint": settings.endpoint,
        "RedisHost": HOST,
        "RedisPort": str(settings.valkey_port),
    }


def lay_out(built: dict[str, Path]) -> None:
    """Copies what is deployed to `.local/deploy`."""
    build.pack(built, paths.DEPLOYED / paths.DIST.name)
    shutil.copy2(paths.TEMPLATE, paths.DEPLOYED)
    shutil.rmtree(paths.DEPLOYED / paths.STATE_MACHINES.name, ignore_errors=True)
    shutil.copytree(paths.STATE_MACHINES, paths.DEPLOYED / paths.STATE_MACHINES.name)


def fingerprint(folder: Path, chosen: dict[str, str]) -> str:
    """A digest of every file's path and content, and of the parameters."""
    digest = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode())
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        digest.update(f"\0{file.relative_to(folder)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:32]


def ensure(settings: Settings) -> bool:
    """Deploys `.local/deploy`, unless the stack was deployed from just that. False where a deployment broke off so that
    nothing can be changed any more: then the emulator must be started afresh.
    """
    chosen = parameters(settings)
    content = fingerprint(paths.DEPLOYED, chosen)
    with step(f"deploy the stack {STACK}", "seconds, a minute at most") as line:
        status, deployed = settled_state(settings)
        if status in SETTLED and deployed == content:
            line.note("is deployed already")
        elif status is None or status in CHANGEABLE:
            deploy(settings, chosen, content)
        else:
            line.note(f"cannot be changed any more ({status})")
            return False
    return True


def settled_state(settings: Settings) -> tuple[str | None, str | None]:
    """The stack's status, once nothing is under way, and what it was deployed from; both `None` where there is none."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        status, content = state(settings)
        under_way = status not in (None, *CHANGEABLE) and str(status).endswith("_IN_PROGRESS")
        if not under_way or time.monotonic() > deadline:
            return status, content
        time.sleep(0.5)


def state(settings: Settings) -> tuple[str | None, str | None]:
    """The stack's status and what it was deployed from."""
    answer = run(settings, "cloudformation", "describe-stacks", "--stack-name", STACK)
    if answer.returncode != 0:
        if "does not exist" in answer.stderr:
            return None, None
        raise Stop(f"the emulator does not say whether the stack is deployed:\n{answer.stderr.strip()}")
    stack = json.loads(answer.stdout)["Stacks"][0]
    tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}
    return stack["StackStatus"], tags.get(CONTENT_TAG)


def deploy(settings: Settings, chosen: dict[str, str], content: str) -> None:
    """Packages and deploys; a failure is told with the resources that caused it."""
    packaged = paths.STATE / "packaged.yaml"
    artifacts, capabilities = configured()["s3_bucket"], configured()["capabilities"].split()
    aws(settings, "ses", "verify-domain-identity", "--domain", MAIL_DOMAIN)
    aws(settings, "s3api", "create-bucket", "--bucket", artifacts)
    aws(
        settings, "cloudformation", "package",
        "--template-file", str(paths.DEPLOYED / paths.TEMPLATE.name),
        "--s3-bucket", artifacts, "--output-template-file", str(packaged),
    )  # fmt: skip
    answer = run(
        settings, "cloudformation", "deploy",
        "--stack-name", STACK, "--template-file", str(packaged),
        "--capabilities", *capabilities,
        "--s3-bucket", artifacts, "--no-fail-on-empty-changeset", "--tags", f"{CONTENT_TAG}={content}",
        "--parameter-overrides", *(f"{name}={value}" for name, value in chosen.items()),
    )  # fmt: skip
    if answer.returncode != 0:
        raise Stop(
            f"the stack was not deployed:\n{answer.stderr.strip()}\n{failures(settings)}"
            "If the template is right, `make down up` deploys it to an empty emulator."
        )


def failures(settings: Settings) -> str:
    """What CloudFormation says of the resources that failed, a line each."""
    answer = run(settings, "cloudformation", "describe-events", "--stack-name", STACK)
    events = json.loads(answer.stdout)["OperationEvents"] if answer.returncode == 0 else []
    return "".join(
        f"  {event['LogicalResourceId']}: {event.get('ValidationStatusReason') or event.get('ResourceStatusReason')}\n"
        for event in reversed(events)
        if event["EventType"] == "VALIDATION_ERROR" or event.get("ResourceStatus", "").endswith("_FAILED")
    )


def aws(settings: Settings, *arguments: str) -> str:
    """Runs the AWS CLI against the emulator."""
    answer = run(settings, *arguments)
    if answer.returncode != 0:
        raise Stop(f"`aws {' '.join(arguments[:2])}` failed:\n{answer.stderr.strip()}")
    return answer.stdout


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The AWS CLI's answer, whatever it is."""
    environment = opened(settings) | {"AWS_PAGER": "", "AWS_DEFAULT_OUTPUT": "json"}
    return subprocess.run(
        [program("tools", "aws"), *arguments], env=environment, cwd=paths.ROOT, capture_output=True, text=True
    )
