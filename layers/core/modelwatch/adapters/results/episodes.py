"""Records of episodes on S3: ``episodes/<model>.json``, in place of the one that was read."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.domain.episodes.record import EpisodeRecord, decode_record, encode_record
from modelwatch.domain.keys import escape, unescape
from modelwatch.errors import NotFoundError, StoreError

EPISODES = "episodes/"
"""Where they are."""

_TRIES = 12


class S3EpisodeStore(S3Store):
    """Records of episodes in ``bucket``; see `modelwatch.ports.analysis.EpisodeStore`."""

    def models(self) -> Iterator[str]:
        """Yield the names of the models that have a record."""
        for key, _ in self._objects.keys(EPISODES):
            yield unescape(key.removeprefix(EPISODES).removesuffix(".json"))

    def load(self, model_name: str) -> EpisodeRecord:
        """Return the record of a model; an empty one when there is none."""
        return self._load(model_name)[0]

    def update(
        self, model_name: str, change: Callable[[EpisodeRecord], EpisodeRecord]
    ) -> EpisodeRecord:
        """Change a record as it is now; again from what is there, when another was faster."""
        for tried in range(_TRIES):
            record, tag = self._load(model_name)
            changed = change(record)
            if changed == record:
                return record
            payload = encode_record(changed)
            if self._objects.replace(_key(model_name), payload, "application/json", tag):
                return changed
            time.sleep(random.uniform(0, 0.05 * 2 ** min(tried, 4)))  # noqa: S311 - no secret
        raise StoreError(f"{_key(model_name)} was changed by others at each of {_TRIES} tries")

    def _load(self, model_name: str) -> tuple[EpisodeRecord, str]:
        try:
            payload, tag = self._objects.read_tagged(_key(model_name))
        except NotFoundError:
            return EpisodeRecord(model_name=model_name), ""
        return decode_record(payload), tag


def _key(model_name: str) -> str:
    return f"{EPISODES}{escape(model_name)}.json"
