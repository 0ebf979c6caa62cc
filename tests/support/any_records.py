"""Records of every kind that capture takes, for property tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from modelwatch.domain.records import Record

FIRST_MS, LAST_MS = 1_700_000_000_000, 1_800_000_000_000

numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | st.booleans() | numbers | st.text()


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Draw a record of one of two versions of a model."""
    features = draw(st.dictionaries(st.text(), values, max_size=5))
    milliseconds = draw(st.integers(FIRST_MS, LAST_MS))
    prediction = draw(values)
    errors = ["", "the prediction is NaN"] if prediction is None else [""]
    return Record(
        event_id=str(draw(st.uuids())),
        captured_at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds),
        model_name="wine",
        model_version=draw(st.sampled_from(["1", "2"])),
        features=features,
        prediction=prediction,
        variant=draw(st.text(max_size=5)),
        probabilities=draw(st.none() | st.lists(st.floats(0, 1), max_size=3)),
        latency_ms=draw(st.floats(0, 1e6)),
        source=draw(st.text(max_size=5)),
        types=draw(st.just("") | st.just("".join(map(letter, features.values())))),
        sample_rate=draw(st.floats(0.001, 1)),
        error=draw(st.sampled_from(errors)),
    )


def letter(value: object) -> str:
    if isinstance(value, bool):
        return "b"
    return {int: "l", float: "d", str: "s", type(None): "s"}[type(value)]
