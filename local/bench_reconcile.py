"""What a large job costs on local files, beside Polars, DuckDB and Spark. Prints figures; judges nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from local import bench_ledger, build, paths, venvs
from local.console import say, step

FOLDER = paths.STATE / "bench-reconcile"
WORKERS = 2
# As in the published comparison: orders, and the payments that they are looked up in.
PAYMENTS = 0.97
# The peers hold what they join in memory, or take hours: beyond this many rows tieout runs alone.
COMPARED = 5_000_000
# How often each does it, unless it takes longer than this.
TURNS = 5
LONG_SECONDS = 10


def bench(sizes: list[int], memory_mib: int) -> None:
    """Measures every size, in rows."""
    command = ["cargo", "bench", "--package", "reconcile-engine", "--bench", "job", "--no-run"]
    with step("build the benchmark", "many minutes when nothing is built yet"):
        program = build.built(command)["job"]
    venvs.ensure("peers")
    for rows in sizes:
        measure(program, rows, memory_mib)
    shutil.rmtree(FOLDER, ignore_errors=True)


def measure(program: Path, rows: int, memory_mib: int) -> None:
    """Looks `rows` rows up in nearly as many, and computes 48 columns of each: with tieout, and with every peer."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    files = bench_ledger.told([str(program), "make", str(FOLDER), str(rows), str(int(rows * PAYMENTS))])
    size = sum(file["bytes"] for file in files.values()) / 1e6
    say(f"\n{rows:,} rows, {size:,.3f} MB of CSV, {memory_mib:,} MiB; load of the machine: {os.getloadavg()[0]:.1f}")
    own: dict[str, Any] = {}

    def tieout() -> Any:
        answer = bench_ledger.told([str(program), "run", str(FOLDER), str(memory_mib)])
        own.update(answer)
        return answer

    done: dict[str, Callable[[], Any]] = {"tieout": tieout}
    if rows <= COMPARED:
        task = bench_ledger.told([str(program), "task", str(FOLDER)])
        for peer in ("polars", "duckdb", "spark", "distributed"):
            done[peer] = partial(compare, peer, files | {"task": task}, own)
    answers = in_turns(done)
    say(f"  {'':12} {'time':>8} {'':20} {'CPU time':>9} {'peak memory':>12}")
    for name, told in answers.items():
        show(name, [answer["stages"][0] for answer in told])
    say(f"  {own['written'] / 1e6:,.3f} MB written, {own['spilled'] / 1e6:,.0f} MB to disk because memory was short")
    for name, told in answers.items():
        if name != "tieout":
            say(f"  columns whose sums differ from tieout's, {name}: {max(answer['differences'] for answer in told)}")


def in_turns(done: dict[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """What each has told, every time: one after the other and then all again, so that what else the machine does meets
    all of them. What takes long is done once."""
    answers: dict[str, list[Any]] = {name: [] for name in done}
    for _ in range(TURNS):
        for name, run in done.items():
            if not answers[name] or answers[name][0]["stages"][0]["seconds"] < LONG_SECONDS:
                answers[name].append(run())
    return answers


def compare(peer: str, files: dict[str, Any], own: dict[str, Any]) -> Any:
    """Lets a peer do the same, and hold its cells against tieout's: as sums of what it has written."""
    given = {"folder": str(FOLDER), "workers": WORKERS, "totals": own["totals"], "rows": own["rows"]}
    given |= {name: file.get("path", file) for name, file in files.items()}
    program = [venvs.program("peers", "python"), "-m", f"local.peers.{peer}_job"]
    return bench_ledger.told(program, json.dumps(given))


def show(who: str, runs: list[dict[str, Any]]) -> None:
    """A line of the table: the median of the times with the least and the most, the same of the processor's, and the
    most memory."""
    times = sorted(run["seconds"] for run in runs)
    spread = f"({times[0]:.2f} to {times[-1]:.2f})" if len(times) > 1 else ""
    cpu, peak = median(run["cpu_seconds"] for run in runs), max(run["peak_bytes"] for run in runs) / 1e6
    say(f"  {who:12} {median(times):6.2f} s {spread:20} {cpu:7.2f} s {peak:9,.0f} MB")
