"""What requests cost over HTTP: without an inbox, and kept and handled, beside the floor and beside peers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.postgres import database, migrated, postgres

from .environments import Environment
from .figures import Cell, Found, Target
from .peers import DURABLE_PEERS, PEERS, Peer
from .runner import BEFORE, CPU, RATE, Candidate, Session, load_in_turns

FLOOR = "floor: raw ASGI"
RECEIVER = "this package"
KEPT, HANDLED = "kept", "kept and handled"
FRESH = 8_000
"""Requests for a round of a receiver with an inbox: more than one core handles in that time."""


def requests(session: Session) -> Found:
    """Requests without an inbox: verified, parsed, handled, answered."""
    found = Found("Without an inbox, over HTTP", FLOOR)
    candidates = {FLOOR: Candidate("floor")}
    for before, environment in session.builds.items():
        candidates[RECEIVER + before] = _receiver(environment, "1")
    candidates |= {
        "this package, 1,000 events": Candidate("receiver", ("1000",)),
        "this package, bad signature": Candidate("receiver", ("forged",), handles=False, status="401"),
    }
    if session.peers:
        candidates |= {name: peer.candidate(session.cache) for name, peer in PEERS.items()}
        found.targets += _aims(PEERS, RECEIVER)
    load_in_turns(session, found, candidates, rounds=10)
    floor, receiver = Cell(FLOOR, RATE), Cell(RECEIVER, RATE)
    found.targets += [
        Target("requests/s, of the floor", receiver, floor, "at least", 0.58, 0.62),
        Target("CPU of the floor, of the receiver", Cell(FLOOR, CPU), Cell(RECEIVER, CPU), "at least", 0.58, 0.62),
    ]
    return found


def kept_16(session: Session) -> Found:
    """Kept, and kept and handled, with 16 connections, beside durable peers."""
    return _kept(session, 16, peers=session.peers)


def kept_64(session: Session) -> Found:
    """Kept, and kept and handled, with 64 connections."""
    return _kept(session, 64, peers=False)


def _kept(session: Session, connections: int, *, peers: bool) -> Found:
    found = Found(f"With an inbox, over HTTP, {connections} connections", FLOOR)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        candidates = {FLOOR: Candidate("floor")}
        for before, environment in session.builds.items():
            for name, what in ((KEPT, "kept"), (HANDLED, "handled")):
                url = f"sqlite:///{folder}/{what}{before.strip()}.db?min_free=0"
                candidates[name + before] = _receiver(environment, what, url, fresh=session.some(FRESH))
        if peers:
            server = stack.enter_context(postgres(max_connections=200))
            ours, theirs = (stack.enter_context(database(server.address)) for _ in range(2))
            arguments = {"relay": f"{folder}/relay.db", "spool": f"{folder}/spool", "by_hand": theirs}
            candidates[f"{HANDLED}, PostgreSQL"] = Candidate(
                "receiver", ("handled", migrated(ours)), fresh=session.some(1_000)
            )
            candidates |= {
                name: peer.candidate(session.cache, arguments[peer.app]) for name, peer in DURABLE_PEERS.items()
            }
            found.targets += _aims(DURABLE_PEERS, HANDLED)
        load_in_turns(session, found, candidates, rounds=7, connections=connections)
    for name, value, stretch in ((HANDLED, 0.65, 0.55), (KEPT, 1.0, 0.8)):
        of, to = Cell(name, CPU), Cell(name + BEFORE, CPU)
        found.targets.append(Target(f"CPU, {name}, of the build before", of, to, "at most", value, stretch))
    return found


def _receiver(environment: Environment, *arguments: str, fresh: int = 0) -> Candidate:
    return Candidate("receiver", arguments, lambda: environment, fresh=fresh, handles=arguments[0] != "kept")


def _aims(peers: Mapping[str, Peer], ours: str) -> list[Target]:
    return [
        Target(f"CPU of {name}, of {ours}", Cell(name, CPU), Cell(ours, CPU), "at least", peer.aim)
        for name, peer in peers.items()
    ]
