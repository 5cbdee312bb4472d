"""Groups of rows: what is computed of all of them, or of those up to each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, List, Tuple

from pyspark.sql import functions as f

from tieout_spark.chains import Frame, Way
from tieout_spark.expressions import Expressions
from tieout_spark.faults import NEEDS_EXACT
from tieout_spark.layers import Json, Sql, first, overflow
from tieout_spark.numbers import scale_of
from tieout_spark.sql import sorting, spark_type

if TYPE_CHECKING:
    from tieout_spark.frames import Frames

ROWS = "rows between unbounded preceding and current row"


def aggregate(frames: Frames, number: int, relation: Json, body: Json) -> Frame:
    """A row of each group of rows that have the same keys."""
    source = frames.source(body["from"]).data
    kinds = {column["id"]: column["type"] for column in frames.relations[body["from"]]["columns"]}
    names = {column["id"]: column["name"] for column in relation["columns"]}
    keys, layers = [f"c{key}" for key in body["keys"]], Expressions(frames.exact)
    parts: List[str] = ["count(1) as `#rows`"]
    measures = [(one, measured(layers, one, kinds[one["of"]], parts)) for one in body["measures"]]
    data = source.groupBy(*keys).agg(*(f.expr(part) for part in parts))
    fault = frames.judged(number, [(names[one["column"]], sql) for one, sql in measures])
    values = [f"{sql.value} as c{one['column']}" for one, sql in measures]
    frame = Frame(data).laid(layers).chosen(keys + values, fault)
    return frames.counted(number, frame.data, frame.faulty)


def measured(layers: Expressions, measure: Json, kind: str, parts: List[str]) -> Sql:
    """A measure, of parts that are computed of each group."""

    def part(sql: str) -> str:
        name = f"m{len(parts)}"
        parts.append(f"{sql} as {name}")
        return name

    of, function, result = f"c{measure['of']}", measure["function"], measure["type"]
    if function in ("count", "countDistinct"):
        return Sql(part(f"count({'distinct ' if function == 'countDistinct' else ''}{of})"), result)
    if function in ("min", "max"):
        return Sql(part(f"{function}({of})"), result)
    total, count = f"decimal({scale_of(kind)})", part(f"count({of})")
    if layers.exact:
        high, low = summed_apart(of, kind, part)
        arguments = f"cast({high} as string), cast({low} as string), {20 - scale_of(kind)}, '{total}'"
        value = f"try_cast(tieout_combined({arguments}) as {spark_type(total)})"
        message = overflow(total)
    else:
        cell = of if kind != "integer" else f"cast({of} as decimal(20,0))"
        value, message = f"try_cast({part(f'try_sum({cell})')} as {spark_type(total)})", f"'{NEEDS_EXACT}'"
    added = layers.bound(layers.checked(Sql(value, total), [f"nullif({count}, 0)"], message))
    if function == "sum":
        return layers.cast(added, result)
    average = layers.calculated("divide", added, Sql(f"cast({count} as bigint)", "integer"), result, "halfUp")
    return Sql(average.value, result, first([added.fault, average.fault]), average.depth)


def summed_apart(of: str, kind: str, part: Any) -> Tuple[str, str]:
    """The sum in two, neither of which can have too many digits: whole units of 10^(20 − scale), and what is left."""
    unit = f"cast('1{'0' * (20 - scale_of(kind))}' as decimal({21 - scale_of(kind)},0))"
    cell = f"cast({of} as {spark_type(f'decimal({scale_of(kind)})')})"
    high = part(f"sum(cast({cell} div {unit} as decimal(20,0)))")
    low = part(f"sum(cast({cell} % {unit} as decimal(28,{scale_of(kind)})))")
    return high, low


def window(frames: Frames, number: int, relation: Json, body: Json) -> Frame:
    """The rows, each with a column that is computed of those up to it."""
    layers, column = Expressions(frames.exact), body["column"]
    name, kind = next((one["name"], one["type"]) for one in relation["columns"] if one["id"] == column)
    over, made = windowed(body), body["function"]
    if made["kind"] == "rowNumber":
        sql = Sql(f"cast(row_number() over ({over}) as bigint)", kind)
    elif made["kind"] == "lastValue":
        sql = Sql(f"last(c{made['of']}, true) over ({over} {ROWS})", kind)
    else:
        of = f"coalesce(cast(c{made['of']} as {spark_type(kind)}), cast(0 as {spark_type(kind)}))"
        total = layers.bound(Sql(f"try_sum({of}) over ({over} {ROWS})", kind))
        fault = f"case when {total.value} is null then {overflow(kind)} end"
        sql = Sql(total.value, kind, fault, total.depth)
    cells = {column: f"{sql.value} as c{column}"}
    columns = [cells.get(one["id"], f"c{one['id']}") for one in relation["columns"]]
    frame = frames.frame(body["from"]).laid(layers).chosen(columns, frames.judged(number, [(name, sql)]))
    return replace(frame, way=Way.behind([frame.way], "window"))


def windowed(body: Json) -> str:
    """Partition and order of a window in SQL."""
    partition = ", ".join(f"c{column}" for column in body["partition"])
    return (f"partition by {partition} " if partition else "") + f"order by {ordered(body['order'])}"


def ordered(order: List[Json]) -> str:
    """An order in SQL."""
    keys = [f"c{key['column']} {' nulls '.join(sorting(key))}" for key in order]
    # One row has no order, but Spark wants one.
    return ", ".join(keys) or "1"
