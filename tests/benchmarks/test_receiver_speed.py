"""How fast the receiver is, as ratios to an app that does nothing but answer; printed, never judged.

Run with `pytest -n0 -s --no-cov -m benchmark`. Server and load are on different cores where there are two.
Each ratio is taken within a round, so that what slows the machine slows both sides of it; shown are the
median of the rounds and, behind it, the quartiles.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import pytest
import uvloop
from rich.console import Console
from rich.table import Table

from webhook_receiver import UP42Signature

from . import apps, load

pytestmark = pytest.mark.benchmark

ROUNDS = 20
SECONDS = 0.4
CONNECTIONS = 16
CORES = os.sched_getaffinity(0)


@dataclass
class Server:
    """A uvicorn process that serves one of the apps, on a core of its own."""

    port: int
    pid: int
    rates: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    cpu: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def warm_up(self, request: bytes, status: int) -> None:
        uvloop.run(load.run(self.port, request, status=status, connections=1, seconds=0.2))

    def round(self, name: str, request: bytes, status: int, *, stay_awake: bool) -> None:
        before = _cpu_seconds(self.pid)
        rate = uvloop.run(
            load.run(
                self.port,
                request,
                status=status,
                connections=CONNECTIONS,
                seconds=SECONDS,
                stay_awake=stay_awake,
            )
        )
        self.rates.setdefault(name, []).append(rate.per_second)
        self.cpu.setdefault(name, []).append((_cpu_seconds(self.pid) - before) / rate.answered * 1e6)


@contextmanager
def serving(factory: str) -> Generator[Server]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        fd, port = listener.fileno(), listener.getsockname()[1]
        process = subprocess.Popen(
            ["taskset", "-c", str(min(CORES)), sys.executable, "-m", "benchmarks.serve", str(fd), factory],
            cwd=Path(__file__).parents[1],
            pass_fds=[fd],
        )
    try:
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(autouse=True)
def on_the_last_core() -> Iterator[None]:
    os.sched_setaffinity(0, {max(CORES)})
    yield
    os.sched_setaffinity(0, CORES)


@pytest.mark.parametrize("stay_awake", [True, False])
def test_the_full_way_is_measured_beside_the_floor(stay_awake: bool) -> None:
    if stay_awake and len(CORES) == 1:
        pytest.skip("a load that stays awake would leave the server no core")
    good, bad = _request(_body(600)), _request(_body(600), secret="another")
    with (
        serving("floor_app") as floor,
        serving("refusing_app") as refusing,
        serving("one") as one,
        serving("ten") as ten,
        serving("thousand") as thousand,
    ):
        for server in (floor, one, ten, thousand):
            server.warm_up(good, 204)
        refusing.warm_up(bad, 401)
        for _ in range(ROUNDS):
            floor.round("floor", good, 204, stay_awake=stay_awake)
            refusing.round("floor", bad, 401, stay_awake=stay_awake)
            one.round("good", good, 204, stay_awake=stay_awake)
            one.round("bad signature", bad, 401, stay_awake=stay_awake)
            ten.round("good", good, 204, stay_awake=stay_awake)
            thousand.round("good", good, 204, stay_awake=stay_awake)
        rows = [
            ("floor: read the body, answer 204", floor, "floor"),
            ("floor of a refusal: answer its 401", refusing, "floor"),
            ("receiver, 1 event", one, "good"),
            ("receiver, bad signature", one, "bad signature"),
            ("receiver, 10 events", ten, "good"),
            ("receiver, 1,000 events", thousand, "good"),
        ]
    _print(rows, f"600-byte body, {'a load that stays awake' if stay_awake else 'a load that may sleep'}")


def _print(rows: list[tuple[str, Server, str]], title: str) -> None:
    floor = rows[0][1].rates["floor"]
    good = next(server.cpu[name] for _, server, name in rows if name == "good")
    table = Table("app", "requests/s", "of the floor", "server CPU µs", "of a good request's", title=title)
    for label, server, name in rows:
        rates, cpu = server.rates[name], server.cpu[name]
        table.add_row(label, f"{median(rates):,.0f}", _ratio(rates, floor), f"{median(cpu):.1f}", _ratio(cpu, good))
    Console(width=120).print(table)


def _ratio(values: list[float], base: list[float]) -> str:
    low, middle, high = quantiles((one / other for one, other in zip(values, base, strict=True)), n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _body(size: int) -> bytes:
    body = {"orderId": "95e60af5-658c-40cb-8f9e-0bec3898d190", "status": "FULFILLED", "note": ""}
    empty = len(json.dumps({"event": "order.status", "body": body}))
    body["note"] = "x" * (size - empty)
    return json.dumps({"event": "order.status", "body": body}).encode()


def _request(body: bytes, secret: str = apps.SECRET) -> bytes:
    given = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body))}
    headers = UP42Signature(secret).sign(given, body, time.time())
    head = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return b"POST /webhooks HTTP/1.1\r\n" + head + b"\r\n" + body


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
