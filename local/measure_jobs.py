"""How long a job takes from its hand-in to its publication on the warm local stack, alone and beside nine others."""

from __future__ import annotations

import json
import subprocess
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from local import paths, reconcile
from local.console import Stop

SLOTS = 10


def document(folder: Path) -> Path:
    """The example job, over the orders and financials of a folder."""
    job = json.loads(reconcile.JOB.read_text())
    for name, given in job["inputs"].items():
        given["objects"] = [str(folder / f"{name}.csv")]
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    return path


def alone(job: Path) -> float:
    """Seconds of one job."""
    return ended([started(job)])[0]


def together(job: Path) -> list[float]:
    """Seconds of each of as many jobs as there are slots, handed in at once."""
    return ended([started(job) for _ in range(SLOTS)])


def started(job: Path) -> subprocess.Popen[str]:
    """Hands a job in, under an id of its own."""
    command = [str(paths.COMMAND), "job", "submit", str(job), "--id", f"measure-{uuid.uuid4().hex[:12]}"]
    return subprocess.Popen(
        [*command, "--wait", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def ended(jobs: list[subprocess.Popen[str]]) -> list[float]:
    """Seconds from the hand-in of each to its publication, as its row says."""
    answers: list[dict[str, Any]] = []
    for job in jobs:
        text, _ = job.communicate()
        if job.returncode != 0:
            raise Stop(f"a job did not end well:\n{text}")
        answers.append(json.loads(text))
    at = [(datetime.fromisoformat(one["submitted_at"]), datetime.fromisoformat(one["ended_at"])) for one in answers]
    return [(end - begin).total_seconds() for begin, end in at]
