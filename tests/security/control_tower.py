"""CloudFormation Guard over the templates, by the proactive rules of AWS Control Tower.

The package is of AWS's CDK: program and rules lie in an archive in it, for Linux and macOS.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LEFT_OUT = {
    "cloudwatch_alarm_action_check",
    "cloudwatch_log_group_retention_period_check",
    "ecs_container_insights_enabled_check",
    "efs_automatic_backups_enabled_check",
    "lambda_function_public_access_prohibited_check",
    "s3_bucket_logging_enabled_check",
    "s3_bucket_object_lock_enabled_check",
    "s3_bucket_policy_ssl_requests_only_check",
    "s3_bucket_versioning_enabled_check",
    "s3_event_notifications_enabled_check",
    "s3_lifecycle_policy_check",
    "sqs_dlq_check",
}
"""Rules that are left out. Why is in docs/explanation/security.md, for each."""


class Fault(NamedTuple):
    """A rule that a template breaks."""

    template: str
    rule: str


def unpack(environment: Path, folder: Path) -> Path:
    """Unpack program and rules of the installed package below ``folder``; return their folder."""
    (archive,) = environment.glob("lib/python*/site-packages/cdklabs/*/_jsii/*.tgz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder / "package"


def check(package: Path, folder: Path) -> Iterator[Fault]:
    """Yield what the templates in ``folder`` break.

    Raises CalledProcessError when the program itself fails.
    """
    system = "macos" if sys.platform == "darwin" else "ubuntu"
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    program = package / "bin" / system / machine / "cfn-guard"
    program.chmod(0o755)
    command = [program, "validate", "--rules", package / "rules", "--data", folder]
    command += ["--structured", "--output-format", "json", "--show-summary", "none"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode not in (0, 19):  # 19: a rule is broken
        raise subprocess.CalledProcessError(done.returncode, "cfn-guard", done.stdout, done.stderr)
    for template in json.loads(done.stdout):
        names = {each["Rule"]["name"] for each in template["not_compliant"]}
        yield from (Fault(Path(template["name"]).stem, name) for name in sorted(names))
