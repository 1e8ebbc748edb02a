"""The contract of a signature scheme, as tests. A subclass runs these tests with a scheme of your own:

class TestMine(SchemeSuite):
    def scheme(self, secrets):
        return Mine(secrets)
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import pytest

from ..delivery import Headers, RequestHead
from ..errors import StaleSignature, VerificationError
from ..signatures import Scheme, Verified

NOW = 1_765_433_012.0

HOSTILE_VALUES = [
    *[
        b"",
        b" ",
        b",",
        b",,",
        b"=",
        b"==",
        b":",
        b"::",
        b".",
        b"..",
        b"\0",
        b"\xff\xfe",
        "é☃".encode(),
        b"()",
        b'"',
        b"'",
    ],
    *[
        b"v1",
        b"v1,",
        b"v1,,",
        b",v1",
        b"v1,=",
        b"v1,%%%",
        b"v1,AAAA,AAAA",
        b"v1a,AAAA",
        b"v1,AAAA  v1,AAAA",
        b"v1=",
        b"t=,v1=",
    ],
    *[
        b"sha256",
        b"sha256=",
        b"sha256=zz",
        b"sha256=%b" % (b"0" * 63),
        b"v0=",
        b"sig1=::",
        b"sig1=:%%%:",
        b"sig1=();created=1",
    ],
    *[
        b"0",
        b"-1765433012",
        b"+1765433012",
        b"1765433012.0",
        b"1.7e9",
        b"nan",
        b"NaN",
        b"inf",
        b"-inf",
        b"1_765_433_012",
    ],
    *[
        b"0x6939",
        b"9" * 400,
        b"1765433012 ",
        "١٧٦٥٤٣٣٠١٢".encode(),
        b"A" * 1_000_000,
        b"v1,AAAA " * 125_000,
        b"," * 1_000_000,
    ],
    *[b"t=1,v1=a," * 100_000, b"=" * 1_000_000, b"(" * 1_000_000, b"1" * 1_000_000],
]
"""Values of headers by strangers: parts too few, too many, empty or huge, no text, no number, no base64."""


class SchemeSuite:
    """The tests of a scheme. A subclass overrides `scheme`, and the attributes that do not fit the scheme."""

    secrets: Sequence[str] = ("the first of our secrets", "the second of our secrets", "the third of our secrets")
    given: Mapping[str, str] = {"content-type": "application/json"}
    """The headers of a request before it is signed."""
    target: str = "/"
    """The path of a request, with the query behind `?`."""
    url: str | None = None
    """The absolute URL of a request, for a scheme that takes it from the receiver; else None."""
    client: str | None = None
    """The address of the peer of a request, for a scheme that reads it; else None."""
    body = b'{"event": "parcel.lost", "body": {"number": 7}}'
    uncovered: frozenset[str] = frozenset()
    """The names of headers that the scheme adds and that its signature does not cover."""
    spelt_freely: frozenset[str] = frozenset()
    """The names of headers whose values may be spelt in several ways, as by the unused bits at the end of base64."""
    bits = 8
    """The number of bits to change in each byte; fewer for a scheme that verifies slowly."""
    covers_body = True
    """Whether the signature covers the body."""
    past: float | None = None
    """The seconds before the present in which a signature is valid; None for a scheme without a time."""
    future: float | None = None
    """The seconds after the present in which a signature is valid; None for a scheme without a time."""
    id_header: str | None = None
    """The name of the header with the sender's id of the delivery; None without one."""

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        """Return the scheme under test with these secrets; the first has to sign."""
        raise NotImplementedError

    @cached_property
    def verifier(self) -> Scheme:
        return self.scheme(self.secrets)

    def head(self, given: Mapping[str, str] | None = None) -> RequestHead:
        """Return the head of a request before it is signed."""
        return RequestHead.of(
            self.given if given is None else given, target=self.target, url=self.url, client=self.client
        )

    def signed(self, body: bytes | None = None, *, secrets: Sequence[str] = (), now: float = NOW) -> Headers:
        """Return the headers of a signed request. The suite is for schemes that sign by headers."""
        scheme = self.scheme(secrets) if secrets else self.verifier
        return scheme.sign(self.head(), self.body if body is None else body, now).headers

    def verify(self, headers: Headers, body: bytes | None = None, *, now: float = NOW) -> Verified:
        check = self.verifier.verify(self.head()._replace(headers=headers), now)
        return check(self.body if body is None else body)

    def reject(self, headers: Headers, body: bytes | None = None, *, now: float = NOW) -> VerificationError:
        """Return the error with which a request is rejected."""
        with pytest.raises(VerificationError) as rejected:
            self.verify(headers, body, now=now)
        return rejected.value

    def added(self) -> list[int]:
        """Return the indices of the headers that the scheme added to a request."""
        return [*range(len(self.head().headers), len(self.signed()))]

    # what is genuine

    def test_it_is_a_scheme(self) -> None:
        assert isinstance(self.scheme(self.secrets), Scheme)

    def test_what_it_signs_it_verifies(self) -> None:
        verified = self.verify(self.signed())
        assert (verified.by, verified.body) == (0, self.covers_body)

    def test_the_time_may_be_between_two_seconds(self) -> None:
        assert self.verify(self.signed(now=NOW + 0.4), now=NOW + 0.9).by == 0

    @pytest.mark.parametrize("body", [b"", b"\0", b"\xff\xfe", "é".encode(), b".", b"a" * 1_000_000])
    def test_a_body_is_bytes_whatever_they_are(self, body: bytes) -> None:
        assert self.verify(self.signed(body), body).body == self.covers_body

    def test_what_it_adds_comes_behind_the_headers_that_were_given(self) -> None:
        assert list(self.signed())[: len(self.given)] == list(self.head().headers)
        assert self.added()

    def test_it_leaves_the_rest_of_the_head_as_it_was(self) -> None:
        head = self.head()
        assert self.verifier.sign(head, self.body, NOW)._replace(headers=head.headers) == head

    def test_the_first_secret_signs_and_any_verifies_telling_which(self) -> None:
        for by, secret in enumerate(self.secrets):
            assert self.verify(self.signed(secrets=[secret])).by == by
        first = self.scheme(self.secrets[:1])
        assert first.verify(self.head()._replace(headers=self.signed()), NOW)(self.body).by == 0

    def test_it_says_how_many_secrets_it_has(self) -> None:
        assert self.scheme(self.secrets).secret_count == len(self.secrets)

    def test_a_delivery_that_is_sent_again_has_the_same_id(self) -> None:
        if self.id_header is None:
            return
        first, again = self.signed(), self.signed(now=NOW + 5)
        if self.id_header not in self.given:  # made by the scheme
            name = self.id_header.encode()
            with_id = self.head({**self.given, self.id_header: dict(first)[name].decode()})
            again = self.scheme(self.secrets).sign(with_id, self.body, NOW).headers
        assert self.verify(first).id == self.verify(again).id is not None

    # what is not

    def test_another_secret_does_not_verify(self) -> None:
        head = self.head()._replace(headers=self.signed(secrets=self.secrets[1:]))
        with pytest.raises(VerificationError):
            self.scheme(self.secrets[:1]).verify(head, NOW)(self.body)

    def test_every_header_that_it_added_has_to_be_there_once(self) -> None:
        headers = list(self.signed())
        for at in self.added():
            self.reject(headers[:at] + headers[at + 1 :])
            self.reject([*headers, headers[at]])

    def test_without_any_of_its_headers_it_rejects(self) -> None:
        self.reject(self.head().headers)
        self.reject([])

    def test_every_bit_of_the_headers_counts(self) -> None:
        headers = list(self.signed())
        for at in self.added():
            if headers[at][0].decode() in self.uncovered:
                continue
            for changed in flipped(headers[at][1], self.bits):
                self.reject_changed(headers, at, changed)

    def reject_changed(self, headers: Headers, at: int, value: bytes) -> None:
        changed = [*headers[:at], (headers[at][0], value), *headers[at + 1 :]]
        if headers[at][0].decode() in self.spelt_freely:
            try:
                assert self.verify(changed) == self.verify(headers)
                return
            except VerificationError:
                pass
        self.reject(changed)

    def test_every_bit_of_the_body_counts(self) -> None:
        headers = self.signed()
        if self.covers_body:
            for changed in [*flipped(self.body, self.bits), self.body[:-1], self.body + b" ", b" " + self.body, b""]:
                self.reject(headers, changed)

    def test_whatever_a_stranger_puts_into_a_header_is_rejected(self) -> None:
        headers = list(self.signed())
        for at in self.added():
            for value in HOSTILE_VALUES if headers[at][0].decode() not in self.uncovered else ():
                self.reject([*headers[:at], (headers[at][0], value), *headers[at + 1 :]])
                if value.strip():
                    self.reject_changed(headers, at, headers[at][1] + value)

    def test_whatever_is_cut_and_pasted_only_verification_errors_come_out(self) -> None:
        rng = random.Random(7)
        genuine = list(self.signed())
        pieces = [value for _, value in genuine] + HOSTILE_VALUES[:40]
        for _ in range(300):
            headers = [(name, rng.choice(pieces)) if rng.random() < 0.4 else (name, value) for name, value in genuine]
            if rng.random() < 0.2:
                headers.append(rng.choice(headers))
            try:
                self.verify(headers, rng.choice(pieces), now=rng.choice([NOW, 0.0, -1.0, 1e12, float("inf")]))
            except VerificationError:
                continue
            assert not self.covers_body, "a body was taken that nobody has signed"

    # time

    def test_a_signature_is_stale_before_and_after_its_time(self) -> None:
        if self.past is None or self.future is None:
            return
        headers = self.signed()
        assert self.verify(headers, now=NOW + self.past - 1).by == self.verify(headers, now=NOW - self.future).by == 0
        assert isinstance(self.reject(headers, now=NOW + self.past + 1), StaleSignature)
        assert isinstance(self.reject(headers, now=NOW - self.future - 1), StaleSignature)

    def test_stale_is_said_of_nothing_but_what_is_authentic(self) -> None:
        if self.past is not None:
            head = self.head()._replace(headers=self.signed(secrets=self.secrets[1:]))
            with pytest.raises(VerificationError) as rejected:
                self.scheme(self.secrets[:1]).verify(head, NOW + self.past + 1)(self.body)
            assert not isinstance(rejected.value, StaleSignature)

    # what errors and reprs show

    def test_no_repr_no_error_and_no_traceback_shows_a_secret_or_a_signature_or_the_body(self) -> None:
        headers = list(self.signed())
        hidden = [*self.secrets, *(headers[at][1].decode("latin-1") for at in self.added()), self.body.decode()]
        assert not any(secret in repr(self.verifier) for secret in self.secrets)
        for at in self.added():
            changed = [*headers[:at], (headers[at][0], headers[at][1] + b"x"), *headers[at + 1 :]]
            for error in [self.reject(changed), *([self.reject(headers, b"another")] if self.covers_body else [])]:
                assert not any(text in f"{error} {error!r}" for text in hidden)
                assert error.__context__ is None or error.__suppress_context__
                frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
                # The frames of tests hold the request, which has a secret itself where the scheme signs nothing.
                own = [frame for frame in frames if frame.filename != __file__ and "/tests/" not in frame.filename]
                shown = "".join(f"{frame.locals}" for frame in own)
                assert not any(secret in shown for secret in self.secrets)


def flipped(value: bytes, bits: int = 8) -> Iterator[bytes]:
    """Yield the value with one bit changed, for a number of bits in each byte."""
    for at, byte in enumerate(value):
        for bit in range(bits):
            yield value[:at] + bytes([byte ^ (1 << (at + bit) % 8)]) + value[at + 1 :]
