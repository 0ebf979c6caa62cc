"""Makes LocalStack delete a function whose creation failed.

LocalStack forgets the manager of a version whose preparation failed. Then it cannot stop that
version: DeleteFunction returns 500, so a CloudFormation stack cannot be deleted either, and the
function's name is in use until LocalStack restarts. There is nothing to stop in such a version.
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
    """Change LocalStack's service; a second call changes nothing."""
    _PATCH.apply()
