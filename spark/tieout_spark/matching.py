"""One-to-one pairs within a group of rows with equal keys, as the plan's `match` says."""

from __future__ import annotations

import json
from bisect import bisect_left
from itertools import islice
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from tieout_spark.numbers import units_of

CANDIDATES_MAX = 1_000_000


class Member(NamedTuple):
    """A row of one side: its rank and its amount, in units."""

    rank: int
    amount: Optional[int]


class Tolerance(NamedTuple):
    """How far amounts may differ, with everything in whole numbers: by `most` / `whole` of the base, or by `most` /
    `whole`."""

    most: int
    whole: int
    base: Optional[str]

    @staticmethod
    def of(given: Optional[Dict[str, Any]], scale: int) -> Optional[Tolerance]:
        """The tolerance for amounts of that scale."""
        if given is None:
            return None
        text: str = given["most" if given["kind"] == "absolute" else "percent"]["value"]
        decimals = len(text.partition(".")[2])
        if given["kind"] == "absolute":
            return Tolerance(units_of(text) * 10**scale, 10**decimals, None)
        return Tolerance(units_of(text), 100 * 10**decimals, given["base"])

    @property
    def is_near_only(self) -> bool:
        """Whether amounts that are not near stay so however much further apart they get. From 100 % of the other
        amount on they need not: 10 is not within 150 % of -10, but of -40."""
        return self.base is None or self.most < self.whole

    def difference(self, left: int, right: int) -> Optional[int]:
        """How far two amounts are apart, where that is near enough."""
        apart, one, two = abs(left - right), abs(left), abs(right)
        base = {None: 1, "left": one, "right": two, "larger": max(one, two), "smaller": min(one, two)}[self.base]
        return apart if apart * self.whole <= base * self.most else None


Candidate = Tuple[int, int, int]
Pair = Tuple[Optional[int], Optional[int], Optional[int], Optional[int]]


def match(left: Optional[Sequence[Any]], right: Optional[Sequence[Any]], tolerance: str) -> Tuple[bool, List[Pair]]:
    """Whether there are too many candidates; and the pairs, then what stays alone: the ranks of both, and for each
    how many candidates it had."""
    given, scale = json.loads(tolerance)
    near = Tolerance.of(given, scale)
    ones, twos = members(left), members(right)
    found = nearby(ones, twos, near) if near is not None and near.is_near_only else anywhere(ones, twos, near)
    candidates = list(islice(found, CANDIDATES_MAX + 1))
    if len(candidates) > CANDIDATES_MAX:
        return True, []
    return False, pairs(ones, twos, candidates)


def members(rows: Optional[Sequence[Any]]) -> List[Member]:
    """The rows of a side, by rank."""
    found = [Member(row[0], None if row[1] is None else units_of(row[1])) for row in rows or ()]
    return sorted(found, key=lambda member: member.rank)


def anywhere(left: List[Member], right: List[Member], tolerance: Optional[Tolerance]) -> Iterator[Candidate]:
    """The pairs that are near enough, of all that there are: how far apart, and their places on either side."""
    for one, member in enumerate(left):
        for two, other in enumerate(right):
            apart = difference(member, other, tolerance)
            if apart is not None:
                yield apart, one, two


def nearby(left: List[Member], right: List[Member], tolerance: Tolerance) -> Iterator[Candidate]:
    """The same where only what is close by can be near: the right side by amount, from each left amount outwards. Two
    large groups, of which little matches, would take hours otherwise."""
    ordered = sorted((member.amount, two) for two, member in enumerate(right) if member.amount is not None)
    for one, member in enumerate(left):
        if member.amount is None:
            continue
        begin = bisect_left(ordered, (member.amount,))
        for places in (range(begin, len(ordered)), range(begin - 1, -1, -1)):
            for amount, two in map(ordered.__getitem__, places):
                apart = tolerance.difference(member.amount, amount)
                if apart is None:
                    break
                yield apart, one, two


def difference(left: Member, right: Member, tolerance: Optional[Tolerance]) -> Optional[int]:
    """How far two rows are apart, where they are candidates."""
    if tolerance is None:
        return 0
    if left.amount is None or right.amount is None:
        return None
    return tolerance.difference(left.amount, right.amount)


def pairs(left: List[Member], right: List[Member], candidates: List[Tuple[int, int, int]]) -> List[Pair]:
    """The nearest first, and each row once."""
    left_counts, right_counts = [0] * len(left), [0] * len(right)
    for _, one, two in candidates:
        left_counts[one] += 1
        right_counts[two] += 1
    left_free, right_free = [True] * len(left), [True] * len(right)
    found: List[Pair] = []
    for _, one, two in sorted(candidates):
        if left_free[one] and right_free[two]:
            left_free[one] = right_free[two] = False
            found.append((left[one].rank, right[two].rank, left_counts[one], right_counts[two]))
    found.extend((row.rank, None, count, None) for row, free, count in zip(left, left_free, left_counts) if free)
    found.extend((None, row.rank, None, count) for row, free, count in zip(right, right_free, right_counts) if free)
    return found
