"""What can be wrong with data.

Data that is wrong raises no exception while Spark runs: what is wrong with a row stands in its column `#fault`, and a
cell that could not be computed is blank. So nothing fails that the plan does not run, whatever Spark runs ahead of it,
and the fault that counts is the first one of the plan.
"""

from __future__ import annotations

from typing import Optional

# In place of a message: the number is beyond Spark's decimals, or only its way there was. Exact arithmetic knows.
NEEDS_EXACT = "\u0001exact"


class FaultError(Exception):
    """Data that is wrong: of which relation, column, and row of an input."""

    def __init__(
        self,
        message: str,
        relation: Optional[int] = None,
        column: Optional[str] = None,
        input: Optional[str] = None,
        object: Optional[int] = None,
        row: Optional[int] = None,
    ) -> None:
        super().__init__(message)
        self.message, self.relation, self.column = message, relation, column
        self.input, self.object, self.row = input, object, row


class LostInputError(FaultError):
    """An object of an input that is not there any more as it was planned with."""

    def __init__(self, message: str, input: str, object: int) -> None:
        super().__init__(message, input=input, object=object)


class ExactArithmeticNeeded(Exception):
    """Somewhere a number went beyond what Spark's decimals hold on the way: all is computed again, exactly."""
