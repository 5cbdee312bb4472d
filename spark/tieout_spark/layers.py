"""Columns that are computed one after another, and the SQL that they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

from tieout_spark.sql import spark_type

Json = Dict[str, Any]


@dataclass
class Sql:
    """An expression in SQL."""

    value: str
    kind: str
    # A message, or null; none where nothing can be wrong.
    fault: Optional[str] = None
    # How many layers of columns must have been computed before.
    depth: int = 0
    # Whether it can be repeated without computing anything again.
    simple: bool = False


# Makes an expression of the plan into one in SQL.
Make = Callable[[Json], Sql]


class Layers:
    """Columns that are computed one after another for one relation: what is used several times is computed once."""

    def __init__(self, exact: bool) -> None:
        self.exact = exact
        self.columns: List[List[str]] = []
        self.count = 0
        # Columns of the plan that are columns of a layer.
        self.known: Dict[int, Sql] = {}

    def named(self, column: int) -> str:
        """A column of the plan in SQL."""
        known = self.known.get(column)
        return f"c{column}" if known is None else known.value

    def bound(self, sql: Sql) -> Sql:
        """The expression as a column of its own."""
        if sql.simple:
            return sql
        value = self._layer(sql.value, sql.depth)
        fault = sql.fault and self._layer(sql.fault, sql.depth)
        return Sql(value, sql.kind, fault, sql.depth + 1, True)

    def _layer(self, sql: str, depth: int) -> str:
        while len(self.columns) <= depth:
            self.columns.append([])
        self.count += 1
        name = f"t{self.count}"
        self.columns[depth].append(f"{sql} as {name}")
        return name

    def sql(self, expression: Json) -> Sql:
        """An expression."""
        make = self.kinds().get(expression["kind"])
        if make is None:
            raise ValueError(f"the plan has an expression of a kind that is none: {expression['kind']}")
        return make(expression)

    def kinds(self) -> Dict[str, Make]:
        """The kinds of expressions, and what makes each."""
        return {}

    def cast(self, of: Sql, kind: str) -> Sql:
        """The value as another type that holds it, if it fits."""
        if kind == of.kind:
            return of
        if kind == "text":
            return Sql(as_text(of.value, of.kind), kind, of.fault, of.depth)
        if kind == "timestamp":
            return Sql(f"cast({of.value} as timestamp)", kind, of.fault, of.depth)
        of = self.bound(of)
        value = f"try_cast({of.value} as {spark_type(kind)})"
        return self.checked(Sql(value, kind, of.fault, of.depth), [of.value], overflow(kind))

    def checked(self, made: Sql, operands: List[str], message: str) -> Sql:
        """The value, whose absence where no operand is blank is a fault."""
        value = self.bound(Sql(made.value, made.kind, None, made.depth))
        given = " and ".join(f"{operand} is not null" for operand in operands)
        own = f"case when {given} and {value.value} is null then {message} end"
        return Sql(value.value, made.kind, first([made.fault, own]), value.depth, False)


def as_text(sql: str, kind: str) -> str:
    """A value as outputs write it."""
    if kind == "text":
        return sql
    if kind == "timestamp":
        return f"concat(replace(cast({sql} as string), ' ', 'T'), 'Z')"
    return f"cast({sql} as string)"


def first(faults: List[Optional[str]]) -> Optional[str]:
    """What is wrong first."""
    found = [fault for fault in faults if fault is not None]
    return None if not found else found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def deepest(parts: List[Sql]) -> int:
    """How many layers the deepest of them needs."""
    return max((part.depth for part in parts), default=0)


def joined(value: str, kind: str, parts: List[Sql]) -> Sql:
    """What is made of several, all of which are evaluated."""
    return Sql(value, kind, first([part.fault for part in parts]), deepest(parts))


def overflow(kind: str) -> str:
    """A result that its type does not hold."""
    return f"'the result does not fit {kind}'"
