"""What `deploy --check` asks AWS before anything is made: all that is wrong, in one list."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.registries import registry_of
from modelwatch.errors import ModelwatchError, SettingError
from modelwatch.settings.kinds import DATABRICKS, managed_region
from modelwatch_cli.console import count_of
from modelwatch_cli.deployment.additions.alarms.listeners import PUBLISHERS
from modelwatch_cli.deployment.cloudformation.plan import wants_alarms
from modelwatch_cli.deployment.rights import denied_actions
from modelwatch_cli.retention.locks import is_weaker, read_lock
from modelwatch_cli.settings import Settings

type Clients = Callable[[str], Any]
"""Returns the boto3 client of a service, in the deployment's region."""

_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)")
SETTINGS = "settings"

_LEAST_BYTES = 500_000_000
"""Room for code that a deployment and the one before it take, at most."""
_LEAST_ENVIRONMENTS = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``unknown`` stops no deployment."""

    subject: str
    state: Literal["ok", "wrong", "unknown"]
    text: str

    def __str__(self) -> str:
        return self.text if self.subject == SETTINGS else f"{self.subject}: {self.text}"


class PreflightError(ModelwatchError):
    """A deployment cannot succeed; the message has a line for each reason."""

    def __init__(self, findings: Collection[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, findings)))


def look_ahead(settings: Settings, apps: Collection[str], clients: Clients) -> list[Finding]:
    """Return what is found on AWS for a deployment of ``apps``; nothing is changed.

    On another endpoint it is the account alone: an emulation has no rights and quotas to check.
    """
    try:
        caller = clients("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        return [Finding("account", "wrong", f"the credentials are not accepted: {error}")]
    account, region = str(caller["Account"]), settings.aws_default_region
    findings: list[Finding] = []
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        "account": lambda: [_account(settings, account, str(caller["Arn"]))]
    }
    on_aws: dict[str, Callable[[], Iterable[Finding]]] = {
        "rights": lambda: _rights(settings, str(caller["Arn"]), clients),
        **{
            setting: partial(_bucket, setting, settings, account, clients)
            for setting in ("CAPTURE_BUCKET", "REPORT_BUCKET", "PACKAGE_BUCKET", "MODEL_BUCKET")
        },
        "quotas": lambda: _quotas(clients("lambda")),
    }
    if settings.report_lock:
        on_aws["REPORT_LOCK"] = lambda: [_lock(settings, clients("s3"))]
    if settings.kms_key_arn:
        on_aws["KMS_KEY_ARN"] = lambda: [_key(settings, clients("kms"))]
    if {"predict", "analyze"} & set(apps):
        on_aws["registry"] = lambda: _registry(settings)
        on_aws["images"] = lambda: _images(settings, apps, account, region, clients)
    if not settings.aws_endpoint_url:
        checks |= on_aws
    for subject, check in checks.items():
        try:
            findings += check()
        except SettingError:
            continue  # the list of wrong settings has it
        except (BotoCoreError, ClientError) as error:
            # who may deploy need not be allowed to ask
            findings.append(Finding(subject, "unknown", f"cannot be asked: {error}"))
    return findings


def _account(settings: Settings, account: str, arn: str) -> Finding:
    meant = settings.text("AWS_ACCOUNT_ID")
    if meant and meant != account:
        return Finding(
            "account", "wrong", f"AWS_ACCOUNT_ID means {meant}, the credentials are of {account}"
        )
    return Finding("account", "ok", f"{account}, {settings.aws_default_region}, as {arn}")


def _rights(settings: Settings, arn: str, clients: Clients) -> Iterator[Finding]:
    denied, unsure = denied_actions(settings, arn, clients("iam"))
    if denied:
        yield Finding("rights", "wrong", f"{arn} may not: {', '.join(denied)}")
    elif unsure:
        yield Finding("rights", "unknown", f"they depend on conditions: {', '.join(unsure)}")
    else:
        yield Finding("rights", "ok", "they suffice")


def _bucket(setting: str, settings: Settings, account: str, clients: Clients) -> Iterator[Finding]:
    s3, name = clients("s3"), settings.text(setting)
    owner = account
    if setting == "MODEL_BUCKET":
        owner = settings.text("MODEL_BUCKET_OWNER") or account
    try:
        head = s3.head_bucket(Bucket=name, ExpectedBucketOwner=owner)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404 and setting != "MODEL_BUCKET":
            yield Finding(setting, "ok", f"{name} will be made")
        elif status == 404:
            yield Finding(setting, "wrong", f"there is no bucket {name}")
        elif status == 403:
            yield Finding(
                setting, "wrong", f"{name} is not account {owner}'s, or it may not be read"
            )
        else:
            yield Finding(setting, "wrong", f"{name} cannot be read: {error}")
        return
    there = head.get("BucketRegion") or settings.aws_default_region
    if there != settings.aws_default_region and setting != "MODEL_BUCKET":
        yield Finding(setting, "wrong", f"{name} is in {there}, not in AWS_DEFAULT_REGION")
        return
    yield _encryption(setting, name, s3)


def _encryption(setting: str, name: str, s3: Any) -> Finding:
    try:
        rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ServerSideEncryptionConfigurationNotFoundError":
            return Finding(setting, "wrong", f"{name} has no encryption by default")
        return Finding(setting, "unknown", f"{name} is there; its encryption is not known: {error}")
    kinds = {rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules}
    return Finding(setting, "ok", f"{name} is there, encrypted ({', '.join(sorted(kinds))})")


def _lock(settings: Settings, s3: Any) -> Finding:
    bucket, wanted, subject = settings.report_bucket, settings.report_lock, "REPORT_LOCK"
    try:
        s3.head_bucket(Bucket=bucket)
        found = read_lock(s3, bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        found = None
    if found and wanted and is_weaker(wanted, found):
        text = f"{bucket} has the lock {found}; {wanted} is weaker, and modelwatch loosens none"
        return Finding(subject, "wrong", text)
    if found is None and settings.aws_endpoint_url_s3:
        text = f"{bucket} has no lock, and some S3s other than AWS's give one only to a new bucket"
        return Finding(subject, "unknown", f"{text}: make it with Object Lock if deploy fails")
    return Finding(subject, "ok", f"{bucket} will keep what is written from now on: {wanted}")


def _key(settings: Settings, kms: Any) -> Finding:
    arn, subject = settings.kms_key_arn, "KMS_KEY_ARN"
    if arn.split(":")[3] != settings.aws_default_region:
        return Finding(subject, "wrong", f"{arn} is not in {settings.aws_default_region}")
    try:
        found = kms.describe_key(KeyId=arn)["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        return Finding(subject, "wrong", f"there is no key {arn}")
    if found["KeyState"] != "Enabled" or found.get("KeySpec") != "SYMMETRIC_DEFAULT":
        state = f"{found['KeyState']}, {found.get('KeySpec')}"
        return Finding(subject, "wrong", f"{arn} is {state}; an enabled symmetric key is needed")
    if wants_alarms(settings) and not settings.alarm_topic_arn:
        policy = json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])
        named = [each["Principal"] for each in policy["Statement"] if each["Effect"] == "Allow"]
        if silent := [service for service in PUBLISHERS if service not in str(named)]:
            text = f"does not allow {' and '.join(silent)}: no alarm would arrive"
            return Finding(subject, "wrong", f"the policy of {arn} {text}")
    return Finding(subject, "ok", f"{arn} is enabled")


def _quotas(functions: Any) -> Iterator[Finding]:
    found = functions.get_account_settings()
    limit, used = found["AccountLimit"], found["AccountUsage"]
    at_once = limit["ConcurrentExecutions"]
    room = limit["TotalCodeSize"] - used["TotalCodeSize"]
    if at_once < _LEAST_ENVIRONMENTS:
        text = f"the account runs {at_once} environments of functions at once"
        yield Finding("quotas", "wrong", f"{text}; {_LEAST_ENVIRONMENTS} are needed")
    if room < _LEAST_BYTES:
        text = f"there is room for {room / 1e6:.0f} MB of functions and layers"
        yield Finding("quotas", "wrong", f"{text}; {_LEAST_BYTES / 1e6:.0f} MB are needed")
    elif at_once >= _LEAST_ENVIRONMENTS:
        text = f"{at_once} environments of functions at once, room for {room / 1e9:.0f} GB of code"
        yield Finding("quotas", "ok", text)


def _registry(settings: Settings) -> Iterator[Finding]:
    uri = settings.mlflow_tracking_uri
    parts = urlsplit(settings.databricks_host if uri in DATABRICKS else uri)
    is_here = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not managed_region(uri) and (parts.scheme != "https" or is_here):
        yield Finding(
            "registry",
            "wrong",
            f"{'DATABRICKS_HOST' if uri in DATABRICKS else 'MLFLOW_TRACKING_URI'}={parts.geturl()} "
            "is not an https address that functions on AWS reach",
        )
        return
    try:
        count = len(registry_of(settings).names())
    except ModelwatchError as error:
        yield Finding("registry", "wrong", f"{uri} cannot be used: {error}")
        return
    yield Finding("registry", "ok", f"{uri} responds, with {count_of(count, 'model')}")


def _images(
    settings: Settings, apps: Collection[str], account: str, region: str, clients: Clients
) -> Iterator[Finding]:
    uri = settings.image_repository
    match = _ECR.fullmatch(uri)
    # analyze is always an image; predict may be one
    state: Literal["wrong", "unknown"] = "wrong" if "analyze" in apps else "unknown"
    if shutil.which("docker") is None:
        yield Finding("images", state, "`docker` is not here, and makes the images")
    if match is None:
        example = f"{account}.dkr.ecr.{region}.amazonaws.com/modelwatch"
        yield Finding(
            "images", state, f"Lambda takes images from ECR alone: IMAGE_REPOSITORY={example}"
        )
        return
    if match[2] != region:
        yield Finding(
            "images", state, f"{uri} is in {match[2]}; Lambda takes images of its own region"
        )
        return
    try:
        clients("ecr").describe_repositories(registryId=match[1], repositoryNames=[match[3]])
    except ClientError as error:
        if error.response["Error"]["Code"] != "RepositoryNotFoundException":
            raise
        yield Finding(
            "images",
            state,
            f"there is no {uri}: `aws ecr create-repository --repository-name {match[3]}`",
        )
        return
    yield Finding("images", "ok", f"{uri} is there")
