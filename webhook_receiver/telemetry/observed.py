"""What telemetry reads of a runtime. Nothing of it is written, and most of it is read in the thread of an exporter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..inbox.base import Inbox
from ..inbox.counters import Counters
from ..options import WorkerOptions
from ..senders import Sender
from ..worker.worker import Worker


class Counted(Protocol):
    """Rejections, or the use of secrets."""

    @property
    def counts(self) -> Mapping[Any, int]:
        """The numbers, by what they are about."""
        ...


class Silent(Protocol):
    """The time without a push."""

    @property
    def limit(self) -> float:
        """The longest that is expected, in seconds."""
        ...

    @property
    def seconds(self) -> float:
        """How long it has been, as far as is known."""
        ...


class Observed(Protocol):
    """The runtime of a receiver, as telemetry reads it."""

    @property
    def name(self) -> str:
        """The receiver's name."""
        ...

    @property
    def sender(self) -> Sender:
        """The sender."""
        ...

    @property
    def has_own_clock(self) -> bool:
        """Whether its clock is another one than the system's, as in a test."""
        ...

    @property
    def keeps(self) -> bool:
        """Whether there is an inbox."""
        ...

    @property
    def inbox(self) -> Inbox:
        """The inbox, if there is one."""
        ...

    @property
    def counters(self) -> Counters:
        """What is counted of receipts, puts and attempts."""
        ...

    @property
    def rejections(self) -> Counted:
        """What is counted of rejections, by the name of the error."""
        ...

    @property
    def secret_usage(self) -> Counted:
        """What is counted of verifications, by the index of the secret."""
        ...

    @property
    def polled(self) -> Mapping[str, int]:
        """What is counted of polls: "stored NAME", "known NAME" and "failed NAME" of a source."""
        ...

    @property
    def sources(self) -> list[str]:
        """The names of the sources that are polled."""
        ...

    @property
    def worker(self) -> Worker | None:
        """The worker; None where none runs."""
        ...

    @property
    def options(self) -> WorkerOptions:
        """The options of the worker."""
        ...

    @property
    def silence(self) -> Silent | None:
        """The time without a push; None if nobody expects one."""
        ...

    @property
    def clock(self) -> Callable[[], float]:
        """Returns the time in Unix seconds."""
        ...

    def inbox_clock(self) -> float:
        """Return the time by the clock of the inbox."""
        ...
