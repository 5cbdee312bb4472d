"""A task from its document to its report."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any, Dict, List, Optional

from pyspark.sql import SparkSession

from tieout_spark import dates, matching, numbers, records
from tieout_spark.faults import NEEDS_EXACT, ExactArithmeticNeeded, FaultError, LostInputError
from tieout_spark.figures import Figures
from tieout_spark.frames import Frames
from tieout_spark.inputs import absent
from tieout_spark.joins import COMPILED_COLUMNS_MAX
from tieout_spark.layers import Json
from tieout_spark.pieces import PIECE_BYTES
from tieout_spark.pins import Pins
from tieout_spark.store import Store
from tieout_spark.watching import count_again
from tieout_spark.writing import EXTENSIONS, Written, totals, write

VERSION = 1

# Nothing here may change what a plan means; most of it keeps Spark from doing so.
SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    # Spark would give up decimals for digits.
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.datetime.java8API.enabled": "true",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.caseSensitive": "true",
    # What is joined with nothing, or what no row comes of, is computed all the same: its faults and its rows count.
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.PropagateEmptyRelation,"
    "org.apache.spark.sql.catalyst.optimizer.PruneFilters",
    "spark.sql.adaptive.optimizer.excludedRules": "org.apache.spark.sql.execution.adaptive.AQEPropagateEmptyRelation",
    # `joins.drained` knows from it which joins leave rows unread.
    "spark.sql.codegen.maxFields": str(COMPILED_COLUMNS_MAX),
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
    # Every scan cuts an object at the same places, whatever else it reads and however many workers there are.
    "spark.sql.files.maxPartitionBytes": str(PIECE_BYTES),
    "spark.sql.files.openCostInBytes": str(PIECE_BYTES),
}
# Where the number of partitions stands that rows are shuffled or sorted into, before Spark joins small ones again.
PARTITIONS = "spark.sql.adaptive.coalescePartitions.initialPartitionNum"
PARTITIONS_MIN, PARTITIONS_MAX = 16, 10_000
PAIRS = "array<struct<a: bigint, b: bigint, c: bigint, d: bigint>>"


def prepare(session: SparkSession) -> None:
    """The settings and functions that plans need."""
    for name, value in SETTINGS.items():
        session.conf.set(name, value)
    # Java changes case by the rules of its machine's language; Turkish and others have rules of their own.
    plain = (
        session.range(1).selectExpr("upper(concat('äiì', id)) = 'ÄIÌ0' and lower(concat('ÄIÌ', id)) = 'äiì0'").first()
    )
    if plain is None or not plain[0]:
        raise RuntimeError("this Java changes case by the rules of another language: start it with -Duser.language=en")
    # The functions are looked up by name, in SQL.
    session.udf.register("tieout_arithmetic", numbers.arithmetic, "string")
    session.udf.register("tieout_rounded", numbers.rounded, "string")
    session.udf.register("tieout_combined", numbers.combined, "string")
    session.udf.register("tieout_number", numbers.written, "string")
    session.udf.register("tieout_date", dates.date, "string")
    session.udf.register("tieout_cell", records.cell, "string")
    session.udf.register("tieout_match", matching.match, f"struct<crowded: boolean, pairs: {PAIRS}>")
    hadoop = session._jsc.hadoopConfiguration()
    hadoop.set("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")


def run(session: SparkSession, store: Store, task: Json) -> Json:
    """Runs a task and writes its report. Whoever runs it again finds that report, and leaves what it names as it is; of
    two at once, each writes parts of its own, and the report that stands first is the task's."""
    began = time.monotonic()
    bucket, key = task["output"]["bucket"], f"{prefix_of(task)}/report.json"
    path = store.path(bucket, key)
    if store.exists(path):
        found: Json = json.loads(store.read(path))
        return found
    try:
        report = done(session, store, task)
        report["milliseconds"] = round((time.monotonic() - began) * 1000)
    except FaultError as fault:
        report = {"failure": failure(task, fault)}
    report = {"version": VERSION, "engine": "spark", **report}
    standing: Json = json.loads(store.write_first(bucket, key, json.dumps(report, ensure_ascii=False)))
    return standing


def done(session: SparkSession, store: Store, task: Json) -> Json:
    """What a task made."""
    if task["version"] != VERSION or task["plan"]["version"] != VERSION:
        raise ValueError(f"the task has version {task['version']}, this is version {VERSION}")
    try:
        return attempted(session, store, task, False)
    except ExactArithmeticNeeded:
        return attempted(session, store, task, True)


def attempted(session: SparkSession, store: Store, task: Json, exact: bool) -> Json:
    """What a task made, with Spark's arithmetic or with exact one."""
    frames, pins = Frames(session, store, task, exact), Pins(store, task)
    pins.check()
    spread(session, frames.bytes)
    try:
        made = written(session, store, task, frames)
    except ExactArithmeticNeeded:
        raise
    except Exception:
        # What an object is no more cannot be read, or reads strangely.
        pins.check()
        raise
    finally:
        frames.release()
    pins.check()
    return made


def spread(session: SparkSession, size: int) -> None:
    """Lets rows be shuffled and sorted into a partition for each piece that is read, and at least into as many as the
    session says, or few where little is read. What a worker sorts and an output's parts do not grow with the job."""
    least = min(int(session.conf.get("spark.sql.shuffle.partitions") or 0), PARTITIONS_MIN + (size >> 20))
    session.conf.set(PARTITIONS, str(min(max(least, size // PIECE_BYTES), PARTITIONS_MAX)))


def written(session: SparkSession, store: Store, task: Json, frames: Frames) -> Json:
    """Writes what a task makes. What it is."""
    figures = Figures(session)
    frames.make()
    attempt = uuid.uuid4().hex
    outputs = task["plan"]["outputs"]
    places = {output["name"]: f"{prefix_of(task)}/{output['name']}/{attempt}" for output in outputs}
    bucket = task["output"]["bucket"]
    made = [write(session, frames, figures, one, store.path(bucket, places[one["name"]])) for one in outputs]
    frames.find()
    if figures.twice:
        count_again(frames.watches.all)
    judge(frames)
    prove(frames)
    return {
        "inputs": inputs(task, frames),
        "steps": steps(task, frames),
        "outputs": [reported(store, task, one, places[one.output["name"]]) for one in made],
        "peakMemoryBytes": max((one.work.memory_bytes for one in made), default=0),
        "spilledBytes": sum(one.work.spilled_bytes for one in made),
    }


def judge(frames: Frames) -> None:
    """Whether all went well."""
    fault = frames.watches.first_fault()
    if fault is None or frames.relations[fault["relation"]]["body"]["kind"] != "read":
        # A step may have failed because of it.
        problem = absent(frames)
        if problem is not None:
            raise problem
    if fault is None:
        return
    if fault["message"] == NEEDS_EXACT:
        raise ExactArithmeticNeeded
    raise FaultError(
        fault["message"], fault["relation"], fault.get("column"), None, fault.get("object"), fault.get("row")
    )


def prove(frames: Frames) -> None:
    """That all rows were read that were counted before."""
    for number, expected in frames.expected.items():
        name, found = frames.relations[number]["body"]["input"], rows_of(frames, number)
        if found != expected:
            raise RuntimeError(f"input {name}: {found} rows were read, {expected} were counted before")


def prefix_of(task: Json) -> str:
    """Under which a task's parts and report are."""
    return str(task["output"]["prefix"])


def inputs(task: Json, frames: Frames) -> Dict[str, Json]:
    """What was read."""
    found = {}
    for number, relation in enumerate(frames.relations):
        if relation["body"]["kind"] == "read":
            name = relation["body"]["input"]
            size = sum(one["bytes"] for one in task["inputs"][name]["objects"])
            found[name] = {"rows": rows_of(frames, number), "bytes": size}
    return found


def steps(task: Json, frames: Frames) -> List[Json]:
    """What each step made: the rows of all its results. Spark computes many steps at once: none has a time."""
    found: Dict[str, Json] = {}
    for number, relation in enumerate(frames.relations):
        if relation["operation"] != "input":
            made = {"step": relation["step"], "operation": relation["operation"], "rows": 0}
            rows = rows_of(frames, number) if number in frames.results else 0
            found.setdefault(relation["step"], made)["rows"] += rows
    return list(found.values())


def rows_of(frames: Frames, number: int) -> int:
    """The rows of a relation."""
    watch = frames.made[number].rows
    return 0 if watch is None else int(watch.get()["rows"])


def reported(store: Store, task: Json, written: Written, key: str) -> Json:
    """What was written of an output, under that key."""
    output, watch = written.output, written.watch
    found = store.settle(store.path(task["output"]["bucket"], key), key, EXTENSIONS[output["format"]])
    counts = [written.work.rows.get(part.number, 0) for part in found]
    rows = sum(counts)
    if rows != watch.get()["rows"]:
        count_again([watch])
    if rows != watch.get()["rows"]:
        raise RuntimeError(
            f"output {output['name']}: Spark says {rows} rows of its parts, {watch.get()['rows']} were made"
        )
    parts = [{"key": part.key, "bytes": part.bytes, "rows": count} for part, count in zip(found, counts)]
    return {"name": output["name"], "rows": rows, "totals": totals(written), "parts": parts}


def failure(task: Json, fault: FaultError) -> Json:
    """A fault as reports have it."""
    if isinstance(fault, LostInputError):
        return lost(task, fault)
    relation: Json = {} if fault.relation is None else task["plan"]["relations"][fault.relation]
    name = fault.input or relation.get("body", {}).get("input") or (relation.get("place") or {}).get("input")
    step, operation = (relation["step"], relation["operation"]) if relation else (fault.input, "input")
    column = None if (fault.column or "#").startswith("#") else fault.column
    key: Optional[str] = None
    if name is not None and fault.object is not None:
        key = task["inputs"][name]["objects"][fault.object]["key"]
    about = f', column "{column}"' if column else ""
    where = f', row {fault.row} of "{name}"' if fault.row is not None else ""
    message = f'step "{step}" ({operation}){about}{where}: {fault.message}' + (f" ({key})" if key else "")
    found: Dict[str, Any] = {"class": "InvalidInput", "message": message, "step": step, "operation": operation}
    found.update(column=column, input=name if key else None, object=key, row=fault.row)
    return {name: value for name, value in found.items() if value is not None}


def lost(task: Json, fault: LostInputError) -> Json:
    """An object that has gone or changed, as the embedded engine tells it."""
    key = task["inputs"][fault.input]["objects"][fault.object]["key"]
    message = f'input "{fault.input}" ({key}): {fault.message}'
    return {"class": "InvalidInput", "message": message, "input": fault.input, "object": key}
