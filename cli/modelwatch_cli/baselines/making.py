"""Making a baseline: from training data, from captures of the past, or rolling."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from modelwatch.adapters.captures.arrow_profiles import profile_table
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.domain.baselines import (
    Baseline,
    CapturedWindow,
    Origin,
    RollingWindow,
    TrainingData,
    check_name,
)
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.durations import format_duration, parse_duration
from modelwatch.domain.profiles import Profile, merge_profiles
from modelwatch.domain.segments import SegmentKey
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, ModelwatchError, NoModelError
from modelwatch.settings.serving import aliases_of_served
from modelwatch_cli.console import count_of
from modelwatch_cli.monitors.held import held_monitors, held_segments
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import option_window

_DAY = timedelta(days=1)

_Segments = Mapping[SegmentKey, Profile]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The source of a baseline, from the options; without options it is training data.

    Attributes
    ----------
    training_version
        A version whose training data it is.
    since, until
        Times in ISO 8601 between which it was captured.
    rolling
        An ISO 8601 duration, of a baseline that moves with the window.
    version
        The version of the captures; empty: the one that serves.
    """

    training_version: str = ""
    since: str = ""
    until: str = ""
    rolling: str = ""
    version: str = ""


class BaselineMaker:
    """Makes baselines of the model ``model_name``, with what ``settings`` say."""

    def __init__(self, settings: Settings, model_name: str, client: Any) -> None:
        self._settings = settings
        self._client = client
        self._model_name = model_name
        self._registry = registry_of(settings)
        self._artifacts = artifacts_of(settings, client)
        segments_of = held_segments(settings, client)
        self._captures = S3ProfileStore(client, settings.capture_bucket, segments_of)
        self._store = S3BaselineStore(client, settings.report_bucket)

    def make(
        self, name: str, source: Source, only_version: str = "", episode: str = ""
    ) -> Baseline:
        """Make a baseline and learn its constraints; ``episode``: which one it accepts.

        Raises
        ------
        InvalidInputError
            When the name is taken, or the options contradict one another.
        ModelwatchError
            When there are too few rows for a comparison.
        """
        check_name(name)
        origin, profile, segments = self._found(source)
        least = held_monitors(self._settings, self._client).of(self._model_name).rules.min_rows
        if profile.rows < least:
            raise ModelwatchError(
                f"{origin} has {count_of(profile.rows, 'row')}; a baseline needs {least} "
                "(ANALYSIS_MIN_ROWS)"
            )
        baseline = Baseline(
            name=name,
            model_name=self._model_name,
            origin=origin,
            made_at=datetime.now(UTC).replace(microsecond=0),
            rows=profile.rows,
            model_version=only_version,
            episode=episode,
        )
        return self._store.create(baseline, profile, learn_constraints(profile), segments)

    def profile(self, source: Source) -> tuple[Origin, Profile]:
        """Return where ``source`` leads, and the profile of what is there now."""
        origin, profile, _ = self._found(source)
        return origin, profile

    def _found(self, source: Source) -> tuple[Origin, Profile, _Segments]:
        captured = bool(source.since or source.until)
        if bool(source.training_version) + captured + bool(source.rolling) > 1:
            raise InvalidInputError(
                "", "give one of --from-training, --rolling, and --since with --until"
            )
        version = source.version or source.training_version or self._version(source)
        if source.rolling:
            rolling = RollingWindow(format_duration(parse_duration(source.rolling, "--rolling")))
            return rolling, *self._captured(version, self._window(source))
        if captured:
            window = self._window(source)
            origin = CapturedWindow(version, window.start, window.end)
            return origin, *self._captured(version, window)
        # the segments of training data are computed when they are needed
        return TrainingData(version), self._training(version), {}

    def _version(self, source: Source) -> str:
        """Return the version that serves; of a model that is served elsewhere the captured one."""
        alias = aliases_of_served(self._settings).get(self._model_name, self._settings.model_alias)
        try:
            return self._registry.resolve(self._model_name, alias).version
        except NoModelError:
            if not (source.rolling or source.since or source.until):
                raise
        captured = self._captures.versions(self._window(source))
        versions = sorted(version for name, version in captured if name == self._model_name)
        if len(versions) == 1:
            return versions[0]
        have = f"versions {', '.join(versions)}" if versions else "no captures in that time"
        raise InvalidInputError(
            "--version", f"the registry does not know {self._model_name}, which has {have}"
        )

    def _window(self, source: Source) -> Window:
        if source.rolling:
            length = parse_duration(source.rolling, "--rolling")
            return Window(datetime.now(UTC) - length, datetime.now(UTC)).outward()
        return option_window(source.since, source.until, _DAY, ahead=timedelta()).outward()

    def _captured(self, version: str, window: Window) -> tuple[Profile, _Segments]:
        found = self._captures.profiles(self._model_name, version, window)
        return merge_profiles(list(found.variants.values())), found.segments

    def _training(self, version: str) -> Profile:
        table = self._artifacts.reference(self._registry.version(self._model_name, version))
        if table is None:
            raise ModelwatchError(f"{self._model_name} version {version} has no reference data")
        return profile_table(table)
