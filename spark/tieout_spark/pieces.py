"""Objects in pieces: Spark cuts them at line feeds, and gives each worker some of them."""

from __future__ import annotations

import itertools
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as f

from tieout_spark import records
from tieout_spark.faults import FaultError
from tieout_spark.records import Cutter, Dialect
from tieout_spark.sources import Piece, PieceKey, Source
from tieout_spark.store import NO_PATTERNS

# Objects are cut into pieces of this length, which `engine` sets; shorter ones are not cut.
PIECE_BYTES = 32 << 20
# How much of records that lie in two pieces the driver holds: a record has a megabyte at most, and hardly one has.
RESTS_BYTES_MAX = 256 << 20


def lines(session: SparkSession, paths: List[str]) -> DataFrame:
    """Every line, and the piece that it is of. Spark itself drops the byte order mark that an object begins with."""
    if not paths:
        return session.createDataFrame([], "line binary, path string, start bigint")
    text = session.read.options(lineSep="\n", **NO_PATTERNS).format("text").load(paths)
    return text.selectExpr(
        "cast(value as binary) as line", "_metadata.file_path as path", "_metadata.file_block_start as start"
    )


def pieces(rows: Iterable[Row]) -> Iterator[Tuple[PieceKey, Iterator[bytes]]]:
    """The pieces of a partition, and their lines."""
    for key, group in itertools.groupby(rows, key=lambda row: (row[1], row[2])):
        yield key, (bytes(row[0]) for row in group)


def csv_records(found: Iterable[bytes], dialect: Dialect, piece: Piece) -> Iterator[records.Record]:
    """The records that begin in a piece."""
    cutter = Cutter(dialect)
    if piece.inside:
        cutter.resume()
    cut = cutter.cut(found)
    if piece.inside and next(cut, None) is None:
        return
    yield from cut
    if cutter.waiting:
        yield from itertools.islice(itertools.chain(cutter.cut(piece.behind), cutter.end()), 1)


class Survey(NamedTuple):
    """What a worker finds out about a piece, were it outside of a quoted cell at its beginning, or inside of one."""

    # How many records begin in it, and whether the last of them goes on behind it.
    records: int
    is_open: bool
    # What is at its beginning of a record of the piece before.
    rest_lines: int
    rest_bytes: int


def surveyed(session: SparkSession, source: Source, paths: List[str]) -> Dict[PieceKey, Piece]:
    """What each piece of large objects begins with."""
    outside = survey(session, source, paths, None)
    keys = sorted(outside)
    behind = {key: follower for key, follower in zip(keys, keys[1:]) if key[0] == follower[0]}
    inside: Dict[PieceKey, Survey] = {}
    while True:
        open_ones = [key for found in (outside, inside) for key, one in found.items() if one.is_open]
        wanted = {behind[key] for key in open_ones if key in behind} - set(inside)
        if not wanted:
            break
        inside.update(survey(session, source, paths, wanted))
    found: Dict[PieceKey, Piece] = {}
    owners: Dict[PieceKey, PieceKey] = {}
    for _, group in itertools.groupby(keys, key=lambda key: key[0]):
        row, waits, owner = 0 if source.header else 1, False, keys[0]
        for key in group:
            one = inside[key] if waits else outside[key]
            found[key] = Piece(row, waits)
            if waits:
                owners[key] = owner
            # What is the middle of a record and nothing else has none of its own.
            owner = owner if waits and one.is_open and not one.records else key
            row, waits = row + one.records, one.is_open
    rests = read_rests(session, source, paths, {key: inside[key] for key in owners})
    for key in sorted(owners):
        found[owners[key]].behind.extend(rests[key])
    return found


def survey(
    session: SparkSession, source: Source, paths: List[str], inside: Optional[Set[PieceKey]]
) -> Dict[PieceKey, Survey]:
    """The survey of all pieces as if they began outside of quoted cells, or of some as if they began inside."""

    def survey_pieces(rows: Iterable[Row]) -> Iterator[Tuple[PieceKey, Survey]]:
        for key, found in pieces(rows):
            if source.dialect is None:
                yield key, Survey(sum(1 for _ in found), False, 0, 0)
            else:
                yield key, survey_piece(found, source.dialect, inside is not None)

    return dict(some_lines(session, paths, inside).rdd.mapPartitions(survey_pieces).collect())


def survey_piece(found: Iterator[bytes], dialect: Dialect, inside: bool) -> Survey:
    """The survey of one piece of CSV."""
    cutter, count, rest_lines, rest_bytes = Cutter(dialect), 0, 0, 0
    if inside:
        cutter.resume()
        for line in found:
            rest_lines, rest_bytes = rest_lines + 1, rest_bytes + len(line)
            ended = sum(1 for _ in cutter.cut([line]))
            if ended:
                count = ended - 1
                break
        else:
            return Survey(0, True, rest_lines, rest_bytes)
    count += sum(1 for _ in cutter.cut(found))
    return Survey(count + bool(cutter.waiting), bool(cutter.waiting), rest_lines, rest_bytes)


def read_rests(
    session: SparkSession, source: Source, paths: List[str], wanted: Dict[PieceKey, Survey]
) -> Dict[PieceKey, List[bytes]]:
    """The lines at the beginning of pieces that close a record of the piece before. They alone come to the driver, and
    are sent to all workers."""
    held = sum(one.rest_bytes for one in wanted.values())
    if held > RESTS_BYTES_MAX:
        problem = f"records of the file that lie in two of its pieces have {held} bytes in the second"
        raise FaultError(f"{problem}, and there is room for {RESTS_BYTES_MAX}", input=source.name)
    counts = {key: one.rest_lines for key, one in wanted.items()}

    def first_lines(rows: Iterable[Row]) -> Iterator[Tuple[PieceKey, List[bytes]]]:
        for key, found in pieces(rows):
            yield key, list(itertools.islice(found, counts[key]))

    if not wanted:
        return {}
    return dict(some_lines(session, paths, set(wanted)).rdd.mapPartitions(first_lines).collect())


def some_lines(session: SparkSession, paths: List[str], wanted: Optional[Set[PieceKey]]) -> DataFrame:
    """Every line of some pieces, or of all."""
    found = lines(session, paths)
    if wanted is None:
        return found
    keys = session.createDataFrame(sorted(wanted), "path string, start bigint")
    return found.join(f.broadcast(keys), ["path", "start"], "left_semi").select("line", "path", "start")
