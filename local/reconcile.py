"""The example job on the local stack: orders looked up in their financials, to the cent."""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from typing import Any

from local import paths
from local.console import Stop, say
from local.example import tieout

JOB = paths.EXAMPLES / "reconcile" / "orders.json"
ROWS = 2_000
# Of `examples/orders/README.md`.
SUMS = {
    "totalRevenue": Decimal("2574886623.94"),
    "totalCost": Decimal("1822184942.26"),
    "totalProfit": Decimal("752701681.68"),
    "Margin": Decimal("752701681.68"),
    "Variance": Decimal("0.00"),
}


def demo() -> None:
    """Submits the job, follows it, and compares."""
    job = submit()
    compare(job)
    tieout("job", "show", job["job"])
    say("\nrevenue by region and channel:")
    tieout("job", "output", job["job"], "regions")
    command = paths.shown(paths.COMMAND)
    say("\nLook for yourself:")
    for words in (f"job output {job['job']} orders", "operations vlookup", "job list"):
        say(f"  {command} {words}")


def submit() -> dict[str, Any]:
    """Submits the job and waits; progress goes straight to the terminal."""
    command = [str(paths.COMMAND), "job", "submit", str(JOB), "--wait", "--json"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise Stop(f"the job did not end well:\n{answer.stdout}")
    return dict(json.loads(answer.stdout))


def compare(job: dict[str, Any]) -> None:
    """Refuses a job whose sums are not those of the example."""
    outputs = {output["name"]: output for output in job["outputs"]}
    found = {column: Decimal(total) for column, total in outputs["orders"]["totals"].items() if column in SUMS}
    if (outputs["orders"]["rows"], found) != (ROWS, SUMS):
        raise Stop(f"{ROWS:,} orders and {SUMS} should come out, and this did: {json.dumps(job, indent=2)}")
    regions = Decimal(outputs["regions"]["totals"]["All"])
    if regions != SUMS["totalRevenue"]:
        raise Stop(f"the regions sum up to {regions}, and should to {SUMS['totalRevenue']}")
