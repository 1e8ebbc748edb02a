"""`serve` with an inbox: its health, a start that cannot be, and an end that nothing holds up."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import starlette

import webhook_receiver
from tests.commands import COMMAND, run
from tests.helpers import ROOT, SECRET, accepted, free_port, printed, running, signed
from tests.working import PATIENCE
from webhook_receiver.cli.connections import MAX_HEAD
from webhook_receiver.cli.serve import StartFailure

MODULE = f"""
import threading
from webhook_receiver import OrderFulfilled, WebhookReceiver
from webhook_receiver.options import WorkerOptions
hooks = WebhookReceiver(secret="{SECRET}", inbox="INBOX", worker=WorkerOptions(stop=0.2))
@hooks.on_fulfilled
def stuck(order: OrderFulfilled) -> None:
    print("begun", flush=True)
    threading.Event().wait()
"""


def module(directory: Path, inbox: str = "sqlite:///hooks.db") -> None:
    directory.joinpath("app.py").write_text(MODULE.replace("INBOX", inbox), encoding="utf-8")


def health(url: str) -> tuple[int, dict[str, Any]]:
    answer = httpx.get(f"{url}/healthz", trust_env=False)
    return answer.status_code, answer.json()


def test_the_health_is_200_until_nothing_can_be_kept(tmp_path: Path) -> None:
    module(tmp_path)
    with running("webhook_receiver", "serve", "app:hooks", cwd=tmp_path) as (url, _):
        status, found = health(url)
        assert (status, found["ok"], found["state"], found["waiting"], found["dead"]) == (200, True, "working", 0, 0)
        tmp_path.joinpath("hooks.db").rename(tmp_path / "elsewhere.db")
        status, found = health(url)
        assert (status, found["ok"], found["state"]) == (503, False, "failing")
        assert "was removed or replaced while it was in use" in found["problem"]
        assert run("send", f"{url}/webhooks", "--secret", SECRET).stdout.startswith("503 ")
        tmp_path.joinpath("elsewhere.db").rename(tmp_path / "hooks.db")
        # An operation that saw it gone a moment ago may close what the next one uses, which is to try again.
        deadline = time.monotonic() + PATIENCE
        while (answer := health(url))[0] != 200:
            assert time.monotonic() < deadline, answer
        found = answer[1]
        assert (found["ok"], found["state"], found["problem"]) == (True, "working", None)


PROXIED = """
from webhook_receiver import AllowFrom, Unsigned, WebhookReceiver
hooks = WebhookReceiver(
    scheme=AllowFrom(["203.0.113.0/24"], Unsigned(), trusted_proxies=["127.0.0.1"], header="X-Real-IP"),
    inbox="sqlite:///hooks.db",
)
"""


@pytest.mark.parametrize("options", [[], ["--http", "httptools"], ["--workers", "2"]])
def test_the_peer_is_who_connects_whatever_a_stranger_writes_of_himself(tmp_path: Path, options: list[str]) -> None:
    tmp_path.joinpath("app.py").write_text(PROXIED, encoding="utf-8")
    with running("webhook_receiver", "serve", "app:hooks", *options, cwd=tmp_path) as (url, _):
        asked = [
            httpx.post(f"{url}/webhooks", content=b'{"event": "a"}', headers=headers, trust_env=False).status_code
            for headers in (
                {"X-Forwarded-For": "203.0.113.9"},
                {"X-Forwarded-For": "203.0.113.9:443", "X-Real-IP": "192.0.2.1"},
                {"X-Real-IP": "203.0.113.9", "X-Forwarded-For": "192.0.2.1"},
            )
        ]
    assert asked == [401, 401, 202]


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_a_probe_is_answered_by_the_health_and_not_by_the_receiver(tmp_path: Path, parser: str) -> None:
    module(tmp_path)
    with (
        running("webhook_receiver", "serve", "app:hooks", "--http", parser, cwd=tmp_path) as (url, _),
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert client.request(method, "/healthz").status_code == 200
            assert client.request(method, "/webhooks").status_code == 405
        probed = client.options("/")  # HAProxy's `option httpchk`, or a stranger behind a proxy
        assert (probed.status_code, probed.content) == (200, b"")
        assert client.post("/healthz").status_code == client.post("/healthz/live").status_code == 405
        tmp_path.joinpath("hooks.db").rename(tmp_path / "elsewhere.db")
        assert client.options("/").status_code == client.head("/healthz").status_code == 503
        lives = client.get("/healthz/live")  # it asks no inbox
        assert (lives.status_code, lives.content) == (204, b"")


def test_a_request_that_offers_an_upgrade_is_answered_without(tmp_path: Path) -> None:
    module(tmp_path)
    with running("webhook_receiver", "serve", "app:hooks", cwd=tmp_path) as (url, process):
        for protocol in ("h2c", "websocket"):
            body = b'{"event": "upgrade.offered", "to": "%b"}' % protocol.encode()
            offer = {"connection": "upgrade, http2-settings", "upgrade": protocol, "http2-settings": "AAEAAEAAAAIAAAAB"}
            headers = {**offer, "content-type": "application/json"}
            signature = [*signed(body, now=time.time(), headers=headers)]
            answer = httpx.post(f"{url}/webhooks", content=body, headers=signature, trust_env=False)
            assert answer.status_code == 202
        process.send_signal(signal.SIGTERM)
        assert "upgrade" not in ended(process).lower()


def memory(process: subprocess.Popen[str]) -> int:
    """Return the resident memory of a process, in MiB."""
    (line,) = [
        each for each in Path(f"/proc/{process.pid}/status").read_text().splitlines() if each.startswith("VmRSS")
    ]
    return int(line.split()[1]) // 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and it is glibc that keeps memory")
def test_bodies_that_never_end_cost_a_bounded_amount_of_memory_which_is_given_back(tmp_path: Path) -> None:
    module(tmp_path)
    code = tmp_path.joinpath("app.py").read_text(encoding="utf-8")
    scheme = 'scheme=HMACBody("s", signature="x-sig"), max_bodies=20_000_000'
    code = code.replace(f'secret="{SECRET}"', scheme).replace("import OrderF", "import HMACBody, OrderF")
    tmp_path.joinpath("app.py").write_text(code, encoding="utf-8")
    head = b"POST /webhooks HTTP/1.1\r\nhost: receiver\r\nx-sig: %b\r\ncontent-length: 500000\r\n\r\n" % (b"0" * 64)
    with running("webhook_receiver", "serve", "app:hooks", cwd=tmp_path) as (url, process), ExitStack() as stack:
        before = memory(process)
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        every = [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(200)]
        for each in every:
            each.sendall(head + b"x" * 400_000)
        assert every[-1].recv(12) == b"HTTP/1.1 503"
        assert health(url)[0] == 200
        assert memory(process) - before < 60, "of 80 MB that were sent, 20 may be kept"
        stack.close()
        deadline = time.monotonic() + 20
        while memory(process) - before > 15 and time.monotonic() < deadline:
            health(url)
        assert memory(process) - before <= 15


@pytest.mark.skipif(os.name == "nt", reason="no process is left behind there")
@pytest.mark.parametrize("options", [["--workers", "2"], ["--reload"]])
def test_when_the_parent_is_killed_its_children_end_and_leave_the_port(tmp_path: Path, options: list[str]) -> None:
    module(tmp_path)
    with running("webhook_receiver", "serve", "app:hooks", *options, cwd=tmp_path) as (url, process):
        assert health(url)[0] == 200
        process.kill()
        assert process.stdout is not None
        told = process.stdout.read()  # to its end, which comes when no process has it open any more
        assert "the process that started this one is gone" in told
        with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))):
            pass


@pytest.mark.parametrize("options", [[], ["--workers", "2"]])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_ends_with_1_where_it_cannot_listen_and_does_not_say_before_that_it_receives(
    tmp_path: Path, host: str, options: list[str]
) -> None:
    module(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", "app:hooks", "--host", host, "--port", port, *options, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"cannot listen on port {port} of {host}: Address already in use; take another --port\n"


@pytest.mark.parametrize("options", [[], ["--workers", "2"]])
def test_it_ends_with_1_where_the_receiver_cannot_start_after_all(tmp_path: Path, options: list[str]) -> None:
    module(tmp_path)
    code = tmp_path.joinpath("app.py").read_text(encoding="utf-8")
    code += """
class Failing(WebhookReceiver):
    async def __aenter__(self):
        raise OSError("gone since a moment ago")
hooks = Failing(secret="s")
"""
    tmp_path.joinpath("app.py").write_text(code, encoding="utf-8")
    done = run("serve", "app:hooks", "--port", "0", *options, cwd=tmp_path)
    assert done.returncode == 1
    assert "gone since a moment ago" in done.stderr


@contextmanager
def handling(directory: Path, *options: str) -> Generator[subprocess.Popen[str]]:
    """Serve with a handler that is stuck in its thread; whoever leaves has to have ended the process."""
    module(directory)
    port = free_port()
    with process_of(directory, "serve", "app:hooks", "--port", str(port), *options) as process:
        if "Uvicorn running" not in printed(process, "Application startup complete"):
            printed(process, "Uvicorn running")
        accepted(port)  # several workers say so before they listen
        assert run("send", f"http://127.0.0.1:{port}/webhooks", "--secret", SECRET).returncode == 0
        printed(process, "begun")
        yield process


@contextmanager
def process_of(directory: Path, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Run a command in a folder, in a process and a session of its own; kill what is left of it."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # it has ended, as it should have
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for the end, for much less than Python would; return what was printed until then."""
    patience = threading.Timer(40, os.killpg, (process.pid, signal.SIGKILL))
    patience.start()
    try:
        told = "".join(process.stdout or ())
        process.wait(timeout=30)
    finally:
        patience.cancel()
    return told


def test_a_handler_that_is_stuck_in_its_thread_does_not_hold_up_a_sigterm(tmp_path: Path) -> None:
    with handling(tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        assert "Finished server process" in ended(process)
    assert process.returncode == -signal.SIGTERM  # as uvicorn does it: the signal ends it after all


def test_a_handler_that_is_stuck_in_its_thread_does_not_hold_up_ctrl_c(tmp_path: Path) -> None:
    with handling(tmp_path) as process:
        process.send_signal(signal.SIGINT)
        assert "the process ends although a handler does not end; threads that still run: 1" in ended(process)
    assert process.returncode == 0


@pytest.mark.parametrize("options", [["--workers", "2"], ["--reload"]])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nor_does_it_where_the_server_is_in_another_process(
    tmp_path: Path, options: list[str], number: signal.Signals
) -> None:
    with handling(tmp_path, *options) as process:
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)  # as a supervisor does
        told = ended(process)  # to its end, which comes when no process has it open any more
    assert "Finished server process" in told
    assert process.returncode == 0


def test_a_path_with_parameters_takes_no_probe_away(tmp_path: Path) -> None:
    module(tmp_path)
    with running("webhook_receiver", "serve", "app:hooks", "--path", "/{a}/{b}", cwd=tmp_path) as (url, _):
        assert httpx.get(f"{url}/healthz/live", trust_env=False).status_code == 204


def test_a_worker_has_its_health_on_a_port_of_its_own(tmp_path: Path) -> None:
    module(tmp_path)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with process_of(tmp_path, "worker", "app:hooks", "--health-port", str(port)) as process:
        printed(process, "Uvicorn running")
        status, found = health(url)
        assert (status, found["ok"], found["state"]) == (200, True, "working")
        long = {"x-long": "x" * MAX_HEAD}
        assert httpx.get(f"{url}/healthz", headers=long, trust_env=False).status_code == 431
        assert httpx.options(url, trust_env=False).status_code == 200
        tmp_path.joinpath("hooks.db").rename(tmp_path / "elsewhere.db")
        status, found = health(url)
        assert (status, found["ok"], found["waiting"]) == (503, False, None)
        tmp_path.joinpath("elsewhere.db").rename(tmp_path / "hooks.db")
        process.send_signal(signal.SIGTERM)
        assert "GET /healthz" not in ended(process)
        assert process.returncode == 0


def test_a_request_that_does_not_end_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    module(tmp_path)
    file = tmp_path / "app.py"
    file.write_text(file.read_text(encoding="utf-8").replace("worker=", "body_timeout=3600, worker="), encoding="utf-8")
    with (
        running("webhook_receiver", "serve", "app:hooks", cwd=tmp_path) as (url, process),
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as slow,
    ):
        slow.sendall(signed_head(b"{}") + b"{")
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200  # by then the other one is read
        process.send_signal(signal.SIGTERM)
        told = ended(process)
    assert "Finished server process" in told
    assert "Cancel 1 running task(s)" in told
    assert "Traceback" not in told


def signed_head(body: bytes) -> bytes:
    """Return the head of a genuine request, with the body's length."""
    fields = signed(body, now=time.time(), headers={"host": "x", "content-length": str(len(body))})
    return b"POST /webhooks HTTP/1.1\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % pair for pair in fields)


@pytest.mark.parametrize(
    ("inbox", "code", "complaint"),
    [
        ("sqlite:///no/hooks.db", 1, "app:hooks cannot start: there is no folder {here}/no for the inbox hooks.db"),
        ("sqlite:///app.py", 1, "app:hooks cannot start: {here}/app.py is not an inbox, or is damaged"),
        ("mysql://host/x", 2, "app is not configured correctly: an inbox's URL is"),
        ("sqlite:///hooks.db?window=ever", 2, "app is not configured correctly: the inbox's setting window='ever'"),
    ],
)
def test_an_inbox_that_cannot_be_is_told_in_a_sentence_before_anything_is_served(
    tmp_path: Path, inbox: str, code: int, complaint: str
) -> None:
    module(tmp_path, inbox)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300"}
    done = run("serve", "app:hooks", "--port", "0", cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout) == (code, "")
    assert complaint.format(here=tmp_path) in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert sys.executable not in done.stderr


RAISED = (
    "Traceback (most recent call last):\n"
    f'  File "{starlette.__file__}", line 1, in lifespan\n'
    "    async with self.lifespan_context(app) as maybe_state:\n"
    f'  File "{webhook_receiver.__file__}", line 2, in start\n'
    "    await self.open()\n"
    '  File "/srv/app.py", line 3, in lifespan\n'
    "    connect()\n"
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("webhook_receiver.errors.ConfigurationError: give\nnames\n", "cannot start: give\nnames"),
        ("webhook_receiver.errors.InboxUnavailable: away\n", "cannot start: away"),
        (
            "RuntimeError: no database\n",
            "Traceback (most recent call last):\n"
            '  File "/srv/app.py", line 3, in lifespan\n    connect()\nRuntimeError: no database',
        ),
    ],
)
def test_an_app_that_cannot_start_is_told_without_the_frames_of_libraries(error: str, said: str) -> None:
    record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, RAISED + error, (), None)
    assert StartFailure().filter(record)
    assert record.getMessage() == said


def test_any_other_line_of_the_server_is_left_as_it_is() -> None:
    record = logging.LogRecord("uvicorn.error", logging.INFO, "", 0, "port %d", (80,), None)
    assert StartFailure().filter(record)
    assert record.getMessage() == "port 80"


def test_a_worker_with_a_health_port_ends_by_a_signal_that_comes_while_it_starts(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(
        """
import asyncio, os, signal
from webhook_receiver import Event, SQLiteInbox, Unsigned, WebhookReceiver

class Slow(SQLiteInbox):
    async def open(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(10):  # in which the loop hears of it
            await asyncio.sleep(0)
        return await super().open()

hooks = WebhookReceiver(scheme=Unsigned(), inbox=Slow("hooks.db"))

@hooks.on(Event)
async def handle(event): ...
""",
        encoding="utf-8",
    )
    done = run("worker", "app:hooks", "--health-port", "0", cwd=tmp_path, kill_after=30)
    assert done.returncode == 0, done.stderr


def test_the_socket_of_a_killed_server_keeps_no_workers_from_their_start(tmp_path: Path) -> None:
    module(tmp_path)
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(f"{tmp_path}/x.sock")
        killed.listen()
    with process_of(tmp_path, "serve", "app:hooks", "--uds", "x.sock", "--workers", "2") as process:
        printed(process, "Application startup complete")
        accepted(tmp_path / "x.sock")  # it says so before it listens
        with httpx.Client(transport=httpx.HTTPTransport(uds=f"{tmp_path}/x.sock")) as client:
            assert client.get("http://localhost/healthz").status_code == 200
        process.send_signal(signal.SIGTERM)
        ended(process)
