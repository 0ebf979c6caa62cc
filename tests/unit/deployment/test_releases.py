"""Releases are written down once, and one is put back whole or not at all."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from in_memory_cloudformation import InMemoryCloudFormation, event
from in_memory_s3 import InMemoryS3
from modelwatch.errors import InvalidInputError, StoreError
from modelwatch_cli.deployment.app_stacks import Code
from modelwatch_cli.deployment.cloudformation.errors import StackError
from modelwatch_cli.deployment.cloudformation.stacks import StackDeployer
from modelwatch_cli.deployment.releases import (
    Release,
    ReleasedApp,
    ReleaseStore,
    before_live,
    live_apps,
)
from modelwatch_cli.deployment.rollback import Rollback, RollbackError
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LAYER = "arn:aws:lambda:eu-west-1:1:layer:modelwatch-prod-core"
AWS = {"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "", "STAGE": "prod"}
AWS |= {"PACKAGE_BUCKET": "packages", "MLFLOW_TRACKING_PASSWORD": "today's"}


def template(code):
    """Return the template of an app as `deploy` makes it, with this package."""
    return {
        "Parameters": {
            "Stage": {"Type": "String"},
            "CoreLayer": {"Type": "String"},
            "CaptureQueueArn": {"Type": "String"},
            "MlflowTrackingPassword": {"Type": "String", "NoEcho": True},
        },
        "Resources": {
            "APIHandler": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "CodeUri": f"s3://packages/{code}",
                    "Layers": [{"Ref": "CoreLayer"}],
                },
            },
            "RestAPI": {"Properties": {"DefinitionBody": {"paths": {}}, "StageName": "api"}},
        },
        "Outputs": {
            "Code": {"Value": code},
            "RestAPIId": {"Value": "abc"},
            "APIHandlerArn": {"Value": "arn:aws:lambda:eu-west-1:1:function:f"},
            "EndpointURL": {"Value": "https://abc/api/"},
        },
    }


class NotThereError(Exception):
    """What boto3 raises for what does not exist."""


class Apis:
    """An API Gateway on which there is nothing to put right."""

    exceptions = SimpleNamespace(NotFoundException=NotThereError)

    def get_stages(self, restApiId):  # noqa: N803
        assert restApiId == "abc"
        return {"item": [{"stageName": "api"}]}

    def delete_stage(self, restApiId, stageName):  # noqa: N803
        pass

    def get_paginator(self, _operation):
        return SimpleNamespace(paginate=lambda **_: [])


class Functions:
    """Lambda's layers."""

    exceptions = SimpleNamespace(ResourceNotFoundException=NotThereError)

    def __init__(self):
        self.layers = {f"{LAYER}:1", f"{LAYER}:2"}

    def get_layer_version_by_arn(self, Arn):  # noqa: N803
        if Arn not in self.layers:
            raise NotThereError


class Account:
    """A stage on AWS that was deployed some times, and what it says."""

    def __init__(self):
        self.aws = InMemoryCloudFormation()
        self.s3 = InMemoryS3()
        self.functions = Functions()
        self.order, self.said = [], []
        self.left = 0
        self.aws.stacks["modelwatch-prod-pipeline"] = {
            "StackStatus": "CREATE_COMPLETE",
            "Outputs": [{"OutputKey": "CaptureQueueArn", "OutputValue": "arn:queue"}],
        }

    def rollback(self, variables=AWS):
        def drain():
            self.order.append("drain")
            return self.left

        return Rollback(
            Project(),
            Settings(variables),
            SimpleNamespace(
                cloudformation=self.aws, packages=self.s3, functions=self.functions, apis=Apis()
            ),
            StackDeployer(self.aws, lambda _: "", sleep=lambda _: None),
            SimpleNamespace(say=lambda *words: self.said.append(words), done=self.note),
            drain,
        )

    def note(self, result):
        self.order.append(result.name.split("-")[-1])

    def deploy(self, **packages):
        """Deploy apps with these packages, of the layer of this number."""
        stacks = self.rollback().app_stacks
        for app, package in packages.items():
            key, layer = f"functions/{app}-{package}.zip", f"{LAYER}:{package}"
            self.s3.objects[key] = key.encode()
            sha256 = base64.b64encode(hashlib.sha256(key.encode()).digest()).decode()
            values = {"Stage": "prod", "CoreLayer": layer, "CaptureQueueArn": "arn:queue"}
            values["MlflowTrackingPassword"] = "today's"
            stacks.put(app, template(key), values, Code(key, sha256, {"pipeline"}))
        stacks.add_release("1.2.0", "abc")

    @property
    def releases(self):
        return self.rollback().app_stacks.releases

    def digests(self):
        return self.rollback().app_stacks.digests()

    def runs(self, app):
        stack = self.aws.stacks[f"modelwatch-prod-{app}"]
        return next(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "Code")


@pytest.fixture
def account():
    return Account()


def test_a_release_is_what_a_deployment_changed_and_has_the_other_apps_as_they_are(account):
    account.deploy(predict=1, capture=1, analyze=1)
    account.deploy(predict=1, capture=1, analyze=1)
    account.deploy(capture=2)
    newest, first = account.releases.newest(10)
    assert (newest.number, first.number) == (2, 1)
    assert newest.apps["capture"].code == "functions/capture-2.zip"
    assert (newest.apps["predict"], newest.apps["analyze"]) == (
        first.apps["predict"],
        first.apps["analyze"],
    )
    live = live_apps([newest, first], account.digests())
    assert live == {2: ["analyze", "capture", "predict"], 1: []}
    assert account.said.count(("release", "2")) == 1


def test_no_release_holds_a_secret(account):
    account.deploy(predict=1)
    (release,) = account.releases.newest(10)
    assert "MlflowTrackingPassword" not in release.apps["predict"].parameters
    assert not [key for key, body in account.s3.objects.items() if b"today's" in body]


def test_a_deployment_that_fails_is_no_release_and_leaves_what_ran(account):
    account.deploy(predict=1)
    account.aws.fails_with = [event("APIHandler", "UPDATE_FAILED", "no such layer")]
    with pytest.raises(StackError, match="no such layer"):
        account.deploy(predict=2)
    assert account.runs("predict") == "functions/predict-1.zip"
    assert [each.number for each in account.releases.newest(10)] == [1]


def test_localstack_which_brings_nothing_back_gets_what_ran_before_again(account):
    account.deploy(predict=1)
    account.aws.fails_with = [event("APIHandler", "UPDATE_FAILED", "no such layer")]
    local = AWS | {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
    stacks = account.rollback(local).app_stacks
    with pytest.raises(StackError, match="no such layer"):
        stacks.put("predict", template("functions/predict-2.zip"), {}, Code("x", "", ()))
    name = "modelwatch-prod-predict"
    assert (name, "failed: what was there before is made again") in account.said
    assert account.runs("predict") == "functions/predict-1.zip"


def test_the_release_before_is_put_back_predict_first_and_once(account):
    account.deploy(predict=1, capture=1, analyze=1)
    account.deploy(predict=2, capture=2, analyze=1)
    account.left = 3

    def back():
        account.order.clear()
        chosen = before_live(account.releases.newest(10), account.digests())
        results = account.rollback().run(chosen)
        return chosen.number, [each.action for each in results]

    assert back() == (1, ["updated", "updated", "unchanged"])
    assert account.order == ["predict", "drain", "capture"]
    assert any("3 messages" in words for _, words in account.said)
    assert account.runs("predict") == "functions/predict-1.zip"
    newest, *_ = account.releases.newest(10)
    assert (newest.number, newest.puts_back, newest.version) == (3, 1, "1.2.0")
    assert back() == (3, ["unchanged"] * 3)
    assert (account.order, len(account.releases.newest(10))) == ([], 3)
    # the newest code again
    assert account.rollback().run(account.releases.read(2))[0].action == "updated"
    assert account.runs("predict") == "functions/predict-2.zip"


def test_a_dry_run_changes_nothing(account):
    account.deploy(predict=1)
    account.deploy(predict=2)
    before = dict(account.s3.objects), len(account.aws.requests)
    results = account.rollback().run(account.releases.read(1), dry_run=True)
    assert [each.action for each in results] == ["updated"]
    assert (dict(account.s3.objects), len(account.aws.requests)) == before


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("package", "s3://packages/functions/predict-1.zip is gone"),
        ("changed package", "is not what was deployed"),
        ("layer", f"the layer {LAYER}:1 is gone"),
        ("stack", "the stack modelwatch-prod-pipeline is gone"),
    ],
)
def test_a_release_of_which_a_part_is_gone_is_refused_and_nothing_changes(account, part, reason):
    account.deploy(capture=1, predict=1)
    account.deploy(capture=2, predict=2)
    match part:
        case "package":
            del account.s3.objects["functions/predict-1.zip"]
        case "changed package":
            account.s3.objects["functions/predict-1.zip"] = b"someone else's"
        case "layer":
            account.functions.layers.remove(f"{LAYER}:1")
        case "stack":
            del account.aws.stacks["modelwatch-prod-pipeline"]
    with pytest.raises(RollbackError, match=reason):
        account.rollback().run(account.releases.read(1))
    assert account.runs("predict") == "functions/predict-2.zip"
    assert account.runs("capture") == "functions/capture-2.zip"


def test_a_template_that_someone_changed_is_refused(account):
    account.deploy(predict=1)
    account.deploy(predict=2)
    release = account.releases.read(1)
    key = f"templates/{release.apps['predict'].template}.json"
    account.s3.objects[key] = json.dumps(template("functions/evil.zip")).encode()
    with pytest.raises(StoreError, match="not what was deployed"):
        account.rollback().run(release)
    assert account.runs("predict") == "functions/predict-2.zip"


def test_what_other_stacks_give_is_todays(account):
    account.deploy(predict=1)
    account.deploy(predict=2)
    (output,) = account.aws.stacks["modelwatch-prod-pipeline"]["Outputs"]
    output["OutputValue"] = "arn:queue:new"
    account.rollback().run(account.releases.read(1))
    _, request = account.aws.requests[-1]
    values = {each["ParameterKey"]: each["ParameterValue"] for each in request["Parameters"]}
    assert values["CaptureQueueArn"] == "arn:queue:new"
    assert values["CoreLayer"] == f"{LAYER}:1"
    assert values["MlflowTrackingPassword"] == "today's"


def release(number, puts_back=0, **digests):
    apps = {
        app: ReleasedApp(stack_digest=each, template="t", parameters={}, code="c")
        for app, each in digests.items()
    }
    return Release(number=number, at=NOW, version="1", revision="", apps=apps, puts_back=puts_back)


def test_without_a_number_it_is_the_release_before_the_newest():
    releases = [release(3, predict="b"), release(2, predict="b"), release(1, predict="a")]
    assert before_live(releases, {"predict": "b"}).number == 1


def test_without_a_number_what_is_not_clear_is_refused():
    one, two = release(1, predict="a"), release(2, predict="b")
    with pytest.raises(InvalidInputError, match="there are no releases yet"):
        before_live([], {})
    with pytest.raises(InvalidInputError, match="none before the newest one, 1"):
        before_live([one], {"predict": "a"})
    with pytest.raises(InvalidInputError, match="predict is not as in the newest release, 2"):
        before_live([two, one], {"predict": "c"})
    with pytest.raises(InvalidInputError, match="there is no release 9"):
        ReleaseStore(InMemoryS3(), "packages", "prod").read(9)


def test_two_deployments_at_once_write_one_release_each_or_say_so():
    s3 = InMemoryS3()
    store = ReleaseStore(s3, "packages", "prod")
    s3.interrupt_at = 2  # between listing and writing
    s3.interruption = lambda: store.add(release(1, predict="b").apps, "1", "")
    with pytest.raises(StoreError, match="someone else"):
        store.add(release(1, predict="a").apps, "1", "")
    assert [each.number for each in store.newest(10)] == [1]
    store.delete_all()
    assert not s3.objects
