"""The notifications that `send` and `dev` deliver, with the headers and the signatures of a receiver's own sender."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
from typer import BadParameter

from ..delivery import RequestHead
from ..errors import ConfigurationError
from ..events import Event, OrderStatusChanged
from ..receiver import WebhookReceiver
from ..routing.handlers import Route
from ..senders import Sender
from ..senders.challenges import Challenge
from ..senders.event_names import EventNames, decoded
from ..senders.form import form_document
from ..senders.preset import Preset
from ..senders.registry import presets
from ..signatures import KeysNeeded, Secret
from ..simulator import payloads
from ..testing import make
from ..testing.wire import batch, challenge, encode, forged_head, name_places, named_by, sender_headers, signed_head
from . import sample
from .key_pair import new_key, public_half, signs_with_key

UP42 = "up42"
"""The sender whose notifications are modelled; those of others are made from the event classes of a receiver."""


class Notifier:
    """A sender that is played: its notifications are made, and signed as a receiver expects it.

    Args:
        sender: the sender.
        preset: its preset, which has samples; None for a sender of the user's own.
        secret: the secret that deliveries are signed with, where it is known.
        signs: whether deliveries are signed.
        headers: more headers of each request.
        routes: the event classes and names of the receiver's handlers, to make events of.
        public_url: the URL that the scheme covers in place of the one that is posted to; None for that one.
        unauthorized: what to look at when the response is 401.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        preset: Preset | None = None,
        secret: Secret | None = None,
        signs: bool = True,
        headers: Mapping[str, str] | None = None,
        routes: Sequence[Route] = (),
        public_url: str | None = None,
        unauthorized: str,
    ) -> None:
        self.sender = sender
        self.unauthorized = unauthorized
        self.signs = signs
        self._preset = preset
        self._secret = secret
        self._headers = dict(headers or {})
        self._public_url = public_url
        self._routes = {
            name: route for route in routes for name in ([route] if isinstance(route, str) else sample.names_of(route))
        }

    @classmethod
    def of_receiver(cls, hooks: WebhookReceiver, headers: Mapping[str, str] | None = None) -> Notifier:
        """Return a notifier of a receiver, with the receiver's own secrets."""
        routes = [handler.route for handler in hooks.handlers]
        return cls(
            hooks.sender,
            preset=presets().get(hooks.sender.name),
            headers=headers,
            routes=routes,
            public_url=hooks.public_url,
            unauthorized="is this the receiver that is served there, and with the same secret?",
        )

    @classmethod
    def of_preset(
        cls,
        name: str,
        secret: Secret | None,
        headers: Mapping[str, str] | None = None,
        *,
        key: Secret | None = None,
        token: Secret | None = None,
    ) -> Notifier:
        """Return a notifier of a sender by its name in the registry, unsigned without a secret.

        A sender that signs with a private key has a new one if there is none.

        Args:
            name: the sender's name.
            secret: the secret; None if it is not known.
            headers: more headers of each request.
            key: the private key of a sender that has one beside the secret; a new one if None.
            token: the token that the sender shows with its challenges; None if it is not known.

        Raises:
            BadParameter: the secret is none of this sender's.
        """
        preset = presets()[name]
        if secret is None and signs_with_key(preset):
            secret = new_key(preset)
        other = "--sender NAME, or --hooks MODULE:HOOKS, signs as another sender does"
        advice = (
            f"it was not signed: give --secret; {other}"
            if secret is None
            else f"is --secret the one that the receiver has? It was signed as {preset.title} does: {other}"
        )
        try:
            sender = preset.registering(preset.example if secret is None else secret, token)
            if preset.played is not None and secret is not None:
                sender = preset.played(secret, key or new_key(preset))
            return cls(
                sender,
                preset=preset,
                secret=secret,
                signs=secret is not None or not sender.scheme.secret_count,
                headers=headers,
                unauthorized=advice,
            )
        except ConfigurationError as error:
            raise BadParameter(str(error), param_hint="the secret") from None

    def check_stated_time(self) -> None:
        """Reject a sender whose signatures state no time, so that none of its deliveries can be stale.

        Raises:
            BadParameter: there is no such time.
        """
        now, head = time.time(), RequestHead.of({})
        if self._scheme_signs_alike(head, now, now - 3600):
            raise BadParameter(f"the signatures of {self.sender.name} state no time", param_hint="--stale")

    def _scheme_signs_alike(self, head: RequestHead, now: float, then: float) -> bool:
        try:
            return self.sender.scheme.sign(head, b"", now) == self.sender.scheme.sign(head, b"", then)
        except (ConfigurationError, KeysNeeded):  # it cannot sign, which is said when it has to
            return False

    @property
    def to_trust(self) -> list[str]:
        """What the receiver needs besides the secret to verify what is sent, in lines; nothing for most senders."""
        lines: list[str] = getattr(self.sender.scheme, "to_trust", [])
        if lines:
            return ["the receiver trusts no key but the sender's own, unless it is given this certificate:", *lines]
        half = [] if self._secret is None else public_half(self._secret)
        return ["the receiver needs the public half of the key:", *half] if half else []

    @property
    def tells(self) -> bool:
        """Whether a challenge of the sender tells the receiver its secret."""
        return self._preset is not None and self._preset.tells is not None

    def told(self) -> str:
        """Return what a challenge tells: the secret, of a sender that tells it; else a token, another each time."""
        return self._secret.get_secret_value() if self.tells and self._secret is not None else secrets.token_hex(16)

    @property
    def events(self) -> list[str]:
        """The names of events that are known: those that a handler is there for, else those of the preset."""
        return [*self._routes] or ([] if self._preset is None else sample.event_names(self._preset, self.sender))

    def event_name(self, wanted: str | None) -> str | None:
        """Return the name of the event to notify of: the wanted one, else the first that is known."""
        if wanted is None and self.sender.name == UP42:
            return "order.status"
        return wanted if wanted is not None else next(iter(self.events), None)

    def has_own_document(self, event: str | None) -> bool:
        """Whether a document is made of more than the event's name."""
        is_sample = self._preset is not None and event in self._preset.samples
        return self.sender.name == UP42 or is_sample or isinstance(self._routes.get(event or ""), type)

    def check_named(self, event: str | None) -> None:
        """Reject an event without a name, which no handler is there for.

        Raises:
            BadParameter: there is no name; the message says how to give one.
        """
        if event is None:
            header = self.sender.event_header
            where = "the body" if header is None else f"the header {header}"
            raise BadParameter(
                f"{self.sender.name} names the event in {where}: say which with --event NAME, a name that a handler of "
                "the receiver is for",
                param_hint="--event",
            )

    def check_read(self, head: RequestHead, body: bytes, event: str | None) -> None:
        """Reject an event that the sender does not name so, such as one of a sender with names of its own only.

        Args:
            head: the head of a request that was made of the event's name alone.
            body: its body.
            event: the event's name.

        Raises:
            BadParameter: a receiver reads another name in it.
        """
        if event is None or self._routes:
            return
        rule = EventNames(self.sender.event_name, self.sender.event_header, url_places=self.sender.url_places)
        headers = rule.headers(head)
        if sample.names_in(self.sender, body, headers) != [event]:
            given = self.sender.event_name
            form = given if isinstance(given, str) else next(iter(given), "")
            known = f"it is known to send {', '.join(self.events)}; " if self.events else ""
            known = known or (f"its names are of the form {form}; " if "{" in form else "")
            path = [text for place, text in name_places(self.sender, event) if place.startswith("path:")]
            if path:
                known = f"the path of --url says what happened, as in https://example.com/webhooks/JOB/{path[0]}; "
            raise BadParameter(
                f"{self.sender.name} has no event {event!r} that can be made of its name alone: {known}"
                "--data FILE sends what is in a file",
                param_hint="--event",
            )

    def document(self, event: str | None, status: str | None, order_id: str | None) -> dict[str, Any]:
        """Return a new document that notifies of an event: no two are equal, or the second would be a duplicate.

        Args:
            event: the event's name, as from `event_name`.
            status: the status of the order; FULFILLED by default. Only UP42's documents have one.
            order_id: the order's id; a new one by default.

        Raises:
            BadParameter: the document cannot be made.
        """
        route = self._routes.get(event or "")
        if isinstance(route, type) and not issubclass(route, OrderStatusChanged) and not (status or order_id):
            try:
                made = make(route, event=event)
                found = named_by(self.sender, _with_new_id(encode(made), self.sender, route), made.event)
            except ValueError as error:
                raise BadParameter(f"{error}; or send a file with --data", param_hint="--event") from None
        elif self.sender.name == UP42:
            return payloads.document(event or "order.status", status or "FULFILLED", order_id, now=time.time())
        elif status or order_id:
            raise BadParameter("only UP42's notifications have an order and its status: use --set", param_hint="--set")
        elif (known := self._sample(event)) is not None:
            return known
        else:
            named: dict[str, Any] = {}
            for place, text in [] if event is None else name_places(self.sender, event):
                if ":" not in place:
                    payloads.put(named, place, text)
            found = _with_new_id(payloads.dump(named), self.sender, None)
        if self.sender.event_header is not None:
            found.pop("event", None)  # the header has it
        return found

    def body(self, document: dict[str, Any]) -> bytes:
        """Return the body that delivers a document: of a sender that delivers several, a batch of this one.

        A sender whose signature is in the body gets it there; one whose documents are in a field of a form, a form.

        Raises:
            BadParameter: the sender signs no such document.
        """
        body, split = payloads.dump(document), self.sender.split
        if self._preset is not None and self._preset.encode is not None:
            body = self._preset.encode(document)
        if split is not None and split.parts(decoded(body, self.sender.decode, self.sender.envelope)) == [body]:
            body = json.dumps(batch(split.place, [document]), separators=(",", ":")).encode()
        if isinstance(decode := self.sender.decode, partial) and decode.func is form_document:
            body = urlencode({decode.keywords["field"]: body}).encode()
        sign_body = getattr(self.sender.scheme, "sign_body", None)
        try:
            return body if sign_body is None or not self.signs else sign_body(body, time.time())
        except ConfigurationError as error:
            raise BadParameter(str(error), param_hint="--event") from None

    def _sample(self, event: str | None) -> dict[str, Any] | None:
        if self._preset is None:
            return None
        return sample.document_of(self._preset, self.sender, event, self._secret)

    def challenge(self, asked: Challenge, *, url: str, token: str, now: float) -> tuple[RequestHead, bytes]:
        """Return the head and the body of a challenge.

        Args:
            asked: one of the sender's challenges.
            url: the URL that it is sent to.
            token: what is to be sent back, where the challenge has such.
            now: the time of signing, in Unix seconds.

        Raises:
            BadParameter: it cannot be made.
        """
        target = httpx.URL(url).raw_path.decode()
        scheme = self.sender.scheme if self.signs else None
        try:
            return challenge(
                asked, scheme, token=token, headers=self._headers, now=now, target=target, url=self._public_url or url
            )
        except ConfigurationError as error:
            raise BadParameter(str(error), param_hint="--challenge") from None

    def head(self, body: bytes, event: str | None, *, url: str, now: float, forge: bool = False) -> RequestHead:
        """Return the head of the request that delivers a body.

        Args:
            body: the bytes that are sent.
            event: the event's name, for a sender that has it in a header.
            url: the URL that is posted to.
            now: the time of signing, in Unix seconds.
            forge: whether it is signed by somebody who does not know the secret.

        Raises:
            BadParameter: the head cannot be made.
        """
        if self.sender.event_header is not None:
            self.check_named(event)
        if forge and hasattr(self.sender.scheme, "sign_body"):
            why = f"the signature of {self.sender.name} is in the body: give one that was changed with --data"
            raise BadParameter(why, param_hint="--forge")
        headers = sender_headers(self.sender, event) | self._headers
        for place, text in [] if event is None else name_places(self.sender, event):
            kind, _, name = place.partition(":")
            if kind == "query":
                url = str(httpx.URL(url).copy_set_param(name, text))
        target = httpx.URL(url).raw_path.decode()
        marks = {} if self._preset is None else _marks(self._preset)
        if not (self.signs or forge):
            return RequestHead.of(payloads.JSON | marks | headers, target=target, url=url)
        prove = partial(forged_head if forge else signed_head, body, self.sender.scheme, now=now, target=target)
        try:
            return prove(headers=marks | headers, url=self._public_url or url)
        except ConfigurationError as error:
            raise BadParameter(str(error), param_hint="--forge" if forge else "--secret") from None


def _marks(preset: Preset) -> dict[str, str]:
    """Return the headers by which a sender's requests are told from those of others, with made-up values."""
    found = [mark.partition(":") for mark in preset.marks]
    return {name: value or uuid4().hex for name, _, value in found}


def _with_new_id(body: bytes, sender: Sender, cls: type[Event] | None) -> dict[str, Any]:
    """Return the document in a body with a new id in the sender's place of it, of a type that the event's class takes.

    A class that takes none, such as one that forbids members that it does not declare, gets the document as it is.
    """
    for id in (str(uuid4()), secrets.randbelow(2**31)):
        document: dict[str, Any] = json.loads(body)
        try:
            for place in sender.delivery_id_paths or ("id",):
                payloads.put(document, place, id)
            if cls is not None:
                cls.model_validate_json(payloads.dump(document))
        except ValueError:
            continue
        return document
    return dict(json.loads(body))
