"""Errors of a deployment."""

from __future__ import annotations

from collections.abc import Sequence

from modelwatch.errors import ModelwatchError


class BuildError(ModelwatchError):
    """A layer, a function's package or an image could not be made."""


class PackageStoreError(ModelwatchError):
    """The bucket of packages could not be read or written."""


class StackError(ModelwatchError):
    """CloudFormation could not create or update a stack.

    Parameters
    ----------
    reasons
        A sentence for each resource that failed; the first cause comes first.
    """

    def __init__(self, stack: str, reasons: Sequence[str]) -> None:
        self.stack = stack
        self.reasons = tuple(reasons)
        super().__init__(f"stack {stack} failed: " + "; ".join(reasons))


class NotDeployedError(ModelwatchError):
    """A stack that is needed does not exist."""


class DeploymentError(ModelwatchError):
    """AWS or its emulation did not respond, or refused."""
