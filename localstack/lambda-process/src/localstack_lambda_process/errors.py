"""The plugin's errors. A user reads their text as the function's StateReason."""


class LambdaProcessError(Exception):
    """Base of the plugin's errors."""


class RuntimeNotUsableError(LambdaProcessError):
    """The interpreter of a function is missing or cannot run functions."""


class UnsupportedFunctionError(LambdaProcessError):
    """The function needs something that a local process does not have."""


class ImageNotFoundError(LambdaProcessError):
    """No directory stands in for the function's container image."""


class EnvironmentStoppedError(LambdaProcessError):
    """The execution environment was stopped during its work."""
