"""What `make scan` does: checkov and Guard over the templates, checkov over the checkout; SBOMs.

The templates are those that `deploy` sends to AWS, with the values of their parameters. Checks that
are left out are in checkov.yaml and control_tower.py, and why is in docs/explanation/security.md.
Bills of materials (CycloneDX), one for each lock, are made in build/sbom. Ends with 1 when
something is found, or no longer found that is left out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import control_tower

from modelwatch_cli.deployment.all_templates import all_templates, packages
from modelwatch_cli.deployment.cloudformation.parameters import (
    bucket_parameters,
    common_parameters,
    parameter_name,
    template_parameters,
)
from modelwatch_cli.deployment.cloudformation.plan import make_plan
from modelwatch_cli.deployment.cloudformation.templates import Template, load_template
from modelwatch_cli.settings import Settings

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
PROGRAMS = ROOT / ".envs" / "scan" / "bin"
REGION = "eu-central-1"
SETTINGS = Settings(
    {
        "STAGE": "prod",
        "AWS_ACCOUNT_ID": "123456789012",
        "AWS_ENDPOINT_URL": "",
        "AWS_ENDPOINT_URL_S3": "",
        "AWS_DEFAULT_REGION": REGION,
        "MLFLOW_TRACKING_URI": "https://mlflow.example",
        "API_AUTH": "iam",
        "KMS_KEY_ARN": f"arn:aws:kms:{REGION}:123456789012:key/0a1b2c3d",
        "FUNCTION_SUBNETS": "subnet-0a1b2c3d,subnet-4e5f6a7b",
        "FUNCTION_SECURITY_GROUPS": "sg-0a1b2c3d",
        "ALARM_EMAILS": "on-call@example.com",
        "ALARM_SLACK": "T0123ABCD/C0123ABCD",
        "SQL_TABLES": "on",
        "PREDICT_ROLLOUT": "Canary10Percent15Minutes",
    }
)
BRIDGE = {"LogRetentionDays": 30, "AssignPublicIp": "DISABLED", "KmsKeyArn": SETTINGS.kms_key_arn}
"""Parameters of the bridge's template that are looked at; it is deployed by other means."""

LOCKS = {
    "commands": "requirements.txt",
    **{
        name: f"layers/{name}/requirements.txt"
        for name in ("inference", "capture", "analysis", "pyfunc")
    },
    "bridge": "templates/bridge/requirements.txt",
    "localstack": "localstack/requirements.txt",
    "lambda-runtime": "localstack/runtime/requirements.txt",
}


def templates(
    settings: Settings, packaged: Mapping[str, Template]
) -> Iterator[tuple[str, Template]]:
    """Yield the templates of all stacks as `deploy` sends them to AWS, and the bridge's."""
    yield from all_templates(settings, packaged)
    bridge = load_template(ROOT / "templates" / "bridge" / "bridge.yaml")
    yield "bridge", bridge | {"Resources": _chosen(bridge["Resources"], BRIDGE)}


def _chosen(part: Any, values: Mapping[str, object]) -> Any:
    """Return a part of a template with values of parameters, every condition fulfilled."""
    match part:
        case {"Ref": name} if name in values:
            return values[name]
        case {"Fn::If": [_, yes, _]}:
            return _chosen(yes, values)
        case dict():
            return {key: _chosen(each, values) for key, each in part.items()}
        case list():
            return [_chosen(each, values) for each in part]
    return part


def with_values(template: Template) -> Template:
    """Return ``template`` whose parameters have as default what a deployment gives them."""
    provided = common_parameters(make_plan(SETTINGS), SETTINGS)
    provided |= bucket_parameters(SETTINGS, frozenset(), {})
    parameters = template.get("Parameters", {})
    from_settings = {parameter_name(name) for name in Settings.declared()}
    # what one stack gives another is not there yet
    provided = dict.fromkeys(parameters.keys() - from_settings, "other") | provided
    values = template_parameters(template, SETTINGS, provided)
    return template | {
        "Parameters": {name: each | {"Default": values[name]} for name, each in parameters.items()}
    }


def main() -> int:
    """Scan all; return the exit code."""
    folder = BUILD / "scan"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, template in templates(SETTINGS, packages(REGION)):
        (folder / f"{name}.json").write_text(json.dumps(with_values(template), indent=1))
    checkov = [PROGRAMS / "checkov", "--config-file", ROOT / "tests/security/checkov.yaml"]
    found = [
        _run("the templates", [*checkov, "--framework", "cloudformation", "--directory", folder]),
        _run("secrets", [*checkov, "--framework", "secrets", "--directory", ROOT]),
        _guard(folder),
    ]
    bills = BUILD / "sbom"
    bills.mkdir(exist_ok=True)
    for name, lock in LOCKS.items():
        bill = [PROGRAMS / "cyclonedx-py", "requirements", ROOT / lock, "--output-reproducible"]
        found.append(_run(f"SBOM of {lock}", [*bill, "-o", bills / f"{name}.cdx.json"]))
    return int(any(found))


def _guard(folder: Path) -> bool:
    print("==> the templates, by AWS Control Tower's rules", flush=True)
    package = control_tower.unpack(PROGRAMS.parent, BUILD / "guard")
    found = set(control_tower.check(package, folder))
    allowed = control_tower.allowed(json.loads((folder / "alarms.json").read_text()))
    for fault in sorted(found - allowed):
        print(f"{fault.resource} breaks {fault.rule}")
    for fault in sorted(allowed - found):
        print(f"{fault.resource} may break {fault.rule}, and does not")
    return found != allowed


def _run(title: str, command: list[str | Path]) -> bool:
    print(f"==> {title}", flush=True)
    return subprocess.run(command, check=False).returncode != 0


if __name__ == "__main__":
    sys.exit(main())
