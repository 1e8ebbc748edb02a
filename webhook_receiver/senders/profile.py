"""The profile of a sender: its page, with what is read from the sender itself, for commands and the guide.

What a delivery proves is tried: the scheme signs a request with the secret for tests and verifies it later and later.
So no profile says another thing than what is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..delivery import RequestHead
from ..errors import VerificationError
from ..events import has_own_id, identity_of
from ..signatures import Scheme
from ..signatures.any_of import AnyOf
from ..signatures.bearer_jwt import BearerJWT
from ..signatures.scheme import proves_as_a_whole
from .base import Sender
from .page import Page
from .preset import Preset

URL = "https://example.com/webhooks"
"""The URL that a sender posts to, in examples."""

_WIDEST = 76
"""The characters of a line of code that fits a terminal."""
_NOW = 1_765_433_012.0
_LONGEST = 2**20
"""The seconds up to which it is tried whether a delivery still verifies."""

_KINDS = {
    "BasicAuth": "a user name and a password in the header Authorization",
    "BearerJWT": "a signed token (JWT)",
    "BodySecret": "a secret in the body",
    "HMACBody": "an HMAC by a secret that you share",
    "HMACFields": "an HMAC by a secret that you share, over values in the body",
    "HTTPMessageSignature": "an HTTP message signature (RFC 9421)",
    "HeaderSecret": "a secret in a header",
    "PublicKeyBody": "a signature by the sender's private key",
    "QuerySecret": "a secret in the URL's query",
    "SNSSignature": "a signature by the sender's private key",
    "StandardWebhooks": "an HMAC by a secret that you share, or ed25519 (Standard Webhooks)",
    "UP42Signature": "an HTTP message signature by a secret that you share (RFC 9421)",
    "Unsigned": "nothing",
}


@dataclass(frozen=True)
class Proof:
    """What a delivery proves."""

    scheme: str
    """The name of the scheme's class."""
    body: bool
    """Whether the body is covered."""
    tolerance: int | None
    """The seconds after its signing for which a delivery verifies; None if no time is covered."""
    id: bool
    """Whether the sender's id of the delivery is covered."""
    form: bool
    """Whether of the body something else is covered than its bytes: such as a form's fields, without the border between
    a name and its value."""
    url: bool
    """Whether the URL that the sender posts to is covered."""
    secret: bool
    """Whether a secret or a key is needed."""

    @property
    def covered(self) -> str:
        """What is covered, in a few words."""
        parts = ("body", self.body), ("time", self.tolerance is not None), ("id", self.id), ("URL", self.url)
        covered = ", ".join(name for name, is_covered in parts if is_covered)
        return covered or ("who sent it" if self.secret else "nothing")


@dataclass(frozen=True)
class Profile:
    """All that is known of a sender."""

    preset: Preset
    page: Page
    sender: Sender
    proof: Proof

    @property
    def verified(self) -> str:
        """How sure it is, in words."""
        if isinstance(self.page.verified, str):
            return self.page.verified
        package, date = self.page.verified
        return f"verified against {package} on {date}"

    @property
    def verified_on(self) -> str:
        """How sure it is, in a few words."""
        return self.page.verified if isinstance(self.page.verified, str) else f"verified on {self.page.verified[1]}"

    @property
    def imported(self) -> str:
        """The line of Python that imports the sender's function."""
        return f"from webhook_receiver.senders.catalogue import {self.preset.function}"

    @property
    def code(self) -> list[str]:
        """The lines of Python that make a receiver, ready to be registered: they run as they are."""
        function, page = self.preset.function, self.page
        secret = "Secret, " * any(each.startswith("Secret.") for each in page.arguments)
        made = [f"    sender={function}({', '.join(page.arguments)}),"]
        if len(made[0]) > _WIDEST:
            made = [f"    sender={function}(", *(f"        {each}," for each in page.arguments), "    ),"]
        then = ["", *page.then] if page.then else []
        return [
            f"from webhook_receiver import {secret}WebhookReceiver",
            *sorted([self.imported, *page.imports]),
            "",
            "hooks = WebhookReceiver(",
            *made,
            *([f'    public_url="{URL}",'] if self.proof.url else []),
            '    inbox="sqlite:///hooks.db",',
            ")",
            *then,
        ]

    def sections(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the headings of the profile, each with its sentences."""
        yield "register", [self.page.setup]
        yield "proof", [*self._proof()]
        yield "answer", [*self._answer()]
        yield "events", [*self._events()]
        if self.page.backfill:
            yield "backfill", [self.page.backfill]
        if self.page.traps:
            yield "traps", [*self.page.traps]
        yield "sources", [*self.sender.facts]
        yield "how sure", [self.verified]

    def _proof(self) -> Iterator[str]:
        proof = self.proof
        kind = "a secret as the last part of the URL's path" if proof.secret and proof.scheme == "Unsigned" else None
        yield f"A delivery proves itself by {kind or _kind(self.sender.scheme)}."
        if proof.body:
            yield "The body is covered: nobody can have changed it."
        elif proof.scheme == "HMACFields":
            yield "Some values in the body are covered, and the rest is not, so the URL has to be https."
        elif proof.form:
            yield "The form in the body is covered, but not the border between a name and its value."
        elif proof.secret:
            yield "The body is not covered: who has seen one delivery can make any other, so the URL has to be https."
        else:
            yield "Anybody can deliver: allow the sender's networks alone, by AllowFrom, or ask its API what happened."
        if proof.tolerance is not None:
            yield f"The time is covered: {proof.tolerance} seconds after its signing, a delivery is too old."
        elif proof.scheme == "SNSSignature":
            yield "The time is covered, but not checked: a copy of a delivery proves itself at any time."
        elif isinstance(self.sender.scheme, BearerJWT):
            if "exp" in self.sender.scheme.required:
                yield "A token says until when it is valid (exp): a copy of a delivery proves itself up to then."
            else:
                yield "Where a token says until when it is valid (exp), a copy of a delivery proves itself up to then."
        elif proof.secret:
            yield "No time is covered: a copy of a delivery proves itself at any time."
        if proof.url:
            yield "The URL is covered: say public_url as the sender has it."

    def _answer(self) -> Iterator[str]:
        stored, duplicate, rejected = self.sender.responses
        yield f"The receiver answers {stored} to what is stored, {duplicate} to a duplicate, {rejected} to a stranger."
        if self.page.answer:
            yield self.page.answer
        asked = list(dict.fromkeys(method for each in self.sender.challenges for method in each.methods))
        if asked:
            yield f"Challenges by {' and '.join(asked)} are answered by the receiver, and reach no handler."

    def _events(self) -> Iterator[str]:
        sender = self.sender
        if sender.split is not None:
            where = f", at {sender.split.place}" if sender.split.place != "*" else ""
            yield f"A delivery may hold several events{where}: each is stored and handled by itself."
        if sender.event_header is not None:
            yield f"The event's name is in the header {sender.event_header}."
        elif sender.event_name:
            names = [sender.event_name] if isinstance(sender.event_name, str) else sender.event_name
            yield f"The event's name is {' or else '.join(names)}."
        classes = sender.events or self.preset.events
        if classes:
            yield f"Classes in {classes[0].__module__}: {', '.join(each.__name__ for each in classes)}."
        if self.proof.id:
            yield "A delivery that is sent again is known by its id, which is covered."
        elif sender.delivery_id_path is not None:
            where = "in the body" if sender.identity is identity_of else "in the body, with its event's identity"
            yield f"A delivery that is sent again is known by {' and '.join(sender.delivery_id_paths)} {where}."
        elif any(map(has_own_id, classes)):
            yield "An event that is sent again is known by the id that it has by its class, or by an equal body."
        elif sender.delivery_id is not None and proves_as_a_whole(sender.scheme):
            yield f"A delivery that is sent again is known by {sender.delivery_id}; without it, by an equal body."
        elif sender.delivery_id is not None:
            yield f"A delivery that is sent again is known by an equal body; {sender.delivery_id} is not covered."
        elif sender.identity is not identity_of:
            yield "An event with an id of its sender's that is sent again is known by an equal body, and no other one."
        else:
            yield "Nothing tells a delivery that is sent again, unless an event's class has an id or an identity."

    def as_json(self) -> dict[str, Any]:
        """Return the profile as a JSON object."""
        preset, page, sender, proof = self.preset, self.page, self.sender, self.proof
        return {
            "name": preset.name,
            "title": preset.title,
            "trade": page.trade,
            "docs": f"https://{page.docs}",
            "module": preset.module,
            "function": preset.function,
            "headers": [*preset.headers],
            "register": page.setup,
            "proof": {**vars(proof)},
            "answer": page.answer,
            "backfill": page.backfill,
            "statuses": sender.responses._asdict(),
            "challenges": list(dict.fromkeys(method for each in sender.challenges for method in each.methods)),
            "event_header": sender.event_header,
            "event_name": [sender.event_name] if isinstance(sender.event_name, str) else [*sender.event_name],
            "split": None if sender.split is None else sender.split.place,
            "events": [each.__name__ for each in sender.events or preset.events],
            "delivery_id": sender.delivery_id,
            "delivery_id_path": sender.delivery_id_path,
            "traps": [*page.traps],
            "facts": [*sender.facts],
            "verified": None if isinstance(page.verified, str) else [*page.verified],
        }


def _kind(scheme: Scheme) -> str:
    """Return in words by what a scheme proves a delivery."""
    if isinstance(scheme, AnyOf):
        return ", or by ".join(dict.fromkeys(map(_kind, scheme.schemes)))
    return _KINDS.get(type(scheme).__name__, type(scheme).__name__)


def page_of(preset: Preset) -> Page:
    """Return the page of a sender, also of one of another package that has none."""
    return preset.page or Page(trade="specifications", docs="", setup="Its package says how to register.")


def profile_of(preset: Preset) -> Profile:
    """Return the profile of a sender; of one of another package without a page, what is read from the sender."""
    sender = preset.registering(preset.example)
    return Profile(preset, page_of(preset), sender, _proof_of(preset, sender.scheme))


def _proof_of(preset: Preset, scheme: Scheme) -> Proof:
    given = {"content-type": "application/json", **dict.fromkeys(preset.marks, "1")}
    sign_body = getattr(scheme, "sign_body", None)
    body = preset.body if sign_body is None else sign_body(preset.body, _NOW)
    head = scheme.sign(RequestHead.of(given, target="/webhooks", url=URL), body, _NOW)
    verified = scheme.verify(head, _NOW)(body)
    return Proof(
        type(scheme).__name__,
        verified.body,
        _tolerance(scheme, head, body) if verified.fresh else None,
        verified.id is not None,
        not verified.body and bool(verified.contents),
        getattr(scheme, "needs_url", False),
        scheme.secret_count > 0,
    )


def _tolerance(scheme: Scheme, head: RequestHead, body: bytes) -> int:
    """Return the seconds after its signing for which a delivery verifies."""
    least, most = 0, _LONGEST
    while least + 1 < most:
        age = (least + most) // 2
        try:
            scheme.verify(head, _NOW + age)(body)
            least = age
        except VerificationError:
            most = age
    return least
