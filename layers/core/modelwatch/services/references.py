"""References: what a window is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelwatch.domain.baselines import TRAINING, CapturedWindow, TrainingData
from modelwatch.domain.constraints import Constraints, learn_constraints
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.past.relations import strongest
from modelwatch.domain.performance.losses import LossModel
from modelwatch.domain.profiles import merge_profiles
from modelwatch.domain.verdict.sides import Reference
from modelwatch.domain.windows import Window
from modelwatch.errors import NoModelError
from modelwatch.ports.analysis import BaselineStore, ProfileStore, ReferenceStore
from modelwatch.ports.serving import ModelRegistry

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwatch.ports.analysis import TrainedWindows


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledReference(Reference):
    """A reference, and what is read of its rows when it is needed.

    Attributes
    ----------
    rows
        Gives a sample of so many of them, for a report.
    trained
        Gives windows of training rows; see `ReferenceStore.windows`. None for captured rows.
    """

    rows: Callable[[int], pa.Table]
    trained: Callable[[Sequence[Window]], TrainedWindows] | None = None

    @property
    def trained_at(self) -> Window | None:
        """When its training rows are of; None for captured rows, and where no times were given."""
        first_ms, last_ms = self.profile.first_ms, self.profile.last_ms
        if self.trained is None or first_ms == last_ms:
            return None
        start, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (first_ms, last_ms + 1))
        return Window(start, end)


class References:
    """Finds the reference of a window: the baseline in use, by default the training data."""

    def __init__(
        self,
        *,
        registry: ModelRegistry,
        training: ReferenceStore,
        profiles: ProfileStore,
        baselines: BaselineStore,
    ) -> None:
        self._registry = registry
        self._training = training
        self._profiles = profiles
        self._baselines = baselines

    def of(
        self, model_name: str, model_version: str, window: Window, baseline: str = ""
    ) -> SampledReference | None:
        """Return the reference of a version's window; None when it has none.

        Parameters
        ----------
        baseline
            Name of the baseline that is meant; by default the one in use.

        Raises
        ------
        RegistryError, StoreError
            When the registry or a store does not respond.
        NotFoundError
            When there is no baseline of that name.
        """
        try:
            version = self._registry.version(model_name, model_version)
        except NoModelError:
            # an application may capture for a model that no registry knows
            version = None
        if baseline:  # one that was accepted for this version alone goes before the model's
            name = self._baselines.of_versions(model_name).get(model_version, baseline)
        else:
            name = self._baselines.in_use(model_name, model_version)
        found = self._of(name, model_name, model_version, version, window)
        if found is None or version is None:
            return found
        return replace(found, importance=self._training.importance(version))

    def held_out(
        self, model_name: str, model_version: str
    ) -> tuple[pa.Table | None, LossModel | None]:
        """Return rows that a version was not trained on, and what its errors depend on.

        None each: there are none, and it was not learned.
        """
        try:
            version = self._registry.version(model_name, model_version)
        except NoModelError:
            return None, None
        return self._training.holdout(version), self._training.losses(version)

    def _of(
        self,
        name: str,
        model_name: str,
        model_version: str,
        version: ModelVersion | None,
        window: Window,
    ) -> SampledReference | None:
        if name == TRAINING:
            return self._trained_on(version)
        baseline = self._baselines.baseline(model_name, name)
        if not baseline.applies_to(model_version):
            return self._trained_on(version)
        constraints = self._baselines.constraints(baseline)
        origin = baseline.origin
        title = f"baseline {name}: {origin}"
        if isinstance(origin, TrainingData):
            trained = self._registry.version(model_name, origin.version)
            return SampledReference(
                title=title,
                profile=self._baselines.profile(baseline),
                constraints=constraints,
                rows=lambda limit: _some(self._training.reference(trained), limit),
                trained=lambda windows: self._training.windows(trained, windows),
                segments=self._training.segments(trained),
                pairs=baseline.pairs,
            )
        if isinstance(origin, CapturedWindow):
            return SampledReference(
                title=title,
                profile=self._baselines.profile(baseline),
                constraints=constraints,
                rows=lambda limit: self._profiles.sample(
                    model_name, origin.version, origin.window, limit
                ),
                same_version=origin.version == model_version,
                window=origin.window,
                past_from=origin.start if baseline.episode else None,
                segments=self._baselines.segments(baseline),
                pairs=baseline.pairs,
            )
        return self._rolling(model_name, model_version, origin.before(window), title, constraints)

    def _trained_on(self, version: ModelVersion | None) -> SampledReference | None:
        profile = None if version is None else self._training.profile(version)
        if version is None or profile is None or not profile.rows:
            return None
        return SampledReference(
            title=str(TrainingData(version.version)),
            profile=profile,
            constraints=learn_constraints(profile),
            rows=lambda limit: _some(self._training.reference(version), limit),
            trained=lambda windows: self._training.windows(version, windows),
            segments=self._training.segments(version),
            pairs=strongest(profile.sample),
        )

    def _rolling(
        self,
        model_name: str,
        model_version: str,
        window: Window,
        title: str,
        constraints: Constraints,
    ) -> SampledReference:
        found = self._profiles.profiles(model_name, model_version, window)
        return SampledReference(
            title=title,
            profile=merge_profiles(list(found.variants.values())),
            constraints=constraints,
            rows=lambda limit: self._profiles.sample(model_name, model_version, window, limit),
            window=window,
            objects=found.objects,
            segments=found.segments,
        )


def _some(table: pa.Table | None, limit: int) -> pa.Table:
    """Return evenly spaced rows of training data, which may be sorted."""
    assert table is not None, "a reference with a profile has rows"
    step = -(-table.num_rows // limit) or 1
    return table.take(list(range(0, table.num_rows, step)))
