"""The contract of a sender, as tests: from the request to the handler. A subclass runs them with a sender of your own:

    class TestAcme(SenderSuite):
        def sender(self, secrets):
            return acme(secrets)

The tests are async, and run on asyncio: with anyio's pytest plugin and `anyio_mode = "auto"`, or with pytest-asyncio
and `asyncio_mode = "auto"`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, cast

import pytest

from ..delivery import Attempt, RequestHead
from ..errors import ConfigurationError
from ..event_registry import NoEventName
from ..events import Event, identity_of, parsed_paths
from ..inbox.memory import MemoryInbox
from ..inbox.records import Filter
from ..receiver import WebhookReceiver
from ..responses import Receipt
from ..runtime.entries import id_parts
from ..senders import Sender
from ..senders.challenges import Challenge
from ..senders.event_names import decoded
from ..signatures import Secret
from .wire import JSON, batch, challenge, readable, sender_headers

NOW = 1_765_433_012.0
DAY = 86_400.0
TOKEN = "qgg8vlvZRS6UYooatFL8Aw"
"""What a challenge wants to see again."""

BODIES = [b"", b"{}", b"[]", b"not JSON", b"\0", b"\xff\xfe", "é".encode(), b'{"a": "\\ud800"}', b"a=1&b=%00", b"<a/>"]
"""Bodies of every kind: whatever is authentic reaches a handler."""

_DIGITS = (
    (b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 32),
    (b"0123456789abcdef", 8),
)
"""The digits of base64 and hex, and a bit of a digit that counts wherever it stands."""
_LEAST = 12  # characters of what may be told by chance


@dataclass
class Handled:
    """A receiver, and what its fallback handler was given."""

    hooks: WebhookReceiver
    bodies: list[bytes] = field(default_factory=list[bytes])
    parts: list[int] = field(default_factory=list[int])
    events: list[Event] = field(default_factory=list[Event])

    async def receive(self, head: RequestHead, body: bytes) -> Receipt:
        """Deliver a request, in this process."""
        return await self.hooks.receive(head.headers, body, method=head.method, target=head.target, client=head.client)


class SenderSuite:
    """The tests of a sender. A subclass overrides `sender`, and the attributes that do not fit it."""

    secrets: Sequence[str] = ("the first of our secrets", "the second of our secrets")
    """Two secrets, as the sender shows them; of a sender that signs with private keys, those."""
    event: str | None = "thing.made"
    """The name of the events in `body`, by which handlers are registered; a sender that has it in a header gets it
    there. None for a name that is not to be compared."""
    given: Mapping[str, str] = JSON
    """The headers of a request before it is signed, beside those with the event's name and the delivery's id."""
    target: str = "/webhooks"
    """The path of a request, with the query behind `?`."""
    url: str = "https://hooks.example.com/webhooks"
    """The URL that the sender posts to, for a scheme that signs it."""
    client: str | None = None
    """The address of the peer of a request, for a scheme that reads it; else None."""
    body = b'{"id": "evt-7", "event": "thing.made", "type": "thing.made", "action": "made", "n": 7}'
    """The body of a delivery, as the sender sends it: with the event's name, its id, and of a sender with `split` with
    one event at least."""
    uncovered: frozenset[str] = frozenset()
    """The names of headers that the sender adds and that prove nothing."""
    spelt_freely: frozenset[str] = frozenset()
    """The names of headers in whose values not every character counts, such as a label."""
    has_places: bool = False
    """Whether the sender signs with each secret at a place of its own. `sender` has to take `Secret`s, too, then."""
    past: float | None = None
    """The seconds before the present in which a signature is valid; None where the suite has to find a time itself."""
    future: float | None = None
    """The seconds after the present in which a signature is valid."""

    def sender(self, secrets: Sequence[str]) -> Sender:
        """Return the sender under test with these secrets; the first has to sign."""
        raise NotImplementedError

    def body_of(self, secrets: Sequence[str]) -> bytes:
        """Return the body of a delivery with these secrets; of `secrets` it is `body`. Override it if it has them."""
        return self.body

    def receiver(self, *, now: float = NOW, secrets: Sequence[str] = (), **options: Any) -> Handled:
        """Return a receiver of the sender whose clock stands still, and what its one handler gets."""
        sender = self.sender(secrets or self.secrets)
        handled = Handled(WebhookReceiver(sender=sender, clock=lambda: now, public_url=self.url, **options))

        @handled.hooks.fallback
        async def take(event: Event, attempt: Attempt) -> None:
            handled.bodies.append(attempt.delivery.body)
            handled.parts.append(attempt.delivery.part)
            handled.events.append(event)

        return handled

    def head(self, secrets: Sequence[str] = ()) -> RequestHead:
        """Return the head of a request before it is signed."""
        headers = dict(self.given) | sender_headers(self.sender(secrets or self.secrets), self.event)
        return RequestHead.of(headers, target=self.target, url=self.url, client=self.client)

    def request(self, body: bytes | None = None, *, secrets: Sequence[str] = (), now: float = NOW) -> RequestHead:
        """Return the head of a genuine delivery of a body, signed with the first secret.

        Raises:
            ConfigurationError: the sender sends no such body.
        """
        secrets = secrets or self.secrets
        return self.sender(secrets).scheme.sign(
            self.head(secrets), self.body_of(secrets) if body is None else body, now
        )

    def ask(self, asked: Challenge) -> tuple[RequestHead, bytes]:
        """Return the head and the body of a challenge. Override it for a challenge that has no `ask`."""
        scheme, url = self.sender(self.secrets).scheme, self.url
        return challenge(asked, scheme, token=TOKEN, now=NOW, target=self.target, url=url, client=self.client)

    async def accept(self, handled: Handled, head: RequestHead, body: bytes | None = None) -> Receipt:
        """Deliver a request, and assert that the handler got its bytes."""
        body, before = self.body if body is None else body, len(handled.bodies)
        receipt = await handled.receive(head, body)
        status, why = receipt.response.status, receipt.error
        assert 200 <= status <= 299, f"a genuine delivery is answered {status}: {why or 'its handler failed'}"
        assert handled.bodies[before:] == [body] * self.count_of(head, body), "a handler gets each event as it was sent"
        return receipt

    def count_of(self, head: RequestHead, body: bytes) -> int:
        """Return the number of events in a request."""
        sender = self.sender(self.secrets)
        if sender.split is None:
            return 1
        try:
            return len(sender.split.parts(decoded(body, sender.decode, sender.envelope, head.headers)))
        except NoEventName:
            return 1

    async def reject(self, handled: Handled, head: RequestHead, body: bytes | None = None) -> Receipt:
        """Deliver a request, and assert that it is rejected and no handler runs."""
        before = len(handled.bodies)
        receipt = await handled.receive(head, self.body if body is None else body)
        assert receipt.response.status == handled.hooks.sender.responses.rejected, (
            f"what the sender did not send like that is answered {receipt.response.status}, and not rejected"
        )
        assert handled.bodies[before:] == [], "what was rejected reached a handler"
        return receipt

    def added(self, head: RequestHead) -> list[int]:
        """Return the indices of the headers that prove a delivery."""
        before = len(self.head().headers)
        return [at for at in range(before, len(head.headers)) if head.headers[at][0].decode() not in self.uncovered]

    # what is genuine

    async def test_a_delivery_reaches_the_handler_as_it_was_sent(self) -> None:
        receipt = await self.accept(self.receiver(), self.request())
        assert receipt.delivery is not None
        assert receipt.delivery.receiver == self.sender(self.secrets).name

    async def test_a_delivery_has_events_and_each_has_its_name(self) -> None:
        handled = self.receiver()
        sender = handled.hooks.sender
        await self.accept(handled, self.request())
        split = "" if sender.split is None else f", at split={sender.split.place!r},"
        wrong = f"set the sender's {'split, ' * bool(split)}event_name or event_header, or the suite's body"
        assert handled.events, f"`body` has no event{split.rstrip(',')}: set the sender's split, or the suite's body"
        for event in handled.events:
            assert event.event, (
                f"an event in `body`{split} has no name, so no handler that is registered by name gets it: {wrong}; "
                'a sender whose events have none has event_name="text:NAME"'
            )
            assert self.event in (None, event.event), (
                f"an event in `body`{split} is named {event.event!r}, not {self.event!r}: {wrong}; or set the suite's "
                "event, the name by which a handler is registered"
            )

    async def test_the_functions_of_the_sender_tell_the_same_of_the_same_event(self) -> None:
        handled = self.receiver()
        sender = handled.hooks.sender
        for _ in range(2):
            await self.accept(handled, self.request())
        half = len(handled.events) // 2
        for first, again in zip(handled.events[:half], handled.events[half:], strict=True):
            functions: dict[str, Callable[[Any], object]] = {
                "identity": sender.identity,
                "ordering_key": sender.ordering_key,
                "delivery_id": attrgetter("delivery_id"),
            }
            for part, of in functions.items():
                told = _told(part, of, first)
                assert told == _told(part, of, again), (
                    f"{part} tells {told!r} of an event, and something else of it when it is sent again: none matches"
                )
            if sender.identity is not identity_of:
                identity = _told("identity", sender.identity, first)
                assert identity is not None, (
                    "identity returns None for an event in `body`: leave out the sender's identity, or set the body to "
                    "one that has it"
                )
                assert not isinstance(identity, str), "identity returns one text: return a tuple of texts"

    async def test_the_id_of_every_event_is_where_the_sender_says(self) -> None:
        handled = self.receiver()
        await self.accept(handled, self.request())
        paths = handled.hooks.sender.delivery_id_paths
        for event in handled.events:
            for place, value in zip(paths, id_parts(event, parsed_paths(paths)), strict=True):
                assert value is not None, (
                    f"there is no {place!r} in an event in `body`, where delivery_id_path says that its id is: set the "
                    "sender's delivery_id_path, or the suite's body"
                )

    async def test_whatever_is_authentic_reaches_a_handler(self) -> None:
        handled = self.receiver()
        split = handled.hooks.sender.split
        for body in BODIES:
            if split is not None and not split.parts(body):
                continue  # without an event it is acknowledged alone
            with suppress(ConfigurationError):  # the sender signs no such body
                await self.accept(handled, self.request(body), body)

    async def test_what_has_an_id_and_comes_again_is_a_duplicate(self) -> None:
        handled, head = self.receiver(inbox=MemoryInbox(), work=False), self.request()
        sender = handled.hooks.sender
        async with handled.hooks:
            first, again = await handled.receive(head, self.body), await handled.receive(head, self.body)
        assert first.response.status == sender.responses.stored, (
            f"a genuine delivery is answered {first.response.status}, not {sender.responses.stored}: {first.error}"
        )
        verified = sender.scheme.verify(head, NOW)(self.body)
        if verified.id or sender.delivery_id or sender.delivery_id_path:
            assert first.delivery is not None
            assert (again.response.status, again.duplicate_of) == (sender.responses.duplicate, first.delivery.id), (
                "the same request, sent again, is no duplicate"
            )

    async def test_every_event_of_a_batch_is_handled_and_known_again(self) -> None:
        split = self.sender(self.secrets).split
        if split is None:
            return
        one = {"event": "thing.made", "type": "thing.made"}
        events = [{**one, "id": f"evt-{number}", "number": number} for number in range(3)]
        body, empty = (json.dumps(batch(split.place, each)).encode() for each in (events, []))
        count = 3 if "*" in split.place.split(".") else 1
        handled, stored = self.receiver(), self.receiver(inbox=MemoryInbox(), work=False)
        try:
            head = self.request(body)
        except ConfigurationError:  # its proof is in the body, which the suite cannot make
            return
        await self.accept(handled, head, body)
        assert handled.parts == [*range(count)]
        async with stored.hooks:
            statuses = [(await stored.receive(head, body)).response.status for _ in range(2)]
            found = await stored.hooks.inbox.find(Filter())
        sender = stored.hooks.sender
        assert statuses[0] == sender.responses.stored
        if sender.delivery_id or sender.delivery_id_path:
            assert statuses[1] == sender.responses.duplicate
            assert len(found) == count
        if count > 1:
            receipt = await handled.receive(self.request(empty), empty)
            assert 200 <= receipt.response.status <= 299
            assert len(handled.parts) == count

    # what is not

    async def test_every_byte_of_the_body_counts_if_it_is_signed(self) -> None:
        handled, head = self.receiver(), self.request()
        receipt = await self.accept(handled, head)
        assert receipt.delivery is not None
        if receipt.delivery.body_verified:
            for at, byte in enumerate(self.body):
                await self.reject(handled, head, self.body[:at] + bytes([byte ^ 1]) + self.body[at + 1 :])
            for body in (self.body[:-1], self.body + b"0", b""):
                await self.reject(handled, head, body)
        secret = self.secrets[0].encode()
        if secret in self.body:
            for changed in altered(secret):
                await self.reject(handled, head, self.body.replace(secret, changed))

    async def test_every_byte_of_the_proof_counts(self) -> None:
        handled, head = self.receiver(), self.request()
        for at in self.added(head):
            name, value = head.headers[at]
            for changed in altered(value) if name.decode() not in self.spelt_freely else [b"", b"x", value + b"x"]:
                await self.reject(handled, with_header(head, at, (name, changed)))
        before, target = self.head().target, head.target
        if target != before:
            start = next(at for at in range(len(target)) if before[at : at + 1] != target[at : at + 1])
            query = before[before.find(b"?") :] if b"?" in before else b""
            end = len(target) - len(query) if target.endswith(query) else len(target)  # behind a secret in the path
            for changed in altered(target[start:end]):
                await self.reject(handled, head._replace(target=target[:start] + changed + target[end:]))

    async def test_without_any_part_of_the_proof_it_is_rejected(self) -> None:
        handled, head, bare = self.receiver(), self.request(), self.head()
        for at in self.added(head):
            await self.reject(handled, with_header(head, at))
        if head != bare:
            await self.reject(handled, bare)

    async def test_somebody_else_with_another_secret_is_rejected(self) -> None:
        if self.sender(self.secrets).scheme.secret_count:
            others = self.secrets[1:]
            assert self.sender(others).scheme.sign(self.head(), self.body_of(others), NOW) != self.request() or (
                self.body_of(others) != self.body
            ), "sender(secrets) signs alike with any secret: it has to give its scheme the secrets that it gets"
            await self.reject(
                self.receiver(secrets=self.secrets[:1]), self.request(secrets=others), self.body_of(others)
            )

    # secrets and time

    async def test_while_the_secret_is_changed_both_are_taken(self) -> None:
        handled = self.receiver()
        if count := handled.hooks.sender.scheme.secret_count:
            assert count >= len(self.secrets), (
                f"of {len(self.secrets)} secrets sender(secrets) takes {count}, so a secret cannot be changed without "
                "loss: give the scheme all of them"
            )
            ended = cast("str", Secret(self.secrets[0], until=datetime.fromtimestamp(0, UTC)))
            for by, secret in enumerate(self.secrets):
                signing = [ended, secret] if by and self.has_places else [secret]
                receipt = await self.accept(handled, self.request(secrets=signing), self.body_of([secret]))
                assert receipt.delivery is not None
                assert receipt.delivery.verified_by == by
            assert handled.hooks.verified == {0: 1, 1: 1}

    async def test_a_signature_is_taken_for_its_time_only(self) -> None:
        head = self.request()
        scheme = self.sender(self.secrets).scheme
        if scheme.verify(head, NOW)(self.body).fresh:
            await self.reject(self.receiver(now=NOW + DAY), head)
            await self.reject(self.receiver(now=NOW - DAY), head)
        if self.past is not None:
            await self.accept(self.receiver(now=NOW + self.past - 1), head)
            await self.reject(self.receiver(now=NOW + self.past + 1), head)
        if self.future is not None:
            await self.accept(self.receiver(now=NOW - self.future + 1), head)
            await self.reject(self.receiver(now=NOW - self.future - 1), head)

    # challenges

    async def test_every_challenge_is_answered_and_runs_no_handler(self) -> None:
        handled = self.receiver()
        for asked in handled.hooks.sender.challenges:
            head, body = self.ask(asked)
            answer = asked.answer(head, body, NOW)
            which = f"the challenge by {head.method} {head.target.decode('latin-1')}"
            assert answer is not None, f"{which} is never answered: its answer takes it for none"
            given = (await handled.receive(head, body)).response
            assert given == answer, (
                f"{which} is answered {given.status}, not as its answer says: is another one before it in challenges "
                "that fits, or does its scheme reject what it asks?"
            )
            assert 200 <= answer.status <= 299, f"{which} is answered {answer.status}, which no sender takes"
            kind = answer.headers.get("content-type", "")
            assert not answer.body or (kind.partition(";")[0] in ("text/plain", "application/json"))
            assert not answer.body or answer.headers.get("x-content-type-options") == "nosniff"
        assert handled.bodies == []

    async def test_a_challenge_that_the_sender_proves_counts_only_with_its_proof(self) -> None:
        handled = self.receiver()
        for asked in handled.hooks.sender.challenges:
            head, body = self.ask(asked)
            if asked.ask is None or not (asked.signed or asked.scheme):
                continue
            bare, _ = asked.ask(RequestHead.of({}, method=head.method, target=self.target, url=self.url), TOKEN)
            await self.reject(handled, bare, body)

    # what a log, an error or the inbox shows

    async def test_a_secret_is_told_nowhere(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        head = self.request()
        proof = (head.headers[at] for at in self.added(head))
        hidden = [line for secret in self.secrets for line in secret.splitlines() if len(line) >= _LEAST]
        hidden += [value.decode("latin-1") for name, value in proof if b"signature" in name and len(value) >= _LEAST]
        handled = self.receiver(inbox=MemoryInbox(), work=False)
        told: list[object] = [handled.hooks, handled.hooks.sender, handled.hooks.sender.scheme, head]
        async with handled.hooks:
            receipt = await handled.receive(head, self.body)
            assert receipt.delivery is not None
            stored = await handled.hooks.inbox.get(receipt.delivery.id)
            assert stored is not None
            told += [receipt, stored, readable(head._replace(headers=stored.delivery.headers))]
            wrong = [with_header(head, at, (name, value + b"0")) for at, (name, value) in enumerate(head.headers)]
            for each in (*wrong, self.head(), self.request(now=NOW - DAY)):
                rejected = await handled.receive(each, self.body)
                told += [rejected, rejected.error, str(rejected.error), dict(rejected.response.headers)]
                told += [rejected.response.body]
        shown = "\n".join([caplog.text, *map(repr, told)])
        for text in hidden:
            assert text not in shown, f"{len(text)} characters of a secret or a signature are told"


def _told(part: str, of: Callable[[Any], object], event: Event) -> object:
    """Return what a function of the sender tells of an event.

    Raises:
        AssertionError: the function failed.
    """
    try:
        return of(event)
    except Exception as error:
        raise AssertionError(f"{part} failed for an event in `body`, by {type(error).__name__}: {error}") from error


def with_header(head: RequestHead, at: int, *instead: tuple[bytes, bytes]) -> RequestHead:
    """Return a head with other headers in place of one."""
    return head._replace(headers=[*head.headers[:at], *instead, *head.headers[at + 1 :]])


def altered(value: bytes) -> Iterator[bytes]:
    """Yield a value with one character changed, so that no digit of base64 or hex stays the same in another spelling.

    A space may be there or not, and some senders part items by one: it is left as it is.
    """
    for at, byte in enumerate(value):
        others = [alphabet[alphabet.index(byte) ^ bit] for alphabet, bit in _DIGITS if byte in alphabet]
        for other in others or [ord("x")] * (byte != ord(" ")):
            yield value[:at] + bytes([other]) + value[at + 1 :]
