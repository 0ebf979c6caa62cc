"""What the bridge reads, and how."""

from modelwatch.settings.analysis import ResultSettings
from modelwatch.settings.capture import QueueSettings
from modelwatch.settings.kinds import bucket, choice, number, port, text, whole
from modelwatch.settings.names import Named
from modelwatch.settings.reading import Setting
from modelwatch.settings.store import LevelSettings, StageSettings, StoreSettings


class BridgeSettings(LevelSettings, StageSettings, StoreSettings, QueueSettings, ResultSettings):
    """Which logs, queues and results the bridge follows, and where it serves them."""

    metrics_transport = Setting(
        "logs",
        "how the functions' log lines come to the bridge: logs, which it polls, or firehose, which "
        "writes them to METRICS_BUCKET",
        choice("logs", "firehose"),
    )
    metrics_bucket = Named(
        "modelwatch-{STAGE}-metrics-{ACCOUNT}-{REGION}",
        "bucket of METRICS_TRANSPORT=firehose; deployed and deleted with it",
        bucket,
    )
    bridge_port = Setting("9108", "the metrics bridge", port)
    bridge_poll_seconds = Setting("2", "how often the bridge reads the functions' logs", number)
    bridge_state = Setting(
        ".modelwatch/bridge.sqlite", "where the bridge keeps what it counted", text
    )
    bridge_log_group_prefix = Named(
        "/aws/lambda/modelwatch-{STAGE}-", "log groups that it reads", text
    )
    bridge_host = Setting("127.0.0.1", "address on which the bridge listens", text)
    bridge_names = Setting(
        "", "host names by which it is asked beside localhost, with commas: those of a proxy", text
    )
    bridge_token = Setting(
        "",
        "token that the bridge asks for, as bearer or as password; to be said where BRIDGE_HOST is "
        "not of this machine alone",
        text,
        is_secret=True,
    )
    bridge_files = Setting(
        "", "files with EMF lines that it also follows, separated by commas", text
    )
    bridge_emf_port = Setting(
        "0", "port for EMF lines over TCP, such as 25888; 0: none", whole(0, 65_535)
    )
    bridge_queues = Setting(
        "",
        "queues to watch, by name; empty: those of captures and analyses; - for none",
        text,
    )
    bridge_throttles_seconds = Setting(
        "0",
        "how often the bridge asks CloudWatch for refused invocations, at a charge; 0: never",
        number,
    )
    bridge_late_seconds = Setting(
        "300", "how late a log event may become visible, in seconds", number
    )
    bridge_lookback_seconds = Setting(
        "3600", "how far back a first start reads, in seconds", number
    )
    bridge_stale_seconds = Setting(
        "60", "/health is not ready after this time without reading", number
    )
    bridge_retire_seconds = Setting(
        "86400", "values of silent versions and functions go then", number
    )
    bridge_max_series = Setting(
        "10000", "most series of one metric; more are counted, not kept", whole(1)
    )
    metrics_file = Setting("", "TOML file that declares metrics of your own", text)
