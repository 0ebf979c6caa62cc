"""The bridge's own template: what it may reach, how it runs, and what it says of the code."""

import re
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint

from modelwatch_bridge.settings import BridgeSettings
from modelwatch_bridge.sources.deliveries import PREFIX
from modelwatch_cli.deployment.cloudformation.templates import load_template

ROOT = Path(__file__).parents[2]
PATH = ROOT / "templates" / "bridge" / "bridge.yaml"
DOCKERFILE = (PATH.parent / "Dockerfile").read_text()
PAGE = (ROOT / "docs" / "how-to" / "run-the-bridge-on-ecs.md").read_text()
TEMPLATE = load_template(PATH)


def of_type(name: str) -> list[dict[str, Any]]:
    """Return the properties of what is of a type."""
    resources = TEMPLATE["Resources"].values()
    return [each["Properties"] for each in resources if each["Type"] == f"AWS::{name}"]


@pytest.fixture
def container() -> dict[str, Any]:
    (task,) = of_type("ECS::TaskDefinition")
    (found,) = task["ContainerDefinitions"]
    return found


def test_cloudformation_takes_it_as_it_is():
    # the text: CloudFormation has no aliases of YAML
    found = lint(PATH.read_text(), config=ManualArgs(regions=["us-east-1"]))
    assert [f"{each.rule.id} {each.message}" for each in found] == []


def test_the_page_says_each_parameter_and_no_other():
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+)", PAGE, re.MULTILINE)
    said = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert said == TEMPLATE["Parameters"].keys()


def test_the_container_changes_nothing_but_its_state(container):
    user, folder = container["User"], container["MountPoints"][0]["ContainerPath"]
    assert container["ReadonlyRootFilesystem"]
    assert container["LinuxParameters"]["Capabilities"]["Drop"] == ["ALL"]
    assert f"USER {user}\n" in DOCKERFILE
    (point,) = of_type("EFS::AccessPoint")
    owner = point["RootDirectory"]["CreationInfo"]
    assert user == f"{owner['OwnerUid']}:{owner['OwnerGid']}"
    assert f"{point['PosixUser']['Uid']}:{point['PosixUser']['Gid']}" == user
    # what is written is written there
    for name in ("BRIDGE_STATE", "TMPDIR"):
        assert re.search(rf"{name}={folder}\b", DOCKERFILE)


def test_variables_are_settings_that_the_bridge_reads(container):
    named = [each["Name"] for each in container["Environment"] + container["Secrets"]]
    in_image = re.findall(r"^(?:ENV|   ) (BRIDGE_\w+)=", DOCKERFILE, re.MULTILINE)
    assert len(in_image) == 2
    assert {*named, *in_image} <= BridgeSettings.declared().keys()
    assert len(named) == len(set(named))


def test_one_bridge_counts_at_a_time():
    (service,) = of_type("ECS::Service")
    deployment = service["DeploymentConfiguration"]
    assert service["DesiredCount"] == 1
    assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (0, 100)
    # it starts the second before it stops the first
    assert service["AvailabilityZoneRebalancing"] == "DISABLED"


def test_no_address_may_call_it_and_one_group_by_a_parameter():
    inline = [each.get("SecurityGroupIngress", []) for each in of_type("EC2::SecurityGroup")]
    rules = [*of_type("EC2::SecurityGroupIngress"), *(rule for each in inline for rule in each)]
    sources = [each["SourceSecurityGroupId"] for each in rules]
    assert sources == [{"Ref": "ScraperSecurityGroup"}, {"Ref": "BridgeGroup"}]
    assert not any(key.startswith("Cidr") for rule in rules for key in rule)


def test_it_may_read_what_firehose_writes():
    text = PATH.read_text()
    assert f"${{MetricsBucket}}/{PREFIX}*" in text
    assert f'"s3:prefix": "{PREFIX}*"' in text
