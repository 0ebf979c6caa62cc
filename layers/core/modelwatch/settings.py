"""Every setting, and the only place that reads ``os.environ``.

A setting is declared once, in :data:`SETTINGS`, with its default and a sentence. `.env.example`
lists the same settings; a test holds the two together. boto3 reads the ``AWS_*`` variables itself:
modelwatch only documents them (and never asks whether an endpoint is local).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from modelwatch.errors import InvalidInputError, SettingError
from modelwatch.setting_kinds import (
    Kind,
    alias,
    bucket,
    choice,
    distance,
    duration,
    model_name,
    model_stage,
    number,
    port,
    queue,
    region,
    registry,
    sample_rate,
    schedule,
    segments,
    share,
    stage,
    text,
    url,
    whole,
    windows,
)

if TYPE_CHECKING:
    from modelwatch.domain.window_plans import WindowPlan


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable.

    Attributes
    ----------
    default
        None: it must be given where it is used. Empty: it may be left out.
    kind
        Its type and range.
    """

    name: str
    default: str | None
    meaning: str
    kind: Kind = text


_HTTP = url("http", "https")
_COUNT = whole()


SETTINGS: tuple[Setting, ...] = (
    # -- what is served and watched
    Setting("MODEL_NAME", "wine_quality_model", "registered model that predict serves", model_name),
    Setting("MODEL_ALIAS", "production", "registry alias whose version is served", alias),
    Setting(
        "MODEL_STAGE",
        "",
        "MLflow stage to serve instead of an alias, such as Production",
        model_stage,
    ),
    Setting(
        "MODEL_REFRESH_SECONDS",
        "30",
        "how often the registry is asked what to serve",
        whole(1),
    ),
    Setting("MODEL_MAX_MB", "500", "largest model that is loaded, unpacked, in MB", whole(1)),
    Setting("MODEL_CACHE", "/tmp/modelwatch-models", "where a function keeps what it loaded"),
    Setting(
        "MODEL_REGISTRY",
        "",
        "empty: MLflow; a folder as a registry without a server: file:///srv/models",
        registry,
    ),
    Setting(
        "MLFLOW_TRACKING_URI",
        "http://127.0.0.1:5000",
        "MLflow server: tracking and registry",
        _HTTP,
    ),
    Setting("MLFLOW_TRACKING_USERNAME", "", "who asks an MLflow that wants to know"),
    Setting("MLFLOW_TRACKING_PASSWORD", "", "password of that user"),
    Setting("MLFLOW_TRACKING_TOKEN", "", "token for MLflow, in place of user and password"),
    # -- capture
    Setting(
        "CAPTURE_QUEUE_NAME",
        "modelwatch-local-captures",
        "queue that takes the records",
        queue,
    ),
    Setting(
        "CAPTURE_QUEUE_URL",
        "",
        "URL of the capture queue; empty: found by CAPTURE_QUEUE_NAME",
        _HTTP,
    ),
    Setting(
        "DEAD_LETTER_QUEUE_URL",
        "",
        "URL of the dead-letter queue; empty: found by CAPTURE_QUEUE_NAME with -dead at its end",
        _HTTP,
    ),
    Setting(
        "CAPTURE_BUDGET_MS",
        "1000",
        "longest that capture may hold up a prediction, in ms",
        whole(1),
    ),
    Setting(
        "CAPTURE_FLUSH_MS",
        "1000",
        "longest that a record waits for others where requests are dense, in ms; 0: none waits",
        whole(0, 60_000),
    ),
    Setting(
        "CAPTURE_SAMPLE_RATE", "1", "share of the predictions that is captured, 0 to 1", sample_rate
    ),
    Setting("CAPTURE_POLICY", "", "what is captured of each field, as JSON: see docs/capture.md"),
    Setting("CAPTURE_HASH_KEY", "", "key of hashed fields; 16 characters or more, secret"),
    Setting("CAPTURE_BUCKET", "modelwatch-captures", "bucket of captured predictions", bucket),
    Setting(
        "CAPTURE_RETENTION_DAYS",
        "",
        "days until S3 deletes captures and labels; empty: never",
        whole(1),
    ),
    Setting(
        "COMPACTION_LAG_SECONDS",
        "900",
        "so long after its end an hour's objects are merged",
        _COUNT,
    ),
    # -- analysis
    Setting(
        "REPORT_BUCKET",
        "modelwatch-reports",
        "bucket of analysis results and reports",
        bucket,
    ),
    Setting(
        "ANALYSIS_WINDOWS",
        "PT1H",
        "windows that are compared: PT1H,P7D or PT1H/PT5M in steps",
        windows,
    ),
    Setting(
        "ANALYSIS_LAG_SECONDS",
        "5",
        "age at which captures count as complete, in seconds",
        _COUNT,
    ),
    Setting(
        "ANALYSIS_MIN_ROWS",
        "100",
        "fewest rows that allow a verdict; below: unknown",
        whole(2),
    ),
    Setting(
        "ANALYSIS_SEGMENTS",
        "",
        "parts of the traffic that are watched apart, such as colour; strong: alcohol > 13",
        segments,
    ),
    Setting(
        "ANALYSIS_MAX_LOSS",
        "0.05",
        "a window is unknown when more of its records were lost",
        share,
    ),
    Setting(
        "ANALYSIS_STALE",
        "P1D",
        "a window is unknown when its newest record is older",
        duration,
    ),
    Setting(
        "DRIFT_MODE",
        "calibrated",
        "calibrated: beyond chance too; classic: thresholds alone",
        choice("calibrated", "classic"),
    ),
    Setting("FALSE_ALARMS_PER_MONTH", "1", "how many are acceptable for a model version", number),
    Setting(
        "DRIFT_NUMERICAL_METHOD",
        "wasserstein",
        "Evidently's method for numbers",
        distance("numerical"),
    ),
    Setting("DRIFT_NUMERICAL_THRESHOLD", "0.1", "a number drifts from this score on", number),
    Setting(
        "DRIFT_CATEGORICAL_METHOD",
        "jensenshannon",
        "Evidently's method for categories",
        distance("categorical"),
    ),
    Setting("DRIFT_CATEGORICAL_THRESHOLD", "0.1", "a category drifts from this score on", number),
    Setting("DRIFT_SHARE_THRESHOLD", "0.5", "share of drifted features that makes it drift", share),
    Setting(
        "PERFORMANCE_WINDOW",
        "P7D",
        "window whose labels tell how well the model predicts",
        duration,
    ),
    Setting("PERFORMANCE_MIN_LABELS", "100", "fewest labels that allow metrics", whole(1)),
    Setting(
        "PERFORMANCE_MIN_MATURITY",
        "0.5",
        "smallest share of labelled records that does",
        share,
    ),
    Setting("REPORT_EVERY", "PT1H", "while a drift lasts, a report is made so often", duration),
    Setting("REPORT_ROWS", "2000", "rows of each side in a report: a uniform sample", whole(2)),
    # -- where S3 is; boto3 reads the AWS_* ones
    Setting("MODEL_BUCKET", "modelwatch-models", "bucket of MLflow's artifacts", bucket),
    Setting("AWS_DEFAULT_REGION", "us-east-1", "region of all resources", region),
    Setting(
        "AWS_ENDPOINT_URL",
        "",
        "AWS services other than S3; empty: AWS itself",
        _HTTP,
    ),
    Setting(
        "AWS_ENDPOINT_URL_S3",
        "",
        "S3 of models and captures; empty: as AWS_ENDPOINT_URL",
        _HTTP,
    ),
    Setting("S3_ACCESS_KEY_ID", "", "key of that S3, where the function's role is not enough"),
    Setting("S3_SECRET_ACCESS_KEY", "", "secret of that key"),
    # -- functions
    Setting("AWS_LAMBDA_FUNCTION_NAME", "", "set by Lambda; empty: this process is alone"),
    Setting("AWS_LAMBDA_RUNTIME_API", "", "set by Lambda; empty: capture before the response"),
    Setting(
        "AWS_EMF_AGENT_ENDPOINT",
        "",
        "where metric lines go instead of standard output, such as tcp://127.0.0.1:25888",
        url("tcp"),
    ),
    Setting(
        "LOG_LEVEL",
        "INFO",
        "DEBUG, INFO, WARNING or ERROR",
        choice("DEBUG", "INFO", "WARNING", "ERROR"),
    ),
    # -- deployment
    Setting("STAGE", "local", "name of the deployment; part of every resource's name", stage),
    Setting("PACKAGE_BUCKET", "modelwatch-packages", "bucket that takes function packages", bucket),
    Setting("IMAGE_REPOSITORY", ".modelwatch/images", "a folder, or a registry for `docker push`"),
    Setting(
        "PREDICT_PACKAGE",
        "auto",
        "auto: what the served versions need; zip: ONNX forms; image: any MLflow model",
        choice("auto", "zip", "image"),
    ),
    Setting(
        "MODEL_REQUIREMENTS",
        "",
        "what predict's image has for the models: lightgbm==4.6.0, a .txt file, or none; "
        "empty: what was logged with them",
    ),
    Setting(
        "LAMBDA_ARCHITECTURE",
        "",
        "x86_64 or arm64; empty: this machine's",
        choice("x86_64", "arm64"),
    ),
    Setting(
        "COMPACTION_SCHEDULE",
        "rate(1 hour)",
        "EventBridge expression of the merging",
        schedule,
    ),
    Setting(
        "ANALYSIS_SCHEDULE",
        "rate(1 minute)",
        "EventBridge expression of the analysis",
        schedule,
    ),
    Setting(
        "CAPTURE_BATCH_SIZE",
        "1000",
        "most records that one capture run takes",
        whole(1, 10_000),
    ),
    Setting(
        "CAPTURE_BATCH_WINDOW_SECONDS",
        "3",
        "longest wait for a batch to fill, in seconds",
        whole(0, 300),
    ),
    Setting("CODE_REVISION", "", "git revision of the code; `modelwatch deploy` finds it"),
    Setting("PREDICT_API_KEY", "", "key that `modelwatch simulate` sends as x-api-key"),
    # -- the stack on one machine
    Setting("MODELWATCH_HOME", ".modelwatch", "where `up` keeps data, logs and process ids"),
    Setting("LOCALSTACK_PORT", "4566", "LocalStack", port),
    Setting(
        "STACK_S3",
        "seaweedfs",
        "S3 of the stack: seaweedfs, or localstack (forgets on stop)",
        choice("seaweedfs", "localstack"),
    ),
    Setting(
        "STACK_FUNCTION_CONCURRENCY",
        "",
        "calls of one function at once on this machine; others wait; empty: twice the cores",
        whole(1),
    ),
    Setting(
        "S3_PORT",
        "8333",
        "SeaweedFS' S3; it takes this port and the seven after it",
        whole(1, 65_528),
    ),
    Setting("MLFLOW_PORT", "5000", "MLflow", port),
    Setting("BRIDGE_PORT", "9108", "the metrics bridge", port),
    Setting("PROMETHEUS_PORT", "9090", "Prometheus", port),
    # -- the bridge
    Setting("BRIDGE_POLL_SECONDS", "2", "how often the bridge reads the functions' logs", number),
    Setting("BRIDGE_STATE", ".modelwatch/bridge.sqlite", "where the bridge keeps what it counted"),
    Setting("BRIDGE_LOG_GROUP_PREFIX", "/aws/lambda/modelwatch-", "log groups that it follows"),
    Setting("BRIDGE_HOST", "127.0.0.1", "address on which the bridge listens"),
    Setting("BRIDGE_FILES", "", "files with EMF lines that it also follows, separated by commas"),
    Setting(
        "BRIDGE_EMF_PORT",
        "0",
        "port for EMF lines over TCP, such as 25888; 0: none",
        whole(0, 65_535),
    ),
    Setting("BRIDGE_QUEUES", "", "queues to watch, by name; empty: the capture queue; - for none"),
    Setting(
        "BRIDGE_THROTTLES_SECONDS",
        "0",
        "how often the bridge asks CloudWatch for refused invocations, at a charge; 0: never",
        number,
    ),
    Setting(
        "BRIDGE_LATE_SECONDS",
        "300",
        "how late a log event may become visible, in seconds",
        number,
    ),
    Setting(
        "BRIDGE_LOOKBACK_SECONDS",
        "3600",
        "how far back a first start reads, in seconds",
        number,
    ),
    Setting(
        "BRIDGE_STALE_SECONDS",
        "60",
        "/health says not ready after so long without reading",
        number,
    ),
    Setting(
        "BRIDGE_RETIRE_SECONDS",
        "86400",
        "values of silent versions and functions go then",
        number,
    ),
    Setting(
        "BRIDGE_MAX_SERIES",
        "10000",
        "most series of one metric; more are counted, not kept",
        whole(1),
    ),
    Setting("METRICS_FILE", "", "TOML file that declares metrics of your own"),
)

_DECLARED = {setting.name: setting for setting in SETTINGS}


class Settings:
    """A read-only view of the environment through the declared settings.

    Parameters
    ----------
    environ
        Where values come from; the process's environment by default.

    Examples
    --------
    >>> settings = Settings({"ANALYSIS_MIN_ROWS": "30"})
    >>> settings.integer("ANALYSIS_MIN_ROWS"), settings.text("MODEL_ALIAS")
    (30, 'production')
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def text(self, name: str) -> str:
        """Return the value of ``name``, or its default, as it was written.

        Raises
        ------
        SettingError
            When it is not of its kind, or is neither set nor has a default. The getters below
            raise the same.
        KeyError
            When no such setting is declared: a mistake in the code.
        """
        return self._read(name)[0]

    def integer(self, name: str) -> int:
        """Return ``name``, a setting that is a whole number."""
        return int(self._value(name))

    def number(self, name: str) -> float:
        """Return ``name``, a setting that is a number or a share."""
        return float(self._value(name))

    def duration(self, name: str) -> timedelta:
        """Return ``name``, a setting that is a duration; of a schedule, how often it runs."""
        value = self._value(name)
        assert isinstance(value, timedelta), f"{name} is no duration"
        return value

    def windows(self, name: str) -> tuple[WindowPlan, ...]:
        """Return ``name``, a setting that declares windows."""
        return tuple(self._value(name))

    def wrong(self) -> list[SettingError]:
        """Return what is wrong with any setting, in the order in which they are declared."""
        errors = []
        for setting in SETTINGS:
            try:
                self._read(setting.name)
            except SettingError as error:
                errors.append(error)
        return errors

    def _value(self, name: str) -> Any:
        value = self._read(name)[1]
        if value is None:
            raise SettingError(name, f"is not set ({_DECLARED[name].meaning})")
        return value

    def _read(self, name: str) -> tuple[str, Any]:
        """Return what was written and what it means; nothing where it may be left out."""
        setting = _DECLARED[name]
        written = self._environ.get(name, "").strip() or setting.default
        if written is None:
            raise SettingError(name, f"is not set ({setting.meaning})")
        if not written:
            return "", None
        try:
            return written, setting.kind(written)
        except InvalidInputError as error:
            raise SettingError(name, error.problem) from None
        except ValueError as error:
            raise SettingError(name, str(error)) from None


def env_example() -> str:
    """Return the text of `.env.example`: every setting with its meaning and default."""
    lines = [
        "# Every setting of modelwatch with its default. Copy to .env and change what you need;",
        "# real environment variables win over .env. Written by `make env-example`.",
    ]
    for setting in SETTINGS:
        lines += ["", f"# {setting.meaning}", f"#{setting.name}={setting.default or ''}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(env_example())
