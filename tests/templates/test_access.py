"""Who may call: what a deployment sends to CloudFormation for each way of closing an API."""

import json

import pytest
from cfnlint.api import ManualArgs, lint

from modelwatch.errors import SettingError
from modelwatch.settings.access import CONTROL_PATHS, OPEN
from modelwatch_cli.deployment.additions.access import check_access, with_access
from modelwatch_cli.deployment.building.packaging import package_app, with_code
from modelwatch_cli.deployment.cloudformation.apis import routes
from modelwatch_cli.deployment.cloudformation.plan import APPS
from modelwatch_cli.deployment.deployer import configured
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings

REGION = "us-east-1"
OWN_ACCOUNT = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}
NOTHING: dict[str, str] = {}


@pytest.fixture(scope="module")
def packaged():
    return {app: package_app(Project(), app, REGION).template for app in APPS}


def definition(template):
    return template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]


def security(template):
    paths = definition(template)["paths"]
    return {
        f"{method.upper()} {path}": [name for each in said.get("security", ()) for name in each]
        for path, methods in paths.items()
        for method, said in methods.items()
    }


def statements(template):
    return definition(template)["x-amazon-apigateway-policy"]["Statement"]


@pytest.mark.parametrize("given", [NOTHING, {"API_AUTH": "none"}, {"API_AUTH": OPEN}])
def test_an_open_api_is_what_chalice_makes(packaged, given):
    for template in packaged.values():
        assert with_access(template, Settings(given)) == template


@pytest.mark.parametrize("auth", ["iam", "api_key"])
@pytest.mark.parametrize("app", APPS)
def test_every_route_is_closed(app, packaged, auth):
    template = with_access(packaged[app], Settings({"API_AUTH": auth}))
    assert set(map(tuple, security(template).values())) == {(auth,)}
    assert list(definition(template)["securityDefinitions"]) == [auth]
    assert ("ApiKey" in template["Resources"]) == (auth == "api_key")


def test_iam_is_a_signature(packaged):
    template = with_access(packaged["predict"], Settings({"API_AUTH": "iam"}))
    scheme = definition(template)["securityDefinitions"]["iam"]
    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert (scheme["name"], scheme["in"]) == ("Authorization", "header")


def test_a_key_has_a_rate_and_a_quota(packaged):
    given = {"API_AUTH": "api_key", "API_KEY_RATE": "7", "API_KEY_DAILY": "1000"}
    template = with_access(packaged["capture"], Settings(given))
    plan = template["Resources"]["UsagePlan"]["Properties"]
    assert plan["Throttle"] == {"RateLimit": 7, "BurstLimit": 200}
    assert plan["Quota"] == {"Limit": 1000, "Period": "DAY"}
    assert plan["ApiStages"] == [{"ApiId": {"Ref": "RestAPI"}, "Stage": "api"}]
    assert template["Outputs"]["ApiKeyId"] == {"Value": {"Ref": "ApiKey"}}


def test_control_routes_may_be_closed_in_another_way(packaged):
    settings = Settings({"API_AUTH": "api_key", "API_AUTH_CONTROL": "iam"})
    found = {}
    for template in packaged.values():
        found |= security(with_access(template, settings))
    control = {route for route, auth in found.items() if auth == ["iam"]}
    assert {route.split(" ")[1] for route in control} == CONTROL_PATHS
    assert all(auth == ["api_key"] for route, auth in found.items() if route not in control)


ALL = {
    "API_AUTH": "api_key",
    "API_AUTH_CONTROL": "iam",
    "API_ALLOWED_PRINCIPALS": "111122223333, arn:aws:iam::444455556666:role/monitor",
    "API_ALLOWED_CIDRS": "192.0.2.0/24",
}


@pytest.mark.parametrize(
    "given",
    [
        {"API_AUTH": "iam"},
        {"API_AUTH": "api_key"},
        ALL,
        ALL | {"API_VPC_ENDPOINTS": "vpce-0123456789abcdef0"},
    ],
)
@pytest.mark.parametrize("app", APPS)
def test_closed_apps_are_clean(app, packaged, given):
    template = with_code(with_access(packaged[app], Settings(given)), "bucket", "functions/key.zip")
    found = lint(json.dumps(template), config=ManualArgs(regions=[REGION]))
    assert not [f"{match.rule.id} {match.message}" for match in found]


def test_the_policy_names_who_may_call_from_where(packaged):
    template = with_access(packaged["predict"], Settings(ALL))
    everyone, allowed, other, elsewhere = statements(template)
    assert everyone["Principal"] == "*"
    assert "execute-api:/api/POST/predict" in everyone["Resource"]
    assert "execute-api:/api/GET/docs/*" in everyone["Resource"]
    control = ["GET/models", "POST/model/reload", "POST/models/*/model/reload"]
    assert allowed["Resource"] == other["Resource"] == [f"execute-api:/api/{x}" for x in control]
    assert not set(everyone["Resource"]) & set(allowed["Resource"])
    assert allowed["Principal"]["AWS"][0] == "111122223333"
    assert other["Effect"] == "Deny"
    assert other["Condition"] == {
        "ArnNotEquals": {"aws:PrincipalArn": ["arn:aws:iam::444455556666:role/monitor"]},
        "StringNotEquals": {"aws:PrincipalAccount": ["111122223333"]},
    }
    assert elsewhere["Effect"] == "Deny"
    assert elsewhere["Resource"] == ["execute-api:/*"]
    assert elsewhere["Condition"] == {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}}


def test_a_range_of_addresses_does_not_let_other_accounts_in(packaged):
    given = {"API_AUTH": "iam", "API_ALLOWED_CIDRS": "192.0.2.0/24"}
    template = with_access(packaged["predict"], Settings(given))
    allowed, _ = statements(template)
    assert allowed["Principal"] == {"AWS": [OWN_ACCOUNT]}
    assert len(allowed["Resource"]) == len(routes(definition(template)))


def test_vpc_endpoints_make_the_api_private(packaged):
    given = ALL | {"API_VPC_ENDPOINTS": "vpce-0123456789abcdef0"}
    template = with_access(packaged["analyze"], Settings(given))
    properties = template["Resources"]["RestAPI"]["Properties"]
    assert properties["EndpointConfiguration"] == {
        "Type": "PRIVATE",
        "VPCEndpointIds": ["vpce-0123456789abcdef0"],
    }
    conditions = [each["Condition"] for each in statements(template) if "Condition" in each]
    assert {"StringNotEquals": {"aws:SourceVpce": ["vpce-0123456789abcdef0"]}} in conditions
    assert {"NotIpAddress": {"aws:VpcSourceIp": ["192.0.2.0/24"]}} in conditions


def test_whoever_may_call_changes_the_api_is_deployed_again(packaged):
    variants: list[dict[str, str]] = [
        {},
        {"API_AUTH": "api_key"},
        {"API_AUTH": "iam"},
        ALL,
        ALL | {"API_ALLOWED_CIDRS": "198.51.100.0/24"},
    ]
    # SAM makes a new deployment of an API whose definition changed, and only then
    made = [definition(with_access(packaged["predict"], Settings(each))) for each in variants]
    assert len({json.dumps(each, sort_keys=True) for each in made}) == len(variants)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "setting API_AUTH: say who may call the APIs on AWS: iam .*, or none-anyone-may-call"),
        ({"API_AUTH": "none"}, "setting API_AUTH: say who may call"),
        ({"API_AUTH": "iam", "API_AUTH_CONTROL": "none"}, "setting API_AUTH_CONTROL: say who"),
        (
            {"API_AUTH": "api_key", "API_ALLOWED_PRINCIPALS": "111122223333"},
            "setting API_ALLOWED_PRINCIPALS: only iam knows principals",
        ),
    ],
)
def test_aws_has_no_default(given, why):
    with pytest.raises(SettingError, match=why):
        check_access(Settings(given))


@pytest.mark.parametrize("auth", ["iam", "api_key"])
def test_what_was_said_is_deployed(auth):
    check_access(Settings({"API_AUTH": auth}))


JWT = {
    "API_AUTH": "jwt",
    "API_JWT_ISSUER": "https://issuer.example/a",
    "API_JWT_AUDIENCE": "modelwatch, other",
    "API_RATE": "20",
}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"API_JWT_ISSUER": ""}, "API_JWT_ISSUER: is needed"),
        ({"API_JWT_AUDIENCE": ""}, "API_JWT_AUDIENCE: is needed"),
        ({"API_JWT_ISSUER": "http://issuer.example"}, "API_JWT_ISSUER: is not an https address"),
        ({"API_AUTH_CONTROL": "iam"}, "API_AUTH_CONTROL: jwt and iam take the same header"),
    ],
)
def test_tokens_need_an_issuer_and_an_audience(given, why):
    with pytest.raises(SettingError, match=why):
        check_access(Settings(JWT | given))
    check_access(Settings(JWT))


@pytest.mark.parametrize(
    "given",
    [
        JWT | {"API_RATE": ""},
        JWT | {"API_RATE": "", "API_AUTH": "api_key", "API_AUTH_CONTROL": "jwt"},
        {"API_AUTH": OPEN},
        {"API_AUTH": "iam", "API_AUTH_CONTROL": OPEN},
    ],
)
def test_what_functions_run_for_whoever_calls_has_a_bound(packaged, given):
    with pytest.raises(SettingError, match="setting API_RATE: say how many requests a second"):
        check_access(Settings(given))
    check_access(Settings(given | {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}))
    settings = Settings(given | {"API_RATE": "20"})
    check_access(settings)
    for app, template in packaged.items():
        api = configured(template, app, settings)["Resources"]["RestAPI"]["Properties"]
        (limit,) = api["MethodSettings"]
        # each path and method: none is left out
        assert (limit["HttpMethod"], limit["ResourcePath"]) == ("*", "/*")
        assert (limit["ThrottlingRateLimit"], limit["ThrottlingBurstLimit"]) == (20, 40)


def test_the_function_that_looks_at_tokens_knows_whose_they_are(packaged):
    for template in packaged.values():
        assert with_access(template, Settings(JWT)) == template
        variables = template["Globals"]["Function"]["Environment"]["Variables"]
        assert {"API_AUTH", "API_JWT_ISSUER", "API_JWT_AUDIENCE"} <= variables.keys()


@pytest.mark.parametrize("auth", ["", "none"])
def test_a_local_stack_is_open(auth):
    check_access(Settings({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "API_AUTH": auth}))


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("API_AUTH", "key", "'key' is not one of iam, api_key, jwt, none, none-anyone-may-call"),
        ("API_ALLOWED_CIDRS", "192.0.2.1/24", "has host bits set; expected a range such as"),
        ("API_ALLOWED_PRINCIPALS", "arn:aws:iam::111122223333:role/*", "without \\*"),
        ("API_VPC_ENDPOINTS", "vpc-1", "'vpc-1' is not the id of a VPC endpoint"),
    ],
)
def test_a_wrong_value_is_named(name, value, why):
    with pytest.raises(SettingError, match=f"setting {name}: .*{why}"):
        Settings({name: value}).text(name)
