"""What a setting may be: each kind reads a text, or says what is wrong with it and what is right.

A kind is a function from the text to its value. It raises a ValueError, or an `InvalidInputError`,
whose words follow the setting's name in the message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.numbers import LEAST_SAMPLE_RATE

if TYPE_CHECKING:
    from modelwatch.domain.window_plans import WindowPlan

# what only some functions need is imported where it is read: see the cold starts

type Kind[T] = Callable[[str], T]

_SCHEMAS: dict[Callable[[str], object], dict[str, Any]] = {}


def json_schema(kind: Kind[Any]) -> dict[str, Any]:
    """Return what a value is as JSON or TOML: a text, unless the kind says that it is a number.

    >>> json_schema(whole(2)), json_schema(duration)
    ({'type': 'integer', 'minimum': 2}, {'type': 'string'})
    """
    return _SCHEMAS.get(kind, {"type": "string"})


def text(value: str) -> str:
    """Take any text."""
    return value


def whole(at_least: int = 0, at_most: int | None = None) -> Kind[int]:
    """Return the kind of whole numbers in a range.

    >>> whole(1, 5)("3")
    3
    """
    limits = f"of {at_least} or more" if at_most is None else f"from {at_least} to {at_most}"

    def read(value: str) -> int:
        # isascii: int() also reads digits of other scripts
        if value.isascii() and value.isdecimal() and len(value) <= 15:
            number = int(value)
            if number >= at_least and (at_most is None or number <= at_most):
                return number
        raise ValueError(f"'{value[:80]}' is not a whole number {limits}")

    most = {} if at_most is None else {"maximum": at_most}
    _SCHEMAS[read] = {"type": "integer", "minimum": at_least, **most}
    return read


def number(value: str) -> float:
    """Take a finite number of zero or more."""
    try:
        read = float(value)
    except ValueError:
        read = -1.0
    if not 0 <= read < float("inf"):
        raise ValueError(f"'{value[:80]}' is not a number of 0 or more")
    return read


def share(value: str) -> float:
    """Take a number from 0 to 1.

    >>> share("50%")
    Traceback (most recent call last):
    ...
    ValueError: '50%' is not a share, a number from 0 to 1; 50 % is 0.5
    """
    try:
        read = number(value)
    except ValueError:
        read = -1.0
    if 0 <= read <= 1:
        return read
    percent = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*%", value)
    hint = f"; {percent[1]} % is {float(percent[1]) / 100:g}" if percent else ""
    raise ValueError(f"'{value[:80]}' is not a share, a number from 0 to 1{hint}")


def sample_rate(value: str) -> float:
    """Take a share that a record may have: 0, or 1e-9 and more.

    >>> sample_rate("0.1"), sample_rate("0")
    (0.1, 0.0)
    """
    read = share(value)
    if 0 < read < LEAST_SAMPLE_RATE:
        raise ValueError(f"'{value[:80]}' is less than {LEAST_SAMPLE_RATE:g}; 0 captures nothing")
    return read


_SCHEMAS[number] = {"type": "number", "minimum": 0}
_SCHEMAS[share] = {"type": "number", "minimum": 0, "maximum": 1}


def duration(value: str) -> timedelta:
    """Take an ISO 8601 duration such as ``PT1H``."""
    return parse_duration(value)


def windows(value: str) -> tuple[WindowPlan, ...]:
    """Take windows such as ``PT1H,P7D/P1D``."""
    from modelwatch.domain.window_plans import parse_plans

    return parse_plans(value)


def schedule(value: str) -> timedelta:
    """Take an EventBridge expression; its value is how often it runs."""
    from modelwatch.domain.schedules import parse_schedule

    return parse_schedule(value)


def segments(value: str) -> str:
    """Take declared segments."""
    from modelwatch.domain.segments import parse_segments

    parse_segments(value)
    return value


def distance(kind: str) -> Kind[str]:
    """Return the kind of the distances for features of ``kind``, by Evidently's names."""

    def read(value: str) -> str:
        from modelwatch.domain.statistics.distances import METHODS

        names = [method.name for method in METHODS.values() if kind in method.kinds]
        return str(choice(*names)(value))

    return read


def model_name(value: str) -> str:
    """Take a name that records and the registry both take."""
    from modelwatch.domain.names import check_model_name

    check_model_name(value)
    return value


def alias(value: str) -> str:
    """Take an alias that the registry takes."""
    from modelwatch.domain.names import check_alias

    check_alias(value)
    return value


def model_stage(value: str) -> str:
    """Take a stage that the registry knows."""
    from modelwatch.domain.names import stage_of

    stage_of(value)
    return value


def served_models(value: str) -> dict[str, str]:
    """Take models, each ``NAME`` or ``NAME@ALIAS``, with commas; return the aliases by name.

    The part after the last @ is the alias: a name with an @ needs one. No name has a comma.

    >>> served_models("churn, fraud@champion")
    {'churn': '', 'fraud': 'champion'}
    """
    found: dict[str, str] = {}
    for part in value.split(","):
        name, at, said = part.strip().rpartition("@")
        name, said = (name, said) if at else (said, "")
        model_name(name)
        if at:
            alias(said)
        if name in found:
            raise ValueError(f"'{name[:80]}' is there twice")
        found[name] = said
    return found


def choice(*choices: str) -> Kind[str]:
    """Return the kind that is one of ``choices``.

    >>> choice("calibrated", "classic")("calibratd")
    Traceback (most recent call last):
    ...
    ValueError: 'calibratd' is not one of calibrated, classic; is calibrated meant?
    """

    def read(value: str) -> str:
        if value in choices:
            return value
        raise ValueError(
            f"'{value[:80]}' is not one of {', '.join(choices)}{meant(value, choices)}"
        )

    _SCHEMAS[read] = {"type": "string", "enum": list(choices)}
    return read


def several(each: Kind[str]) -> Kind[tuple[str, ...]]:
    """Return the kind of lists with commas, whose parts are of one kind.

    >>> several(stage)("a, b")
    ('a', 'b')
    """
    return lambda value: tuple(each(part.strip()) for part in value.split(","))


def limits(at_least: int, at_most: int, *names: str) -> Kind[dict[str, int]]:
    """Return the kind of limits by name, such as ``predict=2048,analyze=4096``.

    >>> limits(1, 900, "predict", "analyze")("predict=60")
    {'predict': 60}
    """
    each_name, each_limit = choice(*names), whole(at_least, at_most)

    def read(value: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for part in value.split(","):
            name, equals, limit = part.partition("=")
            if not equals:
                raise ValueError(f"'{part[:80]}' is not NAME=NUMBER; names are {', '.join(names)}")
            name = each_name(name.strip())
            if name in found:
                raise ValueError(f"has {name} twice")
            found[name] = each_limit(limit.strip())
        return found

    return read


LOCKS = ("governance", "compliance")
"""S3's modes, the stricter last: who may bypass the first can delete, the second no one."""


class Lock(NamedTuple):
    """For how many days S3 keeps an object from being deleted, and in which mode."""

    mode: str
    days: int

    def __str__(self) -> str:
        return f"{self.mode}={self.days}"


def lock(value: str) -> Lock:
    """Take an Object Lock.

    >>> lock("compliance=2555")
    Lock(mode='compliance', days=2555)
    """
    found = limits(1, 36_500, *LOCKS)(value)
    if len(found) != 1:
        raise ValueError(f"'{value[:80]}' is not one of {' or '.join(LOCKS)}, with its days")
    return Lock(*next(iter(found.items())))


def network(value: str) -> str:
    """Take a range of addresses such as ``192.0.2.0/24``."""
    import ipaddress

    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        problem = str(error).replace(value, value[:80])
        raise ValueError(f"{problem}; expected a range such as 192.0.2.0/24") from None


def matching(pattern: str, expected: str) -> Kind[str]:
    """Return the kind that fits a regular expression; ``expected`` says what that asks for."""
    compiled = re.compile(pattern)

    def read(value: str) -> str:
        if compiled.fullmatch(value):
            return value
        raise ValueError(f"'{value[:80]}' is not {expected}")

    return read


def url(*schemes: str) -> Kind[str]:
    """Return the kind of addresses with one of ``schemes``, a host, and a port that may be."""

    def read(value: str) -> str:
        from urllib.parse import urlsplit

        try:
            parts = urlsplit(value)
            fits = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            fits = False
        if fits and not re.search(r"\s", value):
            return value
        raise ValueError(f"'{value[:80]}' is no address; expected {schemes[0]}://host:port")

    return read


CATALOG = "databricks-uc"
DATABRICKS = ("databricks", CATALOG)
"""How MLflow names a workspace's own registry, and its Unity Catalog."""


def tracking_server(value: str) -> str:
    """Take an MLflow server's address, the ARN of one that SageMaker manages, or Databricks."""
    if managed_region(value) or value in DATABRICKS:
        return value
    if value.startswith("databricks"):
        raise ValueError(
            f"'{value}' names a profile, which is a file that functions do not have: set "
            f"{' or '.join(DATABRICKS)}, DATABRICKS_HOST and DATABRICKS_TOKEN"
        )
    try:
        return HTTP(value)
    except ValueError as error:
        raise ValueError(
            f"{error}, or the ARN of an MLflow that SageMaker manages, or {' or '.join(DATABRICKS)}"
        ) from None


def managed_region(value: str) -> str:
    """Return the region of an MLflow that SageMaker manages; empty if ``value`` is no ARN of one.

    >>> managed_region("arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/ours")
    'eu-west-1'
    """
    found = _MANAGED_MLFLOW(value)
    return found[1] if found else ""


def meant(value: str, known: tuple[str, ...] | list[str]) -> str:
    """Return a question for the nearest of ``known``, or nothing when none is near."""
    import difflib

    near = difflib.get_close_matches(value.lower(), [each.lower() for each in known], 1, 0.7)
    found = next((each for each in known if near and each.lower() == near[0]), "")
    return f"; is {found} meant?" if found else ""


registry = matching(
    r"[a-z][a-z0-9+.-]*://\S(.*\S)?",
    "the address of a registry, such as file:///srv/models; leave it empty for MLflow",
)
bucket = matching(
    r"(?!.*\.\.)(?!\d+(?:\.\d+){3}$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "a bucket's name: 3 to 63 of a-z, 0-9, . and -, beginning and ending with a letter or digit",
)
folder = matching(r"([\w.=-]+/)+", "a folder of a bucket, with / at its end, such as mlflow/")
stage = matching(r"[a-z][a-z0-9-]{0,19}", "up to 20 of a-z, 0-9 and -, beginning with a letter")
queue = matching(r"[A-Za-z0-9_-]{1,75}", "a queue's name: up to 75 of A-Z, a-z, 0-9, _ and -")
email = matching(r"[^@\s,]{1,64}@[^@\s,]{1,255}", "an e-mail address, such as ops@acme.example")
topic = matching(
    r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}", "the ARN of an SNS topic"
)
slack = matching(
    r"T[0-9A-Z]{5,30}/[CG][0-9A-Z]{5,30}",
    "the ids of a workspace and a channel of Slack, such as T0123ABCD/C0123ABCD",
)
policy = matching(
    r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+", "the ARN of a policy of IAM"
)
role = matching(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", "the ARN of a role of IAM")
role_path = matching(r"/([\w+=,.@-]+/)*", "a path of roles, such as /apps/")
owner = matching(r"[\w .:/=+@-]{1,256}", "a tag's value: up to 256 letters, digits and _.:/=+-@")
event_bus = matching(
    r"[A-Za-z0-9._/-]{1,256}", "an event bus's name: up to 256 of A-Z, a-z, 0-9, ., _, / and -"
)
region = matching(r"[a-z]{2}(-[a-z]+){1,3}-\d{1,2}", "a region, such as eu-central-1")
account = matching(r"\d{12}", "an account's 12 digits")
principal = matching(
    r"\d{12}|arn:aws[a-z-]*:iam::\d{12}:(user|role)/[\w+=,.@/-]+",
    "an account's 12 digits, or the ARN of a user or role without *",
)
kms_key = matching(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[a-z0-9-]+",
    "the ARN of a key in KMS, such as arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d",
)
vpc_endpoint = matching(r"vpce-[0-9a-f]{8,17}", "the id of a VPC endpoint, such as vpce-0a1b2c3d")
subnet = matching(r"subnet-[0-9a-f]{8,17}", "the id of a subnet, such as subnet-0a1b2c3d")
security_group = matching(r"sg-[0-9a-f]{8,17}", "the id of a security group, such as sg-0a1b2c3d")
port = whole(1, 65_535)
HTTP = url("http", "https")
_MANAGED_MLFLOW = re.compile(
    r"arn:aws(?:-us-gov)?:sagemaker:([a-z0-9-]+):\d{12}:mlflow-(?:tracking-server|app)/[\w-]+"
).fullmatch
