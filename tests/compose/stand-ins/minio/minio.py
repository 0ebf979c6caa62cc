"""`minio server <folder> --address :<port>`, by SeaweedFS as `modelwatch up` runs it."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from modelwatch_cli.stack.plan import Plan
from modelwatch_cli.stack.servers import seaweedfs


def main() -> None:
    parser = argparse.ArgumentParser("minio")
    parser.add_argument("verb", choices=["server"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--address", required=True)
    given = parser.parse_args()
    host, _, port = given.address.rpartition(":")

    root = {"accessKey": os.environ["MINIO_ROOT_USER"],
            "secretKey": os.environ["MINIO_ROOT_PASSWORD"]}  # fmt: skip
    identity = {"name": "root", "credentials": [root], "actions": ["Admin"]}
    identities = given.folder / "s3" / "identities.json"
    identities.parent.mkdir(exist_ok=True)
    identities.write_text(json.dumps({"identities": [identity]}))

    part = seaweedfs(Plan.of({"MODELWATCH_HOME": str(given.folder), "S3_PORT": port}))
    part.prepare()
    os.chdir(part.directory)
    # all addresses, as MinIO has it: the port is published
    os.execve(part.command[0], [*part.command, f"-s3.ip.bind={host or '0.0.0.0'}"], part.environ())


if __name__ == "__main__":
    main()
