"""Labels in the cells of CSV, which has no types."""

from __future__ import annotations

from modelwatch.domain.labels import as_text
from modelwatch.errors import InvalidInputError
from modelwatch_cli.capture.cells import is_no_number, value_of
from modelwatch_cli.capture.tables.columns import refuse_decimal_comma


def label_of_cell(text: str) -> tuple[bool | int | float | str, str | None]:
    """Return the label that a cell holds, by its looks, and `Label.cell`.

    Raises InvalidInputError when it looks like a number and is none, or has a decimal comma: as a
    text it would differ from every prediction that is a number.

    Examples
    --------
    >>> [label_of_cell(text) for text in ("2", "-0.5", "red", "NA")]
    [(2, None), (-0.5, None), ('red', None), ('NA', None)]
    >>> [label_of_cell(text) for text in ("TRUE", "007", "1e5")]
    [(True, 'TRUE'), (7, '007'), (100000.0, '1e5')]
    """
    if is_no_number(text):
        problem = f"'{text[:40]}' is not a finite number of 64 bits"
        raise InvalidInputError("label", problem)
    refuse_decimal_comma(text, "label")
    value = value_of(text)
    if value is None or isinstance(value, str):
        return str(text), None
    return value, None if as_text(value) == text else str(text)
