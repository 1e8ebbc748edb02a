"""The clock of an inbox: Unix time as it was once, and the seconds since, which no step of the system's clock changes.

By it leases run, signs of life end, and retries are due. A step of the system's clock (by NTP, an operator, a virtual
machine that was resumed) would end leases that are running, or let retries wait as long as the step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# With the time for which the machine was suspended, as Unix time has it, and the same for all processes of one boot
# (man7.org/linux/man-pages/man2/clock_gettime.2.html). Where there is none, processes have nothing in common.
_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)
_SHORT = 0.25  # seconds: no lease is so short that this is worth a look
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def uptime() -> float:
    """Return the seconds since a moment that stays the same while this process runs."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


def boot_id() -> str | None:
    """Return the id of this boot of the machine, since when `uptime` counts; None if nobody knows."""
    if _BOOTTIME is None:
        return None
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


class LeaseTime(NamedTuple):
    """The time at which a lease was asked for, which goes on while the call waits for its turn."""

    now: float
    """The time of the call, by the clock of the inbox."""
    lease: float
    """The length of the lease in seconds."""
    asked: float
    """`uptime` of the call."""

    @classmethod
    def of(cls, now: float, lease: float) -> LeaseTime:
        """Return the time of a call that is made now."""
        return cls(now, lease, uptime())

    def begun(self) -> LeaseTime:
        """Return it with the time at which the lease begins: that of the call, unless much of it were over already.

        So it is when a process was stopped for a while: it must not get a lease that has ended, nor renew one.
        """
        waited = uptime() - self.asked
        return self if waited < max(self.lease / 4, _SHORT) else self._replace(now=self.now + waited)


class InboxClock:
    """A clock that goes as steadily as `uptime` does, from Unix time at a moment on.

    Args:
        uptime: returns the seconds since any moment, steadily.
    """

    def __init__(self, uptime: Callable[[], float] = uptime) -> None:
        self.uptime = uptime
        self.booted = time.time() - uptime()
        """The Unix time at which `uptime` was 0; by the system's clock of now, until the inbox knows better."""

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.booted + self.uptime()
