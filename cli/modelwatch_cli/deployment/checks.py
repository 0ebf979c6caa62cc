"""Finds all errors in the settings of a deployment before it begins."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.domain.schemas import Schema
from modelwatch.errors import ModelwatchError, SettingError, WrongSettingsError
from modelwatch_cli.deployment.additions.access import check_access
from modelwatch_cli.deployment.additions.transport import check_transport
from modelwatch_cli.deployment.additions.versions import check_versions
from modelwatch_cli.deployment.building.environments import model_requirements
from modelwatch_cli.deployment.cloudformation.plan import (
    architecture,
    check_batches,
    check_limits,
    check_tables,
)
from modelwatch_cli.deployment.declared import check_capture, check_segments
from modelwatch_cli.deployment.neighbours import Stages, check_model_bucket, wrong_names
from modelwatch_cli.deployment.served import ServedVersion, check_reach, check_verified
from modelwatch_cli.retention.locks import check_lock
from modelwatch_cli.settings import Settings

_NAMES = list(Settings.declared())
_FOREIGN = ("AWS_", "MLFLOW_")
"""Read by boto3 and MLflow, which have more of them than are documented here."""
_ASKED_WITH = {
    *("MODEL_NAME", "MODEL_ALIAS", "MODEL_STAGE", "MODEL_REGISTRY", "MLFLOW_TRACKING_URI"),
}
_OURS = tuple(
    f"{word}_"
    for word in (
        "API",
        "MODEL",
        "CAPTURE",
        "ANALYSIS",
        "DRIFT",
        "PERFORMANCE",
        "COMPACTION",
        "BRIDGE",
    )
)

Say = Callable[[str, str], None]


def check_settings(
    settings: Settings,
    apps: Collection[str],
    say: Say,
    read: Callable[[Settings], tuple[ServedVersion, ...]],
    files: Mapping[str, Path] | None = None,
    environ: Iterable[str] = (),
    stages: Callable[[], Stages] = dict,
) -> tuple[ServedVersion, ...]:
    """Refuse settings that are wrong, alone, together, or for the registered models.

    Raises WrongSettingsError with everything that is wrong.

    Parameters
    ----------
    say
        Called with a subject and a sentence about what cannot be checked or is strange.
    read
        Returns the versions to serve.
    files
        The names in files of settings, each with its file.
    environ
        The names in the environment.
    stages
        Returns the names that each deployed stage uses.

    Returns
    -------
    tuple of ServedVersion
        The versions to serve; empty when predict is not deployed or they are not known.
    """
    errors = settings.wrong()
    errors += unknown_names(files or {})
    for name in environ:
        near = nearest(name)
        if near and name not in (files or {}):
            say("settings", f"the variable {name} is no setting; is {near} meant?")
    served: tuple[ServedVersion, ...] = ()
    wrong = {error.name for error in errors}
    if not wrong & _ASKED_WITH:
        try:
            served = read(settings)
        except SettingError as error:
            # an application may capture for a model that no registry knows
            if "predict" in apps:
                errors.append(error)
            else:
                say("model", str(error))
        except ModelwatchError as error:
            say("model", f"the version to serve is not known: {error}")

    def schemas() -> list[Schema]:
        if not served:
            raise ModelwatchError("the version to serve is not known")
        return [each.schema() for each in served]

    checks: list[Callable[[], object]] = [
        lambda: check_access(settings),
        lambda: check_model_bucket(settings),
        lambda: check_reach(settings, apps),
        lambda: check_verified(settings, served if "predict" in apps else ()),
        lambda: architecture(settings),
        lambda: check_batches(settings),
        lambda: check_limits(settings),
        lambda: check_lock(settings),
        lambda: check_transport(settings),
        lambda: check_tables(settings),
        lambda: check_versions(settings),
        lambda: model_requirements(settings, {}),
        lambda: check_capture(settings, lambda text: say("capture", text), schemas),
    ]
    if {"capture", "analyze"} & set(apps):
        checks.append(lambda: check_segments(settings, lambda text: say("segments", text), schemas))
    for check in checks:
        try:
            check()
        except SettingError as error:
            if error.name not in {each.name for each in errors}:
                errors.append(error)
    if not errors:
        try:
            errors += wrong_names(settings, stages())
        except (BotoCoreError, ClientError) as error:
            say("names", f"they are not compared with other stages': {error}")
    if errors:
        raise WrongSettingsError(errors)
    return served


def unknown_names(files: Mapping[str, Path]) -> list[SettingError]:
    """Return an error for each name in a file that looks like a setting and is none.

    >>> [error] = unknown_names({"MODELNAME": Path(".env"), "EDITOR": Path(".env")})
    >>> str(error)
    'setting MODELNAME: there is no such setting (.env); is MODEL_NAME meant?'
    """
    errors = []
    for name, path in files.items():
        near = nearest(name)
        if near or (name.startswith(_OURS) and name not in _NAMES):
            question = f"; is {near} meant?" if near else ""
            errors.append(SettingError(name, f"there is no such setting ({path}){question}"))
    return errors


def nearest(name: str) -> str:
    """Return the setting with a name like an unknown one; empty for settings and other names.

    >>> nearest("MODELNAME"), nearest("MODEL_NAME"), nearest("AWS_PROFILE"), nearest("HOME")
    ('MODEL_NAME', '', '', '')
    """
    if name in _NAMES or name.startswith(_FOREIGN):
        return ""
    return next(iter(difflib.get_close_matches(name.upper(), _NAMES, 1, 0.85)), "")
