"""The differential test of the distributed engine: its jobs are made here and run in the environment that has Spark."""

from __future__ import annotations

import os
import shutil
import subprocess

from local import build, paths, venvs
from local.console import Stop, step
from local.stack import alone

JOBS = "40"


def test_spark() -> None:
    """Runs all cases of all operations and random jobs: `TIEOUT_JOBS` many, from the seed `TIEOUT_SEED` on."""
    with alone():
        venvs.ensure("peers")
    generator = build.cargo_build("--workspace", "--bins")[build.JOB_GENERATOR]
    folder = paths.TEMPORARY / "jobs"
    shutil.rmtree(folder, ignore_errors=True)
    seed, jobs = os.environ.get("TIEOUT_SEED", "1"), os.environ.get("TIEOUT_JOBS", JOBS)
    with step("run every operation on Spark", f"some minutes; {jobs} random jobs from seed {seed} on"):
        subprocess.run([str(generator), str(folder), "--jobs", jobs, "--seed", seed], check=True)
        command = [
            venvs.program("peers", "python"),
            # Spark leaves the sockets of its workers to the garbage collector.
            "-W",
            "ignore::ResourceWarning",
            "-m",
            "unittest",
            "discover",
            "--quiet",
            "--start-directory",
            "tests",
        ]
        command += ["--top-level-directory", "."]
        if (
            subprocess.run(command, cwd=paths.SPARK, env=os.environ | {"TIEOUT_JOBS_FOLDER": str(folder)}).returncode
            != 0
        ):
            raise Stop(f"the distributed engine differs; the jobs are in {paths.shown(folder)}")
