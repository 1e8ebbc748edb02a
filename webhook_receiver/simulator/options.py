"""How the sender behaves: one frozen value, with units."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from pydantic import SecretStr

from ..errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """How the local test server behaves. All times are seconds.

    What UP42 does when a delivery fails is not known: retries, time-out and what counts as success are modelled.

    Raises:
        ConfigurationError: it could not work.
    """

    retry: tuple[float, ...] = (1.0, 5.0, 30.0)
    """The waits before the second, third, ... attempt; after the last one a delivery has failed."""
    timeout: float = 10.0
    """How long one attempt may take."""
    concurrency: int = 16
    """How many attempts are made at once."""
    stop: float = 5.0
    """How long attempts that are being made are waited for when the sender stops."""
    every_status: bool = False
    """Whether each change of an order's status is told, or, as UP42's guides have it, only the last one."""
    user: str | None = None
    """Who may ask for a token; anybody if None."""
    password: SecretStr | None = None
    """With what; anything will do if None."""
    expires_in: float = 300.0
    """How long an access token is valid (docs)."""
    refresh_expires_in: float = 1800.0
    """How long a refresh token is valid (docs)."""
    download_expires_in: float = 300.0
    """How long the URL of a download is valid."""
    workspace_id: str = "00000000-0000-4000-8000-000000000042"
    """The one workspace that there is; also who the user is, as user info tells it (SDK)."""
    account_id: str = "00000000-0000-4000-8000-000000000001"
    verify: ssl.SSLContext | None = None
    """How the certificates of receivers are checked; by default those of the system are trusted."""

    def __post_init__(self) -> None:
        for name in ("timeout", "expires_in", "refresh_expires_in", "download_expires_in"):
            value: object = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise ConfigurationError(f"the sender's {name} is above 0 seconds, not {value!r}")
        if not isinstance(self.stop, int | float) or not 0 <= self.stop < float("inf"):
            raise ConfigurationError(f"the sender's stop is 0 seconds or more, not {self.stop!r}")
        if not isinstance(self.concurrency, int) or self.concurrency < 1:
            raise ConfigurationError(f"the sender's concurrency is 1 or more, not {self.concurrency!r}")
        if not all(0 <= wait < float("inf") for wait in self.retry):
            raise ConfigurationError(f"the waits in retry are 0 seconds or more, not {self.retry!r}")
