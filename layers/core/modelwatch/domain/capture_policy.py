"""The capture policy: what of a prediction leaves predict, field by field.

A policy is declared as a JSON object in the setting ``CAPTURE_POLICY``, from the name of a field to
its rule: ``"keep"``, ``"drop"``, ``"hash"``, ``{"bucket": 10}`` (width) or ``{"bucket": [18, 30,
65]}`` (edges). Fields are the features by name, ``"*"`` for every feature that is not named, and
the outputs ``prediction`` and ``probabilities``. What is not named is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from modelwatch.domain.capture_rules import Bucket, Change, Hash, Rule
from modelwatch.domain.records import Value
from modelwatch.domain.schemas import LETTERS, Schema
from modelwatch.errors import SettingError

POLICY_SETTING = "CAPTURE_POLICY"
KEY_SETTING = "CAPTURE_HASH_KEY"

OTHERS = "*"
"""Name that stands for every feature that is not named."""

PREDICTION, PROBABILITIES = "prediction", "probabilities"

MIN_KEY_LENGTH = 16
"""A shorter key can be found by trying."""

_WORDS: dict[str, Rule] = {"keep": "keep", "drop": "drop", "hash": "hash"}
_EXPECTED = 'expected "keep", "drop", "hash" or {"bucket": a width, or two or more edges}'
_LARGEST = 1e300


@dataclass(frozen=True, slots=True)
class CapturePolicy:
    """Rules by field; see `read_policy`. Without any, everything is kept.

    Attributes
    ----------
    rules
        What is declared. A feature named ``prediction`` or ``probabilities`` shares the rule of
        the output of that name.
    key
        Of the hashes; never shown.
    """

    rules: Mapping[str, Rule] = field(default_factory=dict)
    key: bytes = field(default=b"", repr=False)

    def of_feature(self, name: str) -> Rule:
        """Return the rule of a feature."""
        return self.rules.get(name, self.rules.get(OTHERS, "keep"))

    def of_output(self, name: str) -> Rule:
        """Return the rule of ``prediction`` or ``probabilities``."""
        return self.rules.get(name, "keep")

    def change(self, name: str, rule: Rule) -> Change | None:
        """Return what is done to the values of a field, or None where they are kept."""
        if isinstance(rule, Bucket):
            return rule
        if rule == "hash":
            return Hash(self.key, name)
        return None if rule == "keep" else _nothing

    def overridden(self, rules: Mapping[str, Rule]) -> CapturePolicy:
        """Return the policy with further rules in place of its own.

        A rule for ``"*"`` among them decides on every feature that they do not name: they are a
        list of what may leave then, and no rule of this policy adds to it.

        Examples
        --------
        >>> policy = CapturePolicy({"name": "drop", "hue": "keep", "prediction": "hash"})
        >>> policy.overridden({"hue": "drop"}).rules
        {'name': 'drop', 'hue': 'drop', 'prediction': 'hash'}
        >>> policy.overridden({"*": "drop", "ash": "keep"}).rules
        {'prediction': 'hash', '*': 'drop', 'ash': 'keep'}
        """
        own = self.rules
        if OTHERS in rules:
            own = {name: own[name] for name in (PREDICTION, PROBABILITIES) if name in own}
        return CapturePolicy({**own, **rules}, self.key)

    def require_key(self, who: str = POLICY_SETTING) -> None:
        """Raise SettingError when a field is hashed, and the key is missing or short.

        ``who`` hashes it, as the error says.
        """
        if "hash" not in self.rules.values():
            return
        if not self.key:
            hashed = next(name for name, rule in self.rules.items() if rule == "hash")
            raise SettingError(KEY_SETTING, f"is not set, and {who} hashes '{hashed}'")
        if len(self.key) < MIN_KEY_LENGTH:
            raise SettingError(KEY_SETTING, f"has fewer than {MIN_KEY_LENGTH} characters")

    def problems(self, schemas: Sequence[Schema]) -> list[str]:
        """Say which rules cannot be meant for models with these ``schemas``.

        Examples
        --------
        >>> from modelwatch.domain.schemas import Column
        >>> policy = CapturePolicy({"emial": "drop", "*": "keep"})
        >>> policy.problems([Schema((Column("email", "string"), Column("age", "long")))])
        ["'emial' is no feature of the model; its features are email, age"]
        """
        types = {column.name: column.type for schema in schemas for column in schema.columns}
        said = []
        for name, rule in self.rules.items():
            if name in (OTHERS, PREDICTION, PROBABILITIES):
                continue
            if name not in types:
                known = ", ".join(types)
                said.append(f"'{name}' is no feature of the model; its features are {known}")
            elif isinstance(rule, Bucket) and LETTERS[types[name]] not in "dl":
                said.append(f"'{name}' is of type {types[name]}, and only numbers have buckets")
        return said


class CapturePlan:
    """A policy made ready for the rows of one model version.

    Attributes
    ----------
    types
        The letters of `Record.types` for what `features` returns: a hash is a string, the edge of
        a bucket a number, whole where column and edges are.
    """

    def __init__(self, policy: CapturePolicy, schema: Schema) -> None:
        rules = {column.name: policy.of_feature(column.name) for column in schema.columns}
        self._names = tuple(name for name, rule in rules.items() if rule != "drop")
        changes = {name: policy.change(name, rules[name]) for name in self._names}
        self._changes = tuple((name, change) for name, change in changes.items() if change)
        self._untouched = not self._changes and len(self._names) == len(rules)
        self.types = "".join(
            letter_after(LETTERS[column.type], rules[column.name])
            for column in schema.columns
            if column.name in changes
        )
        self._prediction = policy.change(PREDICTION, policy.of_output(PREDICTION))
        self._probabilities = policy.of_output(PROBABILITIES)

    def features(self, row: dict[str, Value]) -> dict[str, Value]:
        """Return what is captured of a row that holds the schema's columns."""
        if self._untouched:
            return row
        captured = {name: row[name] for name in self._names}
        for name, change in self._changes:
            captured[name] = change(captured[name])
        return captured

    def prediction(self, value: Any) -> Any:
        """Return what is captured of a prediction: None where it is dropped."""
        return value if self._prediction is None else self._prediction(value)

    def probabilities(self, values: list[float] | None) -> list[float] | None:
        """Return what is captured of the probabilities of a row: None where they are dropped."""
        rule = self._probabilities
        if values is None or rule == "keep":
            return values
        return [rule.edge(each) for each in values] if isinstance(rule, Bucket) else None


def apply_policy(
    policy: CapturePolicy, columns: Mapping[str, Sequence[Value]]
) -> dict[str, list[Value]]:
    """Return feature columns as they are captured under ``policy``.

    So reference data, which lies in the model bucket as it was trained on, becomes comparable with
    what was captured: the same columns are missing, the same hashes and edges stand in the others.

    Parameters
    ----------
    policy
        The one that predict captures with, and its key.
    columns
        Values by feature name, without a prefix. Missing values are None or NaN.

    Examples
    --------
    >>> policy = CapturePolicy({"name": "drop", "age": Bucket(10)})
    >>> apply_policy(policy, {"name": ["Ada", "Bob"], "age": [36, None], "hue": [0.5, 0.7]})
    {'age': [30, None], 'hue': [0.5, 0.7]}
    """
    captured: dict[str, list[Value]] = {}
    for name, values in columns.items():
        rule = policy.of_feature(name)
        if rule == "drop":
            continue
        change = policy.change(name, rule)
        captured[name] = list(values) if change is None else [change(each) for each in values]
    return captured


def apply_to_outputs(
    policy: CapturePolicy,
    predictions: Sequence[Value],
    probabilities: Sequence[list[float] | None],
) -> tuple[list[Value], list[list[float] | None]]:
    """Return predictions and probabilities as they are captured under ``policy``.

    The outputs beside `apply_policy`; what is dropped is None.

    Examples
    --------
    >>> apply_to_outputs(CapturePolicy({"prediction": Bucket(100)}), [123.4], [None])
    ([100.0], [None])
    """
    plan = CapturePlan(policy, Schema(()))
    return (
        [plan.prediction(value) for value in predictions],
        [plan.probabilities(values) for values in probabilities],
    )


def read_policy(text: str, key: str = "") -> CapturePolicy:
    """Read a policy; an empty text keeps everything.

    Raises SettingError when the text is not a policy: names the field and says what would be right.
    Or when it hashes and the key is missing or short.

    Parameters
    ----------
    text
        JSON, as at the head of this module.
    key
        Key of the hashes; only needed where there is one.

    Examples
    --------
    >>> read_policy('{"email": "drop", "age": {"bucket": 10}}').rules
    {'email': 'drop', 'age': Bucket(width=10, edges=())}
    >>> read_policy('{"email": "hsah"}')
    Traceback (most recent call last):
    modelwatch.errors.SettingError: setting CAPTURE_POLICY: field 'email': expected "keep", "drop",\
 "hash" or {"bucket": a width, or two or more edges}, found "hsah"
    """
    if not text.strip():
        return CapturePolicy(key=key.encode())
    example = '{"email": "hash", "age": {"bucket": 10}}'
    try:
        declared = json.loads(text, object_pairs_hook=_once)
    except ValueError as error:
        raise _refusal(f"is not JSON: {error}; expected an object such as {example}") from None
    if not isinstance(declared, dict):
        raise _refusal(f"is JSON, but no object; expected one such as {example}")
    rules = read_rules(declared)
    policy = CapturePolicy(rules, key.encode())
    policy.require_key()
    return policy


def read_rules(declared: Mapping[str, Any]) -> dict[str, Rule]:
    """Return rules by field from what is declared of each; raises SettingError as `read_policy`."""
    return {name: _rule(name, value) for name, value in declared.items()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    declared = dict(pairs)
    for name, _ in pairs:
        if sum(name == other for other, _ in pairs) > 1:
            raise _refusal(f"field '{name}' is there twice")
    return declared


def _rule(name: str, value: Any) -> Rule:
    if isinstance(value, str) and value in _WORDS:
        if value == "hash" and name == PROBABILITIES:
            raise _refusal(f"field '{name}' cannot be hashed; expected keep, drop or bucket")
        return _WORDS[value]
    if isinstance(value, dict) and value.keys() == {"bucket"}:
        return _bucket(name, value["bucket"])
    raise _refusal(f"field '{name}': {_EXPECTED}, found {json.dumps(value)[:60]}")


def _bucket(name: str, value: Any) -> Bucket:
    if _is_number(value):
        if value > 0:
            return Bucket(value)
    elif isinstance(value, list) and len(value) > 1 and all(_is_number(each) for each in value):
        if all(low < high for low, high in pairwise(value)):
            return Bucket(edges=tuple(value))
        raise _refusal(f"field '{name}': the edges of its buckets do not ascend")
    raise _refusal(
        f"field '{name}': found {json.dumps(value)[:60]} for its buckets; expected a width of more "
        "than 0, or two or more ascending edges"
    )


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= _LARGEST


def letter_after(letter: str, rule: Rule) -> str:
    """Return the letter of a column's values after a rule; see `Record.types`."""
    if rule == "hash":
        return "s"
    if isinstance(rule, Bucket) and letter == "l" and not rule.is_whole:
        return "d"
    return letter


def _nothing(_value: Value) -> None:
    return None


def _refusal(problem: str) -> SettingError:
    return SettingError(POLICY_SETTING, problem)
