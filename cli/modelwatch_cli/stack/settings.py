"""The stack on one machine."""

from modelwatch.settings.kinds import choice, port, text, whole
from modelwatch.settings.reading import Group, Setting, maybe


class StackSettings(Group):
    """Where the stack keeps its files, and on which ports it listens."""

    modelwatch_home = Setting(".modelwatch", "where `up` keeps data, logs and process ids", text)
    localstack_port = Setting("4566", "LocalStack", port)
    stack_s3 = Setting(
        "seaweedfs",
        "S3 of the stack: seaweedfs, or localstack (forgets on stop)",
        choice("seaweedfs", "localstack"),
    )
    stack_function_concurrency = maybe(
        "calls of one function at once on this machine; others wait; empty: twice the cores",
        whole(1),
    )
    s3_port = Setting(
        "8333", "SeaweedFS' S3; it takes this port and the seven after it", whole(1, 65_528)
    )
    mlflow_port = Setting("5000", "MLflow", port)
    prometheus_port = Setting("9090", "Prometheus", port)
