"""CSV that Spark can take apart by itself: objects in which every line is a record and quotes stand where cells begin
and end. They need no Python; all others do, see `reading`. Rows, their numbers, and what is wrong with them are the
same either way.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Set, Tuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from tieout_spark.numbers import scale_of
from tieout_spark.pieces import lines
from tieout_spark.records import RECORD_BYTES_MAX, WINDOWS_1252, Dialect, words_of, written
from tieout_spark.sources import PieceKey, Source
from tieout_spark.sql import fault_at, literal, quoted, spark_type
from tieout_spark.store import uniform

# The number of a row in its partition: Spark's own number has that of the partition in its upper bits.
INDEX = f"monotonically_increasing_id() & {(1 << 33) - 1}L"
# Stands for a delimiter in quotes. A line that has it is not plain.
HELD = "\0"
# Of each piece with rows how many it has, and whether all of them are plain.
Counts = Dict[PieceKey, Tuple[int, bool]]


def counted(session: SparkSession, source: Source, paths: List[str]) -> Counts:
    """Looks at all lines of objects: nothing is found of what cannot be plain."""
    dialect = source.dialect
    if dialect is None or dialect.skip_initial_space:
        return {}
    found = with_parts(records(session, dialect, paths), dialect)
    found = found.selectExpr("path", "start", "at", f"{plainness(dialect)} as plain")
    # A row's number is of use only where a partition is one piece.
    made = found.groupBy("path", "start").agg(f.expr("count(1)"), f.expr("bool_and(plain) and min(at) = 0"))
    return {(row[0], row[1]): (row[2], row[3]) for row in made.collect()}


def plain_objects(source: Source, counts: Counts) -> Set[int]:
    """The objects of which all pieces are plain."""
    every = {source.objects[uniform(path)] for path, _ in counts}
    return every - {source.objects[uniform(path)] for (path, _), (_, plain) in counts.items() if not plain}


def records(session: SparkSession, dialect: Dialect, paths: List[str]) -> DataFrame:
    """The lines that are not empty: as bytes, as text, and without their ends; and the index of each in its piece."""
    found = lines(session, paths).selectExpr("*", f"{decoded(dialect)} as text")
    end = literal("\r")
    found = found.selectExpr("*", f"if(endswith(text, {end}), rtrim({end}, text), text) as record")
    return found.where("record <> ''").selectExpr("*", f"{INDEX} as at")


def decoded(dialect: Dialect) -> str:
    """The text of a line."""
    if dialect.encoding == "utf-8":
        return "cast(line as string)"
    western = "decode(line, 'ISO-8859-1')"
    if dialect.encoding == "iso-8859-1":
        return western
    changed = {chr(byte): to for byte, to in WINDOWS_1252.items() if chr(byte) != to}
    return f"translate({western}, {literal(''.join(changed))}, {literal(''.join(changed.values()))})"


def split(text: str, char: str) -> str:
    """A text between each two of a character."""
    # Java knows what is escaped so without compiling it.
    return f"split({text}, {literal(char if char.isalnum() else chr(92) + char)}, -1)"


def with_parts(found: DataFrame, dialect: Dialect) -> DataFrame:
    """The records, and what lies between their quotes, where they have any."""
    if dialect.quote is None:
        return found
    parts = f"if(instr(record, {literal(dialect.quote)}) > 0, {split('record', dialect.quote)}, null)"
    return found.selectExpr("*", f"{parts} as parts")


def plainness(dialect: Dialect) -> str:
    """Whether a line is a record, and nothing is wrong with it."""
    conditions = [
        f"instr(text, {literal(HELD)}) = 0",
        f"instr(text, {literal(chr(13))}) in (0, length(text))",
        f"octet_length(line) <= {RECORD_BYTES_MAX}",
    ]
    if dialect.encoding == "utf-8":
        # Bytes that are no text become other ones.
        conditions.append("text = decode(line, 'UTF-8')")
    if dialect.quote is not None:
        # Every second part is in quotes. Between them are delimiters, or nothing where two quotes stand for one.
        before, behind = (f"{word}(part, {literal(dialect.delimiter)})" for word in ("endswith", "startswith"))
        between = f"({before} and {behind})" + (" or part = ''" if dialect.double_quote else "")
        sound = (
            f"case when i % 2 = 1 then true when i = 0 then part = '' or {before} "
            f"when i = size(parts) - 1 then part = '' or {behind} else {between} end"
        )
        conditions.append(
            f"(parts is null or size(parts) % 2 = 1 and size(filter(parts, (part, i) -> not ({sound}))) = 0)"
        )
    return " and ".join(conditions)


def read_plain(
    session: SparkSession,
    source: Source,
    dialect: Dialect,
    paths: List[str],
    counts: Counts,
    columns: List[Dict[str, Any]],
) -> DataFrame:
    """The rows of plain objects: the columns under their numbers, and `#fault`."""
    found = records(session, dialect, paths)
    found = found.join(f.broadcast(beginnings(session, source, counts)), ["path", "start"], "left")
    elsewhere = "raise_error('an object was cut elsewhere when its rows were counted')"
    number = f"coalesce(first, cast({elsewhere} as bigint)) + at as `#row`"
    found = found.selectExpr("record", "object as `#object`", "fields", "positions", number)
    if source.header:
        found = found.where("`#row` > 0")
    cells = f"{cells_of(dialect)} as cells"
    return typed(source, dialect, found.selectExpr("`#object`", "`#row`", "fields", "positions", cells), columns)


def beginnings(session: SparkSession, source: Source, counts: Counts) -> DataFrame:
    """Of each piece its object, the number of its first row, and where the wanted cells of its records stand."""
    rows, row, last = [], 0, ""
    for path, start in sorted(counts):
        if path != last:
            row, last = 0 if source.header else 1, path
        number = source.objects[uniform(path)]
        layout = source.layouts[number]
        rows.append((path, start, number, row, layout.cells, layout.positions))
        row += counts[path, start][0]
    schema = "path string, start bigint, object bigint, first bigint, fields int, positions array<int>"
    return session.createDataFrame(rows, schema)


def cells_of(dialect: Dialect) -> str:
    """The cells of a record, still in their quotes."""
    whole = split("record", dialect.delimiter)
    if dialect.quote is None:
        return whole
    held = f"if(i % 2 = 1, replace(part, {literal(dialect.delimiter)}, {literal(HELD)}), part)"
    parts = f"transform({split('record', dialect.quote)}, (part, i) -> {held})"
    in_quotes = split(f"array_join({parts}, {literal(dialect.quote)})", dialect.delimiter)
    return f"if(instr(record, {literal(dialect.quote)}) = 0, {whole}, {in_quotes})"


def unquoted(cell: str, dialect: Dialect) -> str:
    """A cell without its quotes."""
    if dialect.quote is None:
        return cell
    quote = literal(dialect.quote)
    inner = f"replace(substring({cell}, 2, length({cell}) - 2), {literal(HELD)}, {literal(dialect.delimiter)})"
    if dialect.double_quote:
        inner = f"replace({inner}, {literal(dialect.quote * 2)}, {quote})"
    return f"if(startswith({cell}, {quote}), {inner}, {cell})"


def typed(source: Source, dialect: Dialect, found: DataFrame, columns: List[Dict[str, Any]]) -> DataFrame:
    """The cells as values of their types, and what is wrong with a row: the first cell that is none."""
    names = [column["name"] for column in columns if not column["name"].startswith("#")]
    at = range(len(names))
    kept = ["`#object`", "`#row`", "fields", "size(cells) as size"]
    cells = [f"if(size(cells) = fields, get(cells, get(positions, {n})), null) as x{n}" for n in at]
    found = found.selectExpr(*kept, *cells)
    kept[3] = "size"
    found = found.selectExpr(*kept, *(f"{unquoted(f'x{n}', dialect)} as x{n}" for n in at))
    blank = ", ".join(literal(text) for text in dict.fromkeys(["", *source.missing]))
    found = found.selectExpr(*kept, *(f"if(x{n} in ({blank}), null, x{n}) as x{n}" for n in at))
    kinds = [kind for _, kind in source.columns]
    values = [f"{value('x' + str(n), kinds[n], source.described[n])} as v{n}" for n in at]
    found = found.selectExpr("*", *values)
    problems = [f"when size <> fields then {fault_at('cast(null as string)', FIELDS)}"]
    for n, name in enumerate(names):
        if kinds[n] != "text":
            expected = written(kinds[n], source.described[n])
            message = f"concat('\"', substring(x{n}, 1, 100), {literal(f'{chr(34)} is no {expected}')})"
            problems.append(f"when x{n} is not null and v{n} is null then {fault_at(literal(name), message)}")
    numbers = {name: f"v{n}" for n, name in enumerate(names)}
    made = [f"{numbers.get(one['name'], quoted(one['name']))} as c{one['id']}" for one in columns]
    return found.selectExpr(*made, f"case {' '.join(problems)} end as `#fault`")


FIELDS = "concat('expected ', fields, ' fields, found ', size)"


def value(text: str, kind: str, column: Dict[str, Any]) -> str:
    """The value of a cell's text, blank where it is none: as `records.parser` reads it."""
    if kind == "text":
        return text
    if kind == "boolean":
        # A list with something in it, which no cell is.
        yes, no = (", ".join(["null", *map(literal, words_of(column, truth))]) for truth in ("true", "false"))
        return f"case when {text} in ({yes}) then true when {text} in ({no}) then false end"
    form = None
    if kind == "date" and not column.get("format"):
        form = "(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}"
    elif kind == "integer" and is_bare(column):
        form = "[+-]?[0-9]+"
    elif kind.startswith("decimal") and is_bare(column):
        scale = scale_of(kind)
        form = f"[+-]?(?:[0-9]+(?:\\.[0-9]{{0,{scale}}})?" + (f"|\\.[0-9]{{1,{scale}}})" if scale else ")")
    if form is None:
        return f"cast(tieout_cell({text}, '{kind}', {literal(json.dumps(column))}) as {spark_type(kind)})"
    return f"if({text} rlike {literal(f'^{form}' + chr(92) + 'z')}, try_cast({text} as {spark_type(kind)}), null)"


def is_bare(column: Dict[str, Any]) -> bool:
    """Whether numbers are written plainly."""
    return not (column.get("decimalChar") or column.get("groupChar")) and bool(column.get("bareNumber", True))
