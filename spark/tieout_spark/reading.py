"""Inputs as data frames: the columns of a `read`, typed, and what is wrong with a row.

Spark cuts objects at line feeds and gives each worker pieces of them; a piece is made into records by `records`. Rows
are counted through all the pieces of an object first, where it has several. What cannot be read is no exception but a
cell of the row: see `faults`.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.types import LongType, StringType, StructField, StructType

from tieout_spark import records
from tieout_spark.faults import FaultError
from tieout_spark.records import Cutter, Dialect, Misplaced, Unreadable
from tieout_spark.store import REQUESTS_AT_ONCE, Store, escaped, uniform

# Objects are cut into pieces of this length, which `engine` sets; shorter ones are not cut.
PIECE_BYTES = 32 << 20
# Spark passes over files of these names, as if they were not there, and unpacks these.
PASSED_OVER, PACKED = (".", "_"), (".gz", ".bz2", ".deflate", ".lz4", ".snappy", ".zst")
BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}

PieceKey = Tuple[str, int]


@dataclass
class Layout:
    """Where the cells of the wanted columns stand in a record, and how they are read."""

    cells: int
    positions: List[int]


@dataclass
class Piece:
    """What a piece begins with: the number of its first row, and whether that is the rest of a quoted cell."""

    row: int
    inside: bool = False
    # Lines of the next pieces that close its last record.
    behind: List[bytes] = field(default_factory=list)


@dataclass
class Source:
    """An input, as the workers need to know it."""

    columns: List[Tuple[str, str]]
    dialect: Optional[Dialect]
    described: List[Dict[str, Any]]
    missing: List[str]
    header: bool
    objects: Dict[str, int]
    # Of JSON lines: where the values of the columns stand.
    paths: List[records.Path] = field(default_factory=list)
    layouts: Dict[int, Layout] = field(default_factory=dict)
    pieces: Dict[PieceKey, Piece] = field(default_factory=dict)

    def piece(self, key: PieceKey) -> Piece:
        """What a piece begins with; of an object that is not cut, the object's first row."""
        if key in self.pieces:
            return self.pieces[key]
        if key[1] > 0:
            raise RuntimeError(f"{key[0]} was cut at {key[1]}, and elsewhere when its rows were counted")
        return Piece(0 if self.header else 1)


def read(
    session: SparkSession, store: Store, name: str, given: Dict[str, Any], columns: List[Dict[str, Any]]
) -> DataFrame:
    """The columns of an input under their numbers, and `#fault`."""
    for index, one in enumerate(given["objects"]):
        problem = unread(one["key"].rpartition("/")[2], given["format"])
        if problem is not None:
            raise FaultError(problem, input=name, object=index)
    objects = [store.path(one["bucket"], one["key"]) for one in given["objects"]]
    if given["format"] == "parquet":
        return read_parquet(session, store, name, objects, columns)
    source = described(store, given, columns, objects)
    if source.dialect is not None:
        source.layouts = layouts(store, source, name, given, objects)
    large = [path for path, one in zip(objects, given["objects"]) if one["bytes"] > PIECE_BYTES]
    if large:
        source.pieces = surveyed(session, source, large)
    rows = lines(session, objects).rdd.mapPartitions(lambda rows: parsed(rows, source))
    fields = [StructField(f"c{column['id']}", StringType()) for column in columns if not column["name"].startswith("#")]
    numbers = [StructField("#object", LongType()), StructField("#row", LongType())]
    faults = [StructField("#column", StringType()), StructField("#message", StringType())]
    texts = session.createDataFrame(rows, StructType(fields + numbers + faults), verifySchema=False)
    return typed(texts, columns)


def unread(file: str, form: str) -> Optional[str]:
    """Why Spark would not read an object of that name, or not as it is."""
    if file.startswith(PASSED_OVER) or file.endswith("._COPYING_"):
        return "Spark passes over files whose names begin with _ or . or end with ._COPYING_: give it another"
    if form != "parquet" and file.lower().endswith(PACKED):
        return "the file is packed, by its name: unpack it first"
    return None


def described(store: Store, given: Dict[str, Any], columns: List[Dict[str, Any]], objects: List[str]) -> Source:
    """The source that an input is."""
    wanted = [(column["name"], column["type"]) for column in columns if not column["name"].startswith("#")]
    csv = given.get("csv")
    paths = {store.uri(path): index for index, path in enumerate(objects)}
    if csv is None:
        ways = given.get("paths", {})
        steps = [ways.get(name, [{"member": name}]) for name, _ in wanted]
        return Source(wanted, None, [{} for _ in wanted], [], False, paths, steps)
    dialect = Dialect(
        csv["delimiter"], csv.get("quoteChar"), csv["doubleQuote"], csv["skipInitialSpace"], csv["encoding"]
    )
    words = {"trueValues": ["true", "True", "TRUE", "1"], "falseValues": ["false", "False", "FALSE", "0"]}
    by_name = {one["name"]: {**words, **one} for one in csv["columns"]}
    return Source(wanted, dialect, [by_name[name] for name, _ in wanted], csv["missingValues"], csv["header"], paths)


def lines(session: SparkSession, paths: List[str]) -> DataFrame:
    """Every line, and the piece that it is of."""
    if not paths:
        return session.createDataFrame([], "line binary, path string, start bigint")
    text = session.read.format("text").option("lineSep", "\n").load([escaped(path) for path in paths])
    return text.selectExpr(
        "cast(value as binary) as line", "_metadata.file_path as path", "_metadata.file_block_start as start"
    )


def pieces(rows: Iterable[Row]) -> Iterator[Tuple[PieceKey, Iterator[bytes]]]:
    """The pieces of a partition, and their lines."""
    for key, group in itertools.groupby(rows, key=lambda row: (row[1], row[2])):
        yield key, without_mark(key[1], (bytes(row[0]) for row in group))


def without_mark(start: int, found: Iterator[bytes]) -> Iterator[bytes]:
    """The lines without the byte order mark that an object may begin with."""
    for index, line in enumerate(found):
        yield line[3:] if start == 0 and index == 0 and line.startswith(b"\xef\xbb\xbf") else line


def parsed(rows: Iterable[Row], source: Source) -> Iterator[Tuple[Any, ...]]:
    """The rows of the pieces of a partition: texts of cells, object, row, and what is wrong with which column."""
    parsers = [records.parser(kind, one) for (_, kind), one in zip(source.columns, source.described)]
    for key, found in pieces(rows):
        number, piece = source.objects[uniform(key[0])], source.piece(key)
        numbered = numbered_values(found, source, piece, source.layouts.get(number))
        for row, record in numbered:
            cells: List[Optional[str]] = []
            fault: Tuple[Optional[str], Optional[str]] = (None, None)
            if isinstance(record, Unreadable):
                cells, fault = [None] * len(parsers), (None, record.message)
            else:
                for value, parse, (name, kind) in zip(record, parsers, source.columns):
                    cell, problem = cell_of(value, parse, kind, source)
                    cells.append(cell)
                    if problem and fault[1] is None:
                        fault = (name, problem)
            yield (*cells, number, row, *fault)


def cell_of(value: Any, parse: records.Parse, kind: str, source: Source) -> Tuple[Optional[str], Optional[str]]:
    """The text of a cell, or what is wrong with it."""
    if value is None or value == "" or value in source.missing:
        return None, None
    if isinstance(value, Misplaced):
        return None, f"expected {value.expected}"
    text = value if source.dialect is not None else records.json_text(value, kind)
    cell = None if text is None else parse(text)
    return cell, None if cell is not None else f'"{str(value)[:100]}" is no {kind}'


def numbered_values(
    found: Iterator[bytes], source: Source, piece: Piece, layout: Optional[Layout]
) -> Iterator[Tuple[int, Any]]:
    """The records of a piece with their numbers: the values of the wanted columns, or why there are none."""
    if source.dialect is None or layout is None:
        for row, line in enumerate(found, piece.row):
            if line.strip(b" \t\n\f\r"):
                yield row, records.json_cells(line, source.paths)
        return
    for row, record in enumerate(csv_records(found, source.dialect, piece), piece.row):
        if row == 0 and source.header:
            continue
        if isinstance(record, Unreadable):
            yield row, record
        elif len(record) != layout.cells:
            yield row, Unreadable(f"expected {layout.cells} fields, found {len(record)}")
        else:
            yield row, [record[position] for position in layout.positions]


def csv_records(found: Iterable[bytes], dialect: Dialect, piece: Piece) -> Iterator[records.Record]:
    """The records that begin in a piece."""
    cutter = Cutter(dialect)
    if piece.inside:
        cutter.resume()
    cut = cutter.cut(found)
    if piece.inside and next(cut, None) is None:
        return
    yield from cut
    if cutter.waiting:
        yield from itertools.islice(itertools.chain(cutter.cut(piece.behind), cutter.end()), 1)


def surveyed(session: SparkSession, source: Source, paths: List[str]) -> Dict[PieceKey, Piece]:
    """What each piece of large objects begins with."""
    counted = survey(session, source, paths, False)
    inside = survey(session, source, paths, True) if any(ends for _, ends, _ in counted.values()) else {}
    found: Dict[PieceKey, Piece] = {}
    for _, group in itertools.groupby(sorted(counted), key=lambda key: key[0]):
        row, waits = 0 if source.header else 1, False
        before: Optional[Piece] = None
        for key in group:
            count, ends, head = inside[key] if waits else counted[key]
            found[key] = Piece(row, waits)
            if waits and before is not None:
                before.behind.extend(head)
            if not (waits and ends and not count):
                before = found[key]
            row, waits = row + count, ends
    return found


def survey(
    session: SparkSession, source: Source, paths: List[str], inside: bool
) -> Dict[PieceKey, Tuple[int, bool, List[bytes]]]:
    """For each piece how many records begin in it, whether it ends in a quoted cell, and, if it begins in one, the
    lines that close it."""

    def survey_pieces(rows: Iterable[Row]) -> Iterator[Tuple[PieceKey, Tuple[int, bool, List[bytes]]]]:
        for key, found in pieces(rows):
            if source.dialect is None:
                yield key, (sum(1 for _ in found), False, [])
            else:
                yield key, survey_piece(found, source.dialect, inside)

    return dict(lines(session, paths).rdd.mapPartitions(survey_pieces).collect())


def survey_piece(found: Iterator[bytes], dialect: Dialect, inside: bool) -> Tuple[int, bool, List[bytes]]:
    """The survey of one piece of CSV."""
    cutter, count = Cutter(dialect), 0
    head: List[bytes] = []
    if inside:
        cutter.resume()
        for line in found:
            head.append(line)
            ended = sum(1 for _ in cutter.cut([line]))
            if ended:
                count = ended - 1
                break
        else:
            return 0, True, head
    count += sum(1 for _ in cutter.cut(found))
    return count + bool(cutter.waiting), bool(cutter.waiting), head


def layouts(store: Store, source: Source, name: str, given: Dict[str, Any], objects: List[str]) -> Dict[int, Layout]:
    """Where the wanted columns stand in the records of each object."""
    csv, dialect = given["csv"], source.dialect
    names = [column["name"] for column in csv["columns"]]
    if not csv["header"] or dialect is None:
        plain = Layout(len(names), [names.index(one) for one, _ in source.columns])
        return dict.fromkeys(range(len(objects)), plain)

    def layout(index: int) -> Layout:
        try:
            header = header_of(store.head(objects[index], records.RECORD_BYTES_MAX), dialect)
            positions = dict(zip(names, matched(header, names, csv["fieldsMatch"], csv["caseSensitiveHeader"])))
        except Unreadable as problem:
            raise FaultError(problem.message, input=name, object=index) from problem
        return Layout(len(header), [positions[one] for one, _ in source.columns])

    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        return dict(enumerate(pool.map(layout, range(len(objects)))))


def header_of(head: bytes, dialect: Dialect) -> List[str]:
    """The names in the first record of an object."""
    if head[:2] in BYTE_ORDER_MARKS:
        found = BYTE_ORDER_MARKS[head[:2]]
        raise Unreadable(f"the file begins with the byte order mark of {found}, but {dialect.encoding} is declared")
    for record in Cutter(dialect).cut(without_mark(0, iter(head.split(b"\n")))):
        if isinstance(record, Unreadable):
            raise Unreadable(f"the header cannot be read: {record.message}")
        for position, one in enumerate(record, 1):
            if not one:
                raise Unreadable(f"column {position} of the header has no name")
        return record
    raise Unreadable("the file is empty: expected a header")


def matched(header: List[str], names: List[str], fields_match: str, case_sensitive: bool) -> List[int]:
    """For each name the position of its column."""
    same = str if case_sensitive else str.lower
    found = [same(one) for one in header]
    if len(set(found)) < len(found):
        raise Unreadable("two columns of the header have one name")
    wanted = [same(one) for one in names]
    missing = [one for one, key in zip(names, wanted) if key not in found]
    unexpected = [one for one, key in zip(header, found) if key not in wanted and fields_match != "subset"]
    if missing or unexpected:
        problems = [
            f"{what} {', '.join(ones)}" for what, ones in (("missing", missing), ("unexpected", unexpected)) if ones
        ]
        raise Unreadable(f"the header does not match the schema: {'; '.join(problems)}")
    if fields_match == "exact" and found != wanted:
        raise Unreadable("the columns of the header stand in another order")
    return [found.index(one) for one in wanted]


SPARK_TYPES = {"text": "string", "integer": "bigint", "date": "date", "timestamp": "timestamp", "boolean": "boolean"}


def spark_type(kind: str) -> str:
    """Spark's name of a type."""
    return SPARK_TYPES.get(kind) or f"decimal(38,{kind[8:-1]})"


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


def fault_at(column: str, message: str) -> str:
    """A fault of a row of an input."""
    return f"named_struct('object', `#object`, 'row', `#row`, 'column', {column}, 'message', {message})"


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


def literal(text: str) -> str:
    """A text in SQL, whatever characters it has."""
    return f"cast(X'{text.encode().hex()}' as string)"


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return "`" + name.replace("`", "``") + "`"
