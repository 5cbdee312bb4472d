"""A file of 10,000 orders through the whole local stack, checked to the cent against the generator's own sums."""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from typing import Any

from local import build, example, paths
from local.console import Stop, say
from local.example import tieout

ROWS = 10_000
# The output's columns, and what the generator calls their sums.
SUMS = {"Total Revenue": "total_revenue", "Total Cost": "total_cost", "Total Profit": "total_profit"}


def demo() -> None:
    """Generates, loads, submits, follows, and compares."""
    made = generate()
    say(f"\n1. {ROWS:,} orders and their financials, made in {paths.shown(paths.DEMO)}/")
    say("\n2. the feed, and the reference table that its records are enriched from")
    example.load(paths.DEMO / "financials.csv")
    say("\n3. the file, through the Lambdas and the state machine")
    run = submit()
    say("\n4. what came of it")
    tieout("run", "show", run["run_id"])
    compare(run, made)
    command = paths.shown(paths.COMMAND)
    say(f"\nrevenue, cost and profit are the generator's, to the cent: in {run['seconds']:.1f} s. Look for yourself:")
    say(f"  {command} run output {run['run_id']} --to {paths.shown(paths.DEMO)}/clean.csv")
    say(f"  {command} run link {run['run_id']}")
    say(f"  {command} run list")


def generate() -> dict[str, Any]:
    """Makes the files; returns their exact sums."""
    generator = build.cargo_build("--workspace", "--bins")[build.GENERATOR]
    command = [str(generator), str(paths.DEMO), "--rows", str(ROWS)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise Stop("the orders could not be made; the generator says above why")
    return dict(json.loads(answer.stdout))


def submit() -> dict[str, Any]:
    """Submits the orders and waits; progress goes straight to the terminal."""
    command = [str(paths.COMMAND), "submit", example.FEED, str(paths.DEMO / "orders.csv"), "--wait", "--json"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise Stop(f"the run did not end well:\n{answer.stdout}")
    return dict(json.loads(answer.stdout))


def compare(run: dict[str, Any], made: dict[str, Any]) -> None:
    """Refuses a result that is not what was sent."""
    if (run["records_in"], run["records_out"], run["records_rejected"]) != (ROWS, ROWS, 0):
        raise Stop(f"{ROWS:,} good records were sent, and this is what became of them: {json.dumps(run, indent=2)}")
    sums = {column["column"]: Decimal(column["sum"]) for column in run["totals"]["columns"]}
    expected = {column: Decimal(made[name]) for column, name in SUMS.items()}
    if sums != expected:
        raise Stop(f"the sums should be {expected}, and are {sums}")
