"""Parquet files as data frames.

A column of an input may be stored in another way in each of its files. How it is, the footers say; files that are alike
are read together.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.types import StructType

from tieout_spark import plain
from tieout_spark.faults import FaultError
from tieout_spark.records import SHOWN_CHARS_MAX
from tieout_spark.sql import fault_at, literal, quoted, spark_type
from tieout_spark.store import NO_PATTERNS, REQUESTS_AT_ONCE, Store


class Stored(NamedTuple):
    """A column of a file: how Spark reads it, the type of its values, and these in SQL, null where one is none."""

    read: str
    kind: str
    value: str = "{0}"


# The days and microseconds of the years 1 to 9999.
DAYS = (-719_162, 2_932_896)
MICROSECONDS = (DAYS[0] * 86_400_000_000, (DAYS[1] + 1) * 86_400_000_000 - 1)
DAY = f"if({{0}} between {DAYS[0]} and {DAYS[1]}, date_from_unix_date({{0}}), null)"
MOMENT = f"if({{0}} between {MICROSECONDS[0]} and {MICROSECONDS[1]}, timestamp_micros({{0}}), null)"
# Nothing is rounded: what has parts of a microsecond is no moment.
UNITS = {
    "MILLIS": "try_multiply({0}, 1000L)",
    "MICROS": "{0}",
    "NANOS": "if({0} % 1000 = 0, {0} div 1000, null)",
}
DIGITS_MAX = 38
NUL = "expected text: there is a NUL byte"
NO_TEXT = "expected text in utf-8: there are bytes that are none"
# Of which file a row is, as `Store.uri` writes it.
PATH = "regexp_replace(_metadata.file_path, '^file:/+', 'file:/')"


def read_parquet(
    session: SparkSession, store: Store, name: str, objects: List[str], columns: List[Dict[str, Any]]
) -> DataFrame:
    """The columns of Parquet files, by their names, and `#fault`."""
    wanted = [column for column in columns if not column["name"].startswith("#")]
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        schemas = list(pool.map(store.parquet_schema, objects))
    alike: Dict[str, List[int]] = {}
    for number, schema in enumerate(schemas):
        alike.setdefault(str(schema.toString()), []).append(number)
    groups: Dict[Tuple[Stored, ...], List[int]] = {}
    for numbers in alike.values():
        first = numbers[0]
        found = tuple(stored_as(schemas[first], name, first, column["name"], column["type"]) for column in wanted)
        groups.setdefault(found, []).extend(numbers)
    parts = []
    for group, numbers in groups.items():
        paths = {number: objects[number] for number in numbers}
        parts.append(typed(rows(session, store, paths, wanted, group), columns, group))
    return reduce(DataFrame.unionAll, parts)


def stored_as(schema: Any, name: str, number: int, column: str, kind: str) -> Stored:
    """How a column is stored in an object, of which values of a type are wanted."""
    if not schema.containsField(column):
        raise FaultError("the file has no such column", input=name, column=column, object=number)
    field = schema.getType(column)
    found = None
    if field.isPrimitive() and str(field.getRepetition().toString()) != "REPEATED":
        note = field.getLogicalTypeAnnotation()
        physical = str(field.asPrimitiveType().getPrimitiveTypeName().toString())
        found = stored(physical, "" if note is None else str(note.toString()))
    if found is None or cell_of("", found, kind) is None:
        shown = re.sub(r"\s+", " ", str(field.toString()))
        problem = f"it is {found.kind if found else shown} in the file: expected what can be {kind}"
        raise FaultError(problem, input=name, column=column, object=number)
    return found


def stored(physical: str, note: str) -> Optional[Stored]:
    """A column of a physical type, with its note of what that stands for; nothing where it is none that is read."""
    decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", note)
    if decimal:
        digits, scale = int(decimal[1]), int(decimal[2])
        # Spark reads what has as many digits as fit the physical type, and is wrong about bytes that are read as fewer.
        read = {"INT32": 9, "INT64": 18}.get(physical, DIGITS_MAX)
        return Stored(f"decimal({read},{scale})", f"decimal({scale})") if digits <= read else None
    moment = re.fullmatch(r"TIMESTAMP\((MILLIS|MICROS|NANOS),(?:true|false)\)", note)
    if moment:
        return Stored("long", "timestamp", MOMENT.format(UNITS[moment[1]]))
    whole = re.fullmatch(r"INTEGER\((\d+),(true|false)\)|", note)
    if whole and physical in ("INT32", "INT64") and whole.groups() != ("64", "false"):
        wide = physical == "INT64" or whole.groups() == ("32", "false")
        return Stored("long" if wide else "integer", "integer")
    return {
        ("INT32", "DATE"): Stored("integer", "date", DAY),
        ("BINARY", "STRING"): Stored("string", "text"),
        ("BOOLEAN", ""): Stored("boolean", "boolean"),
    }.get((physical, note))


def rows(
    session: SparkSession,
    store: Store,
    objects: Dict[int, str],
    wanted: List[Dict[str, Any]],
    group: Tuple[Stored, ...],
) -> DataFrame:
    """The rows of files that are alike: columns as they are stored, and where each row is."""
    schema = StructType()
    for column, one in zip(wanted, group):
        schema = schema.add(column["name"], one.read)
    found = session.read.schema(schema).options(**NO_PATTERNS).parquet(*objects.values())
    cells = [f.col(quoted(column["name"])).alias(f"p{column['id']}") for column in wanted]
    found = found.select(f.expr(PATH).alias("path"), f.expr("_metadata.row_index + 1").alias("#row"), *cells)
    if len(objects) == 1:
        (number,) = objects
        return found.withColumn("#object", f.lit(number).cast("bigint"))
    numbers = [(store.uri(path), number) for number, path in objects.items()]
    known = session.createDataFrame(numbers, "path string, number bigint")
    elsewhere = "cast(raise_error('rows are of an object that is none of the input') as bigint)"
    return found.join(f.broadcast(known), "path", "left").withColumn(
        "#object", f.expr(f"coalesce(number, {elsewhere})")
    )


def typed(found: DataFrame, columns: List[Dict[str, Any]], group: Tuple[Stored, ...]) -> DataFrame:
    """The columns as values of their types, and what is wrong with a row: the first cell that is none."""
    cells, problems = [], []
    of = iter(group)
    for column in columns:
        number, kind = f"c{column['id']}", column["type"]
        if column["name"].startswith("#"):
            cells.append(f"`{column['name']}` as {number}")
            continue
        one, raw = next(of), f"p{column['id']}"
        cell = cell_of(raw, one, kind)
        cells.append(f"{cell} as {number}")
        if (one.kind, kind) == ("text", "text"):
            # Where bytes are no text, decoding puts another character.
            broken = f"{raw} <> decode(cast({raw} as binary), 'UTF-8')"
            problems.append(f"when {broken} then {fault_at(literal(column['name']), literal(NO_TEXT))}")
            problems.append(f"when instr({raw}, char(0)) > 0 then {fault_at(literal(column['name']), literal(NUL))}")
            continue
        given = f"{raw} is not null" + (f" and {raw} <> ''" if one.kind == "text" else "")
        # Numbers of other types are what they were, or none.
        same = f"try_cast({cell} as {one.read}) <=> {raw}" if one.kind.startswith("decimal") else f"{cell} is not null"
        text = f"cast({raw} as string)"
        shown = f"left({text}, {SHOWN_CHARS_MAX}), if(char_length({text}) > {SHOWN_CHARS_MAX}, '…', '')"
        message = f"concat('\"', {shown}, {literal(f'{chr(34)} is no {kind}')})"
        problems.append(f"when {given} and not ({same}) then {fault_at(literal(column['name']), message)}")
    nothing = "cast(null as struct<object: bigint, row: bigint, column: string, message: string>)"
    fault = f"case {' '.join(problems)} else {nothing} end" if problems else nothing
    return found.selectExpr(*cells, f"{fault} as `#fault`")


def cell_of(raw: str, found: Stored, kind: str) -> Optional[str]:
    """A stored column as one of a type, null where it does not fit; nothing where it cannot be one, by the table of
    `docs/reconcile.md`."""
    value = found.value.format(raw)
    if found.kind == "text":
        text = f"nullif({raw}, '')"
        return text if kind == "text" else plain.value(text, kind, {})
    if found.kind == kind:
        return f"try_cast({value} as {spark_type(kind)})" if kind.startswith("decimal") else value
    if found.kind.startswith(("integer", "decimal")) and kind.startswith(("integer", "decimal")):
        return f"try_cast({value} as {spark_type(kind)})"
    return f"cast({value} as timestamp)" if (found.kind, kind) == ("date", "timestamp") else None
