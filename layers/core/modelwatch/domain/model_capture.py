"""What is captured of one model: what its monitor says, else what the deployment's settings say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from modelwatch.domain.capture_policy import (
    PREDICTION,
    PROBABILITIES,
    CapturePolicy,
    letter_after,
    read_rules,
)
from modelwatch.domain.numbers import LEAST_SAMPLE_RATE
from modelwatch.domain.records import Record
from modelwatch.domain.sampling import is_sampled
from modelwatch.errors import InvalidInputError, MonitorError, SettingError

MONITORS_FORMAT = 1
"""Version of how monitors are written down; another one is refused."""


class MonitorCapture(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What a model's monitor says of its capture; a field that no one knows is refused: it may say
    that less is captured.

    Attributes
    ----------
    sample_rate
        Share of the predictions that is captured; None: the deployment's.
    fields
        The rule of a field by its name, as in the setting ``CAPTURE_POLICY``.
    """

    sample_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    fields: dict[str, Any] = {}

    def said(self) -> dict[str, str]:
        """Return what it says, each part under the name that it has in a file.

        >>> MonitorCapture(sample_rate=0.5, fields={"age": {"bucket": 10}}).said()
        {'capture.sample_rate': '0.5', 'capture.fields.age': '{"bucket":10}'}
        """
        rate = {} if self.sample_rate is None else {"capture.sample_rate": f"{self.sample_rate:g}"}
        return rate | {
            f"capture.fields.{name}": rule
            if isinstance(rule, str)
            else msgspec.json.encode(rule).decode()
            for name, rule in sorted(self.fields.items())
        }


@dataclass(frozen=True, slots=True)
class CaptureRules:
    """What of a model's predictions is captured, and what of each."""

    policy: CapturePolicy = field(default_factory=CapturePolicy)
    sample_rate: float = 1.0

    def overridden(self, own: MonitorCapture | None) -> CaptureRules:
        """Return the rules of a model whose monitor says ``own``.

        Raises
        ------
        MonitorError
            When they cannot be followed: a rule is none, or there is no key for a hash.
        """
        if own is None:
            return self
        rate = self.sample_rate if own.sample_rate is None else own.sample_rate
        try:
            policy = self.policy.overridden(read_rules(own.fields))
        except SettingError as error:
            raise MonitorError(f"its [capture]: {error.problem}") from None
        try:
            policy.require_key("its [capture]")
        except SettingError as error:
            raise MonitorError(str(error)) from None
        if 0 < rate < LEAST_SAMPLE_RATE:
            raise MonitorError(f"its [capture]: sample_rate is less than {LEAST_SAMPLE_RATE:g}")
        return CaptureRules(policy, rate)

    def of_another(self, record: Record) -> Record | None:
        """Return what is captured of a record that another application sent; None: nothing.

        Raises
        ------
        InvalidInputError
            When nothing would be left that makes it a record: a feature, or the prediction.
        """
        kept = self.sampled(record)
        if kept is None or not self.policy.rules:
            return kept
        found = self.without_fields(kept)
        if found.prediction is None or not found.features:
            field = "features" if found.prediction is not None else PREDICTION
            raise InvalidInputError(
                field,
                f"the monitor of {record.model_name} lets none of it be captured, and a record of "
                "another application has some",
            )
        return found

    def sampled(self, record: Record) -> Record | None:
        """Return a record with the share that it stands for; None: it is not in the sample.

        What its sender sampled already is.
        """
        if self.sample_rate == 1 or record.sample_rate < 1:
            return record
        if not is_sampled(record.event_id, self.sample_rate):
            return None
        return msgspec.structs.replace(record, sample_rate=self.sample_rate)

    def without_fields(self, record: Record) -> Record:
        """Return what the policy lets be captured of a record: as by predict, it may be nothing.

        Probabilities in buckets would be none any more: they are left out.
        """
        if not self.policy.rules:
            return record
        features, types = _features(self.policy, record)
        prediction = record.prediction
        if change := self.policy.change(PREDICTION, self.policy.of_output(PREDICTION)):
            prediction = change(prediction)
        keeps = self.policy.of_output(PROBABILITIES) == "keep"
        return msgspec.structs.replace(
            record,
            features=features,
            types=types,
            prediction=prediction,
            probabilities=record.probabilities if keeps else None,
        )


def _features(policy: CapturePolicy, record: Record) -> tuple[dict[str, Any], str]:
    letters: Mapping[str, str] = dict(zip(record.features, record.types, strict=False))
    features: dict[str, Any] = {}
    types = ""
    for name, value in record.features.items():
        rule = policy.of_feature(name)
        if rule == "drop":
            continue
        change = policy.change(name, rule)
        features[name] = value if change is None else change(value)
        if name in letters:
            types += letter_after(letters[name], rule)
    return features, types
