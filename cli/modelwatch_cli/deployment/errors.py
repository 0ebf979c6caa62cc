"""What can go wrong in a deployment."""

from __future__ import annotations

from collections.abc import Sequence

from modelwatch.errors import ModelwatchError


class BuildError(ModelwatchError):
    """A layer, a function's package or an image could not be made."""


class PackageStoreError(ModelwatchError):
    """The bucket of packages could not be read or written."""


class StackError(ModelwatchError):
    """CloudFormation did not bring a stack to where its template says.

    Parameters
    ----------
    reasons
        One sentence for each resource that failed, the first cause first.
    """

    def __init__(self, stack: str, reasons: Sequence[str]) -> None:
        self.stack = stack
        self.reasons = tuple(reasons)
        super().__init__(f"stack {stack} failed: " + "; ".join(reasons))


class NotDeployedError(ModelwatchError):
    """Something was asked of a stack that is not there."""


class DeploymentError(ModelwatchError):
    """AWS or its emulation did not respond, or refused."""
