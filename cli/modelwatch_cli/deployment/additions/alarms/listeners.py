"""Who hears of alarms and drifts: a topic, the addresses of e-mails, a channel of Slack."""

from __future__ import annotations

import json
from typing import Any

from modelwatch.domain.episodes.events import DETAIL_TYPE, SOURCE
from modelwatch_cli.deployment.additions.limits import shared_by_roles
from modelwatch_cli.settings import Settings

BY_EVENT = ("DriftEpisodeOpen",)
"""Alerts that the topic hears of as verdict events, whatever CloudWatch shows."""

PUBLISHERS = ("cloudwatch.amazonaws.com", "events.amazonaws.com")
"""Who sends to the topic of alarms."""

_CHAT = "chatbot.amazonaws.com"


def listeners(settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Return the topic of alarms, and the resources that bring it to people."""
    topic: Any = settings.alarm_topic_arn or {"Ref": "Topic"}
    resources: dict[str, Any] = {}
    if not settings.alarm_topic_arn:
        resources |= _topic(settings.stage)
    for number, address in enumerate(settings.alarm_emails or ()):
        resources[f"Email{number}"] = {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"TopicArn": topic, "Protocol": "email", "Endpoint": address},
        }
    if settings.alarm_slack:
        resources |= _slack(settings, topic)
    if settings.event_bus != "none":
        resources["OnDrift"] = _on_drift(settings, topic)
    return topic, resources


def runbook(alert: str) -> str:
    """Return where the runbook of an alert is."""
    return f"docs/runbooks/{alert}.md"


def _topic(stage: str) -> dict[str, Any]:
    """Return the topic, which CloudWatch and EventBridge of this account may publish to."""
    topic = {"Ref": "Topic"}
    return {
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"TopicName": f"modelwatch-{stage}-alarms"},
        },
        "TopicAccessPolicy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "Topics": [topic],
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "OnlyThroughTls",
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "sns:Publish",
                            "Resource": topic,
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        },
                        *(
                            {
                                "Sid": f"Publish{service.partition('.')[0].capitalize()}",
                                "Effect": "Allow",
                                "Principal": {"Service": service},
                                "Action": "sns:Publish",
                                "Resource": topic,
                                "Condition": {
                                    "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
                                },
                            }
                            for service in PUBLISHERS
                        ),
                    ],
                },
            },
        },
    }


def _slack(settings: Settings, topic: Any) -> dict[str, Any]:
    """Return a channel that the topic is shown in; nobody does anything from there."""
    workspace, _, channel = (settings.alarm_slack or "").partition("/")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": _CHAT},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    }
    return {
        "SlackRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                "Policies": [],
                **shared_by_roles(settings),
            },
        },
        "Slack": {
            "Type": "AWS::Chatbot::SlackChannelConfiguration",
            "Properties": {
                "ConfigurationName": f"modelwatch-{settings.stage}-alarms",
                "SlackWorkspaceId": workspace,
                "SlackChannelId": channel,
                "IamRoleArn": {"Fn::GetAtt": ["SlackRole", "Arn"]},
                "SnsTopicArns": [topic],
                # without one it is AdministratorAccess, as far as the role goes
                "GuardrailPolicies": [
                    {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/CloudWatchReadOnlyAccess"}
                ],
                "LoggingLevel": "ERROR",
            },
        },
    }


def _on_drift(settings: Settings, topic: Any) -> dict[str, Any]:
    """Return the rule that sends verdict events to the topic, in the form that chats take.

    It is AWS's of custom notifications; in an e-mail it is JSON.
    """
    said = {
        "version": "1.0",
        "source": "custom",
        "content": {
            "title": "<summary>",
            "description": f"status <status>, owner <owner>; runbook: {runbook(BY_EVENT[0])}",
        },
        "metadata": {"threadId": "<episode>"},
    }
    # a value that is a name alone is put in with quotation marks of its own
    template = json.dumps(said).replace('"<summary>"', "<summary>")
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "Description": "modelwatch: drift episodes, to the topic of alarms",
            "EventBusName": settings.event_bus,
            "EventPattern": {
                "source": [SOURCE],
                "detail-type": [DETAIL_TYPE],
                "detail": {"stage": [settings.stage], "change": ["opened", "closed"]},
            },
            "Targets": [
                {
                    "Id": "topic",
                    "Arn": topic,
                    "InputTransformer": {
                        "InputPathsMap": {
                            name: f"$.detail.{name}"
                            for name in ("summary", "episode", "status", "owner")
                        },
                        "InputTemplate": template.replace('"<episode>"', "<episode>"),
                    },
                }
            ],
        },
    }
