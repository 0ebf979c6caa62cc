"""All environments of a Lambda function."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.errors import FleetError

GENERATION = "MODEL_GENERATION"
"""Environment variable that a renewal changes."""

PATIENCE_SECONDS = 20.0


class LambdaFleet:
    """The environments of the function ``function_name``.

    Environments cannot be reached one by one. But Lambda sends no request to an environment that
    was made before an update of the function's configuration, once the update is reported as
    done: so a renewal is an update of one environment variable, and costs requests nothing
    meanwhile.
    """

    def __init__(
        self,
        client: Any,
        function_name: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._name = function_name
        self._clock = clock
        self._sleep = sleep

    def recycle_environments(self) -> None:
        """Replace every environment by new ones; see `modelwatch.ports.serving.Fleet`."""
        try:
            found = self._wait_until_updated()
            variables = found.get("Environment", {}).get("Variables", {})
            generation = str(int(self._clock() * 1000))
            self._client.update_function_configuration(
                FunctionName=self._name,
                RevisionId=found["RevisionId"],
                Environment={"Variables": {**variables, GENERATION: generation}},
            )
            self._wait_until_updated()
        except (BotoCoreError, ClientError) as error:
            raise FleetError(f"cannot recycle the other environments: {error}") from error

    def _wait_until_updated(self) -> dict[str, Any]:
        deadline = self._clock() + PATIENCE_SECONDS
        while self._clock() < deadline:
            found: dict[str, Any] = self._client.get_function_configuration(FunctionName=self._name)
            if found.get("LastUpdateStatus", "Successful") == "Successful":
                return found
            self._sleep(0.2)
        raise FleetError(f"function {self._name} is still being updated; try again")
