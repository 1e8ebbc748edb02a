"""Requests over real sockets, and the files and tests that become of them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from typer.testing import CliRunner, Result

from tests.commands import COMMAND, run
from tests.helpers import NOW, ROOT, SECRET, order, signed
from webhook_receiver import HMACBody, UP42Signature
from webhook_receiver.capture import server
from webhook_receiver.capture.server import Captured, serve
from webhook_receiver.cli.commands import app
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import github, shopify
from webhook_receiver.senders.registry import Candidate, candidates

BODY = order(note="é\n'\"")
HEADERS = signed(BODY)


@contextmanager
def capturing(directory: Path, *options: str) -> Generator[tuple[int, subprocess.Popen[str]]]:
    """Run `capture` on a free port until Ctrl-C; yield the port."""
    process = subprocess.Popen(
        [*COMMAND, "capture", "--port", "0", "--to", str(directory), "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield int(said(process)["listening"].rpartition(":")[2]), process
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the next document that a process prints."""
    assert process.stdout is not None
    patience = threading.Timer(60, process.kill)  # ends the lines, so that what never comes is told
    patience.start()
    try:
        document: dict[str, Any] = json.loads(process.stdout.readline())
    finally:
        patience.cancel()
    return document


def exchange(port: int, sent: bytes, *, close: bool = False) -> bytes:
    """Send bytes and return all that is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(sent)
        if close:
            sock.shutdown(socket.SHUT_WR)
        answer = b""
        while received := sock.recv(65_536):
            answer += received
    return answer


def raw(body: bytes = BODY, headers: Any = HEADERS, *, target: str = "/webhooks") -> bytes:
    lines = [f"POST {target} HTTP/1.1".encode(), b"Host:  x ", b"X-CaSe:  Kept ", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*lines, *(b"%b: %b" % pair for pair in headers), b"", body])


def test_a_request_is_written_as_it_came_and_answered(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "caught"
    with capturing(directory) as (port, process):
        answer = exchange(port, raw())
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        told = said(process)
        assert (told["method"], told["target"], told["scheme"], told["complaint"]) == (
            *("POST", "/webhooks", "UP42", ""),
        )
        file = Path(told["file"])
        assert file.read_bytes() == raw()
        assert file.stat().st_mode & 0o777 == 0o600
        assert directory.stat().st_mode & 0o777 == 0o700
        exchange(port, raw(target="/second"))
        later = Path(said(process)["file"])
    assert sorted(each.name for each in directory.iterdir()) == [file.name, later.name]


def test_anything_is_taken(tmp_path: Path) -> None:
    chunked = b"PUT /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3;a\r\nabc\r\n0\r\n\r\n"
    bare_lines = b"DELETE / HTTP/1.0\nA: b\n\n"
    with capturing(tmp_path, "--status", "503") as (port, process):
        for sent in (chunked, bare_lines):
            # What follows a request is not part of it.
            assert exchange(port, sent + b"GET / HTTP/1.1\r\n").startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            told = said(process)
            assert Path(told["file"]).read_bytes() == sent
            assert (told["scheme"], told["size"]) == (None, len(sent))
        assert httpx.get(f"http://127.0.0.1:{port}/?a=b", trust_env=False).status_code == 503
        assert said(process)["target"] == "/?a=b"
        target = "/?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=ours"
        httpx.get(f"http://127.0.0.1:{port}{target}", trust_env=False)
        assert "meta" in said(process)["senders"]


def test_a_request_that_is_still_coming_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with socket.socket() as sock, capturing(tmp_path) as (port, _):
        sock.connect(("127.0.0.1", port))
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100")  # so it is being read


def test_a_client_that_waits_for_100_continue_gets_it(tmp_path: Path) -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    with capturing(tmp_path) as (port, process):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
            sock.sendall(head)
            assert sock.recv(100).startswith(b"HTTP/1.1 100 Continue")
            sock.sendall(b"ab")
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
        assert Path(said(process)["file"]).read_bytes() == head + b"ab"


def test_what_is_no_whole_request_is_written_and_told(tmp_path: Path) -> None:
    with capturing(tmp_path) as (port, process):
        assert exchange(port, b"garbage\r\n\r\n").startswith(b"HTTP/1.1 400")
        told = said(process)
        assert (told["method"], told["complaint"]) == ("", "illegal request line")
        assert Path(told["file"]).read_bytes() == b"garbage\r\n\r\n"
        assert exchange(port, raw()[:-3], close=True).startswith(b"HTTP/1.1 400")
        told = said(process)
        assert told["complaint"].startswith("peer closed connection without sending complete message body")
        assert Path(told["file"]).read_bytes() == raw()[:-3]
        assert exchange(port, b"", close=True) == b""  # a look whether the port is open leaves no file
    assert len(list(tmp_path.iterdir())) == 2


@asynccontextmanager
async def told_of(number: int, folder: Path, **options: Any) -> AsyncGenerator[tuple[int, list[Captured]]]:
    """Capture until so many requests were told of; yield the port, and what was told so far."""
    ports, captured = list[int](), list[Captured]()
    listening, told = anyio.Event(), anyio.Event()

    def ready(port: int) -> None:
        ports.append(port)
        listening.set()

    def tell(each: Captured) -> None:
        captured.append(each)
        if len(captured) == number:
            told.set()

    async with anyio.create_task_group() as group:
        group.start_soon(partial(serve, "127.0.0.1", 0, folder, status=200, ready=ready, report=tell, **options))
        await listening.wait()
        yield ports[0], captured
        with anyio.fail_after(30):
            await told.wait()
        group.cancel_scope.cancel()


async def test_what_is_too_large_or_too_slow_is_told(tmp_path: Path) -> None:
    async with told_of(1, tmp_path, largest=1000) as (port, captured):
        assert (await anyio.to_thread.run_sync(exchange, port, raw(b"x" * 2000)))[:12] == b"HTTP/1.1 413"
    assert captured[0].complaint == "it is larger than 1000 bytes, and not saved"
    assert captured[0].file is None
    async with told_of(1, tmp_path, patience=1) as (port, captured):
        assert (await anyio.to_thread.run_sync(exchange, port, b"POST / HTTP/1.1\r\n"))[:12] == b"HTTP/1.1 408"
    assert captured[0].complaint == "it is not complete after 1 s"
    assert captured[0].file is not None


async def test_the_answer_waits_for_no_guess_and_no_guess_keeps_another_request_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def slow(head: RequestHead, body: bytes) -> list[Candidate]:
        go.wait(30)
        return candidates(head, body)

    monkeypatch.setattr(server, "candidates", slow)
    async with told_of(2, tmp_path) as (port, captured):
        for _ in range(2):
            with anyio.fail_after(20):
                assert (await anyio.to_thread.run_sync(exchange, port, raw(BODY)))[:12] == b"HTTP/1.1 200"
        assert captured == []
        go.set()
    assert [[preset.name for preset in each.senders] for each in captured] == [["up42"], ["up42"]]


def test_for_people_each_request_is_a_line_without_control_characters(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "capture", "--port", "0", "--to", str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.endswith(f" into {tmp_path}, 16 MiB at most; Ctrl-C stops\n")
        port = int(first.split()[2].rpartition(":")[2])
        exchange(port, raw())
        line = process.stdout.readline()
        assert line.endswith(f".http  POST /webhooks  {len(raw())} bytes  UP42\n")
        assert SECRET not in line
        exchange(port, b"GET /\x80 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert "no HTTP request" in process.stdout.readline()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_what_cannot_be_listened_on_or_written_to_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("capture", "--port", str(taken.getsockname()[1]), "--to", str(tmp_path))
    assert done.returncode == 2
    assert "cannot listen on" in done.stderr
    tmp_path.joinpath("file").touch()
    done = run("capture", "--to", str(tmp_path / "file"))
    assert done.returncode == 2
    assert "cannot write into" in done.stderr


def to_test(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, ["to-test", *arguments], **options)


def saved(directory: Path, body: bytes = BODY, headers: Any = HEADERS) -> str:
    file = directory / "request.http"
    file.write_bytes(raw(body, headers))
    return str(file)


def run_test(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:asyncio", "-p", "no:cacheprovider", str(file)],
        cwd=file.parent,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("body", "listed", "name"),
    [
        (BODY, None, "the_captured_delivery_is_taken"),
        (b"", None, "the_captured_delivery_is_no_event"),
        (b'{"event": "shipment.created", "body": {}}', ["digest"], "the_captured_delivery_is_taken"),
        (bytes(range(256)), ["content-digest", "content-type", "host"], "the_captured_delivery_is_no_event"),
    ],
)
def test_a_captured_request_becomes_a_test_that_passes(
    body: bytes, listed: list[str] | None, name: str, tmp_path: Path
) -> None:
    scheme = UP42Signature(SECRET, components=listed)
    headers = scheme.sign(RequestHead.of({"content-type": "application/json", "host": "x"}), body, NOW).headers
    request = tmp_path / "request.http"
    request.write_bytes(raw(body, headers).replace(b"Host:  x \r\n", b""))
    file = tmp_path / "test_captured.py"
    done = to_test(str(request), "--secret", SECRET, "--out", str(file))
    assert done.exit_code == 0, done.output
    code = file.read_text(encoding="utf-8")
    assert f"def test_{name}() -> None:" in code
    assert "was verified" in code
    assert SECRET not in code
    assert dict(headers)[b"signature"].decode() not in code
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    assert namespace["BODY"] == body
    ran = run_test(file)
    assert "1 passed" in ran.stdout, ran.stdout


@pytest.mark.parametrize(
    ("scheme", "header", "name"),
    [
        (github.signature(SECRET), "x-github-event", "push"),
        (shopify.signature(SECRET), "x-shopify-topic", "orders/create"),
    ],
)
def test_an_event_that_a_header_names_is_one_in_the_test_too(
    scheme: HMACBody, header: str, name: str, tmp_path: Path
) -> None:
    body = b'{"ref": "refs/heads/main"}'
    file = tmp_path / "test_captured.py"
    request = saved(tmp_path, body, scheme.sign(RequestHead.of({header: name}), body, NOW).headers)
    done = to_test(request, "--secret", SECRET, "--out", str(file))
    assert done.exit_code == 0, done.output
    assert "def test_the_captured_delivery_is_taken() -> None:" in file.read_text(encoding="utf-8")
    ran = run_test(file)
    assert "1 passed" in ran.stdout, ran.stdout


def test_without_the_secret_it_says_that_nothing_was_checked(tmp_path: Path) -> None:
    done = to_test(saved(tmp_path))
    assert done.exit_code == 0
    assert "could not be checked" in done.stderr
    assert "could not be checked: no secret was given" in done.stdout
    compile(done.stdout, "test", "exec")


def test_what_does_not_verify_becomes_no_test(tmp_path: Path) -> None:
    done = to_test(saved(tmp_path), "--secret", "wrong")
    assert done.exit_code == 1
    assert "it does not verify with this secret" in done.stderr
    assert done.stdout == ""


def test_credentials_and_the_way_are_left_out(tmp_path: Path) -> None:
    more = [(b"authorization", b"Bearer T0KEN"), (b"x-forwarded-for", b"10.1.2.3"), (b"user-agent", b"agent")]
    done = to_test(saved(tmp_path, headers=[*HEADERS, *more]), "--secret", SECRET)
    assert [word for word in ("T0KEN", "10.1.2.3", "agent") if word in done.stdout] == []


@pytest.mark.parametrize(
    ("headers", "code", "complaint"),
    [
        ([(b"x", b"y")], 2, "it is no known sender's: say whose it is, with --sender"),
        (
            [(b"signature-input", b'up42-sig=("date");created=1765433012'), (b"signature", b"up42-sig=AAAA")],
            1,
            "cannot be signed again",
        ),
    ],
)
def test_what_cannot_become_a_test_is_told(headers: Any, code: int, complaint: str, tmp_path: Path) -> None:
    done = to_test(saved(tmp_path, headers=headers))
    assert done.exit_code == code
    assert complaint in " ".join(done.stderr.split())


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    done = to_test(saved(tmp_path), "--secret", SECRET, "--out", str(tmp_path / "request.http"))
    assert done.exit_code == 1
    assert "File exists" in done.stderr
