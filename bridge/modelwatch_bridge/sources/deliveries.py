"""Follow the objects that Firehose writes of the functions' log lines, and count each event once.

The way to S3 is `templates/cloudformation/metrics.yaml`: subscription filters of the log groups
send their lines to Firehose, which writes an object each minute. Each step repeats what may have
got lost, so an event may come twice, in one object or in two; and it comes late.

How it reads
------------
An object's key begins with the hour at which Firehose got its first record, so keys are nearly in
the order of time. A poll lists from `OVERLAP_HOURS` before the newest object that was read, and
reads what is new: one LIST for each 1000 objects of these hours, and one GET for each object.

An object is read in pieces, and its events are counted as they come. They are identified as those
that are read from the logs themselves: by group, time, stream, id and text. So a bridge may change
from one source to the other, and back.

Why it cannot miscount
----------------------
*Not twice*: an event is counted in the transaction that marks it as seen. The marks of a group are
kept for `MARKED_MS` before the newest event that was read of it; that is the group's position. What
is older than the position is ignored, as `follower.py` does.

*Not never*: an object counts as read in a transaction after that of its last event. A bridge that
is killed between the two reads the object again from its beginning, and the marks tell what of it
is counted. Positions move only after that. They follow what was read and no clock: while nothing
comes, because Firehose or the bridge is down, nothing grows too old.

What is lost: an event that comes more than `MARKED_MS` after a newer one of its group was read, or
in an object that comes `OVERLAP_HOURS` late. An outage of Firehose or S3 does not do that: lines
wait there for up to 24 hours, the new ones behind the old.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.aws.emf import emf_lines
from modelwatch.ports.metrics import Sample
from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.lines.events import Clock, LogEvent
from modelwatch_bridge.lines.interpretation import function_of
from modelwatch_bridge.sources.ports import SourceError
from modelwatch_bridge.sources.subscriptions import Sent, sent

LOG = logging.getLogger(__name__)

PREFIX = "logs/"
"""Of the objects; Firehose adds the hour."""

OVERLAP_HOURS = 2
_HOUR_MS = 3_600_000
MARKED_MS = OVERLAP_HOURS * _HOUR_MS

_HOUR = "%Y/%m/%d/%H"
_KEY = re.compile(rf"{PREFIX}(?P<hour>\d{{4}}/\d\d/\d\d/\d\d)/.+")
_CHUNK_BYTES = 64 * 1024
_BATCH_EVENTS = 10_000
_OBJECTS_A_COMMIT = 100


class _Position(msgspec.Struct):
    """What was read of a bucket.

    Attributes
    ----------
    since_ms
        Events from before are not counted; milliseconds since 1970.
    newest
        Hour of the newest object that was read.
    done
        Marks of the objects that were read, by hour.
    """

    since_ms: int
    newest: str
    done: dict[str, list[str]] = {}


_decode = msgspec.json.Decoder(_Position).decode


def _encode(position: _Position) -> str:
    return msgspec.json.encode(position).decode()


class DeliveryFollower:
    """Brings the events of a bucket's objects into the ledger.

    Parameters
    ----------
    s3
        boto3's client.
    bucket
        Where the objects are.
    is_own
        Whether a log group is one that is followed; lines of others are refused.
    lookback_ms
        How far back the very first reading starts, in milliseconds.
    stopped
        Whether to stop between two objects.
    marked_ms
        How long marks are kept.
    """

    def __init__(
        self,
        s3: Any,
        bucket: str,
        is_own: Callable[[str], bool],
        ledger: Ledger,
        clock: Clock,
        lookback_ms: int,
        stopped: Callable[[], bool] = lambda: False,
        marked_ms: int = MARKED_MS,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._is_own = is_own
        self._ledger = ledger
        self._clock = clock
        self._lookback_ms = lookback_ms
        self._stopped = stopped
        self._marked_ms = marked_ms
        self._source = f"s3:{bucket}"
        self.lag_seconds: float | None = None
        self._forget()

    def _forget(self) -> None:
        """Forget what was read and is not stored: it is read again."""
        self._waiting: dict[str, list[LogEvent]] = {}
        self._waiting_events = 0
        self._newest_ms: dict[str, int] = {}
        self._read: list[str] = []
        self._refused = 0
        self._passed_over = 0

    def poll(self) -> None:
        """Read the objects that are new; see `Reader`.

        Raises
        ------
        SourceError
            When S3 does not respond, or the bucket is not there.
        LedgerError
            When events cannot be stored.
        """
        self._forget()
        self._position = self._recorded()
        done = {mark for marks in self._position.done.values() for mark in marks}
        try:
            for key in self._keys(_first_hour(self._position.newest)):
                if self._stopped():
                    break
                if _mark(key) in done:
                    continue
                if self._hour(key):
                    self._read_object(key)
                else:
                    LOG.warning("%s is no object of Firehose", key)
                    self._refused += 1
                self._read.append(key)
                if len(self._read) == _OBJECTS_A_COMMIT:
                    self._settle()
            self._settle()
        except (BotoCoreError, ClientError) as error:
            # what was read and is not settled is read again: marks know what of it is counted
            raise SourceError(f"the lines in bucket {self._bucket}: {error}") from error

    def _recorded(self) -> _Position:
        recorded = self._ledger.position(self._source)
        if recorded is not None:
            return _decode(recorded)
        since_ms = max(0, self._clock() - self._lookback_ms)
        position = _Position(since_ms, _hour_at(since_ms))
        # recorded at once: a crash must not move it forward
        self._ledger.record(self._source, "", (), position=_encode(position))
        return position

    def _keys(self, first_hour: str) -> Iterator[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=PREFIX, StartAfter=f"{PREFIX}{first_hour}"
        )
        for page in pages:
            for found in page.get("Contents", ()):
                yield found["Key"]

    def _hour(self, key: str) -> str:
        """Return the hour in a key; empty if there is none, or it is to come."""
        found = _KEY.fullmatch(key)
        if found is None or found["hour"] > _hour_at(self._clock() + _HOUR_MS):
            return ""
        try:
            _first_hour(found["hour"])
        except ValueError:
            return ""
        return found["hour"]

    def _read_object(self, key: str) -> None:
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return  # S3 deleted it, as its lifecycle says
            raise
        refused = self._refused
        for member in sent(iter(lambda: body.read(_CHUNK_BYTES), b"")):
            if member is None:
                self._refused += 1
            elif member.message_type == "DATA_MESSAGE":
                self._take(member)
            elif member.message_type != "CONTROL_MESSAGE":
                self._refused += 1
        if self._refused > refused:
            LOG.warning("%s: %d parts cannot be used", key, self._refused - refused)

    def _take(self, member: Sent) -> None:
        group = member.log_group
        if not self._is_own(group):
            self._refused += 1
            return
        start_ms = self._start_ms(group)
        events = [
            LogEvent(event.timestamp, member.log_stream, event.id, event.message)
            for event in member.log_events
            if event.timestamp >= start_ms
        ]
        self._passed_over += len(member.log_events) - len(events)
        if events:
            self._waiting.setdefault(group, []).extend(events)
            self._waiting_events += len(events)
        if self._waiting_events >= _BATCH_EVENTS:
            self._count()

    def _start_ms(self, group: str) -> int:
        recorded = self._ledger.position(group)
        if recorded is None:
            recorded = str(self._position.since_ms)
            self._ledger.record(group, "", (), position=recorded)
        return int(recorded)

    def _count(self) -> None:
        now_ms = self._clock()
        for group, events in self._waiting.items():
            newest_ms = min(now_ms, max(event.at_ms for event in events))
            if self._ledger.record(group, function_of(group), events):
                self.lag_seconds = (now_ms - newest_ms) / 1000
            self._newest_ms[group] = max(newest_ms, self._newest_ms.get(group, 0))
        self._waiting = {}
        self._waiting_events = 0

    def _settle(self) -> None:
        """Count what waits, say what was read, and only then move the groups' positions."""
        self._count()
        if self._read:
            self._note_objects()
        for group, newest_ms in self._newest_ms.items():
            to_ms = newest_ms - self._marked_ms
            if to_ms > self._start_ms(group):
                self._ledger.record(group, "", (), position=str(to_ms))
                self._ledger.forget_events(group, to_ms)
        if self._passed_over:
            LOG.info("%d events were older than what is counted", self._passed_over)
        self._forget()

    def _note_objects(self) -> None:
        done = {hour: set(marks) for hour, marks in self._position.done.items()}
        for key in self._read:
            done.setdefault(self._hour(key), set()).add(_mark(key))
        newest = max(self._position.newest, *done)
        kept = {
            hour: sorted(marks)
            for hour, marks in done.items()
            # what is no object of Firehose may be listed for ever, and is refused once
            if hour >= _first_hour(newest) or not hour
        }
        self._position = _Position(self._position.since_ms, newest, kept)
        events = []
        if self._refused:
            now_ms = self._clock()
            (line,) = emf_lines([Sample("bridge_parse_errors_total", self._refused, {})], now_ms)
            events = [LogEvent(now_ms, self._source, str(now_ms), line)]
        self._ledger.record(
            self._source, "", events, position=_encode(self._position), repeatable=False
        )


def _hour_at(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):{_HOUR}}"


def _first_hour(newest: str) -> str:
    at = datetime.strptime(newest, _HOUR).replace(tzinfo=UTC)
    return f"{at - timedelta(hours=OVERLAP_HOURS):{_HOUR}}"


def _mark(key: str) -> str:
    return blake2b(key.encode(), digest_size=8).hexdigest()
