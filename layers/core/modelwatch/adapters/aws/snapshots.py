"""Lambda SnapStart: what a function's snapshot must not carry into the environments made of it.

Lambda takes the snapshot once, when a version is published, and makes each environment of it,
perhaps days later and many at once. Connections are closed before: the other side is gone when they
come back. What is random or may be old is renewed after. Credentials are botocore's, which asks for
new ones when they expire; event ids are of `os.urandom`, which the kernel seeds anew. (AWS,
"Handling uniqueness with Lambda SnapStart", "Lambda SnapStart runtime hooks for Python".)
"""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable
from typing import Any

import urllib3

_connected: weakref.WeakSet[Any] = weakref.WeakSet()


def closed_for_snapshots[Client](client: Client) -> Client:
    """Return ``client``, whose connections are closed before a snapshot; it makes new ones then.

    It is a client of boto3, or a pool of urllib3.
    """
    _connected.add(client)
    return client


def close_connections() -> None:
    """Close the connections of all clients that are still there."""
    for client in list(_connected):
        close = client.clear if isinstance(client, urllib3.PoolManager) else client.close
        close()


def on_snapshot(prepare: Callable[[], None], renew: Callable[[], None]) -> None:
    """Have ``prepare`` run before a snapshot, and ``renew`` in each environment made of it.

    Only Lambda's managed runtime has the hooks; it runs them where SnapStart is on. Elsewhere
    nothing happens.
    """
    try:
        from snapshot_restore_py import register_after_restore, register_before_snapshot
    except ImportError:
        return

    def before() -> None:
        prepare()
        close_connections()

    def after() -> None:
        random.seed()
        renew()

    register_before_snapshot(before)
    register_after_restore(after)
