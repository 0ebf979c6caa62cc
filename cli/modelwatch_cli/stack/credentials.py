"""The key pair of the stack's own S3."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """An S3 access key."""

    key: str
    secret: str


def ensure_credentials(path: Path) -> Credentials:
    """Return the key pair in ``path``, SeaweedFS' list of identities; made at the first call.

    Only the user can read the file (mode 0600). The key does not look like AWS's (AKIA…):
    LocalStack would read an account number from it.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Credentials(f"modelwatch-{secrets.token_hex(8)}", secrets.token_urlsafe(30))
        identity = {
            "name": "modelwatch",
            "credentials": [{"accessKey": made.key, "secretKey": made.secret}],
            "actions": ["Admin"],
        }
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"identities": [identity]}, file, indent=2)
        draft.replace(path)
    pair = json.loads(path.read_text())["identities"][0]["credentials"][0]
    return Credentials(pair["accessKey"], pair["secretKey"])
