"""Invocations of a Lambda function for which no one waits."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.errors import StartError


class LambdaStarter:
    """Has the function ``function_name`` run an asked analysis: the event is ``{"asked": name}``.

    An event of API Gateway has no such field, so no caller of the API can send one.
    """

    def __init__(self, client: Any, function_name: str) -> None:
        self._client = client
        self._name = function_name

    def __call__(self, name: str) -> None:
        """Start it; raises StartError when Lambda does not take the event."""
        try:
            self._client.invoke(
                FunctionName=self._name,
                InvocationType="Event",
                Payload=json.dumps({"asked": name}).encode(),
            )
        except (BotoCoreError, ClientError) as error:
            raise StartError(f"{self._name} cannot be invoked: {error}") from error
