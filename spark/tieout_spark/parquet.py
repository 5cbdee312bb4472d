"""Parquet files as data frames."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from tieout_spark.faults import FaultError
from tieout_spark.sql import fault_at, literal, quoted, spark_type
from tieout_spark.store import Store, escaped


def read_parquet(
    session: SparkSession, store: Store, name: str, objects: List[str], columns: List[Dict[str, Any]]
) -> DataFrame:
    """The columns of Parquet files, by their names."""
    texts = session.read.parquet(*[escaped(path) for path in objects])
    known = dict(texts.dtypes)
    numbers = {store.uri(path): index for index, path in enumerate(objects)}
    pairs = ", ".join(f"{literal(path)}, {index}L" for path, index in numbers.items())
    frame = texts.select(
        f.expr(f"element_at(map({pairs}), regexp_replace(_metadata.file_path, '^file:/+', 'file:/'))").alias("#object"),
        f.expr("_metadata.row_index + 1").alias("#row"),
        *[f.col(quoted(column["name"])).alias(f"p{column['id']}") for column in columns if column["name"] in known],
    )
    cells, problems = [], []
    for column in columns:
        number, kind = f"c{column['id']}", column["type"]
        if column["name"].startswith("#"):
            cells.append(f"`{column['name']}` as {number}")
            continue
        if column["name"] not in known:
            raise FaultError("the file has no such column", input=name, column=column["name"])
        found, cell = f"p{column['id']}", parquet_cell(f"p{column['id']}", known[column["name"]], kind)
        if cell is None:
            problem = f"it is {known[column['name']]} in the file: expected what can be {kind}"
            raise FaultError(problem, input=name, column=column["name"])
        cells.append(f"{cell} as {number}")
        fits = f"{found} is null or {found} = ''" if kind == "text" else f"{found} is null or {cell} <=> {found}"
        if kind != "text":
            message = f"concat('\"', {found}, '\" is no {kind}')"
            problems.append(f"when not ({fits}) then {fault_at(literal(column['name']), message)}")
    nothing = "cast(null as struct<object: bigint, row: bigint, column: string, message: string>)"
    fault = f"case {' '.join(problems)} else {nothing} end" if problems else nothing
    return frame.selectExpr(*cells, f"{fault} as `#fault`")


def parquet_cell(found: str, stored: str, kind: str) -> Optional[str]:
    """A column of a Parquet file as one of a type; nothing where it cannot be."""
    numbers = ("tinyint", "smallint", "int", "bigint", "decimal")
    holds = {
        "text": ("string",),
        "integer": ("tinyint", "smallint", "int", "bigint"),
        "date": ("date",),
        "timestamp": ("timestamp", "timestamp_ntz"),
        "boolean": ("boolean",),
    }.get(kind, numbers)
    if not stored.startswith(holds):
        return None
    return f"nullif({found}, '')" if kind == "text" else f"try_cast({found} as {spark_type(kind)})"
