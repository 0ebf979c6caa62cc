"""As much of CloudFormation as a deployment sees, in memory."""

# ruff: noqa: N803 - the arguments are named as boto3 names them

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError


class InMemoryCloudFormation:
    """As much of CloudFormation as a deployment sees; each stack settles on the second look."""

    def __init__(self) -> None:
        self.stacks: dict[str, Any] = {}
        self.requests: list[Any] = []
        self.fails_with: list[Any] = []  # events of the next operation, which then fails
        self.failed_update = "UPDATE_ROLLBACK_COMPLETE"
        self.deletes_that_fail = 0
        self.change_set: Any = None
        self.change_set_status = "CREATE_COMPLETE"
        self.protected: dict[str, bool] = {}

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        stack = self.stacks.get(StackName)
        if stack is None:
            error = {"Error": {"Message": f"{StackName} does not exist"}}
            raise ClientError(error, "DescribeStacks")  # type: ignore[arg-type]
        described = dict(stack)
        pending = stack.pop("next", None)
        if pending == "DELETE_COMPLETE":
            del self.stacks[StackName]
        elif pending:
            stack.update(pending)
        return {"Stacks": [described]}

    def create_stack(self, **request: Any) -> None:
        assert request["StackName"] not in self.stacks
        self._put("CREATE", request)

    def update_stack(self, **request: Any) -> None:
        assert request["StackName"] in self.stacks
        self._put("UPDATE", request)

    def _put(self, verb: str, request: dict[str, Any]) -> None:
        self.requests.append((verb, request))
        body = json.loads(request.get("TemplateBody") or '{"Outputs": {}}')
        outputs = [
            {"OutputKey": key, "OutputValue": output["Value"]}
            for key, output in body["Outputs"].items()
        ]
        failed = "ROLLBACK_COMPLETE" if verb == "CREATE" else self.failed_update
        after: dict[str, Any] = {"StackStatus": failed if self.fails_with else f"{verb}_COMPLETE"}
        if failed == "UPDATE_COMPLETE" and self.fails_with:
            after["Outputs"], self.fails_with = [], []
        elif not self.fails_with:
            after["Outputs"] = outputs
        before = self.stacks.get(request["StackName"], {})
        status = {"StackStatus": f"{verb}_IN_PROGRESS", "next": after}
        self.stacks[request["StackName"]] = before | status

    def delete_stack(self, StackName: str) -> None:
        self.requests.append(("DELETE", StackName))
        if self.deletes_that_fail:
            self.deletes_that_fail -= 1
            after: Any = {"StackStatus": "DELETE_FAILED", "Outputs": []}
        else:
            after = "DELETE_COMPLETE"
        self.stacks[StackName] |= {"StackStatus": "DELETE_IN_PROGRESS", "next": after}

    def create_change_set(self, ChangeSetName: str, ChangeSetType: str, **request: Any) -> None:
        self.change_set = ChangeSetName, ChangeSetType, request
        self.looks = 0
        if ChangeSetType == "CREATE":
            self.stacks[request["StackName"]] = {"StackStatus": "REVIEW_IN_PROGRESS"}

    def describe_change_set(self, StackName: str, ChangeSetName: str) -> dict[str, Any]:
        assert self.change_set[0] == ChangeSetName
        self.looks += 1
        status = ["CREATE_PENDING", self.change_set_status][self.looks > 1]
        is_done = self.stacks[StackName]["StackStatus"].endswith("_COMPLETE") or self.looks > 4
        return {
            "Status": status,
            "StatusReason": "no such parameter",
            "ExecutionStatus": "EXECUTE_COMPLETE" if is_done else "AVAILABLE",
        }

    def execute_change_set(self, StackName: str, ChangeSetName: str) -> None:
        name, kind, request = self.change_set
        assert name == ChangeSetName
        self.stacks[StackName].pop("StackStatus")
        self._put(kind, request)

    def delete_change_set(self, StackName: str, ChangeSetName: str) -> None:
        assert (self.change_set[0], self.change_set[2]["StackName"]) == (ChangeSetName, StackName)
        self.change_set = None

    def update_termination_protection(
        self, StackName: str, EnableTerminationProtection: bool
    ) -> None:
        self.protected[StackName] = EnableTerminationProtection

    def get_paginator(self, _operation: str) -> InMemoryCloudFormation:
        return self

    def paginate(self, StackName: str, ChangeSetName: str | None = None) -> list[dict[str, Any]]:
        if ChangeSetName:
            changes = [
                {"Action": "Add", "LogicalResourceId": "A", "ResourceType": "AWS::SQS::Queue"},
                {
                    "Action": "Modify",
                    "Replacement": "True",
                    "LogicalResourceId": "B",
                    "ResourceType": "AWS::IAM::Role",
                },
            ]
            return [{"Changes": [{"ResourceChange": each}]} for each in changes]
        whole = {"ResourceType": "AWS::CloudFormation::Stack", "LogicalResourceId": StackName}
        start = whole | {
            "ResourceStatus": "CREATE_IN_PROGRESS",
            "ResourceStatusReason": "User Initiated",
        }
        older = event("Old", "CREATE_FAILED", "of an operation before")
        return [{"StackEvents": [*self.fails_with[::-1], start, older]}]


def event(
    logical_id: str, status: str, reason: str, kind: str = "AWS::SQS::Queue"
) -> dict[str, str]:
    return {
        "LogicalResourceId": logical_id,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
        "ResourceType": kind,
    }
