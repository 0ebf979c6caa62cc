"""What `deploy --check` finds on AWS: moto's AWS in the process, and fakes where moto has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from modelwatch_cli.deployment.preflight import Finding, PreflightError, look_ahead
from modelwatch_cli.deployment.rights import denied_actions
from modelwatch_cli.settings import Settings

ACCOUNT = "123456789012"  # moto's
REGION = "eu-central-1"
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/modelwatch"
GIVEN = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCOUNT_ID": ACCOUNT,
    "STAGE": "prod",
    "MODEL_BUCKET": "acme-mlflow",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
    "IMAGE_REPOSITORY": REPOSITORY,
}


class Simulation:
    """IAM's, which moto does not have: every action is allowed but those of ``not_allowed``."""

    def __init__(self, not_allowed: frozenset[str] = frozenset(), missing: tuple[str, ...] = ()):
        self.not_allowed = not_allowed
        self.missing = list(missing)
        self.asked: list[dict[str, Any]] = []

    def get_role(self, RoleName: str) -> dict[str, Any]:  # noqa: N803
        return {"Role": {"Arn": f"arn:aws:iam::{ACCOUNT}:role/ci/{RoleName}"}}

    def simulate_principal_policy(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {
            "EvaluationResults": [
                {
                    "EvalActionName": action,
                    "EvalDecision": "implicitDeny" if action in self.not_allowed else "allowed",
                    "MissingContextValues": self.missing,
                }
                for action in asked["ActionNames"]
            ]
        }


class Service:
    """A service of which a check asks one thing."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Any:
        def answer(**asked: Any) -> Any:
            self.asked.append(asked)
            if isinstance(self._answers[operation], Exception):
                raise self._answers[operation]
            return self._answers[operation]

        return answer


def quotas(at_once: int, used: float) -> Service:
    limit = {"ConcurrentExecutions": at_once, "TotalCodeSize": 80e9}
    return Service(
        get_account_settings={"AccountLimit": limit, "AccountUsage": {"TotalCodeSize": used}}
    )


def refusal(code: str, status: int = 400) -> ClientError:
    error: Any = {"Error": {"Code": code, "Message": code}}
    return ClientError(error | {"ResponseMetadata": {"HTTPStatusCode": status}}, "x")


class Account:
    """An account of AWS."""

    def __init__(self) -> None:
        self.fakes: dict[str, Any] = {
            "iam": Simulation(),
            "lambda": quotas(1000, 0),
            "ecr": Service(describe_repositories={}),
        }

    def client(self, service: str) -> Any:
        return self.fakes.get(service) or boto3.client(service, region_name=REGION)

    def bucket(self, name: str, region: str = REGION) -> None:
        where: Any = {"LocationConstraint": region}
        s3 = boto3.client("s3", region_name=region)
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
        # as AWS does it with each new bucket
        rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})

    def find(self, *apps: str, **given: str) -> dict[str, Finding]:
        """Return the findings by subject, the last of each."""
        found = look_ahead(Settings(GIVEN | given), apps or ("capture",), self.client)
        return {each.subject: each for each in found}


@pytest.fixture
def account() -> Iterator[Account]:
    with mock_aws():
        yield Account()


def test_a_ready_account_is_shown(account: Account) -> None:
    account.bucket("acme-mlflow")
    found = account.find()
    assert {each.state for each in found.values()} == {"ok"}
    assert f"{ACCOUNT}, {REGION}, as arn:aws:" in found["account"].text
    captures = f"modelwatch-prod-captures-{ACCOUNT}-{REGION}"
    assert found["CAPTURE_BUCKET"].text == f"{captures} will be made"
    assert "encrypted (AES256)" in found["MODEL_BUCKET"].text


def test_everything_that_is_wrong_is_found_at_once(account: Account) -> None:
    account.bucket("elsewhere", "eu-west-1")
    account.fakes["lambda"] = quotas(5, 79.9e9)
    account.fakes["ecr"] = Service(describe_repositories=refusal("RepositoryNotFoundException"))
    account.fakes["iam"] = Simulation(frozenset({"iam:PassRole"}))
    given = {"CAPTURE_BUCKET": "elsewhere", "AWS_ACCOUNT_ID": "999999999999"}
    found = account.find("analyze", **given)
    wrong = {name for name, each in found.items() if each.state == "wrong"}
    assert wrong == {
        *("account", "rights", "CAPTURE_BUCKET", "MODEL_BUCKET", "quotas", "registry", "images"),
    }
    assert "999999999999" in found["account"].text
    assert "iam:PassRole" in found["rights"].text
    assert "is in eu-west-1" in found["CAPTURE_BUCKET"].text
    assert "there is no bucket acme-mlflow" in found["MODEL_BUCKET"].text
    assert "100 MB" in found["quotas"].text
    assert "https" in found["registry"].text
    assert "create-repository --repository-name modelwatch" in found["images"].text
    assert "rights: " in str(PreflightError(list(found.values())))


def test_a_bucket_of_another_account_is_refused(account: Account) -> None:
    # moto does not look at the owner that a request expects
    s3 = account.fakes["s3"] = Service(head_bucket=refusal("403", 403))
    found = account.find(MODEL_BUCKET_OWNER="999999999999")
    assert "not account 999999999999's" in found["MODEL_BUCKET"].text
    assert {found[name].state for name in ("MODEL_BUCKET", "PACKAGE_BUCKET")} == {"wrong"}
    owners = [each["ExpectedBucketOwner"] for each in s3.asked]
    assert owners == [ACCOUNT, ACCOUNT, ACCOUNT, "999999999999"]


def test_what_the_principal_may_not_ask_stops_nothing(account: Account) -> None:
    account.fakes["iam"] = Service(simulate_principal_policy=refusal("AccessDenied"))
    account.fakes["lambda"] = Service(get_account_settings=refusal("AccessDenied"))
    found = account.find()
    assert (found["rights"].state, found["quotas"].state) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("repository", "said"),
    [
        (".modelwatch/images", "ECR alone"),
        (REPOSITORY.replace(REGION, "eu-west-1"), "its own region"),
    ],
)
def test_images_come_from_a_registry_that_lambda_reads(
    account: Account, repository: str, said: str
) -> None:
    found = account.find("analyze", IMAGE_REPOSITORY=repository)["images"]
    assert found.state == "wrong"
    assert said in found.text


@pytest.mark.parametrize("host", ["http://adb-1.example", "https://127.0.0.1:1"])
def test_databricks_is_looked_at_by_its_host(account: Account, host: str) -> None:
    given = {"MLFLOW_TRACKING_URI": "databricks-uc", "DATABRICKS_HOST": host}
    found = account.find("predict", **given)["registry"]
    assert found.state == "wrong"
    assert f"DATABRICKS_HOST={host} is not an https address" in found.text


def test_an_emulation_is_asked_for_its_account_alone(account: Account) -> None:
    assert account.find("analyze", AWS_ENDPOINT_URL="http://x:1").keys() == {"account"}


def test_with_a_role_of_cloudformation_the_rights_on_what_it_makes_are_its_own() -> None:
    role, deployer = (f"arn:aws:iam::{ACCOUNT}:{name}" for name in ("role/makes", "user/ci"))
    iam = Simulation(frozenset({"sqs:CreateQueue", "cloudformation:CreateChangeSet"}))
    denied, _ = denied_actions(Settings(GIVEN | {"CLOUDFORMATION_ROLE": role}), deployer, iam)
    assert denied == ["cloudformation:CreateChangeSet", f"sqs:CreateQueue (as {role})"]
    own = [each for each in iam.asked if each["PolicySourceArn"] == deployer]
    services = {action.partition(":")[0] for each in own for action in each["ActionNames"]}
    assert services == {"cloudformation", "s3", "iam"}
    passed = [each for each in own if each["ActionNames"] == ["iam:PassRole"]]
    assert [each["ResourceArns"] for each in passed] == [[role]]
    assert {each["PolicySourceArn"] for each in iam.asked} == {deployer, role}


def test_rights_are_those_of_the_role_behind_a_session() -> None:
    iam = Simulation(frozenset({"iam:PassRole"}), ("aws:RequestTag/team",))
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/session"
    assert denied_actions(Settings(GIVEN), arn, iam) == ([], ["iam:PassRole"])
    sources = {each["PolicySourceArn"] for each in iam.asked}
    assert sources == {f"arn:aws:iam::{ACCOUNT}:role/ci/deployer"}
    resources = {resource for each in iam.asked for resource in each["ResourceArns"]}
    assert f"arn:aws:sqs:{REGION}:{ACCOUNT}:modelwatch-prod-captures" in resources
    assert denied_actions(Settings(GIVEN), f"arn:aws:iam::{ACCOUNT}:root", iam) == ([], [])


def test_a_rollout_needs_rights_on_codedeploy() -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user/ci"
    denied = frozenset({"codedeploy:CreateDeployment", "lambda:PublishVersion"})
    assert denied_actions(Settings(GIVEN), arn, Simulation(denied)) == ([], [])
    asked = Settings(GIVEN | {"PREDICT_ROLLOUT": "Canary10Percent15Minutes"})
    iam = Simulation(denied)
    assert set(denied_actions(asked, arn, iam)[0]) == denied
    resources = {resource for each in iam.asked for resource in each["ResourceArns"]}
    config = "deploymentconfig:CodeDeployDefault.LambdaCanary10Percent15Minutes"
    assert f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:{config}" in resources


def test_a_key_that_encrypts_nothing_is_found(account: Account) -> None:
    kms = boto3.client("kms", region_name=REGION)
    key = kms.create_key()["KeyMetadata"]
    arn = key["Arn"]
    assert account.find(KMS_KEY_ARN=arn)["KMS_KEY_ARN"].state == "ok"
    mailed = {"KMS_KEY_ARN": arn, "ALARM_EMAILS": "ops@acme.example"}
    assert "cloudwatch.amazonaws.com and events" in account.find(**mailed)["KMS_KEY_ARN"].text
    services = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
    use = {
        "Effect": "Allow",
        "Principal": {"Service": services},
        "Action": "kms:*",
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [use]})
    kms.put_key_policy(KeyId=key["KeyId"], PolicyName="default", Policy=policy)
    assert account.find(**mailed)["KMS_KEY_ARN"].state == "ok"
    kms.disable_key(KeyId=key["KeyId"])
    found = account.find(KMS_KEY_ARN=arn)["KMS_KEY_ARN"]
    assert (found.state, "an enabled symmetric key is needed" in found.text) == ("wrong", True)
    elsewhere = arn.replace(REGION, "eu-west-1")
    assert f"not in {REGION}" in account.find(KMS_KEY_ARN=elsewhere)["KMS_KEY_ARN"].text
    missing = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000"
    assert "there is no key" in account.find(KMS_KEY_ARN=missing)["KMS_KEY_ARN"].text
