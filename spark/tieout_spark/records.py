"""Records and their cells: CSV and JSON lines as tieout reads them, from lines that Spark has cut at line feeds.

A piece of an object begins behind a line feed. Where that stands in a quoted cell, the record that it is of is read by
whoever has its beginning; who has the piece passes over the rest of it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple, Union

from tieout_spark import dates, numbers

RECORD_BYTES_MAX = 1 << 20
# Of JSON lines.
LINE_BYTES_MAX = 16 << 20
LONG_LINE = f"the line is longer than {LINE_BYTES_MAX} bytes"
# Of a value that a message tells.
SHOWN_CHARS_MAX = 100


class Unreadable(Exception):
    """Data that cannot be read: in which row, and which column where it is one."""

    def __init__(self, message: str, row: Optional[int] = None, column: Optional[str] = None) -> None:
        super().__init__(message)
        self.message, self.row, self.column = message, row, column


@dataclass
class Dialect:
    """How CSV is cut into records and cells. All that matters to it are ASCII characters: text is taken apart as
    Latin-1, a character a byte, and its cells are decoded afterwards."""

    delimiter: str
    quote: Optional[str]
    double_quote: bool
    skip_initial_space: bool
    encoding: str
    end: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self.end = re.compile(f"[\r\n{re.escape(self.delimiter)}]")

    def decoded(self, cell: str) -> str:
        """A cell whose characters were bytes."""
        if cell.isascii() or self.encoding == "iso-8859-1":
            return cell
        if self.encoding == "windows-1252":
            return cell.translate(WINDOWS_1252)
        return cell.encode("latin-1").decode("utf-8")


# The five bytes that the code page leaves free are control characters, as on the web.
WINDOWS_1252 = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xA0)}

Record = Union[List[str], Unreadable]


class OpenQuoteError(Exception):
    """A record ends in a quoted cell."""


def take(text: str, position: int, dialect: Dialect) -> Tuple[Record, int]:
    """The record that begins at a position, and where it ends."""
    cells: List[str] = []
    fault: Optional[Unreadable] = None
    while True:
        while dialect.skip_initial_space and text.startswith(" ", position):
            position += 1
        quoted = dialect.quote is not None and text.startswith(dialect.quote, position)
        cell = ""
        if quoted:
            cell, position = take_quoted(text, position + 1, dialect)
        found = dialect.end.search(text, position)
        end = found.start() if found else len(text)
        if quoted and end > position:
            problem = f"expected a delimiter or the record's end behind the closing quote of field {len(cells) + 1}"
            fault = fault or Unreadable(problem)
        cells.append(cell if quoted else text[position:end])
        if found is None or found.group() in "\r\n":
            return fault or cells, end
        position = end + 1


def take_quoted(text: str, position: int, dialect: Dialect) -> Tuple[str, int]:
    """A quoted cell whose first character stands at a position, and what stands behind its quote."""
    quote = dialect.quote or ""
    parts: List[str] = []
    while True:
        end = text.find(quote, position)
        if end < 0:
            raise OpenQuoteError
        parts.append(text[position:end])
        if not (dialect.double_quote and text.startswith(quote, end + 1)):
            return "".join(parts), end + 1
        parts.append(quote)
        position = end + 2


class Cutter:
    """Cuts lines into records; what is left of a record that goes on behind the lines waits."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.waiting: List[str] = []
        self.held = 0
        self.quote = None if dialect.quote is None else dialect.quote.encode()

    def resume(self) -> None:
        """Begins inside of a quoted cell: the first record is what is left of the one that it is of."""
        self.waiting, self.held = [self.dialect.quote or ""], 1

    def cut(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """The records that end in these lines."""
        for line in lines:
            quoted = self.quote is not None and self.quote in line
            if self.waiting or quoted or self.dialect.skip_initial_space or b"\r" in line[:-1]:
                self.waiting.append(line.decode("latin-1"))
                self.held += len(line)
                # Without a quote it cannot close the cell that is open.
                if quoted or len(self.waiting) == 1:
                    yield from self.closed()
                elif self.held > RECORD_BYTES_MAX:
                    self.waiting = []
                    yield _too_long()
                continue
            if line.endswith(b"\r"):
                line = line[:-1]
            if line:
                yield self.checked(line.decode("latin-1").split(self.dialect.delimiter), len(line))

    def closed(self) -> Iterator[Record]:
        """The records of the lines that wait, but for one that is still open."""
        text, position = "\n".join(self.waiting), 0
        while position < len(text):
            if text[position] in "\r\n":
                position += 1
                continue
            try:
                record, end = take(text, position, self.dialect)
            except OpenQuoteError:
                self.waiting, self.held = [text[position:]], len(text) - position
                return
            yield self.checked(record, end - position)
            position = end
        self.waiting, self.held = [], 0

    def checked(self, record: Record, length: int) -> Record:
        """The record with its cells decoded."""
        if isinstance(record, Unreadable):
            return record
        if length > RECORD_BYTES_MAX:
            return _too_long()
        if "\0" in "".join(record):
            return Unreadable("expected text: there is a NUL byte")
        try:
            return [self.dialect.decoded(cell) for cell in record]
        except UnicodeDecodeError:
            return Unreadable(f"expected text in {self.dialect.encoding}: there are bytes that are none")

    def end(self) -> Iterator[Record]:
        """What stands behind the last line: nothing, unless a quote is open."""
        if self.waiting:
            yield Unreadable("a quote is opened that is not closed before the end of the file")


def _too_long() -> Unreadable:
    problem = f"the record is longer than {RECORD_BYTES_MAX} bytes: a quote may be open that is never closed"
    return Unreadable(problem)


# A cell's text becomes the text of a value of its type, or nothing where it is none.
Parse = Callable[[str], Optional[str]]


def parser(kind: str, column: Dict[str, Any]) -> Parse:
    """How the cells of a column are read: `column` says what is not as in plain text."""
    if kind == "text":
        return str
    if kind == "date":
        pattern = column.get("format") or "default"
        return lambda text: dates.date(pattern, text)
    if kind == "timestamp":
        pattern = column.get("format") or "default"
        return lambda text: dates.moment(pattern, text)
    if kind == "boolean":
        words = dict.fromkeys(words_of(column, "false"), "false")
        words.update(dict.fromkeys(words_of(column, "true"), "true"))
        return words.get
    if column.get("decimalChar") or column.get("groupChar") or not column.get("bareNumber", True):
        return formatted(kind, column)
    return lambda text: numbers.plain(text, kind)


def written(kind: str, column: Dict[str, Any]) -> str:
    """What the text of a cell must be, for people."""
    usual = {"date": "YYYY-MM-DD", "timestamp": "YYYY-MM-DDThh:mm:ssZ"}.get(kind)
    form = column.get("format") or usual
    return kind if usual is None else f"{kind} as {form}"


def words_of(column: Dict[str, Any], truth: str) -> List[str]:
    """The texts that stand for true, or false: there may be none."""
    words: Optional[List[str]] = column.get(f"{truth}Values")
    return [truth, truth.title(), truth.upper()] if words is None else words


@cache
def _parser(kind: str, column: str) -> Parse:
    return parser(kind, json.loads(column))


def cell(text: Optional[str], kind: str, column: str) -> Optional[str]:
    """The text of a value, for Spark's SQL; the column is JSON."""
    return None if text is None else _parser(kind, column)(text)


def formatted(kind: str, column: Dict[str, Any]) -> Parse:
    """How numbers are read that are not plain."""
    decimal, group, bare = column.get("decimalChar") or ".", column.get("groupChar"), column.get("bareNumber", True)
    # Greedy: the digits are all from the first digit or decimal sign to the last.
    form = re.compile(
        f"([^0-9{re.escape(decimal)}]*)([0-9{re.escape(decimal)}](?:.*[0-9{re.escape(decimal)}])?)(.*)", re.S
    )

    def parse(text: str) -> Optional[str]:
        found = form.fullmatch(text)
        negative = None if found is None else _sign(found[1], found[3], bare)
        if found is None or negative is None:
            return None
        whole, point, decimals = found[2].partition(decimal)
        digits = _ungrouped(whole, group)
        if digits is None or (kind == "integer" and point):
            return None
        return numbers.plain(f"{'-' if negative else ''}{digits}{'.' if decimals else ''}{decimals}", kind)

    return parse


def _sign(before: str, behind: str, bare: bool) -> Optional[bool]:
    """Whether there is a minus; nothing where what stands around the digits is no part of a number."""
    if bare:
        return before == "-" if not behind and before in ("", "-", "+") else None
    unit = before.strip(numbers.WHITE_SPACE)
    negative = False
    if unit[:1] in ("-", "+") and unit:
        negative, unit = unit[0] == "-", unit[1:]
    elif unit[-1:] in ("-", "+") and unit:
        negative, unit = unit[-1] == "-", unit[:-1]
    return None if any(sign in unit + behind for sign in "-+()") else negative


def _ungrouped(digits: str, group: Optional[str]) -> Optional[str]:
    groups = [digits] if group is None else digits.split(group)
    if not all(one.isdecimal() and one.isascii() for one in groups if one):
        return None
    if len(groups) > 1:
        sound = 1 <= len(groups[0]) <= 3 and all(len(one) in (2, 3) for one in groups[1:-1]) and len(groups[-1]) == 3
        return "".join(groups) if sound else None
    return digits


# Steps to a value, from the object of a line inwards: `{"member": …}`, `{"entry": {"member": …, "is": …}}` or `"only"`.
Path = List[Union[str, Dict[str, Any]]]


class Digits(str):
    """A number of JSON, as it is written."""


@dataclass
class Misplaced:
    """What stands in the way to a value of JSON: where it is a list by currency, in these; and of which artifact."""

    expected: str
    currencies: Tuple[str, ...] = ()
    artifact: Optional[str] = None

    def told(self, column: str) -> str:
        """What is wrong with a column of that name, and which columns would do."""
        of = "" if self.artifact is None else f"artifact {json.dumps(self.artifact, ensure_ascii=False)}: "
        columns = " or ".join(f"{column}.{currency}" for currency in self.currencies)
        return f"{of}expected {self.expected}" + (f": name a currency, {columns}" if columns else "")


def json_cells(line: bytes, paths: List[Path]) -> Union[List[Any], Unreadable]:
    """The values at the ends of those paths in a line of JSON."""
    try:
        # Of bytes Python would guess the encoding, and take halves of characters for whole ones.
        text = line.decode("utf-8")
        found = json.loads(text, parse_float=Digits, parse_int=Digits, parse_constant=_no_number)
    except UnicodeDecodeError:
        return Unreadable("expected text in utf-8: there are bytes that are none")
    except (ValueError, RecursionError) as error:
        return Unreadable(f"expected an object of JSON: {error}")
    if not isinstance(found, dict) or not is_whole("".join(found)):
        return Unreadable("expected an object of JSON, whose members have names of whole characters")
    values = [json_value(found, path) for path in paths]
    for misplaced in (value for value in values if isinstance(value, Misplaced)):
        misplaced.artifact = found["key"] if isinstance(found.get("key"), str) else None
    return values


def json_members(line: bytes) -> Set[str]:
    """The names of the members of a line's object; none where it is no object."""
    try:
        found = json.loads(line, parse_int=Digits)
    except (ValueError, RecursionError):
        return set()
    return set(found) if isinstance(found, dict) else set()


def json_value(value: Any, path: Path) -> Any:
    """The value that a path leads to: nothing where there is none on the way."""
    for step in path:
        if value is None:
            return None
        if isinstance(step, dict) and "member" in step:
            if not isinstance(value, dict):
                return Misplaced("an object")
            value = value.get(step["member"])
        elif not isinstance(value, list):
            return Misplaced("a list")
        elif isinstance(step, dict):
            member, wanted = step["entry"]["member"], step["entry"]["is"]
            value = next((entry for entry in value if isinstance(entry, dict) and entry.get(member) == wanted), None)
        elif len(value) > 1:
            named = (entry.get("currency") for entry in value if isinstance(entry, dict))
            return Misplaced(f"one entry of {len(value)}", tuple(one for one in named if isinstance(one, str)))
        else:
            value = value[0] if value else None
    return value


def is_whole(text: str) -> bool:
    """Whether a text has no half of a character, as JSON's escapes can write it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def shown(value: Any) -> str:
    """A value as messages tell it."""
    text = str(value)
    more = "…" if len(text) > SHOWN_CHARS_MAX else ""
    return text[:SHOWN_CHARS_MAX].encode("utf-8", "backslashreplace").decode("utf-8") + more


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def json_text(value: Any, kind: str) -> Optional[str]:
    """The text of a value of JSON, where one of that type can stand so."""
    if isinstance(value, bool):
        return str(value).lower() if kind == "boolean" else None
    if isinstance(value, Digits):
        return str(value) if kind == "integer" or kind.startswith("decimal") else None
    # No CSV could be made of a text with a NUL.
    return value if isinstance(value, str) and is_whole(value) and "\0" not in value else None
