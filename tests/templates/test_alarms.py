"""CloudWatch's alarms: what CloudFormation takes, one message a fault, the twins of Prometheus."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.api import ManualArgs, lint

from modelwatch.metric_names import CATALOG, CORE
from modelwatch_cli.deployment.additions.alarms.listeners import BY_EVENT
from modelwatch_cli.deployment.additions.alarms.stack import alarm_template
from modelwatch_cli.deployment.additions.alarms.twins import (
    GROUPS,
    WITHOUT,
    alarms,
    left_out,
)
from modelwatch_cli.deployment.cloudformation.plan import APPS, make_plan
from modelwatch_cli.deployment.settings import FUNCTION_NAMES
from modelwatch_cli.settings import Settings

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "templates" / "prometheus" / "rules" / "alerts.yml").read_text())
ALERTS = {rule["alert"] for group in RULES["groups"] for rule in group["rules"]}
FUNCTIONS = {f"modelwatch-prod-{name}": 900 for name in FUNCTION_NAMES}
TOPIC = "arn:aws:sns:us-east-1:123456789012:ops"


def settings(**variables: str) -> Settings:
    given = {"STAGE": "prod", "ALARM_EMAILS": "ops@acme.example", "AWS_ACCOUNT_ID": "123456789012"}
    return Settings(given | variables)


def made(**variables: str) -> dict[str, dict[str, Any]]:
    """Return the properties of what the stack makes, by type and name."""
    template = alarm_template(settings(**variables), FUNCTIONS, "captures")
    found = lint(json.dumps(template), config=ManualArgs(regions=["us-east-1"]))
    assert [f"{each.rule.id} {each.message}" for each in found] == []
    by_type: dict[str, dict[str, Any]] = {}
    for name, resource in template["Resources"].items():
        kind = resource["Type"].rpartition("::")[2]
        title = resource["Properties"].get("AlarmName", name)
        by_type.setdefault(kind, {})[title] = resource["Properties"]
    return by_type


def test_the_dashboard_shows_each_alarm_in_a_place_of_its_own():
    found = made()
    (board,) = found["Dashboard"].values()
    values = {"Partition": "aws", "Region": "eu-west-1", "AccountId": "123456789012"}
    body = board["DashboardBody"]["Fn::Sub"]
    for name, value in values.items():
        body = body.replace(f"${{AWS::{name}}}", value)
    assert "${" not in body
    widgets = json.loads(body)["widgets"]
    wanted = sorted(f"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{n}" for n in found["Alarm"])
    states = [each["properties"] for each in widgets if each["type"] == "alarm"]
    assert [each["title"] for each in states] == list(GROUPS)
    assert sorted(arn for each in states for arn in each["alarms"]) == wanted
    graphs = [each["properties"] for each in widgets if each["type"] == "metric"]
    assert sorted(arn for each in graphs for arn in each["annotations"]["alarms"]) == wanted
    assert {each["region"] for each in graphs} == {"eu-west-1"}
    cells = [
        (x, y)
        for each in widgets
        for x in range(each["x"], each["x"] + each["width"])
        for y in range(each["y"], each["y"] + each["height"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("shown", ["none", "core", "all"])
def test_every_alarm_is_a_twin_with_a_runbook_and_acts_through_one_composite(shown):
    found = made(METRICS_TO_CLOUDWATCH=shown)
    listed: list[str] = []
    for name in GROUPS:
        composite = found["CompositeAlarm"][f"modelwatch-prod-{name}"]
        assert composite["AlarmActions"] == composite["OKActions"] == [{"Ref": "Topic"}]
        listed += composite["AlarmRule"].removesuffix('")').split('") OR ALARM("')
    titles = [each.removeprefix('ALARM("') for each in listed]
    assert sorted(titles) == sorted(found["Alarm"])
    for properties in found["Alarm"].values():
        assert "AlarmActions" not in properties
        runbook = properties["AlarmDescription"].split()[-1]
        assert (ROOT / runbook).is_file()
        assert Path(runbook).stem in ALERTS


def test_each_alert_of_prometheus_has_alarms_or_a_reason():
    everything = alarms(settings(METRICS_TO_CLOUDWATCH="all"), FUNCTIONS, "captures")
    twins = {each.twin for each in everything}
    sets = (twins, set(BY_EVENT), set(WITHOUT))
    assert set.union(*sets) == ALERTS
    assert sum(map(len, sets)) == len(ALERTS), "each once"


@pytest.mark.parametrize("shown", ["none", "core", "all"])
def test_no_alarm_waits_for_a_metric_that_is_not_sent(shown):
    chosen = settings(METRICS_TO_CLOUDWATCH=shown)
    there = {"none": frozenset(), "core": CORE, "all": frozenset(CATALOG)}[shown]
    for each in alarms(chosen, FUNCTIONS, "captures"):
        text = json.dumps(each.properties)
        assert "modelwatch-prod" in text or "captures" in text
        ours = {name for name in CATALOG if f'"{name}"' in text or f"({name})" in text}
        assert ours == ({each.needs} if each.needs else set())
        assert ours <= there
    missing = set(left_out(chosen))
    kept = {each.twin for each in alarms(chosen, FUNCTIONS, "captures")}
    everything = alarms(settings(METRICS_TO_CLOUDWATCH="all"), FUNCTIONS, "captures")
    assert kept | missing == {each.twin for each in everything}
    assert ("CaptureLoss" in missing) == (shown == "none")


def test_each_function_is_watched_near_its_limit():
    found = made()["Alarm"]
    limits = {
        each["Dimensions"][0]["Value"]: each["Threshold"]
        for each in found.values()
        if each.get("MetricName") == "Duration"
    }
    assert limits == dict.fromkeys(FUNCTIONS, 810_000)
    image = dict(FUNCTIONS)
    image["modelwatch-prod-predict-image"] = image.pop("modelwatch-prod-predict")
    names = {each.subject for each in alarms(settings(), image, "captures")}
    assert {"predict-image", "predict-image-timeout"} <= names


@pytest.mark.parametrize(
    ("schedule", "seconds", "times"),
    [
        ("rate(1 minute)", 900, 1),
        ("rate(1 hour)", 7200, 1),
        ("rate(1 day)", 86_400, 2),
        ("rate(30 days)", 86_400, 7),
    ],
)
def test_an_analysis_that_does_not_run_is_missed(schedule, seconds, times):
    found = made(ANALYSIS_SCHEDULE=schedule)["Alarm"]
    missing = found["modelwatch-prod-AnalysisMissing"]
    assert (missing["Period"], missing["EvaluationPeriods"]) == (seconds, times)
    assert missing["TreatMissingData"] == "breaching"
    unknown = found.get("modelwatch-prod-DriftStatusUnknown")
    if unknown is not None:
        # CloudWatch's queries look three hours back
        (query,) = unknown["Metrics"]
        assert query["Period"] * unknown["EvaluationPeriods"] <= 3 * 3600
    assert (unknown is None) == (schedule in ("rate(1 day)", "rate(30 days)"))


def test_a_topic_is_made_or_given():
    found = made()
    assert found["Subscription"]["Email0"]["Endpoint"] == "ops@acme.example"
    (policy,) = found["TopicPolicy"].values()
    refused, *allowed = policy["PolicyDocument"]["Statement"]
    assert (refused["Effect"], refused["Principal"]) == ("Deny", "*")
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    for statement in allowed:
        assert statement["Condition"] == {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        }
    given = made(ALARM_TOPIC_ARN=TOPIC, ALARM_EMAILS="")
    assert not {"Topic", "TopicPolicy", "Subscription"} & given.keys()
    assert given["CompositeAlarm"]["modelwatch-prod-capture"]["AlarmActions"] == [TOPIC]


def test_a_channel_of_slack_hears_and_may_do_nothing():
    assert "SlackChannelConfiguration" not in made()
    found = made(ALARM_EMAILS="", ALARM_SLACK="T0123ABCD/C0456EFGH")
    (channel,) = found["SlackChannelConfiguration"].values()
    assert (channel["SlackWorkspaceId"], channel["SlackChannelId"]) == ("T0123ABCD", "C0456EFGH")
    assert channel["SnsTopicArns"] == [{"Ref": "Topic"}]
    assert [each["Fn::Sub"].rpartition("/")[2] for each in channel["GuardrailPolicies"]] == [
        "CloudWatchReadOnlyAccess"
    ]
    assert found["Role"]["SlackRole"]["Policies"] == []
    given = made(ALARM_TOPIC_ARN=TOPIC, ALARM_SLACK="T0123ABCD/C0456EFGH")
    assert given["SlackChannelConfiguration"]["Slack"]["SnsTopicArns"] == [TOPIC]


def test_a_drift_is_heard_as_an_event_of_this_stage():
    (rule,) = made(METRICS_TO_CLOUDWATCH="none")["Rule"].values()
    assert rule["EventPattern"]["detail"]["stage"] == ["prod"]
    # as EventBridge fills it in: with quotation marks where the name stands alone
    (target,) = rule["Targets"]
    text = target["InputTransformer"]["InputTemplate"]
    for name, value in (("summary", '"it \\"drifts\\""'), ("episode", '"wine-3"')):
        text = text.replace(f"<{name}>", value)
    said = json.loads(text.replace("<status>", "drift").replace("<owner>", "team-a"))
    assert (said["version"], said["source"]) == ("1.0", "custom")
    assert said["content"]["title"] == 'it "drifts"'
    assert said["metadata"]["threadId"] == "wine-3"
    assert said["content"]["description"] == (
        "status drift, owner team-a; runbook: docs/runbooks/DriftEpisodeOpen.md"
    )
    assert "Rule" not in made(EVENT_BUS="none")


def test_alarms_are_deployed_with_all_functions_if_someone_hears_them():
    assert make_plan(settings()).stacks["alarms"] == frozenset(APPS)
    assert "alarms" not in make_plan(settings(), ["predict"]).stacks
    assert "alarms" not in make_plan(settings(ALARM_EMAILS="")).stacks
    heard = settings(ALARM_EMAILS="", ALARM_SLACK="T0123ABCD/C0456EFGH")
    assert "alarms" in make_plan(heard).stacks
