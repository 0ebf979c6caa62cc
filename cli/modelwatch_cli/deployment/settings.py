"""Settings of packaging, deployment and calls."""

from modelwatch.settings.kinds import (
    bucket,
    choice,
    kms_key,
    network,
    principal,
    schedule,
    several,
    stage,
    text,
    vpc_endpoint,
    whole,
)
from modelwatch.settings.names import Named
from modelwatch.settings.reading import Setting, maybe
from modelwatch.settings.store import StageSettings


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
        "", "x86_64 or arm64; empty: this machine's", choice("x86_64", "arm64")
    )
    compaction_schedule = Setting("rate(1 hour)", "EventBridge expression of the merging", schedule)
    capture_retention_days = maybe(
        "days until S3 deletes captures and labels; empty: never", whole(1)
    )
    report_retention_days = maybe(
        "days until S3 deletes results, reports and what they were made of; empty: never", whole(1)
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
