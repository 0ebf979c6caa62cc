"""Clients of the stack on this machine, and of no other: LocalStack's services, and its own S3."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from localstack_client.config import get_service_endpoints
from localstack_client.session import Session


class LocalSession(Session):  # type: ignore[misc]  # the package has no types
    """localstack_client's session for the stack that ``stack_env`` describes.

    Its clients use ``stack_env`` and ignore the process's own environment, which may
    name another stack, or AWS. The client of S3 goes to AWS_ENDPOINT_URL_S3, where models and
    captures are; those of all other services go to LocalStack.

    Parameters
    ----------
    stack_env
        The variables that `modelwatch env` prints.
    """

    def __init__(self, stack_env: Mapping[str, str]) -> None:
        localstack = stack_env["AWS_ENDPOINT_URL"]
        super().__init__(
            stack_env["AWS_ACCESS_KEY_ID"],
            stack_env["AWS_SECRET_ACCESS_KEY"],
            region_name=stack_env["AWS_DEFAULT_REGION"],
            localstack_host=urlsplit(localstack).netloc,
        )
        # the package prefers AWS_ENDPOINT_URL of the process to its own parameter
        self._service_endpoint_mapping = {
            **dict.fromkeys(get_service_endpoints(), localstack),
            "s3": stack_env["AWS_ENDPOINT_URL_S3"],
        }
