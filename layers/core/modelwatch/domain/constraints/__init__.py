"""Data quality: what is asked of a model's columns, learned from a reference, and held to it."""

from modelwatch.domain.constraints.checking import Quality, QualityStatus, Violation, check
from modelwatch.domain.constraints.document import (
    CategoryRule,
    ColumnConstraints,
    ConstantRule,
    Constraints,
    ExtraRule,
    FailedRule,
    InfiniteRule,
    KindRule,
    MissingRule,
    RangeRule,
    Seen,
    VaryingRule,
    WholeRule,
    decode_constraints,
    encode_constraints,
)
from modelwatch.domain.constraints.learning import Margins, learn_constraints

__all__ = [
    "CategoryRule",
    "ColumnConstraints",
    "ConstantRule",
    "Constraints",
    "ExtraRule",
    "FailedRule",
    "InfiniteRule",
    "KindRule",
    "Margins",
    "MissingRule",
    "Quality",
    "QualityStatus",
    "RangeRule",
    "Seen",
    "VaryingRule",
    "Violation",
    "WholeRule",
    "check",
    "decode_constraints",
    "encode_constraints",
    "learn_constraints",
]
