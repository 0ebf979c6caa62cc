"""The parameters of a template, from settings and from other stacks' outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwatch.settings import Group
from modelwatch_cli.deployment.cloudformation.plan import Plan
from modelwatch_cli.deployment.cloudformation.templates import Template
from modelwatch_cli.digests import digest
from modelwatch_cli.settings import Settings

CONSUMER_TIMEOUT_SECONDS = 60
"""The consumer's own limit by default."""


def parameter_name(setting: str) -> str:
    """Return the template parameter of ``setting``.

    >>> parameter_name("AWS_ENDPOINT_URL_S3")
    'AwsEndpointUrlS3'
    """
    return "".join(word.capitalize() for word in setting.split("_"))


_SETTING_OF = {parameter_name(name): name for name in Settings.declared()}


def with_settings(template: Template, group: type[Group]) -> Template:
    """Return a merge template whose functions have the settings of ``group``, and no others.

    Each becomes a parameter and a variable; an optional one is no variable if it is empty.
    """
    parameters: dict[str, Any] = {}
    conditions: dict[str, Any] = {}
    variables: dict[str, Any] = {}
    for setting in group.declared().values():
        if setting.is_given:
            continue
        name = parameter_name(setting.name)
        parameters[name] = {"Type": "String"} | ({"NoEcho": True} if setting.is_secret else {})
        value: dict[str, Any] = {"Ref": name}
        if not setting.default:
            # LocalStack takes an empty value of one without a default for no value at all
            parameters[name]["Default"] = ""
            conditions[f"Has{name}"] = {"Fn::Not": [{"Fn::Equals": [value, ""]}]}
            value = {"Fn::If": [f"Has{name}", value, {"Ref": "AWS::NoValue"}]}
        variables[setting.name] = value
    return {
        **template,
        "Parameters": {**parameters, **template.get("Parameters", {})},
        "Conditions": {**conditions, **template.get("Conditions", {})},
        "Globals": {"Function": {"Environment": {"Variables": variables}}},
    }


def common_parameters(plan: Plan, settings: Settings) -> dict[str, str]:
    """Return the parameters that are not a setting's value."""
    consumer_seconds = settings.function_timeout.get("capture", CONSUMER_TIMEOUT_SECONDS)
    # AWS asks that a record stays hidden for six times the consumer's limit
    hidden_seconds = 6 * consumer_seconds + settings.capture_batch_window_seconds
    schedules = {name: settings.text(f"{name}_SCHEDULE") for name in ("ANALYSIS", "COMPACTION")}
    return {
        "Stage": plan.stage,
        "AnalysisRuleName": f"{plan.stack_name('analyze')}-{digest(schedules['ANALYSIS'])[:8]}",
        "CompactionRuleName": f"{plan.stack_name('compact')}-{digest(schedules['COMPACTION'])[:8]}",
        "LambdaArchitecture": plan.architecture,
        "ConsumerTimeoutSeconds": str(consumer_seconds),
        "VisibilityTimeoutSeconds": str(hidden_seconds),
        # Where S3 is among the other services, a function finds it as it finds those.
        "AwsEndpointUrlS3": "" if plan.owns_buckets else settings.aws_endpoint_url_s3,
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
    """Return the buckets that the storage stack should make.

    CloudFormation cannot make a bucket that existed before the stack. A bucket that the stack made
    exists, too, and must stay in the stack.

    Parameters
    ----------
    previous
        The stack's present parameters; empty if there is no such stack.
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
    template: Template, settings: Settings, provided: Mapping[str, str]
) -> dict[str, str]:
    """Return a value for every parameter that ``template`` declares.

    Values in ``provided`` come first, then the setting of the parameter's name. A parameter with a
    default in the template needs no value.

    Raises KeyError when nothing gives a value: a mistake in the template.
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


def secret_parameters(template: Template) -> frozenset[str]:
    """Return the parameters that must not be shown."""
    declarations = template.get("Parameters", {}).items()
    return frozenset(name for name, declared in declarations if declared.get("NoEcho"))
