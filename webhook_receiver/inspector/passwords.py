"""Users and their passwords in a file: each is a line with the name and scrypt's hash (RFC 7914)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ..errors import ConfigurationError
from ..signatures.secrets import is_same
from .loopback import is_loopback_peer

logger = logging.getLogger("webhook_receiver")

_COST, _BLOCK, _PARALLEL = 2**14, 8, 5
"""The parameters of scrypt, by OWASP's Password Storage Cheat Sheet: 16 MiB, and about a tenth of a second."""
_MOST_COST = 2**20
_MEMORY = 2**30  # bytes that scrypt may use, whatever the file says
_PACE = 0.3  # seconds after a wrong password in which no other one of its lane is tried
_REST = 0.1  # seconds after it in which none at all is tried
_MOST_WAITING = 4  # requests of a lane that wait for their password to be tried
_LANES = 8  # of one peer, among which the names of users are shared out
_MOST_LANES = 256  # in which somebody waits
_MOST_KNOWN = 1000  # passwords that were right, and need not be tried again
_SHORTEST = 8  # characters of a new password
_CHALLENGE = {"www-authenticate": 'Basic realm="webhook-receiver", charset="UTF-8"'}
NEEDS_TLS = (
    "A password is asked for on TLS or on this machine only, since everybody on the way could read it: use https, or a "
    "tunnel such as  ssh -L 8000:127.0.0.1:8000 HOST"
)


class _Hash(NamedTuple):
    """A password's hash, with the parameters that it was made by."""

    cost: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: str) -> Self:
        salt = secrets.token_bytes(16)
        return cls(_COST, _BLOCK, _PARALLEL, salt, _scrypt(password, _COST, _BLOCK, _PARALLEL, salt))

    @classmethod
    def read(cls, text: str) -> Self:
        kind, cost, block, parallel, salt, digest = text.split("$")
        numbers = int(cost), int(block), int(parallel)
        is_power = numbers[0] > 1 and numbers[0] & (numbers[0] - 1) == 0
        if (
            kind != "scrypt"
            or not is_power
            or numbers[0] > _MOST_COST
            or not all(0 < each < 65 for each in numbers[1:])
        ):
            raise ValueError
        return cls(*numbers, b64decode(salt, validate=True), b64decode(digest, validate=True))

    def is_of(self, password: str) -> bool:
        found = _scrypt(password, self.cost, self.block, self.parallel, self.salt)
        return is_same(self.digest, found)

    def __str__(self) -> str:
        salt, digest = (b64encode(each).decode() for each in (self.salt, self.digest))
        return f"scrypt${self.cost}${self.block}${self.parallel}${salt}${digest}"

    def __repr__(self) -> str:
        return "<hash of a password>"


class _Lane:
    """The requests of a peer, for some of the names, that wait for their passwords to be tried."""

    def __init__(self) -> None:
        self.waiting = 0
        self.turn = asyncio.Lock()


def _scrypt(password: str, cost: int, block: int, parallel: int, salt: bytes) -> bytes:
    given = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(given, salt=salt, n=cost, r=block, p=parallel, maxmem=_MEMORY, dklen=32)


class PasswordFile:
    """The users of a file, who prove themselves by name and password (HTTP Basic, RFC 7617): `Inspector(auth=...)`.

    A password is asked for on TLS, and from this machine. One is tried at a time, in a thread, and none for a moment
    after a wrong one; what was right once costs nothing again. The file is read again when it has changed.

    Who guesses makes nobody wait for long but those who come from the same address and whose names are in the same lane
    as his: names are shared out by a hash that he cannot know, also those that no user has.

    Args:
        path: the file. `webhook-receiver password FILE NAME` writes a user to it.

    Raises:
        ConfigurationError: the file cannot be read, has a line that is none, or has no user.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._stamp = _stamp(self._path)
        self._users: Mapping[str, _Hash] = read_users(self._path)
        if not self._users:
            raise ConfigurationError(
                f"{self._path} has no user, so nobody could get in:  webhook-receiver password {self._path} NAME"
            )
        self._nobody = _Hash(_COST, _BLOCK, _PARALLEL, secrets.token_bytes(16), secrets.token_bytes(32))
        self._known: dict[bytes, str] = {}
        self._key = secrets.token_bytes(32)
        self._lanes: dict[tuple[str, int], _Lane] = {}
        """Those in which somebody waits, by the peer's address and the number of the lane."""
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<PasswordFile {str(self._path)!r}: {len(self._users)} users>"

    async def __call__(self, request: Request) -> str | Response:
        """Return the name of the user whose password a request has, else the response that asks for it."""
        if not is_private(request):
            return PlainTextResponse(NEEDS_TLS, 403)
        given = _credentials(request.headers.get("authorization", ""))
        if given is None:
            return PlainTextResponse("a name and a password are needed", 401, _CHALLENGE)
        self._read_again()
        name, password = given
        seen = self._digest(repr(given))
        if self._known.get(seen) == name:
            return name
        which = request.client.host if request.client else "", self._digest(name)[0] % _LANES
        lane = self._lanes.get(which) or _Lane()
        if lane.waiting >= _MOST_WAITING or (not lane.waiting and len(self._lanes) >= _MOST_LANES):
            return PlainTextResponse("too many passwords are being tried", 429, {"retry-after": "2"})
        self._lanes[which] = lane
        lane.waiting += 1
        try:
            async with lane.turn:
                is_right = await self._try(name, password)
                if not is_right:
                    await asyncio.sleep(_PACE)
        finally:
            lane.waiting -= 1
            if not lane.waiting:
                del self._lanes[which]
        if not is_right:
            return PlainTextResponse("the name or the password is wrong", 401, _CHALLENGE)
        while len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[seen] = name
        return name

    async def _try(self, name: str, password: str) -> bool:
        """Return whether a password is that of a user, and still is once it was tried."""
        async with self._turn:
            expected = self._users.get(name, self._nobody)  # so that it takes as long for a name that is none
            if await asyncio.to_thread(expected.is_of, password):
                self._read_again()
                return self._users.get(name) == expected
            await asyncio.sleep(_REST)
            return False

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")

    def _read_again(self) -> None:
        """Read the file again if it has changed; while it cannot be read, nobody gets in."""
        if (stamp := _stamp(self._path)) == self._stamp:
            return
        self._known.clear()
        self._users, self._stamp = {}, stamp
        try:
            self._users = read_users(self._path)
        except ConfigurationError as error:
            logger.error("nobody gets into the inspector: %s", error)


def is_private(request: Request) -> bool:
    """Return whether nobody on the way can read a request: it came by TLS, also to a proxy before us, or from this
    machine.

    Who claims TLS by a header, and has none, puts nobody's password at risk but his own.
    """
    forwarded = request.headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    if request.url.scheme == "https" or forwarded == "https":
        return True
    return is_loopback_peer(request) and not forwarded


def _credentials(header: str) -> tuple[str, str] | None:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, colon, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (name, password) if colon else None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_users(path: Path) -> Mapping[str, _Hash]:
    """Return the hashes of the passwords in a file, by the names of the users.

    Raises:
        ConfigurationError: the file cannot be read, or has a line that is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"cannot read the users of the inspector from {path}: {why}") from None
    users: dict[str, _Hash] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, text = line.partition(":")
        try:
            users[name] = _Hash.read(text.strip())
        except ValueError:
            raise ConfigurationError(
                f"line {number} of {path} is no user: one is written by  webhook-receiver password {path} NAME"
            ) from None
    return users


def write_user(path: Path, name: str, password: str) -> bool:
    """Write a user with a new password to a file, which only its owner may read; return whether the user is new.

    Raises:
        ConfigurationError: the name or the password cannot be one, or the file cannot be read or written.
    """
    if not name or not name.isprintable() or ":" in name or name.strip() != name or name.startswith("#"):
        raise ConfigurationError(
            "a user's name is a text in one line, without a colon, white space around it, or # first"
        )
    if len(password) < _SHORTEST:
        raise ConfigurationError(f"a password has {_SHORTEST} characters or more")
    users = {**read_users(path)} if path.exists() else {}
    is_new = name not in users
    users[name] = _Hash.of(password)
    written = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{each}:{found}\n" for each, found in users.items())
        written.replace(path)
    except OSError as error:
        written.unlink(missing_ok=True)
        raise ConfigurationError(f"cannot write the users of the inspector to {path}: {error.strerror}") from None
    return is_new
