"""The programs and the tests are built from the same dependencies."""

import subprocess
import unittest

from local import paths


def dependencies(*edges: str) -> set[str]:
    """Every dependency of the workspace with its features, a line each."""
    kinds = ",".join(edges)
    command = ["cargo", "tree", "--workspace", "--edges", kinds, "--prefix", "none", "--format", "{p} {f}"]
    answer = subprocess.run(command, cwd=paths.ROOT, check=True, capture_output=True, text=True)
    return {line.removesuffix(" (*)") for line in answer.stdout.splitlines()}


class Features(unittest.TestCase):
    def test_the_tests_ask_for_no_feature_that_the_programs_lack(self) -> None:
        apart = dependencies("normal", "build") - dependencies("normal", "build", "dev")
        self.assertFalse(apart, "would be compiled twice: see the first dependencies of tests/Cargo.toml")


if __name__ == "__main__":
    unittest.main()
