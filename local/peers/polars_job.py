"""The job in Polars, streamed. Prints a line of JSON; reads one, see `local/bench_reconcile.py`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from local.peers import job
from local.peers.meter import measured


def main() -> None:
    """Runs it."""
    given = json.load(sys.stdin)
    os.environ["POLARS_MAX_THREADS"] = str(given["workers"])
    import polars as pl  # noqa: PLC0415 (the threads are counted when it is imported)

    kinds = {
        "BIGINT": pl.Int64,
        "VARCHAR": pl.String,
        "DATE": pl.Date,
        "DECIMAL(18, 2)": pl.Decimal(18, 2),
        "DECIMAL(8, 4)": pl.Decimal(8, 4),
    }

    def scan(path: str, columns: dict[str, str]) -> pl.LazyFrame:
        return pl.scan_csv(path, schema={name: kinds[kind] for name, kind in columns.items()})

    orders, payments = scan(given["orders"], job.ORDERS), scan(given["payments"], job.PAYMENTS)
    frame = orders.join(payments, left_on="order_id", right_on="payment_order", how="left", maintain_order="left")
    for at in job.ROUNDS:
        net, off, due = (pl.col(f"{name}_{at}") for name in ("net", "off", "due"))
        frame = frame.with_columns((pl.col("price") * (at + 1)).cast(pl.Decimal(18, 2)).alias(f"net_{at}"))
        product = net.cast(pl.Decimal(24, 6)) * pl.col("discount").cast(pl.Decimal(24, 6))
        product = product.round(2, "half_away_from_zero")
        frame = frame.with_columns(product.cast(pl.Decimal(18, 2)).alias(f"off_{at}"))
        frame = frame.with_columns((net - off).alias(f"due_{at}"))
        frame = frame.with_columns((due - pl.col("paid")).alias(f"open_{at}"))
        size = pl.when(due > 100 * at).then(pl.lit("large")).otherwise(pl.lit("small"))
        frame = frame.with_columns(size.alias(f"size_{at}"))
        label = pl.concat_str([pl.col("sku"), pl.lit("-"), pl.col(f"size_{at}")])
        frame = frame.with_columns(label.alias(f"label_{at}"))
    out = str(Path(given["folder"]) / "polars.csv")
    stage = measured("run", lambda: frame.sink_csv(out, include_header=False))
    numbers = [f"{kind}_{at}" for kind in job.NUMBERS for at in job.ROUNDS]
    names = [*job.ORDERS, *job.FOUND, *(name for name, _ in job.columns())]
    kinds_out = {name: pl.Decimal(38, 2) if name in numbers else pl.String for name in names}
    read = pl.scan_csv(out, has_header=False, schema=kinds_out)
    totals = read.select(pl.len().alias("rows"), *(pl.col(name).sum() for name in numbers)).collect().row(0, named=True)
    answer = job.differences(given, totals["rows"], {name: totals[name] for name in numbers})
    print(json.dumps({"stages": [stage], "differences": answer}))


if __name__ == "__main__":
    main()
