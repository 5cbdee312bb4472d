"""Rows of two relations, side by side: by their keys, or as they match."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, List

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from tieout_spark.chains import NOWHERE, Frame, fault_of
from tieout_spark.layers import Json, as_text
from tieout_spark.numbers import scale_of
from tieout_spark.sql import literal

if TYPE_CHECKING:
    from tieout_spark.frames import Frames

# The joins that come to the end of a side, whatever the other has.
READ_WHOLE = {"left": ("left", "anti", "full"), "right": ("right", "full")}
# Wider rows are not compiled together with a join, and a join with nothing then takes none of them.
COMPILED_COLUMNS_MAX = 100


def join(frames: Frames, number: int, relation: Json, body: Json) -> Frame:
    """Rows of both sides whose keys are the same; or those of one that have such a row on the other side, or none."""
    keys = zip(*body["keys"])
    left, right = (drained(frames, body, side, [f"c{key}" for key in of]) for side, of in zip(("left", "right"), keys))
    how = {"semi": "left_semi", "anti": "left_anti"}.get(body["join"], body["join"])
    condition = " and ".join(f"c{one} = c{two}" for one, two in body["keys"])
    data = left.join(right, f.expr(condition), how)
    return frames.counted(number, data.selectExpr(*(f"c{column['id']}" for column in relation["columns"])))


def drained(frames: Frames, body: Json, side: str, keys: List[str]) -> DataFrame:
    """A side of a join, each row of which Spark looks at. A join leaves the rest of a side alone where the other is at
    its end, and then nobody has counted that rest, nor seen what is wrong in it: unless it was shuffled."""
    frame = frames.source(body[side])
    width = sum(len(frames.relations[body[one]]["columns"]) for one in ("left", "right"))
    wide = width > COMPILED_COLUMNS_MAX and body["join"] in ("inner", "semi")
    if body["join"] in READ_WHOLE[side] or not (frame.way.loose or wide):
        return frame.data
    # Spark leaves out a `repartition` where the rows lie so already, but not this.
    return frames.session.sql(f"select /*+ rebalance({', '.join(keys)}) */ * from {{data}}", data=frame.data)


def match(frames: Frames, number: int, relation: Json, body: Json) -> Frame:
    """Pairs of rows, one of each side, whose keys are the same and whose amounts agree."""
    sides = [grouped(frames, body[side], side) for side in ("left", "right")]
    kinds = {column["id"]: column["type"] for column in frames.relations[body["left"]["from"]]["columns"]}
    amount = body["left"].get("amount")
    given = json.dumps([body.get("tolerance"), 0 if amount is None else scale_of(kinds[amount])])
    width = len(body["left"]["keys"])
    data = sides[0].join(sides[1], f.expr(" and ".join(f"left{n} = right{n}" for n in range(width)) or "true"), "full")
    keys = [f"coalesce(left{n}, right{n}) as key{n}" for n in range(width)]
    data = data.selectExpr(*keys, f"tieout_match(`left`, `right`, {literal(given)}) as matched")
    keys_of = relation["columns"][:width]
    shown = ", ', ', ".join(as_text(f"key{n}", key["type"]) for n, key in enumerate(keys_of)) or "'no key'"
    problem = "have more than 1000000 candidate pairs: match by a further key, or with less tolerance"
    message = f"case when matched.crowded then concat('the rows with ', {shown}, {literal(' ' + problem)}) end"
    data = data.withColumn("#fault", f.expr(fault_of(number, "#", message, NOWHERE)))
    watched = frames.settled(number, Frame(data, True))
    names = [f"c{column['id']}" for column in relation["columns"]]
    keys = [f"key{n} as {name}" for n, name in enumerate(names[:width])]
    data = watched.data.selectExpr(*keys, f"inline(matched.pairs) as ({', '.join(names[width:])})")
    return frames.counted(number, data)


def grouped(frames: Frames, side: Json, name: str) -> DataFrame:
    """The rows of a side of a match that have a key, together by it."""
    data = frames.source(side["from"]).data
    for key in side["keys"]:
        data = data.filter(f"c{key} is not null")
    amount = "null" if side.get("amount") is None else f"c{side['amount']}"
    member = f"struct(c{side['rank']} as rank, cast({amount} as string) as amount)"
    keys = [f.col(f"c{key}").alias(f"{name}{n}") for n, key in enumerate(side["keys"])]
    return data.groupBy(*keys).agg(f.expr(f"collect_list({member})").alias(name))
