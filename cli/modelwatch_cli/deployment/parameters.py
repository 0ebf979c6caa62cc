"""From settings, and from other stacks' outputs, to the parameters of a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwatch.settings import SETTINGS, Settings
from modelwatch_cli.deployment.digests import digest
from modelwatch_cli.deployment.plan import Plan

# The consumer's own limit; AWS asks that a record stays hidden for six times as long.
CONSUMER_TIMEOUT_SECONDS = 60


def parameter_name(setting: str) -> str:
    """Return the template parameter that carries ``setting``.

    >>> parameter_name("AWS_ENDPOINT_URL_S3")
    'AwsEndpointUrlS3'
    """
    return "".join(word.capitalize() for word in setting.split("_"))


_SETTING_OF = {parameter_name(setting.name): setting.name for setting in SETTINGS}


def common_parameters(plan: Plan, settings: Settings) -> dict[str, str]:
    """Return the parameters that are not simply a setting's value."""
    hidden_seconds = 6 * CONSUMER_TIMEOUT_SECONDS + settings.integer("CAPTURE_BATCH_WINDOW_SECONDS")
    schedules = {name: settings.text(f"{name}_SCHEDULE") for name in ("ANALYSIS", "COMPACTION")}
    return {
        "Stage": plan.stage,
        "AnalysisRuleName": f"{plan.stack_name('analyze')}-{digest(schedules['ANALYSIS'])[:8]}",
        "CompactionRuleName": f"{plan.stack_name('compact')}-{digest(schedules['COMPACTION'])[:8]}",
        "LambdaArchitecture": plan.architecture,
        "ConsumerTimeoutSeconds": str(CONSUMER_TIMEOUT_SECONDS),
        "VisibilityTimeoutSeconds": str(hidden_seconds),
        # Where S3 is among the other services, a function finds it as it finds those.
        "AwsEndpointUrlS3": "" if plan.owns_buckets else settings.text("AWS_ENDPOINT_URL_S3"),
    }


def layer_parameters(keys: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of the layers' stack.

    >>> layer_parameters({"core": "layers/core-1.zip"})
    {'CoreLayerKey': 'layers/core-1.zip'}
    """
    return {f"{name.capitalize()}LayerKey": key for name, key in keys.items()}


def bucket_parameters(
    settings: Settings, existing: frozenset[str], previous: Mapping[str, str]
) -> dict[str, str]:
    """Return which buckets the storage stack is to make.

    A bucket that was there before the stack is somebody else's, and CloudFormation would fail to
    make it; one that the stack made exists as well, and must stay in it.

    Parameters
    ----------
    settings
        Name the buckets.
    existing
        The buckets that exist.
    previous
        The stack's parameters as they are; empty when there is no such stack.
    """
    parameters = {}
    for setting in ("CAPTURE_BUCKET", "REPORT_BUCKET"):
        name = parameter_name(setting)
        bucket = settings.text(setting)
        if previous.get(name) == bucket:
            create = previous[f"Create{name}"] == "true"
        else:
            create = bucket not in existing
        parameters[f"Create{name}"] = "true" if create else "false"
    return parameters


def template_parameters(
    template: Mapping[str, Any], settings: Settings, provided: Mapping[str, str]
) -> dict[str, str]:
    """Return a value for every parameter that ``template`` declares.

    What is ``provided`` comes first, then the setting of the parameter's name; a parameter with a
    default of its own may go without.

    Raises
    ------
    KeyError
        When nothing gives a value: a mistake in the template.
    """
    values = {}
    for name, declaration in template.get("Parameters", {}).items():
        if name in provided:
            values[name] = provided[name]
        elif name in _SETTING_OF:
            values[name] = settings.text(_SETTING_OF[name])
        elif "Default" not in declaration:
            raise KeyError(name)
    return values


def secret_parameters(template: Mapping[str, Any]) -> frozenset[str]:
    """Return the parameters that must not be shown."""
    declarations = template.get("Parameters", {}).items()
    return frozenset(name for name, declared in declarations if declared.get("NoEcho"))
