"""What a poll costs that tells what is known, beside keeping what is new, and whether it holds up pushes."""

from __future__ import annotations

import json
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
from statistics import quantiles

import uvloop

from . import load
from .environments import THIS
from .figures import Cell, Found, Target
from .runner import CORES, CPU, Server, Session, on_core, serving, told

KEPT, BESIDE = "kept", "kept, beside polls"
KNOWN, AGAIN = "polled, known by a push", "polled, told before"
P99 = "p99 ms"
MANY = 10_000
CONNECTIONS = 16


def polls(session: Session) -> Found:
    """Polls of 10,000 known changes, beside keeping 10,000 pushes over HTTP."""
    found = Found("Polls of what is known, and pushes beside them")
    many = session.some(MANY)
    with (
        tempfile.TemporaryDirectory() as folder,
        on_core(max(CORES)),
        told(found, KEPT),
        serving(THIS, "polling", f"sqlite:///{folder}/hooks.db?min_free=0") as server,
    ):
        for _ in session.turns(found.title, 7):
            _round(found, server, many)
    found.targets = [
        Target(f"CPU, {KNOWN}, of {KEPT}", Cell(KNOWN, CPU), Cell(KEPT, CPU), "at most", 0.2),
        Target(f"CPU, {AGAIN}, of {KEPT}", Cell(AGAIN, CPU), Cell(KEPT, CPU), "at most", 0.02),
        Target(f"p99, {BESIDE}, of {KEPT}", Cell(BESIDE, P99), Cell(KEPT, P99), "at most", 1.3),
    ]
    return found


def _round(found: Found, server: Server, many: int) -> None:
    cpu = server.cpu()
    alone = _push(server, many)
    found.add(KEPT, {CPU: (server.cpu() - cpu) / many * 1e6, P99: alone})
    for name, number in ((KNOWN, many), (AGAIN, 0)):
        cpu = server.cpu()
        polled = _poll(server, number)
        assert polled == {"documents": many, "stored": 0, "known": many, "dead": 0}, polled
        found.add(name, {CPU: (server.cpu() - cpu) / many * 1e6})
    ended = threading.Event()
    beside = threading.Thread(target=_poll_until, args=(server, many, ended))
    beside.start()
    try:
        found.add(BESIDE, {P99: _push(server, many)})
    finally:
        ended.set()
        beside.join()


def _push(server: Server, many: int) -> float:
    """Push so many; return the latency in ms that one in a hundred exceeds."""
    requests = server.requests(many)
    rate = uvloop.run(
        load.run(
            server.port, iter(requests), status="202", connections=CONNECTIONS, seconds=60, stay_awake=len(CORES) > 1
        )
    )
    return _p99(rate.latencies) * 1e3


def _p99(latencies: Sequence[float]) -> float:
    return quantiles(latencies, n=100)[-1]


def _poll_until(server: Server, many: int, ended: threading.Event) -> None:
    """Poll what is known by pushes, one poll after the other."""
    while not ended.is_set():
        _poll(server, many)


def _poll(server: Server, number: int) -> object:
    asked = urllib.request.Request(f"http://127.0.0.1:{server.port}/poll?{number}", b"", method="POST")
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.loads(answer.read())
