"""Where AWS is, and the S3 of models, captures and reports."""

from modelwatch.settings.account import Account
from modelwatch.settings.kinds import HTTP, account, choice, region, stage, text, url
from modelwatch.settings.reading import Group, Setting

LOCAL_STAGE = "local"


class StoreSettings(Group):
    """Where AWS and S3 are. boto3 reads the AWS_* variables itself."""

    aws_default_region = Setting("us-east-1", "region of all resources", region, is_given=True)
    aws_account_id = Account(
        "", "account of AWS that is meant; empty: that of the credentials", account, is_given=True
    )
    aws_endpoint_url = Setting(
        "", "AWS services other than S3; empty: AWS itself", HTTP, is_given=True
    )
    aws_endpoint_url_s3 = Setting("", "S3 of models and captures; empty: as AWS_ENDPOINT_URL", HTTP)
    s3_access_key_id = Setting(
        "", "key of that S3, where the function's role is not enough", text, is_secret=True
    )
    s3_secret_access_key = Setting("", "secret of that key", text, is_secret=True)


class StageSettings(Group):
    """Which deployment it is."""

    stage = Setting(LOCAL_STAGE, "name of the deployment; part of every resource's name", stage)


class LevelSettings(Group):
    """What is worth a line in the log."""

    log_level = Setting(
        "INFO",
        "least severe lines in the logs of the functions and the bridge",
        choice("DEBUG", "INFO", "WARNING", "ERROR"),
    )


class LogSettings(LevelSettings, StageSettings):
    """Which function it is, where it writes its metrics, and what it logs."""

    aws_lambda_function_name = Setting(
        "", "set by Lambda; empty: this process is alone", text, is_given=True
    )
    aws_emf_agent_endpoint = Setting(
        "",
        "where metric lines go instead of standard output, such as tcp://127.0.0.1:25888",
        url("tcp"),
        is_given=True,
    )
    metrics_to_cloudwatch = Setting(
        "core",
        "metrics that CloudWatch shows, too, and AWS bills each series of: none, core, or all",
        choice("none", "core", "all"),
    )
