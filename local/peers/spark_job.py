"""The job in Spark. Prints a line of JSON; reads one, see `local/bench_reconcile.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import functions as f

from local.peers import job, spark
from local.peers.meter import measured


def schema(columns: dict[str, str]) -> str:
    """Names and types as Spark writes them."""
    return ", ".join(f"{name} {kind.replace('VARCHAR', 'STRING')}" for name, kind in columns.items())


def main() -> None:
    """Runs it. Starting Java and Spark is not counted."""
    given = json.load(sys.stdin)
    folder = Path(given["folder"])
    session = spark.session(folder, given["workers"], shuffle_partitions=str(4 * given["workers"]))
    orders = session.read.csv(given["orders"], header=True, schema=schema(job.ORDERS))
    payments = session.read.csv(given["payments"], header=True, schema=schema(job.PAYMENTS))
    frame = orders.join(payments, orders.order_id == payments.payment_order, "left").drop("payment_order")
    for name, expression in job.columns():
        frame = frame.withColumn(name, f.expr(expression))
    out = str(folder / "spark.csv")
    stage = measured("run", lambda: frame.write.mode("overwrite").csv(out))
    numbers = [f"{kind}_{at}" for kind in job.NUMBERS for at in job.ROUNDS]
    kinds = {name: "DECIMAL(38, 2)" if name in numbers else "STRING" for name in frame.columns}
    read = session.read.csv(out, schema=schema(kinds))
    row = read.select(f.count("*"), *(f.sum(name) for name in numbers)).first() or (0,)
    answer = job.differences(given, row[0], dict(zip(numbers, row[1:], strict=True)))
    print(json.dumps({"stages": [stage], "differences": answer}))
    session.stop()


if __name__ == "__main__":
    main()
