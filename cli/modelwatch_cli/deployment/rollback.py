"""`modelwatch rollback`: puts an earlier release's code, template and settings back.

Buckets, queues, layers, alarms and the way of the log lines stay as they are: only the stacks of
the apps change. predict goes first, and capture follows when the queue is empty, so that no older
capture meets what a newer predict sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.errors import ModelwatchError
from modelwatch_cli.console import count_of
from modelwatch_cli.deployment.additions.versions import at_once
from modelwatch_cli.deployment.app_stacks import AppStacks, Code
from modelwatch_cli.deployment.building.images import image_repository
from modelwatch_cli.deployment.building.packages import PackageStore
from modelwatch_cli.deployment.building.packaging import functions
from modelwatch_cli.deployment.cloudformation.clients import Clients
from modelwatch_cli.deployment.cloudformation.errors import BuildError, DeploymentError
from modelwatch_cli.deployment.cloudformation.parameters import (
    secret_parameters,
    template_parameters,
)
from modelwatch_cli.deployment.cloudformation.plan import APPS, architecture, stack_name
from modelwatch_cli.deployment.cloudformation.stacks import Stack, StackDeployer, stack_digest
from modelwatch_cli.deployment.cloudformation.templates import Template
from modelwatch_cli.deployment.deployer import Progress, StackResult
from modelwatch_cli.deployment.releases import Release, ReleasedApp
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings


def deployed_digests(clients: Clients, settings: Settings) -> dict[str, str | None]:
    """Return the digest of each app's stack; None of one that is not there, or not well.

    Raises botocore's errors when CloudFormation does not say it.
    """
    stacks = StackDeployer(clients.cloudformation, lambda _: "")
    return AppStacks(stacks, clients, settings, lambda *_: None).digests()


class RollbackError(ModelwatchError):
    """A release cannot be put back; nothing was changed. The message has a line for each reason."""

    def __init__(self, release: int, reasons: list[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(f"release {release} cannot be put back: " + "; ".join(reasons))


class Rollback:
    """Puts one release back.

    Parameters
    ----------
    stacks
        Which asks before a stack changes, on AWS.
    drain
        Waits until the capture queue is empty; returns how many messages are left.
    """

    def __init__(
        self,
        project: Project,
        settings: Settings,
        clients: Clients,
        stacks: StackDeployer,
        progress: Progress,
        drain: Callable[[], int],
    ) -> None:
        self._project = project
        self._settings = settings
        self._clients = clients
        self._stacks = stacks
        self._progress = progress
        self._drain = drain
        self.app_stacks = AppStacks(stacks, clients, settings, progress.say)

    def run(self, release: Release, *, dry_run: bool = False) -> list[StackResult]:
        """Put ``release`` back; return what was done with each app's stack.

        Apps that are as they were then stay untouched. Raises RollbackError, before anything
        changes, when a part of the release is not there any more, and StackError when
        CloudFormation cannot do it.
        """
        try:
            return self._run(release, dry_run)
        except (BotoCoreError, ClientError) as error:
            raise DeploymentError(f"AWS cannot be reached or refused: {error}") from error

    def _run(self, release: Release, dry_run: bool) -> list[StackResult]:
        outputs = {
            part: stack
            for part in {need for app in release.apps.values() for need in app.needs}
            if (stack := self._stacks.read(stack_name(self._settings.stage, part)))
        }
        templates = {
            app: at_once(self.app_stacks.releases.template(each.template))
            for app, each in release.apps.items()
        }
        wanted = {
            app: self._parameters(templates[app], each, outputs)
            for app, each in release.apps.items()
        }
        now = self.app_stacks.digests()
        changed = [
            app
            for app in APPS
            if app in wanted and now[app] != stack_digest(templates[app], wanted[app])
        ]
        reasons = [
            f"{app}: {reason}"
            for app in changed
            for reason in self._missing(release.apps[app], templates[app], wanted[app], outputs)
        ]
        if reasons:
            raise RollbackError(release.number, reasons)
        results = []
        for app in (each for each in APPS if each in wanted):
            started, name = time.monotonic(), stack_name(self._settings.stage, app)
            if app not in changed:
                results.append(StackResult(name, "unchanged", 0.0))
                continue
            if dry_run:
                results.append(StackResult(name, "updated" if now[app] else "created", 0.0))
                continue
            if app == "capture" and "predict" in changed:
                self._wait_for_queue()
            each = release.apps[app]
            code = Code(each.code, each.sha256, each.needs)
            action, _ = self.app_stacks.put(app, templates[app], wanted[app], code)
            results.append(StackResult(name, action, time.monotonic() - started))
            self._progress.done(results[-1])
        if changed and not dry_run:
            self.app_stacks.add_release(release.version, release.revision, release.number)
        return results

    def _parameters(
        self, template: Template, app: ReleasedApp, outputs: Mapping[str, Stack]
    ) -> dict[str, str]:
        """Return the release's parameters, with what other stacks give now, and today's secrets."""
        values = dict(app.parameters)
        for stack in outputs.values():
            values |= {name: each for name, each in stack.outputs.items() if name in values}
        secret = secret_parameters(template)
        declared = {name: each for name, each in template["Parameters"].items() if name in secret}
        return values | template_parameters({"Parameters": declared}, self._settings, {})

    def _missing(
        self,
        app: ReleasedApp,
        template: Template,
        parameters: Mapping[str, str],
        outputs: Mapping[str, Stack],
    ) -> Iterator[str]:
        """Yield what the app of a release needs and is not there."""
        for need in app.needs:
            if need not in outputs:
                yield f"the stack {stack_name(self._settings.stage, need)} is gone"
        packages = PackageStore(self._clients.packages, self._settings.package_bucket)
        if app.sha256:
            if not packages.has(app.code, app.sha256):
                yield f"s3://{packages.bucket}/{app.code} is gone, or is not what was deployed"
        elif not self._has_image(app.code):
            yield f"the image {app.code} is gone"
        for arn in sorted(_layers(template, parameters)):
            if not self._has_layer(arn):
                yield f"the layer {arn} is gone: `undeploy` deletes layers"

    def _has_image(self, uri: str) -> bool:
        settings = self._settings
        repository = image_repository(
            settings.image_repository, self._project, architecture(settings)
        )
        try:
            return repository.has(uri)
        except BuildError:
            # without docker no one looks: Lambda refuses an image that is gone, and all stays
            self._progress.say(uri, "is not looked for: docker is not here")
            return True

    def _has_layer(self, arn: str) -> bool:
        client: Any = self._clients.functions
        try:
            client.get_layer_version_by_arn(Arn=arn)
        except client.exceptions.ResourceNotFoundException:
            return False
        return True

    def _wait_for_queue(self) -> None:
        self._progress.say("capture", "waits until the queue is empty")
        if left := self._drain():
            self._progress.say(
                "capture",
                f"{count_of(left, 'message')} of predict still in the queue: of newer records, it "
                "leaves out the fields that it does not know",
            )


def _layers(template: Template, parameters: Mapping[str, str]) -> set[str]:
    """Return the ARNs of the layers that the functions have."""
    return {
        parameters[layer["Ref"]]
        for properties in functions(template).values()
        for layer in properties.get("Layers", ())
    }
