"""The stack of an app: put in place with what LocalStack 4.14 does not do by itself.

On AWS, CloudFormation makes the API as the template says, and brings back what was there when an
update fails. For LocalStack both are done here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from modelwatch_cli.deployment.cloudformation.apis import clear_stage, ensure_api
from modelwatch_cli.deployment.cloudformation.clients import Clients
from modelwatch_cli.deployment.cloudformation.endpoints import api_url
from modelwatch_cli.deployment.cloudformation.errors import StackError
from modelwatch_cli.deployment.cloudformation.plan import APPS, stack_name
from modelwatch_cli.deployment.cloudformation.stacks import Action, Stack, StackDeployer
from modelwatch_cli.deployment.cloudformation.templates import Template
from modelwatch_cli.deployment.leftovers import delete_leftovers
from modelwatch_cli.deployment.releases import (
    ReleasedApp,
    ReleaseStore,
    without_secrets,
)
from modelwatch_cli.settings import Settings


@dataclass(frozen=True, slots=True)
class Code:
    """The code of an app, and the other stacks that it takes values from; see `ReleasedApp`."""

    code: str
    sha256: str
    needs: Collection[str]


class AppStacks:
    """Puts the stacks of apps in place, and writes down what became a release.

    Parameters
    ----------
    say
        Called with a subject and a sentence about an unusual step.
    """

    def __init__(
        self,
        stacks: StackDeployer,
        clients: Clients,
        settings: Settings,
        say: Callable[[str, str], None],
    ) -> None:
        self._stacks = stacks
        self._clients = clients
        self._settings = settings
        self._say = say
        self._released: dict[str, ReleasedApp] = {}
        self.releases = ReleaseStore(clients.packages, settings.package_bucket, settings.stage)

    def put(
        self, app: str, template: Template, parameters: Mapping[str, str], code: Code
    ) -> tuple[Action, Stack]:
        """Create or update the stack of ``app``; see `StackDeployer.deploy`.

        Raises StackError when it cannot be. Then what was there goes on: CloudFormation brings it
        back, and for LocalStack it is made again.
        """
        before = self._stacks.read(self._name(app))
        try:
            action, stack = self._put(app, template, parameters, before)
        except StackError:
            if self._settings.aws_endpoint_url and before and before.digest:
                try:
                    self._put_back(app, parameters, before, before.digest)
                except StackError as error:
                    self._say(before.name, f"could not be made again: {error}")
            raise
        self._released[app] = ReleasedApp(
            stack_digest=str(stack.digest),
            template=self.releases.keep(template),
            parameters=without_secrets(template, parameters),
            code=code.code,
            sha256=code.sha256,
            needs=tuple(sorted(code.needs)),
        )
        return action, stack

    def digests(self) -> dict[str, str | None]:
        """Return the digest of each app's stack; None of one that is not there, or not well."""
        stacks = {app: self._stacks.read(self._name(app)) for app in APPS}
        return {app: stack.digest if stack else None for app, stack in stacks.items()}

    def add_release(self, version: str, revision: str, puts_back: int = 0) -> None:
        """Write down what runs now, with the apps that are as they were.

        Nothing is written if the newest release says the same.
        """
        apps = dict(self._released)
        for app, known in self.digests().items():
            found = known and app not in apps and self.releases.find(app, known)
            if found:
                apps[app] = found
        if number := self.releases.add(apps, version, revision, puts_back):
            self._say("release", str(number))

    def _name(self, app: str) -> str:
        return stack_name(self._settings.stage, app)

    def _put(
        self, app: str, template: Template, parameters: Mapping[str, str], before: Stack | None
    ) -> tuple[Action, Stack]:
        settings, name = self._settings, self._name(app)

        def make_way() -> None:
            # on AWS a stage without interruption is updated
            if settings.aws_endpoint_url and before and "RestAPIId" in before.outputs:
                clear_stage(self._clients.apis, template, before.outputs)

        action, stack = self._stacks.deploy(
            name,
            template,
            parameters,
            say=lambda message: self._say(name, message),
            before_update=make_way,
            after_delete=lambda: delete_leftovers(self._clients, template, settings.stage, name),
        )
        # an unchanged stack too: the last deployment may have been interrupted right here
        corrected = action in ("updated", "unchanged") and ensure_api(
            self._clients.apis, template, stack.outputs
        )
        if corrected and action == "unchanged":
            self._say(name, "its API did not change with it: put it right")
        self._say_address(before, stack)
        return action, stack

    def _put_back(self, app: str, parameters: Mapping[str, str], before: Stack, known: str) -> None:
        """Make again what a stack was before an update that failed, if a release has it."""
        found = self.releases.find(app, known)
        if found is None:
            return
        template = self.releases.template(found.template)
        # secrets are in no release
        values = {**parameters, **found.parameters}
        declared = template.get("Parameters", {})
        self._say(before.name, "failed: what was there before is made again")
        self._put(
            app, template, {each: values[each] for each in declared if each in values}, before
        )

    def _say_address(self, before: Stack | None, now: Stack) -> None:
        """Say that an API has another address than it had."""
        endpoint_url = self._settings.aws_endpoint_url
        urls = [
            api_url(stack, endpoint_url)
            for stack in (before, now)
            if stack and "RestAPIId" in stack.outputs
        ]
        if len(set(urls)) == 2:
            self._say(now.name, f"its API has a NEW ADDRESS, {urls[1]}; {urls[0]} is gone")
