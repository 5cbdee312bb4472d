"""How long a file takes from upload to mail, a batch of events from its submission to the index, and a job from its
hand-in to its publication, on the warm local stack. Prints figures; judges nothing."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from local import build, example, ledger, measure_jobs, paths, settings
from local.console import Stop, say

RUNS = 5
# Of each batch, and of the ledger that they are spread over.
EVENTS, ARTIFACTS = 20_000, 5_000
FOLDER = paths.STATE / "measure"


def measure(rows: int) -> None:
    """Sends the same orders several times; the first time warms the functions up and is not counted."""
    orders = generate(rows)
    example.load(orders.with_name("financials.csv"))
    figures = [send(orders) for _ in range(RUNS + 1)][1:]
    say(f"\n{rows:,} orders ({orders.stat().st_size:,} bytes), {RUNS} runs: median (least to most)")
    for name, seconds in zip(("upload to publication", "upload to mail"), zip(*figures, strict=True), strict=True):
        tell(name, seconds)
    made = ledger.generate(
        "made", str(FOLDER / "events"),
        "--events", str(EVENTS * (RUNS + 1)), "--artifacts", str(ARTIFACTS), "--batches", str(RUNS + 1),
    )  # fmt: skip
    name = ledger.put("measure", FOLDER / "events" / "ledger.json", {})
    batches = made["batches"][: RUNS + 1]
    took = [index(name, batch) for batch in batches][1:]
    size = sum(Path(file).stat().st_size for file in batches[-1]["files"])
    say(f"\n{EVENTS:,} events ({size:,} bytes) over {ARTIFACTS:,} orders, {RUNS} batches: median (least to most)")
    for what, seconds in zip(("submitted to indexed", "uploaded to indexed"), zip(*took, strict=True), strict=True):
        tell(what, seconds)
    job = measure_jobs.document(FOLDER)
    singles = tuple(measure_jobs.alone(job) for _ in range(RUNS + 1))[1:]
    measure_jobs.together(job)
    tens = tuple(seconds for _ in range(RUNS) for seconds in measure_jobs.together(job))
    say(f"\nthe example's job over {rows:,} orders, {RUNS} times: median (least to most)")
    tell("alone", singles)
    tell(f"each of {measure_jobs.SLOTS} at once", tens)


def tell(name: str, seconds: tuple[float, ...]) -> None:
    """A line of figures."""
    say(f"  {name:22} {statistics.median(seconds):6.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


def index(name: str, batch: ledger.Batch) -> tuple[float, float]:
    """Seconds until a batch is indexed, as the record of the step tells: from the start of the command that submits it,
    which counts and uploads it, and from the end of that upload."""
    began = datetime.now(UTC)
    command = [str(paths.COMMAND), *ledger.submission(name, batch), "--json"]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
        raise Stop(f"batch {batch['batch']} could not be submitted")
    uploaded = datetime.now(UTC)
    while (shown := ledger.asked("batch", "show", name, batch["batch"], known=False))["status"] != "indexed":
        late = (datetime.now(UTC) - began).total_seconds() > ledger.PATIENCE_SECONDS
        if late or shown["status"] in ("parked", "refused", "not_taken"):
            raise Stop(f"batch {batch['batch']} is not indexed: {json.dumps(shown, indent=2)}")
        time.sleep(0.2)
    ended = max(datetime.fromisoformat(step["ended_at"]) for step in shown["steps"] if step["step"] == "index")
    return (ended - began).total_seconds(), (ended - uploaded).total_seconds()


def generate(rows: int) -> Path:
    """Makes orders and their reference rows."""
    generator = build.cargo_build("--workspace", "--bins")[build.GENERATOR]
    subprocess.run([str(generator), str(FOLDER), "--rows", str(rows)], stdout=subprocess.DEVNULL, check=True)
    return FOLDER / "orders.csv"


def send(orders: Path) -> tuple[float, float]:
    """Seconds from the start of the upload to the publication, as the run tells, and to the mail, as seen outside."""
    start, began = time.monotonic(), datetime.now(UTC)
    command = [str(paths.COMMAND), "submit", example.FEED, str(orders), "--wait", "--json"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if answer.returncode != 0:
        raise Stop(f"the run did not end well:\n{answer.stdout}")
    run = json.loads(answer.stdout)
    while not mailed(run["run_id"]):
        if time.monotonic() - start > 60:
            raise Stop(f"no mail about {run['run_id']} within a minute")
        time.sleep(0.02)
    # The command waits for the mail, too; when the run was published, it says.
    published = (datetime.fromisoformat(run["ended_at"]) - began).total_seconds()
    return published, time.monotonic() - start


def mailed(run: str) -> bool:
    """Whether the emulator holds a mail about the run."""
    with urllib.request.urlopen(f"{settings.current().endpoint}/_ministack/ses/messages") as answer:
        return run in answer.read().decode()
