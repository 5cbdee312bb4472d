"""What each kind of relation is made of."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Callable, Dict

from pyspark.sql import DataFrame

from tieout_spark import groups, inputs, joins
from tieout_spark.chains import Chain, Frame
from tieout_spark.expressions import Expressions
from tieout_spark.layers import Json
from tieout_spark.sql import literal

if TYPE_CHECKING:
    from tieout_spark.frames import Frames


def project(frames: Frames, number: int, relation: Json, body: Json) -> Frame:
    """The rows with other columns: they wait for those that the next relation computes of them."""
    chain = frames.made[body["from"]].chain
    if chain is None or chain.is_full:
        chain = Chain(frames.frame(body["from"]), frames.exact)
    chain.project(number, relation)
    return replace(chain.base, chain=chain)


def filtered(frames: Frames, number: int, relation: Json, body: Json) -> Frame:
    """The rows for which a condition is true."""
    layers = Expressions(frames.exact)
    condition = layers.condition(body["condition"])
    columns = [f"c{column['id']}" for column in relation["columns"]]
    frame = frames.frame(body["from"]).laid(layers)
    frame = frame.chosen([*columns, f"{condition.value} as `#keep`"], frames.judged(number, [("#", condition)]))
    settled = frames.settled(number, frame)
    kept = frames.counted(number, settled.data.filter("`#keep`").selectExpr(*columns))
    return replace(kept, way=kept.way.watched()) if frame.faulty else kept


def unpivot(frames: Frames, number: int, relation: Json, body: Json) -> Frame:
    """A row of each of some cells."""
    ids, names = [column["id"] for column in relation["columns"]], [literal(cell["name"]) for cell in body["cells"]]
    new = {
        body["name"]: f"get(array({', '.join(names)}), at)",
        body["value"]: "cell",
        body["ordinal"]: "cast(at as bigint)",
    }
    rows = f"explode(sequence(0, {len(names) - 1})) as at"
    if body["value"] in ids:
        cells = ", ".join(f"c{cell['column']}" for cell in body["cells"])
        rows = f"posexplode(array({cells})) as (at, cell)"
    data = frames.source(body["from"]).data.selectExpr(*(f"c{one}" for one in ids if one not in new), rows)
    return frames.counted(number, data.selectExpr(*(f"{new.get(one, f'c{one}')} as c{one}" for one in ids)))


def union(frames: Frames, number: int, relation: Json, body: Json) -> Frame:
    """The rows of several relations."""
    names = [f"c{column['id']}" for column in relation["columns"]]
    parts = []
    for source in body["sources"]:
        columns = [f"c{column} as {name}" for column, name in zip(source["columns"], names)]
        parts.append(frames.source(source["from"]).data.selectExpr(*columns))
    return frames.counted(number, reduce(DataFrame.unionAll, parts))


# Makes the frame of a relation: of its number, its document, and the body of that.
Make = Callable[["Frames", int, Json, Json], Frame]
KINDS: Dict[str, Make] = {
    "read": inputs.read,
    "project": project,
    "filter": filtered,
    "join": joins.join,
    "aggregate": groups.aggregate,
    "window": groups.window,
    "unpivot": unpivot,
    "union": union,
    "match": joins.match,
}
