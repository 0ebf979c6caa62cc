"""The plugins that LocalStack loads. Every start imports this module, so it imports little."""

from typing import Any

from localstack.runtime.server.core import RuntimeServerPlugin
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin


class ProcessRuntimeExecutorPlugin(RuntimeExecutorPlugin):
    """The executor for ``LAMBDA_RUNTIME_EXECUTOR=process``."""

    name = "process"

    def load(self, *args: Any, **kwargs: Any) -> Any:
        from .executor import ProcessRuntimeExecutor
        from .failed_versions import let_failed_versions_be_deleted
        from .log_groups import let_streams_have_filters, list_without_copies
        from .settings import Settings
        from .turns import bound_environments

        let_failed_versions_be_deleted()
        list_without_copies()
        let_streams_have_filters()
        bound_environments(Settings.from_environment().concurrency)
        return ProcessRuntimeExecutor


class BoundTwistedServerPlugin(RuntimeServerPlugin):
    """The server for ``GATEWAY_SERVER=twisted-loopback``."""

    name = "twisted-loopback"

    def load(self, *args: Any, **kwargs: Any) -> Any:
        from .server import BoundTwistedRuntimeServer

        return BoundTwistedRuntimeServer()
