"""``constraints.json``: the rules for columns in Model Monitor's form, written and read.

Model Monitor's form contains less than ours. For a column it has the type, the completeness,
whether numbers may be negative, and the known texts. It has no place for ranges, and for constant
and varying columns.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import msgspec

from modelwatch.domain.constraints import (
    CategoryRule,
    ColumnConstraints,
    Constraints,
    ExtraRule,
    KindRule,
    MissingRule,
    RangeRule,
    WholeRule,
)
from modelwatch.domain.constraints.document import Kind
from modelwatch.domain.faults import UNREADABLE, invalid_json
from modelwatch.domain.model_monitor.statistics import InferredType
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.errors import InvalidInputError

_SAYS_HOW_MANY_MUST = 0.5
"""Amazon's page calls the thresholds of types and domains the share that may be wrong, its
containers and SDK (default: 1.0) take them for the share that must be right. No one means a
majority of wrong values: from here on it is the latter, below it the former."""

_LARGEST = sys.float_info.max
_BOOLEANS = frozenset({"true", "false"})

Switch = Literal["Enabled", "Disabled"]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Overrides(msgspec.Struct, omit_defaults=True):
    evaluate_constraints: Switch | None = None
    datatype_check_threshold: Share | None = None
    domain_content_threshold: Share | None = None


class _NumberConstraints(msgspec.Struct):
    is_non_negative: bool = False


class _StringConstraints(msgspec.Struct):
    domains: list[str]


class _Feature(msgspec.Struct, omit_defaults=True, kw_only=True):
    name: str
    inferred_type: InferredType
    completeness: Share | None = None
    num_constraints: _NumberConstraints | None = None
    string_constraints: _StringConstraints | None = None
    monitoring_overrides: _Overrides | None = msgspec.field(
        default=None, name="monitoringConfigOverrides"
    )


class _Distribution(msgspec.Struct):
    perform_comparison: Switch = "Enabled"
    comparison_threshold: float = 0.1
    comparison_method: Literal["Simple", "Robust"] = "Robust"
    categorical_comparison_threshold: float = 0.1
    categorical_drift_method: Literal["LInfinity", "ChiSquared"] = "LInfinity"


class _Monitoring(msgspec.Struct):
    evaluate_constraints: Switch = "Enabled"
    emit_metrics: Switch = "Enabled"
    datatype_check_threshold: Share = 1.0
    domain_content_threshold: Share = 1.0
    distribution_constraints: _Distribution = msgspec.field(default_factory=_Distribution)


class _Document(msgspec.Struct, kw_only=True):
    version: int | float = 0
    features: list[_Feature]
    monitoring_config: _Monitoring = msgspec.field(default_factory=_Monitoring)


_decode = msgspec.json.Decoder(_Document).decode


def constraints_document(
    constraints: Constraints,
    policy: DriftPolicy = DriftPolicy(),  # noqa: B008 - it is frozen
) -> dict[str, Any]:
    """Return ``constraints`` as the content of ``constraints.json``.

    Parameters
    ----------
    constraints
        The rules; what has no place in the form is left out.
    policy
        When a feature drifts. The form has a place for its thresholds, and none for its methods.

    Examples
    --------
    >>> column = ColumnConstraints(missing=MissingRule(allowed_share=0.25))
    >>> document = constraints_document(Constraints(columns={"colour": column}))
    >>> document["features"]
    [{'name': 'colour', 'inferred_type': 'Unknown', 'completeness': 0.75}]
    """
    chi_squared = policy.categorical_method == "chisquare"
    document = _Document(
        features=[_feature(name, column) for name, column in constraints.columns.items()],
        monitoring_config=_Monitoring(
            distribution_constraints=_Distribution(
                comparison_threshold=policy.numerical_threshold,
                comparison_method="Simple" if policy.mode == "classic" else "Robust",
                categorical_comparison_threshold=policy.categorical_threshold,
                categorical_drift_method="ChiSquared" if chi_squared else "LInfinity",
            )
        ),
    )
    written: dict[str, Any] = msgspec.to_builtins(document)
    return written


def is_constraints_document(payload: bytes) -> bool:
    """Return whether ``payload`` is in this form, and not in that of `encode_constraints`.

    Examples
    --------
    >>> is_constraints_document(b'{"version": 0, "features": []}')
    True
    >>> is_constraints_document(b'{"format": 1, "columns": {}}')
    False
    """
    try:
        document = msgspec.json.decode(payload)
    except UNREADABLE:
        return False
    return isinstance(document, dict) and "features" in document and "columns" not in document


def read_constraints_document(payload: bytes) -> Constraints:
    """Read ``constraints.json``, from modelwatch or from Model Monitor.

    A column without ``completeness`` may have any number of missing values. Where the evaluation
    of constraints is off, for a feature or for all, no rule applies. As with Model Monitor, other
    columns than those of the document are unexpected.

    Raises InvalidInputError when it is something else; names the field.

    Examples
    --------
    >>> constraints = read_constraints_document(b'''{"features": [{"name": "colour",
    ...     "inferred_type": "String", "string_constraints": {"domains": ["red", "white"]}}]}''')
    >>> constraints.columns["colour"].categories.known
    {'red': 0.0, 'white': 0.0}
    """
    try:
        document = _decode(payload)
    except UNREADABLE as error:
        raise invalid_json(error) from None
    config = document.monitoring_config
    if config.evaluate_constraints == "Disabled":
        return Constraints(columns={})
    columns: dict[str, ColumnConstraints] = {}
    for number, feature in enumerate(document.features):
        if feature.name in columns:
            raise InvalidInputError(f"features[{number}].name", f"'{feature.name}' is there twice")
        columns[feature.name] = _column(feature, config)
    return Constraints(columns=columns, extra_columns=ExtraRule(allowed_share=0.0))


def _feature(name: str, column: ColumnConstraints) -> _Feature:
    known = None if column.categories is None else list(column.categories.known)
    overrides = _Overrides()
    if column.kind and column.kind.allowed_share:
        overrides.datatype_check_threshold = _required(column.kind.allowed_share)
    if column.categories and column.categories.allowed_share:
        overrides.domain_content_threshold = _required(column.categories.allowed_share)
    return _Feature(
        name=name,
        inferred_type=_inferred(column),
        completeness=_complement(column.missing.allowed_share) if column.missing else 0.0,
        num_constraints=_numbers(column),
        string_constraints=None if known is None else _StringConstraints(known),
        monitoring_overrides=overrides if overrides != _Overrides() else None,
    )


def _numbers(column: ColumnConstraints) -> _NumberConstraints | None:
    if column.range is not None:
        return _NumberConstraints(column.range.non_negative)
    return _NumberConstraints() if column.kind and column.kind.kind == "numbers" else None


def _inferred(column: ColumnConstraints) -> InferredType:
    kind: Kind | None = column.kind.kind if column.kind else None
    if kind == "numbers":
        return "Integral" if column.whole else "Fractional"
    return "String" if kind in ("texts", "truth values") else "Unknown"


def _column(feature: _Feature, config: _Monitoring) -> ColumnConstraints:
    overrides = feature.monitoring_overrides or _Overrides()
    if overrides.evaluate_constraints == "Disabled":
        return ColumnConstraints(missing=MissingRule(allowed_share=1.0))
    of_type, of_domain = overrides.datatype_check_threshold, overrides.domain_content_threshold
    mistyped = _allowed(config.datatype_check_threshold if of_type is None else of_type)
    unknown = _allowed(config.domain_content_threshold if of_domain is None else of_domain)
    domains = feature.string_constraints.domains if feature.string_constraints else []
    kind = _kind(feature.inferred_type, domains)
    non_negative = feature.num_constraints is not None and feature.num_constraints.is_non_negative
    return ColumnConstraints(
        kind=KindRule(kind=kind, allowed_share=mistyped) if kind else None,
        missing=MissingRule(
            allowed_share=1.0 if feature.completeness is None else _complement(feature.completeness)
        ),
        whole=WholeRule(allowed_share=mistyped) if feature.inferred_type == "Integral" else None,
        range=RangeRule(minimum=-_LARGEST, maximum=_LARGEST, non_negative=True, allowed_share=0.0)
        if non_negative
        else None,
        categories=CategoryRule(known=dict.fromkeys(domains, 0.0), allowed_share=unknown)
        if domains
        else None,
    )


def _kind(inferred: InferredType, domains: list[str]) -> Kind | None:
    if inferred in ("Integral", "Fractional"):
        return "numbers"
    if inferred == "Unknown":
        return None
    return "truth values" if domains and _BOOLEANS.issuperset(domains) else "texts"


def _allowed(threshold: float) -> float:
    """Return the share that may be wrong."""
    return _complement(threshold) if threshold >= _SAYS_HOW_MANY_MUST else threshold


def _required(allowed: float) -> float:
    """Return the threshold that says so, which is never below `_SAYS_HOW_MANY_MUST`."""
    return max(_complement(allowed), _SAYS_HOW_MANY_MUST)


def _complement(share: float) -> float:
    return round(1 - share, 12)
