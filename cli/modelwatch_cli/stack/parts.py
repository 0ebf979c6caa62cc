"""The parts of the stack: what runs, with which arguments, and how one knows that it is up."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwatch.errors import SettingError
from modelwatch.settings import SETTINGS, Settings
from modelwatch_cli.stack.answers import ANY_STATUS, http_answers
from modelwatch_cli.stack.credentials import Credentials, ensure_credentials
from modelwatch_cli.stack.errors import StackError
from modelwatch_cli.stack.home import Home, project_root
from modelwatch_cli.stack.ports import HOST

#: Every part by name, with what people call it.
TITLES = {
    "localstack": "LocalStack",
    "s3": "SeaweedFS",
    "mlflow": "MLflow",
    "bridge": "metrics bridge",
    "prometheus": "Prometheus",
}

#: How long each may take to stop before it is killed. SeaweedFS' filer would wait 15 s for
#: connections that its own servers keep open; what was acknowledged is written by then, for volumes
#: and the filer's journal go straight to files.
GRACE_SECONDS = {"localstack": 10.0, "s3": 1.0, "mlflow": 5.0, "bridge": 5.0, "prometheus": 10.0}

#: SeaweedFS' servers, in the order of their ports: S3_PORT, S3_PORT + 1 and so on.
_WEED_PORTS = (
    *("s3.port", "master.port", "volume.port", "filer.port"),
    *("s3.port.grpc", "master.port.grpc", "volume.port.grpc", "filer.port.grpc"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """A server of the stack.

    Parameters
    ----------
    name
        One of `TITLES`.
    settings
        The settings that decide where it listens, with their values.
    ports
        Every port that it listens on, with the setting that moves it.
    address
        Where it is, as a URL.
    alive_url
        What answers with one of ``alive_statuses`` as soon as the part is up.
    command, environ, directory
        How it is run; the environment is complete.
    prepare
        What to do before it is run.
    finish
        What to do once it answers; may fail for a while and is then tried again.
    """

    name: str
    settings: dict[str, str]
    ports: dict[int, str]
    address: str
    alive_url: str
    command: list[str]
    environ: dict[str, str]
    directory: Path
    alive_statuses: range = range(200, 201)
    prepare: Callable[[], None] = field(default=lambda: None)
    finish: Callable[[], None] = field(default=lambda: None)

    @property
    def title(self) -> str:
        """What people call it."""
        return TITLES[self.name]

    def answers(self) -> bool:
        """Return whether it answers now."""
        return http_answers(self.alive_url, self.alive_statuses)


@dataclass(frozen=True, slots=True)
class Plan:
    """The stack that settings describe.

    Parameters
    ----------
    settings
        All settings, from the complete environment ``environ``.
    home
        Where it keeps its files.
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
        return self.settings.choice("STACK_S3", "seaweedfs", "localstack") == "seaweedfs"

    @property
    def credentials(self) -> Credentials:
        """The key pair of the S3; made at the first call."""
        return ensure_credentials(self.home.root / "s3" / "identities.json")

    def port(self, setting: str) -> int:
        """Return the port that ``setting`` names.

        Raises
        ------
        SettingError
            When it is none.
        """
        port = self.settings.integer(setting, at_least=1)
        highest = 65535 - (len(_WEED_PORTS) - 1 if setting == "S3_PORT" else 0)
        if port > highest:
            raise SettingError(setting, f"{port} is more than {highest}")
        return port

    def url(self, setting: str) -> str:
        """Return the address of what listens on the port that ``setting`` names."""
        return f"http://{HOST}:{self.port(setting)}"

    def stack_env(self) -> dict[str, str]:
        """Return the variables by which everything else finds the stack."""
        s3 = self.url("S3_PORT" if self.has_own_s3 else "LOCALSTACK_PORT")
        pair = self.credentials
        variables = {
            "AWS_ENDPOINT_URL": self.url("LOCALSTACK_PORT"),
            "AWS_ENDPOINT_URL_S3": s3,
            "AWS_ACCESS_KEY_ID": pair.key,
            "AWS_SECRET_ACCESS_KEY": pair.secret,
            "S3_ACCESS_KEY_ID": pair.key,
            "S3_SECRET_ACCESS_KEY": pair.secret,
            "AWS_DEFAULT_REGION": self.settings.text("AWS_DEFAULT_REGION"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_TRACKING_URI": self.url("MLFLOW_PORT"),
            "MLFLOW_S3_ENDPOINT_URL": s3,
        }
        if self.images == self.home.root / "images":
            variables["IMAGE_REPOSITORY"] = str(self.images)
        return variables

    @property
    def images(self) -> Path:
        """Where LocalStack finds the images of functions: IMAGE_REPOSITORY, or in the home."""
        named = self.environ.get("IMAGE_REPOSITORY", "").strip()
        return project_root() / named if named else self.home.root / "images"

    def parts(self) -> list[Part]:
        """Return the parts in the order in which they are shown.

        Raises
        ------
        SettingError
            When a port or choice cannot be read.
        StackError
            When an environment that a part runs in is missing.
        """
        return list(self._parts())

    def _parts(self) -> Iterator[Part]:
        yield self._localstack()
        if self.has_own_s3:
            yield self._s3()
        yield self._mlflow()
        yield self._bridge()
        if shutil.which("prometheus"):
            yield self._prometheus()

    def _localstack(self) -> Part:
        folder = self.home.root / "localstack"
        port = self.port("LOCALSTACK_PORT")

        def prepare() -> None:
            for name in ("home", "tmp"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            self.images.mkdir(parents=True, exist_ok=True)
            # code of functions that a LocalStack which is gone had unpacked
            for left in (folder / "tmp" / "lambda").glob("awslambda-*"):
                shutil.rmtree(left, ignore_errors=True)

        own_s3 = self.has_own_s3
        return Part(
            name="localstack",
            settings={
                "LOCALSTACK_PORT": str(port),
                "STACK_S3": self.settings.text("STACK_S3"),
            },
            ports={port: "LOCALSTACK_PORT"},
            address=self.url("LOCALSTACK_PORT"),
            alive_url=f"{self.url('LOCALSTACK_PORT')}/_localstack/health",
            command=[str(_interpreter("localstack")), "-m", "localstack.runtime.main"],
            environ={
                **self._base(),
                "HOME": str(folder / "home"),
                "TMPDIR": str(folder / "tmp"),
                "XDG_CACHE_HOME": str(folder / "cache"),
                "FILESYSTEM_ROOT": str(folder / "fs"),
                "CONFIG_DIR": str(folder / "home" / ".localstack"),
                "OVERRIDE_IN_DOCKER": "0",
                "GATEWAY_LISTEN": f"{HOST}:{port}",
                "LOCALSTACK_HOST": f"{HOST}:{port}",
                # LocalStack's own default server listens on all addresses, whatever it is told
                "GATEWAY_SERVER": "twisted-loopback",
                "LAMBDA_RUNTIME_EXECUTOR": "process",
                "LAMBDA_PROCESS_PYTHON": str(_interpreter("runtime")),
                "LAMBDA_PROCESS_IMAGES_DIR": str(self.images),
                # it stays on this machine: no usage events, no certificate, no DNS server
                "DISABLE_EVENTS": "1",
                "SKIP_SSL_CERT_DOWNLOAD": "1",
                "DNS_ADDRESS": "0",
                "EAGER_SERVICE_LOADING": "0",
            },
            directory=folder,
            prepare=prepare,
            finish=_nothing if own_s3 else self._make_buckets,
        )

    def _s3(self) -> Part:
        folder = self.home.root / "s3"
        first = self.port("S3_PORT")
        ports = {name: first + offset for offset, name in enumerate(_WEED_PORTS)}

        def prepare() -> None:
            (folder / "data").mkdir(parents=True, exist_ok=True)
            ensure_credentials(folder / "identities.json")

        return Part(
            name="s3",
            settings={"S3_PORT": str(first), "STACK_S3": "seaweedfs"},
            ports=dict.fromkeys(ports.values(), "S3_PORT"),
            address=self.url("S3_PORT"),
            alive_url=self.url("S3_PORT"),
            alive_statuses=range(200, 500),  # 403: it asks for a signature
            command=[
                str(_weed()),
                "-logtostderr=true",
                "server",
                *(f"-dir={folder / 'data'}", f"-ip={HOST}", f"-ip.bind={HOST}"),
                *("-s3", f"-s3.ip.bind={HOST}", f"-s3.config={folder / 'identities.json'}"),
                *(f"-{name}={port}" for name, port in ports.items()),
                *("-s3.port.iceberg=0", "-s3.port.lance=0"),
                *("-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"),
                "-master.telemetry=false",
                # One server elects itself. A resumed election takes 14 s instead of 3, and all that
                # it would bring back, the volume server reports anyway.
                "-master.resumeState=false",
                # The default volumes of 30 GB leave a laptop's disk without a place for the second
                # bucket; a volume takes only what is in it.
                *("-master.volumeSizeLimitMB=1024", "-volume.max=1000"),
                "-volume.preStopSeconds=0",
            ],
            environ={
                **self._base(),
                # one volume per bucket is enough for one machine, and quicker made than seven
                "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
            },
            directory=folder,
            prepare=prepare,
            finish=self._make_buckets,
        )

    def _mlflow(self) -> Part:
        folder = self.home.root / "mlflow"
        port = self.port("MLFLOW_PORT")
        hosts = [f"{host}{end}" for host in ("localhost", HOST) for end in ("", f":{port}")]
        return Part(
            name="mlflow",
            settings={"MLFLOW_PORT": str(port)},
            ports={port: "MLFLOW_PORT"},
            address=self.url("MLFLOW_PORT"),
            alive_url=f"{self.url('MLFLOW_PORT')}/health",
            command=[
                *(sys.executable, "-m", "mlflow", "server"),
                *("--backend-store-uri", f"sqlite:///{self.home.root / 'mlflow.sqlite'}"),
                # clients read and write artifacts on S3 themselves, as they do on AWS
                "--no-serve-artifacts",
                *("--default-artifact-root", f"s3://{self.settings.text('MODEL_BUCKET')}/mlflow"),
                *("--host", HOST, "--port", str(port), "--workers", "1"),
                *("--allowed-hosts", ",".join(hosts)),
            ],
            environ={
                **self._base(),
                **self.stack_env(),
                "HOME": str(folder),
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "DO_NOT_TRACK": "true",
                # queues of jobs for evaluating language models: four more processes
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
            directory=folder,
            prepare=lambda: folder.mkdir(parents=True, exist_ok=True),
        )

    def _bridge(self) -> Part:
        folder = self.home.root / "bridge"
        port = self.port("BRIDGE_PORT")
        # PYTHONPATH: for the one part that is this project's own code
        names = ["PYTHONPATH", *(setting.name for setting in SETTINGS)]
        own = {name: self.environ[name] for name in names if name in self.environ}
        state = project_root() / own.get("BRIDGE_STATE", folder / "state.sqlite")
        return Part(
            name="bridge",
            settings={"BRIDGE_PORT": str(port)},
            ports={port: "BRIDGE_PORT"},
            address=f"{self.url('BRIDGE_PORT')}/metrics",
            alive_url=f"{self.url('BRIDGE_PORT')}/health",
            alive_statuses=ANY_STATUS,  # 503: it waits for the first function
            command=[sys.executable, "-m", "modelwatch_bridge.main"],
            environ={
                **self._base(),
                **own,
                **self.stack_env(),
                "BRIDGE_STATE": str(state),
                "BRIDGE_HOST": HOST,
                "BRIDGE_PORT": str(port),
            },
            directory=project_root(),
            prepare=lambda: folder.mkdir(parents=True, exist_ok=True),
        )

    def _prometheus(self) -> Part:
        folder = self.home.root / "prometheus"
        port = self.port("PROMETHEUS_PORT")
        target = {
            "targets": [f"{HOST}:{self.port('BRIDGE_PORT')}"],
            "labels": {"stage": self.settings.text("STAGE")},
        }

        def prepare() -> None:
            import json

            source = project_root() / "templates" / "prometheus"
            if not (source / "prometheus.yml").exists():
                raise StackError(f"{source} has no prometheus.yml")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(source, folder)
            (folder / "targets").mkdir(exist_ok=True)
            (folder / "targets" / "bridge.json").write_text(json.dumps([target]))

        return Part(
            name="prometheus",
            settings={"PROMETHEUS_PORT": str(port)},
            ports={port: "PROMETHEUS_PORT"},
            address=self.url("PROMETHEUS_PORT"),
            alive_url=f"{self.url('PROMETHEUS_PORT')}/-/ready",
            command=[
                shutil.which("prometheus") or "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.home.root / 'prometheus-data'}",
                "--storage.tsdb.retention.time=15d",
                f"--web.listen-address={HOST}:{port}",
            ],
            environ=self._base(),
            directory=self.home.root,
            prepare=prepare,
        )

    def _base(self) -> dict[str, str]:
        """Return what every part inherits: little, and no proxy."""
        kept = ("PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "TZ")
        base = {name: os.environ[name] for name in kept if name in os.environ}
        return {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", **base}

    def _make_buckets(self) -> None:
        """Make the buckets, and see that they take and give back an object."""
        client = self._s3_client()
        from modelwatch_cli.buckets import ensure_buckets

        names = [self.settings.text(f"{use}_BUCKET") for use in ("MODEL", "CAPTURE", "REPORT")]
        ensure_buckets(client, names)
        probe = {"Bucket": names[0], "Key": ".modelwatch/up"}
        client.put_object(**probe, Body=b"up")
        client.get_object(**probe)["Body"].read()

    def _s3_client(self) -> Any:
        import boto3
        from botocore.config import Config

        env = self.stack_env()
        return boto3.Session(
            env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"],
            region_name=env["AWS_DEFAULT_REGION"],
        ).client(
            "s3",
            endpoint_url=env["AWS_ENDPOINT_URL_S3"],
            # `up` itself tries again, and shows that it waits
            config=Config(
                connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}, proxies={}
            ),
        )  # fmt: skip


def _nothing() -> None:
    return


def _interpreter(environment: str) -> Path:
    path = project_root() / ".envs" / environment / "bin" / "python"
    if not path.exists():
        raise StackError(f"there is no {path.relative_to(project_root())}: run `make setup`")
    return path


def _weed() -> Path:
    """Return SeaweedFS' program, which its package puts beside the interpreter."""
    path = Path(sys.executable).parent / "weed"
    if not path.exists():
        raise StackError(f"there is no {path}: run `make setup`")
    return path
