"""Forks: what has threads, connections or locks is told before and after `os.fork()`, by which it would be broken.

A thread does not live on in the child, a lock that another thread holds is never released there, and a connection to
SQLite must not be carried over (sqlite.org/howtocorrupt.html, section 2.6). So the child begins anew. Nor does the lock
of a module that another thread imports just then: so nothing is imported once a receiver has started.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something that is told of forks."""

    def before_fork(self) -> None:
        """Take the locks, so that no other thread holds one, and close what must not be carried over."""
        ...

    def after_fork_in_parent(self) -> None:
        """Release the locks."""
        ...

    def after_fork_in_child(self) -> None:
        """Begin anew: nothing is open, nothing runs."""
        ...


_told: WeakSet[Forkable] = WeakSet()
_forking: list[Forkable] = []
"""Those that were told before the fork that is under way."""
_one_fork = Lock()
"""Held from before a fork until after it: two threads that fork at once would end each other's."""


def tell(of_forks: Forkable) -> None:
    """Tell something of every fork of this process from now on, as long as it lives."""
    _told.add(of_forks)


def _before() -> None:
    _one_fork.acquire()
    for each in [*_told]:
        _forking.append(each)
        each.before_fork()


def _in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()
    _one_fork.release()


def _in_child() -> None:
    while _forking:
        _forking.pop().after_fork_in_child()
    _one_fork.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
