"""CloudFormation Guard over the templates, by the proactive rules of AWS Control Tower.

The package is of AWS's CDK: program and rules lie in an archive in it, for Linux and macOS.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_BUCKETS = {"metrics.Lines", "storage.Captures", "storage.Reports", "sql.Output"}

LEFT_OUT = {
    "cloudwatch_log_group_retention_period_check": {"bridge.Log"},
    "ecs_container_insights_enabled_check": {"bridge.OwnCluster"},
    "efs_automatic_backups_enabled_check": {"bridge.State"},
    "lambda_function_public_access_prohibited_check": {
        f"{app}.APIHandlerInvokePermission" for app in ("analyze", "capture", "predict")
    },
    "s3_bucket_logging_enabled_check": _BUCKETS,
    "s3_bucket_object_lock_enabled_check": _BUCKETS,
    "s3_bucket_policy_ssl_requests_only_check": {f"{each}AccessPolicy" for each in _BUCKETS},
    "s3_bucket_versioning_enabled_check": _BUCKETS,
    "s3_event_notifications_enabled_check": _BUCKETS,
    "s3_lifecycle_policy_check": {"storage.Captures", "storage.Reports"},
    "sqs_dlq_check": {
        "analyze.AnalysisDeadLetterQueue",
        "analyze.FailedRuns",
        "capture.FailedRuns",
        "pipeline.CaptureDeadLetterQueue",
    },
}
"""Which resource may break which rule. Why is in docs/explanation/security.md, for each rule."""

ALARM_RULE = "cloudwatch_alarm_action_check"
"""Broken by the parts of composite alarms, and by no other alarm."""


class Fault(NamedTuple):
    """A rule that a resource of a template breaks: ``template.resource``."""

    rule: str
    resource: str


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
    for report in json.loads(done.stdout):
        yield from faults(report)


def faults(report: Mapping[str, Any]) -> set[Fault]:
    """Return what the program reports of a template; a place that is no resource is ``?``."""
    template = Path(report["name"]).stem
    return {
        Fault(each["Rule"]["name"], f"{template}.{resource}")
        for each in report["not_compliant"]
        for resource in set(_resources(each["Rule"]["checks"])) or {"?"}
    }


def allowed(composites: Mapping[str, Any]) -> set[Fault]:
    """Return what is left out; ``composites`` is the template of alarms."""
    parts = {
        Fault(ALARM_RULE, f"alarms.{part}")
        for each in composites["Resources"].values()
        if each["Type"] == "AWS::CloudWatch::CompositeAlarm" and each["Properties"]["AlarmActions"]
        for part in each["DependsOn"]
    }
    return parts | {Fault(rule, each) for rule, found in LEFT_OUT.items() for each in found}


def _resources(checks: Any) -> Iterator[str]:
    """Yield the resources at which ``checks`` stopped."""
    if isinstance(checks, list):
        for each in checks:
            yield from _resources(each)
    elif isinstance(checks, dict):
        path = checks.get("path")
        if isinstance(path, str) and path.startswith("/Resources/"):
            yield path.split("/")[2]  # its value is of the template
        else:
            yield from _resources(list(checks.values()))
