"""What model versions were trained on, as it would have been captured."""

from __future__ import annotations

import pyarrow as pa

from modelwatch.adapters.arrow_profiles import profile_table
from modelwatch.adapters.parquet import FEATURE_PREFIX
from modelwatch.adapters.s3_artifacts import S3Artifacts
from modelwatch.domain.capture_policy import CapturePolicy, apply_policy
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.profiles import Profile


class TrainingReferences:
    """Training data among the artifacts of versions; see `modelwatch.ports.ReferenceStore`.

    Parameters
    ----------
    policy
        With which predict captures.
    """

    def __init__(self, artifacts: S3Artifacts, policy: CapturePolicy) -> None:
        self._artifacts = artifacts
        self._policy = policy
        self._profiles: dict[tuple[str, str], Profile] = {}

    def reference(self, version: ModelVersion) -> pa.Table | None:
        """Return the rows a version was trained on, or None when it has none."""
        table = self._artifacts.reference(version)
        return table if table is None or not self._policy.rules else self._captured(table)

    def profile(self, version: ModelVersion) -> Profile | None:
        """Return their profile; that of a version never changes, and is made once."""
        key = (version.name, version.version)
        if key not in self._profiles:
            table = self.reference(version)
            if table is None:
                return None
            self._profiles[key] = profile_table(table)
        return self._profiles[key]

    def _captured(self, table: pa.Table) -> pa.Table:
        names = [name for name in table.column_names if name.startswith(FEATURE_PREFIX)]
        columns = {name.removeprefix(FEATURE_PREFIX): table[name].to_pylist() for name in names}
        kept = apply_policy(self._policy, columns)
        table = table.drop_columns(names)
        for name, values in kept.items():
            table = table.append_column(f"{FEATURE_PREFIX}{name}", pa.array(values))
        return table
