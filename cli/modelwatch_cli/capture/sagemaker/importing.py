"""Imports SageMaker's captured data into the bucket.

Everything is read twice: first to check every line and to learn the columns' types from all
lines, then to store the records. So nothing is stored if a line cannot be read (without
--skip-invalid), and a column has one type for all files.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.records import Record
from modelwatch.errors import InvalidInputError
from modelwatch_cli.capture.places import Place
from modelwatch_cli.capture.rules import RulesOf
from modelwatch_cli.capture.sagemaker.lines import GroundTruth, decode_line, letters
from modelwatch_cli.capture.sagemaker.payloads import Reading
from modelwatch_cli.capture.storing import RecordsOfHour, Stored

SUFFIX = ".jsonl"

_RECORDS_AT_ONCE = 50_000
"""This number of records is in memory before they are stored."""

_KEY = re.compile(r"(?:^|/)([^/]+)/(\d{4}/\d\d/\d\d/\d\d)/[^/]+$")

_KEPT_PROBLEMS = 1_000

_FILES_AHEAD = 8
"""This number of files is read in advance: S3 is slow."""


class Problem(msgspec.Struct, frozen=True):
    """A line that cannot be read."""

    file: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.problem}"


@dataclass(slots=True)
class Checked:
    """The content of a source.

    Attributes
    ----------
    files
        Keys of the files, in order.
    records, labels
        How many they contain; an event that occurs twice counts twice.
    types
        Type of each feature, for lines without types.
    first, last
        Earliest and latest time of a record.
    problem_count, problems
        How many lines cannot be read, and the first of them.
    """

    files: list[str] = field(default_factory=list)
    records: int = 0
    labels: int = 0
    types: dict[str, str] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)


def check(
    source: Place,
    files: list[str],
    reading: Reading,
    now_ms: int,
    file_done: Callable[[], None],
) -> Checked:
    """Read every line of ``files``, and store nothing."""
    checked = Checked(files)
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for file, content in _contents(source, files):
        for number, line in _lines(content):
            try:
                found = decode_line(line, of_file(reading, file), now_ms)
            except InvalidInputError as error:
                checked.problem_count += 1
                if checked.problem_count <= _KEPT_PROBLEMS:
                    checked.problems.append(Problem(file, number, str(error)))
                continue
            for item in found:
                if isinstance(item, GroundTruth):
                    checked.labels += 1
                    continue
                checked.records += 1
                checked.first = min(checked.first or item.captured_at, item.captured_at)
                checked.last = max(checked.last or item.captured_at, item.captured_at)
                for name, letter in letters(item).items():
                    seen[name].add(letter)
        file_done()
    checked.types = {**{name: _joint(kinds) for name, kinds in seen.items()}, **reading.types}
    return checked


def store_records(
    store: S3RecordStore,
    source: Place,
    checked: Checked,
    reading: Reading,
    now_ms: int,
    file_done: Callable[[], None],
    rules_of: RulesOf,
) -> Stored:
    """Store the records of a checked source; stored records do not change.

    Raises StoreError when an object cannot be read or written: import again, and the rest is
    stored.
    """
    done = Stored()
    reading = replace(reading, types=checked.types)
    held: dict[str, Record] = {}
    for file, content in _contents(source, checked.files):
        for given in _found(file, content, reading, now_ms, Record):
            rules = rules_of(given.model_name)
            record = rules.sampled(rules.without_fields(given))
            if record is None:
                done.left_out += 1
                continue
            done.known += record.event_id in held
            held.setdefault(record.event_id, record)
        if len(held) >= _RECORDS_AT_ONCE:
            _store(store, held, done)
            held = {}
        file_done()
    _store(store, held, done)
    return done


def read_ground_truth(
    source: Place, checked: Checked, reading: Reading, now_ms: int
) -> Iterator[tuple[datetime | None, GroundTruth]]:
    """Yield the labels of a checked source, each with the hour in its key."""
    for file, content in _contents(source, checked.files):
        key = _KEY.search(f"/prefix/{file}")
        hour = datetime.strptime(key[2], "%Y/%m/%d/%H").replace(tzinfo=UTC) if key else None
        for item in _found(file, content, reading, now_ms, GroundTruth):
            yield hour, item


def of_file(reading: Reading, file: str) -> Reading:
    """Return how to read the lines of ``file``: its key may have the variant.

    Examples
    --------
    >>> of_file(Reading(), "endpoint/AllTraffic/2026/01/02/03/04-05-006-name.jsonl").variant
    'AllTraffic'
    """
    key = _KEY.search(file)
    return replace(reading, variant=key[1]) if key and not reading.variant else reading


def _contents(source: Place, files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    with ThreadPoolExecutor(_FILES_AHEAD) as threads:
        ahead: deque[tuple[str, Future[bytes]]] = deque()
        for file in files:
            ahead.append((file, threads.submit(source.read, file)))
            if len(ahead) > _FILES_AHEAD:
                first, content = ahead.popleft()
                yield first, content.result()
        for file, content in ahead:
            yield file, content.result()


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _joint(letters_seen: set[str]) -> str:
    """Return the type that holds all values of a column; without values that of numbers."""
    kinds = letters_seen - {""}
    if not kinds:
        return "d"
    return kinds.pop() if len(kinds) == 1 else "s"


def _found[T](
    file: str, content: bytes, reading: Reading, now_ms: int, kind: type[T]
) -> Iterator[T]:
    """Yield what the lines of a file hold of a kind: records, or labels."""
    for _, line in _lines(content):
        try:
            found = decode_line(line, of_file(reading, file), now_ms)
        except InvalidInputError:
            continue  # `check` has reported it
        yield from (item for item in found if isinstance(item, kind))


def _store(store: S3RecordStore, held: dict[str, Record], done: Stored) -> None:
    groups: defaultdict[tuple[str, str, datetime], list[Record]] = defaultdict(list)
    for record in held.values():
        hour = record.captured_at.replace(minute=0, second=0, microsecond=0)
        groups[record.model_name, record.model_version, hour].append(record)
    for place, records in groups.items():
        RecordsOfHour(store, *place).add(records, done)
