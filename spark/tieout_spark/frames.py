"""Relations of the plan as data frames.

A frame has the columns of its relation, called `c` and their number, and maybe `#fault`: what is wrong with the row. It
is handed on while rows stay what they are, and looked at and dropped before they do not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Optional, Set, Tuple

from pyspark.sql import Column, DataFrame, SparkSession

from tieout_spark.chains import Frame, Way, cut, fault_of, place_of
from tieout_spark.layers import Json, Sql, first
from tieout_spark.relations import KINDS
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
            frame = KINDS[relation["body"]["kind"]](self, number, relation, relation["body"])
            if self.uses.get(number, 0) > 1 and relation["body"]["kind"] != "read":
                # Whoever comes first computes it for the others.
                frame = self.settled(number, frame.unfolded())
                frame.data = frame.data.persist()
                self.kept.append(frame.data)
            self.made.append(frame)

    def frame(self, number: int) -> Frame:
        """A frame that another is made of: Spark does not plan too many relations together."""
        frame = self.made[number].unfolded()
        if frame.way.pythons > PYTHONS_MAX:
            # Those before have ended when those behind begin.
            frame = replace(frame, data=frame.data.persist(), way=replace(frame.way, pythons=0))
            self.kept.append(frame.data)
        self.made[number] = frame
        if frame.way.relations > RELATIONS_MAX:
            data, query = cut(self.session, frame.data)
            self.queries.append(query)
            frame = self.made[number] = Frame(data, frame.faulty, frame.rows, Way(pythons=frame.way.pythons))
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
        return replace(frame, data=data.drop("#fault"), faulty=False, rows=frame.rows or watch, way=frame.way.watched())

    def counted(self, number: int, data: DataFrame, faulty: bool = False, *others: Column) -> Frame:
        """A frame whose rows are counted, and what else is found out about them."""
        data, watch = self.watches.watch(data, number, faulty, *others)
        body = self.relations[number]["body"]
        way = Way.behind([self.made[one].way for one in sources(body)], body["kind"])
        if faulty or number in self.told:
            way = way.watched()
        return Frame(data.drop("#fault") if faulty else data, False, watch, way)

    def source(self, number: int) -> Frame:
        """A frame that another is made of, without faults."""
        self.made[number] = self.settled(number, self.frame(number))
        return self.made[number]

    def judged(self, number: int, computed: List[Tuple[str, Sql]]) -> Optional[str]:
        """What is wrong with a row of a relation: of columns that are computed, in their order."""
        where = place_of(self.relations[number])
        return first([sql.fault and fault_of(number, name, sql.fault, where) for name, sql in computed])


# The most relations that Spark plans together: the time for that grows faster than they do.
RELATIONS_MAX = 64
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
