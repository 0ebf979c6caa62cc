"""Make the buckets once S3 responds; what `modelwatch up` does on a machine without Docker."""

from __future__ import annotations

import time

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.errors import StoreError
from modelwatch_cli.buckets import ensure_buckets
from modelwatch_cli.settings import Settings

PATIENCE_SECONDS = 60


def main() -> None:
    """Try until it works, or a minute is over."""
    settings = Settings()
    names = [settings.text(f"{use}_BUCKET") for use in ("MODEL", "CAPTURE", "REPORT")]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            ensure_buckets(s3_client(settings), names)
        except StoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return


if __name__ == "__main__":
    main()
