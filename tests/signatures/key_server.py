"""A local HTTP server that publishes keys, well or badly; and a scheme that fetches what it needs, for tests."""

from __future__ import annotations

import asyncio
import json
import ssl
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from webhook_receiver.delivery import RequestHead
from webhook_receiver.errors import BadSignature, KeysUnavailable
from webhook_receiver.signatures import BodyCheck, KeysNeeded, Scheme, Verified

Answer = bytes | Callable[[], Awaitable[bytes]]


@dataclass
class Served:
    """A server, what it answers, and the paths that it was asked for."""

    url: str
    answer: Answer
    paths: list[str] = field(default_factory=list[str])


def ok(body: bytes, *headers: bytes) -> bytes:
    """Return a response with a body."""
    return b"\r\n".join(
        [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers, b"connection: close", b"", body]
    )


def status(line: str, *headers: bytes) -> bytes:
    """Return a response without a body, such as "302 Found"."""
    first = f"HTTP/1.1 {line}".encode()
    return b"\r\n".join([first, b"content-length: 0", *headers, b"connection: close", b"", b""])


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncGenerator[Served]:
    """Serve an answer on a free port."""
    served = Served("", answer)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            served.paths.append(request.split(b" ")[1].decode())
            given = served.answer
            writer.write(given if isinstance(given, bytes) else await given())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has had enough
        finally:
            writer.close()

    server = await asyncio.start_server(handle, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    served.url = f"{'https' if tls else 'http'}://{host}:{port}/keys"
    try:
        yield served
    finally:
        server.close()


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(private: Any, **members: Any) -> dict[str, Any]:
    """Return the public half of a key as a JWK, written by hand (RFC 7518, section 6; RFC 8037)."""
    public = private.public_key()
    if hasattr(public, "public_bytes_raw"):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw()), **members}
    numbers = public.public_numbers()
    if hasattr(numbers, "n"):
        return {"kty": "RSA", "n": b64(numbers.n.to_bytes(256, "big")), "e": "AQAB", **members}
    size = (public.key_size + 7) // 8
    x, y = (b64(each.to_bytes(size, "big")) for each in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": f"P-{public.key_size}", "x": x, "y": y, **members}


def jwks(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def fetched(needed: KeysNeeded) -> None:
    """Fetch what is needed, from code that is not async."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(_awaited(needed))).result(30)


async def _awaited(needed: KeysNeeded) -> None:
    await needed.fetch()


class Fetching:
    """A scheme that signs by one scheme and verifies by another, for which it fetches what that needs."""

    def __init__(self, signer: Scheme, verifier: Scheme) -> None:
        self._signer, self._verifier = signer, verifier
        self.secret_count = verifier.secret_count

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        return self._signer.sign(head, body, now)

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        found = _fetching(partial(self._verifier.verify, head, now))

        def check(body: bytes) -> Verified:
            try:
                return found(body)
            except KeysNeeded as needed:
                missing = needed
            _fetched_or_rejected(missing)
            return self._verifier.verify(head, now)(body)

        return check


def _fetching(verify: Callable[[], BodyCheck]) -> BodyCheck:
    try:
        return verify()
    except KeysNeeded as needed:
        missing = needed
    _fetched_or_rejected(missing)
    return verify()


def _fetched_or_rejected(needed: KeysNeeded) -> None:
    """Fetch what is needed; what cannot be verified for lack of it is not verified either."""
    try:
        fetched(needed)
    except KeysUnavailable as error:
        raise BadSignature(str(error)) from None
