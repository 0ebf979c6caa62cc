"""What is known of a model before it has a monitor: from the registry, and from its captures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.registries import registry_of
from modelwatch.domain.profiles import merge_profiles
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
