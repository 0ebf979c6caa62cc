"""How functions are packaged, deployed and called."""

from modelwatch.settings.kinds import bucket, choice, schedule, text, whole
from modelwatch.settings.reading import Setting, maybe
from modelwatch.settings.store import StageSettings


class DeploymentSettings(StageSettings):
    """What `modelwatch deploy` makes of the functions."""

    package_bucket = Setting("modelwatch-packages", "bucket that takes function packages", bucket)
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
    predict_api_key = Setting(
        "", "key that `modelwatch simulate` sends as x-api-key", text, is_secret=True
    )
