"""A key of one's own for what functions log, on moto's CloudWatch Logs."""

from __future__ import annotations

from typing import Any

import pytest

from modelwatch_cli.deployment.additions.encryption import keep_logs
from modelwatch_cli.settings import Settings

KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"
OTHER = "arn:aws:kms:us-east-1:123456789012:key/99999999"


class Logs:
    """CloudWatch Logs, as far as keys go; moto cannot exchange them."""

    def __init__(self, *groups: str) -> None:
        self.keys: dict[str, str | None] = dict.fromkeys(groups)
        self.days: dict[str, int] = {}

    def describe_log_groups(self, *, logGroupNamePrefix: str) -> dict[str, Any]:  # noqa: N803
        found = {
            name: key for name, key in self.keys.items() if name.startswith(logGroupNamePrefix)
        }
        groups = [
            {"logGroupName": name}
            | ({"kmsKeyId": key} if key else {})
            | ({"retentionInDays": self.days[name]} if name in self.days else {})
            for name, key in found.items()
        ]
        return {"logGroups": groups}

    def put_retention_policy(self, *, logGroupName: str, retentionInDays: int) -> None:  # noqa: N803
        assert logGroupName in self.keys
        assert self.days.get(logGroupName) != retentionInDays
        self.days[logGroupName] = retentionInDays

    def create_log_group(self, *, logGroupName: str, kmsKeyId: str | None = None) -> None:  # noqa: N803
        assert logGroupName not in self.keys
        self.keys[logGroupName] = kmsKeyId

    def associate_kms_key(self, *, logGroupName: str, kmsKeyId: str) -> None:  # noqa: N803
        assert self.keys[logGroupName] != kmsKeyId
        self.keys[logGroupName] = kmsKeyId

    def disassociate_kms_key(self, *, logGroupName: str) -> None:  # noqa: N803
        self.keys[logGroupName] = None


def test_logs_are_encrypted_before_a_function_writes_them_and_follow_the_setting() -> None:
    predict, image, capture = (
        f"/aws/lambda/modelwatch-prod-{each}" for each in ("predict", "predict-image", "capture")
    )
    logs = Logs(predict, image)
    names = ["modelwatch-prod-predict", "modelwatch-prod-capture"]
    keep_logs(logs, names, "", 30)
    assert logs.keys == {predict: None, image: None, capture: None}
    assert logs.days == {predict: 30, capture: 30}, "groups that Lambda made, too"
    keep_logs(logs, names, "", 7)
    assert logs.days == {predict: 7, capture: 7}
    for key in (KEY, KEY, OTHER):
        keep_logs(logs, names, key, 30)
        assert logs.keys == {predict: key, image: None, capture: key}
    keep_logs(logs, names, "", 30)
    assert logs.keys == {predict: None, image: None, capture: None}


@pytest.mark.parametrize(
    "value", ["alias/mine", "arn:aws:kms:us-east-1:123456789012:alias/mine", "0a1b2c3d", KEY + "*"]
)
def test_what_is_no_arn_of_a_key_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is not the ARN of a key in KMS"):
        type(Settings()).kms_key_arn.kind(value)
