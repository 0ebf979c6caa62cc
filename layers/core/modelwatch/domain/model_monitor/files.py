"""The files of a Model Monitor job, by their names."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from modelwatch.domain.constraints import Constraints
from modelwatch.domain.model_monitor.constraints import constraints_document
from modelwatch.domain.model_monitor.statistics import statistics_document
from modelwatch.domain.model_monitor.violations import violations_document
from modelwatch.domain.profiles import Profile
from modelwatch.domain.verdict.results import WindowVerdict

STATISTICS = "statistics.json"
CONSTRAINTS = "constraints.json"
VIOLATIONS = "constraint_violations.json"


def job_files(
    verdict: WindowVerdict, profile: Profile, constraints: Constraints
) -> Mapping[str, bytes]:
    """Return the files of a job that analyzed a window, by name.

    Parameters
    ----------
    verdict
        Its broken rules, and its features and outputs that drifted, are the violations.
    profile
        The window's.
    constraints
        The rules of the window.
    """
    documents = {
        STATISTICS: statistics_document(profile),
        CONSTRAINTS: constraints_document(constraints, verdict.policy),
        VIOLATIONS: violations_document(verdict.quality, [*verdict.features, *verdict.outputs]),
    }
    return {name: msgspec.json.encode(document) for name, document in documents.items()}
