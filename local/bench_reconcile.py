"""What a large job costs on local files, beside Polars, DuckDB and Spark. Prints figures; judges nothing."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from local import bench_ledger, build, paths, venvs
from local.console import say, step

FOLDER = paths.STATE / "bench-reconcile"
WORKERS = 2
MEMORY_MIB = 3072
# As in the published comparison: orders, and the payments that they are looked up in.
PAYMENTS = 0.97


def bench(rows: int) -> None:
    """Looks `rows` rows up in nearly as many, and computes 48 columns of each: with tieout, and with every peer."""
    command = ["cargo", "bench", "--package", "reconcile-engine", "--bench", "job", "--no-run"]
    with step("build the benchmark", "many minutes when nothing is built yet"):
        program = build.built(command)["job"]
    venvs.ensure("peers")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    files = bench_ledger.told([str(program), "make", str(FOLDER), str(rows), str(int(rows * PAYMENTS))])
    size = sum(file["bytes"] for file in files.values()) / 1e6
    say(f"\n{rows:,} rows, {size:,.0f} MB of CSV; load of the machine: {os.getloadavg()[0]:.1f}")
    own = bench_ledger.told([str(program), "run", str(FOLDER), str(MEMORY_MIB)])
    bench_ledger.show("tieout", own["stages"])
    for peer in ("polars", "duckdb", "spark"):
        compare(peer, files, own)
    shutil.rmtree(FOLDER, ignore_errors=True)


def compare(peer: str, files: dict[str, Any], own: dict[str, Any]) -> None:
    """Lets a peer do the same, and holds its cells against tieout's: as sums of what it has written."""
    given = {"folder": str(FOLDER), "workers": WORKERS, "totals": own["totals"], "rows": own["rows"]}
    given |= {name: file["path"] for name, file in files.items()}
    program = [venvs.program("peers", "python"), "-m", f"local.peers.{peer}_job"]
    answer = bench_ledger.told(program, json.dumps(given))
    bench_ledger.show(peer, answer["stages"])
    say(f"  columns whose sums differ from tieout's: {answer['differences']}")
