"""Holding the settings of what is captured against the models that serve, before they are deployed.

In the function, a rule for a feature that no model has would only be a warning in a log; and what
it was meant to keep back would be captured.
"""

from __future__ import annotations

from collections.abc import Callable

from modelwatch.domain.capture_policy import KEY_SETTING, POLICY_SETTING, read_policy
from modelwatch.domain.schemas import Schema
from modelwatch.errors import ModelwatchError, SettingError
from modelwatch_cli.settings import Settings


def check_capture(
    settings: Settings,
    say: Callable[[str], None],
    served_schemas: Callable[[Settings], list[Schema]],
) -> None:
    """Refuse settings of capture that predict could not start with, or that miss their aim.

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
        When the rate or the policy is none, hashes have no key, or a rule fits no feature.
    """
    settings.text("CAPTURE_SAMPLE_RATE")
    policy = read_policy(settings.text(POLICY_SETTING), settings.text(KEY_SETTING))
    if not policy.rules:
        return
    try:
        schemas = served_schemas(settings)
    except ModelwatchError as error:
        say(f"{POLICY_SETTING} is not held against the model's features: {error}")
        return
    problems = policy.problems(schemas)
    if problems:
        raise SettingError(POLICY_SETTING, "; ".join(problems))
