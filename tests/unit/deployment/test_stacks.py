"""Stacks: created, updated, left alone, recovered, and why they failed."""

from types import SimpleNamespace

import pytest

from in_memory_cloudformation import InMemoryCloudFormation, event
from in_memory_s3 import InMemoryS3
from modelwatch_cli.deployment.additions.transport import delete_transport
from modelwatch_cli.deployment.cloudformation.change_sets import Change, ChangeSets
from modelwatch_cli.deployment.cloudformation.errors import StackError
from modelwatch_cli.deployment.cloudformation.plan import APPS, make_plan
from modelwatch_cli.deployment.cloudformation.stacks import StackDeployer, stack_digest
from modelwatch_cli.deployment.cloudformation.templates import load_template, with_kept_queues
from modelwatch_cli.deployment.deployer import Deployer
from modelwatch_cli.deployment.removal import undeploy
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings

TEMPLATE = {"Resources": {"A": {"Type": "AWS::SQS::Queue"}}, "Parameters": {"Stage": {}}}
NAME = "modelwatch-local-x"


@pytest.fixture
def aws():
    return InMemoryCloudFormation()


@pytest.fixture
def deployer(aws):
    return StackDeployer(aws, lambda body: f"https://s3/{len(body)}", sleep=lambda _: None)


@pytest.fixture
def localstack_deployer(aws):
    return StackDeployer(aws, lambda _: "", sleep=lambda _: None, recreates=True)


def verbs(aws):
    return [verb for verb, _ in aws.requests]


def test_a_missing_stack_is_created_and_an_unchanged_one_left_alone(aws, deployer):
    action, stack = deployer.deploy(NAME, TEMPLATE, {"Stage": "a"})
    assert (action, stack.status) == ("created", "CREATE_COMPLETE")
    assert deployer.deploy(NAME, TEMPLATE, {"Stage": "a"})[0] == "unchanged"
    assert verbs(aws) == ["CREATE"]


@pytest.mark.parametrize(
    ("template", "parameters"),
    [(TEMPLATE, {"Stage": "b"}), (TEMPLATE | {"Description": "new"}, {"Stage": "a"})],
)
def test_a_changed_template_or_parameter_updates(aws, deployer, template, parameters):
    deployer.deploy(NAME, TEMPLATE, {"Stage": "a"})
    assert deployer.deploy(NAME, template, parameters)[0] == "updated"
    assert verbs(aws) == ["CREATE", "UPDATE"]


def test_a_failure_says_the_cause_and_not_what_it_cancelled(aws, deployer):
    aws.fails_with = [
        event("Rule", "CREATE_FAILED", "ScheduleExpression is not valid"),
        event("Queue", "CREATE_FAILED", "Resource creation cancelled"),
        event(NAME, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Rule]"),
    ]
    with pytest.raises(StackError) as caught:
        deployer.deploy(NAME, TEMPLATE, {})
    assert caught.value.reasons == ("Rule (AWS::SQS::Queue): ScheduleExpression is not valid",)


def test_a_template_that_is_refused_as_a_whole_says_so(aws, deployer):
    whole = "AWS::CloudFormation::Stack"
    aws.fails_with = [event(NAME, "ROLLBACK_IN_PROGRESS", "Transform failed", whole)]
    with pytest.raises(StackError, match="x failed: Transform failed"):
        deployer.deploy(NAME, TEMPLATE, {})


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "CREATE_FAILED", "UPDATE_COMPLETE"])
def test_localstack_makes_a_broken_stack_anew_with_a_word(aws, localstack_deployer, status):
    aws.stacks[NAME] = {"StackStatus": status}  # without its outputs
    said, deleted = [], []
    action, _ = localstack_deployer.deploy(
        NAME, TEMPLATE, {}, said.append, after_delete=lambda: deleted.append(1)
    )
    assert (action, verbs(aws), deleted) == ("recreated", ["DELETE", "CREATE"], [1])
    assert said == [f"was left in {status}: deleting it and making it again"]


@pytest.mark.parametrize(
    ("status", "way_out"),
    [
        ("UPDATE_ROLLBACK_FAILED", f"continue-update-rollback --stack-name {NAME}"),
        ("DELETE_FAILED", f"delete-stack --stack-name {NAME}"),
        ("REVIEW_IN_PROGRESS", "change set"),
        ("CREATE_FAILED", "its events"),
        ("ROLLBACK_FAILED", "its events"),
        ("UPDATE_FAILED", "its events"),
        ("CREATE_COMPLETE", "modelwatch did not make"),
        ("UPDATE_COMPLETE", "modelwatch did not make"),
    ],
)
def test_a_broken_stack_on_aws_stays_and_its_way_out_is_said(aws, deployer, status, way_out):
    aws.stacks[NAME] = {"StackStatus": status}  # without outputs of ours
    with pytest.raises(StackError, match=way_out):
        deployer.deploy(NAME, TEMPLATE, {})
    assert aws.requests == []
    assert NAME in aws.stacks


def test_a_stack_whose_creation_was_rolled_back_is_made_anew(aws, deployer):
    aws.stacks[NAME] = {"StackStatus": "ROLLBACK_COMPLETE"}  # it has no resources
    assert deployer.deploy(NAME, TEMPLATE, {})[0] == "recreated"
    assert verbs(aws) == ["DELETE", "CREATE"]


def test_a_stack_that_rolled_an_update_back_is_updated(aws, deployer):
    deployer.deploy(NAME, TEMPLATE, {"Stage": "a"})
    aws.fails_with = [event("A", "UPDATE_FAILED", "no")]
    with pytest.raises(StackError):
        deployer.deploy(NAME, TEMPLATE, {"Stage": "b"})
    aws.fails_with = []
    assert deployer.deploy(NAME, TEMPLATE, {"Stage": "b"})[0] == "updated"


def test_an_update_that_localstack_does_not_roll_back_is_made_anew(aws, localstack_deployer):
    deployer = localstack_deployer
    deployer.deploy(NAME, TEMPLATE, {"Stage": "a"})
    aws.fails_with = [event("A", "UPDATE_FAILED", "no")]
    aws.failed_update = "UPDATE_COMPLETE"  # which LocalStack says, and drops the outputs
    said = []
    assert deployer.deploy(NAME, TEMPLATE, {"Stage": "b"}, said.append)[0] == "recreated"
    assert verbs(aws) == ["CREATE", "UPDATE", "DELETE", "CREATE"]
    assert said[0].startswith("could not be updated and was not rolled back")


def test_a_deletion_that_fails_is_tried_again(aws, deployer):
    deployer.deploy(NAME, TEMPLATE, {})
    aws.deletes_that_fail = 1
    assert deployer.delete(NAME) == "deleted"
    assert deployer.delete(NAME) == "absent"


def test_a_stack_that_cannot_be_deleted_is_an_error(aws, deployer):
    deployer.deploy(NAME, TEMPLATE, {})
    aws.deletes_that_fail = 99
    with pytest.raises(StackError):
        deployer.delete(NAME)


def test_a_large_template_goes_by_url(aws, deployer):
    with pytest.raises(StackError):  # the in-memory one cannot fetch it, and so has no outputs
        deployer.deploy(NAME, TEMPLATE | {"Description": "x" * 52_000}, {})
    assert aws.requests[0][1]["TemplateURL"].startswith("https://s3/52")
    assert "TemplateBody" not in aws.requests[0][1]


def test_the_digest_changes_with_a_secret_and_does_not_hold_it():
    template = {"Parameters": {"Key": {"NoEcho": True}}}
    digests = {stack_digest(template, {"Key": value}) for value in ("", "a", "b")}
    assert len(digests) == 3
    assert stack_digest(template, {"Key": "a"}) == stack_digest(template, {"Key": "a"})


def with_change_sets(aws, confirm):
    def no_wait(_):
        pass

    change_sets = ChangeSets(aws, confirm, no_wait)
    return StackDeployer(aws, lambda _: "", no_wait, change_sets=change_sets)


def test_on_aws_changes_are_shown_confirmed_made_and_protected(aws):
    shown = []
    deployer = with_change_sets(aws, lambda stack, changes: shown.append((stack, changes)) or True)
    assert deployer.deploy(NAME, TEMPLATE, {"Stage": "a"})[0] == "created"
    assert deployer.deploy(NAME, TEMPLATE, {"Stage": "a"})[0] == "unchanged"
    assert deployer.deploy(NAME, TEMPLATE, {"Stage": "b"})[0] == "updated"
    assert verbs(aws) == ["CREATE", "UPDATE"]
    assert aws.protected == {NAME: True}
    changes = [Change("add", "A", "AWS::SQS::Queue"), Change("replace", "B", "AWS::IAM::Role")]
    assert shown == [(NAME, changes)] * 2


def test_a_role_of_cloudformation_makes_and_changes_each_stack(aws):
    role = "arn:aws:iam::123456789012:role/makes"
    change_sets = ChangeSets(aws, lambda *_: True, lambda _: None)
    for given in (None, change_sets):
        aws.stacks.clear()
        deployer = StackDeployer(aws, lambda _: "", lambda _: None, change_sets=given, role=role)
        deployer.deploy(NAME, TEMPLATE, {"Stage": "a"})
        deployer.deploy(NAME, TEMPLATE, {"Stage": "b"})
    assert [request["RoleARN"] for _, request in aws.requests] == [role] * 4
    without = StackDeployer(aws, lambda _: "", lambda _: None)
    without.deploy(NAME, TEMPLATE, {"Stage": "c"})
    assert "RoleARN" not in aws.requests[-1][1]


def test_what_is_not_confirmed_changes_nothing_and_leaves_nothing(aws):
    def refuse(_stack, _changes):
        return False

    with pytest.raises(StackError, match="not confirmed"):
        with_change_sets(aws, refuse).deploy(NAME, TEMPLATE, {"Stage": "a"})
    assert (verbs(aws), aws.change_set) == (["DELETE"], None)  # the empty stack of the change set
    aws.stacks[NAME] = {"StackStatus": "CREATE_COMPLETE"}
    aws.requests.clear()
    with_change_sets(aws, lambda *_: True).delete(NAME)
    with_change_sets(aws, lambda *_: True).deploy(NAME, TEMPLATE, {"Stage": "a"})
    aws.requests.clear()
    with pytest.raises(StackError, match="not confirmed"):
        with_change_sets(aws, refuse).deploy(NAME, TEMPLATE, {"Stage": "b"})
    assert (verbs(aws), aws.change_set) == ([], None)
    assert aws.stacks[NAME]["StackStatus"] == "CREATE_COMPLETE"


def test_a_change_set_that_cannot_be_made_says_why(aws):
    aws.change_set_status = "FAILED"
    with pytest.raises(StackError, match="no such parameter"):
        with_change_sets(aws, lambda *_: True).deploy(NAME, TEMPLATE, {})
    assert aws.change_set is None


def test_queues_and_buckets_outlive_their_stacks_on_aws():
    kept = {}
    for part in ("pipeline", "storage"):
        resources = with_kept_queues(load_template(Project().template(part)))["Resources"]
        kept |= {
            name: (each["DeletionPolicy"], each["UpdateReplacePolicy"])
            for name, each in resources.items()
            if each["Type"] in ("AWS::SQS::Queue", "AWS::S3::Bucket")
        }
    assert kept == dict.fromkeys(
        ("CaptureQueue", "CaptureDeadLetterQueue", "Captures", "Reports"),
        ("RetainExceptOnCreate", "Retain"),
    )


def test_undeploy_on_aws_lifts_the_protection_and_leaves_what_holds_data(aws):
    class Progress:
        def say(self, *_):
            pass

        def done(self, _):
            pass

    plan = make_plan(Settings({"LAMBDA_ARCHITECTURE": "x86_64"}), ["capture"])
    kept = [plan.stack_name(part) for part in ("storage", "pipeline")]
    for name in [*kept, plan.stack_name("capture")]:
        aws.stacks[name] = {"StackStatus": "CREATE_COMPLETE"}
    layers = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: []))
    clients = SimpleNamespace(cloudformation=aws, functions=layers)
    undeploy(plan, clients, Progress(), on_aws=True)
    assert sorted(aws.stacks) == sorted(kept)
    assert aws.protected == {plan.stack_name("capture"): False}


@pytest.mark.parametrize("transport", ["firehose", "logs"])
@pytest.mark.parametrize("apps", [["capture"], []])
def test_the_way_to_the_bridge_goes_after_all_functions_and_not_with_one(aws, apps, transport):
    gone: list[str] = []

    class Progress:
        def say(self, *_):
            pass

        def done(self, result):
            gone.append(result.name.rpartition("-")[2])

    for name in ("predict", "capture", "analyze", "metrics"):
        bucket = {"ParameterKey": "MetricsBucket", "ParameterValue": "metrics"}
        made = {"StackStatus": "CREATE_COMPLETE", "Parameters": [bucket]}
        aws.stacks[f"modelwatch-local-{name}"] = made
    layers = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: []))
    clients = SimpleNamespace(cloudformation=aws, functions=layers, packages=InMemoryS3({}))
    plan = make_plan(Settings({"METRICS_TRANSPORT": transport}), apps)
    undeploy(plan, clients, Progress())
    if apps:
        assert "metrics" not in gone
        assert "modelwatch-local-metrics" in aws.stacks
    else:
        assert "modelwatch-local-metrics" not in aws.stacks
        assert max(map(gone.index, APPS)) < gone.index("metrics")


def test_the_way_through_firehose_is_deleted_with_what_is_in_its_bucket(aws, deployer):
    s3 = InMemoryS3({"logs/1": b"lines", "logs/2": b"lines"})
    aws.stacks[NAME] = {
        "StackStatus": "CREATE_COMPLETE",
        "Parameters": [{"ParameterKey": "MetricsBucket", "ParameterValue": "metrics"}],
    }
    aws.deletes_that_fail = 2

    assert delete_transport(deployer, s3, NAME, is_protected=True) == "deleted"
    assert (s3.objects, aws.protected) == ({}, {NAME: False})
    assert delete_transport(deployer, s3, NAME, is_protected=True) == "absent"


def whole_deployment(aws, confirm, **variables):
    """Return the steps of a deployment of all functions to AWS."""
    settings = Settings({"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "", **variables})
    return Deployer(
        project=Project(),
        settings=settings,
        plan=make_plan(settings),
        clients=SimpleNamespace(cloudformation=aws, packages=InMemoryS3()),
        progress=SimpleNamespace(say=lambda *_: None, done=lambda _: None),
        ensure_buckets=lambda _: None,
        set_retention=lambda: None,
        ensure_package_bucket=lambda _: None,
        confirm=confirm,
    )._steps()


def test_alarms_that_no_setting_asks_for_go_once_the_functions_are_as_they_should_be(aws):
    shown = []
    alarms = f"modelwatch-{Settings({}).stage}-alarms"
    aws.stacks[alarms] = {"StackStatus": "CREATE_COMPLETE"}

    refusing = whole_deployment(aws, lambda *_: False)["no stack alarms"]
    with pytest.raises(StackError, match="not confirmed"):
        refusing.run()
    assert alarms in aws.stacks

    def confirm(stack, _changes):
        shown.append(stack)
        return True

    step = whole_deployment(aws, confirm)["no stack alarms"]
    # a rollout looks at them until predict is deployed without it
    assert set(step.needs) == {"stack predict", "stack capture", "stack analyze"}
    step.run()
    assert alarms not in aws.stacks
    assert aws.protected == {alarms: False}
    step.run()  # a second time
    assert shown == [alarms]
    asked = whole_deployment(aws, lambda *_: True, ALARM_EMAILS="ops@acme.example")
    assert "no stack alarms" not in asked


def test_a_bucket_that_no_stack_made_is_left_alone(deployer):
    s3 = InMemoryS3({"mine": b"data"})

    assert delete_transport(deployer, s3, NAME, is_protected=False) == "absent"
    assert s3.objects
