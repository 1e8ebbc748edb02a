"""Commits of this process, and how many operations shared them: the more, the less each of them costs."""

from __future__ import annotations

import threading


class CommitCounter:
    """Counts commits and operations. Numbers only grow; several threads count."""

    def __init__(self) -> None:
        self.commits = 0
        """The number of commits."""
        self.operations = 0
        """The number of operations in them: puts, settlements, and all others that write."""
        self._lock = threading.Lock()

    def add(self, operations: int) -> None:
        """Count a commit of so many operations."""
        with self._lock:
            self.commits += 1
            self.operations += operations


COMMITS = CommitCounter()
"""The commits of all inboxes of this process."""
