"""Holding declared segments against the models that serve, before they are deployed."""

from __future__ import annotations

from collections.abc import Callable

from modelwatch.domain.capture_policy import KEY_SETTING, POLICY_SETTING, read_policy
from modelwatch.domain.schemas import Schema
from modelwatch.domain.segments import SEGMENTS_SETTING, read_segments
from modelwatch.errors import ModelwatchError, SettingError
from modelwatch_cli.settings import Settings


def check_segments(
    settings: Settings,
    say: Callable[[str], None],
    served_schemas: Callable[[Settings], list[Schema]],
) -> None:
    """Refuse segments that capture and analyze could not read, or that no row can belong to.

    Parameters
    ----------
    say
        Called with the reason when the features of the served models are unknown: that is no error,
        there may be none yet.
    served_schemas
        Gives their schemas.

    Raises
    ------
    SettingError
        When they cannot be read, or are about a column that no model has or that is not captured.
    """
    segments = read_segments(settings.text(SEGMENTS_SETTING))
    if not segments.parts:
        return
    policy = read_policy(settings.text(POLICY_SETTING), settings.text(KEY_SETTING))
    try:
        schemas = served_schemas(settings)
    except ModelwatchError as error:
        say(f"{SEGMENTS_SETTING} is not held against the model's features: {error}")
        return
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
