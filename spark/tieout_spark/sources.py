"""Inputs as the workers need to know them: what their columns are, and where these stand in each object."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from tieout_spark import records
from tieout_spark.faults import FaultError
from tieout_spark.records import Cutter, Dialect, Unreadable
from tieout_spark.store import REQUESTS_AT_ONCE, Store

# As much of an object is looked at for its header, and all that a record may have only where that is longer.
HEAD_BYTES = 16 << 10
# The most names of a file that are told.
NAMES_TOLD = 50
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
MARK_BYTES = 3
# Longer objects are cut at line feeds, and no worker holds all of one.
UNBROKEN_BYTES_MAX = 32 << 20

PieceKey = Tuple[str, int]


@dataclass
class Layout:
    """Where the cells of the wanted columns stand in a record, and how they are read."""

    cells: int
    positions: List[int]


@dataclass
class Piece:
    """What a piece begins with: the number of its first row, and whether that is the rest of a quoted cell."""

    row: int
    inside: bool = False
    # Lines of the next pieces that close its last record.
    behind: List[bytes] = field(default_factory=list)


@dataclass
class Source:
    """An input, as the workers need to know it."""

    name: str
    columns: List[Tuple[str, str]]
    dialect: Optional[Dialect]
    described: List[Dict[str, Any]]
    missing: List[str]
    header: bool
    objects: Dict[str, int]
    # Of JSON lines: where the values of the columns stand.
    paths: List[records.Path] = field(default_factory=list)
    layouts: Dict[int, Layout] = field(default_factory=dict)
    pieces: Dict[PieceKey, Piece] = field(default_factory=dict)

    def piece(self, key: PieceKey) -> Piece:
        """What a piece begins with; of an object that is not cut, the object's first row."""
        if key in self.pieces:
            return self.pieces[key]
        if key[1] > 0:
            raise RuntimeError(f"{key[0]} was cut at {key[1]}, and elsewhere when its rows were counted")
        return Piece(0 if self.header else 1)


def described(
    store: Store, name: str, given: Dict[str, Any], columns: List[Dict[str, Any]], objects: List[str]
) -> Source:
    """The source that an input is."""
    wanted = [(column["name"], column["type"]) for column in columns if not column["name"].startswith("#")]
    csv = given.get("csv")
    paths = {store.uri(path): index for index, path in enumerate(objects)}
    if csv is None:
        ways = given.get("paths", {})
        steps = [ways.get(name, [{"member": name}]) for name, _ in wanted]
        return Source(name, wanted, None, [{} for _ in wanted], [], False, paths, steps)
    dialect = Dialect(
        csv["delimiter"], csv.get("quoteChar"), csv["doubleQuote"], csv["skipInitialSpace"], csv["encoding"]
    )
    words = {"trueValues": ["true", "True", "TRUE", "1"], "falseValues": ["false", "False", "FALSE", "0"]}
    by_name = {one["name"]: {**words, **one} for one in csv["columns"]}
    return Source(
        name, wanted, dialect, [by_name[name] for name, _ in wanted], csv["missingValues"], csv["header"], paths
    )


def layouts(
    store: Store, source: Source, dialect: Dialect, given: Dict[str, Any], objects: List[str]
) -> Dict[int, Layout]:
    """Where the wanted columns stand in the records of each object."""
    csv = given["csv"]
    names = [column["name"] for column in csv["columns"]]

    def layout(index: int) -> Layout:
        try:
            large = given["objects"][index]["bytes"] > UNBROKEN_BYTES_MAX
            first_record = large or csv["header"]
            head = head_of(store, objects[index], dialect) if first_record else store.head(objects[index], MARK_BYTES)
            begun(head, dialect, large)
            if not csv["header"]:
                return Layout(len(names), [names.index(one) for one, _ in source.columns])
            header = header_of(head, dialect)
            positions = dict(zip(names, matched(header, names, csv["fieldsMatch"], csv["caseSensitiveHeader"])))
        except Unreadable as problem:
            raise FaultError(problem.message, input=source.name, object=index) from problem
        return Layout(len(header), [positions[one] for one, _ in source.columns])

    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        return dict(enumerate(pool.map(layout, range(len(objects)))))


def head_of(store: Store, path: str, dialect: Dialect) -> bytes:
    """The beginning of an object, with its first record."""
    head = store.head(path, HEAD_BYTES)
    lines = without_mark(head[: head.rfind(b"\n") + 1]).split(b"\n")
    has_record = next(Cutter(dialect).cut(lines), None) is not None
    return head if has_record or len(head) < HEAD_BYTES else store.head(path, records.RECORD_BYTES_MAX)


def without_mark(head: bytes) -> bytes:
    """The beginning of an object without its byte order mark; a second one is text."""
    return head.removeprefix(b"\xef\xbb\xbf")


def begun(head: bytes, dialect: Dialect, large: bool) -> None:
    """Whether an object that begins so is in the encoding of its dialect, and can be taken apart."""
    declared = dialect.encoding
    found = next((encoding for mark, encoding in BYTE_ORDER_MARKS.items() if head.startswith(mark)), declared)
    if found != declared:
        raise Unreadable(
            f"the file begins with the byte order mark of {found}, but its declared encoding is {declared}: save it as "
            f"{declared}, or declare another where that can be read"
        )
    if large and b"\n" not in head:
        raise Unreadable(
            f"there is no line feed in the first {len(head)} bytes of the file: where it has more than "
            f"{UNBROKEN_BYTES_MAX}, its lines must end with one"
        )


def long_line(store: Store, source: Source, given: Dict[str, Any], objects: List[str]) -> None:
    """Whether the lines of JSON in large objects can be told apart: a worker would hold a line of them all."""
    for index, path in enumerate(objects):
        if given["objects"][index]["bytes"] <= UNBROKEN_BYTES_MAX:
            continue
        if not any(b"\n" in store.head(path, most) for most in (records.RECORD_BYTES_MAX, records.LINE_BYTES_MAX)):
            raise FaultError(records.LONG_LINE, input=source.name, object=index)


def header_of(head: bytes, dialect: Dialect) -> List[str]:
    """The names in the first record of an object."""
    for record in Cutter(dialect).cut(without_mark(head).split(b"\n")):
        if isinstance(record, Unreadable):
            raise Unreadable(f"the header cannot be read: {record.message}")
        for position, one in enumerate(record, 1):
            if not one:
                raise Unreadable(f"column {position} of the header has no name")
        return record
    raise Unreadable("the file is empty: expected a header")


def matched(header: List[str], names: List[str], fields_match: str, case_sensitive: bool) -> List[int]:
    """For each name the position of its column."""
    same = str if case_sensitive else str.lower
    found = [same(one) for one in header]
    if len(set(found)) < len(found):
        raise Unreadable("two columns of the header have one name")
    wanted = [same(one) for one in names]
    missing = [one for one, key in zip(names, wanted) if key not in found]
    unexpected = [one for one, key in zip(header, found) if key not in wanted and fields_match != "subset"]
    if missing or unexpected:
        has = [*header[:NAMES_TOLD], *(["…"] if len(header) > NAMES_TOLD else [])] if missing else []
        lists = (("missing", missing), ("unexpected", unexpected), ("the file has", has))
        problems = [f"{what} {', '.join(ones)}" for what, ones in lists if ones]
        raise Unreadable(f"the header does not match the schema: {'; '.join(problems)}")
    if fields_match == "exact" and found != wanted:
        raise Unreadable("the columns of the header stand in another order")
    return [found.index(one) for one in wanted]
