"""Settings: environment variables, declared in groups by what they steer.

A setting is one line of its group: default, a sentence and its kind (`kinds`). The variable is
named as the attribute is, in capitals. The groups of the functions are here, those of the bridge,
the stack and the deployment beside what they steer. A program's class derives from the groups that
it needs (`functions.PredictSettings`); a deployment gives a function these, and no others.
`.env.example` lists all settings.
"""

from modelwatch.settings.functions import AnalyzeSettings, CaptureSettings, PredictSettings
from modelwatch.settings.reading import Group, Setting

__all__ = ["Group", "Setting", "Settings"]


class Settings(PredictSettings, CaptureSettings, AnalyzeSettings):
    """All settings of the functions, for programs that register, import and analyze."""
