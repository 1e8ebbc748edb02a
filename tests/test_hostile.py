"""What strangers and broken clients do to a receiver on a real server, byte by byte."""

from __future__ import annotations

import json
import logging
import resource
import socket
import time
from collections.abc import Generator
from contextlib import closing
from http.client import HTTPResponse

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from tests.helpers import Noted, noting, order, serving, signed
from webhook_receiver import Attempt, Event
from webhook_receiver.delivery import Headers

BODY = order()
HUSH = b"stranger-was-here"


@pytest.fixture(params=["h11", "httptools"])
def server(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Generator[tuple[Noted, int]]:
    """A receiver on a port; afterwards, no exception was logged and no log line has the stranger's bytes."""
    caplog.set_level(logging.DEBUG, logger="webhook_receiver")
    noted = noting(clock=None, body_timeout=0.4, max_body=100_000)
    with serving(noted.hooks, http=request.param) as url:
        yield noted, int(url.rpartition(":")[2])
    assert not [record for record in caplog.records if record.exc_info]
    assert HUSH.decode() not in caplog.text


def genuine(body: bytes = BODY) -> Headers:
    return signed(body, now=time.time())


def head(headers: Headers, *more: bytes, method: bytes = b"POST") -> bytes:
    lines = [method + b" /webhooks HTTP/1.1", b"host: receiver", *(b"%b: %b" % pair for pair in headers), *more]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def sized(body: bytes) -> bytes:
    return b"content-length: %d" % len(body)


def talk(port: int, *parts: bytes, shut: bool = False) -> bytes:
    """Send the parts; return all that is answered until the server closes, or has been still for three seconds."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=3)) as sock:
        answer = b""
        try:
            for part in parts:
                sock.sendall(part)
            if shut:
                sock.shutdown(socket.SHUT_WR)
            while b"\r\n\r\n" not in answer:
                received = sock.recv(65536)
                if not received:
                    break
                answer += received
        except (TimeoutError, ConnectionError):
            pass
        return answer


def status(answer: bytes) -> int | None:
    return int(answer.split(b" ", 2)[1]) if answer else None


def test_a_chunked_body_is_taken_in_chunks_of_one_byte_too(server: tuple[Noted, int]) -> None:
    noted, port = server
    chunks = b"".join(b"1\r\n%b\r\n" % BODY[at : at + 1] for at in range(len(BODY)))
    assert status(talk(port, head(genuine(), b"transfer-encoding: chunked"), chunks, b"0\r\n\r\n")) == 204
    assert len(noted.events) == 1


def test_an_endless_chunked_body_is_cut_off_at_the_limit(server: tuple[Noted, int]) -> None:
    noted, port = server
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    assert status(talk(port, head(genuine(), b"transfer-encoding: chunked"), *[chunk] * 11)) == 413
    assert noted.events == []


def stranger(body: bytes, *more: bytes) -> bytes:
    return head(signed(BODY, secret="another", now=time.time()), sized(body), *more)


def test_the_rest_of_a_rejected_body_is_read_so_that_a_proxy_gets_the_answer(server: tuple[Noted, int]) -> None:
    noted, port = server
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as sock:
        for body in (b"x" * 60_000, b""):
            sock.sendall(stranger(body))
            for at in range(0, len(body), 10_000):
                sock.sendall(body[at : at + 10_000])
            answer = HTTPResponse(sock)
            answer.begin()
            assert answer.read()  # to its end, which may come by itself
            assert answer.status == 401
            assert answer.getheader("connection") is None
        sock.sendall(head(genuine(), sized(BODY)) + BODY)
        assert status(sock.recv(65_536)) == 204
    assert len(noted.events) == 1


@pytest.mark.parametrize(
    ("more", "sent"),
    [([], b"x" * 90_000), ([], b"x"), ([b"expect: 100-continue"], b""), ([b"EXPECT: 100-Continue"], b"")],
)
def test_of_a_rejected_body_that_goes_on_and_on_the_connection_is_closed(
    server: tuple[Noted, int], more: list[bytes], sent: bytes
) -> None:
    noted, port = server
    start = time.monotonic()
    answer = talk(port, stranger(b"x" * 99_000, *more), sent)
    assert status(answer) == 401  # and no 100 before it
    assert b"connection: close" in answer.lower()
    assert not more or time.monotonic() - start < 0.9
    assert noted.hooks.rejected == {"BadSignature": 1}


def test_white_space_at_the_end_of_a_signed_value_is_no_part_of_it(server: tuple[Noted, int]) -> None:
    noted, port = server
    for end in (b" ", b"\t", b" \t "):
        headers = [(name, value + end) for name, value in genuine()]
        assert status(talk(port, head(headers, sized(BODY)), BODY)) == 204
    assert len(noted.events) == 3


def test_trailers_that_come_later_change_nothing(server: tuple[Noted, int]) -> None:
    noted, port = server
    seen: list[Headers] = []

    @noted.hooks.on(Event)
    async def note(event: Event, attempt: Attempt) -> None:
        seen.append(attempt.delivery.headers)

    chunked = head(genuine(), b"transfer-encoding: chunked", b"expect: 100-continue")
    trailers = b"signature: up42-sig=AAAA\r\nx-late: 1\r\n"
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as sock:
        sock.sendall(chunked)
        assert status(sock.recv(65_536)) == 100  # it reads the body now
        sock.sendall(b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(BODY), BODY, trailers))
        assert status(sock.recv(65_536)) == 204
    (headers,) = seen
    assert [name for name, _ in headers].count(b"signature") == 1
    assert b"x-late" not in dict(headers)


@pytest.mark.parametrize("start", [b"", BODY[:20]])
def test_a_body_that_never_ends_is_answered_408(server: tuple[Noted, int], start: bytes) -> None:
    noted, port = server
    answer = talk(port, head(genuine(), sized(BODY)), start)
    assert status(answer) == 408
    assert noted.hooks.rejected == {"BodyTooSlow": 1}


def test_a_client_that_is_gone_half_way_leaves_nothing_behind(server: tuple[Noted, int]) -> None:
    noted, port = server
    for _ in range(20):
        with closing(socket.create_connection(("127.0.0.1", port))) as sock:
            sock.sendall(head(genuine(), sized(BODY)) + BODY[:20])
    assert status(talk(port, head(genuine(), sized(BODY)), BODY)) == 204
    assert len(noted.events) == 1


@pytest.mark.parametrize(
    ("length", "statuses"),
    [
        (b"content-length: 5", {400, 401}),  # the rest is taken for another request
        (b"content-length: -5", {400}),
        (b"content-length: 1e3", {400}),
        (b"content-length: 18446744073709551616", {400, 413}),
        (b"content-length: 99999999999", {413}),
        (b"content-length: 146\r\ncontent-length: 147", {400}),
        (b"content-length: %d" % (len(BODY) + 1), {408}),
    ],
)
def test_a_wrong_content_length_is_a_client_error(server: tuple[Noted, int], length: bytes, statuses: set[int]) -> None:
    noted, port = server
    assert status(talk(port, head(genuine(), length), BODY)) in statuses
    assert noted.events == []


@pytest.mark.parametrize(
    "line",
    [
        b"signature: " + HUSH,
        b"signature-input:",
        b"signature-input: up42-sig=(" + HUSH + b");created=1765433007",
        b"x-note: \xff\xfe" + HUSH,
        b"x-long: " + HUSH * 2000,
        b"digest: SHA-256=" + HUSH,
        b"content-encoding: " + HUSH,
        b"transfer-encoding: chunked",
    ],
)
def test_an_odd_header_beside_a_genuine_signature_is_answered_2xx_or_4xx(
    server: tuple[Noted, int], line: bytes
) -> None:
    _, port = server
    answered = status(talk(port, head(genuine(), line, sized(BODY)), BODY))
    assert answered is not None
    assert 200 <= answered <= 499


def test_headers_of_100_kb_are_rejected(server: tuple[Noted, int]) -> None:
    noted, port = server
    for name in (b"signature-input", b"signature", b"x-padding"):
        value = b'up42-sig=("digest");created=1765433007;x=' + HUSH * 6000
        assert status(talk(port, head([], b"%b: %b" % (name, value)))) in (None, 400, 401, 431)
    assert noted.events == []


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"TRACE"])
def test_other_methods_are_answered_405(server: tuple[Noted, int], method: bytes) -> None:
    answer = talk(server[1], head(genuine(), method=method))
    assert status(answer) == 405
    assert b"allow: post" in answer.lower()


def test_a_websocket_is_rejected(server: tuple[Noted, int]) -> None:
    upgrade = (
        b"upgrade: websocket",
        b"connection: upgrade",
        b"sec-websocket-version: 13",
        b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    assert status(talk(server[1], head([], *upgrade, method=b"GET"))) == 403


def test_requests_that_come_at_once_on_one_connection_are_answered_in_order(server: tuple[Noted, int]) -> None:
    noted, port = server
    one = head(genuine(), sized(BODY)) + BODY
    other = head(signed(BODY, secret="another", now=time.time()), sized(BODY)) + BODY
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as sock:
        sock.sendall(one + other + one)
        answer = b""
        while answer.count(b"HTTP/1.1 ") < 3:
            answer += sock.recv(65536)
    assert [status(b"HTTP/1.1 " + each) for each in answer.split(b"HTTP/1.1 ")[1:]] == [204, 401, 204]
    assert len(noted.events) == 2


def test_many_forged_megabytes_cost_a_bounded_amount_of_memory(server: tuple[Noted, int]) -> None:
    noted, port = server
    body = json.dumps({"event": "order.status", "body": {"status": "x" * 90_000}}).encode()
    forged = head(signed(body, secret="another", now=time.time()), sized(body)) + body
    talk(port, forged)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(300):
        talk(port, forged)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 10, f"{grown:.0f} MiB more after 27 MB of forged bodies"
    assert noted.events == []
    assert noted.hooks.rejected["BadSignature"] == 301


def test_a_client_that_is_gone_leaves_no_traceback_under_middleware_either(caplog: pytest.LogCaptureFixture) -> None:
    async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    noted = noting(clock=None)
    middleware = [Middleware(BaseHTTPMiddleware, dispatch=pass_on)]
    with serving(Starlette(routes=[noted.hooks.route("/webhooks")], middleware=middleware)) as url:
        port = int(url.rpartition(":")[2])
        for _ in range(5):
            with closing(socket.create_connection(("127.0.0.1", port))) as sock:
                sock.sendall(head(genuine(), sized(BODY)) + BODY[:20])
        assert status(talk(port, head(genuine(), sized(BODY)), BODY)) == 204
    assert not [record for record in caplog.records if record.exc_info]
    assert noted.hooks.rejected == {"BodyIncomplete": 5}
