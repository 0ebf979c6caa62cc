"""What a run of the schedule found due, as a message of a queue."""

from __future__ import annotations

from datetime import datetime

import msgspec

from modelwatch.domain.names import Name


class DueAnalysis(msgspec.Struct, frozen=True):
    """A length of window, such as ``PT1H``, that is due for a model version.

    Not which windows: whoever evaluates it finds out what is still to be done.

    Attributes
    ----------
    planned
        Time for which the run was planned that found it due.
    """

    model_name: Name
    model_version: Name
    window: str
    planned: datetime


encode_due = msgspec.json.Encoder().encode
decode_due = msgspec.json.Decoder(DueAnalysis).decode
