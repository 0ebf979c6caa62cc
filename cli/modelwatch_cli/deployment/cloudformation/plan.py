"""The parts of a deployment, from the settings alone."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from modelwatch.errors import InvalidInputError, SettingError
from modelwatch_cli.settings import Settings

APPS = ("predict", "capture", "analyze")
LAYERS = ("core", "inference", "capture")
IMAGE_SUFFIX = "-image"
# The import of MLflow takes seconds of a whole CPU, and a function that is killed meanwhile starts
# again with every request. API Gateway returns 504 after 29 s; the next request finds the model.
_LARGER = MappingProxyType({"MemorySize": 1769, "Timeout": 120})

# The layers of an app that is a zip, in the order in which they are applied.
_LAYERS_OF = {"predict": ("core", "inference"), "capture": ("core", "capture")}
# The environment of an app as an image.
_ENVIRONMENT_OF = {"predict": "pyfunc", "analyze": "analysis"}


@dataclass(frozen=True, slots=True)
class AppPlan:
    """The form of an app: a zip with layers, or an image with an environment.

    ``name_suffix`` is the end of its functions' names, ``larger`` are properties that differ from a
    zip's.
    """

    name: str
    layers: tuple[str, ...] = ()
    environment: str | None = None
    name_suffix: str = ""
    larger: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build, and which stack waits for which.

    Parameters
    ----------
    stage
        Name of the deployment.
    architecture
        ``x86_64`` or ``arm64``.
    apps
        The apps to deploy, by name.
    stacks
        The stacks to deploy, each with the stacks that must exist before it.
    owns_buckets
        Whether CloudFormation makes the buckets; otherwise they are made over S3.
    """

    stage: str
    architecture: str
    apps: dict[str, AppPlan]
    layers: tuple[str, ...]
    stacks: dict[str, frozenset[str]]
    owns_buckets: bool

    def stack_name(self, part: str) -> str:
        """Return the full name of the stack ``part``."""
        return stack_name(self.stage, part)


def stack_name(stage: str, part: str) -> str:
    """Return the name of the stack ``part`` (``pipeline``, ``predict`` …) of ``stage``.

    >>> stack_name("local", "predict")
    'modelwatch-local-predict'
    """
    return f"modelwatch-{stage}-{part}"


def stage_of(settings: Settings) -> str:
    """Return the stage."""
    return settings.stage


def chosen_apps(apps: Iterable[str] = ()) -> tuple[str, ...]:
    """Return ``apps`` without repetitions, all of them when empty.

    Raises InvalidInputError when there is no such app.
    """
    chosen = tuple(dict.fromkeys(apps)) or APPS
    for app in chosen:
        if app not in APPS:
            raise InvalidInputError("app", f"there is no app '{app}'; there are {', '.join(APPS)}")
    return chosen


def make_plan(settings: Settings, apps: Iterable[str] = (), predict_package: str = "zip") -> Plan:
    """Return the plan to deploy ``apps`` (all of them when empty).

    Parameters
    ----------
    predict_package
        The form of predict: ``zip`` or ``image``.

    Raises
    ------
    InvalidInputError
        When there is no such app.
    SettingError
        When a setting is not valid.
    """
    plans = {app: _app_plan(app, predict_package) for app in chosen_apps(apps)}
    layers = LAYERS if any(plan.layers for plan in plans.values()) else ()
    owns_buckets = settings.aws_endpoint_url_s3 in ("", settings.aws_endpoint_url)
    stacks: dict[str, frozenset[str]] = {}
    for app, plan in plans.items():
        needs = {"pipeline"} if app != "analyze" else set()
        if plan.layers:
            needs.add("layers")
        if owns_buckets and app != "predict":
            needs.add("storage")
        if wants_firehose(settings):
            needs.add("metrics")
        stacks |= dict.fromkeys(sorted(needs), frozenset())
        if app == "predict" and "capture" in plans:
            # the consumer reads a new form of messages before predict sends it
            needs.add("capture")
        stacks[app] = frozenset(needs)
    if wants_alarms(settings) and set(plans) == set(APPS):
        # their numbers are those of the functions, which are there first
        stacks["alarms"] = frozenset(APPS)
    if wants_tables(settings) and set(plans) == set(APPS):
        stacks["sql"] = frozenset({"storage"} & stacks.keys())
    return Plan(stage_of(settings), architecture(settings), plans, layers, stacks, owns_buckets)


def _app_plan(app: str, predict_package: str) -> AppPlan:
    if app == "analyze" or (app == "predict" and predict_package == "image"):
        if app not in _LAYERS_OF:
            return AppPlan(app, environment=_ENVIRONMENT_OF[app])
        # where an app may be either, each has a name: see `as_image`
        return AppPlan(
            app, environment=_ENVIRONMENT_OF[app], name_suffix=IMAGE_SUFFIX, larger=_LARGER
        )
    return AppPlan(app, layers=_LAYERS_OF[app])


def wants_alarms(settings: Settings) -> bool:
    """Return whether anyone hears alarms."""
    return bool(settings.alarm_topic_arn or settings.alarm_emails or settings.alarm_slack)


def wants_tables(settings: Settings) -> bool:
    """Return whether captures and results are tables of Athena."""
    return settings.sql_tables == "on"


def check_tables(settings: Settings) -> None:
    """Raise SettingError if there is no Athena where the tables would be."""
    if wants_tables(settings) and (settings.aws_endpoint_url or settings.aws_endpoint_url_s3):
        raise SettingError(
            "SQL_TABLES", "on is for AWS; DuckDB reads the same files here, without a deployment"
        )


def wants_firehose(settings: Settings) -> bool:
    """Return whether the functions' log lines go to the bridge through Firehose."""
    return settings.metrics_transport == "firehose"


def check_batches(settings: Settings) -> None:
    """Refuse a batch that needs a window and has none.

    Raises SettingError when it is so large that Lambda needs a window.
    """
    if settings.capture_batch_size > 10 and not settings.capture_batch_window_seconds:
        raise SettingError(
            "CAPTURE_BATCH_WINDOW_SECONDS", "0 allows no more than 10 for CAPTURE_BATCH_SIZE"
        )


def check_limits(settings: Settings) -> None:
    """Refuse limits with which a function cannot work.

    Raises SettingError for the first one.
    """
    # it ends what it does after 26 s, and has to answer for it
    if settings.function_timeout.get("capture", 60) < 30:
        raise SettingError("FUNCTION_TIMEOUT", "capture needs 30 seconds or more")
    if bool(settings.function_subnets) != bool(settings.function_security_groups):
        given, missing = "FUNCTION_SUBNETS", "FUNCTION_SECURITY_GROUPS"
        if not settings.function_subnets:
            given, missing = missing, given
        raise SettingError(missing, f"is not set, and {given} is: a VPC needs both")
    for name, most in most_at_once(settings).items():
        reserved = settings.function_concurrency.get(name)
        if reserved is not None and reserved < most:
            setting = "CAPTURE_MAX_CONCURRENCY" if name == "capture" else "ANALYSIS_MAX_CONCURRENCY"
            raise SettingError(
                "FUNCTION_CONCURRENCY",
                f"{name}={reserved} is less than {setting}, {most}: the queue would be refused",
            )


def most_at_once(settings: Settings) -> dict[str, int]:
    """Return how many runs at once take messages from a queue, by the function that does."""
    return {
        "capture": settings.capture_max_concurrency,
        "analyze-window": settings.analysis_max_concurrency,
    }


def architecture(settings: Settings) -> str:
    """Return the instruction set of the functions.

    It is the setting's; else on AWS arm64, a fifth cheaper whatever machine deploys, and elsewhere
    this machine's. Raises SettingError when Lambda has no such instruction set.
    """
    if settings.lambda_architecture:
        return settings.lambda_architecture
    return own_architecture() if settings.aws_endpoint_url else "arm64"


def own_architecture() -> str:
    """Return this machine's instruction set; raises SettingError when Lambda does not have it."""
    here = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
    machine = platform.machine()
    if machine not in here:
        raise SettingError("LAMBDA_ARCHITECTURE", f"is not set, and Lambda has no {machine}")
    return here[machine]
