"""SageMaker Model Monitor's documents: ``statistics.json``, ``constraints.json`` and
``constraint_violations.json``, as Amazon publishes them.

Sources: "Schema for Statistics", "Schema for Constraints" and "Schema for Violations" in the Amazon
SageMaker AI developer guide. Programs that read Model Monitor's files read these.
"""

from modelwatch.domain.model_monitor.constraints import (
    constraints_document,
    is_constraints_document,
    read_constraints_document,
)
from modelwatch.domain.model_monitor.files import CONSTRAINTS, STATISTICS, VIOLATIONS, job_files
from modelwatch.domain.model_monitor.statistics import statistics_document
from modelwatch.domain.model_monitor.violations import violations_document

__all__ = [
    "CONSTRAINTS",
    "STATISTICS",
    "VIOLATIONS",
    "constraints_document",
    "is_constraints_document",
    "job_files",
    "read_constraints_document",
    "statistics_document",
    "violations_document",
]
