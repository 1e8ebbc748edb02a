"""The options of the simulator: one frozen value, with units."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from pydantic import SecretStr

from ..errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """The options of the simulator. All times are seconds.

    The defaults are those of UP42. What it does when a delivery fails is not known: retries, time-out and what counts
    as success are modelled.

    Raises:
        ConfigurationError: an option is out of its range.
    """

    retry: tuple[float, ...] = (1.0, 5.0, 30.0)
    """The waits before the second, third, ... attempt; after the last attempt a delivery has failed."""
    timeout: float = 10.0
    """The time-out of one attempt."""
    accepted: frozenset[int] | None = None
    """The statuses of responses that count as success; any from 200 to 299 if None."""
    concurrency: int = 16
    """The number of attempts made at once."""
    stop: float = 5.0
    """The longest wait for running attempts when the simulator stops."""
    every_status: bool = False
    """Whether every change of an order's status is delivered, or, as UP42's guides have it, only the last one."""
    user: str | None = None
    """The user name that gets a token; any if None."""
    password: SecretStr | None = None
    """The password of that user; any if None."""
    expires_in: float = 300.0
    """The lifetime of an access token (docs)."""
    refresh_expires_in: float = 1800.0
    """The lifetime of a refresh token (docs)."""
    download_expires_in: float = 300.0
    """The lifetime of a download URL."""
    workspace_id: str = "00000000-0000-4000-8000-000000000042"
    """The id of the only workspace; user info returns it as the user's id, too (SDK)."""
    account_id: str = "00000000-0000-4000-8000-000000000001"
    """The account id of orders and assets."""
    verify: ssl.SSLContext | None = None
    """The TLS context that checks receivers' certificates; by default the system's authorities are trusted."""

    def accepts(self, status: int | None) -> bool:
        """Return whether a response with this status counts as success; None, that there was none, does not."""
        if status is None:
            return False
        return 200 <= status <= 299 if self.accepted is None else status in self.accepted

    def __post_init__(self) -> None:
        for name in ("timeout", "expires_in", "refresh_expires_in", "download_expires_in"):
            value: object = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise ConfigurationError(f"the simulator's {name} is above 0 seconds, not {value!r}")
        if not isinstance(self.stop, int | float) or not 0 <= self.stop < float("inf"):
            raise ConfigurationError(f"the simulator's stop is 0 seconds or more, not {self.stop!r}")
        if not isinstance(self.concurrency, int) or self.concurrency < 1:
            raise ConfigurationError(f"the simulator's concurrency is 1 or more, not {self.concurrency!r}")
        if not all(0 <= wait < float("inf") for wait in self.retry):
            raise ConfigurationError(f"the waits in retry are 0 seconds or more, not {self.retry!r}")
