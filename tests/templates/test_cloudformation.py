"""Templates: what a deployment sends is what CloudFormation takes."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from cfnlint.api import ManualArgs, lint

from modelwatch import __version__
from modelwatch.adapters.aws.emf import emf_lines
from modelwatch.adapters.aws.queues import MESSAGE_LIMIT_BYTES
from modelwatch.domain.episodes.events import DETAIL_TYPE, FORMAT, SOURCE, VerdictEvent
from modelwatch.errors import SettingError
from modelwatch.metric_names import CATALOG
from modelwatch.ports.metrics import Sample
from modelwatch.services.deliveries import Message, retry_delays
from modelwatch.settings.analysis import analysis_queue
from modelwatch.settings.functions import FUNCTIONS
from modelwatch_bridge.lines.interpretation import interpret
from modelwatch_cli.deployment.additions.alarms.stack import alarm_template
from modelwatch_cli.deployment.additions.encryption import with_key
from modelwatch_cli.deployment.additions.events import with_events
from modelwatch_cli.deployment.additions.limits import with_limits
from modelwatch_cli.deployment.additions.registry import with_registry
from modelwatch_cli.deployment.additions.secrets import with_secrets
from modelwatch_cli.deployment.additions.transport import PATTERN, with_filters
from modelwatch_cli.deployment.building.packaging import (
    as_image,
    function_names,
    functions,
    package_app,
    with_code,
)
from modelwatch_cli.deployment.cloudformation.parameters import (
    bucket_parameters,
    common_parameters,
    layer_parameters,
    template_parameters,
)
from modelwatch_cli.deployment.cloudformation.plan import APPS, LAYERS, check_limits, make_plan
from modelwatch_cli.deployment.cloudformation.templates import load_template
from modelwatch_cli.deployment.deployer import tags_of
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings

PROJECT = Project()
REGION = "us-east-1"
SETTINGS = Settings({"LAMBDA_ARCHITECTURE": "x86_64"})
STATIC = sorted(PROJECT.template("x").parent.glob("*.yaml"))
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").rglob("*.yaml"))

# What one stack gives to another, by output.
OUTPUTS = {
    "CaptureQueueUrl": "https://sqs/q",
    "CaptureQueueArn": "arn:aws:sqs:us-east-1:1:q",
    "DeadLetterQueueUrl": "https://sqs/q-dead",
    "DeadLetterQueueArn": "arn:aws:sqs:us-east-1:1:q-dead",
    **{f"{name.capitalize()}Layer": f"arn:{name}" for name in LAYERS},
}
FIREHOSE = Settings({"METRICS_TRANSPORT": "firehose"})


def complaints(template: dict) -> list[str]:
    found = lint(json.dumps(template), config=ManualArgs(regions=[REGION]))
    return [f"{match.rule.id} {match.message}" for match in found]


@pytest.fixture(scope="module")
def packaged():
    """The apps as Chalice packages them, merged."""
    return {app: package_app(PROJECT, app, REGION).template for app in APPS}


@pytest.mark.parametrize("path", [*STATIC, *EXAMPLES], ids=lambda path: path.stem)
def test_static_templates_are_clean(path: Path):
    assert not complaints(load_template(path))


def test_a_change_of_package_replaces_the_function_and_keeps_the_api(packaged):
    zipped = with_code(packaged["predict"], "bucket", "functions/key.zip")
    plan = make_plan(SETTINGS, ["predict"], "image").apps["predict"]
    image = as_image(packaged["predict"], "predict:abc", plan.name_suffix, plan.larger)
    (function,) = functions(image).values()
    assert (function["MemorySize"], function["Timeout"]) == (1769, 120), "mlflow is slow to import"
    names = [function_names(template, "local") for template in (zipped, image)]
    assert names == [["modelwatch-local-predict"], ["modelwatch-local-predict-image"]]
    apis = [dict(each["Resources"]["RestAPI"]["Properties"]) for each in (zipped, image)]
    # SAM deploys the stage anew when the definition is another: it would go on calling the old one
    assert apis[0].pop("DefinitionBody") != apis[1].pop("DefinitionBody")
    assert apis[0] == apis[1]


@pytest.mark.parametrize("app", APPS)
def test_packaged_apps_are_clean_as_zip_and_as_image(app, packaged):
    assert not complaints(with_code(packaged[app], "bucket", "functions/key.zip"))
    image = as_image(packaged[app], "123456789012.dkr.ecr.us-east-1.amazonaws.com/modelwatch:a-b")
    assert not complaints(image)


def test_every_parameter_gets_a_value(packaged):
    provided = common_parameters(make_plan(SETTINGS), SETTINGS) | OUTPUTS
    provided |= layer_parameters(dict.fromkeys(LAYERS, "key"))
    provided |= bucket_parameters(SETTINGS, frozenset(), {})
    for template in [*packaged.values(), *map(load_template, STATIC)]:
        values = template_parameters(template, SETTINGS, provided)
        assert values.keys() == template["Parameters"].keys()


def test_the_outputs_of_one_stack_are_the_parameters_of_others(packaged):
    given = {
        name
        for part in ("pipeline", "layers")
        for name in load_template(PROJECT.template(part))["Outputs"]
    }
    assert given >= OUTPUTS.keys()
    taken = {name for template in packaged.values() for name in template["Parameters"]}
    assert taken >= OUTPUTS.keys()


@pytest.mark.parametrize("package", ["zip", "image"])
@pytest.mark.parametrize("app", APPS)
def test_each_log_group_sends_its_lines_where_a_setting_says_so(app, package, packaged):
    template = packaged[app]
    if package == "image":
        plan = make_plan(SETTINGS, [app], "image").apps[app]
        template = as_image(template, "predict:abc", plan.name_suffix, plan.larger)
    assert with_filters(template, SETTINGS) is template
    template = with_filters(with_limits(template, FIREHOSE), FIREHOSE)
    filters = {
        each["Properties"]["LogGroupName"]["Fn::Sub"].replace("${Stage}", "prod"): each
        for each in template["Resources"].values()
        if each["Type"] == "AWS::Logs::SubscriptionFilter"
    }
    names = function_names(template, "prod")
    assert sorted(filters) == sorted(f"/aws/lambda/{name}" for name in names)
    given = load_template(PROJECT.template("metrics"))["Outputs"].keys()
    for each in filters.values():
        properties = each["Properties"]
        assert {properties[name]["Ref"] for name in ("DestinationArn", "RoleArn")} == given
        assert properties["FilterPattern"] == PATTERN
    if package == "zip":
        assert not complaints(with_code(template, "bucket", "functions/key.zip"))


def test_the_pattern_lets_through_what_the_bridge_counts():
    terms = re.findall(r'\?"([^"]+)"', PATTERN)
    counted = [
        *emf_lines([Sample("capture_records_total", 1, {"outcome": "sent"})], 1),
        "REPORT RequestId: 8f5e7a4c\tDuration: 9.5 ms\tBilled Duration: 10 ms\t"
        "Memory Size: 512 MB\tMax Memory Used: 80 MB\t",
        "[ERROR] KeyError: 'x'\nTraceback",
        "2026-11-23T10:00:00Z 8f5e7a4c-0000-4000-8000-000000000000 Task timed out after 3.00 s",
        "RequestId: 8f5e7a4c Error: Runtime exited with error: signal: killed",
    ]
    for line in counted:
        found = interpret(line, "f", CATALOG)
        assert found.readings or found.failed_requests
        assert any(term in line for term in terms)
    for line in ("START RequestId: 8f5e7a4c Version: 1", "END RequestId: 8f5e7a4c", "a word"):
        assert not any(term in line for term in terms)


def test_each_role_of_the_way_may_do_one_thing():
    resources = load_template(PROJECT.template("metrics"))["Resources"]
    rights = {}
    for name in ("WritingRole", "SendingRole"):
        properties = resources[name]["Properties"]
        (trust,) = properties["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Condition"], "or any account may make the service use it"
        (policy,) = properties["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]:
            where = json.dumps(statement["Resource"])
            rights |= dict.fromkeys(statement["Action"], where)
    assert {action for action, where in rights.items() if "Stream" in where} == {
        *("firehose:PutRecord", "firehose:PutRecordBatch"),
    }
    assert {action for action, where in rights.items() if "Lines" in where} == {
        *("s3:PutObject", "s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:ListBucket"),
        "s3:ListBucketMultipartUploads",
    }


def test_a_function_has_the_settings_that_it_reads_and_no_others(packaged):
    has = {
        app: set(template["Globals"]["Function"]["Environment"]["Variables"])
        for app, template in packaged.items()
    }
    store = {"AWS_ENDPOINT_URL_S3", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"}
    assert has["capture"] == store | {
        *("STAGE", "CAPTURE_QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "CAPTURE_BUCKET"),
        *("ANALYSIS_SEGMENTS", "COMPACTION_LAG_SECONDS", "API_AUTH", "API_AUTH_CONTROL"),
        *("LOG_LEVEL", "METRICS_TO_CLOUDWATCH", "API_JWT_ISSUER", "API_JWT_AUDIENCE"),
        *("REPORT_BUCKET", "CAPTURE_HASH_KEY"),  # what monitors say of other applications' records
    }
    assert store | {"MLFLOW_TRACKING_TOKEN"} < has["predict"] & has["analyze"]
    assert not {each for each in has["predict"] if each.startswith(("ANALYSIS", "DRIFT"))}
    assert not {"MODEL_CACHE", "CAPTURE_BUDGET_MS", "CAPTURE_QUEUE_URL"} & has["analyze"]
    foreign = ("BRIDGE_", "STACK_", "MODELWATCH_", "PACKAGE_")
    assert not [each for names in has.values() for each in names if each.startswith(foreign)]
    for app, names in has.items():
        read = FUNCTIONS[app].declared()
        assert names == {name for name, setting in read.items() if not setting.is_given}


def test_no_role_writes_into_logs_of_a_stage_whose_name_goes_on(packaged):
    for app, template in packaged.items():
        policy = template["Resources"]["Role"]["Properties"]["Policies"][0]["PolicyDocument"]
        (logs,) = [each for each in policy["Statement"] if each["Sid"] == "WriteLogs"]
        groups = {each["Fn::Sub"].partition("log-group:")[2] for each in logs["Resource"]}
        names = {f"/aws/lambda/{name}" for name in function_names(template, "${Stage}")}
        if app == "predict":
            names.add("/aws/lambda/modelwatch-${Stage}-predict-image")
        assert groups == names | {f"{name}:*" for name in names}


def test_every_right_on_s3_is_on_buckets_of_a_known_account(packaged):
    own = {"Ref": "AWS::AccountId"}
    others = {"Fn::If": ["HasModelBucketOwner", {"Ref": "ModelBucketOwner"}, own]}
    seen = 0
    for template in packaged.values():
        policy = template["Resources"]["Role"]["Properties"]["Policies"][0]["PolicyDocument"]
        for statement in policy["Statement"]:
            if not json.dumps(statement["Action"]).count("s3:"):
                continue
            seen += 1
            is_models = "ModelBucket}" in json.dumps(statement["Resource"])
            account = statement["Condition"]["StringEquals"]["aws:ResourceAccount"]
            assert account == (others if is_models else own), statement["Sid"]
    assert seen > 10


def test_the_queue_of_analyses_has_the_name_that_bridge_and_alarms_know(packaged):
    resources = packaged["analyze"]["Resources"]
    for name, dead in (("AnalysisQueue", False), ("AnalysisDeadLetterQueue", True)):
        made = resources[name]["Properties"]["QueueName"]["Fn::Sub"]
        assert made.replace("${Stage}", "prod") == analysis_queue("prod", dead=dead)


SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:mlflow-AbCdEf"
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/modelwatch/hash"


def test_a_role_may_read_exactly_the_secrets_that_its_settings_name(packaged):
    given = {
        "MLFLOW_TRACKING_USERNAME": "ann",
        "MLFLOW_TRACKING_PASSWORD": f"{SECRET}#password",
        "CAPTURE_HASH_KEY": PARAMETER,
    }
    settings = Settings(given | {"LAMBDA_ARCHITECTURE": "x86_64"})
    secret = ("secretsmanager:GetSecretValue", [SECRET])
    parameter = ("ssm:GetParameter", [PARAMETER])
    may = {"predict": [secret, parameter], "analyze": [secret, parameter], "capture": [parameter]}
    for app, template in packaged.items():
        closed = with_secrets(template, FUNCTIONS[app], settings)
        assert not complaints(with_code(closed, "bucket", "functions/key.zip"))
        found = [
            (statement["Action"], statement["Resource"])
            for policy in closed["Resources"]["Role"]["Properties"]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Sid"].startswith("ReadSecrets")
        ]
        assert found == may[app]
        assert with_secrets(template, FUNCTIONS[app], SETTINGS) == template


def test_only_analyze_may_send_events_and_to_one_bus(packaged):
    for app, template in packaged.items():
        sending = with_events(template, FUNCTIONS[app], Settings({"EVENT_BUS": "ops"}))
        assert with_events(template, FUNCTIONS[app], Settings({"EVENT_BUS": "none"})) == template
        if app != "analyze":
            assert sending == template
            continue
        assert not complaints(with_code(sending, "bucket", "functions/key.zip"))
        policy = sending["Resources"]["Role"]["Properties"]["Policies"][-1]
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert statement["Action"] == "events:PutEvents"
        assert statement["Resource"]["Fn::Sub"].endswith(":event-bus/${EventBus}")
        allowed = statement["Condition"]["StringEquals"]
        assert allowed == {"events:source": SOURCE, "events:detail-type": DETAIL_TYPE}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_follows_fields_that_events_have(path: Path):
    fields = {each.name for each in msgspec.structs.fields(VerdictEvent)}
    for resource in load_template(path)["Resources"].values():
        if resource["Type"] != "AWS::Events::Rule":
            continue
        pattern = resource["Properties"]["EventPattern"]
        assert (pattern["source"], pattern["detail-type"]) == ([SOURCE], [DETAIL_TYPE])
        assert pattern["detail"]["format"] == [FORMAT]
        assert pattern["detail"].keys() <= fields
        text = json.dumps(resource["Properties"]["Targets"])
        assert set(re.findall(r"\$\.detail\.(\w+)", text)) <= fields


def test_a_role_may_read_exactly_the_mlflow_that_sagemaker_manages(packaged):
    server = "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/ours"
    settings = Settings({"MLFLOW_TRACKING_URI": server})
    for app, template in packaged.items():
        made = with_registry(template, FUNCTIONS[app], settings)
        assert not complaints(with_code(made, "bucket", "functions/key.zip"))
        policies = made["Resources"]["Role"]["Properties"]["Policies"]
        (statement,) = policies[-1]["PolicyDocument"]["Statement"] if len(policies) > 1 else (None,)
        assert (statement is None) == (app == "capture")
        if statement:
            assert statement["Resource"] == server
            assert all(re.match("sagemaker-mlflow:(Get|Search)", a) for a in statement["Action"])
        assert with_registry(template, FUNCTIONS[app], SETTINGS) == template


KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-1234-5678-9abc-def012345678"
ENCRYPTED = {
    "AWS::S3::Bucket": {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {
                    "BucketKeyEnabled": True,
                    "ServerSideEncryptionByDefault": {
                        "SSEAlgorithm": "aws:kms",
                        "KMSMasterKeyID": KEY,
                    },
                }
            ]
        }
    },
    "AWS::SNS::Topic": {"KmsMasterKeyId": KEY},
    "AWS::SQS::Queue": {"KmsMasterKeyId": KEY, "KmsDataKeyReusePeriodSeconds": 3600},
    "AWS::Serverless::Function": {"KmsKeyArn": KEY},
    "AWS::KinesisFirehose::DeliveryStream": {
        "DeliveryStreamEncryptionConfigurationInput": {
            "KeyType": "CUSTOMER_MANAGED_CMK",
            "KeyARN": KEY,
        }
    },
}


def test_a_key_of_ones_own_encrypts_every_bucket_queue_and_function(packaged):
    seen = set()
    zips = {
        app: with_limits(with_code(each, "bucket", "functions/key.zip"), SETTINGS)
        for app, each in packaged.items()
    }
    assert "FailedRuns" in zips["analyze"]["Resources"]
    mailed = Settings({"STAGE": "prod", "ALARM_EMAILS": "ops@acme.example"})
    alarms = alarm_template(mailed, {"modelwatch-prod-capture": 60}, "captures")
    for template in [*zips.values(), *map(load_template, STATIC), alarms]:
        assert with_key(template, "") == template
        closed = with_key(template, KEY)
        assert not complaints(closed)
        for resource in closed["Resources"].values():
            expected = ENCRYPTED.get(resource["Type"], {})
            assert resource.get("Properties", {}).items() >= expected.items()
            assert "SqsManagedSseEnabled" not in resource.get("Properties", {})
            seen.add(resource["Type"])
    assert seen >= ENCRYPTED.keys()


def test_a_role_may_use_exactly_that_key(packaged):
    for template in packaged.values():
        policies = with_key(template, KEY)["Resources"]["Role"]["Properties"]["Policies"]
        statements = [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]
        on_key = {each["Sid"]: each for each in statements if "kms:" in str(each["Action"])}
        assert on_key.keys() == {"UseKey"}
        assert {each["Resource"] for each in on_key.values()} == {KEY}
        assert on_key["UseKey"]["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]


LIMITED = Settings(
    {
        "AWS_ENDPOINT_URL": "",
        "FUNCTION_MEMORY": "predict=2048, capture=3008",
        "FUNCTION_TIMEOUT": "capture=120,analyze=600",
        "FUNCTION_CONCURRENCY": "predict=100,analyze=1",
        "CAPTURE_MAX_CONCURRENCY": "7",
        "ANALYSIS_MAX_CONCURRENCY": "30",
        "API_RATE": "50",
        "TRACING": "on",
        "FUNCTION_SUBNETS": "subnet-0a1b2c3d, subnet-4e5f6a7b",
        "FUNCTION_SECURITY_GROUPS": "sg-0a1b2c3d",
        "ROLE_PATH": "/apps/",
        "ROLE_BOUNDARY": "arn:aws:iam::123456789012:policy/boundary",
    }
)


@pytest.mark.parametrize("app", APPS)
def test_limits_are_settings(app, packaged):
    template = with_limits(packaged[app], LIMITED)
    assert not complaints(with_code(template, "bucket", "functions/key.zip"))
    made = {
        properties["FunctionName"]["Fn::Sub"].removeprefix("modelwatch-${Stage}-"): properties
        for properties in functions(template).values()
    }
    before = {
        properties["FunctionName"]["Fn::Sub"].removeprefix("modelwatch-${Stage}-"): properties
        for properties in functions(packaged[app]).values()
    }
    for name, properties in made.items():
        memory = {"predict": 2048, "capture": 3008}.get(name, before[name]["MemorySize"])
        seconds = {"analyze": 600}.get(name, before[name]["Timeout"])
        assert (properties["MemorySize"], properties["Timeout"]) == (memory, seconds)
        reserved = {"predict": 100, "analyze": 1}.get(name)
        assert properties.get("ReservedConcurrentExecutions") == reserved
        assert properties["Tracing"] == "Active"
        subnets, groups = ["subnet-0a1b2c3d", "subnet-4e5f6a7b"], ["sg-0a1b2c3d"]
        assert properties["VpcConfig"] == {"SubnetIds": subnets, "SecurityGroupIds": groups}
        # no one sees that a run failed for which no one waits
        is_asynchronous = name in ("analyze", "analyze-api", "capture-compact")
        assert ("EventInvokeConfig" in properties) == is_asynchronous
    for name, most in {"capture": 7, "analyze-window": 30}.items():
        if name in made:
            (event,) = made[name]["Events"].values()
            assert event["Properties"]["ScalingConfig"] == {"MaximumConcurrency": most}
            assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    (throttling,) = template["Resources"]["RestAPI"]["Properties"]["MethodSettings"]
    assert (throttling["ThrottlingRateLimit"], throttling["ThrottlingBurstLimit"]) == (50, 100)
    role = template["Resources"]["Role"]["Properties"]
    (network,) = [each for each in role["Policies"] if each["PolicyName"] == "network"]
    allow, deny = network["PolicyDocument"]["Statement"]
    assert (allow["Effect"], deny["Effect"]) == ("Allow", "Deny")
    assert allow["Action"] == deny["Action"], "Lambda may, the function's own code may not"
    assert (role["Path"], role["PermissionsBoundary"].rpartition("/")[2]) == ("/apps/", "boundary")


def test_the_queue_hides_messages_for_six_times_the_consumers_limit():
    parameters = common_parameters(make_plan(LIMITED), LIMITED)
    assert parameters["ConsumerTimeoutSeconds"] == "120"
    assert int(parameters["VisibilityTimeoutSeconds"]) >= 720


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FUNCTION_TIMEOUT", "capture=20"),
        ("FUNCTION_CONCURRENCY", "capture=5"),
        ("FUNCTION_SUBNETS", "subnet-0a1b2c3d"),
        ("FUNCTION_SECURITY_GROUPS", "sg-0a1b2c3d"),
        ("FUNCTION_CONCURRENCY", "analyze-window=5"),
    ],
)
def test_limits_with_which_functions_cannot_work_are_refused(name, value):
    with pytest.raises(SettingError, match=name):
        check_limits(Settings({name: value}))
    check_limits(LIMITED)
    check_limits(SETTINGS)


def test_an_image_of_predict_has_the_memory_that_a_setting_says(packaged):
    plan = make_plan(SETTINGS, ["predict"], "image").apps["predict"]
    larger = with_limits(packaged["predict"], LIMITED)
    (function,) = functions(as_image(larger, "i:t", plan.name_suffix, plan.larger)).values()
    assert (function["MemorySize"], function["Timeout"]) == (2048, 120)


def test_on_aws_functions_run_on_arm_whatever_machine_deploys():
    assert make_plan(Settings({"AWS_ENDPOINT_URL": ""})).architecture == "arm64"
    chosen = Settings({"AWS_ENDPOINT_URL": "", "LAMBDA_ARCHITECTURE": "x86_64"})
    assert make_plan(chosen).architecture == "x86_64"


def test_all_that_is_deployed_has_tags():
    found = tags_of(Settings({"STAGE": "prod", "OWNER": "ml team"}))
    assert found == {"stage": "prod", "version": __version__, "owner": "ml team"}
    assert "owner" not in tags_of(SETTINGS)


@pytest.mark.parametrize("app", APPS)
def test_the_wiring_of_a_function_reads_its_own_settings(app):
    wiring = (PROJECT.function(app) / "chalicelib" / "wiring.py").read_text()
    read = set(re.findall(r"(?<!modelwatch\.)settings\.([a-z0-9_]+)", wiring))
    assert read
    assert {name.upper() for name in read} <= FUNCTIONS[app].declared().keys()
    assert f"{app.capitalize()}Settings()" in wiring
    assert not re.search(r"(?<!\w)Settings\(", wiring), "all settings there are"


def test_a_parameter_that_may_be_empty_says_so(packaged):
    # LocalStack takes an empty value of one without a default for no value at all
    for template in packaged.values():
        asked = re.findall(
            r'"Fn::Equals": \[\{"Ref": "(\w+)"\}, ""\]', json.dumps(template["Conditions"])
        )
        assert asked
        assert [template["Parameters"][name]["Default"] for name in asked] == [""] * len(asked)


def test_the_names_sizes_and_limits_of_functions(packaged):
    made = {
        properties["FunctionName"]["Fn::Sub"]: (properties["MemorySize"], properties["Timeout"])
        for template in packaged.values()
        for properties in functions(template).values()
    }
    assert made == {
        "modelwatch-${Stage}-predict": (1024, 30),
        "modelwatch-${Stage}-capture-api": (512, 30),
        "modelwatch-${Stage}-capture": (1769, {"Ref": "ConsumerTimeoutSeconds"}),
        "modelwatch-${Stage}-capture-compact": (3008, 900),
        "modelwatch-${Stage}-analyze-api": (3008, 900),
        "modelwatch-${Stage}-analyze": (3008, 900),
        "modelwatch-${Stage}-analyze-window": (3008, 900),
    }


def test_secrets_are_not_shown(packaged):
    for template in packaged.values():
        for name in ("S3AccessKeyId", "S3SecretAccessKey"):
            assert template["Parameters"][name]["NoEcho"] is True
    for app in ("predict", "analyze"):
        for name in ("CaptureHashKey", "MlflowTrackingPassword", "MlflowTrackingToken"):
            assert packaged[app]["Parameters"][name]["NoEcho"] is True


def test_no_role_may_do_everything(packaged):
    for template in packaged.values():
        (policy,) = template["Resources"]["Role"]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]:
            actions, resources = statement["Action"], statement["Resource"]
            for action in actions if isinstance(actions, list) else [actions]:
                assert "*" not in action
            assert resources != "*"


def test_no_function_may_change_a_function(packaged):
    """Only invoke: who runs code in one does not choose what the next one runs, or its settings."""
    for template in packaged.values():
        (policy,) = template["Resources"]["Role"]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            for action in actions if isinstance(actions, list) else [actions]:
                assert action == "lambda:InvokeFunction" or not action.startswith("lambda:")


KEEPERS = ("AWS::S3::Bucket", "AWS::SQS::Queue")


def test_every_bucket_and_queue_refuses_what_comes_without_tls(packaged):
    templates = [*map(load_template, STATIC), *packaged.values()]
    resources = {k: v for each in templates for k, v in each["Resources"].items()}
    made = {name for name, resource in resources.items() if resource["Type"] in KEEPERS}
    refusing = set()
    for policy in resources.values():
        if policy["Type"] not in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"):
            continue
        properties = policy["Properties"]
        target = properties.get("Bucket") or properties["Queues"][0]
        (statement,) = properties["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
        assert statement["Action"] in ("s3:*", "sqs:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert target["Ref"] in str(statement["Resource"])
        refusing.add(target["Ref"])
    assert refusing == made != set()


def test_what_is_due_is_hidden_while_its_function_may_run_and_fails_three_times(packaged):
    resources = packaged["analyze"]["Resources"]
    queue, function = (resources[name]["Properties"] for name in ("AnalysisQueue", "Evaluate"))
    assert queue["VisibilityTimeout"] > function["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 3
    # a model is a message group, and one message a run: no model waits for another
    (event,) = function["Events"].values()
    assert (queue["FifoQueue"], event["Properties"]["BatchSize"]) == (True, 1)
    has_url = {
        name
        for name, resource in resources.items()
        if "ANALYSIS_QUEUE_URL" in str(resource["Properties"].get("Environment"))
    }
    assert has_url == {"Analyze", "Evaluate"}, "who asks for an analysis waits for it"


def test_a_record_that_cannot_be_stored_ends_in_the_dead_letter_queue_and_not_soon():
    resources = load_template(PROJECT.template("pipeline"))["Resources"]
    deliveries = resources["CaptureQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]
    again = [Message("m", "", "receipt", deliveries=count) for count in range(1, deliveries)]
    waits = [seconds for message in again for seconds in retry_delays([message]).values()]
    assert sum(waits) >= 3.5 * 3600
    for queue, days in (("CaptureQueue", 4), ("CaptureDeadLetterQueue", 14)):
        properties = resources[queue]["Properties"]
        assert properties["MessageRetentionPeriod"] == days * 24 * 3600
        # the reason needs room beside the largest record
        assert properties["MaximumMessageSize"] >= MESSAGE_LIMIT_BYTES + 5000
