"""Which column of a table is what: from options, from the monitor's file, or by its own name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, tzinfo
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from modelwatch.errors import InvalidInputError

TimeUnit = Literal["", "s", "ms", "us", "ns"]

UNITS: Mapping[str, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Parts of a second, by the unit of numbers that are times."""

_Text = Annotated[str, msgspec.Meta(max_length=250)]
_Names = Annotated[tuple[_Text, ...], msgspec.Meta(max_length=10_000)]


class TableMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[table]`` of a monitor's file; what is empty is not said.

    Attributes
    ----------
    version
        The model version that made the predictions.
    prediction, timestamp, label, id
        Names of these columns.
    timestamp_unit
        Of times that are numbers, since 1970.
    time_zone
        Of times without a zone, such as ``Europe/Berlin``.
    probabilities
        Columns of the probabilities, in the order of the model's classes.
    features, ignore
        Columns of the features, and those that are not imported. Without ``features`` these are all
        that nothing else names.
    """

    version: _Text = ""
    prediction: _Text = ""
    timestamp: _Text = ""
    timestamp_unit: TimeUnit = ""
    time_zone: _Text = ""
    label: _Text = ""
    id: _Text = ""
    probabilities: _Names = ()
    features: _Names = ()
    ignore: _Names = ()

    def over(self, other: TableMapping) -> TableMapping:
        """Return what is said here, and what ``other`` says of the rest.

        >>> TableMapping(label="a").over(TableMapping(label="b", id="c")).id
        'c'
        """
        own = {name: value for name, value in msgspec.structs.asdict(self).items() if value}
        return msgspec.structs.replace(other, **own)

    def by_names(self, columns: tuple[str, ...]) -> TableMapping:
        """Return it with columns that are named as what they are: prediction, timestamp, and so on.

        >>> TableMapping(timestamp="at").by_names(("at", "timestamp", "label")).label
        'label'
        """
        used = {self.prediction, self.timestamp, self.label, self.id}
        used.update(self.features, self.ignore, self.probabilities)
        found = {
            name: name
            for name in ("prediction", "timestamp", "label", "id")
            if name in columns and name not in used and not getattr(self, name)
        }
        return msgspec.structs.replace(self, **found)

    @property
    def zone(self) -> tzinfo:
        """The zone of times without one; raises InvalidInputError when no one knows it."""
        return zone_of(self.time_zone)


def zone_of(name: str) -> tzinfo:
    """Return the time zone of a name; UTC of an empty one.

    Raises InvalidInputError when there is none.
    """
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"'{name:.60}' is no time zone; one is Europe/Berlin"
        raise InvalidInputError("--time-zone", problem) from None


def mapping_problems(value: Any) -> Iterator[tuple[str, str]]:
    """Yield each part of a monitor's ``[table]`` that is wrong, and what is wrong with it."""
    for name, given in value.items():
        try:
            msgspec.convert({name: given}, TableMapping)
            if name == "time_zone":
                zone_of(given)
        except msgspec.ValidationError as error:
            if name in TableMapping.__struct_fields__:
                yield f"table.{name}", str(error).partition(" - at ")[0].lower()
            else:
                known = ", ".join(TableMapping.__struct_fields__)
                yield f"table.{name[:60]}", f"is no part of a table; there are {known}"
        except InvalidInputError as error:
            yield f"table.{name}", error.problem
