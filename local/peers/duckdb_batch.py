"""A batch in DuckDB: reduce, and reduce and join. Prints a line of JSON; reads one, see `local/bench_ledger.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb

from local.peers.meter import measured

AMOUNTS = "STRUCT(currency VARCHAR, amount DECIMAL(18, 2))[]"

# Duplicates are records that are the same in all columns, as the ledger has them.
REDUCE = """
    SELECT
        order_id,
        any_value(currency) AS currency,
        count(*) AS events,
        sum(amount) FILTER (kind = 'invoice') AS invoiced,
        sum(amount) FILTER (kind = 'payment') AS paid,
        count(*) FILTER (kind = 'payment') AS payments
    FROM (
        SELECT DISTINCT * FROM read_csv($events, header = true, columns = {
            'order_id': 'VARCHAR', 'event_id': 'VARCHAR', 'event_time': 'TIMESTAMP', 'kind': 'VARCHAR',
            'amount': 'DECIMAL(18, 2)', 'currency': 'VARCHAR'
        })
    )
    GROUP BY order_id
"""

JOIN = f"""
    SELECT
        key,
        events,
        {{
            'invoiced': [{{ 'currency': currency, 'amount': invoiced }}],
            'paid': [{{ 'currency': currency, 'amount': paid }}],
            'payments': payments
        }} AS measures,
        if(abs(invoiced - paid) <= 0.05, 'reconciled', 'break') AS status
    FROM (
        SELECT
            batch.order_id AS key,
            batch.currency,
            coalesce(before.events, 0) + batch.events AS events,
            coalesce(before.measures.invoiced[1].amount, 0) + coalesce(batch.invoiced, 0) AS invoiced,
            coalesce(before.measures.paid[1].amount, 0) + coalesce(batch.paid, 0) AS paid,
            coalesce(before.measures.payments, 0) + batch.payments AS payments
        FROM ({REDUCE}) AS batch
        LEFT JOIN read_json($artifacts, format = 'newline_delimited', columns = {{
            'key': 'VARCHAR', 'events': 'BIGINT',
            'measures': 'STRUCT(invoiced {AMOUNTS}, paid {AMOUNTS}, payments BIGINT)'
        }}) AS before ON before.key = batch.order_id
    )
"""

# How many artifacts the ledger has written otherwise, or not at all, or alone.
DIFFERENCES = f"""
    SELECT count(*) FROM read_json($joined, format = 'newline_delimited', columns = {{
        'key': 'VARCHAR', 'events': 'BIGINT', 'measures': 'STRUCT(invoiced {AMOUNTS}, paid {AMOUNTS}, payments BIGINT)'
    }}) AS here FULL JOIN read_json($written, format = 'newline_delimited', columns = {{
        'key': 'VARCHAR', 'events': 'BIGINT', 'measures': 'STRUCT(invoiced {AMOUNTS}, paid {AMOUNTS}, payments BIGINT)'
    }}) AS there ON here.key = there.key
    WHERE here.key IS NULL OR there.key IS NULL OR here.events <> there.events
        OR here.measures.payments <> there.measures.payments
        OR here.measures.invoiced[1].amount <> coalesce(there.measures.invoiced[1].amount, 0)
        OR here.measures.paid[1].amount <> coalesce(there.measures.paid[1].amount, 0)
"""


def main() -> None:
    """Measures both, and compares what came of the second with what the ledger has written."""
    given = json.load(sys.stdin)
    out = Path(given["folder"]) / "duckdb.jsonl"
    events, artifacts = {"events": given["events"]}, {"artifacts": given["artifacts"]}
    connection = duckdb.connect()
    connection.execute(f"SET threads = {int(given['workers'])}")
    reduce = measured("reduce", lambda: connection.execute(f"CREATE TEMP TABLE reduced AS {REDUCE}", events))
    connection.execute("DROP TABLE reduced")
    write = f"COPY ({JOIN}) TO '{out}' (FORMAT json)"
    join = measured("reduce and join", lambda: connection.execute(write, events | artifacts))
    written = {"joined": [str(out)], "written": given["written"]}
    differences = connection.execute(DIFFERENCES, written).fetchall()[0][0]
    print(json.dumps({"stages": [reduce, join], "differences": differences}))


main()
