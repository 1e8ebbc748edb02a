"""Peers: what others use for the same, each in an environment of its own, with a request that it accepts.

Their apps are in `apps`; each counts the runs of its handler, and signs by the peer's own means where it has any.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .environments import Environment, of_node, of_packages
from .runner import Candidate

SERVER = ("uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")
"""What serves every peer in Python, and this package."""


@dataclass(frozen=True)
class Peer:
    """A peer.

    Args:
        app: the name of its app.
        requirements: the packages of its environment, pinned.
        aim: how many times the CPU of this package's receiver it should take at least.
        fresh: the number of requests for each round, if no two may be the same.
    """

    app: str
    requirements: tuple[str, ...]
    aim: float
    fresh: int = 0

    def candidate(self, cache: Path, *arguments: str) -> Candidate:
        return Candidate(self.app, arguments, lambda: self.environment(cache), fresh=self.fresh)

    def environment(self, cache: Path) -> Environment:
        if self.app == "octokit":
            return of_node(self.app, self.requirements, cache)
        return of_packages(self.requirements, self.app, cache)


PEERS = {
    "gidgethub on Starlette": Peer("github", (*SERVER, "gidgethub==6.0.0", "starlette==1.10.0"), 2),
    "FastAPI + standardwebhooks": Peer("standard", (*SERVER, "standardwebhooks==1.1.0", "fastapi==0.165.0"), 3.5),
    "slack_bolt": Peer("slack", (*SERVER, "slack_bolt==1.30.0", "slack_sdk==3.48.0", "aiohttp"), 4),
    "stripe on Starlette": Peer("stripe_events", (*SERVER, "stripe==16.1.0", "starlette==1.10.0"), 5),
    "@octokit/webhooks on Node": Peer("octokit", ("@octokit/webhooks@14.2.0",), 1.4),
}
"""Receivers whose handlers run before, or beside, the response, and that keep nothing."""

PROCRASTINATE = "FastAPI + procrastinate"
DURABLE_PEERS = {
    "hookrelay, SQLite": Peer("relay", (*SERVER, "hookrelay[fastapi,sqlite]==0.4.0"), 25, 150),
    "hookspool": Peer("spool", ("hookspool==0.2.0",), 25, 50),
    PROCRASTINATE: Peer(
        "by_hand",
        (
            *SERVER,
            "fastapi==0.165.0",
            "standardwebhooks==1.1.0",
            "procrastinate==3.10.0",
            "psycopg[binary,pool]==3.3.9",
        ),
        25,
        150,
    ),
}
"""Receivers that keep what they acknowledge, and whose handlers run afterwards."""
