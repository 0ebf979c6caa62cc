"""Releases: what each deployment put in place, written once beside the packages it is made of.

``releases/<stage>/000007.json`` in PACKAGE_BUCKET; the templates are in ``templates/`` there, by
their digest. Secrets are in neither.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

import msgspec
from botocore.exceptions import ClientError

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.domain.faults import UNREADABLE
from modelwatch.errors import InvalidInputError, NotFoundError, StoreError
from modelwatch_cli.deployment.cloudformation.parameters import secret_parameters
from modelwatch_cli.deployment.cloudformation.templates import Template
from modelwatch_cli.digests import digest

FORMAT = 1
"""Version of how releases are written down."""

_LOOKED_AT = 20
_EVERY = 1_000_000


class ReleasedApp(msgspec.Struct, frozen=True, kw_only=True):
    """An app of a release: what its stack was made of.

    Attributes
    ----------
    stack_digest
        Digest of template and parameters, which the stack shows while it is so.
    template
        Digest of the template.
    parameters
        Values of its parameters, without secrets.
    code
        Key of the package, or address of the image.
    sha256
        The package's digest in base64, as S3 shows it; empty for an image.
    needs
        The other stacks that it takes values from.
    """

    stack_digest: str
    template: str
    parameters: dict[str, str]
    code: str
    sha256: str = ""
    needs: tuple[str, ...] = ()


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """All that runs after a deployment, or a rollback.

    Attributes
    ----------
    number
        From 1 in each stage.
    at
        When it was complete.
    version, revision
        Version of modelwatch, and revision of git if it is known.
    apps
        By name; without one that no release has put in place.
    puts_back
        Number of the release that a rollback put back; 0 for a deployment.
    """

    number: int
    at: datetime
    version: str
    revision: str
    apps: dict[str, ReleasedApp]
    puts_back: int = 0
    format: int = FORMAT

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each app's stack."""
        return {app: each.stack_digest for app, each in self.apps.items()}


_decode = msgspec.json.Decoder(Release).decode


class ReleaseStore(S3Store):
    """The releases of a stage, in the bucket of packages.

    Its errors are StoreErrors: also when a release or a template is not what was written.
    """

    def __init__(self, client: object, bucket: str, stage: str) -> None:
        super().__init__(client, bucket)
        self._prefix = f"releases/{stage}/"

    def newest(self, most: int) -> list[Release]:
        """Return that many of the newest releases, the newest first."""
        try:
            numbers = sorted(self._numbers(self._prefix), reverse=True)
        except StoreError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and cause.response["Error"]["Code"] == "NoSuchBucket":
                return []  # nothing was deployed yet
            raise
        return [self.read(each) for each in numbers[:most]]

    def read(self, number: int) -> Release:
        """Return a release; raises InvalidInputError when there is none of that number."""
        try:
            found = _decode(self._version(self._prefix, number))
        except NotFoundError:
            raise InvalidInputError(
                "release", f"there is no release {number}: `modelwatch releases` lists them"
            ) from None
        except UNREADABLE as error:
            raise StoreError(f"release {number} cannot be read: {error}") from error
        if found.format != FORMAT:
            raise StoreError(
                f"release {number} has format {found.format}; this code reads {FORMAT}"
            )
        return found

    def keep(self, template: Template) -> str:
        """Keep a template; return its digest."""
        body = json.dumps(template, sort_keys=True).encode()
        known = digest(body)
        self._objects.write_once(_template_key(known), body, "application/json")
        return known

    def template(self, known: str) -> Template:
        """Return the template of this digest."""
        key = _template_key(known)
        body = self._objects.read(key)
        if digest(body) != known:
            raise StoreError(f"{key} is not what was deployed")
        template: Template = json.loads(body)
        return template

    def find(self, app: str, stack_digest: str) -> ReleasedApp | None:
        """Return what an app's stack of this digest was made of, by the newest releases."""
        for release in self.newest(_LOOKED_AT):
            found = release.apps.get(app)
            if found and found.stack_digest == stack_digest:
                return found
        return None

    def add(
        self, apps: Mapping[str, ReleasedApp], version: str, revision: str, puts_back: int = 0
    ) -> int:
        """Write a release of this moment; return its number, 0 if the newest one says the same.

        Raises StoreError when someone else wrote one meanwhile.
        """
        newest = next(iter(self.newest(1)), None)
        number = newest.number if newest else 0
        release = Release(
            number=number + 1,
            at=datetime.now(UTC).replace(microsecond=0),
            version=version,
            revision=revision,
            apps=dict(sorted(apps.items())),
            puts_back=puts_back,
        )
        if newest and newest.digests == release.digests:
            return 0
        self._append(
            self._prefix,
            msgspec.json.encode(release),
            number,
            "the releases of this stage",
            "modelwatch releases",
        )
        return release.number

    def delete_all(self) -> None:
        """Delete the releases of the stage; templates stay."""
        keys = [f"{self._prefix}{each.number:06}.json" for each in self.newest(_EVERY)]
        self._objects.delete(keys)


def without_secrets(template: Template, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that may be written down."""
    secret = secret_parameters(template)
    return {name: value for name, value in parameters.items() if name not in secret}


def live_apps(
    releases: Iterable[Release], deployed: Mapping[str, str | None]
) -> dict[int, list[str]]:
    """Return the apps that run as each release says, by its number.

    Parameters
    ----------
    releases
        The newest first: of two that are the same, the newer one is live.
    deployed
        The digest of each app's stack now.
    """
    live: dict[int, list[str]] = {}
    found: set[str] = set()
    for release in releases:
        runs = [
            app
            for app, known in release.digests.items()
            if app not in found and deployed.get(app) == known
        ]
        live[release.number] = runs
        found.update(runs)
    return live


def before_live(releases: Collection[Release], deployed: Mapping[str, str | None]) -> Release:
    """Return what `modelwatch rollback` puts back when no release is named.

    It is the release before the newest one. If the newest is a rollback, that is done already.
    Raises InvalidInputError when there is none, or when the newest one is not what runs: then only
    its caller knows what is meant.
    """
    if not releases:
        raise InvalidInputError(
            "release", "there are no releases yet: `modelwatch deploy` makes one"
        )
    newest, *older = releases
    others = [app for app, known in newest.digests.items() if deployed.get(app) != known]
    if others:
        raise InvalidInputError(
            "release",
            f"say which one: {' and '.join(others)} {'is' if len(others) == 1 else 'are'} not "
            f"as in the newest release, {newest.number} (did a deployment or rollback fail?)",
        )
    if newest.puts_back:
        return newest
    for release in older:
        if release.digests != newest.digests:
            return release
    raise InvalidInputError("release", f"there is none before the newest one, {newest.number}")


def _template_key(known: str) -> str:
    return f"templates/{known}.json"
