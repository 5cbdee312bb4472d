"""The job by tieout's own script for Spark. Prints a line of JSON; reads one, see `local/bench_reconcile.py`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from local import paths
from local.peers import job, spark
from local.peers.meter import measured


def main() -> None:
    """Runs it. Starting Java and Spark is not counted."""
    given = json.load(sys.stdin)
    os.environ["PYTHONPATH"] = str(paths.SPARK)
    sys.path.insert(0, str(paths.SPARK))
    from tieout_spark import engine  # noqa: PLC0415 (it is there from now on)
    from tieout_spark.store import Store  # noqa: PLC0415

    folder = Path(given["folder"])
    session = spark.session(folder, given["workers"])
    engine.prepare(session)
    store, task = Store(session, str(folder)), given["task"]
    stage = measured("run", lambda: engine.run(session, store, task))
    report = json.loads((folder / task["output"]["bucket"] / task["output"]["prefix"] / "report.json").read_text())
    output = report["outputs"][0]
    numbers = [f"{kind}_{at}" for kind in job.NUMBERS for at in job.ROUNDS]
    answer = job.differences(given, output["rows"], {name: output["totals"][name] for name in numbers})
    print(json.dumps({"stages": [stage], "differences": answer}))
    session.stop()


if __name__ == "__main__":
    main()
