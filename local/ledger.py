"""The example ledger on the local stack: its batches, several in flight, and a correction."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from local import build, paths, settings, venvs
from local.console import Stop, complain, say
from local.example import as_typed, tieout

FOLDER = paths.EXAMPLES / "ledger"
# Stages, in order, and the words for a job that is at them.
STAGES = {"prefetch": "prefetches", "apply": "is applied", "index": "is indexed"}
AT_WORK = ("granted", "at work")
PATIENCE_SECONDS = 300
LOOK_SECONDS = 0.1

Batch = dict[str, Any]


def demo() -> None:
    """Sends the example's events, shows what is in flight, and mends a break."""
    made = generate("example", str(paths.DEMO / "events"))
    *batches, late = made["batches"]
    # A job takes what has gathered, up to half a million events: with one batch a job there is more to see.
    ledger = put("orders", FOLDER / "ledger.json", {"grouping": {"batchesMax": 1}})
    say(f"\n7. {len(batches)} batches of a shop and a bank, one behind the other, without waiting for any")
    for batch in batches:
        submit(ledger, batch)
    flight = follow(ledger, len(batches))
    say(f"all are indexed; up to {flight} were in flight at once")
    compare(read(ledger), made["before"])
    say("\n8. a break: an order of which too little was paid")
    order = first_order(Path(late["files"][0]))
    expect(ledger, order, "break")
    say("\n9. the missing payments are found, and come as a correction of what is closed already")
    submit(ledger, late, "--wait")
    expect(ledger, order, "reconciled")
    tieout("artifact", "get", ledger, order, "--history")
    compare(read(ledger), made["after"])
    command = paths.shown(paths.COMMAND)
    say("\nLook for yourself:")
    for words in (f"artifact get {ledger} {order}", f"batch show {ledger} {late['batch']}", f"ledger show {ledger}"):
        say(f"  {command} {words}")


def generate(*what: str) -> dict[str, Any]:
    """Makes events; returns their batches, and how all artifacts are to stand before and after the late one."""
    generator = build.cargo_build("--workspace", "--bins")[build.EVENT_GENERATOR]
    answer = subprocess.run([str(generator), *what], stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise Stop("the events could not be made; the generator says above why")
    return dict(json.loads(answer.stdout))


def put(name: str, definition: Path, policy: dict[str, Any]) -> str:
    """Puts a ledger in force, under a name that no other has: what was sent once is not sent again."""
    ledger = f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    document = json.loads(definition.read_text()) | {"name": ledger, "policy": policy}
    written = paths.DEMO / "ledger.json"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(document, indent=2))
    tieout("ledger", "put", str(written))
    return ledger


def submission(ledger: str, batch: Batch) -> list[str]:
    """The words that submit a batch."""
    words = ["batch", "submit", ledger, *batch["files"]]
    for name in ("batch", "source", "from", "to", "correction"):
        if batch[name] is not None:
            words += [f"--{name}", batch[name]]
    return words


def submit(ledger: str, batch: Batch, *how: str) -> None:
    """Submits a batch."""
    tieout(*submission(ledger, batch), *how)


def asked(*arguments: str, known: bool = True) -> Any:
    """What the command line answers in JSON. What need not be known yet is waited for, a moment."""
    answer = subprocess.run([paths.COMMAND, *arguments, "--json"], capture_output=True, text=True)
    for _ in range(0 if known else 100):
        if answer.returncode == 0:
            break
        time.sleep(LOOK_SECONDS)
        answer = subprocess.run([paths.COMMAND, *arguments, "--json"], capture_output=True, text=True)
    if answer.returncode != 0:
        complain(answer.stderr.rstrip())
        raise Stop(f"`{as_typed(arguments)}` failed; it says above why")
    return json.loads(answer.stdout)


def follow(ledger: str, batches: int) -> int:
    """Waits until so many batches are indexed, and tells what is at work meanwhile. The most that was so at once."""
    begun, most, before = time.monotonic(), 0, ""
    while True:
        shown = asked("ledger", "show", ledger)
        parked = [job for job in shown["jobs"] if job["status"] == "parked"]
        if parked:
            raise Stop(f"a job is parked: {json.dumps(parked, indent=2)}")
        if shown["batches"]["indexed"] >= batches:
            return most
        flying = in_flight(shown["jobs"])
        now = ", ".join(f"batch {job} {STAGES[stage]}" for job, stage in flying)
        if now and now != before:
            say(f"  {now}")
            before = now
        most = max(most, len(flying))
        if time.monotonic() - begun > PATIENCE_SECONDS:
            raise Stop(
                f"not indexed after {PATIENCE_SECONDS} s: `{as_typed(('ledger', 'show', ledger))}` says how far it is"
            )
        time.sleep(LOOK_SECONDS)


def in_flight(jobs: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """The jobs that are at a stage, in order, each with that stage."""
    return [(job["job"], stage) for job in jobs for stage in STAGES if job["turns"][stage] in AT_WORK]


def first_order(events: Path) -> str:
    """The order of a file's first event."""
    return events.read_text().splitlines()[1].split(",")[0]


def expect(ledger: str, order: str, status: str) -> None:
    """Shows how an order stands, which must be so."""
    say(f"$ {as_typed(('artifact', 'get', ledger, order))}")
    artifact = asked("artifact", "get", ledger, order)
    if artifact["status"] != status:
        raise Stop(f"order {order} should be {status}, and is {artifact['status']}: {json.dumps(artifact, indent=2)}")
    measures = artifact["measures"]
    figures = [("due", measures["due"]), ("settled", measures["settled"]), ("difference", artifact["difference"])]
    said = ", ".join(f"{name} {amounts(entries)}" for name, entries in figures)
    say(f"order {order}: {artifact['status']}: {said}; payments: {measures['payments']}")


def amounts(entries: list[dict[str, str]]) -> str:
    """Amounts with their currencies."""
    return " and ".join(f"{Decimal(entry['amount']):,} {entry['currency']}" for entry in entries) or "nothing"


def read(ledger: str) -> dict[str, Any]:
    """How all artifacts stand, read one by one."""
    command = [venvs.program("tools", "python"), "-m", "local.artifacts", ledger]
    environment = settings.opened(settings.current())
    answer = subprocess.run(command, env=environment, cwd=paths.ROOT, stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise Stop("the artifacts cannot be read; it says above why")
    return dict(json.loads(answer.stdout))


def compare(found: dict[str, Any], made: dict[str, Any]) -> None:
    """Refuses artifacts that do not stand as the generator says."""
    if exact(found) != exact(made):
        raise Stop(f"the artifacts should come to {made}, and come to {found}")
    counts = ", ".join(f"{found[name]:,} {name}" for name in ("open", "reconciled", "breaks"))
    sums = [{"currency": currency, "amount": amount} for currency, amount in sorted(found["settled"].items())]
    say(f"{found['artifacts']:,} artifacts: {counts}; {amounts(sums)} settled: the generator's figures, to the cent")


def exact(totals: dict[str, Any]) -> dict[str, Any]:
    """Totals with amounts that compare as numbers."""
    sides = {
        side: {currency: Decimal(amount) for currency, amount in totals[side].items()} for side in ("due", "settled")
    }
    return totals | sides
