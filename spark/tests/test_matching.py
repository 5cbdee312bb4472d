"""Pairs: what is looked at nearby is what would be found anywhere."""

from __future__ import annotations

import random
import unittest

from tieout_spark.matching import Member, Tolerance, anywhere, nearby


class Matching(unittest.TestCase):
    """Candidates of a group."""

    def test_looking_nearby_finds_what_looking_everywhere_does(self) -> None:
        """Small amounts of either sign, some of them blank."""
        chance = random.Random(7)
        amounts = [None, *range(-40, 41)]
        for _ in range(5_000):
            base = chance.choice([None, "left", "right", "larger", "smaller"])
            most = chance.randrange(30) if base is None else chance.randrange(1_000)
            tolerance = Tolerance(most, 1 if base is None else 1_000, base)
            self.assertTrue(tolerance.is_near_only)
            left, right = (
                [Member(rank, chance.choice(amounts)) for rank in range(chance.randrange(9))] for _ in range(2)
            )
            found = sorted(nearby(left, right, tolerance))
            self.assertEqual(found, sorted(anywhere(left, right, tolerance)), (tolerance, left, right))

    def test_from_a_hundred_percent_of_the_other_on_what_is_far_can_be_near(self) -> None:
        """10 is not within 150 % of -10, but of -40."""
        tolerance = Tolerance(150, 100, "right")
        self.assertFalse(tolerance.is_near_only)
        found = list(anywhere([Member(1, 10)], [Member(1, -10), Member(2, -40)], tolerance))
        self.assertEqual(found, [(50, 0, 1)])
