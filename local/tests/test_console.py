"""What a person sees of a step."""

import io
import unittest
from contextlib import redirect_stdout
from unittest.mock import patch

from local import services, stack
from local.console import step


class StepTest(unittest.TestCase):
    def test_a_long_step_is_told_when_it_begins(self) -> None:
        with redirect_stdout(io.StringIO()) as told, step("build", "minutes"):
            self.assertEqual(told.getvalue(), "build: minutes …\n")
        self.assertRegex(told.getvalue(), r"\nbuild: done \(\d+\.\d s\)\n$")

    def test_a_short_step_is_told_once(self) -> None:
        with redirect_stdout(io.StringIO()) as told, step("pack"):
            self.assertEqual(told.getvalue(), "")
        self.assertEqual(told.getvalue().count("\n"), 1)


class DownTest(unittest.TestCase):
    def told(self, ran: bool) -> str:
        with (
            patch.object(services, "terminate", return_value=ran),
            patch.object(stack, "alone"),
            redirect_stdout(io.StringIO()) as told,
        ):
            stack.down()
        return told.getvalue()

    def test_what_is_lost_is_told(self) -> None:
        self.assertIn("feeds, reference rows, runs and files", self.told(True))

    def test_nothing_is_lost_where_nothing_ran(self) -> None:
        self.assertEqual(self.told(False), "emulator: did not run\nvalkey: did not run\n")


if __name__ == "__main__":
    unittest.main()
