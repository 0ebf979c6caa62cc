"""How names and hours are written in S3 keys, and how they are read back: one rule for all keys.

A character of a name that a key does not hold is written as ``%XX``, as Hive and URLs have it.
Which characters those are differs with the place, and must not change: objects are found by it.
`unescape` reads every form.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote, unquote

HIVE = " -._()+,"
"""What stands as it is in ``model_name=…/model_version=…/`` and in the keys of baselines."""

RESULTS = " -._"
"""What stands as it is in the keys of results."""

PLANS = "-._"
"""What stands as it is in the keys of serving plans."""

_VERSION = re.compile(r"(?:^|/)model_name=([^/]+)/model_version=([^/]+)/")
_HOUR = re.compile(r"(?:^|/)date=(\d{4}-\d\d-\d\d)/hour=(\d\d)(?=[/.])")


def escape(name: str, safe: str = HIVE) -> str:
    """Return ``name`` as a key holds it; letters, digits and ``safe`` stay as they are."""
    return quote(name, safe=safe)


def dotless(name: str) -> str:
    """Return ``name`` without a dot, as a part of a result's name."""
    return name.replace("%", "%25").replace(".", "%2E")


def unescape(part: str) -> str:
    """Return the name that `escape` or `dotless` was given."""
    return unquote(part)


def model_folder(model_name: str) -> str:
    """Return ``model_name=M/``."""
    return f"model_name={escape(model_name)}/"


def version_folder(model_name: str, model_version: str) -> str:
    """Return ``model_name=M/model_version=V/``, the inverse of `parse_version`."""
    return f"{model_folder(model_name)}model_version={escape(model_version)}/"


def parse_version(key: str) -> tuple[str, str] | None:
    """Return the model's name and version in a key; None where there is none.

    Examples
    --------
    >>> parse_version("captures/" + version_folder("a/b", "1.5 (new)") + "date=2026-03-01/")
    ('a/b', '1.5 (new)')
    """
    found = _VERSION.search(key)
    return (unescape(found[1]), unescape(found[2])) if found else None


def hour_place(hour: datetime) -> str:
    """Return ``date=YYYY-MM-DD/hour=HH``, the inverse of `parse_hour`."""
    return f"date={hour:%Y-%m-%d}/hour={hour:%H}"


def parse_hour(key: str) -> datetime | None:
    """Return the hour in a key, in UTC; None where there is none.

    Examples
    --------
    >>> parse_hour("labels/date=2026-03-01/hour=12/1-2-ab.parquet")
    datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.timezone.utc)
    """
    found = _HOUR.search(key)
    if found is None:
        return None
    return datetime.strptime(f"{found[1]} {found[2]}", "%Y-%m-%d %H").replace(tzinfo=UTC)
