"""Change sets: what CloudFormation would do to a stack on AWS, shown and confirmed before."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from modelwatch_cli.deployment.cloudformation.errors import StackError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

_RUNS = ("AVAILABLE", "EXECUTE_IN_PROGRESS")


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one resource: add, modify, replace or remove."""

    action: str
    resource: str
    kind: str

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Change:
        """Return one entry of a change set, as CloudFormation describes it."""
        change = described["ResourceChange"]
        action = "replace" if change.get("Replacement") == "True" else change["Action"].lower()
        return cls(action, change["LogicalResourceId"], change["ResourceType"])


type Confirm = Callable[[str, Sequence[Change]], bool]
"""Shows the changes of a stack; returns whether they shall be made."""


class ChangeSets:
    """Creates and updates stacks by change sets, and protects each from deletion.

    Parameters
    ----------
    confirm
        Asked before a stack changes.
    sleep
        Waits; in a test it may return at once.
    """

    def __init__(
        self,
        client: CloudFormationClient,
        confirm: Confirm,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client: Any = client
        self._confirm = confirm
        self._sleep = sleep

    def put(self, kind: Literal["CREATE", "UPDATE"], request: Mapping[str, Any]) -> None:
        """Create or update the stack of ``request``, and wait until that is under way or done.

        Raises StackError when there can be no change set, or it was not confirmed: then nothing of
        the stack has changed, and nothing is left of the change set.
        """
        name, known = request["StackName"], f"modelwatch-{uuid.uuid4().hex[:12]}"
        where = {"StackName": name, "ChangeSetName": known}
        self._client.create_change_set(**request, ChangeSetName=known, ChangeSetType=kind)
        try:
            found = self._made(where)
            if found["Status"] == "FAILED":
                raise StackError(name, [found.get("StatusReason", "its change set failed")])
            if not self._confirm(name, self._changes(where)):
                raise StackError(name, ["its changes were not confirmed; it is as it was"])
        except BaseException:
            self._discard(kind, where)
            raise
        self._client.execute_change_set(**where)
        self._wait(where)
        self._client.update_termination_protection(StackName=name, EnableTerminationProtection=True)

    def _made(self, where: Mapping[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = self._client.describe_change_set(**where)
        while found["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            self._sleep(1.0)
            found = self._client.describe_change_set(**where)
        return found

    def _changes(self, where: Mapping[str, str]) -> list[Change]:
        pages = self._client.get_paginator("describe_change_set").paginate(**where)
        return [Change.of(each) for page in pages for each in page["Changes"]]

    def _discard(self, kind: str, where: Mapping[str, str]) -> None:
        with contextlib.suppress(ClientError):
            self._client.delete_change_set(**where)
            if kind == "CREATE":  # an empty stack was made for it
                self._client.delete_stack(StackName=where["StackName"])

    def _wait(self, where: Mapping[str, str]) -> None:
        """Return when the stack's own status says how far it is."""
        while True:
            try:
                found = self._client.describe_change_set(**where)
            except ClientError as error:
                if error.response["Error"]["Code"] == "ChangeSetNotFound":
                    return
                raise
            if found["ExecutionStatus"] not in _RUNS:
                return
            self._sleep(1.0)
