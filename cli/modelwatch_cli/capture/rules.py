"""What is captured of what a command imports: as of records that applications send."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from modelwatch.adapters.aws.secrets import secret
from modelwatch.adapters.results.capture_monitors import S3CaptureMonitors
from modelwatch.domain.capture_policy import read_policy
from modelwatch.domain.capture_rules import Bucket, Rule
from modelwatch.domain.model_capture import CaptureRules, MonitorCapture
from modelwatch.errors import MonitorError
from modelwatch_cli.settings import Settings

RulesOf = Callable[[str], CaptureRules]
"""From a model's name to what is captured of it."""


def import_rules(settings: Settings, client: Any) -> RulesOf:
    """Return what gives the rules of a model: what its monitor says, and without one everything.

    It raises MonitorError when the monitor cannot be followed, StoreError when no one can read it:
    then nothing may be stored.
    """
    monitors = S3CaptureMonitors(client, settings.report_bucket)

    @cache
    def rules_of(model_name: str) -> CaptureRules:
        everything = CaptureRules(read_policy("", secret(settings, "CAPTURE_HASH_KEY")))
        try:
            return everything.overridden(monitors.of(model_name))
        except MonitorError as error:
            raise MonitorError(f"the monitor of {model_name}: {error}") from None

    return rules_of


def require_applied(
    settings: Settings, client: Any, model_name: str, file: str, said: MonitorCapture
) -> None:
    """Refuse the ``[capture]`` of a monitor's file that is not what holds: it may say less.

    Raises MonitorError.
    """
    if S3CaptureMonitors(client, settings.report_bucket).of(model_name) != said:
        raise MonitorError(
            f"the [capture] of {file} does not hold yet, and the rows would be stored by other "
            f"rules; run modelwatch monitors apply {file}, then import"
        )


def rule_in_words(rule: Rule) -> str:
    """Return what is done to a column; empty where it is kept."""
    if isinstance(rule, Bucket):
        return "in buckets"
    return {"keep": "", "drop": "not captured", "hash": "hashed"}[rule]
