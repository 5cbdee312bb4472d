"""Inputs as data frames: the columns of a `read`, typed, and what is wrong with a row.

Spark cuts objects at line feeds and gives each worker pieces of them; a piece is made into records by `records`. Rows
are counted through all the pieces of an object first, where it has several. What cannot be read is no exception but a
cell of the row: see `faults`.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.types import LongType, StringType, StructField, StructType

from tieout_spark import pieces, plain, records
from tieout_spark.faults import FaultError
from tieout_spark.parquet import read_parquet
from tieout_spark.records import Misplaced, Unreadable
from tieout_spark.sources import Layout, Piece, Source, described, layouts, long_line
from tieout_spark.sql import fault_at, spark_type
from tieout_spark.store import Store, uniform

# Spark passes over files of these names, as if they were not there, and unpacks these.
PASSED_OVER, PACKED = (".", "_"), (".gz", ".bz2", ".deflate", ".lz4", ".snappy", ".zst")
# Less than this is read in Python before Spark has looked whether it could.
PLAIN_BYTES_MIN = 1 << 20


class Rows(NamedTuple):
    """The rows of an input: its columns under their numbers, and `#fault`."""

    data: DataFrame
    # How many there are, where all of them were counted before.
    counted: Optional[int] = None


def read(session: SparkSession, store: Store, name: str, given: Dict[str, Any], columns: List[Dict[str, Any]]) -> Rows:
    """The rows of an input."""
    for index, one in enumerate(given["objects"]):
        problem = unread(one["key"].rpartition("/")[2], given["format"])
        if problem is not None:
            raise FaultError(problem, input=name, object=index)
    objects = [store.path(one["bucket"], one["key"]) for one in given["objects"]]
    if given["format"] == "parquet":
        return Rows(read_parquet(session, store, name, objects, columns))
    source = described(store, name, given, columns, objects)
    if source.dialect is not None:
        source.layouts = layouts(store, source, source.dialect, given, objects)
    else:
        long_line(store, source, given, objects)
    counts = {}
    if sum(one["bytes"] for one in given["objects"]) >= PLAIN_BYTES_MIN:
        counts = plain.counted(session, source, objects)
    swift = plain.plain_objects(source, counts)
    # An object without a row may be of either kind.
    others = [number for number in range(len(objects)) if number not in swift]
    if source.dialect is None or not swift:
        return Rows(read_others(session, source, given, objects, others, columns))
    paths = [objects[number] for number in sorted(swift)]
    data = plain.read_plain(session, source, source.dialect, paths, counts, columns)
    if others:
        return Rows(data.unionAll(read_others(session, source, given, objects, others, columns)))
    return Rows(data, sum(rows for rows, _ in counts.values()) - source.header * len(objects))


def read_others(
    session: SparkSession,
    source: Source,
    given: Dict[str, Any],
    objects: List[str],
    numbers: List[int],
    columns: List[Dict[str, Any]],
) -> DataFrame:
    """The rows of those objects whose records are made in Python."""
    large = [objects[number] for number in numbers if given["objects"][number]["bytes"] > pieces.PIECE_BYTES]
    if large:
        source.pieces = pieces.surveyed(session, source, large)
    rows = pieces.lines(session, [objects[number] for number in numbers]).rdd
    parts = rows.mapPartitions(lambda rows: parsed(rows, source))
    fields = [StructField(f"c{column['id']}", StringType()) for column in columns if not column["name"].startswith("#")]
    places = [StructField("#object", LongType()), StructField("#row", LongType())]
    faults = [StructField("#column", StringType()), StructField("#message", StringType())]
    texts = session.createDataFrame(parts, StructType(fields + places + faults), verifySchema=False)
    return typed(texts, columns)


def absent_member(
    session: SparkSession, store: Store, given: Dict[str, Any], names: List[str]
) -> Optional[Tuple[str, List[str]]]:
    """The first of those names that is no member of any line of an input, and what members a line has."""
    paths = [store.path(one["bucket"], one["key"]) for one in given["objects"]]
    lines = pieces.lines(session, paths)
    seen = set(lines.rdd.mapPartitions(lambda rows: members(rows, set(names))).collect())
    absent = next((name for name in names if name not in seen), None)
    example = lines.where("trim(cast(line as string)) <> ''").first() if absent is not None else None
    return None if absent is None else (absent, sorted(records.json_members(bytes(example[0]))) if example else [])


def members(rows: Iterable[Row], wanted: Set[str]) -> Iterator[str]:
    """Those names that are members of the lines of a partition."""
    for _, found in pieces.pieces(rows):
        for line in found:
            seen = records.json_members(line) & wanted
            wanted -= seen
            yield from seen
            if not wanted:
                return


def unread(file: str, form: str) -> Optional[str]:
    """Why Spark would not read an object of that name, or not as it is."""
    if file.startswith(PASSED_OVER) or file.endswith("._COPYING_"):
        return "Spark passes over files whose names begin with _ or . or end with ._COPYING_: give it another"
    if form != "parquet" and file.lower().endswith(PACKED):
        return "the file is packed, by its name: unpack it first"
    return None


def parsed(rows: Iterable[Row], source: Source) -> Iterator[Tuple[Any, ...]]:
    """The rows of the pieces of a partition: texts of cells, object, row, and what is wrong with which column."""
    parsers = [records.parser(kind, one) for (_, kind), one in zip(source.columns, source.described)]
    for key, found in pieces.pieces(rows):
        number, piece = source.objects[uniform(key[0])], source.piece(key)
        numbered = numbered_values(found, source, piece, source.layouts.get(number))
        for row, record in numbered:
            cells: List[Optional[str]] = []
            fault: Tuple[Optional[str], Optional[str]] = (None, None)
            if isinstance(record, Unreadable):
                cells, fault = [None] * len(parsers), (None, record.message)
            else:
                for n, (value, parse) in enumerate(zip(record, parsers)):
                    cell, problem = cell_of(value, parse, n, source)
                    cells.append(cell)
                    if problem and fault[1] is None:
                        fault = (source.columns[n][0], problem)
            yield (*cells, number, row, *fault)


def cell_of(value: Any, parse: records.Parse, n: int, source: Source) -> Tuple[Optional[str], Optional[str]]:
    """The text of a cell of the column of that number, or what is wrong with it."""
    name, kind = source.columns[n]
    if value is None or value == "" or value in source.missing:
        return None, None
    if isinstance(value, Misplaced):
        return None, value.told(name)
    text = value if source.dialect is not None else records.json_text(value, kind)
    cell = None if text is None else parse(text)
    if cell is not None:
        return cell, None
    return None, f'"{records.shown(value)}" is no {records.written(kind, source.described[n])}'


def numbered_values(
    found: Iterator[bytes], source: Source, piece: Piece, layout: Optional[Layout]
) -> Iterator[Tuple[int, Any]]:
    """The records of a piece with their numbers: the values of the wanted columns, or why there are none."""
    if source.dialect is None or layout is None:
        for row, line in enumerate(found, piece.row):
            if len(line) > records.LINE_BYTES_MAX:
                yield row, Unreadable(records.LONG_LINE)
            elif line.strip(b" \t\n\f\r"):
                yield row, records.json_cells(line, source.paths)
        return
    for row, record in enumerate(pieces.csv_records(found, source.dialect, piece), piece.row):
        if row == 0 and source.header:
            continue
        if isinstance(record, Unreadable):
            yield row, record
        elif len(record) != layout.cells:
            yield row, Unreadable(f"expected {layout.cells} fields, found {len(record)}")
        else:
            yield row, [record[position] for position in layout.positions]


def typed(texts: DataFrame, columns: List[Dict[str, Any]]) -> DataFrame:
    """The cells as values of their types: their texts are such as Spark reads, whatever they were in the file."""
    cells = []
    for column in columns:
        name, number = column["name"], f"c{column['id']}"
        cells.append(
            f"`{name}` as {number}"
            if name.startswith("#")
            else f"cast({number} as {spark_type(column['type'])}) as {number}"
        )
    fault = f"case when `#message` is not null then {fault_at('`#column`', '`#message`')} end as `#fault`"
    return texts.selectExpr(*cells, fault)
