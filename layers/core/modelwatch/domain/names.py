"""Names of models, versions and variants, and ids of events: one definition each of a valid one."""

from __future__ import annotations

from typing import Annotated

import msgspec

# Python's `$` also stands before a line break at the end; a regex of JSON Schema has no `\Z`
NAME_PATTERN = r"^[^/:=\x00-\x1f]+$(?!\n)"
EVENT_ID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$(?!\n)"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=250, pattern=NAME_PATTERN)]
"""A model's or version's name: it is a folder on S3 and part of `model_name=…`."""

EventId = Annotated[str, msgspec.Meta(pattern=EVENT_ID_PATTERN)]
"""A UUID in its canonical form."""

EXPECTED = {
    NAME_PATTERN: "a name without '/', ':', '=', tabs, line breaks and other control characters",
    EVENT_ID_PATTERN: "a UUID, such as 018bcfe5-6800-7000-8000-000000000000",
}
"""What is right, in words, by pattern."""
