"""The rollbacks of a model: ``rollbacks/<model>.json`` in the bucket of results."""

from __future__ import annotations

from datetime import datetime

import msgspec

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.keys import escape
from modelwatch.errors import NotFoundError, StoreError

FORMAT = 1
"""Version of how rollbacks are written down."""

_MOST = 100
"""So many are kept, the newest."""


class Rollback(msgspec.Struct, frozen=True, kw_only=True):
    """An alias that moved back.

    Attributes
    ----------
    alias
        The alias.
    of, to
        The version that drifted, and the one that it points to since then.
    episode
        Id of the drift.
    at
        When it moved.
    """

    alias: str
    of: str
    to: str
    episode: str
    at: datetime


class RollbackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The rollbacks of a model, in the order of time."""

    model_name: str
    format: int = FORMAT
    rollbacks: tuple[Rollback, ...] = ()


_decode = msgspec.json.Decoder(RollbackRecord).decode


class RollbackStore(S3Store):
    """Records of rollbacks in a bucket."""

    def load(self, model_name: str) -> tuple[RollbackRecord, str]:
        """Return the record of a model, and its tag for `add`."""
        try:
            payload, tag = self._objects.read_tagged(_key(model_name))
        except NotFoundError:
            return RollbackRecord(model_name=model_name), ""
        try:
            record = _decode(payload)
        except UNREADABLE as error:
            raise StoreError(f"{_key(model_name)} cannot be read: {error}") from error
        if record.format != FORMAT:
            raise StoreError(
                f"{_key(model_name)} has format {record.format}; this code reads {FORMAT}"
            )
        return record, tag

    def add(self, record: RollbackRecord, rollback: Rollback, tag: str) -> None:
        """Add a rollback to the record as it was read.

        Raises StoreError when another one was faster: only one of them moves the alias.
        """
        added = (*record.rollbacks, rollback)[-_MOST:]
        payload = msgspec.json.encode(msgspec.structs.replace(record, rollbacks=added))
        if not self._objects.replace(_key(record.model_name), payload, "application/json", tag):
            raise StoreError(f"someone else has just rolled {record.model_name} back; try again")


def _key(model_name: str) -> str:
    return f"rollbacks/{escape(model_name)}.json"
