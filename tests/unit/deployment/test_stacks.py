"""Stacks: created, updated, left alone, recovered, and why they failed."""

import json

import pytest
from botocore.exceptions import ClientError

from modelwatch_cli.deployment.errors import StackError
from modelwatch_cli.deployment.stacks import StackDeployer, stack_digest

TEMPLATE = {"Resources": {"A": {"Type": "AWS::SQS::Queue"}}, "Parameters": {"Stage": {}}}
NAME = "modelwatch-local-x"


class InMemoryCloudFormation:
    """As much of CloudFormation as a deployment sees; each stack settles on the second look."""

    def __init__(self):
        self.stacks = {}
        self.requests = []
        self.fails_with = []  # events of the next operation, which then fails
        self.failed_update = "UPDATE_ROLLBACK_COMPLETE"
        self.deletes_that_fail = 0

    def describe_stacks(self, StackName):  # noqa: N803
        stack = self.stacks.get(StackName)
        if stack is None:
            raise ClientError(
                {"Error": {"Message": f"{StackName} does not exist"}}, "DescribeStacks"
            )
        described = dict(stack)
        pending = stack.pop("next", None)
        if pending == "DELETE_COMPLETE":
            del self.stacks[StackName]
        elif pending:
            stack.update(pending)
        return {"Stacks": [described]}

    def create_stack(self, **request):
        assert request["StackName"] not in self.stacks
        self._put("CREATE", request)

    def update_stack(self, **request):
        assert request["StackName"] in self.stacks
        self._put("UPDATE", request)

    def _put(self, verb, request):
        self.requests.append((verb, request))
        body = json.loads(request.get("TemplateBody") or '{"Outputs": {}}')
        outputs = [
            {"OutputKey": key, "OutputValue": output["Value"]}
            for key, output in body["Outputs"].items()
        ]
        failed = "ROLLBACK_COMPLETE" if verb == "CREATE" else self.failed_update
        after = {"StackStatus": failed if self.fails_with else f"{verb}_COMPLETE"}
        if failed == "UPDATE_COMPLETE" and self.fails_with:
            after["Outputs"], self.fails_with = [], []
        elif not self.fails_with:
            after["Outputs"] = outputs
        before = self.stacks.get(request["StackName"], {})
        status = {"StackStatus": f"{verb}_IN_PROGRESS", "next": after}
        self.stacks[request["StackName"]] = before | status

    def delete_stack(self, StackName):  # noqa: N803
        self.requests.append(("DELETE", StackName))
        if self.deletes_that_fail:
            self.deletes_that_fail -= 1
            after = {"StackStatus": "DELETE_FAILED", "Outputs": []}
        else:
            after = "DELETE_COMPLETE"
        self.stacks[StackName] |= {"StackStatus": "DELETE_IN_PROGRESS", "next": after}

    def get_paginator(self, _operation):
        return self

    def paginate(self, StackName):  # noqa: N803
        whole = {"ResourceType": "AWS::CloudFormation::Stack", "LogicalResourceId": StackName}
        start = whole | {
            "ResourceStatus": "CREATE_IN_PROGRESS",
            "ResourceStatusReason": "User Initiated",
        }
        older = event("Old", "CREATE_FAILED", "of an operation before")
        return [{"StackEvents": [*self.fails_with[::-1], start, older]}]


def event(logical_id, status, reason, kind="AWS::SQS::Queue"):
    return {
        "LogicalResourceId": logical_id,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
        "ResourceType": kind,
    }


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
