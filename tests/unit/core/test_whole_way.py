"""The whole way of a record: no profile and no verdict depends on how records were batched.

Decode, Parquet, profile, merge and evaluate, with random schemas and records: in batches of any
grouping, and after compaction, the same as in one pass over all records.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture_stage import capture_service
from examples import examples
from in_memory import InMemoryDeadLetters
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.names import FEATURE_PATTERN
from modelwatch.domain.profiles import Profile, merge_profiles
from modelwatch.domain.verdict.columns import distributions
from modelwatch.domain.verdict.features import evaluate_columns
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.domain.windows import Window
from modelwatch.services.deliveries import Message

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = Window(NOON, NOON + timedelta(hours=1))
LEVEL = 0.01
NO_ERASURES = np.empty(0, np.uint64)

RESERVED = ["prediction", "event_id", "captured_at", "variant", "source", "types", "latency_ms"]
names = st.sampled_from([*RESERVED, "alcohol", "a.b", "été", "日本", "🍷", "a b", "é "]) | st.text(
    max_size=6
).filter(re.compile(FEATURE_PATTERN).match)
real = st.floats(allow_nan=False, allow_infinity=False, width=64)
edges = st.sampled_from([5e-324, -5e-324, 1.5e308, -1.5e308, 1e154, 0.0, -0.0, 0.1, 1e-300])
whole = st.integers(-(2**53), 2**53)
KINDS = {
    "numbers": real | edges,
    "whole": whole,
    "texts": st.text(max_size=6) | st.sampled_from(["True", "1.0", "NaN", "null", ""]),
    "labels": st.booleans(),
    "mixed": real | whole | st.text(max_size=4) | st.booleans(),
    "missing": st.none(),
}


@st.composite
def bodies(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw records of one hour as JSON bodies, of a random schema with some values missing."""
    columns = draw(st.dictionaries(names, st.sampled_from(list(KINDS)), min_size=1, max_size=5))
    count = draw(st.integers(1, 12))
    made = []
    for index in range(count):
        features = {
            name: draw(st.none() | KINDS[kind])
            for name, kind in columns.items()
            if draw(st.integers(0, 9))
        }
        time = NOON + timedelta(milliseconds=draw(st.integers(0, 3_599_999)))
        made.append(
            {
                "event_id": f"018bcfe5-6800-7000-8000-{index:012d}",
                "captured_at": time.isoformat(),
                "model_name": "wine",
                "model_version": "1",
                "variant": draw(st.sampled_from(["", "production", "shadow"])),
                "features": features or {"only": 1},
                "prediction": draw(real | whole | st.text(max_size=4) | st.booleans()),
            }
        )
    return made


class Way:
    """A bucket in memory, what writes to it, and what reads from it."""

    def __init__(self) -> None:
        self.s3 = InMemoryS3()
        self.dead_letters = InMemoryDeadLetters()
        self.capture = capture_service(
            (NOON + timedelta(hours=2)).timestamp,
            store=S3RecordStore(self.s3, "captures"),
            dead_letters=self.dead_letters,
        )

    def send(self, groups: Sequence[Sequence[dict[str, Any]]]) -> None:
        """Deliver each group alone, as one message."""
        for number, group in enumerate(groups):
            message = Message(f"m{number}", msgspec.json.encode(group).decode())
            assert self.capture.store_messages([message]) == []
        assert self.dead_letters.letters == {}

    def compact(self) -> None:
        """Merge the objects of the hour."""
        compaction = S3Compaction(self.s3, "captures")
        for hour in compaction.hours():
            compaction.merge(hour, NO_ERASURES)

    def profile(self) -> Profile:
        """Return the profile of the hour, of all variants."""
        found = S3ProfileStore(self.s3, "captures").profiles("wine", "1", HOUR)
        return merge_profiles([found.variants[variant] for variant in sorted(found.variants)])


def facts(profile: Profile) -> dict[str, Any]:
    """Return all that a profile says, by column, in a form that can be compared."""
    columns = {**profile.features, **{f"output {k}": v for k, v in profile.outputs.items()}}
    said: dict[str, Any] = {
        "rows": profile.rows,
        "first": profile.first_ms,
        "last": profile.last_ms,
    }
    for name, column in columns.items():
        values, weights = column.sketch.weighted()
        said[name] = {
            "rows": column.rows,
            "nulls": column.nulls,
            "counts": dict(column.counts),
            "values": sorted(zip(values.tolist(), weights.tolist(), strict=True)),
        }
    return said


def verdict(profile: Profile, reference: Profile) -> Any:
    """Return the verdict on each feature."""
    found = evaluate_columns(
        distributions(reference.features),
        distributions(profile.features),
        DriftPolicy(min_values=2),
        LEVEL,
    )
    return msgspec.to_builtins(found)


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.too_slow])
@given(sent=bodies(), data=st.data())
def test_no_grouping_and_no_compaction_changes_a_profile_or_a_verdict(sent, data) -> None:
    whole_way = Way()
    whole_way.send([sent])
    at_once = whole_way.profile()

    order = data.draw(st.permutations(sent))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(sent) - 1)), max_size=4)))
    bounds = [0, *[cut for cut in cuts if cut < len(sent)], len(sent)]
    grouped = Way()
    grouped.send([order[a:b] for a, b in pairwise(bounds)])
    in_groups = grouped.profile()
    assert facts(in_groups) == facts(at_once)

    reference = Way()
    reference.send([sent[: max(1, len(sent) // 2)]])
    expected = verdict(at_once, reference.profile())
    assert verdict(in_groups, reference.profile()) == expected

    grouped.compact()
    merged = grouped.profile()
    assert facts(merged) == facts(at_once)
    assert verdict(merged, reference.profile()) == expected
