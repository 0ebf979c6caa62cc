"""Apps: what Chalice makes of them, merged, checked and changed."""

import shutil
import zipfile
from pathlib import Path

import pytest

from modelwatch_cli.deployment.building.environments import base_environment
from modelwatch_cli.deployment.building.images import build_image
from modelwatch_cli.deployment.building.packaging import (
    as_image,
    function_names,
    functions,
    package_app,
    with_code,
)
from modelwatch_cli.deployment.cloudformation.apis import ensure_api
from modelwatch_cli.deployment.cloudformation.errors import BuildError
from modelwatch_cli.project import Project

ROOT = Project().root
REGION = "eu-west-1"
HANDLER = "arn:aws:lambda:eu-west-1:1:function:modelwatch-local-capture-api"


@pytest.fixture
def project(tmp_path):
    """The real templates, layers and locks, and an app of the test's own."""
    (tmp_path / "layers").symlink_to(ROOT / "layers")
    (tmp_path / "templates").symlink_to(ROOT / "templates")
    app = tmp_path / "functions" / "capture"
    shutil.copytree(ROOT / "functions" / "capture" / ".chalice", app / ".chalice")
    (app / "chalicelib" / "__pycache__").mkdir(parents=True)
    (app / "chalicelib" / "__init__.py").write_text("ANSWER = 42\n")
    (app / "chalicelib" / "__pycache__" / "old.pyc").write_bytes(b"")
    (app / "app.py").write_text(APP)
    return Project(tmp_path)


APP = """
from chalice import Chalice
app = Chalice(app_name="modelwatch-capture")

@app.route("/health")
def health():
    return {}

@app.on_sqs_message(queue_arn="arn:aws:sqs:us-east-1:000000000000:placeholder", name="consume")
def consume(event):
    return {}

@app.schedule("rate(1 hour)", name="compact")
def compact(event):
    return {}
"""


def write_app(project: Project, source: str) -> None:
    (project.function("capture") / "app.py").write_text(source)


def test_the_merge_template_says_what_depends_on_where_it_runs(project):
    package = package_app(project, "capture", REGION)
    made = functions(package.template)
    assert set(made) == {"APIHandler", "Consume", "Compact"}
    names = {
        "modelwatch-prod-capture",
        "modelwatch-prod-capture-api",
        "modelwatch-prod-capture-compact",
    }
    assert set(function_names(package.template, "prod")) == names
    event = made["Consume"]["Events"]["ConsumeSqsEventSource"]
    assert event["Type"] == "SQS"
    assert event["Properties"]["Queue"] == {"Ref": "CaptureQueueArn"}
    assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert made["APIHandler"]["Role"] == {"Fn::GetAtt": ["Role", "Arn"]}


def test_the_package_has_bytecode_and_no_old_caches_and_is_made_once(project):
    first = package_app(project, "capture", REGION)
    names = zipfile.ZipFile(first.artifact.path).namelist()
    assert {"app.py", "chalice/app.py", "chalicelib/__init__.py"} <= set(names)
    assert "__pycache__/app.cpython-313.pyc" in names
    assert not any("old.pyc" in name or name.startswith("modelwatch/") for name in names)
    made_at = first.artifact.path.stat().st_mtime_ns
    assert package_app(project, "capture", REGION).artifact.path.stat().st_mtime_ns == made_at
    assert sorted(p.name for p in project.function("capture").rglob(".chalice/*")) == [
        "config.json"
    ]


def test_only_changed_code_is_another_package(project):
    keys = [package_app(project, "capture", REGION).artifact.key]
    (project.function("capture") / "requirements.txt").write_text("# nothing\n")
    keys.append(package_app(project, "capture", REGION).artifact.key)
    write_app(project, APP + "\nCHANGED = True\n")
    keys.append(package_app(project, "capture", REGION).artifact.key)
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import no_such_module\n", r"No module named 'no_such_module' \(File .functions/capture/"),
        (APP + "\n@app.schedule('rate(1 hour)')\ndef extra(event): ...\n", "a function Extra"),
        (APP[: APP.index("@app.schedule")], "describes Compact, which app.py has not"),
    ],
)
def test_an_app_that_cannot_be_deployed_says_why(project, source, why):
    write_app(project, source)
    with pytest.raises(BuildError, match=why):
        package_app(project, "capture", REGION)


def test_third_party_code_belongs_into_a_layer(project):
    (project.function("capture") / "requirements.txt").write_text("# ok\nrequests==2\n")
    with pytest.raises(BuildError, match="lists requests==2: move it to one of the sets in"):
        package_app(project, "capture", REGION)


def test_code_is_where_it_was_uploaded_to(project):
    template = with_code(package_app(project, "capture", REGION).template, "bucket", "key.zip")
    assert {f["CodeUri"] for f in functions(template).values()} == {"s3://bucket/key.zip"}


def test_an_image_has_a_command_and_nothing_of_a_zip(project):
    original = package_app(project, "capture", REGION).template
    template = as_image(original, "capture:abc")
    for logical_id, handler in (("APIHandler", "app.app"), ("Consume", "app.consume")):
        properties = functions(template)[logical_id]
        assert properties["PackageType"] == "Image"
        assert properties["ImageUri"] == "capture:abc"
        assert properties["ImageConfig"] == {"Command": [handler]}
        assert not {"Runtime", "Handler", "CodeUri", "Layers"} & properties.keys()
        assert properties["MemorySize"] == functions(original)[logical_id]["MemorySize"]
        assert properties["FunctionName"] == functions(original)[logical_id]["FunctionName"]
    gone = original["Parameters"].keys() - template["Parameters"].keys()
    assert gone == {"CoreLayer", "CaptureLayer"}


def test_an_images_code_is_the_app_chalice_and_the_shared_library(project):
    package = package_app(project, "capture", REGION)
    analysis, pyfunc = (base_environment(project, name) for name in ("analysis", "pyfunc"))
    image = build_image(project, package, "capture", analysis)
    for path in ("app.py", "chalicelib/__init__.py", "chalice/app.py", "modelwatch/errors.py"):
        assert (image.task / path).is_file()
    assert build_image(project, package, "capture", analysis) == image
    assert build_image(project, package, "capture", pyfunc).tag != image.tag


class InMemoryApiGateway:
    """An API, its routes and its stages."""

    def __init__(self, routes, stages):
        self.routes = routes
        self.stages = stages
        self.put = []

    def get_stages(self, **_):
        return {"item": [{"stageName": stage} for stage in self.stages]}

    def get_paginator(self, _operation):
        return self

    def paginate(self, **_):
        items = [
            {"path": path, "resourceMethods": {m: {"methodIntegration": {"uri": uri}}}}
            for m, path, uri in self.routes
        ]
        return [{"items": [{"path": "/"}, *items]}]

    def put_rest_api(self, **request):
        self.put.append(request["body"].decode())

    def create_deployment(self, **request):
        self.stages.append(request["stageName"])


@pytest.mark.parametrize(
    ("routes", "stages", "wrong"),
    [
        ([("GET", "/health", f"arn/functions/{HANDLER}/invocations")], ["api"], False),
        ([("GET", "/health", f"arn/functions/{HANDLER}/invocations")], [], True),
        ([("GET", "/old", f"arn/functions/{HANDLER}/invocations")], ["api"], True),
        ([("GET", "/health", f"arn/functions/{HANDLER}-image/invocations")], ["api"], True),
    ],
)
def test_an_api_that_its_stack_left_behind_is_put_right(project, routes, stages, wrong):
    template = package_app(project, "capture", REGION).template
    api = InMemoryApiGateway(routes, list(stages))
    assert ensure_api(api, template, {"RestAPIId": "x", "APIHandlerArn": HANDLER}) is wrong
    assert "api" in api.stages
    assert [HANDLER in body and "Fn::Sub" not in body for body in api.put] == [True] * wrong


def test_no_app_has_requirements_of_its_own():
    for path in Path(ROOT / "functions").glob("*/requirements.txt"):
        assert not [line for line in path.read_text().splitlines() if not line.startswith("#")]
