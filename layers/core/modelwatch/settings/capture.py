"""What is captured, how it comes to S3, and how it is kept there."""

from modelwatch.settings.kinds import HTTP, bucket, queue, sample_rate, segments, text, whole
from modelwatch.settings.names import Named
from modelwatch.settings.reading import Group, Setting


class QueueSettings(Group):
    """The queue between predict and capture."""

    capture_queue_name = Named(
        "modelwatch-{STAGE}-captures", "queue that takes the records", queue, is_given=True
    )
    capture_queue_url = Setting(
        "", "URL of the capture queue; empty: found by CAPTURE_QUEUE_NAME", HTTP
    )


class HashSettings(Group):
    """The key of what is hashed."""

    capture_hash_key = Setting(
        "", "key of hashed fields; 16 characters or more, secret", text, is_secret=True
    )


class PolicySettings(HashSettings):
    """What is captured of each field."""

    capture_policy = Setting(
        "", "rule for each field, as JSON: see docs/how-to/choose-what-is-captured.md", text
    )


class SendingSettings(QueueSettings, PolicySettings):
    """How predict sends its records."""

    capture_budget_ms = Setting(
        "1000", "longest that capture may hold up a prediction, in ms", whole(1)
    )
    capture_flush_ms = Setting(
        "1000",
        "longest that a record waits for others where requests are dense, in ms; 0: none waits",
        whole(0, 60_000),
    )
    capture_sample_rate = Setting(
        "1", "share of the predictions that is captured, 0 to 1", sample_rate
    )


class SegmentSettings(Group):
    """Which parts of the traffic are profiled and evaluated; a model's monitor may override it."""

    analysis_segments = Setting(
        "",
        "parts of the traffic that are watched apart, such as colour; strong: alcohol > 13",
        segments,
    )


class StoredSettings(SegmentSettings):
    """Where captures are."""

    capture_bucket = Named(
        "modelwatch-{STAGE}-captures-{ACCOUNT}-{REGION}", "bucket of captured predictions", bucket
    )


class ConsumingSettings(QueueSettings, StoredSettings):
    """How capture stores records, and merges what it stored."""

    dead_letter_queue_url = Setting(
        "",
        "URL of the dead-letter queue; empty: found by CAPTURE_QUEUE_NAME with -dead at its end",
        HTTP,
    )
    compaction_lag_seconds = Setting(
        "900", "seconds after its end until an hour is merged", whole()
    )
