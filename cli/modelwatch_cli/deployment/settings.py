"""Settings of packaging, deployment and calls."""

from modelwatch.settings.kinds import (
    bucket,
    choice,
    email,
    kms_key,
    limits,
    lock,
    network,
    owner,
    policy,
    principal,
    role,
    role_path,
    schedule,
    security_group,
    several,
    slack,
    stage,
    subnet,
    text,
    topic,
    vpc_endpoint,
    whole,
)
from modelwatch.settings.names import Named
from modelwatch.settings.reading import Setting, maybe
from modelwatch.settings.store import StageSettings

LOG_DAYS = tuple(
    str(days)
    for days in (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653)
)
"""What CloudWatch takes."""

ROLLOUTS = ("Canary10Percent15Minutes", "Canary10Percent30Minutes", "Linear10PercentEvery10Minutes")
"""CodeDeploy's ways that leave an alarm the 15 minutes that it looks back."""

FUNCTION_NAMES = (
    "predict",
    "capture-api",
    "capture",
    "capture-compact",
    "analyze-api",
    "analyze",
    "analyze-window",
)
"""What limits are set for: a function's name without ``modelwatch-<stage>-``."""


def _limits(at_least: int, at_most: int, meaning: str) -> Setting[dict[str, int]]:
    setting = Setting("", meaning, limits(at_least, at_most, *FUNCTION_NAMES))
    setting.blank = {}
    return setting


class DeploymentSettings(StageSettings):
    """What `modelwatch deploy` makes of the functions."""

    package_bucket = Named(
        "modelwatch-packages-{ACCOUNT}-{REGION}", "bucket that takes function packages", bucket
    )
    shared_with_stages = maybe(
        "stages that may use this stage's buckets and queue, with commas", several(stage)
    )
    image_repository = Setting(
        ".modelwatch/images", "a folder, or a registry for `docker push`", text
    )
    predict_package = Setting(
        "auto",
        "auto: what the served versions need; zip: ONNX forms; image: any MLflow model",
        choice("auto", "zip", "image"),
    )
    model_requirements = Setting(
        "",
        "what predict's image has for the models: lightgbm==4.6.0, a .txt file, or none; "
        "empty: what was logged with them",
        text,
    )
    lambda_architecture = Setting(
        "", "x86_64 or arm64; empty: arm64 on AWS, else this machine's", choice("x86_64", "arm64")
    )
    function_memory = _limits(
        128, 10_240, "MB of a function, such as predict=2048,analyze=4096; empty: as measured"
    )
    function_timeout = _limits(3, 900, "seconds of a function, such as capture=120")
    function_concurrency = _limits(
        0, 10_000, "concurrency that a function has for itself, and no more: analyze=1"
    )
    predict_rollout = Setting(
        "at-once",
        "how requests move to a new predict, on AWS: at once, or by CodeDeploy",
        choice("at-once", *ROLLOUTS),
    )
    snap_start = Setting(
        "off", "on: Lambda starts predict, as a zip, from a snapshot; on AWS", choice("on", "off")
    )
    capture_max_concurrency = Setting(
        "10", "most runs at once that take records from the queue, on AWS", whole(2, 1_000)
    )
    analysis_max_concurrency = Setting(
        "10", "most models at once that are analyzed where several are due, on AWS", whole(2, 1_000)
    )
    api_rate = maybe(
        "requests a second that each API takes; empty: as the account's quota", whole(1, 10_000)
    )
    log_retention_days = Setting(
        "30",
        "days that CloudWatch keeps the functions' logs",
        choice(*LOG_DAYS),
    )
    function_subnets = maybe(
        "subnets in which the functions run, with commas; empty: outside of your VPCs",
        several(subnet),
    )
    function_security_groups = maybe(
        "security groups of the functions in FUNCTION_SUBNETS, with commas",
        several(security_group),
    )
    tracing = Setting("off", "on: X-Ray traces the functions", choice("on", "off"))
    role_path = Setting("/", "path of the functions' roles, such as /apps/", role_path)
    cloudformation_role = maybe(
        "role in which CloudFormation makes the stacks: its ARN; empty: with the rights of who "
        "deploys",
        role,
    )
    role_boundary = maybe("permissions boundary of these roles: a policy's ARN", policy)
    owner = maybe("the tag `owner` of all that is deployed: a person or a team", owner)
    alarm_topic_arn = maybe("SNS topic of this region that gets CloudWatch's alarms", topic)
    alarm_emails = maybe(
        "addresses that get CloudWatch's alarms, with commas; empty, and no topic: no alarms",
        several(email),
    )
    alarm_slack = maybe(
        "workspace and channel of Slack that get them, too, such as T0123ABCD/C0123ABCD", slack
    )
    sql_tables = Setting(
        "off",
        "on: Athena has tables of captures, labels and results, in a stack of their own; on AWS",
        choice("on", "off"),
    )
    compaction_schedule = Setting("rate(1 hour)", "EventBridge expression of the merging", schedule)
    capture_retention_days = maybe(
        "days until S3 deletes captures and labels; empty: never", whole(1)
    )
    report_retention_days = maybe(
        "days until S3 deletes results, reports and what they were made of; empty: never", whole(1)
    )
    report_lock = maybe(
        "Object Lock of REPORT_BUCKET: compliance=365 or governance=365, in days; empty: as it is",
        lock,
    )
    capture_batch_size = Setting(
        "1000", "most records that one capture run takes", whole(1, 10_000)
    )
    capture_batch_window_seconds = Setting(
        "3", "longest wait for a batch to fill, in seconds", whole(0, 300)
    )
    kms_key_arn = Setting(
        "",
        "key in KMS for buckets, queue, variables and logs; empty: keys of AWS",
        kms_key,
    )
    api_allowed_principals = maybe(
        "with API_AUTH=iam: accounts, users and roles that may call, with commas; "
        "empty: whom this account's policies allow",
        several(principal),
    )
    api_allowed_cidrs = maybe(
        "ranges of addresses from which calls may come, with commas; empty: any", several(network)
    )
    api_vpc_endpoints = maybe(
        "VPC endpoints through which alone the APIs are reached, with commas; empty: the internet",
        several(vpc_endpoint),
    )
    api_key_rate = Setting("100", "requests a second that an API key may make", whole(1, 10_000))
    api_key_burst = Setting("200", "requests at once that an API key may make", whole(1, 5_000))
    api_key_daily = Setting("1000000", "requests a day that an API key may make", whole(1))
    api_token = Setting(
        "", "bearer token that commands send to APIs of API_AUTH=jwt", text, is_secret=True
    )
    api_token_command = Setting("", "command that prints such a token, in place of API_TOKEN", text)
    predict_api_key = Setting(
        "",
        "key that is sent to predict as x-api-key; empty: that of the deployed API",
        text,
        is_secret=True,
    )
