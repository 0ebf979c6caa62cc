"""How windows are compared, and what comes of it."""

from modelwatch.settings.capture import PolicySettings, SegmentSettings, StoredSettings
from modelwatch.settings.kinds import (
    HTTP,
    bucket,
    choice,
    distance,
    duration,
    event_bus,
    number,
    schedule,
    share,
    text,
    whole,
    windows,
)
from modelwatch.settings.names import Named
from modelwatch.settings.reading import Group, Setting


def analysis_queue(stage: str, *, dead: bool = False) -> str:
    """Return the name of the queue of what is due of several models, or of what was given up.

    >>> analysis_queue("prod"), analysis_queue("prod", dead=True)
    ('modelwatch-prod-analyses.fifo', 'modelwatch-prod-analyses-dead.fifo')
    """
    return f"modelwatch-{stage}-analyses{'-dead' if dead else ''}.fifo"


class ResultSettings(Group):
    """Where results are."""

    report_bucket = Named(
        "modelwatch-{STAGE}-reports-{ACCOUNT}-{REGION}",
        "bucket of analysis results and reports",
        bucket,
    )


class MonitorSettings(SegmentSettings):
    """How the windows of a model are evaluated; its monitor may override each."""

    analysis_windows = Setting(
        "PT1H,P1D/P1D,P7D/P1D",
        "windows that are compared, by length and step: PT1H is the last hour, P7D/P1D the last "
        "seven days, each day",
        windows,
    )
    analysis_min_rows = Setting("100", "fewest rows that allow a verdict; below: unknown", whole(2))
    analysis_max_loss = Setting(
        "0.05", "a window is unknown when more of its records were lost", share
    )
    analysis_stale = Setting("P1D", "a window is unknown when its newest record is older", duration)
    analysis_history_days = Setting(
        "28",
        "days with captures until the past counts in full; 0: it is not used",
        whole(0, 365),
    )
    analysis_phase = Setting(
        "auto",
        "past windows that a window is compared with: at the same time of day, of the week, or "
        "none: all; auto: by what the past says",
        choice("auto", "none", "day", "week"),
    )
    drift_mode = Setting(
        "calibrated",
        "calibrated: beyond chance too; classic: thresholds alone",
        choice("calibrated", "classic"),
    )
    false_alarms_per_month = Setting("1", "acceptable false alarms a month and model", number)
    drift_numerical_method = Setting(
        "wasserstein", "Evidently's method for numbers", distance("numerical")
    )
    drift_numerical_threshold = Setting("0.1", "a number drifts from this score on", number)
    drift_categorical_method = Setting(
        "jensenshannon", "Evidently's method for categories", distance("categorical")
    )
    drift_categorical_threshold = Setting("0.1", "a category drifts from this score on", number)
    analysis_verdict_rule = Setting(
        "important",
        "drift of a model: of any feature, an important one, or a share of all",
        choice("any", "important", "share"),
    )
    drift_share_threshold = Setting(
        "0.5", "by the rule share: so large a share of drifted features makes it drift", share
    )
    performance_window = Setting("P7D", "window of the labels that evaluate a model", duration)
    performance_min_labels = Setting("100", "fewest labels that allow metrics", whole(1))
    performance_min_maturity = Setting(
        "0.5", "smallest share of labelled records for metrics", share
    )
    report_every = Setting("PT1H", "while a drift lasts, a report is made so often", duration)
    report_rows = Setting("2000", "rows of each side in a report: a uniform sample", whole(2))


class AnalysisSettings(MonitorSettings, StoredSettings, PolicySettings, ResultSettings):
    """When analyze runs, and which code it is."""

    analysis_schedule = Setting(
        "rate(1 minute)", "EventBridge expression of the analysis", schedule
    )
    analysis_lag_seconds = Setting(
        "5", "age at which captures count as complete, in seconds", whole()
    )
    event_bus = Setting(
        "default",
        "EventBridge bus that hears when a drift episode opens, changes or closes; or none",
        event_bus,
    )
    analysis_queue_url = Setting(
        "",
        "URL of the queue of what is due of several models; empty: a run evaluates it all itself",
        HTTP,
        is_given=True,
    )
    code_revision = Setting("", "git revision of the code; `modelwatch deploy` finds it", text)
