"""Expressions over columns, such as ``alcohol > 13 and colour == "red"``: parsed, never executed.

The grammar is a small part of Python's: comparisons (also chained), ``in``, ``is None``, ``and``,
``or``, ``not``, numbers, strings, ``True`` and ``False``. A column whose name is no Python name
stands between backticks. Logic is that of SQL: what is compared with a missing value is neither
true nor false, and only rows for which the whole is true belong.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwatch.domain.segments.columns import Bools, Column, Truth
from modelwatch.errors import InvalidInputError

LONGEST = 1000
"""Characters of the longest expression."""

_TOKEN = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|`([^`]*)`""")
_STAND_IN = "_modelwatch_column_{}"

_ORDER: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_GRAMMAR = (
    "expected comparisons of columns with numbers and strings, joined by and, or, not; "
    "a column's name that is not plain stands between `backticks`"
)

Literal = float | str | bool


class Expression:
    """A condition on rows.

    Raises InvalidInputError when it is no such condition; says which part is not.

    Parameters
    ----------
    field
        What an error names as its place.

    Attributes
    ----------
    text
        What it says.
    columns
        The columns that it is about.

    Examples
    --------
    >>> strong = Expression('alcohol > 13 and colour != "rosé"')
    >>> alcohol = np.array([13.5, 12.0, np.nan, 14.0])
    >>> colour = np.array(["red", "red", "red", None], dtype=object)
    >>> strong.rows({"alcohol": alcohol, "colour": colour}, 4).tolist()
    [True, False, False, False]
    """

    def __init__(self, text: str, field: str = "") -> None:
        if len(text) > LONGEST:
            raise InvalidInputError(field, f"is longer than {LONGEST} characters")
        self.text = text.strip()
        self._field = field
        self._names: dict[str, str] = {}
        try:
            with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
                parsed = ast.parse(_TOKEN.sub(self._stand_in, self.text), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self._error(self.text, getattr(error, "msg", "it cannot be read")) from None
        self._columns: set[str] = set()
        try:
            self._check(parsed)
        except RecursionError:
            raise self._error(self.text, "is nested too deeply") from None
        self._tree = parsed
        self.columns = frozenset(self._columns)

    def rows(self, columns: Mapping[str, NDArray[Any]], rows: int) -> Bools:
        """Return for each of ``rows`` rows whether the condition is true.

        Parameters
        ----------
        columns
            Arrays of numbers (NaN: missing), booleans, or objects (None: missing) by name. A
            column that is not there is missing in every row.
        """
        with np.errstate(invalid="ignore"):
            named = {
                name: Column.of(columns[name]) if name in columns else Column.missing(rows)
                for name in self.columns
            }
            return self._truth(self._tree, named, rows).true

    def _stand_in(self, found: re.Match[str]) -> str:
        if found[2] is None:
            return found[1]
        if not found[2]:
            raise InvalidInputError(self._field, "has no column's name between its backticks")
        stand_in = _STAND_IN.format(len(self._names))
        self._names[stand_in] = found[2]
        return stand_in

    def _error(self, part: str, problem: str) -> InvalidInputError:
        for stand_in, name in self._names.items():
            part = part.replace(stand_in, f"`{name}`")
        return InvalidInputError(self._field, f"'{part[:80]}': {problem}; {_GRAMMAR}")

    # --- what is allowed

    def _check(self, node: ast.expr) -> None:
        """Refuse everything but conditions, and note the columns."""
        match node:
            case ast.BoolOp(values=values):
                for value in values:
                    self._check(value)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._check(operand)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [left, *comparators]
                for index, op in enumerate(ops):
                    self._check_comparison(node, sides[index], op, sides[index + 1])
            case ast.Name():
                self._columns.add(self._name(node))
            case ast.Constant(value=bool()):
                pass
            case _:
                raise self._error(ast.unparse(node), "is no condition")

    def _check_comparison(
        self, node: ast.expr, left: ast.expr, op: ast.cmpop, right: ast.expr
    ) -> None:
        sides = [left, right]
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List | ast.Set):
                raise self._error(ast.unparse(node), "'in' needs a list in brackets")
            sides = [left]
            for each in right.elts:
                self._literal(each)
        elif isinstance(op, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise self._error(ast.unparse(node), "'is' is for None alone")
            sides = [left]
        names = [side for side in sides if isinstance(side, ast.Name)]
        for side in sides:
            if not isinstance(side, ast.Name):
                self._literal(side)
        if not names:
            raise self._error(ast.unparse(node), "compares no column")
        self._columns.update(self._name(each) for each in names)

    def _literal(self, node: ast.expr) -> Literal:
        match node:
            case ast.Constant(value=bool() | str() as value):
                return value
            case ast.Constant(value=int() | float() as number):
                return self._finite(number)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -self._finite(number)
            case ast.Constant(value=None):
                raise self._error("None", "compare with 'is None'")
        raise self._error(ast.unparse(node), "is no column, number or string")

    def _finite(self, number: float) -> float:
        try:
            finite = float(number)
        except OverflowError:
            finite = math.inf
        if math.isinf(finite):
            raise self._error(f"{number}", "is larger than any number of a column")
        return finite

    def _name(self, node: ast.Name) -> str:
        if node.id in self._names:
            return self._names[node.id]
        if node.id not in self.text:
            # Python's parser takes letters such as the ligature fi for others
            raise self._error(node.id, "is not what stands there: put it between backticks")
        return node.id

    # --- what it is for rows

    def _truth(self, node: ast.expr, columns: Mapping[str, Column], rows: int) -> Truth:
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = [self._truth(value, columns, rows) for value in values]
                join = _either if isinstance(op, ast.Or) else _both
                truth = parts[0]
                for part in parts[1:]:
                    truth = join(truth, part)
                return truth
            case ast.UnaryOp(operand=operand):
                return _negated(self._truth(operand, columns, rows))
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [left, *comparators]
                truth = self._compared(sides[0], ops[0], sides[1], columns, rows)
                for index in range(1, len(ops)):
                    following = self._compared(
                        sides[index], ops[index], sides[index + 1], columns, rows
                    )
                    truth = _both(truth, following)
                return truth
            case ast.Name():
                return columns[self._name(node)].equals(True)
            case _:
                value = isinstance(node, ast.Constant) and node.value is True
                return Truth(np.full(rows, value), np.ones(rows, np.bool_))

    def _compared(
        self,
        left: ast.expr,
        op: ast.cmpop,
        right: ast.expr,
        columns: Mapping[str, Column],
        rows: int,
    ) -> Truth:
        column = self._side(left, columns, rows)
        match op:
            case ast.Is() | ast.IsNot():
                truth = Truth(~column.known, np.ones(rows, np.bool_))
                return _negated(truth) if isinstance(op, ast.IsNot) else truth
            case ast.In() | ast.NotIn():
                assert isinstance(right, ast.Tuple | ast.List | ast.Set)
                truth = Truth(np.zeros(rows, np.bool_), column.known)
                for each in right.elts:
                    truth = _either(truth, column.equals(self._literal(each)))
                return _negated(truth) if isinstance(op, ast.NotIn) else truth
        other = self._side(right, columns, rows)
        if isinstance(op, ast.Eq | ast.NotEq):
            truth = column.equals_column(other)
            return _negated(truth) if isinstance(op, ast.NotEq) else truth
        return column.ordered(other, _ORDER[type(op)])

    def _side(self, node: ast.expr, columns: Mapping[str, Column], rows: int) -> Column:
        if isinstance(node, ast.Name):
            return columns[self._name(node)]
        return Column.constant(self._literal(node), rows)


def _both(one: Truth, other: Truth) -> Truth:
    true = one.true & other.true
    false = (one.known & ~one.true) | (other.known & ~other.true)
    return Truth(true, true | false)


def _either(one: Truth, other: Truth) -> Truth:
    true = one.true | other.true
    return Truth(true, true | (one.known & other.known))


def _negated(truth: Truth) -> Truth:
    return Truth(truth.known & ~truth.true, truth.known)
