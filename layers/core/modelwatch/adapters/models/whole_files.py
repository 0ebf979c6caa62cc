"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(path: Path, payload: bytes, mode: int = 0o666, *, durable: bool = False) -> None:
    """Put ``payload`` at ``path``, in the place of what was there, in one step.

    Readers find the one or the other; with ``durable``, also after the power failed.
    Raises OSError, and then leaves what was there.
    """
    draft = path.with_name(f".{secrets.token_hex(8)}.draft")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(payload)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
