"""How all artifacts of a ledger on the local stack stand, each read where the index says that it is.

Run by the Python of `.local/venvs/tools`, which has boto3: `python -m local.artifacts <ledger>` prints a line of JSON.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from local.settings import STACK

TENANT = "default"
# The bucket of part-files on the local stack.
DATA_BUCKET = f"{STACK}-data-000000000000-us-east-1"
SIDES = ("due", "settled")

Artifact = dict[str, Any]


def totals(artifacts: Iterator[Artifact]) -> dict[str, Any]:
    """Counts by status, and exact sums of both sides by currency, as the generator tells them."""
    count, statuses = 0, Counter[str]()
    sums: dict[str, dict[str, Decimal]] = {side: {} for side in SIDES}
    for artifact in artifacts:
        count += 1
        statuses[artifact["status"]] += 1
        for side in SIDES:
            for entry in artifact["measures"][side]:
                held = sums[side].get(entry["currency"], Decimal(0))
                sums[side][entry["currency"]] = held + Decimal(entry["amount"])
    return {
        "artifacts": count,
        "open": statuses["open"],
        "reconciled": statuses["reconciled"],
        "breaks": statuses["break"],
        **{side: {currency: str(amount) for currency, amount in sums[side].items()} for side in SIDES},
    }


def read(ledger: str) -> Iterator[Artifact]:
    """Every artifact."""
    import boto3

    prefix, files = f"{TENANT}#{ledger}#", {}
    index = boto3.resource("dynamodb").Table(f"{STACK}-artifacts")
    question: dict[str, Any] = {
        "ConsistentRead": True,
        "FilterExpression": "begins_with(pk, :prefix)",
        "ExpressionAttributeValues": {":prefix": prefix},
    }
    while True:
        page = index.scan(**question)
        for entry in page["Items"]:
            file = entry["file"]
            if file not in files:
                files[file] = boto3.client("s3").get_object(Bucket=DATA_BUCKET, Key=file)["Body"].read()
            line = files[file][int(entry["offset"]) : int(entry["offset"] + entry["length"])]
            yield dict(json.loads(line))
        if "LastEvaluatedKey" not in page:
            return
        question["ExclusiveStartKey"] = page["LastEvaluatedKey"]


if __name__ == "__main__":
    print(json.dumps(totals(read(sys.argv[1]))))
