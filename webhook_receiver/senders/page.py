"""The page of a sender: what a person has to know of it, as commands and the guide show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import ConfigurationError

Trade = Literal[
    "images",
    "payments",
    "shops",
    "mail",
    "media",
    "code hosts",
    "chat",
    "telephony",
    "clouds",
    "business",
    "specifications",
]
"""The trade of a sender, by which the list of senders is sorted."""
TRADES: tuple[Trade, ...] = get_args(Trade)


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page of a sender, in plain text without markup. What no source says is left out.

    What a delivery proves, and what is answered to a challenge, is no part of it: that is read from the sender itself.

    Raises:
        ConfigurationError: the trade is none.
    """

    trade: Trade
    """The trade of the sender."""
    docs: str
    """The address of the sender's own documentation of webhooks, without `https://`."""
    arguments: tuple[str, ...] = ('Secret.from_env("WEBHOOK_SECRET")',)
    """The arguments of the sender's function, as Python, for a receiver that is ready to be registered."""
    imports: tuple[str, ...] = ()
    """The lines of Python that import what is in `arguments` and `then`, besides `Secret`."""
    then: tuple[str, ...] = ()
    """The lines of Python behind the receiver `hooks`, for a sender that has to be handled in some way."""
    setup: str
    """Where the sender takes the URL and shows or takes the secret, in sentences."""
    answer: str = ""
    """The statuses that count as received, the deadline, and when it is sent again, in sentences."""
    backfill: str = ""
    """How the sender's API is asked for what was missed, in sentences."""
    traps: tuple[str, ...] = ()
    """What surprises: a sentence or two each."""
    verified: tuple[str, str] | Literal["by documentation"] = "by documentation"
    """The packages of others, with versions, whose code agrees with this sender, and the date of the comparison, such
    as ("stripe 16.1.0", "2026-11-28")."""

    def __post_init__(self) -> None:
        if self.trade not in TRADES:
            raise ConfigurationError(f"trade is one of {', '.join(TRADES)}, not {self.trade!r}")
