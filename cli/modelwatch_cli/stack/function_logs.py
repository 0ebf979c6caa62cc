"""What functions wrote to CloudWatch Logs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from modelwatch.errors import NotFoundError
from modelwatch_cli.settings import Settings

_FOLLOW_SECONDS = 1.0
#: Events may become visible later than their time; this much is read again.
_OVERLAP_MS = 10_000


def read_function_log(
    client: Any, settings: Settings, name: str, lines: int, follow: bool
) -> Iterator[str]:
    """Yield the last ``lines`` lines of an app's functions, oldest first, and then new ones.

    Raises NotFoundError when no function of that name has written anything.

    Parameters
    ----------
    name
        An app, such as ``capture``, whose functions are read together; or one function of it, such
        as ``capture-consume``.
    follow
        Whether to continue for ever.
    """
    prefix = f"/aws/lambda/modelwatch-{settings.stage}-{name}"
    pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
    groups = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    if not groups:
        raise NotFoundError(f"there is no log of a function {name}: no log group {prefix}*")
    since_ms = 0
    seen: dict[str, int] = {}
    first = True
    while True:
        events = sorted(
            (event for group in groups for event in _events(client, group, since_ms)),
            key=lambda event: event["timestamp"],
        )
        new = [event for event in events if event["eventId"] not in seen]
        for event in new[-lines:] if first and lines else new if not first else []:
            moment = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
            yield f"{moment:%Y-%m-%d %H:%M:%S}  {event['message'].rstrip()}"
        if not follow:
            return
        first = False
        seen.update({event["eventId"]: event["timestamp"] for event in new})
        since_ms = max([since_ms, *(seen.values())]) - _OVERLAP_MS
        seen = {key: moment for key, moment in seen.items() if moment >= since_ms}
        time.sleep(_FOLLOW_SECONDS)


def log_events(client: Any, prefix: str, since_ms: int) -> Iterator[tuple[str, str]]:
    """Yield the lines of all log groups below ``prefix``, each after the rest of its group's name.

    Raises botocore's errors.
    """
    pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
    for group in [each["logGroupName"] for page in pages for each in page["logGroups"]]:
        for event in _events(client, group, since_ms):
            yield group.removeprefix(prefix), event["message"].rstrip()


def _events(client: Any, group: str, since_ms: int) -> Iterator[Any]:
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=max(0, since_ms)
    )
    for page in pages:
        yield from page["events"]
