"""What separates the values of a CSV file."""

import csv

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""The separators of a CSV file, in words."""


def delimiter_of(header: str) -> str:
    r"""Return the one of `DELIMITERS` that makes most columns of the line ``header``.

    Examples
    --------
    >>> [delimiter_of(line) for line in ("a,b", "a;b;'c,d'", "a\tb", "a|b", "a")]
    [',', ';', '\t', '|', ',']
    """
    # max returns the first of several equal ones
    return max(DELIMITERS, key=lambda each: len(next(csv.reader([header], delimiter=each), [])))
