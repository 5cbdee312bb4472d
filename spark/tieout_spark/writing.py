"""Outputs: rows as lines, in their order, and what was written."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Dict, List

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from tieout_spark.figures import Figures, Work
from tieout_spark.frames import Frames
from tieout_spark.groups import summed_apart
from tieout_spark.layers import Json, as_text
from tieout_spark.numbers import scale_of, text_of, units_of
from tieout_spark.sql import literal, quoted, sorting
from tieout_spark.watching import Watch

KEYS = {
    ("asc", "last"): Column.asc_nulls_last,
    ("asc", "first"): Column.asc_nulls_first,
    ("desc", "last"): Column.desc_nulls_last,
    ("desc", "first"): Column.desc_nulls_first,
}
EXTENSIONS = {"csv": "csv", "jsonLines": "jsonl", "parquet": "parquet"}


@dataclass
class Written:
    """An output that was written: nothing of it is known before all its rows have been."""

    output: Json
    data: DataFrame
    watch: Watch
    work: Work


# Up to here one worker sorts all rows of an output, and they are one part.
SORTED_ALONE_BYTES_MAX = 64 << 20
# What relations are made by that can have more rows than were read.
GROWING = ("join", "union", "match", "unpivot")
# The bytes of a cell that is no text, or a little more.
CELL_BYTES = 16


def write(session: SparkSession, frames: Frames, figures: Figures, output: Json, folder: str) -> Written:
    """Writes an output."""
    rows = frames.source(output["from"]).data
    sums = [
        f.expr(f"cast(try_sum({cell_to_sum(column)}) as string)").alias(f"sum{column['id']}")
        for column in numbers(output)
    ]
    data, watch = frames.watches.watch(rows, output["from"], False, *sums)
    group = uuid.uuid4().hex
    session.sparkContext.setJobGroup(group, f"output {output['name']}")
    keys, kept = [key_of(key) for key in output["order"]], False
    if keys:
        small = frames.bytes <= SORTED_ALONE_BYTES_MAX
        # To be looked at before they are sorted rows are kept, and not computed twice, nor counted.
        kept = not small or may_grow(frames)
        if kept:
            frames.kept.append(data.persist())
            small = small and size_of(data, output) <= SORTED_ALONE_BYTES_MAX
        data = data.coalesce(1).sortWithinPartitions(*keys) if small else data.orderBy(*keys)
    elif any(relation["body"].get("partition") == [] for relation in frames.relations):
        # A window over all rows leaves them in one partition, which would be one part.
        data = data.hint("rebalance")
    writer = lines(data, output).write.mode("overwrite")
    if output["format"] == "parquet":
        writer.parquet(folder)
    else:
        writer.option("lineSep", "\r\n" if output["format"] == "csv" else "\n").text(folder)
    work = figures.work(group, bool(frames.kept))
    if kept:
        frames.kept.pop().unpersist()
    return Written(output, rows, watch, work)


def may_grow(frames: Frames) -> bool:
    """Whether there can be far more to write than what is read has bytes: Parquet is packed, and some relations have
    more rows than what they are made of."""
    packed = any(given["format"] == "parquet" for given in frames.task["inputs"].values())
    return packed or any(relation["body"]["kind"] in GROWING for relation in frames.relations)


def size_of(data: DataFrame, output: Json) -> int:
    """About how many bytes the rows of an output have."""
    texts = [f"coalesce(octet_length(c{column['id']}), 0)" for column in output["columns"] if column["type"] == "text"]
    others = CELL_BYTES * (len(output["columns"]) - len(texts))
    row = data.agg(f.expr(f"sum(cast({' + '.join([*texts, str(others)])} as bigint))")).first()
    return int(row[0] or 0) if row else 0


def numbers(output: Json) -> List[Json]:
    """The columns that have totals."""
    return [
        column for column in output["columns"] if column["type"] == "integer" or column["type"].startswith("decimal")
    ]


def cell_to_sum(column: Json) -> str:
    """A cell as a number whose sum Spark's decimals hold, or nearly always do."""
    return f"c{column['id']}" if column["type"] != "integer" else f"cast(c{column['id']} as decimal(20,0))"


def key_of(key: Json) -> Column:
    """A column that is sorted by."""
    return KEYS[sorting(key)](f.col(f"c{key['column']}"))


def lines(data: DataFrame, output: Json) -> DataFrame:
    """Each row as it is written."""
    columns = output["columns"]
    if output["format"] == "parquet":
        return data.select(*(f.col(f"c{column['id']}").alias(column["name"]) for column in columns))
    if output["format"] == "csv":
        guards = output.get("formulaGuard", False)
        cells = [csv_cell(f"c{column['id']}", column["type"], guards) for column in columns]
        if len(cells) == 1:
            # A line without a character would be no row.
            return data.selectExpr(f"coalesce(nullif({cells[0]}, ''), '\"\"') as value")
        return data.selectExpr(f"concat_ws(',', {', '.join(cells)}) as value")
    fields = ", ".join(f"{json_cell(column)} as {quoted(column['name'])}" for column in columns)
    return data.selectExpr(f"to_json(struct({fields}), map('ignoreNullFields', 'false')) as value")


def csv_cell(cell: str, kind: str, guards: bool) -> str:
    """A cell as RFC 4180 has it, with quotes only where it needs them."""
    if kind != "text":
        return f"coalesce({as_text(cell, kind)}, '')"
    if guards:
        cell = f"if({is_formula(cell)}, concat({literal(chr(39))}, {cell}), {cell})"
    special = literal('[,"\r\n]')
    quoted_cell = f"concat('\"', replace({cell}, '\"', '\"\"'), '\"')"
    return f"coalesce(case when {cell} rlike {special} then {quoted_cell} else {cell} end, '')"


# The least and the largest of 128 bits: numbers have no more digits.
LEAST, LARGEST = "170141183460469231731687303715884105728", "170141183460469231731687303715884105727"


def is_formula(cell: str) -> str:
    """Whether a spreadsheet could take a text for a formula, be it behind apostrophes: as `records` in Rust has it."""
    bare = f"ltrim({literal(chr(39))}, {cell})"
    number = literal(r"^[+-](?:[0-9]+(?:\.[0-9]{0,22})?|\.[0-9]{1,22})\z")
    digits = f"ltrim('0', replace(substring({bare}, 2), '.', ''))"
    most = f"if(startswith({bare}, '-'), '{LEAST}', '{LARGEST}')"
    fits = f"length({digits}) <= {len(LARGEST)} and lpad({digits}, {len(LARGEST)}, '0') <= {most}"
    return f"{bare} rlike {literal('^[=+@' + chr(9) + chr(13) + '-]')} and not ({bare} rlike {number} and {fits})"


def json_cell(column: Json) -> str:
    """A cell as JSON lines have it: integers and booleans as such, all else as text."""
    cell, kind = f"c{column['id']}", column["type"]
    return cell if kind in ("integer", "boolean") else as_text(cell, kind)


def totals(written: Written) -> Dict[str, str]:
    """The exact sums of the columns of numbers."""
    found = written.watch.get()
    sums = {column["id"]: found[f"sum{column['id']}"] for column in numbers(written.output)}
    blank = [column for column in numbers(written.output) if sums[column["id"]] is None]
    if blank:
        # Of no cells, or of more digits than Spark's decimals have.
        sums.update(summed_exactly(written.data, blank))
    return {column["name"]: sums[column["id"]] for column in numbers(written.output)}


def summed_exactly(data: DataFrame, columns: List[Json]) -> Dict[int, str]:
    """The sums of columns, whatever their digits."""
    parts: List[str] = []

    def part(sql: str) -> str:
        parts.append(f"cast(coalesce({sql}, 0) as string) as p{len(parts)}")
        return f"p{len(parts) - 1}"

    names = [summed_apart(f"c{column['id']}", column["type"], part) for column in columns]
    row = data.agg(*(f.expr(one) for one in parts)).first()
    found = {}
    for (high, low), column in zip(names, columns):
        scale = scale_of(column["type"])
        rest = row[low] if row else "0"
        units = units_of(rest) * 10 ** (scale - len(rest.partition(".")[2]))
        units += int(row[high] if row else "0") * 10**20
        found[column["id"]] = text_of(units, scale)
    return found
