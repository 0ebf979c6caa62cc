"""A place for a container daemon that leaves nothing behind, however it ends.

::

    run_in_sandbox ── lifeline (a pipe) ──▶ guardian ──▶ unshare ──▶ init ──▶ the command
                                               └──▶ slirp4netns

The command runs as root in namespaces of its own, for processes, mounts and the network. When
`init`, their first process, ends, the kernel ends all others and takes their mounts, bridges and
firewall rules along; so no step has to be undone. `init` ends with the command, or when the
lifeline closes: whoever calls `run_in_sandbox` may be interrupted or killed. What the kernel
leaves, the folder and the control groups, is for the guardian to delete.

The network's way out is slirp4netns, which forwards as an ordinary program does; the machine's own
firewall and routes stay untouched, and so do the ports that the machine's programs listen on.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

#: What has to be installed, and the Debian package that has it.
PROGRAMS = {"unshare": "util-linux", "slirp4netns": "slirp4netns", "mount": "mount"}

_NAME_SERVER = "10.0.2.3"  # slirp4netns's own; it asks those of the machine
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def run_in_sandbox(command: Sequence[str]) -> int:
    """Run ``command`` with one argument more, a folder that is deleted afterwards.

    Returns
    -------
    int
        Its exit status; 128 + the signal when a signal ended it.
    """
    folder = Path(tempfile.mkdtemp(prefix="modelwatch-compose-"))
    previous = {number: signal.signal(number, _exit) for number in _STOP_SIGNALS}
    guardian = subprocess.Popen(
        [sys.executable, __file__, "guard", str(folder), *command],
        stdin=subprocess.PIPE,
        # whoever interrupts this process group must not hit the one that cleans up
        start_new_session=True,
    )
    try:
        return guardian.wait()
    finally:
        assert guardian.stdin is not None
        guardian.stdin.close()
        guardian.wait()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _guard(folder: Path, command: Sequence[str]) -> int:
    """Run ``command`` in namespaces of its own; delete what outlives them."""
    # handlers, for what is ignored would be ignored by all processes that are started here
    for number in (*_STOP_SIGNALS, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        return _run_unshared(folder, command)
    finally:
        _remove_control_groups(folder.name)
        _remove(folder)


def _run_unshared(folder: Path, command: Sequence[str]) -> int:
    (folder / "tmp").mkdir()
    (folder / "home").mkdir()
    (folder / "resolv.conf").write_text(f"nameserver {_NAME_SERVER}\n")
    connected, connects = os.pipe()
    # slirp4netns ends when its end of this pipe says that the guardian is gone
    life, _held = os.pipe()
    init = subprocess.Popen(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
         sys.executable, __file__, "init", str(folder), str(connected), *command],
        pass_fds=(connected,),
    )  # fmt: skip
    forwarder = None
    try:
        namespace = _first_process(init)
        if namespace is not None:
            forwarder = subprocess.Popen(
                ["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback",
                 f"--ready-fd={connects}", f"--exit-fd={life}", str(namespace), "tap0"],
                pass_fds=(connects, life), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        os.close(connects)
        status = init.wait()
        return status if status >= 0 else 128 - status
    finally:
        init.kill()
        init.wait()
        if forwarder is not None:
            forwarder.kill()
            forwarder.wait()


def _first_process(unshare: subprocess.Popen[bytes]) -> int | None:
    """Return the process that ``unshare`` forks; None when it ends without."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    while unshare.poll() is None:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    return None


def _init(folder: Path, arguments: Sequence[str]) -> int:
    """Be the first process of the namespaces: prepare them, run the command, reap what ends."""
    connected, *command = arguments
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    name_servers = Path("/etc/resolv.conf").resolve()
    if not name_servers.exists():  # it was a link into /run
        name_servers.parent.mkdir(parents=True, exist_ok=True)
        name_servers.touch()
    subprocess.run(["mount", "--bind", folder / "resolv.conf", name_servers], check=True)
    if not os.read(int(connected), 1):
        print("sandbox: slirp4netns made no network", file=sys.stderr)
        return 1
    environ = {**os.environ, "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
    child = os.posix_spawnp(command[0], [*command, str(folder)], environ)
    while True:
        # input comes never, only its end: no one holds the lifeline any more
        if select.select([sys.stdin], [], [], 0.1)[0]:
            return 128 + signal.SIGHUP
        ended, status = os.waitpid(-1, os.WNOHANG)
        while ended not in (0, child):
            ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _remove_control_groups(name: str) -> None:
    """Delete the trees of control groups called ``name``: they are empty, but stay."""
    for root in [*Path("/sys/fs/cgroup").glob(f"*/{name}"), Path("/sys/fs/cgroup") / name]:
        for group, _folders, _files in os.walk(root, topdown=False):
            os.rmdir(group)


def _remove(folder: Path, patience_seconds: float = 30.0) -> None:
    """Delete ``folder``; the kernel may take a moment to give up what was mounted below it."""
    # rm, for it is some hundred thousand files
    delete = ["rm", "--recursive", "--force", str(folder)]
    deadline = time.monotonic() + patience_seconds
    while subprocess.run(delete, stderr=subprocess.DEVNULL, check=False).returncode:
        if time.monotonic() > deadline:
            raise OSError(f"{folder} cannot be deleted")
        time.sleep(0.5)


if __name__ == "__main__":
    _role = {"guard": _guard, "init": _init}[sys.argv[1]]
    sys.exit(_role(Path(sys.argv[2]), sys.argv[3:]))
