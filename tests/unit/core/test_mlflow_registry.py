"""The registry over its REST API, against a small server that responds as MLflow does."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from modelwatch.adapters.registries import registry_of
from modelwatch.errors import NoModelError, RegistryError, SettingError
from modelwatch_cli.settings import Settings
from stand_in import stand_in

MODEL = {
    "aliases": [{"alias": "production", "version": "1"}, {"alias": "candidate", "version": "3"}],
    "latest_versions": [
        {"version": "2", "current_stage": "Production"},
        {"version": "3", "current_stage": "Staging"},
    ],
}


class Mlflow:
    """Responds to questions about one model."""

    def __init__(self):
        self.seen = []
        self.refuses = False

    def respond(self, request):
        self.seen.append(request.headers["Authorization"])
        if self.refuses:
            return 401, b"You are not authenticated."
        path = urlsplit(request.path).path.rpartition("/mlflow/")[2]
        query = dict(parse_qsl(urlsplit(request.path).query))
        alias = {each["alias"]: each for each in MODEL["aliases"]}.get(query.get("alias", ""))
        responses = {
            "registered-models/get": {"registered_model": MODEL},
            "registered-models/alias": {"model_version": alias},
            "model-versions/get": {"model_version": {"name": "wine"}},
            "model-versions/get-download-uri": {"artifact_uri": "s3://models/x"},
        }
        return 200, responses[path]


@pytest.fixture
def mlflow():
    return Mlflow()


@pytest.mark.parametrize(
    "model",
    [
        ["wine"],
        {"aliases": None},
        {"aliases": ["production"]},
        {"aliases": [{"alias": "production"}]},
        {"aliases": [{"alias": ["production"], "version": "1"}]},
        {"aliases": [{"alias": "production", "version": "1"}], "tags": [{"key": "x"}]},
        {"aliases": [{"alias": "production", "version": "../2"}]},
        {"aliases": [{"alias": "production", "version": "1\n2"}]},
    ],
)
def test_a_registry_that_responds_otherwise_is_said_as_one(model):
    def respond(_request):
        return 200, {"registered_model": model}

    with stand_in(respond) as uri:
        registry = registry_of(Settings({"MLFLOW_TRACKING_URI": uri}))
        for ask in (registry.plan, registry.resolve):
            with pytest.raises(RegistryError):
                ask("wine", "production")


def test_a_list_of_models_without_end_ends():
    def respond(_request):
        return 200, {"registered_models": [], "next_page_token": "again"}

    with stand_in(respond) as uri, pytest.raises(RegistryError, match="more than 1000 pages"):
        registry_of(Settings({"MLFLOW_TRACKING_URI": uri})).names()


@pytest.fixture
def registry_with(mlflow):
    with stand_in(mlflow.respond) as uri:
        yield lambda **given: registry_of(Settings({"MLFLOW_TRACKING_URI": uri, **given}))


@pytest.mark.parametrize(("stage", "version"), [("", "1"), ("Production", "2"), ("staging", "3")])
def test_the_version_that_serves_is_the_same_for_all_who_ask(registry_with, stage, version):
    registry = registry_with(MODEL_STAGE=stage)
    plan = registry.plan("wine", "production")
    assert plan.versions["production"].version == version
    assert registry.resolve("wine", "production").version == version
    assert registry.resolve("wine", "candidate").version == "3", "an alias of its own stays one"


def test_a_stage_without_a_version_is_no_model(registry_with):
    registry = registry_with(MODEL_STAGE="Archived")
    for ask in (registry.plan, registry.resolve):
        with pytest.raises(NoModelError, match="no version in stage 'Archived'"):
            ask("wine", "production")


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({}, None),
        ({"USERNAME": "ann", "PASSWORD": "pass word"}, "Basic YW5uOnBhc3Mgd29yZA=="),
        ({"USERNAME": "ann", "PASSWORD": "\u0142"}, "Basic YW5uOsWC"),
        ({"TOKEN": "secret"}, "Bearer secret"),
        ({"HEADER": "Authorization: Key abc"}, "Key abc"),
        ({"TOKEN": "secret", "USERNAME": "ann", "PASSWORD": "p"}, "Bearer secret"),
    ],
)
def test_every_request_says_who_asks(registry_with, mlflow, given, header):
    registry_with(**{f"MLFLOW_TRACKING_{name}": value for name, value in given.items()}).plan(
        "wine", "production"
    )
    assert mlflow.seen == [header] * 3


@pytest.mark.parametrize("given", ["no/such.pem", "-----BEGIN CERTIFICATE-----\nx"])
def test_certificates_that_are_none_are_said(registry_with, given):
    with pytest.raises(SettingError, match="MLFLOW_CA_BUNDLE: has no certificates"):
        registry_with(MLFLOW_CA_BUNDLE=given).names()


def test_a_header_of_another_form_is_said_without_its_value(registry_with):
    with pytest.raises(SettingError, match="not of the form NAME: VALUE") as caught:
        registry_with(MLFLOW_TRACKING_HEADER="open sesame").names()
    assert "sesame" not in str(caught.value)


def test_whom_mlflow_refuses_is_said_what_to_set(registry_with, mlflow):
    mlflow.refuses = True
    with pytest.raises(RegistryError, match="refused with 401: MLFLOW_TRACKING_TOKEN, or"):
        registry_with().names()
