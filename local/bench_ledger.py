"""What a batch of the ledger costs on local files, beside DuckDB and Spark. Prints figures; judges nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import build, paths, venvs
from local.console import Stop, say, step

FOLDER = paths.STATE / "bench-ledger"
WORKERS = 2


@dataclass(frozen=True)
class Size:
    """A batch, and the ledger that it comes to: as many artifacts as it has events, of which it touches a quarter."""

    events: int
    partition_bits: int

    @property
    def touched(self) -> int:
        """How many artifacts the batch is of."""
        return self.events // 4


# A larger ledger has more partitions, so that each is of the same size: some 60,000 artifacts.
SIZES = (Size(200_000, 2), Size(2_000_000, 5), Size(20_000_000, 8))
# The one that the peers do too, and that is measured with all event lines kept as well.
COMPARED = SIZES[1]


def bench(largest: int) -> None:
    """Measures every size up to `largest` events."""
    program = build_program()
    venvs.ensure("peers")
    for size in (size for size in SIZES if size.events <= largest):
        for lines in ("none", "all") if size == COMPARED else ("none",):
            measure(program, size, lines)
    shutil.rmtree(FOLDER, ignore_errors=True)


def build_program() -> Path:
    """Builds the benchmark, optimised."""
    command = ["cargo", "bench", "--package", "ledger", "--bench", "batch", "--no-run"]
    with step("build the benchmark", "minutes when nothing is built yet"):
        return build.built(command)["batch"]


def measure(program: Path, size: Size, lines: str) -> None:
    """Makes a ledger, sends it a batch, and lets the peers do the same."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)

    def run(command: str, *options: object) -> Any:
        return told([str(program), command, str(FOLDER), *map(str, options)])

    sizes = ("--events", size.events, "--artifacts", size.events, "--touched")
    run("define", "--lines", lines, "--partition-bits", size.partition_bits)
    run("upload", "--batch", 1, *sizes, size.events)
    before = run("run", "--batch", 1)
    uploaded = run("upload", "--batch", 2, *sizes, size.touched)
    batch = run("run", "--batch", 2)
    touched, artifacts = batch["artifacts"], before["artifacts"]
    say(f"\n{size.events:,} events of {touched:,} artifacts, in a ledger of {artifacts:,}; event lines: {lines}")
    say(f"load of the machine: {os.getloadavg()[0]:.1f}")
    show("tieout", batch["stages"])
    if size == COMPARED and lines == "none":
        given = {"folder": str(FOLDER), "workers": WORKERS, "events": uploaded["files"]}
        peers(given | {"artifacts": before["part_files"], "written": batch["part_files"]})


def peers(given: dict[str, object]) -> None:
    """Lets the peers do the same work on the same files. DuckDB's answer is compared with the ledger's."""
    for peer in ("duckdb", "spark"):
        answer = told([venvs.program("peers", "python"), "-m", f"local.peers.{peer}_batch"], json.dumps(given))
        show(peer, answer["stages"])
        if "differences" in answer:
            say(f"  artifacts that differ from tieout's: {answer['differences']}")


def told(command: list[str], given: str | None = None) -> Any:
    """The JSON that a program prints."""
    answer = subprocess.run(command, cwd=paths.ROOT, input=given, stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise Stop(f"{Path(command[0]).name} failed; it says above why")
    return json.loads(answer.stdout.splitlines()[-1])


def show(who: str, stages: list[dict[str, Any]]) -> None:
    """A table: a line for each stage."""
    say(f"  {who:16} {'time':>8} {'CPU time':>10} {'peak memory':>12}")
    for stage in stages:
        seconds, cpu, peak = stage["seconds"], stage["cpu_seconds"], stage["peak_bytes"] / 1e6
        say(f"    {stage['stage']:14} {seconds:6.2f} s {cpu:8.2f} s {peak:9.0f} MB")
    if len(stages) > 2:
        seconds, cpu = (sum(stage[name] for stage in stages) for name in ("seconds", "cpu_seconds"))
        peak = max(stage["peak_bytes"] for stage in stages) / 1e6
        say(f"    {'all':14} {seconds:6.2f} s {cpu:8.2f} s {peak:9.0f} MB")
