"""The stack on one machine: LocalStack, an S3, MLflow, the bridge and Prometheus as processes.

``plan`` says where everything is, ``servers`` what runs and how; ``supervisor`` starts and stops
it, ``records`` remembers what was started, ``processes`` and ``ports`` ask the operating system,
``environment`` tells every other command where things are, and ``commands`` is what users type.
"""
