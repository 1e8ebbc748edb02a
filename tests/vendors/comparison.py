"""Requests of a sender, genuine and changed, and who takes them: our scheme, and each of the sender's libraries."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

from tests.signatures import mutants
from tests.signatures.mutants import Pairs, Request
from webhook_receiver import Scheme, VerificationError
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.registry import presets
from webhook_receiver.signatures import KeysNeeded

from .library import Driver, Library

NOW = 1_765_433_012
"""The time at which all requests are verified."""
MUTATIONS = 200
BODIES = (
    b'{"type":"a.b","id":"e-1","data":{}}',
    b'{\n  "type": "a.b",\n  "data": {"price": 1.0, "path": "a\\/b"}\n}\n',
    '{"type":"a.b","name":"é☃","escaped":"\\u00e9"}'.encode(),
    b"{}",
)

Change = Callable[[Request, random.Random, list[bytes], mutants.More], None]
"""Changes a request, in headers of these names if in headers; its last argument is for the changes of `mutants`."""


@dataclass(frozen=True)
class Difference:
    """Requests that only the library takes, or only we, and why."""

    why: str
    taken: Literal["here", "there"]
    holds: Callable[[Request], bool]
    by: str = ""
    """The language or the package that it is about; empty for all libraries of the sender."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The libraries that prove a sender, and what its requests are made of."""

    sender: str
    """The name of the sender's preset."""
    secret: str
    """The secret with which the libraries verify, and sign."""
    scheme: Callable[[str], Scheme] | None = None
    """Makes our scheme of that secret; None for the scheme of the preset."""
    libraries: tuple[Library, ...]
    headers: tuple[str, ...]
    """The headers to change; none where no header proves anything."""
    given: Mapping[str, str] = field(default_factory=dict[str, str])
    """The headers that are there before a request is signed."""
    private: str = ""
    """The key with which we sign, where the secret is a public one."""
    url: str = "https://hooks.example.com/webhooks?a=1&b=2"
    bodies: tuple[bytes, ...] = BODIES
    tolerance: int | None = 300
    """How many seconds the sender's clock may be behind ours; requests are signed just before and just after. None
    where a request is signed before it is ours to sign."""
    changes: tuple[Change, ...] = ()
    """Those that only this sender's requests can have."""
    differences: tuple[Difference, ...] = ()

    def ours(self, *, signs: bool = False) -> Scheme:
        """Return our scheme, which verifies or signs."""
        secret = (signs and self.private) or self.secret
        return self.scheme(secret) if self.scheme else presets()[self.sender].sender(secret).scheme

    @property
    def times(self) -> tuple[int, ...]:
        """How many seconds ago genuine requests were signed, beside now."""
        edge = self.tolerance
        return () if edge is None else (edge - 1, edge + 1, 1 - edge, -1 - edge, 864_000, -864_000)

    def difference(self, request: Request, library: Library, here: bool) -> str | None:
        """Return why the library's verdict on a request is another one than ours; None if nothing is known of that."""
        return next(
            (
                each.why
                for each in self.differences
                if each.taken == ("here" if here else "there")
                and each.by in ("", library.language, library.package)
                and each.holds(request)
            ),
            None,
        )


@dataclass
class Case:
    """A request, what was done to it, and who takes it."""

    what: str
    request: Request
    here: bool
    there: list[bool]
    """The verdicts of the libraries, in their order."""
    why: str | None = None
    """Why we and one of the libraries differ; None where they do not, or nobody knows."""

    @property
    def is_one(self) -> bool:
        """Whether all say the same."""
        return {*self.there} == {self.here}


def head_of(request: Request, url: str) -> RequestHead:
    """Return the head of a request that came to a URL, of which its sender knows that it is ours."""
    parts = urlsplit(request.url or url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return RequestHead("POST", target.encode(), request.headers, request.url or url)


def we_take(scheme: Scheme, request: Request, url: str) -> bool:
    try:
        scheme.verify(head_of(request, url), NOW)(request.body)
    except (VerificationError, KeysNeeded):  # of a key that nobody has, and that is answered 503
        return False
    return True


def signed_here(proof: Proof, body: bytes, ago: int) -> Pairs:
    scheme = proof.ours(signs=True)
    given = head_of(Request([*_pairs(proof.given)], body, ago), proof.url)
    return [*scheme.sign(given, body, NOW - ago).headers]


def signed_there(driver: Driver, proof: Proof, body: bytes, ago: int) -> Pairs:
    given = [*_pairs(proof.given)]
    return [*given, *driver.sign(Request(given, body, ago), proof.url, NOW - ago)]


def cases(proof: Proof, drivers: list[Driver]) -> Iterator[Case]:
    """Yield the requests of a sender: genuine ones by everybody who signs, then changed ones."""
    scheme = proof.ours()

    def judged(what: str, request: Request) -> Case:
        here = we_take(scheme, request, proof.url)
        there = [driver.takes(request, proof.url, NOW) for driver in drivers]
        differing = [library for library, verdict in zip(proof.libraries, there, strict=True) if verdict != here]
        reasons = {library: proof.difference(request, library, here) for library in differing}
        why = None if None in reasons.values() else "; ".join(f"{each}: {why}" for each, why in reasons.items())
        return Case(what, request, here, there, why or None)

    signers: dict[str, Callable[[bytes, int], Pairs]] = {"here": partial(signed_here, proof)}
    for library, driver in zip(proof.libraries, drivers, strict=True):
        if library.signs:
            signers[f"by {library}"] = partial(signed_there, driver, proof)
    for signer, sign in signers.items():
        for body in proof.bodies:
            yield judged(f"signed {signer}", Request(sign(body, 0), body, 0))
        for ago in proof.times:
            body = proof.bodies[0]
            when = f"{ago} s ago" if ago > 0 else f"{-ago} s ahead"
            yield judged(f"signed {signer}, {when}", Request(sign(body, ago), body, ago))
    rng = random.Random(proof.sender)
    for _ in range(MUTATIONS):
        body, sign = rng.choice(proof.bodies), rng.choice([*signers.values()])
        request = Request(sign(body, 0), body, 0)
        names = _changed(request, proof, rng)
        yield judged(" and ".join(names), request)


def _changed(request: Request, proof: Proof, rng: random.Random) -> list[str]:
    """Change a request in one or two places; return the names of the changes."""
    headers = [name.encode() for name in proof.headers]
    general = GENERAL if headers else (mutants.flip_body,)
    changes = {change.__name__: change for change in [*general, *proof.changes]}
    before = replace(request, headers=[*request.headers])
    while True:
        names: list[str] = []
        for _ in range(rng.choice([1, 1, 2])):
            what, change = rng.choice([*changes.items()])
            names.append(what.replace("_", " "))
            change(request, rng, headers, _same)
        request.headers = [(name, value.strip(b" \t")) for name, value in request.headers]  # RFC 9110, section 5.5
        if (request.headers, request.body, request.url) != (before.headers, before.body, before.url):
            return names


def _same(rng: random.Random, value: bytes) -> bytes:
    return value


def other_secret(request: Request, rng: random.Random, names: list[bytes], more: mutants.More) -> None:
    """Put the signature of another secret in: of the same form, and wrong."""
    name, value = rng.choice([pair for pair in request.headers if pair[0] in names] or request.headers)
    letters = bytes(rng.choice(b"0123456789abcdef") if each in b"0123456789abcdef" else each for each in value)
    request.headers[request.headers.index((name, value))] = (name, letters)


GENERAL: tuple[Change, ...] = (
    *(mutants.flip, mutants.flip_body, mutants.drop, mutants.replace, mutants.append, mutants.cut, mutants.upper),
    *(mutants.swap, other_secret),
)


def _pairs(headers: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    return ((name.encode(), value.encode()) for name, value in headers.items())
