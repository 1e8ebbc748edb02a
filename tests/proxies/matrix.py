"""The matrix of proxies: valid requests of every kind that a proxy or a server may change, and how each is answered."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from webhook_receiver import Scheme, UP42Signature
from webhook_receiver.delivery import RequestHead

from .app import SECRET, SMALL, WholeRequest

Pairs = Sequence[tuple[bytes, bytes]]

BODY = b'{"event": "parcel.lost", "number": "P7"}'
HOST = b"hooks.example.com"
JSON = (b"Content-Type", b"application/json")
MIB = 1024 * 1024
"""The number of bytes of the largest body that the receiver takes."""
OVER = b"x" * (MIB + MIB // 2)
"""A body that is too large for it, and whose rest is more than it reads before the response."""


class Request(NamedTuple):
    """A request as it goes over the wire."""

    method: bytes
    head: bytes
    parts: Sequence[bytes]
    """The body as it is framed, in the parts in which it is sent."""
    waits: bool
    """Whether the body is sent only when the server says 100."""
    pause: float = 0.0
    """The number of seconds before each part of the body."""
    is_last: bool = False
    """Whether the client then shuts its sending side, and goes on to read (RFC 9112, section 9.6)."""


class Case(NamedTuple):
    """One or several requests on a connection, with what is special about them."""

    name: str
    answer: str
    """How a receiver under uvicorn with httptools answers; see `client.answer`. " or " is between several answers."""
    requests: Sequence[Request]


def request(
    *signed: tuple[bytes, bytes],
    method: bytes = b"POST",
    target: bytes = b"/webhooks",
    scheme: str = "",
    host: bytes = HOST,
    body: bytes = BODY,
    secret_body: bytes | None = None,
    framing: bytes | None = None,
    framed: Sequence[bytes] | None = None,
    unsigned: Pairs = (),
    type: Pairs = (JSON,),
    version: bytes = b"1.1",
    waits: bool = False,
    by: Scheme | None = None,
) -> Request:
    """Return a request, signed.

    Args:
        signed: headers that are signed, beside Host and Content-Type.
        method: the method.
        target: the path with the query, as signed and sent.
        scheme: what is sent in front of the target, such as "https://hooks.example.com".
        host: the value of Host.
        body: the body.
        secret_body: the body that is signed; None for `body`.
        framing: the header that frames the body, without a line end; None for a Content-Length, empty for none.
        framed: the body as it is framed, in the parts in which it is sent; None for `body` in one.
        unsigned: headers that are sent and not signed.
        type: the headers with the type, signed.
        version: the version of HTTP.
        waits: whether the body is sent only when the server says 100.
        by: the scheme; None for that of the whole request.
    """
    given = [(b"Host", host), *type, *signed]
    head = RequestHead.of(given, method=method.decode(), target=target)
    signature = (by or WholeRequest()).sign(head, body if secret_body is None else secret_body, time.time())
    lines = [b"%b %b%b HTTP/%b" % (method, scheme.encode(), target, version)]
    lines += [b"%b: %b" % pair for pair in (*given, *signature.headers[len(given) :], *unsigned)]
    if framing is None:
        framing = b"Content-Length: %d" % len(body)
    head_lines = [line for line in (*lines, framing) if line]
    parts = [body] if framed is None else framed
    return Request(method, b"\r\n".join(head_lines) + b"\r\n\r\n", parts, waits)


def chunked(body: bytes, size: int, form: bytes = b"%x", extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """Return a body in chunks of a size, in bytes (RFC 9112, section 7.1)."""
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    line = form + extension + b"\r\n%b\r\n"
    return b"".join(line % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"


def ready() -> Case:
    """Return what shows that the app answers."""
    return Case("ready", "202", [request()])


HEALTHY = "200 of its own"
"""How the app answers a request for its health."""


def health() -> list[Case]:
    """Return how a stranger may ask for the health of the app."""
    ways = {
        "as it is": (b"/healthz", ""),
        "with a query": (b"/healthz?a=1", ""),
        "encoded": (b"/%68ealth%7A", ""),
        "in absolute form": (b"/healthz", "https://hooks.example.com"),
        "with a slash": (b"/healthz/", ""),
        "with an encoded slash": (b"/healthz%2F", ""),
        "with an encoded line end": (b"/healthz%0A", ""),
    }
    asked = {
        name: request(method=b"GET", target=target, scheme=scheme, body=b"", framing=b"")
        for name, (target, scheme) in ways.items()
    }
    return [Case(name, HEALTHY, [each]) for name, each in asked.items()]


def detours() -> list[Case]:
    """Return requests for other paths, of which a proxy may make that of the health."""
    targets = (b"//healthz", b"/./healthz", b"/.//healthz", b"/.///healthz%2F", b"/%2e//healthz", b"/a/..//healthz")
    return [
        Case(target.decode(), "405", [request(method=b"GET", target=target, body=b"", framing=b"")])
        for target in targets
    ]


def _signed_headers() -> Iterator[Case]:
    values = {
        "Date": b"Sun, 29 Nov 2026 14:00:00 GMT",
        "Date as ISO 8601": b"2026-11-29T14:00:00Z",
        "User-Agent": b"UP42-Webhooks/1.0 (+https://example.com)",
        "Accept": b"*/*;q=0.8, application/json",
        "Accept-Encoding": b"gzip, deflate, br",
        "Accept-Language": b"de, en;q=0.5",
        "Authorization": b"Bearer abc.def-ghi",
        "Authorization of a name": b"Basic dXNlcjpwYXNzd29yZA==",
        "Proxy-Authorization": b"Basic dXNlcjpwYXNzd29yZA==",
        "Cookie": b'a=1; b="2"; c=',
        "Cache-Control": b"no-cache, no-store",
        "Pragma": b"no-cache",
        "Traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Tracestate": b"a=1,b=2",
        "Baggage": b"userId=alice",
        "X-Request-Id": b"7b7c1a",
        "X-Correlation-Id": b"7b7c1a",
        "Origin": b"https://example.com",
        "Referer": b"https://example.com/a?b=c#d",
        "From": b"hooks@example.com",
        "Content-Language": b"en",
        "Content-Location": b"/a/../b",
        "Content-MD5": b"1B2M2Y8AsgTpgAmY7PhCfg==",
        "Digest": b"SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "Content-Digest": b"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        "If-Match": b'"a", W/"b"',
        "If-None-Match": b"*",
        "If-Modified-Since": b"Sat, 28 Nov 2026 14:00:00 GMT",
        "Range": b"bytes=0-9",
        "Max-Forwards": b"10",
        "Via": b"1.1 gateway",
        "Warning": b'199 - "odd"',
        "Priority": b"u=1, i",
        "Early-Data": b"1",
        "X-Forwarded-For": b"203.0.113.9, 10.0.0.1",
        "X-Forwarded-Proto": b"http",
        "X-Forwarded-Host": b"public.example.com",
        "X-Forwarded-Port": b"8443",
        "X-Forwarded-Server": b"gateway",
        "X-Forwarded-Prefix": b"/api",
        "X-Real-IP": b"203.0.113.9",
        "Forwarded": b"for=203.0.113.9;proto=http;by=10.0.0.1",
        "X-Original-URL": b"/other",
        "X-Rewrite-URL": b"/other",
        "X-HTTP-Method-Override": b"PUT",
        "X-Sendfile-Type": b"X-Accel-Redirect",
        "Connection": b"keep-alive",
        "Keep-Alive": b"timeout=5, max=100",
        "TE": b"trailers",
        "Proxy-Connection": b"keep-alive",
        "Upgrade": b"websocket",
        "Upgrade-Insecure-Requests": b"1",
    }
    for title, value in values.items():
        name = title.partition(" ")[0]
        yield Case(f"a signed {title}", "202", [request((name.encode(), value))])
    closing = request((b"Connection", b"close"))
    yield Case("a signed Connection: close", "202", [closing])
    length = (b"Content-Length", b"%d" % len(BODY))
    yield Case("a signed Content-Length", "202", [request(length, framing=b"")])


def _names_and_values() -> Iterator[Case]:
    names = {
        "a name with _": b"X_Up42_Event",
        "a name with .": b"X.Up42.Event",
        "a name of odd characters": b"X!#$%&'*+^`|~",
        "a name of digits": b"42",
        "a name of one letter": b"A",
        "a name in capitals": b"X-UP42-EVENT",
        "a name in small letters": b"x-up42-event",
        "a name that begins with -": b"-x-event",
        "a name that ends with _": b"X-Event_",
        "a name of 200 characters": b"X-" + b"n" * 198,
    }
    for title, name in names.items():
        yield Case(title, "202", [request((name, b"order.status"))])
    values = {
        "an empty value": b"",
        "a value with spaces behind it": b"v  ",
        "a value with a tab behind it": b"v\t",
        "a value with spaces and tabs before it": b" \t v",
        "a value with two spaces in it": b"a  b",
        "a value with a tab in it": b"a\tb",
        "a value in quotes": b'"a, \\"b\\""',
        "a value with commas": b"a,b ,c,, d,",
        "a value with : and ;": b":a;b=c:",
        "a value with %": b"%41%2f%zz",
        "a value in Latin-1": "caf\xe9".encode("latin-1"),
        "a value in UTF-8": "caf\xe9 \u20ac".encode(),
        "a value with C1 bytes": b"a\x80\x9fb",
        "a value of 7,000 bytes": b"v" * 7_000,
        "a value of 10,000 bytes": b"v" * 10_000,
        "a value of 20,000 bytes": b"v" * 20_000,
    }
    for title, value in values.items():
        yield Case(title, "202", [request((b"X-Value", value))])
    for count in (60, 90, 110):
        many = [(b"X-%d" % number, b"v%d" % number) for number in range(count)]
        yield Case(f"{count} headers", "202", [request(*many)])
    types = {
        "no Content-Type": (),
        "a Content-Type with parameters": ((b"Content-Type", b'application/json; charset="utf-8" ;a=b'),),
        "a Content-Type in capitals": ((b"Content-Type", b"Application/JSON;Charset=UTF-8"),),
        "an odd Content-Type": ((b"Content-Type", b"application/vnd.up42+json;  v=1"),),
    }
    for title, type in types.items():
        yield Case(title, "202", [request(type=type)])


def _repeated() -> Iterator[Case]:
    two = {
        "a header twice": [(b"X-Event", b"a"), (b"X-Event", b"b")],
        "a header twice, another between": [(b"X-Event", b"a"), (b"X-Other", b"c"), (b"X-Event", b"b")],
        "a header twice, equal": [(b"X-Event", b"a"), (b"x-event", b"a")],
        "Accept twice": [(b"Accept", b"text/plain"), (b"Accept", b"*/*")],
        "Cookie twice": [(b"Cookie", b"a=1"), (b"Cookie", b"b=2")],
        "User-Agent twice": [(b"User-Agent", b"a"), (b"User-Agent", b"b")],
        "X-Forwarded-For twice": [(b"X-Forwarded-For", b"203.0.113.9"), (b"X-Forwarded-For", b"10.0.0.1")],
        "Via twice": [(b"Via", b"1.1 a"), (b"Via", b"1.1 b")],
    }
    for title, pairs in two.items():
        yield Case(title, "202", [request(*pairs)])
    yield Case("Content-Type twice", "202", [request(type=(JSON, JSON))])
    yield Case("Content-Type twice, and signed as one", "401", [request(unsigned=[JSON])])
    yield Case("Content-Type twice, not signed", "202", [request(type=(), unsigned=[JSON, JSON])])
    scheme = UP42Signature(SECRET)
    yield Case("UP42's signature", "204", [request(target=b"/up42", by=scheme)])
    listed = UP42Signature(SECRET, components=["digest", "x-event"])
    twice = request((b"X-Event", b"a"), unsigned=[(b"X-Event", b"a")], target=b"/up42", by=listed)
    yield Case("a header of UP42's list twice", "401", [twice])
    twice = request(unsigned=[(b"X-Event", b"a"), (b"X-Event", b"a")], target=b"/up42", by=scheme)
    yield Case("another header twice, beside UP42's list", "204", [twice])


def _hosts() -> Iterator[Case]:
    hosts = {
        "Host with a port": HOST + b":8443",
        "Host with the port of HTTPS": HOST + b":443",
        "Host in capitals": b"Hooks.Example.COM",
        "Host in capitals with a port": b"HOOKS.example.com:443",
    }
    for title, host in hosts.items():
        yield Case(title, "202", [request(host=host)])
    yield Case("the absolute form", "202", [request(scheme="https://" + HOST.decode())])


def _targets() -> Iterator[Case]:
    targets = {
        "/": "the path /",
        "/webhooks/": "a path with / at its end",
        "/a//b": "a path with //",
        "//a": "a path that begins with //",
        "/a///": "a path that ends with ///",
        "/a%2Fb": "a path with %2F",
        "/a%2fb": "a path with %2f",
        "/a%5Cb": "a path with %5C",
        "/a/../b": "a path with ..",
        "/a/./b": "a path with .",
        "/a/..": "a path that ends with ..",
        "/a/%2E%2E/b": "a path with %2E%2E",
        "/a/...": "a path with ...",
        "/.well-known/hooks": "a path with a dot in front",
        "/a;v=1/b;c": "a path with ;",
        "/a%3Bb": "a path with %3B",
        "/a%25b": "a path with %25",
        "/a%252Fb": "a path with %252F",
        "/a%20b": "a path with %20",
        "/a+b": "a path with +",
        "/a%3Fb": "a path with %3F",
        "/a%23b": "a path with %23",
        "/%7Eme": "a path with %7E",
        "/%61": "a path with a letter encoded",
        "/caf%C3%A9": "a path in UTF-8, encoded",
        "/caf%E9": "a path in Latin-1, encoded",
        "/a%0Ab": "a path with %0A",
        "/!$&'()*+,=:@-._~": "a path with all characters of RFC 3986",
        "/a?": "an empty query",
        "/a?b": "a query without =",
        "/a?b=": "a query without a value",
        "/a?=b": "a query without a name",
        "/a?b=1&b=2&a=0": "a query with a name twice",
        "/a?&&b=1&": "a query with && and & at its end",
        "/a?b=1;c=2": "a query with ;",
        "/a?b=c+d%20e": "a query with + and %20",
        "/a?b=%2F%26%3D%25": "a query with encoded characters",
        "/a?b=%c3%a9": "a query encoded in small letters",
        "/a?b=/..//./": "a query with a path",
        "/a?b[1]=c": "a query with []",
        "/a?b='c'": "a query with '",
        "/a?b?c?": "a query with ?",
        "/a?b=https://example.com:443/x": "a query with a URL",
        "/" + "p" * 4_000: "a path of 4,000 bytes",
        "/a?" + "q" * 6_000: "a query of 6,000 bytes",
        "/a?" + "q" * 16_000: "a query of 16,000 bytes",
    }
    for target, title in targets.items():
        # ASGI has no word for it: the app gets the same of `/a` and of `/a?`.
        yield Case(title, "401" if target == "/a?" else "202", [request(target=target.encode())])


def _bodies() -> Iterator[Case]:
    bodies = {
        "an empty body": b"",
        "a body of one byte": b"1",
        "a body of all bytes": bytes(range(256)),
        "a body with line ends and white space": b' \r\n{"event":\n"a"}\t\r\n\r\n',
        "a body with a byte order mark": b'\xef\xbb\xbf{"event": "a"}',
        "a body in UTF-8": '{"event": "caf\xe9 \u20ac"}'.encode(),
        "a body of 600 bytes": b"x" * 600,
        "a body of 64 KiB": b"x" * 65_536,
        "a body of 900 KiB": b"x" * 900 * 1024,
        "a body of 1 MiB": b"x" * MIB,
    }
    for title, body in bodies.items():
        yield Case(title, "202", [request(body=body)])
    yield Case("no body and no Content-Length", "202", [request(body=b"", framing=b"")])
    form = request(type=[(b"Content-Type", b"application/x-www-form-urlencoded")], body=b"a=1&b=c+d&e=%41")
    yield Case("a form", "202", [form])
    parts = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    yield Case(
        "a form of parts", "202", [request(type=[(b"Content-Type", b"multipart/form-data; boundary=x")], body=parts)]
    )
    yield Case("Content-Encoding: identity", "202", [request((b"Content-Encoding", b"identity"))])
    packed = request((b"Content-Encoding", b"gzip"), body=gzip.compress(BODY, mtime=0))
    yield Case("Content-Encoding: gzip", "415", [packed])
    whole = request()
    yield Case("a body in parts of one byte", "202", [whole._replace(parts=[bytes([each]) for each in BODY])])
    whole = request()
    yield Case("a body together with the head", "202", [whole._replace(head=whole.head + BODY, parts=[])])
    yield Case("a slow body", "202", [_slowly(request())])


def _chunked() -> Iterator[Case]:
    coding = b"Transfer-Encoding: chunked"
    forms = {
        "a chunked body": chunked(BODY, 16),
        "a chunked body in chunks of one byte": chunked(BODY, 1),
        "a chunked body with sizes in capitals": chunked(BODY, 14, b"%X"),
        "a chunked body with zeros before the sizes": chunked(BODY, 16, b"000%x"),
        "a chunked body with an extension": chunked(BODY, 16, extension=b";a=b"),
        "a chunked body with a trailer": chunked(BODY, 16, trailer=b"X-Trailer: 1\r\n"),
    }
    for title, framed in forms.items():
        yield Case(title, "202", [request(framing=coding, framed=[framed])])
    yield Case("an empty chunked body", "202", [request(body=b"", framing=coding, framed=[b"0\r\n\r\n"])])
    large = b"x" * 900 * 1024
    yield Case("a chunked body of 900 KiB", "202", [request(body=large, framing=coding, framed=[chunked(large, 8192)])])
    yield Case("a slow chunked body", "202", [_slowly(request(framing=coding, framed=[chunked(BODY, 16)]))])
    signed = request((b"Transfer-Encoding", b"chunked"), framing=b"", framed=[chunked(BODY, 16)])
    yield Case("a signed Transfer-Encoding", "202", [signed])
    over = b"x" * (SMALL + 8192)
    yield Case(
        "a chunked body that is too large",
        "413",
        [request(target=b"/small", body=over, framing=coding, framed=[chunked(over, 8192)])],
    )
    yield Case("a chunked body of 1.5 MiB", "413", [request(body=OVER, framing=coding, framed=[chunked(OVER, 8192)])])


def _slowly(whole: Request) -> Request:
    body = b"".join(whole.parts)
    size = -(-len(body) // 4)
    return whole._replace(parts=[body[at : at + size] for at in range(0, len(body), size)], pause=0.02)


def _rejected() -> Iterator[Case]:
    over = b"x" * (SMALL + 8192)
    yield Case("a body that is too large", "413", [request(target=b"/small", body=over)])
    yield Case("no signature", "401", [_without_signature(request())])
    yield Case("another body than was signed", "401", [request(secret_body=b"{}")])
    yield Case("another body than was signed, of 60 KB", "401", [request(body=b"x" * 60_000, secret_body=b"{}")])
    yield Case("no signature, and a body of 60 KB", "401", [_without_signature(request(body=b"x" * 60_000))])
    large = b"x" * 900 * 1024
    yield Case("a body of 1.5 MiB", "413", [request(body=OVER)])
    yield Case("another body than was signed, of 900 KiB", "401", [request(body=large, secret_body=b"{}")])
    yield Case("no signature, and a body of 900 KiB", "401", [_without_signature(request(body=large))])
    for method in (b"GET", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"):
        body = BODY if method in (b"PUT", b"PATCH") else b""
        framing = None if body else b""
        yield Case(f"the method {method.decode()}", "405", [request(method=method, body=body, framing=framing)])


def _without_signature(whole: Request) -> Request:
    lines = [line for line in whole.head.split(b"\r\n") if not line.startswith(b"signature: ")]
    return whole._replace(head=b"\r\n".join(lines))


def _expecting() -> Iterator[Case]:
    expect = (b"Expect", b"100-continue")
    yield Case("Expect, and a body that waits", "202", [request(unsigned=[expect], waits=True)])
    yield Case("Expect, and a body that does not wait", "202", [request(unsigned=[expect])])
    yield Case("Expect in capitals", "202", [request(unsigned=[(b"EXPECT", b"100-Continue")], waits=True)])
    yield Case("a signed Expect", "202", [request(expect, waits=True)])
    large = request(unsigned=[expect], waits=True, body=b"x" * 900 * 1024)
    yield Case("Expect, and a body of 900 KiB", "202", [large])
    over = request(unsigned=[expect], waits=True, target=b"/small", body=b"x" * (SMALL + 8192))
    yield Case("Expect, and a body that is too large", "413", [over])
    over = request(unsigned=[expect], waits=True, body=OVER)
    yield Case("Expect, and a body of 1.5 MiB", "413", [over])
    yield Case("Expect, and no signature", "401", [_without_signature(request(unsigned=[expect], waits=True))])
    packed = request((b"Content-Encoding", b"gzip"), unsigned=[expect], waits=True)
    yield Case("Expect, and Content-Encoding: gzip", "415", [packed])


def _connections() -> Iterator[Case]:
    yield Case("HTTP/1.0", "202", [request(version=b"1.0")])
    kept = request(version=b"1.0", unsigned=[(b"Connection", b"keep-alive")])
    yield Case("HTTP/1.0 with keep-alive", "202", [kept])
    yield Case("Connection: close", "202", [request(unsigned=[(b"Connection", b"close")])])
    several = [request(target=b"/%d" % number) for number in range(3)]
    yield Case("three requests on a connection", "202, 202, 202", several)
    first, second = request(), request()
    both = [first._replace(parts=[*first.parts, second.head, *second.parts]), second._replace(head=b"", parts=[])]
    yield Case("two requests at once", "202, 202", both)
    yield Case("a request behind one that is rejected", "401, 202", [_without_signature(request()), request()])
    named = request((b"X-Hop", b"1"), unsigned=[(b"Connection", b"X-Hop")])
    yield Case("a header that Connection names", "202", [named])
    last = request()._replace(is_last=True)
    yield Case("a client that shuts its sending side", "none", [last])
    last = request(body=b"x" * 900 * 1024)._replace(is_last=True)
    yield Case("a client that shuts its sending side behind 900 KiB", "202 or none", [last])
    halves = request()
    half = len(halves.head) // 2
    yield Case(
        "a head in two parts", "202", [halves._replace(head=halves.head[:half], parts=[halves.head[half:], BODY])]
    )


def cases() -> list[Case]:
    """Return the matrix, signed now: each request may be sent once, and is a duplicate afterwards."""
    kinds = (_signed_headers, _names_and_values, _repeated, _hosts, _targets, _bodies, _chunked, _rejected, _expecting)
    return [case for kind in (*kinds, _connections) for case in kind()]
