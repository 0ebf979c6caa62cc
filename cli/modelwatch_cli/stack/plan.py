"""The addresses and files of one stack, from the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelwatch_cli.project import base_folder
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.credentials import Credentials, ensure_credentials
from modelwatch_cli.stack.home import Home
from modelwatch_cli.stack.ports import HOST


@dataclass(frozen=True, slots=True)
class Plan:
    """The stack that settings describe.

    Parameters
    ----------
    settings
        All settings, from the complete environment ``environ``.
    """

    settings: Settings
    environ: Mapping[str, str]
    home: Home

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Plan:
        """Return the plan that ``environ`` describes."""
        settings = Settings(environ)
        return cls(settings, environ, Home.of(settings))

    @property
    def has_own_s3(self) -> bool:
        """Whether SeaweedFS is a part; otherwise LocalStack's S3 serves."""
        return self.settings.stack_s3 == "seaweedfs"

    @property
    def credentials(self) -> Credentials:
        """The key pair of the S3; made at the first call."""
        return ensure_credentials(self.home.root / "s3" / "identities.json")

    def port(self, setting: str) -> int:
        """Return the port that ``setting`` names."""
        return int(self.settings.text(setting))

    @property
    def emf_port(self) -> int:
        """The port on which the bridge takes EMF lines; 0 for none."""
        return self.port("BRIDGE_EMF_PORT")

    def url(self, setting: str) -> str:
        """Return the address of what listens on the port that ``setting`` names."""
        return f"http://{HOST}:{self.port(setting)}"

    def stack_env(self) -> dict[str, str]:
        """Return the variables with which everything else finds the stack."""
        s3 = self.url("S3_PORT" if self.has_own_s3 else "LOCALSTACK_PORT")
        pair = self.credentials
        variables = {
            "AWS_ENDPOINT_URL": self.url("LOCALSTACK_PORT"),
            "AWS_ENDPOINT_URL_S3": s3,
            "AWS_ACCESS_KEY_ID": pair.key,
            "AWS_SECRET_ACCESS_KEY": pair.secret,
            "S3_ACCESS_KEY_ID": pair.key,
            "S3_SECRET_ACCESS_KEY": pair.secret,
            "AWS_DEFAULT_REGION": self.settings.aws_default_region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_TRACKING_URI": self.url("MLFLOW_PORT"),
            "MLFLOW_S3_ENDPOINT_URL": s3,
            # functions of several local stacks share /tmp; on AWS they do not
            "MODEL_CACHE": str(self.home.root / "model-cache"),
        }
        if emf_port := self.emf_port:
            # for functions under `chalice local`; functions on Lambda do not get it
            variables["AWS_EMF_AGENT_ENDPOINT"] = f"tcp://{HOST}:{emf_port}"
        if self.images == self.home.root / "images":
            variables["IMAGE_REPOSITORY"] = str(self.images)
        return variables

    @property
    def images(self) -> Path:
        """Where LocalStack finds the images of functions: IMAGE_REPOSITORY if that is a folder."""
        named = self.environ.get("IMAGE_REPOSITORY", "").strip()
        host, slash, _ = named.partition("/")
        is_registry = slash and not host.startswith(".") and ("." in host or ":" in host)
        if is_registry or not named:
            return self.home.root / "images"
        return base_folder() / named

    def base_environ(self) -> dict[str, str]:
        """Return the variables that every part inherits: few, and no proxy."""
        kept = ("PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "TZ")
        base = {name: os.environ[name] for name in kept if name in os.environ}
        return {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", **base}
