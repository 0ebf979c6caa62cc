"""What is asked of a model's columns, as a document that people read and change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec

from modelwatch.domain.faults import UNREADABLE, invalid_json
from modelwatch.domain.numbers import is_number
from modelwatch.errors import InvalidInputError

FORMAT = 1
"""Version of the document; another one is refused."""

Kind = Literal["numbers", "texts", "truth values", "empty"]

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many ``rows`` of the reference a rule is about, and how many of them break it."""

    broken: Annotated[int, msgspec.Meta(ge=0)]
    rows: Annotated[int, msgspec.Meta(ge=0)]


class Rule(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What rules have in common: at most ``allowed_share`` of the rows it is about may break it.

    With a ``reference`` a window must also break it more than the reference did, and more than
    chance explains; see `modelwatch.domain.constraints.check`. A share that allows less than the
    reference showed, or nothing, is meant as it stands: then the reference does not matter.
    """

    allowed_share: Share
    reference: Seen | None = None


class KindRule(Rule, frozen=True, kw_only=True):
    """Values are of one kind; about rows with a value (of ``empty``: about all rows)."""

    kind: Kind


class MissingRule(Rule, frozen=True, kw_only=True):
    """Rows have a value; about all rows."""


class InfiniteRule(Rule, frozen=True, kw_only=True):
    """Numbers are finite; about rows with a number."""


class WholeRule(Rule, frozen=True, kw_only=True):
    """Numbers have no fraction; about rows with a finite number."""


class RangeRule(Rule, frozen=True, kw_only=True):
    """Numbers are from ``minimum`` to ``maximum``; about rows with a finite number.

    ``non_negative`` asks, apart from that, that no more than ``allowed_share`` are below zero.
    """

    minimum: float
    maximum: float
    non_negative: bool = False


class CategoryRule(Rule, frozen=True, kw_only=True):
    """Texts are known ones; about rows with a text or a boolean.

    ``known`` says which share of the rows each is expected to have: it has vanished when such a
    share would hardly give no row at all. With 0 it may be away.
    """

    known: dict[str, float]


class ConstantRule(Rule, frozen=True, kw_only=True):
    """There is one value, ``value``; about rows with a value."""

    value: bool | float | str


class VaryingRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """There is more than one value; the most frequent has ``largest_share`` of them at most."""

    largest_share: Share


class ColumnConstraints(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What is asked of a column. A rule that is left out is not asked for."""

    kind: KindRule | None = None
    missing: MissingRule | None = None
    infinite: InfiniteRule | None = None
    whole: WholeRule | None = None
    range: RangeRule | None = None
    categories: CategoryRule | None = None
    constant: ConstantRule | None = None
    varying: VaryingRule | None = None


type ColumnRules = Mapping[str, Any]
"""Rules of a column by name, as a `ColumnConstraints` has them; False: not this one."""


class ExtraRule(Rule, frozen=True, kw_only=True):
    """Rows have no other columns than those of the document; about all rows, by column."""


class FailedRule(Rule, frozen=True, kw_only=True):
    """Rows have a prediction that can be used; about all rows."""


NO_FAILURES = FailedRule(allowed_share=0.001)
"""What is asked of predictions where a document does not say: ``null`` asks nothing."""


class Constraints(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of a model's features.

    Attributes
    ----------
    columns
        Rules by feature.
    extra_columns
        Whether there may be others; they are not asked about when it is left out.
    failed_predictions
        How many predictions may fail; None: any number.
    reference_rows
        Rows of the reference that this was learned from; 0 when it was not.
    """

    columns: dict[str, ColumnConstraints]
    extra_columns: ExtraRule | None = None
    failed_predictions: FailedRule | None = NO_FAILURES
    reference_rows: int = 0


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    format: int
    columns: dict[str, msgspec.Raw]
    extra_columns: ExtraRule | None = None
    failed_predictions: FailedRule | None = NO_FAILURES
    reference_rows: Annotated[int, msgspec.Meta(ge=0)] = 0


def overridden(constraints: Constraints, own: Mapping[str, ColumnRules]) -> Constraints:
    """Return constraints in which a model's own rules are in place of those of its columns.

    Raises
    ------
    InvalidInputError
        When a rule is none, or cannot be met.

    Examples
    --------
    >>> learned = ColumnConstraints(varying=VaryingRule(largest_share=0.5))
    >>> own = {"a": {"missing": {"allowed_share": 0}, "varying": False}}
    >>> found = overridden(Constraints(columns={"a": learned}), own).columns["a"]
    >>> found.missing, found.varying
    (MissingRule(allowed_share=0.0, reference=None), None)
    """
    columns = dict(constraints.columns)
    for name, rules in own.items():
        learned = msgspec.to_builtins(columns.get(name, ColumnConstraints()))
        for rule, other in _CONTRADICTING:
            if rules.get(rule):
                learned.pop(other, None)
        known = ColumnConstraints.__struct_fields__
        asked = {
            rule: value
            for rule, value in {**learned, **rules}.items()
            if value is not False or rule not in known
        }
        columns[name] = _decoded(msgspec.json.encode(asked), _column_decoder, name)
        _check_column(columns[name], name)
    return msgspec.structs.replace(constraints, columns=columns)


_CONTRADICTING = (("constant", "varying"), ("varying", "constant"))

_document_decoder = msgspec.json.Decoder(_Document)
_column_decoder = msgspec.json.Decoder(ColumnConstraints)

_RULES: Mapping[str, type[msgspec.Struct]] = {
    name: get_args(hint)[0] for name, hint in get_type_hints(ColumnConstraints).items()
} | {"extra_columns": ExtraRule, "failed_predictions": FailedRule}


def encode_constraints(constraints: Constraints) -> bytes:
    """Return ``constraints`` as JSON, indented, with the version of the form first."""
    document = {"format": FORMAT, **msgspec.to_builtins(constraints)}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def decode_constraints(payload: bytes) -> Constraints:
    """Read what `encode_constraints` wrote, or a person.

    Raises InvalidInputError when it is something else; names the field and what would be right.

    Examples
    --------
    >>> decode_constraints(b'{"format": 1, "columns": {"a": {"missing": {"allowed_share": 2}}}}')
    Traceback (most recent call last):
        ...
    modelwatch.errors.InvalidInputError: columns.a.missing.allowed_share: Expected 'float' <= 1.0
    """
    document = _decoded(payload, _document_decoder, "")
    if document.format != FORMAT:
        raise InvalidInputError("format", f"is {document.format}; this code reads {FORMAT}")
    columns = {}
    for name, raw in document.columns.items():
        field = f"columns.{name}"
        columns[name] = _decoded(bytes(raw), _column_decoder, field)
        _check_column(columns[name], field)
    _check_seen(document.extra_columns, "extra_columns")
    _check_seen(document.failed_predictions, "failed_predictions")
    return Constraints(
        columns=columns,
        extra_columns=document.extra_columns,
        failed_predictions=document.failed_predictions,
        reference_rows=document.reference_rows,
    )


def _check_seen(rule: object, field: str) -> None:
    seen = getattr(rule, "reference", None)
    if seen is not None and seen.broken > seen.rows:
        raise InvalidInputError(
            f"{field}.reference", f"has {seen.broken} broken rows of {seen.rows}"
        )


def _check_column(column: ColumnConstraints, field: str) -> None:
    for name in column.__struct_fields__:
        _check_seen(getattr(column, name), f"{field}.{name}")
    bounds = column.range
    if bounds is not None and bounds.minimum > bounds.maximum:
        raise InvalidInputError(
            f"{field}.range",
            f"the minimum {bounds.minimum:.15g} is above the maximum {bounds.maximum:.15g}",
        )
    for text, share in (column.categories.known if column.categories else {}).items():
        if not 0 <= share <= 1:
            raise InvalidInputError(
                f"{field}.categories.known.{text}", f"{share:g} is not a share, from 0 to 1"
            )
    constant = column.constant.value if column.constant else None
    if isinstance(constant, float) and not is_number(constant):
        raise InvalidInputError(f"{field}.constant.value", "must be finite")
    if column.constant and column.varying:
        raise InvalidInputError(f"{field}.varying", "contradicts 'constant'; leave one of them out")


def _decoded[T: msgspec.Struct](payload: bytes, decoder: msgspec.json.Decoder[T], prefix: str) -> T:
    try:
        return decoder.decode(payload)
    except UNREADABLE as error:
        found = invalid_json(error)
        field = ".".join(part for part in (prefix, found.field) if part)
        problem = found.problem
        if " field " in problem:  # an unknown one, or one that is missing
            rule = _RULES.get(found.field.removesuffix(".reference"), decoder.type)
            if found.field.endswith(".reference"):
                rule = Seen
            problem += f"; its fields are {', '.join(rule.__struct_fields__)}"
        elif "enum value" in problem:
            problem += f"; it is one of {', '.join(get_args(Kind))}"
        raise InvalidInputError(field, problem) from None
