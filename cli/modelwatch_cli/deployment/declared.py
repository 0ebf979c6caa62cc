"""Checks declared capture rules and segments against the served models, before a deployment.

In the function, a rule for a feature that no model has is only a warning in a log, and the feature
that it should protect is captured.
"""

from __future__ import annotations

from collections.abc import Callable

from modelwatch.domain.capture_policy import KEY_SETTING, POLICY_SETTING, read_policy
from modelwatch.domain.schemas import Schema
from modelwatch.domain.segments import SEGMENTS_SETTING, read_segments
from modelwatch.errors import ModelwatchError, SettingError
from modelwatch_cli.settings import Settings

Served = Callable[[], list[Schema]]
"""Gives the schemas of the served models; raises ModelwatchError where no one knows them yet."""


def check_capture(settings: Settings, say: Callable[[str], None], served: Served) -> None:
    """Refuse settings of capture with which predict cannot start, or that fit no feature.

    ``say`` is called with the reason when the features of the served models are unknown: that is
    no error, there may be none yet.

    Raises SettingError when the rate or the policy is not valid, hashes have no key, or a rule fits
    no feature.
    """
    settings.text("CAPTURE_SAMPLE_RATE")
    policy = read_policy(settings.text(POLICY_SETTING), settings.text(KEY_SETTING))
    schemas = _known(POLICY_SETTING, say, served) if policy.rules else None
    if schemas is not None and (problems := policy.problems(schemas)):
        raise SettingError(POLICY_SETTING, "; ".join(problems))


def check_segments(settings: Settings, say: Callable[[str], None], served: Served) -> None:
    """Refuse segments that capture and analyze cannot read, or that no row can belong to.

    ``say`` is as for `check_capture`.

    Raises SettingError when they cannot be read, or are about a column that no model has or that is
    not captured.
    """
    segments = read_segments(settings.text(SEGMENTS_SETTING))
    schemas = _known(SEGMENTS_SETTING, say, served) if segments.parts else None
    if schemas is None:
        return
    policy = read_policy(settings.text(POLICY_SETTING), settings.text(KEY_SETTING))
    known = {column.name for schema in schemas for column in schema.columns}
    unknown = sorted(segments.columns - known)
    if unknown:
        raise SettingError(
            SEGMENTS_SETTING,
            f"'{unknown[0]}' is no feature of the model; its features are "
            + ", ".join(name for schema in schemas[:1] for name in schema.names),
        )
    dropped = sorted(name for name in segments.columns if policy.of_feature(name) == "drop")
    if dropped:
        raise SettingError(
            SEGMENTS_SETTING, f"{POLICY_SETTING} does not let '{dropped[0]}' be captured"
        )


def _known(setting: str, say: Callable[[str], None], served: Served) -> list[Schema] | None:
    try:
        return served()
    except ModelwatchError as error:
        say(f"{setting} is not checked against the model's features: {error}")
        return None
