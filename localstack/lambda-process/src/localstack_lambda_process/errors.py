"""Errors of the plugin. Their text is what a user reads as the function's StateReason."""


class LambdaProcessError(Exception):
    """Base of the plugin's errors."""


class RuntimeNotUsableError(LambdaProcessError):
    """The interpreter a function should run on is missing or cannot run functions."""


class UnsupportedFunctionError(LambdaProcessError):
    """The function asks for something a local process cannot give."""


class ImageNotFoundError(LambdaProcessError):
    """No directory stands in for the function's container image."""


class EnvironmentStoppedError(LambdaProcessError):
    """The execution environment was stopped while it was at work."""
