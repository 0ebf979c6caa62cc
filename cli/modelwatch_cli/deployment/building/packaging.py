"""Functions: the template and the package that `chalice package` makes of an app."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modelwatch.settings.functions import FUNCTIONS
from modelwatch_cli.deployment.building.archive import (
    build_once,
    builder_digest,
    compile_bytecode,
    unzipped_bytes,
    write_zip,
)
from modelwatch_cli.deployment.building.layers import Artifact
from modelwatch_cli.deployment.cloudformation.errors import BuildError
from modelwatch_cli.deployment.cloudformation.parameters import with_settings
from modelwatch_cli.deployment.cloudformation.templates import Template, load_template
from modelwatch_cli.digests import digest, tree_digest
from modelwatch_cli.project import Project

_MOUNT = "/var/task"
_not_packaged = shutil.ignore_patterns("__pycache__", "deployments", "deployed")
_FUNCTION = "AWS::Serverless::Function"


@dataclass(frozen=True, slots=True)
class Package:
    """An app that is ready to be deployed.

    Parameters
    ----------
    template
        Chalice's template, merged with the app's template; ``CodeUri`` is not set yet.
    task
        The same files, unpacked.
    digest
        Digest of the files' contents; equal code has an equal digest.
    """

    template: Template
    artifact: Artifact
    task: Path
    digest: str


def package_app(project: Project, app: str, region: str) -> Package:
    """Return the package of ``app``; it is made only if its sources have changed.

    Raises BuildError when Chalice cannot package it, with Chalice's message; when requirements.txt
    is not empty; or when it has a function that the merge template does not have.
    """
    refuse_requirements(project.function(app) / "requirements.txt")
    merge_template = json.dumps(
        with_settings(load_template(project.merge_template(app)), FUNCTIONS[app])
    )
    # Chalice imports the app, and the app imports the core.
    inputs = digest(
        builder_digest("packaging", "archive"),
        merge_template.encode(),
        (project.function(app) / ".chalice" / "config.json").read_bytes(),
        tree_digest(project.function(app)),
        tree_digest(project.core),
        region,
    )
    output = project.build / "apps" / f"{app}-{inputs[:24]}"

    def build(scratch: Path) -> Path:
        # Chalice leaves its packages in the app's folder: it gets a copy of the app.
        source = scratch / app
        shutil.copytree(project.function(app), source, ignore=_not_packaged)
        built = scratch / "built"
        _run_chalice(project, app, source, built, merge_template, region)
        _repack(built)
        return built

    build_once(output, build)
    template = load_template(output / "sam.yaml")
    check_functions_are_known(app, template)
    content = (output / "digest").read_text()
    archive = output / "package.zip"
    artifact = Artifact(
        app, archive, f"functions/{app}-{content[:24]}.zip", unzipped_bytes(archive)
    )
    return Package(template, artifact, output / "task", content)


def _run_chalice(
    project: Project, app: str, source: Path, output: Path, merge_template: str, region: str
) -> None:
    """Run `chalice package` in a separate process: it imports a module named ``app``."""
    # by its name Chalice writes YAML, which JSON is as well
    merged = source.with_suffix(".yaml")
    merged.write_text(merge_template)
    # -P: modules in the user's folder stay out of it
    command = [sys.executable, "-P", "-c", "import sys, chalice.cli; sys.exit(chalice.cli.main())"]
    command += ["--project-dir", str(source), "package"]
    command += ["--merge-template", str(merged), str(output)]
    path = os.pathsep.join(p for p in (str(project.core.parent), os.environ.get("PYTHONPATH")) if p)
    environ = {
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",  # no caches in the sources
        "AWS_DEFAULT_REGION": region,
    }
    outcome = subprocess.run(command, check=False, capture_output=True, text=True, env=environ)
    if outcome.returncode:
        lines = [line.strip() for line in outcome.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit code {outcome.returncode}"
        place = next((line for line in reversed(lines) if line.startswith("File ")), "")
        where = f" ({place.replace(str(source), f'functions/{app}')})" if place else ""
        raise BuildError(f"functions/{app} cannot be packaged: {reason}{where}")


def _repack(built: Path) -> None:
    """Give Chalice's zip bytecode, and the same bytes for the same code."""
    chalice_zip = built / "deployment.zip"
    task = built / "task"
    with zipfile.ZipFile(chalice_zip) as source:
        members = [name for name in source.namelist() if "__pycache__" not in name]
        source.extractall(task, members)
    chalice_zip.unlink()
    (built / "digest").write_text(digest(builder_digest("archive"), tree_digest(task)))
    compile_bytecode(task, _MOUNT)
    write_zip(task, built / "package.zip")


def refuse_requirements(requirements: Path) -> None:
    """Refuse third-party code in an app's own requirements.txt.

    Chalice would resolve it each time, and only print a warning if a wheel is missing.

    Raises BuildError when the file lists a package.
    """
    lines = requirements.read_text().splitlines() if requirements.exists() else []
    listed = [line for line in lines if line.split("#")[0].strip()]
    if listed:
        raise BuildError(
            f"{requirements} lists {listed[0].strip()}: move it to one of the sets in layers/"
        )


def functions(template: Template) -> dict[str, dict[str, Any]]:
    """Return the properties of the functions in ``template``, by logical id."""
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource.get("Type") == _FUNCTION
    }


def function_names(template: Template, stage: str) -> list[str]:
    """Return the names that the functions of ``template`` have in ``stage``."""
    patterns = [
        properties["FunctionName"]["Fn::Sub"] for properties in functions(template).values()
    ]
    return [pattern.replace("${Stage}", stage) for pattern in patterns]


def check_functions_are_known(app: str, template: Template) -> None:
    """Refuse a function of the app that its merge template does not describe.

    It would have Chalice's defaults: another name, 128 MB, no layers and no rights.

    Raises BuildError when there is one, or when the merge template describes one that the app does
    not have.
    """
    for name, resource in template["Resources"].items():
        if "Type" not in resource:
            raise BuildError(f"templates/chalice/{app}.yaml describes {name}, which app.py has not")
    for name, properties in functions(template).items():
        if "FunctionName" not in properties:
            raise BuildError(
                f"functions/{app} has a function {name} that templates/chalice/{app}.yaml "
                "does not describe"
            )


def with_code(template: Template, bucket: str, key: str) -> Template:
    """Return ``template`` with its functions' code at ``key`` in ``bucket``."""
    return _with_functions(
        template, lambda properties: properties | {"CodeUri": f"s3://{bucket}/{key}"}
    )


def as_image(
    template: Template,
    image_uri: str,
    name_suffix: str = "",
    larger: Mapping[str, int] = MappingProxyType({}),
) -> Template:
    """Return ``template`` with functions from the image ``image_uri``.

    Chalice makes only zip packages. An image contains its runtime and its libraries, and the
    handler is its command.

    Parameters
    ----------
    name_suffix
        The end of the functions' names. Lambda cannot make an image of a zip function. So
        CloudFormation makes another function, which needs another name; the API stays.
    larger
        Properties that differ from a zip's, such as MemorySize.
    """

    def from_image(properties: dict[str, Any]) -> dict[str, Any]:
        zip_only = {"Runtime", "Handler", "CodeUri", "Layers"}
        kept = {name: value for name, value in properties.items() if name not in zip_only}
        command = {"Command": [properties["Handler"]]}
        name = properties["FunctionName"]["Fn::Sub"]
        kept["FunctionName"] = {"Fn::Sub": f"{name}{name_suffix}"}
        # what a setting says may be more
        least = {name: max(value, kept.get(name, 0)) for name, value in larger.items()}
        return {
            **kept,
            **least,
            "PackageType": "Image",
            "ImageUri": image_uri,
            "ImageConfig": command,
        }

    layers = [
        layer
        for properties in functions(template).values()
        for layer in properties.get("Layers", ())
    ]
    of_layers = {layer["Ref"] for layer in layers if isinstance(layer, dict) and "Ref" in layer}
    declared = template.get("Parameters", {}).items()
    parameters = {name: value for name, value in declared if name not in of_layers}
    changed = _with_functions(template | {"Parameters": parameters}, from_image)
    return _with_described_api(changed, f"functions from images{name_suffix}")


def _with_described_api(template: Template, description: str) -> Template:
    """Return ``template`` with a description of its API.

    The function of an API's stage is fixed at its deployment. SAM deploys an API again only if its
    definition changed, and the definition names no function.
    """
    api = template["Resources"]["RestAPI"]
    definition = api["Properties"]["DefinitionBody"]
    info = definition.get("info", {}) | {"description": description}
    properties = api["Properties"] | {"DefinitionBody": definition | {"info": info}}
    resources = template["Resources"] | {"RestAPI": api | {"Properties": properties}}
    return template | {"Resources": resources}


def _with_functions(
    template: Template, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> Template:
    resources = {
        name: resource | {"Properties": change(resource["Properties"])}
        if resource.get("Type") == _FUNCTION
        else resource
        for name, resource in template["Resources"].items()
    }
    return template | {"Resources": resources}
