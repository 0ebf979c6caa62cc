"""What functions wrote to CloudWatch Logs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from modelwatch.errors import NotFoundError
from modelwatch_cli.settings import Settings

_FOLLOW_SECONDS = 1.0
#: Events may become visible later than their time; this much is read again.
_OVERLAP_MS = 10_000
#: So far back are the last lines searched, a step at a time: on AWS a log may be of years.
_LOOK_BACK_MS = (900_000, 21_600_000, 604_800_000)

_json = msgspec.json.Decoder().decode


def read_function_log(
    client: Any, settings: Settings, name: str, lines: int, follow: bool
) -> Iterator[str]:
    """Yield the last ``lines`` lines of an app's functions, oldest first, and then new ones.

    Raises NotFoundError when no function of that name has written anything. Lines are as
    `for_people` makes them.

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
        raise NotFoundError(
            f"no function {name} has written anything in stage {settings.stage}: "
            f"there is no log group {prefix}*"
        )
    now_ms = time.time_ns() // 1_000_000
    new: list[Any] = []
    for back_ms in (*_LOOK_BACK_MS, now_ms):
        since_ms = now_ms - back_ms
        new = _sorted_events(client, groups, since_ms)
        found = [line for event in new if (line := _line(event))]
        if len(found) >= lines:
            break
    yield from found[len(found) - min(lines, len(found)) :]
    seen: dict[str, int] = {}
    while follow:
        seen.update({event["eventId"]: event["timestamp"] for event in new})
        since_ms = max([since_ms, *(seen.values())]) - _OVERLAP_MS
        seen = {key: moment for key, moment in seen.items() if moment >= since_ms}
        time.sleep(_FOLLOW_SECONDS)
        events = _sorted_events(client, groups, since_ms)
        new = [event for event in events if event["eventId"] not in seen]
        yield from (line for event in new if (line := _line(event)))


def for_people(message: str) -> str:
    """Return a line of a function's log as a person reads it; empty where it says nothing.

    Metrics are their names and values behind what they are of. A line of Lambda's logger keeps its
    level and text.

    Examples
    --------
    >>> for_people('{"_aws":{"CloudWatchMetrics":[],"BridgeMetrics":["n"]},"model_name":"m","n":2}')
    'metrics of model_name=m: n=2'
    >>> for_people("[INFO]\\t2026-03-01T09:00:00.000Z\\t17-af\\tstored 3 records")
    '[INFO] stored 3 records'
    >>> for_people("START RequestId: 17-af Version: $LATEST")
    ''
    """
    text = message.rstrip()
    if text.startswith(("START RequestId: ", "END RequestId: ")):
        return ""
    if text.startswith("["):
        return " ".join(part for index, part in enumerate(text.split("\t", 3)) if index in (0, 3))
    return _metrics(text) if text.startswith('{"_aws"') else text


def _metrics(text: str) -> str:
    """Return a line of metrics in words; as it came, where it is none."""
    try:
        values = _json(text)
        about = values.pop("_aws")
        names = [
            metric["Name"]
            for directive in about.get("CloudWatchMetrics", ())
            for metric in directive["Metrics"]
        ]
        names += about.get("BridgeMetrics", ())
        said = [f"{name}={values.pop(name)}" for name in dict.fromkeys(names)]
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
        return text
    of = " ".join(f"{name}={value}" for name, value in values.items())
    return f"metrics{' of ' if of else ''}{of}: {' '.join(said)}"


def _line(event: Any) -> str:
    text = for_people(event["message"])
    moment = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}  {text}" if text else ""


def _sorted_events(client: Any, groups: list[str], since_ms: int) -> list[Any]:
    events = [event for group in groups for event in _events(client, group, since_ms)]
    return sorted(events, key=lambda event: event["timestamp"])


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
