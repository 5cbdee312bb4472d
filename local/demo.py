"""Two files, a ledger and a job through the whole local stack.

10,000 good orders, checked to the cent against the generator's own sums; 20 of which 12 have errors; and what was
invoiced, shipped and paid of the example's orders, batch by batch; and the same orders looked up in their financials.
"""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

from local import build, example, ledger, paths, reconcile
from local.console import Stop, say
from local.example import tieout

ROWS = 10_000
# Of `orders-with-errors.csv`: read, published, rejected.
ERRORS_BALANCE = (20, 8, 12)
# The output's columns, and what the generator calls their sums.
SUMS = {"Total Revenue": "total_revenue", "Total Cost": "total_cost", "Total Profit": "total_profit"}


def demo() -> None:
    """Generates, loads, submits, follows, and compares."""
    made = generate()
    say(f"\n1. {ROWS:,} orders and their financials, made in {paths.shown(paths.DEMO)}/")
    say("\n2. the feed, and the reference table that its records are enriched from: these orders', and the sample's")
    example.load(paths.DEMO / "financials.csv", example.FINANCIALS)
    say("\n3. the file, through the Lambdas and the state machine")
    run = submit(paths.DEMO / "orders.csv")
    say("\n4. what came of it")
    tieout("run", "show", run["run_id"])
    compare(run, made)
    say(f"\nrevenue, cost and profit are the generator's, to the cent: in {run['seconds']:.1f} s")
    say(f"\n5. a file with errors, {paths.shown(example.ERRORS)}: what is good is published, what is not is rejected")
    with_errors = submit(example.ERRORS)
    balance(with_errors, ERRORS_BALANCE)
    tieout("run", "show", with_errors["run_id"])
    tieout("run", "rejects", with_errors["run_id"])
    command = paths.shown(paths.COMMAND)
    say("\nLook for yourself:")
    say(f"  {command} run output {run['run_id']} --to {paths.shown(paths.DEMO)}/clean.csv")
    say(f"  {command} run report {with_errors['run_id']} --to {paths.shown(paths.DEMO)}/report.html")
    say(f"  {command} run link {run['run_id']}")
    say(f"  {command} run list")
    say("\n6. a ledger: what was invoiced, shipped and paid of the example's orders")
    ledger.demo()
    say("\n10. a job: the example's orders looked up in their financials, their variance, and a pivot by region")
    reconcile.demo()


def generate() -> dict[str, Any]:
    """Makes the files; returns their exact sums."""
    generator = build.cargo_build("--workspace", "--bins")[build.GENERATOR]
    command = [str(generator), str(paths.DEMO), "--rows", str(ROWS)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise Stop("the orders could not be made; the generator says above why")
    return dict(json.loads(answer.stdout))


def submit(orders: Path) -> dict[str, Any]:
    """Submits orders and waits; progress goes straight to the terminal."""
    command = [str(paths.COMMAND), "submit", example.FEED, str(orders), "--wait", "--json"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise Stop(f"the run did not end well:\n{answer.stdout}")
    return dict(json.loads(answer.stdout))


def balance(run: dict[str, Any], expected: tuple[int, int, int]) -> None:
    """Refuses a run that has not read, published and rejected so many records."""
    if (run["records_in"], run["records_out"], run["records_rejected"]) != expected:
        read, published, rejected = expected
        raise Stop(
            f"{read:,} records were sent, {published:,} of them good and {rejected:,} not, "
            f"and this is what became of them: {json.dumps(run, indent=2)}"
        )


def compare(run: dict[str, Any], made: dict[str, Any]) -> None:
    """Refuses a result that is not what was sent."""
    balance(run, (ROWS, ROWS, 0))
    sums = {column["column"]: Decimal(column["sum"]) for column in run["totals"]["columns"]}
    expected = {column: Decimal(made[name]) for column, name in SUMS.items()}
    if sums != expected:
        raise Stop(f"the sums should be {expected}, and are {sums}")
