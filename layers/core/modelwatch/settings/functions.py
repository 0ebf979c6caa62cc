"""What each function reads, and so what a deployment gives it."""

from modelwatch.settings.access import AccessSettings
from modelwatch.settings.analysis import AnalysisSettings, ResultSettings
from modelwatch.settings.capture import ConsumingSettings, HashSettings, SendingSettings
from modelwatch.settings.reading import Group
from modelwatch.settings.serving import RegistrySettings, ServingSettings
from modelwatch.settings.store import LogSettings, StoreSettings


class PredictSettings(
    LogSettings, AccessSettings, RegistrySettings, ServingSettings, SendingSettings, ResultSettings
):
    """What `functions/predict` reads."""


class CaptureSettings(
    LogSettings, AccessSettings, StoreSettings, ConsumingSettings, HashSettings, ResultSettings
):
    """What `functions/capture` reads."""


class AnalyzeSettings(LogSettings, AccessSettings, RegistrySettings, AnalysisSettings):
    """What `functions/analyze` reads."""


FUNCTIONS: dict[str, type[Group]] = {
    "predict": PredictSettings,
    "capture": CaptureSettings,
    "analyze": AnalyzeSettings,
}
"""By the name of the app."""
