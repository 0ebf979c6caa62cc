"""What was learned of the past, on S3: ``analyses/M/V/.past/<length of the windows>``.

It can be deleted: it is learned again, from the captures that are still there.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.adapters.captures.parquet import compress, decompress
from modelwatch.adapters.results.reports import version_prefix
from modelwatch.domain.durations import format_duration
from modelwatch.domain.past.history import PastDocument, decode_past, encode_past
from modelwatch.errors import NotFoundError, ProfileFormatError

PAST = ".past"
"""Folder of it, below a model version."""

_LOG = logging.getLogger(__name__)


class S3PastStore(S3Store):
    """The past in ``bucket``; see `modelwatch.ports.analysis.PastStore`."""

    def load(self, model_name: str, model_version: str, length: timedelta) -> PastDocument | None:
        """Return what was learned from windows of a length; None when nothing can be read."""
        key = _key(model_name, model_version, length)
        try:
            return decode_past(decompress(self._objects.read(key)))
        except NotFoundError:
            return None
        except ProfileFormatError as error:
            _LOG.warning("%s is learned again: %s", key, error)
            return None

    def save(
        self, model_name: str, model_version: str, length: timedelta, document: PastDocument
    ) -> None:
        """Keep what was learned, in place of what was kept."""
        key = _key(model_name, model_version, length)
        self._objects.write(key, compress(encode_past(document)), "application/octet-stream")


def _key(model_name: str, model_version: str, length: timedelta) -> str:
    return f"{version_prefix(model_name, model_version)}{PAST}/{format_duration(length)}"
