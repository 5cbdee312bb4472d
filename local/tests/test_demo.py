"""The demonstration believes nothing."""

import copy
import unittest
from typing import Any

from local import demo
from local.console import Stop

MADE = {"total_revenue": "30", "total_cost": "20.5", "total_profit": "9.5"}
RUN: dict[str, Any] = {
    "records_in": demo.ROWS,
    "records_out": demo.ROWS,
    "records_rejected": 0,
    "totals": {
        "columns": [
            {"column": "Total Cost", "sum": "20.50"},
            {"column": "Total Profit", "sum": "9.50"},
            {"column": "Total Revenue", "sum": "30.00"},
        ]
    },
}


class Compare(unittest.TestCase):
    def test_a_run_that_ties_out_is_believed(self) -> None:
        demo.compare(RUN, MADE)

    def test_a_cent_too_much_is_seen(self) -> None:
        wrong = copy.deepcopy(RUN)
        wrong["totals"]["columns"][0]["sum"] = "20.51"
        with self.assertRaisesRegex(Stop, "20.51"):
            demo.compare(wrong, MADE)

    def test_a_column_without_a_sum_is_seen(self) -> None:
        wrong = copy.deepcopy(RUN)
        del wrong["totals"]["columns"][2]
        with self.assertRaises(Stop):
            demo.compare(wrong, MADE)

    def test_rejects_are_held_against_what_is_in_the_file(self) -> None:
        run = {"records_in": 20, "records_out": 8, "records_rejected": 12}
        demo.balance(run, demo.ERRORS_BALANCE)
        with self.assertRaisesRegex(Stop, "12 not"):
            demo.balance({**run, "records_out": 0, "records_rejected": 20}, demo.ERRORS_BALANCE)

    def test_a_lost_record_is_seen(self) -> None:
        with self.assertRaisesRegex(Stop, "9999"):
            demo.compare({**RUN, "records_out": demo.ROWS - 1}, MADE)


if __name__ == "__main__":
    unittest.main()
