"""Runs one task of tieout's reconcile pipeline on Spark.

    spark-submit --py-files tieout_spark.zip run_task.py --task s3://work/acme/jobs/close/attempt=1/task.json

The task says what is read and done and where the result goes; the last that is written is the report. A task whose
data is wrong ends well: its report says what is wrong. Anything else that goes wrong ends the program.
"""

from __future__ import annotations

import argparse
import json
from typing import Optional, Sequence

from pyspark.sql import SparkSession

from tieout_spark import engine
from tieout_spark.store import Store


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Runs the tasks that are named."""
    parser = argparse.ArgumentParser(description="Runs a task of tieout's reconcile pipeline.")
    parser.add_argument("--task", required=True, help="where the task is: s3://bucket/key, or a file's path")
    parser.add_argument("--root", help="the folder whose folders stand for buckets, in place of S3")
    given = parser.parse_args(arguments)
    session = SparkSession.builder.appName("tieout").getOrCreate()
    store = Store(session, given.root)
    engine.prepare(session)
    engine.run(session, store, json.loads(store.read(given.task)))
    session.stop()


if __name__ == "__main__":
    main()
