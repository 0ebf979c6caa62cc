"""Which account of AWS is meant."""

from collections.abc import Mapping
from functools import cache

from modelwatch.errors import SettingError
from modelwatch.settings.reading import Setting

ASKED = {"MODELWATCH_ASKS_FOR_ACCOUNT": "1"}
"""Beside the other variables: AWS is asked for the account that is not said, when it is needed."""


class Account(Setting[str]):
    """The number of an account, whose default is that of the credentials.

    A function's deployment says it, so only programs that run elsewhere ask (`ASKED`): not when
    they start, but when a name or a request needs it.

    >>> each = Account("", "", str)
    >>> each.default_in({}), each.default_in({"AWS_ENDPOINT_URL": "http://127.0.0.1"} | ASKED)
    ('', '')
    """

    def default_in(self, environ: Mapping[str, str]) -> str:
        """Return the account of the credentials; nothing if it is not AWS, or no one asks.

        Raises SettingError when AWS does not say it.
        """
        if environ.get("AWS_ENDPOINT_URL", "").strip() or not ASKED.items() <= environ.items():
            return self.default
        return _of_credentials(environ.get("AWS_DEFAULT_REGION", "").strip() or "us-east-1")


@cache
def _of_credentials(region: str) -> str:
    # boto3 takes a while to import, and most commands are for the stack
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    soon = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
    try:
        caller = boto3.client("sts", region_name=region, config=soon).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise SettingError(
            "AWS_ACCOUNT_ID", f"is not said, and AWS does not say which account is meant: {error}"
        ) from error
    return str(caller["Account"])
