"""Lists results on S3 without reading them, newest first: keys stand in the order of time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from modelwatch.adapters.aws.objects import S3Objects

RESULT = "/result.json"
"""End of the key of a result."""

_RESTATED = re.compile(r"(.+)/performance-(\d{6})\.json")

_SPANS = [timedelta(days=4**power) for power in range(5)]
"""What is looked through one after the other, from the end on: a day, four days, to 256."""

_CONNECTIONS = 8


class Found(NamedTuple):
    """A result: what its name says of the window, the version's folder, and what it takes.

    ``size_bytes`` with the newest of its restatements, of which there are ``restated``.
    """

    ending: str
    folder: str
    size_bytes: int
    restated: int


def newest_results(
    objects: S3Objects,
    folders: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    most: int,
    before: tuple[str, str] | None = None,
) -> list[Found]:
    """Return the newest results below ``folders``.

    The newest are first, and of the same ending those whose folder comes later. S3 lists only
    forward: what lies back is looked through in spans that grow, until there are enough. So a page
    of results costs a few requests for each folder, however many results there are.

    Parameters
    ----------
    folders
        ``analyses/M/V/`` of each model version.
    since, until
        Only windows that end after the one, and not after the other.
    most
        So many are returned at most.
    before
        Only what comes after this ending and folder, in the order of the list.
    """
    since, until = _utc(since), _utc(until)
    found: list[Found] = []
    end = until
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        for start in _starts(until or datetime.now(UTC), since):
            looked = threads.map(lambda each: list(_within(objects, each, start, end)), folders)  # noqa: B023 - done before the next turn
            found += [
                each
                for entries in looked
                for each in entries
                if before is None or (each.ending, each.folder) < before
            ]
            if len(found) >= most:
                break
            end = start
    return sorted(found, reverse=True)[:most]


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC)


def _starts(end: datetime, since: datetime | None) -> Iterator[datetime | None]:
    """Yield where each span begins; None for the beginning of all times."""
    for span in _SPANS:
        end -= span
        if since is not None and end <= since:
            break
        yield end
    yield since


def _within(
    objects: S3Objects, folder: str, since: datetime | None, until: datetime | None
) -> Iterator[Found]:
    """Yield each result whose window ends after the one, to the other."""
    # "0" comes after "/" and ".", which follow a time; and after "." of the folder of references
    after = f"{folder}0" if since is None else f"{folder}{since:%Y%m%dT%H%M%SZ}0"
    last = "~" if until is None else f"{until:%Y%m%dT%H%M%SZ}"
    newest = ("", 0, 0)
    for key, size in objects.keys(folder, after=after):
        ending = key.removeprefix(folder)
        if ending[: len(last)] > last:
            return
        # the keys of a result stand together, that of the result itself last
        if restated := _RESTATED.fullmatch(ending):
            newest = (restated[1], int(restated[2]), size)
        elif ending.endswith(RESULT):
            ending = ending.removesuffix(RESULT)
            number, more = newest[1:] if newest[0] == ending else (0, 0)
            yield Found(ending, folder, size + more, number)
