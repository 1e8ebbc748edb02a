"""Requests as a sender would not make them: genuine ones, changed in one or two places, the same in every run."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from webhook_receiver.testing.scheme_suite import HOSTILE_VALUES

Pairs = list[tuple[bytes, bytes]]
COUNT = 1500  # of which more than a thousand are changed
SMALL = [value for value in HOSTILE_VALUES if len(value) < 1000]
TIMES = [0, 0, 0, 0, -3, 300, -300, 301, -301, 86_400, -86_400, 10**9]
"""How many seconds ago a request was signed."""


@dataclass
class Request:
    """A request, and how it came to be."""

    headers: Pairs
    body: bytes
    signed: int
    """How many seconds ago."""
    changes: int = 0
    """In how many places it was changed."""
    url: str = ""
    """Where it was sent, if that was changed."""

    def text(self) -> dict[str, str]:
        """Return the headers as the libraries take them."""
        return {name.decode(): value.decode("latin-1") for name, value in self.headers}

    def header(self, name: str) -> str:
        return self.text().get(name, "")


def requests(
    sign: Callable[[bytes, int], Pairs], names: list[bytes], more: Callable[[random.Random, bytes], bytes]
) -> Iterator[Request]:
    """Yield requests, a fifth of them genuine but for their time.

    Args:
        sign: returns the headers of a body that was signed so many seconds ago.
        names: the headers to change.
        more: changes a header's value in ways that only this scheme knows.
    """
    rng = random.Random(9421)
    for number in range(COUNT):
        body = rng.choice([b'{"type": "a.b", "data": {}}', "{é}".encode(), b"{}", b"a.b.c", b'{"a": [%d]}' % number])
        signed = rng.choice(TIMES)
        request = Request(sign(body, signed), body, signed, rng.choice([0, 1, 1, 1, 2]))
        for _ in range(request.changes):
            change = rng.choice([flip, flip, flip_body, drop, replace, append, cut, upper, swap, more_of])
            change(request, rng, names, more)
        yield request


More = Callable[[random.Random, bytes], bytes]


def _change(request: Request, rng: random.Random, names: list[bytes], how: Callable[[bytes], bytes]) -> None:
    at = rng.choice([at for at, (name, _) in enumerate(request.headers) if name in names] or [0])
    name, value = request.headers[at]
    request.headers[at] = (name, how(value))


def flip(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    def one_bit(value: bytes) -> bytes:
        at = rng.randrange(max(1, len(value)))
        return value[:at] + bytes([value[at] ^ (1 << rng.randrange(7))]) + value[at + 1 :] if value else value

    _change(request, rng, names, one_bit)


def flip_body(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    at = rng.randrange(len(request.body))
    request.body = request.body[:at] + bytes([request.body[at] ^ (1 << rng.randrange(7))]) + request.body[at + 1 :]


def drop(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    gone = rng.choice(names)
    request.headers = [pair for pair in request.headers if pair[0] != gone] or [(b"x", b"")]


def replace(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    _change(request, rng, names, lambda value: rng.choice(SMALL))


def append(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    _change(request, rng, names, lambda value: value + rng.choice(SMALL))


def cut(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    _change(request, rng, names, lambda value: value[: rng.randrange(len(value) + 1)])


def upper(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    _change(request, rng, names, bytes.upper)


def swap(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    _change(request, rng, names, lambda value: rng.choice(request.headers)[1])


def more_of(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    _change(request, rng, names, lambda value: more(rng, value))


def compared(
    made: Iterable[Request], ours: Callable[[Request], bool], theirs: Callable[[Request], bool]
) -> tuple[int, int, list[Request], list[Request]]:
    """Return how many requests both took, how many both rejected, those that only we took, and that only they took."""
    took, rejected = 0, 0
    only_we: list[Request] = []
    only_they: list[Request] = []
    for request in made:
        verdict = ours(request), theirs(request)
        took += verdict == (True, True)
        rejected += verdict == (False, False)
        only_we += [request] if verdict == (True, False) else []
        only_they += [request] if verdict == (False, True) else []
    return took, rejected, only_we, only_they
