"""What model versions were trained on, as it would have been captured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from modelwatch.adapters.captures.arrow_profiles import profile_segments, profile_table
from modelwatch.adapters.captures.feature_columns import (
    feature_columns,
    feature_names,
    values_of,
    without_feature,
)
from modelwatch.adapters.captures.trained_windows import trained_windows
from modelwatch.adapters.models.artifacts import Artifacts
from modelwatch.domain.capture_policy import (
    PREDICTION,
    PROBABILITIES,
    CapturePolicy,
    apply_policy,
    apply_to_outputs,
)
from modelwatch.domain.importance import Importance
from modelwatch.domain.labels import as_text
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.performance.losses import LossModel
from modelwatch.domain.profiles import Profile
from modelwatch.domain.records import Value
from modelwatch.domain.segments import NO_SEGMENTS, SegmentKey, Segments, SegmentsOf, no_segments
from modelwatch.domain.windows import Window


class TrainingReferences:
    """Training data of versions; see `modelwatch.ports.analysis.ReferenceStore`.

    Parameters
    ----------
    policy_of
        Gives the policy with which a model is captured, by its name.
    segments_of
        Gives the segments that are declared for a model.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        policy_of: Callable[[str], CapturePolicy],
        segments_of: SegmentsOf = no_segments,
    ) -> None:
        self._artifacts = artifacts
        self._policy_of = policy_of
        self._policies: dict[str, CapturePolicy] = {}
        self._segments_of = segments_of
        self._segments: dict[tuple[str, str], tuple[Segments, Mapping[SegmentKey, Profile]]] = {}
        self._profiles: dict[tuple[str, str], Profile] = {}
        self._holdouts: dict[tuple[str, str], pa.Table | None] = {}
        self._importance: dict[tuple[str, str], Importance | None] = {}
        self._losses: dict[tuple[str, str], LossModel | None] = {}

    def reference(self, version: ModelVersion) -> pa.Table | None:
        """Return the rows a version was trained on, or None when it has none."""
        policy = self._policy(version)
        table = self._artifacts.reference(version)
        return table if table is None or not policy.rules else _captured(policy, table)

    def profile(self, version: ModelVersion) -> Profile | None:
        """Return their profile; under one policy it never changes, and is made once."""
        self._policy(version)
        key = (version.name, version.version)
        if key not in self._profiles:
            table = self.reference(version)
            if table is None:
                return None
            profile, held_out = profile_table(table), self.holdout(version)
            if held_out is not None:
                profile = replace(profile, outputs=profile_table(held_out).outputs)
            self._profiles[key] = profile
        return self._profiles[key]

    def windows(
        self, version: ModelVersion, windows: Sequence[Window]
    ) -> Iterator[tuple[Window, Profile, Profile]]:
        """Yield each window that they fill; asked for once by version, so that nothing is kept."""
        table = self.reference(version)
        return iter(()) if table is None else trained_windows(table, windows)

    def segments(self, version: ModelVersion) -> Mapping[SegmentKey, Profile]:
        """Return the profiles of its segments, made once as well; again for other segments."""
        self._policy(version)
        key, declared = (version.name, version.version), self._segments_of(version.name)
        made, profiles = self._segments.get(key, (NO_SEGMENTS, {}))
        if made != declared:
            table = self.reference(version)
            profiles = {} if table is None else profile_segments(table, declared)
            self._segments[key] = declared, profiles
        return profiles

    def holdout(self, version: ModelVersion) -> pa.Table | None:
        """Return rows that the version was not trained on; under one policy they never change."""
        policy = self._policy(version)
        key = (version.name, version.version)
        if key not in self._holdouts:
            table = self._artifacts.holdout(version)
            if table is not None and policy.rules:
                table = _captured(policy, table)
            self._holdouts[key] = table
        return self._holdouts[key]

    def importance(self, version: ModelVersion) -> Importance | None:
        """Return how much the version depends on each feature; it never changes, either."""
        key = (version.name, version.version)
        if key not in self._importance:
            self._importance[key] = self._artifacts.importance(version)
        return self._importance[key]

    def losses(self, version: ModelVersion) -> LossModel | None:
        """Return what the version's errors depend on; it never changes, either."""
        key = (version.name, version.version)
        if key not in self._losses:
            self._losses[key] = self._artifacts.losses(version)
        return self._losses[key]

    def _policy(self, version: ModelVersion) -> CapturePolicy:
        """Return the policy of a model; when it is another one, what was made by it is gone."""
        policy = self._policy_of(version.name)
        if self._policies.get(version.name, policy) != policy:
            for made in (self._segments, self._profiles, self._holdouts):
                for key in [each for each in made if each[0] == version.name]:
                    del made[key]
        self._policies[version.name] = policy
        return policy


def _captured(policy: CapturePolicy, table: pa.Table) -> pa.Table:
    names = feature_names(table.column_names)
    kept = apply_policy(policy, {name: values_of(table, name) for name in names})
    for name in names:
        if policy.of_feature(name) != "keep":
            table = without_feature(table, name)
            # a hash is a text, the edge of a bucket a number
            letter = "s" if policy.of_feature(name) == "hash" else ""
            columns = feature_columns(name, letter, kept[name]) if name in kept else {}
            for field, values in columns.items():
                table = table.append_column(field, values)
    return _with_captured_outputs(policy, table)


def _with_captured_outputs(policy: CapturePolicy, table: pa.Table) -> pa.Table:
    if {PREDICTION, "prediction_label", PROBABILITIES} - set(table.column_names):
        return table
    predictions, probabilities = apply_to_outputs(
        policy, _predictions(table), table[PROBABILITIES].to_pylist()
    )
    numbers = [float(value) if isinstance(value, int | float) else None for value in predictions]
    texts = [None if value is None else as_text(value) for value in predictions]
    for name, values, kind in (
        (PREDICTION, numbers, pa.float64()),
        ("prediction_label", texts, pa.string()),
        (PROBABILITIES, probabilities, pa.list_(pa.float64())),
    ):
        column = table.column_names.index(name)
        table = table.set_column(column, name, pa.array(values, kind))
    return table


def _predictions(table: pa.Table) -> list[Value]:
    """Return the predictions as the model gave them; in the table, booleans are numbers."""
    pairs = zip(table[PREDICTION].to_pylist(), table["prediction_label"].to_pylist(), strict=True)
    return [
        text if number is None else bool(number) if text in ("true", "false") else number
        for number, text in pairs
    ]
