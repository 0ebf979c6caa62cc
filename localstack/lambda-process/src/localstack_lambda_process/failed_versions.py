"""A function whose creation failed can be deleted.

LocalStack forgets the manager of a version whose preparation failed, and then cannot stop that
version: DeleteFunction, and with it the deletion of a CloudFormation stack, returns 500, and the
function's name stays taken until LocalStack restarts. There is nothing to stop in such a version.
"""

from collections.abc import Callable

from localstack.services.lambda_.invocation.lambda_service import LambdaService
from localstack.utils.patch import Patch


def _stop_version(
    original: Callable[[LambdaService, str], None], service: LambdaService, qualified_arn: str
) -> None:
    with service.lambda_version_manager_lock:
        managed = (
            qualified_arn in service.lambda_running_versions
            or qualified_arn in service.lambda_starting_versions
        )
    if managed:
        original(service, qualified_arn)


_PATCH = Patch.function(LambdaService.stop_version, _stop_version)


def let_failed_versions_be_deleted() -> None:
    """Change LocalStack's service so; again, it changes nothing."""
    _PATCH.apply()
