"""The job's demonstration believes nothing."""

import copy
import unittest
from typing import Any

from local import reconcile
from local.console import Stop

JOB: dict[str, Any] = {
    "job": "orders-0",
    "outputs": [
        {
            "name": "orders",
            "rows": reconcile.ROWS,
            "totals": {"uuid": "1", **{column: str(total) for column, total in reconcile.SUMS.items()}},
        },
        {"name": "regions", "rows": 7, "totals": {"All": "2574886623.94"}},
    ],
}


class Compare(unittest.TestCase):
    def test_a_job_that_ties_out_is_believed(self) -> None:
        reconcile.compare(JOB)

    def test_a_cent_too_much_is_seen(self) -> None:
        for output, column, wrong in ((0, "totalCost", "1822184942.27"), (1, "All", "2574886623.93")):
            job = copy.deepcopy(JOB)
            job["outputs"][output]["totals"][column] = wrong
            with self.assertRaisesRegex(Stop, wrong):
                reconcile.compare(job)

    def test_a_lost_order_is_seen(self) -> None:
        job = copy.deepcopy(JOB)
        job["outputs"][0]["rows"] -= 1
        with self.assertRaisesRegex(Stop, "1999"):
            reconcile.compare(job)


if __name__ == "__main__":
    unittest.main()
