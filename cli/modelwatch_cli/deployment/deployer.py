"""Runs a plan: builds, uploads, and creates or updates the stacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch import __version__
from modelwatch.settings.functions import FUNCTIONS
from modelwatch_cli.deployment.additions.access import with_access
from modelwatch_cli.deployment.additions.alarms.stack import alarm_template
from modelwatch_cli.deployment.additions.alarms.twins import left_out
from modelwatch_cli.deployment.additions.encryption import keep_logs, with_key
from modelwatch_cli.deployment.additions.events import with_events
from modelwatch_cli.deployment.additions.limits import with_limits, with_roles
from modelwatch_cli.deployment.additions.registry import with_registry
from modelwatch_cli.deployment.additions.secrets import with_secrets
from modelwatch_cli.deployment.additions.transport import delete_transport, with_filters
from modelwatch_cli.deployment.additions.versions import with_versions
from modelwatch_cli.deployment.app_stacks import AppStacks, Code
from modelwatch_cli.deployment.building.environments import (
    Environment,
    base_environment,
    environment_with,
    missing_from,
)
from modelwatch_cli.deployment.building.images import build_image, image_repository
from modelwatch_cli.deployment.building.layers import Artifact, build_layer, check_size
from modelwatch_cli.deployment.building.packages import PackageStore, sha256_of
from modelwatch_cli.deployment.building.packaging import (
    as_image,
    function_names,
    functions,
    package_app,
    with_code,
)
from modelwatch_cli.deployment.building.revision import git_revision
from modelwatch_cli.deployment.cloudformation.change_sets import Change, ChangeSets, Confirm
from modelwatch_cli.deployment.cloudformation.clients import Clients
from modelwatch_cli.deployment.cloudformation.errors import DeploymentError, StackError
from modelwatch_cli.deployment.cloudformation.graph import Step, run_steps
from modelwatch_cli.deployment.cloudformation.parameters import (
    bucket_parameters,
    common_parameters,
    layer_parameters,
    template_parameters,
)
from modelwatch_cli.deployment.cloudformation.plan import APPS, Plan, wants_firehose
from modelwatch_cli.deployment.cloudformation.stacks import (
    Action,
    Stack,
    StackDeployer,
    stack_digest,
)
from modelwatch_cli.deployment.cloudformation.templates import (
    Template,
    load_template,
    with_kept_queues,
)
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings

_OPTIONAL = {
    "metrics": "the bucket of log lines, the stream",
    "alarms": "all alarms",
    "sql": "the tables, not what is in them",
}
"""Stacks that a setting asks for, and what goes with them."""


def tags_of(settings: Settings, version: str = __version__) -> dict[str, str]:
    """Return the tags of all that is deployed."""
    owner = {"owner": settings.owner} if settings.owner else {}
    return {"stage": settings.stage, "version": version, **owner}


def stack_deployer(
    clients: Clients, settings: Settings, store: PackageStore, confirm: Confirm, version: str
) -> StackDeployer:
    """Return what puts stacks in place: on AWS by change sets that someone confirms."""
    is_emulation = bool(settings.aws_endpoint_url)
    return StackDeployer(
        clients.cloudformation,
        store.store_template,
        recreates=is_emulation,
        change_sets=None if is_emulation else ChangeSets(clients.cloudformation, confirm),
        tags={} if is_emulation else tags_of(settings, version),
        role=settings.cloudformation_role or "",
    )


def configured(template: Template, app: str, settings: Settings) -> Template:
    """Return a packaged app's ``template`` with all that the settings ask of it."""
    template = with_access(template, settings)
    template = with_secrets(template, FUNCTIONS[app], settings)
    template = with_events(template, FUNCTIONS[app], settings)
    template = with_registry(template, FUNCTIONS[app], settings)
    template = with_limits(template, settings)
    return with_key(template, settings.kms_key_arn)


class Progress(Protocol):
    """Takes messages about the steps of a deployment."""

    def say(self, subject: str, message: str) -> None:
        """Take a sentence about a part of the deployment."""
        ...

    def done(self, result: StackResult) -> None:
        """Take the result of a stack."""
        ...


@dataclass(frozen=True, slots=True)
class StackResult:
    """The action on a stack; after a dry run, the action that a deployment would take."""

    name: str
    action: Action
    seconds: float


@dataclass
class Deployer:
    """Runs one plan.

    Parameters
    ----------
    ensure_buckets
        Makes the buckets of captures and reports if CloudFormation does not; called with their
        names.
    set_retention
        Lets S3 delete objects that are older than the settings say.
    ensure_package_bucket
        Makes the bucket of packages when it is missing.
    model_requirements
        Packages that the image of predict needs beside its own.
    confirm
        On AWS: asked before a stack changes.
    dry_run
        Build and compare, and change nothing outside ``build/``.
    """

    project: Project
    settings: Settings
    plan: Plan
    clients: Clients
    progress: Progress
    ensure_buckets: Callable[[list[str]], object]
    set_retention: Callable[[], object]
    ensure_package_bucket: Callable[[str], object]
    model_requirements: Sequence[str] = ()
    confirm: Confirm = lambda _stack, _changes: False
    dry_run: bool = False
    results: list[StackResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._is_emulation = bool(self.settings.aws_endpoint_url)
        self._store = PackageStore(self.clients.packages, self.settings.package_bucket)
        self._stacks = stack_deployer(
            self.clients, self.settings, self._store, self.confirm, __version__
        )
        self._app_stacks = AppStacks(self._stacks, self.clients, self.settings, self.progress.say)
        self._deployed: dict[str, Stack] = {}
        self._layers: dict[str, Artifact] = {}
        self._templates: dict[str, Template] = {}
        self._provided = common_parameters(self.plan, self.settings)
        known = self.settings.code_revision
        self._provided["CodeRevision"] = known or git_revision(self.project)

    def run(self) -> list[StackResult]:
        """Deploy; return what was done with each stack.

        Raises ModelwatchError when something cannot be built, uploaded or deployed.
        """
        try:
            run_steps(self._steps())
            if not self.dry_run:
                self._app_stacks.add_release(__version__, self._provided["CodeRevision"])
        except (BotoCoreError, ClientError) as error:
            raise DeploymentError(f"AWS cannot be reached or refused: {error}") from error
        return self.results

    def _steps(self) -> dict[str, Step]:
        steps = {"package bucket": Step(self._make_package_bucket)}
        if not self.plan.owns_buckets:
            steps["buckets"] = Step(self._make_buckets)
        for layer in self.plan.layers:
            steps[f"layer {layer}"] = Step(partial(self._make_layer, layer), ["package bucket"])
        for app in self.plan.apps:
            steps[f"app {app}"] = Step(partial(self._make_app, app), ["package bucket"])
        for stack, stacks_before in self.plan.stacks.items():
            needs = [f"stack {name}" for name in stacks_before]
            if stack == "layers":
                needs += [f"layer {layer}" for layer in self.plan.layers]
            if stack in self.plan.apps:
                needs += [f"app {stack}", *([] if self.plan.owns_buckets else ["buckets"])]
            steps[f"stack {stack}"] = Step(partial(self._deploy_stack, stack), needs)
        if set(self.plan.apps) == set(APPS):
            users = [f"stack {app}" for app in self.plan.apps]
            for part in _OPTIONAL:
                if part not in self.plan.stacks:
                    steps[f"no stack {part}"] = Step(partial(self._delete_unwanted, part), users)
        makers = [step for step in ("buckets", "stack storage") if step in steps]
        if makers:
            steps["retention"] = Step(self._set_retention, makers)
        return steps

    def _make_package_bucket(self) -> None:
        if not self.dry_run:
            self.ensure_package_bucket(self._store.bucket)

    def _make_buckets(self) -> None:
        if not self.dry_run:
            names = [self.settings.text(name) for name in ("CAPTURE_BUCKET", "REPORT_BUCKET")]
            self.ensure_buckets(names)

    def _set_retention(self) -> None:
        if not self.dry_run:
            self.set_retention()

    def _make_layer(self, name: str) -> None:
        started = time.monotonic()
        layer = build_layer(self.project, name, self.plan.architecture)
        self._layers[name] = layer
        self._upload(f"layer {name}", layer, started)

    def _make_app(self, app: str) -> None:
        started = time.monotonic()
        plan = self.plan.apps[app]
        package = package_app(self.project, app, self.settings.aws_default_region)
        template = configured(package.template, app, self.settings)
        if plan.environment is None:
            template = with_code(template, self._store.bucket, package.artifact.key)
            self._templates[app] = with_filters(template, self.settings)
            self._layers[f"package of {app}"] = package.artifact
            self._upload(f"function {app}", package.artifact, started)
            return
        image = build_image(self.project, package, app, self._environment(app, plan.environment))
        setting = self.settings.image_repository
        repository = image_repository(setting, self.project, self.plan.architecture)
        template = as_image(template, repository.uri(image), plan.name_suffix, plan.larger)
        self._templates[app] = with_filters(template, self.settings)
        if not self.dry_run and not image.environment.python.exists():
            self.progress.say(f"image {app}", "its environment is installed first")
        if not self.dry_run and repository.publish(image):
            seconds = time.monotonic() - started
            self.progress.say(
                f"image {app}", f"published {repository.uri(image)} ({seconds:.1f} s)"
            )

    def _environment(self, app: str, name: str) -> Environment:
        if app != "predict" or not self.model_requirements:
            return base_environment(self.project, name)
        wanted = self.model_requirements
        environment = environment_with(self.project, name, wanted, self.plan.architecture)
        missing = missing_from(self.project.requirements(name).read_text(), wanted)
        if missing:
            self.progress.say(f"image {app}", f"with {', '.join(missing)} for the served models")
        return environment

    def _upload(self, subject: str, artifact: Artifact, started: float) -> None:
        if not self.dry_run and self._store.upload(artifact.key, artifact.path):
            megabytes = artifact.path.stat().st_size / 1e6
            seconds = time.monotonic() - started
            self.progress.say(subject, f"uploaded, {megabytes:.1f} MB ({seconds:.1f} s)")

    def _deploy_stack(self, part: str) -> None:
        started = time.monotonic()
        name = self.plan.stack_name(part)
        provided = dict(self._provided)
        for needed in self.plan.stacks[part]:
            provided |= self._deployed[needed].outputs if needed in self._deployed else {}
        template = self._template(part)
        if part == "layers":
            keys = {layer: self._layers[layer].key for layer in self.plan.layers}
            provided |= layer_parameters(keys)
        if part == "storage":
            provided |= self._bucket_parameters(name)
        if part in self.plan.apps:
            self._check_size(part)
        if self.dry_run:
            action = self._compare(part, name, template, provided)
        else:
            parameters = template_parameters(template, self.settings, provided)
            template = self._versioned(part, template, parameters)
            # a filter needs its log group
            has_groups = wants_firehose(self.settings) or not self._is_emulation
            if part in self.plan.apps and has_groups:
                names = function_names(template, self.plan.stage)
                days = int(self.settings.log_retention_days)
                keep_logs(self.clients.logs, names, self.settings.kms_key_arn, days)
            if part in self.plan.apps:
                action, stack = self._put_app(part, template, parameters)
            else:
                action, stack = self._stacks.deploy(
                    name,
                    template,
                    parameters,
                    say=lambda message: self.progress.say(name, message),
                )
            self._deployed[part] = stack
        result = StackResult(name, action, time.monotonic() - started)
        self.results.append(result)
        self.progress.done(result)

    def _delete_unwanted(self, part: str) -> None:
        """Delete a stack that no setting asks for any more."""
        started = time.monotonic()
        name = self.plan.stack_name(part)
        if self._stacks.read(name) is None:
            return
        if not self.dry_run:
            gone = Change("remove", _OPTIONAL[part], "the whole stack")
            if not self._is_emulation and not self.confirm(name, [gone]):
                raise StackError(name, ["its deletion was not confirmed"])
            is_protected = not self._is_emulation
            if part == "metrics":
                packages = self.clients.packages
                delete_transport(self._stacks, packages, name, is_protected=is_protected)
            else:
                self._stacks.delete(name, is_protected=is_protected)
        result = StackResult(name, "deleted", time.monotonic() - started)
        self.results.append(result)
        self.progress.done(result)

    def _put_app(
        self, app: str, template: Template, parameters: Mapping[str, str]
    ) -> tuple[Action, Stack]:
        needs = self.plan.stacks[app] - {*APPS, "layers"}
        package = self._layers.get(f"package of {app}")
        if package:
            code, sha256 = package.key, sha256_of(package.path)
        else:
            (code,) = {each["ImageUri"] for each in functions(template).values()}
            sha256 = ""
        return self._app_stacks.put(app, template, parameters, Code(code, sha256, needs))

    def _versioned(self, part: str, template: Template, parameters: Mapping[str, str]) -> Template:
        return with_versions(template, parameters, self.settings) if part == "predict" else template

    def _compare(
        self, part: str, name: str, template: Template, provided: Mapping[str, str]
    ) -> Action:
        """Return what a deployment would do with the stack."""
        stack = self._stacks.read(name)
        self._stacks.check(stack)
        if stack is None:
            return "created"
        if stack.is_broken:
            return "recreated"
        # predict waits for capture, and takes nothing from it
        gives = self.plan.stacks[part] - self.plan.apps.keys()
        if any(needed not in self._deployed for needed in gives):
            return "updated"  # what it takes from a stack that changes is not known yet
        parameters = template_parameters(template, self.settings, provided)
        template = self._versioned(part, template, parameters)
        if stack.digest != stack_digest(template, parameters):
            return "updated"
        self._deployed[part] = stack
        return "unchanged"

    def _alarms(self) -> Template:
        """Return the template of the alarms, with the limits of the functions as deployed."""
        consumer = int(self._provided["ConsumerTimeoutSeconds"])
        limits = {
            properties["FunctionName"]["Fn::Sub"].replace("${Stage}", self.plan.stage): (
                consumer if isinstance(properties["Timeout"], dict) else properties["Timeout"]
            )
            for app in self.plan.apps
            for properties in functions(self._templates[app]).values()
        }
        if missing := left_out(self.settings):
            self.progress.say(
                self.plan.stack_name("alarms"),
                f"METRICS_TO_CLOUDWATCH={self.settings.metrics_to_cloudwatch} leaves out "
                f"{', '.join(missing)}",
            )
        template = alarm_template(self.settings, limits, self.settings.capture_queue_name)
        return with_key(template, self.settings.kms_key_arn)

    def _template(self, part: str) -> Template:
        if part in self._templates:
            return self._templates[part]
        if part == "alarms":
            return self._alarms()
        if part == "sql":
            from modelwatch_cli.deployment.additions.tables import tables_template

            return with_key(tables_template(self.settings), self.settings.kms_key_arn)
        template = load_template(self.project.template(part))
        template = with_roles(template, self.settings)
        template = with_key(template, self.settings.kms_key_arn)
        return template if self._is_emulation else with_kept_queues(template)

    def _bucket_parameters(self, name: str) -> dict[str, str]:
        stack = self._stacks.read(name)
        buckets = self.clients.packages.list_buckets().get("Buckets", ())
        existing = frozenset(bucket["Name"] for bucket in buckets)
        previous = stack.parameters if stack and not stack.is_broken else {}
        return bucket_parameters(self.settings, existing, previous)

    def _check_size(self, app: str) -> None:
        plan = self.plan.apps[app]
        if plan.environment is None:
            names = [f"package of {app}", *plan.layers]
            check_size(app, {name: self._layers[name].unzipped_bytes for name in names})
