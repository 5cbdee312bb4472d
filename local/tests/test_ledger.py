"""The ledger's demonstration believes nothing."""

import copy
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from local import artifacts, ledger
from local.console import Stop


def artifact(status: str, due: str, settled: str) -> artifacts.Artifact:
    """What counts of one."""
    side = {"due": due, "settled": settled}
    measures = {name: [{"currency": "USD", "amount": amount}] if amount else [] for name, amount in side.items()}
    return {"status": status, "measures": measures, "difference": []}


MADE: dict[str, Any] = {
    "artifacts": 3, "open": 1, "reconciled": 1, "breaks": 1, "due": {"USD": "30.10"}, "settled": {"USD": "20"},
}  # fmt: skip
FOUND = [artifact("open", "10.05", ""), artifact("reconciled", "10", "10.00"), artifact("break", "10.05", "10.00")]


class Compare(unittest.TestCase):
    def test_artifacts_that_add_up_are_believed(self) -> None:
        with mock.patch.object(ledger, "say"):
            ledger.compare(artifacts.totals(iter(FOUND)), MADE)

    def test_a_cent_is_seen(self) -> None:
        wrong = [*FOUND[:2], artifact("break", "10.06", "10.00")]
        with self.assertRaisesRegex(Stop, "30.11"):
            ledger.compare(artifacts.totals(iter(wrong)), MADE)

    def test_a_lost_artifact_and_another_status_are_seen(self) -> None:
        for wrong in (FOUND[:2], [*FOUND[:2], artifact("reconciled", "10.05", "10.00")]):
            with self.assertRaises(Stop):
                ledger.compare(artifacts.totals(iter(wrong)), MADE)

    def test_a_currency_too_many_is_seen(self) -> None:
        wrong = copy.deepcopy(MADE)
        wrong["settled"]["EUR"] = "1"
        with self.assertRaises(Stop):
            ledger.compare(wrong, MADE)


class Flight(unittest.TestCase):
    def test_jobs_are_told_with_the_stage_that_they_are_at(self) -> None:
        turns = {
            1: ("done", "done", "at work"),
            2: ("done", "granted", "not asked for"),
            3: ("waits for its turn", "not asked for", "not asked for"),
        }
        jobs = [{"job": job, "turns": dict(zip(ledger.STAGES, turn, strict=True))} for job, turn in turns.items()]
        self.assertEqual(ledger.in_flight(jobs), [(1, "index"), (2, "apply")])

    def test_a_parked_job_ends_the_wait(self) -> None:
        parked = {"jobs": [{"job": 1, "status": "parked", "turns": {}}], "batches": {"indexed": 0}}
        with mock.patch.object(ledger, "asked", return_value=parked), self.assertRaisesRegex(Stop, "parked"):
            ledger.follow("orders", 1)


class Words(unittest.TestCase):
    def test_a_batch_is_submitted_with_all_that_is_known_of_it(self) -> None:
        batch = {"batch": "b", "source": "bank", "from": "f", "to": "t", "correction": "late fees", "files": ["x.csv"]}
        words = ["batch", "submit", "orders", "x.csv", "--batch", "b", "--source", "bank", "--from", "f", "--to", "t"]
        self.assertEqual(ledger.submission("orders", batch), [*words, "--correction", "late fees"])
        self.assertEqual(ledger.submission("orders", batch | {"correction": None}), words)

    def test_an_artifact_that_stands_otherwise_is_refused(self) -> None:
        found = artifact("open", "1", "")
        with (
            mock.patch.object(ledger, "asked", return_value=found),
            mock.patch.object(ledger, "say"),
            self.assertRaisesRegex(Stop, "should be break, and is open"),
        ):
            ledger.expect("orders", "1", "break")

    def test_the_order_of_the_first_event_is_found(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "late.csv"
            file.write_text("order_id,event_id\n371943700,L1\n2,L1\n")
            self.assertEqual(ledger.first_order(file), "371943700")


if __name__ == "__main__":
    unittest.main()
