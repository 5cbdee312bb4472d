"""Relations as data frames, and projections behind one another as few selects of one.

What Spark plans grows faster than the plan is long, and its way through a plan is a call in a call: a job of a thousand
steps is handed to it in sections.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, List, Optional, Tuple

from pyspark.sql import DataFrame, SparkSession

from tieout_spark.expressions import Expressions
from tieout_spark.layers import Json, Layers, Sql, first
from tieout_spark.sql import literal
from tieout_spark.watching import Watch

NOWHERE = ("cast(null as bigint)", "cast(null as bigint)")
# The most projections that become one frame. For each frame Spark looks at all of the plan once more; of too many
# projections, methods become so long that Java does not compile them.
FOLDED_MAX = 8

# Relations behind which rows lie together by columns, and those behind which they lie as before.
GATHERING, KEEPING = ("aggregate", "join", "match", "window"), ("filter", "unpivot")


@dataclass(frozen=True)
class Way:
    """What Spark does for rows before they are there, as far as it matters to what is made of them."""

    # Whether rows may already lie together as a join wants them, and whether they are watched since they do.
    gathered: bool = False
    loose: bool = False
    # The relations that Spark plans together.
    relations: int = 1
    # How many Pythons a row goes through, one behind the other.
    pythons: int = 0

    @staticmethod
    def behind(ways: List[Way], kind: str) -> Way:
        """The way to a relation of that kind, made of rows to which those lead."""
        gathered = kind in GATHERING or (kind in KEEPING and ways[0].gathered)
        loose = gathered and any(way.loose for way in ways)
        relations = sum(way.relations for way in ways) + 1
        return Way(gathered, loose, relations, max((way.pythons for way in ways), default=0))

    def watched(self) -> Way:
        """The way to the same rows, where they are watched."""
        return replace(self, loose=self.gathered)

    def longer(self, relations: int = 0, pythons: int = 0) -> Way:
        """A way of so many more relations and Pythons."""
        return replace(self, relations=self.relations + relations, pythons=self.pythons + pythons)


@dataclass
class Frame:
    """A relation's rows."""

    data: DataFrame
    # Whether there is a column `#fault`.
    faulty: bool = False
    # Where the number of its rows is told.
    rows: Optional[Watch] = None
    way: Way = field(default_factory=Way)
    # Projections of the rows that are not yet part of `data`.
    chain: Optional[Chain] = None

    def unfolded(self) -> Frame:
        """The frame without a chain."""
        return self if self.chain is None else self.chain.frame()

    def faults(self) -> List[Optional[str]]:
        """What is wrong with a row until now."""
        return ["`#fault`"] if self.faulty else []

    def chosen(self, columns: List[str], fault: Optional[str] = None) -> Frame:
        """These columns, and what is wrong with a row: what was wrong before comes first."""
        fault = first([*self.faults(), fault])
        faults = [] if fault is None else [f"{fault} as `#fault`"]
        return replace(self, data=self.data.selectExpr(*columns, *faults), faulty=fault is not None)

    def laid(self, layers: Layers) -> Frame:
        """The frame with the columns of the layers."""
        data = self.data
        for columns in layers.columns:
            data = data.selectExpr("*", *columns)
        pythons = sum(any("tieout_" in column for column in columns) for columns in layers.columns)
        return replace(self, data=data, way=self.way.longer(pythons=pythons))


class Chain:
    """Projections of a frame's rows, the later of which use what the earlier have computed."""

    def __init__(self, base: Frame, exact: bool) -> None:
        self.base, self.layers = base, Expressions(exact)
        self.columns: List[int] = []
        self.messages: List[Optional[str]] = []
        self.length = 0

    @property
    def is_full(self) -> bool:
        """Whether no projection should come to it any more."""
        return self.length >= FOLDED_MAX

    def project(self, number: int, relation: Json) -> None:
        """One projection more."""
        body, layers = relation["body"], self.layers
        names = {column["id"]: column["name"] for column in relation["columns"]}
        computed = [(one["column"], layers.sql(one["expression"])) for one in body["compute"]]
        where = place_of(relation, layers)
        for column, sql in computed:
            if sql.fault is not None:
                self.messages.append(fault_of(number, names.get(column, "#"), sql.fault, where))
        for column, sql in computed:
            layers.known[column] = layers.bound(Sql(sql.value, sql.kind, None, sql.depth, sql.simple))
        self.columns = [*body["keep"], *(column for column, _ in computed)]
        self.length += 1

    def frame(self) -> Frame:
        """The rows behind the last projection."""
        columns = [f"{self.layers.named(column)} as c{column}" for column in self.columns]
        made = self.base.laid(self.layers).chosen(columns, first(self.messages))
        return replace(made, way=made.way.longer(relations=self.length))


def place_of(relation: Json, layers: Optional[Layers] = None) -> Tuple[str, str]:
    """Where the number of the object that a row is of stands, and that of the row."""
    place = relation.get("place")
    if place is None:
        return NOWHERE
    named = (layers or Layers(False)).named
    return named(place["object"]), named(place["row"])


def fault_of(number: int, column: str, message: str, where: Tuple[str, str]) -> str:
    """A fault of a row, if it has a message."""
    parts = f"'relation', {number}, 'object', {where[0]}, 'row', {where[1]}, 'column', {literal(column)}"
    return f"case when {message} is not null then named_struct({parts}, 'message', {message}) end"


def cut(session: SparkSession, data: DataFrame) -> Tuple[DataFrame, Any]:
    """The same rows, of which Spark does not know any more what they are made of; and the query that makes them. What
    has to be shuffled for them is shuffled now."""
    frame: Any = data._jdf
    query = frame.queryExecution()
    made = session._jsparkSession.internalCreateDataFrame(query.toRdd(), frame.schema(), False)
    return DataFrame(made, session), query
