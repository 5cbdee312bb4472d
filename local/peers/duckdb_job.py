"""The job in DuckDB. Prints a line of JSON; reads one, see `local/bench_reconcile.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb

from local.peers import job
from local.peers.meter import measured


def query() -> str:
    """The lookup, and the columns by the names of those before them."""
    computed = ", ".join(f"{expression} AS {name}" for name, expression in job.columns())
    found = ", ".join(job.FOUND)
    return f"""
        SELECT *, {computed} FROM (
            SELECT orders.*, {found}
            FROM read_csv($orders, header = true, columns = {job.ORDERS}) AS orders
            LEFT JOIN read_csv($payments, header = true, columns = {job.PAYMENTS}) ON order_id = payment_order
        )
    """


def main() -> None:
    """Runs it."""
    given = json.load(sys.stdin)
    folder = Path(given["folder"])
    out = str(folder / "duckdb.csv")
    database = duckdb.connect(config={"threads": given["workers"], "temp_directory": str(folder / "duckdb-spill")})
    files = {"orders": given["orders"], "payments": given["payments"]}
    stage = measured("run", lambda: database.execute(f"COPY ({query()}) TO '{out}' (HEADER false)", files))
    numbers = [f"{kind}_{at}" for kind in job.NUMBERS for at in job.ROUNDS]
    names = [*job.ORDERS, *job.FOUND, *(name for name, _ in job.columns())]
    kinds = {name: "DECIMAL(38, 2)" if name in numbers else "VARCHAR" for name in names}
    sums = ", ".join(f"sum({name})" for name in numbers)
    read = f"SELECT count(*), {sums} FROM read_csv('{out}', header = false, columns = {kinds})"
    row = database.execute(read).fetchone() or (0,)
    answer = job.differences(given, row[0], dict(zip(numbers, row[1:], strict=True)))
    print(json.dumps({"stages": [stage], "differences": answer}))


if __name__ == "__main__":
    main()
