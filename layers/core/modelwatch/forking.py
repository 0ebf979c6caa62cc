"""What a forked child must not share with its parent: connections, threads, queues."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forgets(Protocol):
    """What begins anew in a forked child."""

    def forget(self) -> None:
        """Drop what is the parent's."""
        ...


_forgetful: weakref.WeakSet[Forgets] = weakref.WeakSet()


def forget_after_fork(each: Forgets) -> None:
    """Call ``each.forget()`` in each child that is forked, as long as it lives."""
    _forgetful.add(each)


def _forget_all() -> None:
    for each in list(_forgetful):
        each.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
