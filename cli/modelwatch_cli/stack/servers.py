"""The parts: the program of each, its arguments, and how to see that it is up."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from modelwatch_bridge.settings import BridgeSettings
from modelwatch_cli.deployment.building.environments import base_environment
from modelwatch_cli.project import Project, base_folder
from modelwatch_cli.stack.credentials import ensure_credentials
from modelwatch_cli.stack.errors import StackError
from modelwatch_cli.stack.mlflow_database import discard_if_unfinished
from modelwatch_cli.stack.parts import Part, Report
from modelwatch_cli.stack.plan import Plan
from modelwatch_cli.stack.ports import ANY_STATUS, HOST

#: SeaweedFS' servers, in the order of their ports: S3_PORT, S3_PORT + 1 and so on.
_WEED_PORTS = (
    *("s3.port", "master.port", "volume.port", "filer.port"),
    *("s3.port.grpc", "master.port.grpc", "volume.port.grpc", "filer.port.grpc"),
)


def make_parts(plan: Plan) -> list[Part]:
    """Return the parts of ``plan`` in the order in which they are shown.

    Raises
    ------
    SettingError
        When a port or choice cannot be read.
    StackError
        When SeaweedFS is not installed.
    """
    parts = [localstack(plan), mlflow(plan), bridge(plan)]
    if plan.has_own_s3:
        parts.insert(1, seaweedfs(plan))
    if shutil.which("prometheus"):
        parts.append(prometheus(plan))
    return parts


def make_environments(begins: Report, done: Report) -> None:
    """Make what LocalStack and the functions run in, where it is missing; the first time long.

    Raises BuildError when one cannot be made.
    """
    project = Project()
    for environment in (base_environment(project, name) for name in ("localstack", "runtime")):
        if not environment.python.exists():
            title = f"{environment.name} packages"
            begins(title, "installing")
            environment.make()
            done(title, "installed")


def localstack(plan: Plan) -> Part:
    """Return LocalStack, with functions as local processes."""
    folder = plan.home.root / "localstack"
    port = plan.port("LOCALSTACK_PORT")

    def prepare() -> None:
        for name in ("home", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        plan.images.mkdir(parents=True, exist_ok=True)
        # code of functions that an earlier LocalStack unpacked
        for left in (folder / "tmp" / "lambda").glob("awslambda-*"):
            shutil.rmtree(left, ignore_errors=True)

    own_s3 = plan.has_own_s3
    concurrency = plan.settings.text("STACK_FUNCTION_CONCURRENCY")
    return Part(
        name="localstack",
        settings={
            "LOCALSTACK_PORT": str(port),
            "STACK_S3": plan.settings.stack_s3,
            "STACK_FUNCTION_CONCURRENCY": concurrency,
        },
        ports={port: "LOCALSTACK_PORT"},
        address=plan.url("LOCALSTACK_PORT"),
        alive_url=f"{plan.url('LOCALSTACK_PORT')}/_localstack/health",
        command=[str(Project().interpreter("localstack")), "-m", "localstack.runtime.main"],
        environ=lambda: {
            **plan.base_environ(),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "FILESYSTEM_ROOT": str(folder / "fs"),
            "CONFIG_DIR": str(folder / "home" / ".localstack"),
            "OVERRIDE_IN_DOCKER": "0",
            "GATEWAY_LISTEN": f"{HOST}:{port}",
            "LOCALSTACK_HOST": f"{HOST}:{port}",
            # LocalStack's default server always listens on all addresses
            "GATEWAY_SERVER": "twisted-loopback",
            "LAMBDA_RUNTIME_EXECUTOR": "process",
            "LAMBDA_PROCESS_PYTHON": str(Project().interpreter("runtime")),
            "LAMBDA_PROCESS_IMAGES_DIR": str(plan.images),
            "LAMBDA_PROCESS_CONCURRENCY": concurrency,
            # no connection leaves this machine: no usage events, no certificate, no DNS server
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DNS_ADDRESS": "0",
            "EAGER_SERVICE_LOADING": "0",
        },
        directory=folder,
        prepare=prepare,
        finish=_nothing if own_s3 else lambda: _make_buckets(plan),
    )


def seaweedfs(plan: Plan) -> Part:
    """Return SeaweedFS: master, volume, filer and S3 server in one process."""
    folder = plan.home.root / "s3"
    first = plan.port("S3_PORT")
    ports = {name: first + offset for offset, name in enumerate(_WEED_PORTS)}

    def prepare() -> None:
        (folder / "data").mkdir(parents=True, exist_ok=True)
        ensure_credentials(folder / "identities.json")

    return Part(
        name="s3",
        settings={"S3_PORT": str(first), "STACK_S3": "seaweedfs"},
        ports=dict.fromkeys(ports.values(), "S3_PORT"),
        address=plan.url("S3_PORT"),
        alive_url=plan.url("S3_PORT"),
        alive_statuses=range(200, 500),  # 403: it requires a signature
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
            # One server elects itself. A resumed election takes 14 s instead of 3, and the volume
            # server reports anyway what it would restore.
            "-master.resumeState=false",
            # With the default volumes of 30 GB a laptop's disk has no room for the second
            # bucket; a volume uses only the size of its content.
            *("-master.volumeSizeLimitMB=1024", "-volume.max=1000"),
            "-volume.preStopSeconds=0",
        ],
        environ=lambda: {
            **plan.base_environ(),
            # one volume per bucket is enough for one machine, and faster to make than seven
            "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
        },
        directory=folder,
        prepare=prepare,
        finish=lambda: _make_buckets(plan),
    )


#: A program by itself: it imports nothing of this package.
MLFLOW_SERVER = Path(__file__).with_name("mlflow_server.py")


def mlflow(plan: Plan) -> Part:
    """Return the MLflow server, on SQLite, with artifacts on the S3."""
    folder = plan.home.root / "mlflow"
    port = plan.port("MLFLOW_PORT")
    database = plan.home.root / "mlflow.sqlite"

    def prepare() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        discard_if_unfinished(database)

    hosts = [f"{host}{end}" for host in ("localhost", HOST) for end in ("", f":{port}")]
    return Part(
        name="mlflow",
        settings={"MLFLOW_PORT": str(port)},
        ports={port: "MLFLOW_PORT"},
        address=plan.url("MLFLOW_PORT"),
        alive_url=f"{plan.url('MLFLOW_PORT')}/health",
        command=[
            # -P: what lies in the user's folder takes no module's place
            *(sys.executable, "-P", str(MLFLOW_SERVER)),
            f"sqlite:///{database}",
            f"s3://{plan.settings.model_bucket}/mlflow",
            *(HOST, str(port)),
        ],
        environ=lambda: {
            **plan.base_environ(),
            **plan.stack_env(),
            "HOME": str(folder),
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(hosts),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            # queues of jobs for evaluating language models: four more processes
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        directory=folder,
        prepare=prepare,
    )


def bridge(plan: Plan) -> Part:
    """Return the metrics bridge."""
    folder = plan.home.root / "bridge"
    port = plan.port("BRIDGE_PORT")
    # PYTHONPATH: for the one part that is this project's own code
    names = ["PYTHONPATH", *BridgeSettings.declared()]
    own = {name: plan.environ[name] for name in names if name in plan.environ}
    state = base_folder() / own.get("BRIDGE_STATE", folder / "state.sqlite")
    emf_port = plan.emf_port
    return Part(
        name="bridge",
        settings={"BRIDGE_PORT": str(port), "BRIDGE_EMF_PORT": str(emf_port)},
        ports={port: "BRIDGE_PORT", **({emf_port: "BRIDGE_EMF_PORT"} if emf_port else {})},
        address=f"{plan.url('BRIDGE_PORT')}/metrics",
        alive_url=f"{plan.url('BRIDGE_PORT')}/health",
        alive_statuses=ANY_STATUS,  # 503: it waits for the first function
        # -P: what lies in the user's folder takes no module's place
        command=[sys.executable, "-P", "-m", "modelwatch_bridge.main"],
        environ=lambda: {
            **plan.base_environ(),
            "BRIDGE_LOG_GROUP_PREFIX": "/aws/lambda/modelwatch-",  # one bridge for all stages
            **own,
            **plan.stack_env(),
            "BRIDGE_STATE": str(state),
            "BRIDGE_HOST": HOST,
            "BRIDGE_PORT": str(port),
            "BRIDGE_EMF_PORT": str(emf_port),
        },
        directory=base_folder(),
        prepare=lambda: folder.mkdir(parents=True, exist_ok=True),
    )


def prometheus(plan: Plan) -> Part:
    """Return Prometheus, with this project's rules and the bridge as its target."""
    folder = plan.home.root / "prometheus"
    port = plan.port("PROMETHEUS_PORT")
    target = {
        "targets": [f"{HOST}:{plan.port('BRIDGE_PORT')}"],
        "labels": {"stage": plan.settings.stage},
    }

    def prepare() -> None:
        source = Project().prometheus
        if not (source / "prometheus.yml").exists():
            raise StackError(f"{source} has no prometheus.yml")
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "targets").mkdir(parents=True)
        shutil.copy(source / "prometheus.yml", folder)
        shutil.copytree(source / "rules", folder / "rules")
        (folder / "targets" / "bridge.json").write_text(json.dumps([target]))

    return Part(
        name="prometheus",
        settings={"PROMETHEUS_PORT": str(port)},
        ports={port: "PROMETHEUS_PORT"},
        address=plan.url("PROMETHEUS_PORT"),
        alive_url=f"{plan.url('PROMETHEUS_PORT')}/-/ready",
        command=[
            shutil.which("prometheus") or "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={plan.home.root / 'prometheus-data'}",
            "--storage.tsdb.retention.time=15d",
            f"--web.listen-address={HOST}:{port}",
        ],
        environ=plan.base_environ,
        directory=plan.home.root,
        prepare=prepare,
    )


def _make_buckets(plan: Plan) -> None:
    """Make the buckets, and check that they store and return an object."""
    client = _s3_client(plan)
    from modelwatch_cli.buckets import ensure_buckets

    names = [plan.settings.text(f"{use}_BUCKET") for use in ("MODEL", "CAPTURE", "REPORT")]
    ensure_buckets(client, names)
    probe = {"Bucket": names[0], "Key": ".modelwatch/up"}
    client.put_object(**probe, Body=b"up")
    client.get_object(**probe)["Body"].read()


def _s3_client(plan: Plan) -> Any:
    from botocore.config import Config

    from modelwatch_cli.stack.local_aws import LocalSession

    return LocalSession(plan.stack_env()).client(
        "s3",
        # `up` tries again, and shows that it waits
        config=Config(
            connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}, proxies={}
        ),
    )


def _nothing() -> None:
    return


def _weed() -> Path:
    """Return SeaweedFS' program, which its package installs beside this command."""
    path = Path(sysconfig.get_path("scripts")) / "weed"
    if not path.exists():
        raise StackError(f"there is no {path}: install modelwatch[local]")
    return path
