"""Inputs as frames, and what all rows of one must have between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional

from pyspark.sql import functions as f

from tieout_spark import reading
from tieout_spark.chains import Frame
from tieout_spark.faults import FaultError
from tieout_spark.layers import Json

if TYPE_CHECKING:
    from tieout_spark.frames import Frames

# The most names that are told of a row, and characters of each.
NAMES_TOLD, NAME_CHARS_TOLD = 20, 100


def read(frames: Frames, number: int, relation: Json, body: Json) -> Frame:
    """The rows of an input, and which columns have a value in any."""
    name = body["input"]
    rows = reading.read(frames.session, frames.store, name, frames.task["inputs"][name], relation["columns"])
    if rows.counted is not None:
        frames.expected[number] = rows.counted
    filled = [f.count(f"c{column['id']}").alias(f"filled{column['id']}") for column in required(frames, number)]
    return frames.counted(number, rows.data.withColumn("#fault", f.expr(of_input(number))), True, *filled)


def of_input(number: int) -> str:
    """A fault of an input with the number of its relation."""
    parts = ", ".join(f"'{name}', `#fault`.{name}" for name in ("object", "row", "column", "message"))
    return f"case when `#fault` is not null then named_struct('relation', {number}, {parts}) end"


def required(frames: Frames, number: int) -> List[Json]:
    """The columns of a relation that one row of its input at least must have."""
    body = frames.relations[number]["body"]
    given = frames.task["inputs"][body["input"]] if body["kind"] == "read" else {}
    if given.get("format") != "jsonLines":
        return []
    excused = {*given.get("paths", {}), *given.get("optional", []), "#object", "#row"}
    return [column for column in frames.relations[number]["columns"] if column["name"] not in excused]


def absent(frames: Frames) -> Optional[FaultError]:
    """The column that one row of an input must have, and that none has. A row may have it without a value: an input
    that has no value in all of a column is read again."""
    for number in range(len(frames.relations)):
        columns, watch = required(frames, number), frames.made[number].rows
        if not columns or watch is None or not watch.get()["rows"]:
            continue
        blank = [column["name"] for column in columns if not watch.get()[f"filled{column['id']}"]]
        given = frames.task["inputs"][frames.relations[number]["body"]["input"]]
        found = reading.absent_member(frames.session, frames.store, given, blank) if blank else None
        if found is not None:
            column, names = found
            advice = 'a column that all rows may lack says `"optional": true`'
            one_has = ", ".join(name[:NAME_CHARS_TOLD] for name in names[:NAMES_TOLD])
            return FaultError(f"no row has this member, one has {one_has}; {advice}", number, column)
    return None
