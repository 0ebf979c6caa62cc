"""Which account of AWS the credentials belong to."""

from __future__ import annotations

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_SOON = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})


def account_of(region: str) -> str:
    """Return the account of the credentials; where AWS does not say it, the reason in words."""
    try:
        caller = boto3.client("sts", region_name=region, config=_SOON).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        return f"AWS does not say which account is meant ({error})"
    return str(caller["Account"])
