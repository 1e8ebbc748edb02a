"""The bounds of `serve` on connections and on heads of requests, byte for byte, with either parser."""

from __future__ import annotations

import asyncio
import pickle
import socket
import ssl
import time
from collections.abc import Generator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trustme
import typer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.helpers import SECRET, Noted, noting, order, serving, signed
from webhook_receiver import Attempt, Event
from webhook_receiver.cli import connections
from webhook_receiver.cli.connections import MAX_HEAD, Connections, checked_limit, within_bounds
from webhook_receiver.cli.options import PARSER, Parser
from webhook_receiver.delivery import Headers

BODY = order()
LIMIT = 5


@pytest.fixture(params=["h11", "httptools"])
def parser(request: pytest.FixtureRequest) -> Parser:
    parser: Parser = request.param
    return parser


@pytest.fixture
def noted() -> Noted:
    return noting(clock=None)


@pytest.fixture
def port(noted: Noted, parser: Parser) -> Generator[int]:
    with serving(noted.hooks, **within_bounds(parser, LIMIT)) as url:
        yield int(url.rpartition(":")[2])


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def head(*more: bytes, size: int = len(BODY), secret: str = SECRET) -> bytes:
    headers = signed(BODY, now=time.time(), secret=secret)
    lines = [b"POST / HTTP/1.1", b"host: receiver", *(b"%b: %b" % pair for pair in headers), *more]
    return b"\r\n".join([*lines, b"content-length: %d" % size, b"", b""])


def answer(sock: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    received = b""
    with suppress(ConnectionError):
        while data := sock.recv(65_536):
            received += data
    return received


def status(response: bytes) -> int | None:
    return int(response.split(b" ", 2)[1]) if response else None


def deliver(port: int) -> int | None:
    with closing(connected(port)) as sock:
        sock.sendall(head() + BODY)
        return status(sock.recv(65_536))


def test_a_connection_that_sends_nothing_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.3)
    with closing(connected(port)) as sock:
        assert answer(sock) == b""


@pytest.mark.parametrize("before", [True, False])
def test_a_head_that_does_not_end_is_answered_408(port: int, monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    if not before:
        monkeypatch.setattr(connections, "HEAD_TIMEOUT", 2.0)  # in which its first bytes come, too
    with closing(connected(port)) as sock:
        if before:
            assert again(sock) == 204
            monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.3)  # from its first bytes on
        sock.sendall(head()[:60])
        response = answer(sock)
    assert status(response) == 408
    assert b"connection: close" in response


def test_a_head_that_comes_bit_by_bit_has_no_more_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.3)
    start = time.monotonic()
    with closing(connected(port)) as sock:
        try:
            for byte in head() * 100:
                sock.sendall(bytes([byte]))
                sock.settimeout(0.02)
                try:
                    if sock.recv(65_536) == b"":
                        break
                except TimeoutError:
                    continue
        except ConnectionError:
            pass
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_a_head_that_is_too_large_is_answered_431(noted: Noted, port: int, end: bytes) -> None:
    with closing(connected(port)) as sock:
        sock.sendall(head()[:-2] + b"x-long: " + b"x" * MAX_HEAD + end)
        response = sock.recv(65_536)
    assert status(response) == 431
    assert b"connection: close" in response
    assert deliver(port) == 204
    assert len(noted.events) == 1


def test_a_head_of_the_largest_size_is_accepted_and_a_body_behind_it(noted: Noted, port: int) -> None:
    long = b"x-long: " + b"x" * (MAX_HEAD - len(head(b"x-long: ")))
    assert len(head(long)) == MAX_HEAD
    with closing(connected(port)) as sock:
        sock.sendall(head(long) + BODY)
        assert status(sock.recv(65_536)) == 204
        sock.sendall(head() + BODY + head() + BODY)
        received = b""
        while received.count(b"HTTP/1.1 204") < 2:
            received += sock.recv(65_536)
    assert len(noted.events) == 3


def test_idle_connections_make_room_for_those_that_deliver(
    noted: Noted, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(closing(connected(port))) for _ in range(LIMIT)]
        assert [deliver(port) for _ in range(2 * LIMIT)] == [204] * 2 * LIMIT
        assert answer(idle[0]) == b""
    assert len(noted.events) == 2 * LIMIT
    assert caplog.text.count("--max-connections") == 1


def again(sock: socket.socket) -> int | None:
    sock.sendall(head() + BODY)
    return status(sock.recv(65_536))


def test_the_connection_that_has_waited_longest_makes_room(noted: Noted, port: int) -> None:
    with ExitStack() as stack:
        used = [stack.enter_context(closing(connected(port))) for _ in range(LIMIT)]
        assert [again(each) for each in (*used, used[0])] == [204] * (LIMIT + 1)
        assert deliver(port) == 204
        assert answer(used[1]) == b""
        assert [again(each) for each in (used[0], *used[2:])] == [204] * (LIMIT - 1)


def test_where_all_are_busy_a_new_one_is_answered_503(noted: Noted, port: int) -> None:
    with ExitStack() as stack:
        every = [stack.enter_context(closing(connected(port))) for _ in range(LIMIT)]
        for busy in every:
            busy.sendall(head(b"expect: 100-continue"))
            assert status(busy.recv(65_536)) == 100
        with closing(connected(port)) as sock:
            response = answer(sock)
        assert status(response) == 503
        assert b"retry-after: 10" in response
        every[0].sendall(BODY)
        assert status(every[0].recv(65_536)) == 204
    assert deliver(port) == 204


def test_a_client_that_has_sent_all_and_reads_is_answered(noted: Noted, port: int) -> None:
    for body in (BODY, BODY):
        with closing(connected(port)) as sock:
            sock.sendall(head() + body)
            sock.shutdown(socket.SHUT_WR)
            assert status(answer(sock)) == 204
    with closing(connected(port)) as sock:
        sock.sendall(head(secret="another") + BODY)
        sock.shutdown(socket.SHUT_WR)
        assert status(answer(sock)) == 401
    assert len(noted.events) == 2


@pytest.mark.parametrize("sent", [b"", head()[:50], head(), head() + BODY[:9]])
def test_a_client_that_ends_in_the_middle_is_not_waited_for(noted: Noted, port: int, sent: bytes) -> None:
    with closing(connected(port)) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        assert status(answer(sock)) in (None, 400)
    assert noted.events == []


def test_trailers_change_nothing(noted: Noted, port: int) -> None:
    seen: list[Headers] = []

    @noted.hooks.on(Event)
    async def note(event: Event, attempt: Attempt) -> None:
        seen.append(attempt.delivery.headers)

    headers = signed(BODY, now=time.time())
    lines = [b"POST / HTTP/1.1", b"host: receiver", *(b"%b: %b" % pair for pair in headers)]
    whole = b"\r\n".join(
        [*lines, b"transfer-encoding: chunked", b"", b"%x" % len(BODY), BODY, b"0", b"signature: x", b"x-late: 1"]
    )
    with closing(connected(port)) as sock:
        sock.sendall(whole + b"\r\n\r\n")
        assert status(sock.recv(65_536)) == 204
    (stored,) = seen
    assert b"x-late" not in dict(stored)


def until_nothing_is_taken(sock: socket.socket, data: bytes, most: int) -> int:
    """Send data again and again, and return the number of bytes that were sent: `most`, unless the server ends it."""
    sent = 0
    with suppress(ConnectionError, TimeoutError):
        while sent < most:
            sent += sock.send(data)
    return sent


@pytest.mark.parametrize("secret", [SECRET, "another"])
@pytest.mark.parametrize("trailer", [b"x-late: " + b"x" * 1000 + b"\r\n", b"x" * 1000])
def test_trailers_that_never_end_are_cut_off_by_default(noted: Noted, secret: str, trailer: bytes) -> None:
    start = head(secret=secret).replace(b"content-length: %d" % len(BODY), b"transfer-encoding: chunked")
    with (
        serving(noted.hooks, **within_bounds(PARSER, LIMIT)) as url,
        closing(connected(int(url.rpartition(":")[2]))) as sock,
    ):
        sock.sendall(start + b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY))
        assert until_nothing_is_taken(sock, trailer * 1000, most=60_000_000) < 30_000_000


PIPELINED = b"POST / HTTP/1.1\r\nhost: receiver\r\ncontent-length: 0\r\nx-long: %b\r\n\r\n" % (b"x" * 4000)


@pytest.fixture
def path() -> Generator[str]:
    """Return the path of a Unix socket, whose buffers are small, in a folder with a short name."""
    with TemporaryDirectory() as folder:
        yield f"{folder}/socket"


def piping(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    sock.settimeout(1)
    return sock


def test_requests_are_not_taken_in_while_nobody_reads_the_responses_by_default(noted: Noted, path: str) -> None:
    with serving(noted.hooks, uds=path, **within_bounds(PARSER, LIMIT)), closing(piping(path)) as sock:
        assert until_nothing_is_taken(sock, PIPELINED, most=20_000_000) < 5_000_000


def test_a_connection_whose_responses_nobody_reads_is_closed(
    noted: Noted, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", 0.3)
    with serving(noted.hooks, uds=path, **within_bounds(PARSER, LIMIT)), closing(piping(path)) as sock:
        sock.settimeout(10)
        with pytest.raises(ConnectionError):
            sock.sendall(PIPELINED * 10_000)


def test_a_client_that_reads_late_gets_every_response_and_is_kept(noted: Noted, path: str) -> None:
    with serving(noted.hooks, uds=path, **within_bounds(PARSER, LIMIT)), ExitStack() as stack:
        *idle, late = [stack.enter_context(closing(piping(path))) for _ in range(LIMIT)]
        sent = until_nothing_is_taken(late, PIPELINED, most=20_000_000)
        late.settimeout(10)
        received = b""
        while received.count(b"HTTP/1.1 401") < sent // len(PIPELINED):
            received += late.recv(1_000_000)
        late.sendall(PIPELINED[sent % len(PIPELINED) :])
        assert status(late.recv(65_536)) == 401
        with closing(piping(path)) as sock:
            assert again(sock) == 204
        assert answer(idle[0]) == b""
        assert again(late) == 204


@pytest.mark.parametrize("name", ["GET", "POST"])
def test_connections_that_send_requests_ahead_make_room(path: str, parser: Parser, name: str) -> None:
    async def never(request: Request) -> Response:
        await request.body()
        await asyncio.Event().wait()
        return Response()

    async def soon(request: Request) -> Response:
        return Response("soon")

    app = Starlette(routes=[Route("/never", never, methods=["GET", "POST"]), Route("/", soon)])
    ahead = b"%b /never HTTP/1.1\r\nhost: receiver\r\ncontent-length: 0\r\n\r\n" % name.encode()
    with serving(app, uds=path, timeout_graceful_shutdown=0, **within_bounds(parser, LIMIT)), ExitStack() as stack:
        for _ in range(LIMIT):
            each = stack.enter_context(closing(piping(path)))
            each.settimeout(0.2)
            until_nothing_is_taken(each, ahead * 100, most=700_000)
        with closing(piping(path)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nhost: receiver\r\n\r\n")
            assert status(sock.recv(65_536)) == 200


@pytest.mark.parametrize("idle", [0, 1])
def test_connections_whose_responses_nobody_reads_make_room(noted: Noted, path: str, parser: Parser, idle: int) -> None:
    with serving(noted.hooks, uds=path, **within_bounds(parser, LIMIT)), ExitStack() as stack:
        kept = [stack.enter_context(closing(piping(path))) for _ in range(idle)]
        unread = [stack.enter_context(closing(piping(path))) for _ in range(LIMIT - idle)]
        for each in unread:
            each.settimeout(0.3)
            until_nothing_is_taken(each, PIPELINED, most=20_000_000)
        with closing(piping(path)) as sock:
            sock.settimeout(10)
            assert again(sock) == 204
        assert [again(each) for each in kept] == [204] * idle
    assert len(noted.events) == 1 + idle


def test_the_rest_of_a_body_that_nobody_reads_is_bounded(parser: Parser) -> None:
    async def early(request: Request) -> Response:
        return Response("too early")

    app = Starlette(routes=[Route("/", early, methods=["POST"])])
    with serving(app, **within_bounds(parser, LIMIT)) as url, closing(connected(int(url.rpartition(":")[2]))) as sock:
        sock.sendall(head(size=10**9))
        with pytest.raises(ConnectionError):
            sock.sendall(b"x" * 600_000_000)
        assert answer(sock).count(b"HTTP/1.1") <= 1  # none, where the rest of the body was in its way


def test_over_tls_a_delivery_is_answered(noted: Noted, parser: Parser, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with serving(noted.hooks, **within_bounds(parser, LIMIT), ssl_certfile=str(tmp_path / "server.pem")) as url:
        sock = trusting.wrap_socket(connected(int(url.rpartition(":")[2])), server_hostname="127.0.0.1")
        with closing(sock):
            sock.sendall(head() + BODY)
            assert status(sock.recv(65_536)) == 204
    assert len(noted.events) == 1


def test_the_number_of_connections_fits_into_the_file_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    for available, limit in ((None, 1000), (100_000, 1000), (1024, 896), (100, 1)):
        monkeypatch.setattr(connections, "_descriptors", lambda available=available: available)
        assert checked_limit(None) == limit
    monkeypatch.setattr(connections, "_descriptors", lambda: 1024)
    assert checked_limit(896) == 896
    with pytest.raises(typer.BadParameter, match=r"897 connections need 1025 file descriptors.* 1024.*ulimit -n"):
        checked_limit(897)


def test_it_goes_to_the_processes_of_workers() -> None:
    assert isinstance(pickle.loads(pickle.dumps(Connections("h11", 3))), Connections)
