"""Makes LocalStack list log groups without a copy of their content.

For each DescribeLogGroups, LocalStack copies every group with all its streams and events, so that
no new stream disturbs the sum of their sizes. A program that follows the logs asks for the groups
again and again. After some ten thousand invocations the copies need more of LocalStack's one
interpreter than the invocations. A shallow copy is enough against new streams.
"""

import copy
from types import SimpleNamespace

from localstack.services.logs import provider


def list_without_copies() -> None:
    """Change the one module of LocalStack that copies; a second call changes nothing."""
    provider.copy = SimpleNamespace(deepcopy=copy.copy)
