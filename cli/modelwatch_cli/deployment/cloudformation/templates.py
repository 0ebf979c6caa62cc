"""Reads CloudFormation templates in YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Template = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: ``!Ref``, ``!Sub``, ``!GetAtt`` …"""


def _long_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    """Return the long form of a short form: ``!GetAtt a.b`` is ``{"Fn::GetAtt": ["a", "b"]}``."""
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if tag == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long_form)


def load_template(path: Path) -> Template:
    """Return the template in ``path``, with long forms only."""
    template: Template = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader
    return template


def with_policy(template: Template, name: str, statements: list[dict[str, Any]]) -> Template:
    """Return ``template`` whose role has a further policy."""
    policy = {
        "PolicyName": name,
        "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
    }
    role = template["Resources"]["Role"]
    properties = role["Properties"]
    properties = properties | {"Policies": [*properties["Policies"], policy]}
    resources = template["Resources"] | {"Role": role | {"Properties": properties}}
    return template | {"Resources": resources}


def with_kept_queues(template: Template) -> Template:
    """Return ``template`` with queues that outlive their stack, as buckets do.

    LocalStack, where broken stacks are deleted and made again, does not get this.
    """
    resources = {
        name: resource | {"DeletionPolicy": "RetainExceptOnCreate"}
        if resource["Type"] == "AWS::SQS::Queue"
        else resource
        for name, resource in template["Resources"].items()
    }
    return template | {"Resources": resources}
