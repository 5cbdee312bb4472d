"""The job of `make bench-reconcile`, as SQL: what `crates/reconcile-engine/benches/job` has as steps."""

from __future__ import annotations

from typing import Any

ORDERS = {
    "order_id": "BIGINT",
    "customer": "VARCHAR",
    "sku": "VARCHAR",
    "region": "VARCHAR",
    "quantity": "BIGINT",
    "price": "DECIMAL(18, 2)",
    "discount": "DECIMAL(8, 4)",
    "ordered": "DATE",
}
PAYMENTS = {
    "payment_order": "BIGINT",
    "paid": "DECIMAL(18, 2)",
    "fee": "DECIMAL(18, 2)",
    "method": "VARCHAR",
    "paid_on": "DATE",
}
FOUND = ("paid", "fee", "method", "paid_on")
ROUNDS = range(1, 9)
NUMBERS = ("net", "off", "due", "open")


def columns() -> list[tuple[str, str]]:
    """The computed columns, each made of those before it."""
    made = []
    for at in ROUNDS:
        made += [
            (f"net_{at}", f"CAST(price * {at + 1} AS DECIMAL(18, 2))"),
            (f"off_{at}", f"CAST(round(net_{at} * discount, 2) AS DECIMAL(18, 2))"),
            (f"due_{at}", f"net_{at} - off_{at}"),
            (f"open_{at}", f"due_{at} - paid"),
            (f"size_{at}", f"CASE WHEN due_{at} > {100 * at} THEN 'large' ELSE 'small' END"),
            (f"label_{at}", f"concat(sku, '-', size_{at})"),
        ]
    return made


def differences(given: dict[str, Any], rows: int, sums: dict[str, object]) -> int:
    """In how many columns the sums are not tieout's."""
    if rows != given["rows"]:
        raise SystemExit(f"{rows} rows, tieout has {given['rows']}")
    return sum(str(total) != given["totals"][name] for name, total in sums.items())
