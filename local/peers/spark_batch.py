"""A batch in Spark: reduce, and reduce and join. Reads and prints a line of JSON, as `duckdb_batch` does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from local.peers import spark
from local.peers.meter import measured

EVENTS = "order_id STRING, event_id STRING, event_time TIMESTAMP, kind STRING, amount DECIMAL(18, 2), currency STRING"
AMOUNTS = "ARRAY<STRUCT<currency: STRING, amount: DECIMAL(18, 2)>>"
ARTIFACTS = f"key STRING, events BIGINT, measures STRUCT<invoiced: {AMOUNTS}, paid: {AMOUNTS}, payments: BIGINT>"


def main() -> None:
    """Measures both. Starting Java and Spark is not counted."""
    given = json.load(sys.stdin)
    folder = Path(given["folder"])
    session = spark.session(
        folder, given["workers"], session_timeZone="UTC", shuffle_partitions=str(4 * given["workers"])
    )
    # The rows go nowhere, but all of their columns are made.
    reduce = measured("reduce", lambda: reduced(session, given).write.format("noop").mode("overwrite").save())
    out = str(folder / "spark.jsonl")
    join = measured("reduce and join", lambda: joined(session, given).write.mode("overwrite").json(out))
    print(json.dumps({"stages": [reduce, join]}))
    session.stop()


def reduced(session: SparkSession, given: dict[str, list[str]]) -> DataFrame:
    """What the batch brings each order. Duplicates are records that are the same in all columns."""
    events = session.read.csv(given["events"], schema=EVENTS, header=True).distinct()
    invoice, payment = f.col("kind") == "invoice", f.col("kind") == "payment"
    return events.groupBy("order_id").agg(
        f.first("currency").alias("currency"),
        f.count("*").alias("events"),
        f.sum(f.when(invoice, f.col("amount"))).alias("invoiced"),
        f.sum(f.when(payment, f.col("amount"))).alias("paid"),
        f.count(f.when(payment, 1)).alias("payments"),
    )


def joined(session: SparkSession, given: dict[str, list[str]]) -> DataFrame:
    """The artifacts that the batch touches, as they are behind it."""
    before = session.read.json(given["artifacts"], schema=ARTIFACTS).withColumnRenamed("events", "events_before")
    batch = reduced(session, given)
    rows = batch.join(before, batch.order_id == before.key, "left")

    def total(name: str) -> Column:
        return f.coalesce(f.col(f"measures.{name}")[0].amount, f.lit(0)) + f.coalesce(f.col(name), f.lit(0))

    invoiced, paid = total("invoiced"), total("paid")
    return rows.select(
        batch.order_id.alias("key"),
        (f.coalesce("events_before", f.lit(0)) + f.col("events")).alias("events"),
        f.struct(
            f.array(f.struct("currency", invoiced.alias("amount"))).alias("invoiced"),
            f.array(f.struct("currency", paid.alias("amount"))).alias("paid"),
            (f.coalesce("measures.payments", f.lit(0)) + f.col("payments")).alias("payments"),
        ).alias("measures"),
        f.when(f.abs(invoiced - paid) <= 0.05, "reconciled").otherwise("break").alias("status"),
    )


if __name__ == "__main__":
    main()
