"""What a stranger, or a broken disk, left in a store: an error of the store, whatever it is."""

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.parquet import decompress
from modelwatch.adapters.models.serving_plan_cache import PREFIX as PLANS
from modelwatch.adapters.models.serving_plan_cache import StoredServingPlanCache
from modelwatch.adapters.results.capture_monitors import S3CaptureMonitors
from modelwatch.domain.episodes.record import decode_record
from modelwatch.domain.monitors import decode_monitors
from modelwatch.domain.past.history import decode_past
from modelwatch.domain.performance.encoding import decode_hour
from modelwatch.domain.performance.losses import decode_loss_model
from modelwatch.domain.profiles.encoding import decode_profile
from modelwatch.domain.routing import read_routing
from modelwatch.domain.verdict.evidence import decode_manifest, decode_window
from modelwatch.errors import ModelwatchError, NoModelError

DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
DAMAGED = {
    "another type": b"[]",
    "null": b"null",
    "not UTF-8": b'{"monitors": {"a": "\xff\xfe"}, "weights": {"\xff": 1}}',
    "a size that no memory has": (2**60).to_bytes(8, "little") + b"x",
    "a size that no number has": b"\xff" * 9,
    "nested deeply": DEEP,
    "nested deeply and compressed": zlib.compress(DEEP),
    "compressed halfway": zlib.compress(DEEP)[:50],
}


def recalled(payload: bytes) -> None:
    s3 = InMemoryS3()
    cache = StoredServingPlanCache(s3, "reports", Path("/nowhere"), "m")
    s3.objects[f"{PLANS}wine.{cache._source}.json"] = payload
    assert cache.recall("wine") is None
    raise NoModelError("there is no plan")


def captured(payload: bytes) -> None:
    s3 = InMemoryS3()
    s3.objects["monitors/000001.json"] = payload
    S3CaptureMonitors(s3, "reports").of("a")


READERS: dict[str, Callable[[bytes], object]] = {
    "profile": decode_profile,
    "hour of performance": decode_hour,
    "what errors depend on": decode_loss_model,
    "past": decode_past,
    "episodes": decode_record,
    "manifest of a result": decode_manifest,
    "window of a result": decode_window,
    "notes of an object": decompress,
    "monitors": decode_monitors,
    "what monitors say of capture": captured,
    "remembered plan": recalled,
    "routing": lambda payload: read_routing("wine", payload.decode("latin1")),
}


@pytest.mark.parametrize("what", DAMAGED)
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_object_is_an_error_of_the_store(reader, what):
    with pytest.raises(ModelwatchError):
        READERS[reader](DAMAGED[what])
