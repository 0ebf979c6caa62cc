"""What distinguishes segments where their rows are profiled."""

from __future__ import annotations

from typing import NamedTuple

MOST_SEGMENTS = 20
"""So many values of one column have a segment of their own, and so many segments are declared."""

LONGEST_NAME = 100
"""Characters of an expression that is its own name, and of a value in a name."""

OTHER = "(other)"
"""Stands for the values of a column that have no segment of their own."""


class SegmentKey(NamedTuple):
    """A segment with its declaration: the same name for something else is another segment.

    Attributes
    ----------
    name
        What people call it; empty for all rows.
    column
        The column whose value it is; empty for an expression.
    expression
        The expression; empty for a value.
    """

    name: str = ""
    column: str = ""
    expression: str = ""

    @property
    def is_rest(self) -> bool:
        """Whether it is what is left of a column: other values in every window.

        Examples
        --------
        >>> SegmentKey("colour=(other)", "colour").is_rest
        True
        >>> SegmentKey("colour=red", "colour").is_rest
        False
        """
        return bool(self.column) and self == self.rest

    @property
    def rest(self) -> SegmentKey:
        """What is left of its column."""
        return SegmentKey(f"{self.column}={OTHER}", self.column)


EVERYTHING = SegmentKey()
"""All rows."""
