"""The stack on one machine: LocalStack, an S3, MLflow, the bridge and Prometheus as processes.

``plan`` says where everything is, and ``servers`` what runs and how. ``supervisor`` starts and
stops the parts, and ``records`` stores what it started. ``processes`` and ``ports`` query the
operating system. ``environment`` gives every other command the addresses. ``commands`` has the
commands.
"""
