"""Commits of this process, and how many operations shared them: the more, the less each of them costs."""

from __future__ import annotations

import threading


class CommitCounter:
    """Counts commits, operations, and the puts among them. Numbers only grow; several threads count."""

    def __init__(self) -> None:
        self.commits = 0
        """The number of commits."""
        self.operations = 0
        """The number of operations in them: puts, settlements, and all others that write."""
        self.put_commits = 0
        """The number of commits that had a put of a pushed delivery."""
        self.put_operations = 0
        """The number of these puts; a page of a poll is put at once, and is none."""
        self._lock = threading.Lock()

    def add(self, operations: int, puts: int) -> None:
        """Count a commit.

        Args:
            operations: the number of its operations, puts included.
            puts: the number of puts of pushed deliveries among them.
        """
        with self._lock:
            self.commits += 1
            self.operations += operations
            if puts:
                self.put_commits += 1
                self.put_operations += puts


COMMITS = CommitCounter()
"""The commits of all inboxes of this process."""
