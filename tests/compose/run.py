"""Bring compose.yaml up for real, and do in it what its users do: `make test-compose`.

Needs root, for it runs a container daemon of its own, in a sandbox (see `sandbox`). Nothing of the
machine is changed: no daemon, no port, no mount, no firewall rule, and all files go to a folder
below TMPDIR that is deleted at the end, also when the run fails, is interrupted or is killed.

Images that cannot be pulled are replaced by stand-ins (`images`, ``stand-ins/``); Grafana has none
and is left out then. The output says which is which.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import engine as engine_module
import images
import sandbox
from commands import CommandError, Steps
from engine import Engine, Stack
from story import Story, StoryError

ROOT = Path(__file__).parents[2]

#: What images, volumes and a checkout take at most, in bytes: measured, and a tenth more.
NEEDED_BYTES = 8_000_000_000

#: Which stand-in takes the place of a service's image.
STAND_INS = {"db": "postgres", "prometheus": "prometheus", "s3": "minio"}


def main() -> int:
    """Check what is needed, and run inside the sandbox."""
    if os.geteuid() != 0:
        print("test-compose: a container daemon needs root", file=sys.stderr)
        return 2
    programs = engine_module.PROGRAMS | images.PROGRAMS | sandbox.PROGRAMS
    missing = {package for program, package in programs.items() if shutil.which(program) is None}
    if missing:
        print(f"test-compose: apt-get install {' '.join(sorted(missing))}", file=sys.stderr)
        return 2
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        state = f"{folder} has {free / 1e9:.1f} GB free, and {NEEDED_BYTES / 1e9:.0f} GB are needed"
        print(f"test-compose: {state}; TMPDIR names another folder", file=sys.stderr)
        return 2
    return sandbox.run_in_sandbox([sys.executable, __file__, "--inside"])


def inside(folder: Path) -> int:
    """Run all steps with ``folder`` for files; print what failed and how."""
    steps = Steps()
    try:
        _run(folder, steps)
    except (CommandError, StoryError) as error:
        print(f"\n{error}", flush=True)
        steps.finish(failed=1)
        return 1
    steps.finish(failed=0)
    return 0


def _run(folder: Path, steps: Steps) -> None:
    checkout = folder / "checkout"
    _copy_checkout(checkout)
    _write_env(checkout / ".env")
    engine = Engine(folder)
    with steps.step("a container daemon of its own"):
        version = engine.wait()
    steps.note(f"Docker {version}")

    stack = Stack(engine, checkout)
    services = stack.config()["services"]
    wanted = {name: service["image"] for name, service in services.items()}
    python = services["modelwatch"]["build"]["args"]["BASE_IMAGE"]
    others = [wanted[name] for name in (*STAND_INS, "grafana")]
    with steps.step("pull images"):
        pulled = _pull(engine, [python, *others])
    for image in (python, *others):
        steps.note(f"{image}: {'the real one' if image in pulled else 'cannot be pulled'}")
    base = python if python in pulled else images.BASE
    if {python, *(wanted[name] for name in STAND_INS)} - pulled:
        with steps.step("base image of Debian trixie, by debootstrap"):
            images.make_base(engine)
    _build(engine, steps, checkout, wanted, pulled, base)

    left_out = [] if wanted["grafana"] in pulled else ["grafana"]
    Story(steps, engine, Stack(engine, checkout, left_out)).tell()


def _build(
    engine: Engine,
    steps: Steps,
    checkout: Path,
    wanted: dict[str, str],
    pulled: set[str],
    base: str,
) -> None:
    """Build the project's own image, and in the meantime the stand-ins."""

    def stand_in(service: str, base: str) -> None:
        folder = images.STAND_INS / STAND_INS[service]
        with steps.step(f"stand-in for {wanted[service]}"):
            images.build(engine, wanted[service], folder, folder / "Dockerfile", base)

    missing = [service for service in STAND_INS if wanted[service] not in pulled]
    with ThreadPoolExecutor(1) as beside:
        others = [beside.submit(stand_in, name, images.BASE) for name in missing if name != "s3"]
        with steps.step("modelwatch's image, from templates/compose/Dockerfile"):
            dockerfile = checkout / "templates/compose/Dockerfile"
            images.build(engine, wanted["modelwatch"], checkout, dockerfile, base)
        for other in others:
            other.result()
    if "s3" in missing:  # SeaweedFS comes with modelwatch's environment
        stand_in("s3", wanted["modelwatch"])


def _pull(engine: Engine, names: list[str]) -> set[str]:
    with ThreadPoolExecutor(len(names)) as pool:
        outcomes = pool.map(lambda image: images.pull(engine, image), names)
        return {image for image, is_here in zip(names, outcomes, strict=True) if is_here}


def _copy_checkout(target: Path) -> None:
    """Copy what git knows or would take: what a user has who cloned this."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def _write_env(path: Path) -> None:
    """Write what compose.yaml's header says; with a password that a URL could not hold."""
    secret = secrets.token_hex(20)
    path.write_text(
        "S3_ACCESS_KEY_ID=modelwatch\n"
        f"S3_SECRET_ACCESS_KEY={secret}\n"
        f"POSTGRES_PASSWORD='p@ss/w:rd%?# ${secrets.token_hex(8)}'\n"
        f"GRAFANA_ADMIN_PASSWORD={secrets.token_hex(20)}\n"
        # for the modelwatch of the host
        "AWS_ENDPOINT_URL=http://127.0.0.1:4566\n"
        "AWS_ENDPOINT_URL_S3=http://127.0.0.1:8333\n"
        "AWS_ACCESS_KEY_ID=modelwatch\n"
        f"AWS_SECRET_ACCESS_KEY={secret}\n"
    )
    path.chmod(0o600)


if __name__ == "__main__":
    sys.exit(inside(Path(sys.argv[2])) if "--inside" in sys.argv else main())
