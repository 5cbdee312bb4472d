"""What a large job costs on local files, beside Polars, DuckDB and Spark. Prints figures; judges nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from local import bench_ledger, build, paths, venvs
from local.console import say, step

FOLDER = paths.STATE / "bench-reconcile"
WORKERS = 2
# As in the published comparison: orders, and the payments that they are looked up in.
PAYMENTS = 0.97
# The peers hold what they join in memory, or take hours: beyond this many rows tieout runs alone.
COMPARED = 5_000_000


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
    own = bench_ledger.told([str(program), "run", str(FOLDER), str(memory_mib)])
    bench_ledger.show("tieout", own["stages"])
    say(f"  {own['written'] / 1e6:,.3f} MB written, {own['spilled'] / 1e6:,.0f} MB to disk because memory was short")
    if rows <= COMPARED:
        task = bench_ledger.told([str(program), "task", str(FOLDER)])
        for peer in ("distributed", "polars", "duckdb", "spark"):
            compare(peer, files | {"task": task}, own)


def compare(peer: str, files: dict[str, Any], own: dict[str, Any]) -> None:
    """Lets a peer do the same, and holds its cells against tieout's: as sums of what it has written."""
    given = {"folder": str(FOLDER), "workers": WORKERS, "totals": own["totals"], "rows": own["rows"]}
    given |= {name: file.get("path", file) for name, file in files.items()}
    program = [venvs.program("peers", "python"), "-m", f"local.peers.{peer}_job"]
    answer = bench_ledger.told(program, json.dumps(given))
    bench_ledger.show(peer, answer["stages"])
    say(f"  columns whose sums differ from tieout's: {answer['differences']}")
