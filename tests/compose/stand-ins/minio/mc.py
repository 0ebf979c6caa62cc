"""`mc ready <alias>`: succeeds when the S3 at ``MC_HOST_<alias>`` says that it is well."""

from __future__ import annotations

import os
import sys
from urllib.request import urlopen


def main() -> None:
    verb, alias = sys.argv[1:]
    if verb != "ready":
        raise SystemExit(f"mc: this stand-in has no {verb}")
    with urlopen(f"{os.environ[f'MC_HOST_{alias}']}/healthz", timeout=3) as response:
        assert response.status == 200


if __name__ == "__main__":
    main()
