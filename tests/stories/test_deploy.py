"""Deployment to a real LocalStack: created, left alone, changed, failed and recovered."""

import gzip
import os
import shutil
import uuid
from dataclasses import replace

import httpx
import pytest

from modelwatch_cli.buckets import ensure_buckets
from modelwatch_cli.deployment.cloudformation.clients import make_clients
from modelwatch_cli.deployment.cloudformation.endpoints import api_urls
from modelwatch_cli.deployment.cloudformation.errors import NotDeployedError, StackError
from modelwatch_cli.deployment.cloudformation.plan import APPS, make_plan
from modelwatch_cli.deployment.deployer import Deployer
from modelwatch_cli.deployment.removal import undeploy
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.environment import read_env_file
from running_stack import RunningStack
from waiting import eventually

pytestmark = pytest.mark.servers

ROOT = Project().root

ROUTE = """

@app.route("/added", methods=["GET"])
def added() -> Response:
    return Response({"added": True})
"""


class Heard:
    """Keeps what a deployment says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, subject: str, message: str) -> None:
        self.said.append(f"{subject}: {message}")

    def done(self, result) -> None:
        pass


class Deployment:
    """A stage of its own, deployed from a copy of the functions that a test may change."""

    def __init__(self, stack: RunningStack, project: Project, stage: str) -> None:
        self.stack = stack
        self.project = project
        self.stage = stage
        self.heard = Heard()

    def own(self) -> dict[str, str]:
        return {
            "STAGE": self.stage,
            "CAPTURE_QUEUE_NAME": f"modelwatch-{self.stage}-captures",
            # all on LocalStack's own S3: the buckets are CloudFormation's to make
            "AWS_ENDPOINT_URL_S3": "",
            "CAPTURE_BUCKET": f"{self.stage}-captures",
            "REPORT_BUCKET": f"{self.stage}-reports",
            "ANALYSIS_SCHEDULE": "rate(1 hour)",
        }

    def settings(self, **changed: str) -> Settings:
        return Settings({**os.environ, **self.own(), **changed})

    def deploy(self, *apps: str, dry_run: bool = False, **changed: str) -> dict[str, str]:
        """Deploy; return what was done, by the last part of the stack's name."""
        settings = self.settings(**changed)
        clients = make_clients(settings)
        deployer = Deployer(
            project=self.project,
            settings=settings,
            plan=make_plan(settings, apps),
            clients=clients,
            progress=self.heard,
            ensure_buckets=lambda names: ensure_buckets(clients.packages, names),
            set_retention=lambda: None,
            ensure_package_bucket=lambda name: ensure_buckets(clients.packages, [name]),
            dry_run=dry_run,
        )
        return {result.name.split("-")[-1]: result.action for result in deployer.run()}

    def undeploy(self) -> dict[str, str]:
        settings = self.settings()
        results = undeploy(make_plan(settings), make_clients(settings), self.heard)
        return {result.name.split("-")[-1]: result.action for result in results}

    @property
    def shell(self) -> RunningStack:
        """Runs commands for this stage."""
        written = read_env_file(self.stack.home / "stack.env")
        return replace(self.stack, environ={**self.stack.environ, **written, **self.own()})

    def get(self, app: str, path: str) -> httpx.Response:
        return httpx.get(api_urls(self.settings())[app] + path, timeout=60)

    def append(self, app: str, source: str) -> None:
        with (self.project.function(app) / "app.py").open("a") as file:
            file.write(source)


@pytest.fixture(scope="module")
def deployment(stack, tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    # what was built before serves this project too
    (ROOT / "build").mkdir(exist_ok=True)
    for folder in (".envs", "build"):
        (root / folder).symlink_to(ROOT / folder)
    # copies: whoever edits the sources meanwhile changes nothing here
    ignored = shutil.ignore_patterns("__pycache__", "deployments")
    for folder in ("functions", "layers", "templates"):
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    with pytest.MonkeyPatch.context() as environment:
        variables = {**stack.environ, **read_env_file(stack.home / "stack.env")}
        for name, value in variables.items():
            environment.setenv(name, value)
        deployment = Deployment(stack, Project(root), f"t{uuid.uuid4().hex[:6]}")
        yield deployment
        deployment.undeploy()


@pytest.fixture(scope="module")
def first(deployment):
    """What the first deployment did: everything was missing."""
    with pytest.raises(NotDeployedError, match="predict is not deployed: run `modelwatch deploy`"):
        api_urls(deployment.settings())
    return deployment.deploy()


def test_the_first_deployment_creates_every_stack(first, deployment):
    parts = {"pipeline", "layers", "storage", *APPS}
    assert first == dict.fromkeys(parts, "created")
    for app in ("capture", "analyze"):  # predict has no model to be healthy with
        assert deployment.get(app, "/health").status_code == 200
        paths = deployment.get(app, "/openapi.json").json()["paths"]
        assert {"/health", "/docs", "/docs/{asset}"} <= paths.keys()
        assert "swagger-ui-bundle.js" in deployment.get(app, "/docs").text
        assert deployment.get(app, "/docs/swagger-ui-bundle.js").status_code == 200
    assert deployment.get("predict", "/").status_code == 200


@pytest.mark.usefixtures("first")
def test_the_functions_are_as_the_templates_say(deployment):
    functions = deployment.stack.client("lambda")
    name = f"modelwatch-{deployment.stage}-capture"
    made = functions.get_function_configuration(FunctionName=name)
    assert (made["Timeout"], made["MemorySize"], made["Handler"]) == (60, 1769, "app.consume")
    assert [layer["Arn"].split(":")[-2].split("-")[-1] for layer in made["Layers"]] == [
        "core",
        "capture",
    ]
    variables = made["Environment"]["Variables"]
    assert variables["CAPTURE_BUCKET"] == f"{deployment.stage}-captures"
    assert "AWS_ENDPOINT_URL_S3" not in variables
    (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (1000, 3)
    image = functions.get_function_configuration(
        FunctionName=f"modelwatch-{deployment.stage}-analyze"
    )
    assert image["PackageType"] == "Image"
    assert not image.get("Layers")


@pytest.mark.usefixtures("first")
def test_a_second_deployment_changes_nothing(deployment):
    assert set(deployment.deploy().values()) == {"unchanged"}
    assert set(deployment.deploy(dry_run=True).values()) == {"unchanged"}


@pytest.mark.usefixtures("first")
def test_changed_code_updates_that_app_alone_with_its_new_route(deployment):
    deployment.append("capture", ROUTE)
    url = api_urls(deployment.settings())["capture"]
    plan = deployment.deploy(dry_run=True)
    actions = deployment.deploy()
    assert {part for part, action in plan.items() if action != "unchanged"} == {"capture"}
    assert {part for part, action in actions.items() if action != "unchanged"} == {"capture"}
    assert actions["capture"] == "updated"
    assert api_urls(deployment.settings())["capture"] == url
    assert deployment.get("capture", "/added").json() == {"added": True}
    assert deployment.get("capture", "/health").status_code == 200
    apis = deployment.stack.client("apigateway")
    names = [api["name"] for api in apis.get_rest_apis(limit=500)["items"]]
    assert names.count(f"modelwatch-{deployment.stage}-capture") == 1


@pytest.mark.usefixtures("first")
def test_changed_code_without_a_new_route_keeps_the_url(deployment):
    url = api_urls(deployment.settings())["capture"]
    deployment.append("capture", "\n\nVERSION = 2\n")
    assert deployment.deploy("capture")["capture"] == "updated"
    assert api_urls(deployment.settings())["capture"] == url
    assert deployment.get("capture", "/added").status_code == 200


@pytest.mark.usefixtures("first")
def test_one_app_can_be_deployed_alone(deployment):
    assert deployment.deploy("analyze").keys() == {"storage", "analyze"}


@pytest.mark.usefixtures("first")
def test_a_failure_shows_its_reason_and_leaves_what_ran(deployment):
    released = deployment.shell.json("releases")
    template = deployment.project.merge_template("analyze")
    right = template.read_text()
    # the setting itself would be refused before anything changes
    wrong = right.replace("!Ref AnalysisSchedule", "rate(1 fortnight)")
    template.write_text(wrong.replace("!Ref AnalysisRuleName", "another-rule"))
    with pytest.raises(StackError, match=r"AnalyzeEvent .*ScheduleExpression is not valid"):
        deployment.deploy("analyze")
    # on AWS CloudFormation brings it back; for LocalStack `deploy` makes it again
    assert deployment.get("analyze", "/health").status_code == 200
    assert deployment.shell.json("releases") == released
    assert released["releases"][0]["live"] == ["analyze", "capture", "predict"]
    template.write_text(right)
    assert deployment.deploy("analyze")["analyze"] == "unchanged"


@pytest.mark.usefixtures("first")
def test_a_changed_schedule_replaces_the_rule(deployment):
    assert deployment.deploy("analyze", ANALYSIS_SCHEDULE="rate(2 hours)")["analyze"] == "updated"
    events = deployment.stack.client("events")
    rules = events.list_rules(NamePrefix=f"modelwatch-{deployment.stage}-analyze")["Rules"]
    assert [rule["ScheduleExpression"] for rule in rules] == ["rate(2 hours)"]


@pytest.mark.usefixtures("first")
def test_lines_go_through_firehose_while_a_setting_says_so(deployment):
    done = deployment.deploy(METRICS_TRANSPORT="firehose")
    assert done["metrics"] == "created"
    assert {done[app] for app in APPS} == {"updated"}
    s3 = make_clients(deployment.settings()).packages
    bucket = f"modelwatch-{deployment.stage}-metrics"

    def lines() -> str:
        deployment.get("capture", "/health")
        found = s3.list_objects_v2(Bucket=bucket, Prefix="logs/").get("Contents", ())
        bodies = [s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found]
        return b"".join(map(gzip.decompress, bodies)).decode()

    eventually(lambda: "api_requests_total" in lines() and "REPORT RequestId" in lines())
    assert f"/aws/lambda/modelwatch-{deployment.stage}-capture" in lines()

    done = deployment.deploy()
    assert done["metrics"] == "deleted"
    assert {done[app] for app in APPS} == {"updated"}
    logs = deployment.stack.client("logs")
    for name in ("predict", "capture", "capture-api", "analyze"):
        group = f"/aws/lambda/modelwatch-{deployment.stage}-{name}"
        assert not logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
    assert bucket not in [each["Name"] for each in s3.list_buckets()["Buckets"]]


@pytest.mark.usefixtures("first")
def test_a_rollback_puts_back_what_ran_before(deployment):
    deployment.append("capture", ROUTE.replace("added", "newest"))
    assert deployment.deploy()["capture"] == "updated"
    newest, before, *_ = deployment.shell.json("releases")["releases"]
    assert newest["live"] == ["analyze", "capture", "predict"]
    assert before["live"] == []

    would = deployment.shell.json("rollback", "--dry-run")
    assert would["release"] == before["number"]
    assert deployment.get("capture", "/newest").status_code == 200
    done = deployment.shell.json("rollback")
    actions = {each["name"].split("-")[-1]: each["action"] for each in done["stacks"]}
    assert actions == {"predict": "unchanged", "capture": "updated", "analyze": "unchanged"}
    assert deployment.get("capture", "/newest").status_code in (403, 404)
    assert deployment.get("capture", "/health").status_code == 200
    now, *_ = deployment.shell.json("releases")["releases"]
    assert (now["puts_back"], now["live"]) == (before["number"], newest["live"])
    again = deployment.shell.json("rollback")
    assert {each["action"] for each in again["stacks"]} == {"unchanged"}

    deployment.shell.json("rollback", str(newest["number"]))
    assert deployment.get("capture", "/newest").json() == {"newest": True}
    assert set(deployment.deploy().values()) == {"unchanged"}
    title, live, *others = deployment.shell.text("releases").splitlines()
    assert title.split()[0] == "release"
    assert live.split()[-4:] == ["yes", "puts", "back", str(newest["number"])]
    assert not [line for line in others if " yes " in line]


@pytest.mark.usefixtures("first")
def test_undeploying_keeps_the_buckets_and_what_is_in_them(deployment):
    s3 = make_clients(deployment.settings()).packages
    bucket = f"{deployment.stage}-captures"
    s3.put_object(Bucket=bucket, Key="captures/kept", Body=b"data")
    deleted = deployment.undeploy()
    gone = dict.fromkeys({"pipeline", "layers", *APPS}, "deleted")
    assert deleted == gone | dict.fromkeys({"alarms", "metrics", "sql"}, "absent")
    assert s3.get_object(Bucket=bucket, Key="captures/kept")["Body"].read() == b"data"
    functions = make_clients(deployment.settings()).functions
    layer = f"modelwatch-{deployment.stage}-core"
    assert not functions.list_layer_versions(LayerName=layer)["LayerVersions"]
    assert set(deployment.undeploy().values()) == {"absent"}
    again = deployment.deploy()
    assert again.pop("storage") == "unchanged"
    assert set(again.values()) == {"created"}
