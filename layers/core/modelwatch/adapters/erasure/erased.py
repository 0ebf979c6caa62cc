"""Which events were erased: so that none comes back by a message that was still on its way.

``erasures/<when in ms>-<digest>.hashes`` holds the sorted 64-bit hashes of the event ids of one
erasure. No id follows from them.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.domain.profiles.hashes import Hashes

ERASURES = "erasures/"

KEPT_DAYS = 30
"""How long they are kept: longer than a message is in the capture queue and then a dead letter."""

_KEY = re.compile(r"^erasures/(\d+)-[0-9a-f]+\.hashes$")
_DAY_MS = 86_400_000


class S3Erasures(S3Store):
    """Erasures in ``bucket``; see `modelwatch.ports.compaction.Erasures`."""

    def add(self, events: Hashes, now_ms: int) -> None:
        """Note that the events with these hashes are erased."""
        content = np.unique(events).astype("<u8").tobytes()
        digest = hashlib.sha256(content).hexdigest()[:20]
        key = f"{ERASURES}{now_ms}-{digest}.hashes"
        self._objects.write(key, content, "application/octet-stream")

    def events(self, now_ms: int) -> Hashes:
        """Return the hashes of all events that were erased in the last `KEPT_DAYS` days.

        What is older is deleted.
        """
        found = [np.empty(0, np.uint64)]
        expired = []
        for key, _ in list(self._objects.keys(ERASURES)):
            parts = _KEY.match(key)
            if parts is None:
                continue
            if int(parts[1]) < now_ms - KEPT_DAYS * _DAY_MS:
                expired.append(key)
            else:
                found.append(np.frombuffer(self._objects.read(key), "<u8").astype(np.uint64))
        self._objects.delete(expired)
        return np.unique(np.concatenate(found))
