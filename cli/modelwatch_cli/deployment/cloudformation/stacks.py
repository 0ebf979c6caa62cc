"""CloudFormation stacks: creates, updates and deletes them, and says why one failed."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from modelwatch_cli.deployment.cloudformation.change_sets import ChangeSets
from modelwatch_cli.deployment.cloudformation.errors import StackError
from modelwatch_cli.deployment.cloudformation.parameters import secret_parameters
from modelwatch_cli.deployment.cloudformation.templates import Template
from modelwatch_cli.digests import digest

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

Action = Literal["created", "updated", "unchanged", "recreated", "deleted", "absent"]

# CloudFormation takes no larger template in a request; from an S3 URL it does.
INLINE_TEMPLATE_BYTES = 51_200

# This output of a stack shows its template and parameters. It is no tag: CloudFormation passes
# a tag on to every resource, and would update each one whenever the digest changes.
_DIGEST_OUTPUT = "ModelwatchDigest"

# Nothing can be done with a stack in these states but to delete it.
_BROKEN = frozenset(
    {
        "CREATE_FAILED",
        "ROLLBACK_COMPLETE",
        "ROLLBACK_FAILED",
        "UPDATE_FAILED",
        "UPDATE_ROLLBACK_FAILED",
        "DELETE_FAILED",
        "REVIEW_IN_PROGRESS",
    }
)
_WAYS_OUT = {
    "UPDATE_ROLLBACK_FAILED": "`aws cloudformation continue-update-rollback --stack-name {name}` "
    "brings it back to where it was",
    "REVIEW_IN_PROGRESS": "someone prepares a change set for it: execute or delete that",
    "DELETE_FAILED": "someone began to delete it: `aws cloudformation delete-stack --stack-name "
    "{name}` goes on with that",
}
_BEGINNINGS = frozenset({"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"})
_SUMMARIES = ("User Initiated", "The following resource(s) failed")
_DELETE_ATTEMPTS = 2
_DELETE_PATIENCE_SECONDS = 10
_WELL = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it."""

    name: str
    status: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str | None:
        """Digest of its last successful deployment; None if the last one failed."""
        return self.outputs.get(_DIGEST_OUTPUT) if self.status in _WELL else None

    @property
    def is_broken(self) -> bool:
        """Whether it must be deleted."""
        return self.status in _BROKEN or self.is_half_updated

    @property
    def is_half_updated(self) -> bool:
        """Whether an update failed and was not rolled back, whatever the status says.

        LocalStack 4.14 says UPDATE_COMPLETE, without outputs.
        """
        return self.status in _WELL and self.digest is None


def stack_digest(template: Template, parameters: Mapping[str, str]) -> str:
    """Return the digest by which an unchanged stack is known.

    Everyone who may describe the stack can read it. So secrets are part of it by a function that
    makes guesses expensive.
    """
    values = dict(parameters)
    for name in secret_parameters(template) & values.keys():
        if values[name]:
            salt = name.encode()
            values[name] = hashlib.scrypt(values[name].encode(), salt=salt, n=2**14, r=8, p=1).hex()
    return digest(json.dumps([template, values], sort_keys=True))[:32]


def _way_out(stack: Stack) -> str:
    if stack.is_half_updated:
        return (
            "there is a stack of this name that modelwatch did not make: it stays as it is; "
            "choose another STAGE, or remove it yourself"
        )
    way = _WAYS_OUT.get(stack.status, "its events in CloudFormation say what it needs")
    return f"it is in {stack.status}: {way.format(name=stack.name)}; deploy again after that"


class StackDeployer:
    """Creates, updates and deletes stacks, and waits.

    Parameters
    ----------
    store_template
        Stores a template that is too large for a request; returns its URL.
    sleep
        Waits; in a test it may return at once.
    recreates
        Whether a broken stack is deleted and made again. Only for LocalStack: on AWS this would
        delete the records in the queue and change the addresses of the APIs.
    change_sets
        Through which stacks change; without them, at once.
    tags
        Of the stacks; CloudFormation gives them to what they make. A new value alone changes none.
    role
        ARN of the role in which CloudFormation acts, and goes on to act on the stack; empty: with
        the caller's rights.
    """

    def __init__(
        self,
        client: CloudFormationClient,
        store_template: Callable[[bytes], str],
        sleep: Callable[[float], None] = time.sleep,
        recreates: bool = False,
        change_sets: ChangeSets | None = None,
        tags: Mapping[str, str] | None = None,
        role: str = "",
    ) -> None:
        self._role = {"RoleARN": role} if role else {}
        self._tags = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        self._recreates = recreates
        self._change_sets = change_sets
        self._client = client
        self._store_template = store_template
        self._sleep = sleep
        # LocalStack transforms a template while it responds, and not safely for two at a time. The
        # stacks themselves still go side by side.
        self._requesting = threading.Lock()

    def read(self, name: str) -> Stack | None:
        """Return the stack, or None when there is none."""
        try:
            described = self._client.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        if described["StackStatus"] == "DELETE_COMPLETE":
            return None
        outputs = {o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", ())}
        parameters = {
            p["ParameterKey"]: p.get("ParameterValue", "") for p in described.get("Parameters", ())
        }
        return Stack(name, described["StackStatus"], outputs, parameters)

    def deploy(
        self,
        name: str,
        template: Template,
        parameters: Mapping[str, str],
        say: Callable[[str], None] = lambda _: None,
        before_update: Callable[[], None] = lambda: None,
        after_delete: Callable[[], None] = lambda: None,
    ) -> tuple[Action, Stack]:
        """Create or update the stack with ``template`` and ``parameters``.

        Raises StackError with the reasons of the resources that failed; for a broken stack that
        must not be deleted, with what to do.

        Parameters
        ----------
        template
            Without references to local files.
        parameters
            A value for each parameter that the template declares.
        say
            Called with a sentence about an unusual step.
        before_update
            Called before the update of a stack that is not broken.
        after_delete
            Called after a broken stack was deleted, before it is made again.

        Returns
        -------
        action, stack
            ``unchanged`` if its last deployment was the same, and the present stack.
        """
        wanted = stack_digest(template, parameters)
        stack = self._settled(name)
        if stack and stack.digest == wanted:
            return "unchanged", stack
        self.check(stack)
        request = self._request(name, template, parameters, wanted)
        if stack and not stack.is_broken:
            before_update()
            done = self._put("UPDATE", request)
            if done and done.digest == stack.digest != wanted:
                # LocalStack says UPDATE_COMPLETE a moment before it has the outputs
                self._sleep(1.0)
                done = self._settled(name)
            if done and done.digest == wanted:
                return "updated", done
            reasons = self._reasons(name, done)
            if done is None or not done.is_half_updated or not self._recreates:
                raise StackError(name, reasons)
            say(f"could not be updated and was not rolled back: {'; '.join(reasons)}")
            stack = done
        if stack:
            say(f"was left in {stack.status}: deleting it and making it again")
            self.delete(name)
            after_delete()
        done = self._put("CREATE", request)
        if done is None or done.digest != wanted:
            raise StackError(name, self._reasons(name, done))
        return "recreated" if stack else "created", done

    def check(self, stack: Stack | None) -> None:
        """Raise StackError for a broken stack that must not be deleted, with what to do."""
        # a stack whose creation was rolled back has no resources
        may_go = self._recreates or (stack and stack.status == "ROLLBACK_COMPLETE")
        if stack and stack.is_broken and not may_go:
            raise StackError(stack.name, [_way_out(stack)])

    def _put(self, kind: Literal["CREATE", "UPDATE"], request: dict[str, Any]) -> Stack | None:
        name = request["StackName"]
        now: Callable[..., Any] = (
            self._client.create_stack if kind == "CREATE" else self._client.update_stack
        )
        try:
            if self._change_sets:
                self._change_sets.put(kind, request)
            else:
                with self._requesting:
                    now(**request)
        except ClientError as error:
            # the digest in the outputs makes every update one that has something to update
            raise StackError(name, [error.response["Error"].get("Message", str(error))]) from error
        return self._settled(name)

    def _request(
        self, name: str, template: Template, parameters: Mapping[str, str], wanted: str
    ) -> dict[str, Any]:
        outputs = template.get("Outputs", {}) | {_DIGEST_OUTPUT: {"Value": wanted}}
        body = json.dumps(template | {"Outputs": outputs}, separators=(",", ":"))
        where = {"TemplateBody": body}
        if len(body.encode()) > INLINE_TEMPLATE_BYTES:
            where = {"TemplateURL": self._store_template(body.encode())}
        return {
            "StackName": name,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            **({"Tags": self._tags} if self._tags else {}),
            **self._role,
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            **where,
        }

    def delete(self, name: str, is_protected: bool = False) -> Action:
        """Delete the stack, and wait until it is gone.

        Raises StackError when a resource cannot be deleted.

        Parameters
        ----------
        is_protected
            Whether it is protected from deletion, as on AWS.
        """
        if self.read(name) is None:
            return "absent"
        if is_protected:
            self._client.update_termination_protection(
                StackName=name, EnableTerminationProtection=False
            )
        for _ in range(_DELETE_ATTEMPTS):
            self._client.delete_stack(StackName=name)
            # A resource that was never made, or is still in use, fails the deletion; the rest goes
            # on, and with it gone the stack often goes as well.
            for _ in range(_DELETE_PATIENCE_SECONDS):
                if self._settled(name) is None:
                    return "deleted"
                self._sleep(1.0)
        raise StackError(name, self._failures(name) or ["it cannot be deleted"])

    def _settled(self, name: str) -> Stack | None:
        """Return the stack when no operation is in progress."""
        pause_seconds = 0.2
        stack = self.read(name)
        while stack and stack.status.endswith("_IN_PROGRESS") and stack.status not in _BROKEN:
            self._sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 1.3, 5.0)
            stack = self.read(name)
        return stack

    def _reasons(self, name: str, stack: Stack | None) -> list[str]:
        return self._failures(name) or [stack.status if stack else "it is gone"]

    def _failures(self, name: str) -> list[str]:
        """Return why the last operation on the stack failed; the first cause comes first."""
        reasons: list[str] = []
        of_whole: list[str] = []
        for page in self._client.get_paginator("describe_stack_events").paginate(StackName=name):
            for event in page["StackEvents"]:  # the newest first
                status, kind = event.get("ResourceStatus", ""), event.get("ResourceType", "")
                logical_id = event.get("LogicalResourceId", "")
                reason = event.get("ResourceStatusReason", "")
                if kind == "AWS::CloudFormation::Stack" and logical_id == name:
                    if reason and not reason.startswith(_SUMMARIES):
                        of_whole.append(reason)
                    if status in _BEGINNINGS:
                        return reasons[::-1] or of_whole[::-1]
                # one failure cancels what is under way beside it: that is no reason
                elif status.endswith("_FAILED") and "cancelled" not in reason:
                    reasons.append(f"{logical_id} ({kind}): {reason or status}")
        return reasons[::-1] or of_whole[::-1]
