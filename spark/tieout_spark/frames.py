"""Relations of the plan as data frames.

A frame has the columns of its relation, called `c` and their number, and maybe `#fault`: what is wrong with the row. It
is handed on while rows stay what they are, and looked at and dropped before they do not.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Dict, List, Optional, Set, Tuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from tieout_spark.chains import NOWHERE, Chain, Frame, cut, fault_of, place_of
from tieout_spark.expressions import Expressions
from tieout_spark.faults import NEEDS_EXACT, FaultError
from tieout_spark.layers import Json, Sql, first, overflow
from tieout_spark.numbers import scale_of
from tieout_spark.reading import absent_member, read
from tieout_spark.sql import literal, sorting, spark_type
from tieout_spark.store import Store
from tieout_spark.watching import Watches


class Frames:
    """The frames of a task, made one after another."""

    def __init__(self, session: SparkSession, store: Store, task: Json, exact: bool) -> None:
        self.session, self.store, self.task, self.exact = session, store, task, exact
        self.relations: List[Json] = task["plan"]["relations"]
        self.watches = Watches()
        self.made: List[Frame] = []
        self.kept: List[DataFrame] = []
        # What frames were cut from.
        self.queries: List[Any] = []
        # How many projections become one frame, where there are many relations. Longer methods Java does not compile.
        self.folded = FOLDED_MAX if len(self.relations) > RELATIONS_MAX else 1
        # Of inputs that were counted before they were read, how many rows they have.
        self.expected: Dict[int, int] = {}
        uses = [source for relation in self.relations for source in sources(relation["body"])]
        uses.extend(output["from"] for output in task["plan"]["outputs"])
        self.bytes = sum(one["bytes"] for given in task["inputs"].values() for one in given["objects"])
        self.uses = {number: uses.count(number) for number in uses}
        self.results = results(task["plan"])
        # The relations whose rows are counted for a step.
        self.told = {self.counting(number) for number in self.results}

    def make(self) -> None:
        """Makes them all."""
        for number, relation in enumerate(self.relations):
            frame: Frame = getattr(self, f"_{relation['body']['kind']}")(number, relation, relation["body"])
            if self.uses.get(number, 0) > 1 and relation["body"]["kind"] != "read":
                # Whoever comes first computes it for the others.
                frame = self.settled(number, frame.unfolded())
                frame.data = frame.data.persist()
                self.kept.append(frame.data)
            self.made.append(frame)

    def frame(self, number: int) -> Frame:
        """A frame that another is made of: Spark does not plan too many relations together."""
        frame = self.made[number].unfolded()
        if frame.pythons > PYTHONS_MAX:
            # Those before have ended when those behind begin.
            frame = replace(frame, data=frame.data.persist(), pythons=0)
            self.kept.append(frame.data)
        self.made[number] = frame
        if frame.relations > RELATIONS_MAX:
            data, query = cut(self.session, frame.data)
            self.queries.append(query)
            frame = self.made[number] = Frame(data, frame.faulty, frame.rows, pythons=frame.pythons)
        return frame

    def find(self) -> None:
        """Finds what was watched in what frames were cut from."""
        for watch in self.watches.all:
            for query in self.queries:
                watch.find_in(query)

    def counting(self, number: int) -> int:
        """The relation that has the rows of a relation, and where they are counted."""
        while self.relations[number]["body"]["kind"] in ("project", "window"):
            number = self.relations[number]["body"]["from"]
        return number

    def release(self) -> None:
        """Gives back what was kept for several."""
        for data in self.kept:
            data.unpersist()

    def settled(self, number: int, frame: Frame) -> Frame:
        """The frame without faults: they are watched instead."""
        if not frame.faulty:
            return frame
        data, watch = self.watches.watch(frame.data, number, faulty=True)
        return replace(frame, data=data.drop("#fault"), faulty=False, rows=frame.rows or watch, loose=frame.gathered)

    def counted(self, number: int, data: DataFrame, faulty: bool = False, *others: Column) -> Frame:
        """A frame whose rows are counted, and what else is found out about them."""
        data, watch = self.watches.watch(data, number, faulty, *others)
        body = self.relations[number]["body"]
        of = [self.made[one] for one in sources(body)]
        gathered = body["kind"] in GATHERING or (body["kind"] == "filter" and of[0].gathered)
        loose = gathered and (faulty or number in self.told or any(one.loose for one in of))
        relations = sum(one.relations for one in of) + 1
        pythons = max((one.pythons for one in of), default=0)
        return Frame(data.drop("#fault") if faulty else data, False, watch, gathered, loose, relations, pythons)

    def source(self, number: int) -> Frame:
        """A frame that another is made of, without faults."""
        self.made[number] = self.settled(number, self.frame(number))
        return self.made[number]

    def judged(self, number: int, computed: List[Tuple[str, Sql]]) -> Optional[str]:
        """What is wrong with a row of a relation: of columns that are computed, in their order."""
        where = place_of(self.relations[number])
        return first([sql.fault and fault_of(number, name, sql.fault, where) for name, sql in computed])

    # What relations are made of

    def _read(self, number: int, relation: Json, body: Json) -> Frame:
        name = body["input"]
        rows = read(self.session, self.store, name, self.task["inputs"][name], relation["columns"])
        if rows.counted is not None:
            self.expected[number] = rows.counted
        filled = [f.count(f"c{column['id']}").alias(f"filled{column['id']}") for column in self.required(number)]
        return self.counted(number, rows.data.withColumn("#fault", f.expr(of_input(number))), True, *filled)

    def required(self, number: int) -> List[Json]:
        """The columns of a relation that one row of its input at least must have."""
        body = self.relations[number]["body"]
        given = self.task["inputs"][body["input"]] if body["kind"] == "read" else {}
        if given.get("format") != "jsonLines":
            return []
        excused = {*given.get("paths", {}), *given.get("optional", []), "#object", "#row"}
        return [column for column in self.relations[number]["columns"] if column["name"] not in excused]

    def absent(self) -> Optional[FaultError]:
        """The column that one row of an input must have, and that none has. A row may have it without a value: an
        input that has no value in all of a column is read again."""
        for number in range(len(self.relations)):
            columns, watch = self.required(number), self.made[number].rows
            if not columns or watch is None or not watch.get()["rows"]:
                continue
            blank = [column["name"] for column in columns if not watch.get()[f"filled{column['id']}"]]
            given = self.task["inputs"][self.relations[number]["body"]["input"]]
            found = absent_member(self.session, self.store, given, blank) if blank else None
            if found is not None:
                column, names = found
                advice = 'a column that all rows may lack says `"optional": true`'
                one_has = ", ".join(name[:NAME_CHARS_TOLD] for name in names[:NAMES_TOLD])
                return FaultError(f"no row has this member, one has {one_has}; {advice}", number, column)
        return None

    def _project(self, number: int, relation: Json, body: Json) -> Frame:
        chain = self.made[body["from"]].chain
        if chain is None or chain.length >= self.folded:
            chain = Chain(self.frame(body["from"]), self.exact)
        chain.project(number, relation)
        return replace(chain.base, chain=chain)

    def _filter(self, number: int, relation: Json, body: Json) -> Frame:
        layers = Expressions(self.exact)
        condition = layers.condition(body["condition"])
        columns = [f"c{column['id']}" for column in relation["columns"]]
        frame = self.frame(body["from"]).laid(layers)
        frame = frame.chosen([*columns, f"{condition.value} as `#keep`"], self.judged(number, [("#", condition)]))
        return self.counted(number, self.settled(number, frame).data.filter("`#keep`").selectExpr(*columns))

    def _join(self, number: int, relation: Json, body: Json) -> Frame:
        keys = list(zip(*body["keys"])) or [(), ()]
        left, right = (self.drained(body, side, [f"c{key}" for key in of]) for side, of in zip(("left", "right"), keys))
        how = {"semi": "left_semi", "anti": "left_anti"}.get(body["join"], body["join"])
        condition = " and ".join(f"c{one} = c{two}" for one, two in body["keys"]) or "true"
        data = left.join(right, f.expr(condition), how)
        return self.counted(number, data.selectExpr(*(f"c{column['id']}" for column in relation["columns"])))

    def drained(self, body: Json, side: str, keys: List[str]) -> DataFrame:
        """A side of a join, each row of which Spark looks at. A join leaves the rest of a side alone where the other
        is at its end, and then nobody has counted that rest, nor seen what is wrong in it: unless it was shuffled."""
        frame = self.source(body[side])
        width = sum(len(self.relations[body[one]]["columns"]) for one in ("left", "right"))
        wide = width > COMPILED_COLUMNS_MAX and body["join"] in ("inner", "semi")
        if body["keys"] and (body["join"] in READ_WHOLE[side] or not (frame.loose or wide)):
            return frame.data
        # Spark leaves out a `repartition` where the rows lie so already, but not this.
        by = f"({', '.join(keys)})" if keys else ""
        return self.session.sql(f"select /*+ rebalance{by} */ * from {{data}}", data=frame.data)

    def _aggregate(self, number: int, relation: Json, body: Json) -> Frame:
        source = self.source(body["from"]).data
        kinds = {column["id"]: column["type"] for column in self.relations[body["from"]]["columns"]}
        names = {column["id"]: column["name"] for column in relation["columns"]}
        keys, layers = [f"c{key}" for key in body["keys"]], Expressions(self.exact)
        parts: List[str] = ["count(1) as `#rows`"]
        measures = [(one, measured(layers, one, kinds[one["of"]], parts)) for one in body["measures"]]
        data = source.groupBy(*keys).agg(*(f.expr(part) for part in parts))
        fault = self.judged(number, [(names[one["column"]], sql) for one, sql in measures])
        values = [f"{sql.value} as c{one['column']}" for one, sql in measures]
        frame = Frame(data).laid(layers).chosen(keys + values, fault)
        return self.counted(number, frame.data, frame.faulty)

    def _window(self, number: int, relation: Json, body: Json) -> Frame:
        layers, column = Expressions(self.exact), body["column"]
        name, kind = next((one["name"], one["type"]) for one in relation["columns"] if one["id"] == column)
        window, made = windowed(body), body["function"]
        if made["kind"] == "rowNumber":
            sql = Sql(f"cast(row_number() over ({window}) as bigint)", kind)
        elif made["kind"] == "lastValue":
            sql = Sql(f"last(c{made['of']}, true) over ({window} {ROWS})", kind)
        else:
            of = f"coalesce(cast(c{made['of']} as {spark_type(kind)}), cast(0 as {spark_type(kind)}))"
            total = layers.bound(Sql(f"try_sum({of}) over ({window} {ROWS})", kind))
            fault = f"case when {total.value} is null then {overflow(kind)} end"
            sql = Sql(total.value, kind, fault, total.depth)
        cells = {column: f"{sql.value} as c{column}"}
        columns = [cells.get(one["id"], f"c{one['id']}") for one in relation["columns"]]
        frame = self.frame(body["from"]).laid(layers).chosen(columns, self.judged(number, [(name, sql)]))
        return replace(frame, gathered=True, relations=frame.relations + 1)

    def _unpivot(self, number: int, relation: Json, body: Json) -> Frame:
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
        data = self.source(body["from"]).data.selectExpr(*(f"c{one}" for one in ids if one not in new), rows)
        return self.counted(number, data.selectExpr(*(f"{new.get(one, f'c{one}')} as c{one}" for one in ids)))

    def _union(self, number: int, relation: Json, body: Json) -> Frame:
        names = [f"c{column['id']}" for column in relation["columns"]]
        parts = []
        for source in body["sources"]:
            columns = [f"c{column} as {name}" for column, name in zip(source["columns"], names)]
            parts.append(self.source(source["from"]).data.selectExpr(*columns))
        data = parts[0]
        for part in parts[1:]:
            data = data.unionAll(part)
        return self.counted(number, data)

    def _match(self, number: int, relation: Json, body: Json) -> Frame:
        sides = [self.grouped(body[side], side) for side in ("left", "right")]
        kinds = {column["id"]: column["type"] for column in self.relations[body["left"]["from"]]["columns"]}
        amount = body["left"].get("amount")
        given = json.dumps([body.get("tolerance"), 0 if amount is None else scale_of(kinds[amount])])
        width = len(body["left"]["keys"])
        data = sides[0].join(
            sides[1], f.expr(" and ".join(f"left{n} = right{n}" for n in range(width)) or "true"), "full"
        )
        keys = [f"coalesce(left{n}, right{n}) as key{n}" for n in range(width)]
        data = data.selectExpr(*keys, f"tieout_match(`left`, `right`, {literal(given)}) as matched")
        shown = ", ', ', ".join(f"cast(key{n} as string)" for n in range(width)) or "'no key'"
        problem = "have more than 1000000 candidate pairs: match by a further key, or with less tolerance"
        message = f"case when matched.crowded then concat('the rows with ', {shown}, {literal(' ' + problem)}) end"
        data = data.withColumn("#fault", f.expr(fault_of(number, "#", message, NOWHERE)))
        watched = self.settled(number, Frame(data, True))
        names = [f"c{column['id']}" for column in relation["columns"]]
        keys = [f"key{n} as {name}" for n, name in enumerate(names[:width])]
        data = watched.data.selectExpr(*keys, f"inline(matched.pairs) as ({', '.join(names[width:])})")
        return self.counted(number, data)

    def grouped(self, side: Json, name: str) -> DataFrame:
        """The rows of a side of a match that have a key, together by it."""
        data = self.source(side["from"]).data
        for key in side["keys"]:
            data = data.filter(f"c{key} is not null")
        amount = "null" if side.get("amount") is None else f"c{side['amount']}"
        member = f"struct(c{side['rank']} as rank, cast({amount} as string) as amount)"
        keys = [f.col(f"c{key}").alias(f"{name}{n}") for n, key in enumerate(side["keys"])]
        return data.groupBy(*keys).agg(f.expr(f"collect_list({member})").alias(name))


# The most names that are told of a row, and characters of each.
NAMES_TOLD, NAME_CHARS_TOLD = 20, 100
ROWS = "rows between unbounded preceding and current row"
# Relations behind which rows lie together by columns.
GATHERING = ("aggregate", "join", "match", "window")
# The joins that come to the end of a side, whatever the other has.
READ_WHOLE = {"left": ("left", "anti", "full"), "right": ("right", "full")}
# Wider rows are not compiled together with a join, and a join with nothing then takes none of them.
COMPILED_COLUMNS_MAX = 100
# The most relations that Spark plans together: the time for that grows faster than they do.
RELATIONS_MAX, FOLDED_MAX = 64, 16
# Each is a process of its own, and holds rows that wait for it.
PYTHONS_MAX = 32


def sources(body: Json) -> List[int]:
    """The relations that one is made of."""
    if body["kind"] == "union":
        return [source["from"] for source in body["sources"]]
    if body["kind"] == "match":
        return [body["left"]["from"], body["right"]["from"]]
    if body["kind"] == "join":
        return [body["left"], body["right"]]
    return [] if body["kind"] == "read" else [body["from"]]


def results(plan: Json) -> Set[int]:
    """The relations that are results of steps: an output is made of them, or another step."""
    found = {output["from"] for output in plan["outputs"]}
    for relation in plan["relations"]:
        of = sources(relation["body"])
        found.update(one for one in of if plan["relations"][one]["step"] != relation["step"])
    return found


def of_input(number: int) -> str:
    """A fault of an input with the number of its relation."""
    parts = ", ".join(f"'{name}', `#fault`.{name}" for name in ("object", "row", "column", "message"))
    return f"case when `#fault` is not null then named_struct('relation', {number}, {parts}) end"


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


def windowed(body: Json) -> str:
    """Partition and order of a window in SQL."""
    partition = ", ".join(f"c{column}" for column in body["partition"])
    return (f"partition by {partition} " if partition else "") + f"order by {ordered(body['order'])}"


def ordered(order: List[Json]) -> str:
    """An order in SQL."""
    keys = [f"c{key['column']} {' nulls '.join(sorting(key))}" for key in order]
    # One row has no order, but Spark wants one.
    return ", ".join(keys) or "1"
