"""What is known of a model before it has a monitor: from the registry, and from its captures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.domain.monitors import MonitorChange
from modelwatch.domain.profiles import merge_profiles
from modelwatch.domain.schemas import Schema
from modelwatch.domain.segments import SEGMENTS_SETTING, read_segments
from modelwatch.domain.windows import Window
from modelwatch.errors import ModelwatchError, NoModelError
from modelwatch.settings.kinds import meant
from modelwatch_cli.settings import Settings

_DAY_SECONDS = 86_400
_SHOWN_FEATURES = 20


def facts_of(settings: Settings, model_name: str) -> list[str]:
    """Return sentences; where a part does not respond, one that says so."""
    return [*_registered(settings, model_name), *_captured(settings, model_name)]


def not_found(settings: Settings, models: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each model that is neither captured nor registered: a wrong name, say.

    Where S3 or the registry does not respond, nothing is known of it, and nothing is said.
    """
    try:
        captured = S3RecordStore(s3_client(settings), settings.capture_bucket).names()
        missing = sorted(set(models) - set(captured))
        registered = registry_of(settings).names() if missing else []
    except ModelwatchError:
        return
    for name in missing:
        if name not in registered:
            hint = meant(name, [*captured, *registered])
            yield f"{name} has no captures, and the registry does not know it{hint}"


def without_feature(
    changes: Sequence[MonitorChange], features: Callable[[str], Collection[str]]
) -> Iterator[str]:
    """Yield a sentence for each feature that a rule is about and that its model does not have.

    Parameters
    ----------
    features
        Gives the features of a model; none where they are not known, and nothing is said then.

    Examples
    --------
    >>> fields = [f"features.{each}.ignore" for each in ("hue", "Ash", "v1.2")]
    >>> changes = [
    ...     MonitorChange(model_name="wine", field=field, before=None, after="true")
    ...     for field in fields
    ... ]
    >>> list(without_feature(changes, lambda model: ["hue", "ash", "v1.2"]))
    ["wine has no feature 'Ash': its rule changes nothing; is ash meant?"]
    >>> list(without_feature(changes, lambda model: []))
    []
    >>> segments = MonitorChange(model_name="wine", field="rules.analysis_segments", before=None,
    ...                          after="hue > 1; color")
    >>> list(without_feature([segments], lambda model: ["hue", "colour"]))
    ["wine has no feature 'color': its rule changes nothing; is colour meant?"]
    """
    ruled: dict[str, dict[str, None]] = {}
    for each in changes:
        if each.after is not None:
            ruled.setdefault(each.model_name, {}).update(dict.fromkeys(_features_in(each)))
    for model, names in ruled.items():
        known = list(features(model))
        for name in names if known else ():
            if name not in known:
                problem = f"{model} has no feature '{name}': its rule changes nothing"
                yield f"{problem}{meant(name, known)}"


def _features_in(change: MonitorChange) -> list[str]:
    """Return which features a new rule is about."""
    if change.field == f"rules.{SEGMENTS_SETTING.lower()}":
        return sorted(read_segments(change.after or "").columns)
    part, _, rest = change.field.partition(".")
    return [rest.rpartition(".")[0]] if part in ("features", "constraints") else []


def features_of(settings: Settings, model_name: str) -> list[str]:
    """Return a model's features: of the versions behind aliases, or of the last day's captures.

    Where S3 or the registry does not respond, or there are none, it is empty.
    """
    try:
        if schemas := schemas_of(settings, model_name):
            return [column.name for each in schemas for column in each.columns]
        store = S3ProfileStore(s3_client(settings), settings.capture_bucket)
        window = Window.ending(datetime.now(UTC), seconds=_DAY_SECONDS)
        profiles = [
            profile
            for name, version in store.versions(window)
            if name == model_name
            for profile in store.profiles(name, version, window).variants.values()
        ]
        return [name for profile in profiles for name in profile.features]
    except ModelwatchError:
        return []


def schemas_of(settings: Settings, model_name: str) -> list[Schema]:
    """Return the schemas of the versions behind aliases; none where the registry knows no model.

    Raises ModelwatchError when the registry or S3 does not respond.
    """
    registry, artifacts = registry_of(settings), artifacts_of(settings)
    try:
        model = registry.model(model_name)
    except NoModelError:
        return []
    versions = {*model.aliases.values(), *model.stages.values()}
    manifests = [artifacts.manifest(registry.version(model_name, each)) for each in versions]
    return [each.schema for each in manifests if each is not None]


def _registered(settings: Settings, model_name: str) -> Iterator[str]:
    try:
        model = registry_of(settings).model(model_name)
    except NoModelError:
        yield "Registry: it is not registered: served elsewhere"
    except ModelwatchError as error:
        yield f"Registry: not known: {_one_line(error)}"
    else:
        aliases = ", ".join(f"{each} is version {v}" for each, v in sorted(model.aliases.items()))
        yield f"Registry: {aliases or 'no alias'}"


def _captured(settings: Settings, model_name: str) -> Iterator[str]:
    store = S3ProfileStore(s3_client(settings), settings.capture_bucket)
    window = Window.ending(datetime.now(UTC), seconds=_DAY_SECONDS)
    try:
        versions = [version for name, version in store.versions(window) if name == model_name]
        if not versions:
            yield "Captures: none in the last day"
        for version in versions:
            read = store.profiles(model_name, version, window)
            profile = merge_profiles(list(read.variants.values()))
            names = list(profile.features)
            more = ", ..." if len(names) > _SHOWN_FEATURES else ""
            yield f"Captures: {profile.rows} of version {version} in the last day"
            yield f"Features: {', '.join(names[:_SHOWN_FEATURES])}{more}"
    except ModelwatchError as error:
        yield f"Captures: not known: {_one_line(error)}"


def _one_line(error: ModelwatchError) -> str:
    return " ".join(str(error).split())[:200]
