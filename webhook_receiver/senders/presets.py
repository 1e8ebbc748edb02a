"""The schemes by name: how each is made from secrets, and by which headers it is known."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

from ..delivery import Headers
from ..signatures.any_of import AnyOf
from ..signatures.hmac_body import HMACBody
from ..signatures.rfc9421 import Algorithm, HTTPMessageSignature
from ..signatures.scheme import Scheme
from ..signatures.secrets import Secrets, masked
from ..signatures.standard import StandardWebhooks
from ..signatures.up42 import UP42Signature

Make = Callable[[Secrets], Scheme]
"""What makes a scheme of secrets: its class, or one with options by `functools.partial`."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A scheme that can be told by a request's headers."""

    name: str
    """As it is called on the command line."""
    title: str
    make: Make
    marks: tuple[str, ...]
    """The headers that all its requests have, in lower case; by the first they are known."""
    within: bytes = b""
    """What the first of them has in it, where another scheme has headers of the same names."""
    example: str = "a-secret-for-tests"
    """A secret that it takes, for tests."""
    code: str = ""
    """How it is made with that secret, if not as `title("secret")`."""
    event_header: str = ""
    """The header that holds the event's name, if its body does not."""
    of: Callable[[Headers], Make] | None = None
    """What makes it as a request's headers say, where they name the key."""

    def written(self) -> str:
        """Return the Python that makes it with the example of a secret."""
        return self.code or f'{self.title}("{self.example}")'

    def made_for(self, headers: Headers) -> Make:
        """Return what makes the scheme for a request."""
        return self.make if self.of is None else self.of(headers)

    def fits(self, headers: Headers) -> bool:
        """Whether a request's headers are those of this scheme."""
        mark = self.marks[0].encode()
        return any(name == mark and self.within in value for name, value in headers)


def _three(prefix: str) -> tuple[str, str, str]:
    return (f"{prefix}-signature", f"{prefix}-id", f"{prefix}-timestamp")


def _message(secrets: Secrets, key: str = "key-1", algorithm: Algorithm = "hmac-sha256") -> Scheme:
    return AnyOf(*(HTTPMessageSignature({key: each}, algorithm=algorithm) for each in masked(secrets)))


def _message_of(headers: Headers) -> Make:
    """Return what makes RFC 9421's scheme with the key's name and the algorithm that the request states."""
    stated = dict(headers).get(b"signature-input", b"").decode("latin-1")
    key = re.search(r';\s*keyid="([^"\\]{1,200})"', stated)
    algorithm = re.search(r';\s*alg="([^"\\]{1,40})"', stated)
    return partial(
        _message,
        key=key[1] if key else "key-1",
        algorithm=cast("Algorithm", algorithm[1] if algorithm else "hmac-sha256"),
    )


_SVIX = partial(StandardWebhooks, headers="svix")
_KEY = "whsec_YS1zZWNyZXQtZm9yLXRlc3Rz"

PRESETS = (
    Preset("up42", "UP42Signature", UP42Signature, ("signature-input", "signature"), b"up42-sig"),
    Preset("standard", "StandardWebhooks", StandardWebhooks, _three("webhook"), example=_KEY),
    Preset(
        "svix",
        "StandardWebhooks",
        _SVIX,
        _three("svix"),
        example=_KEY,
        code=f'StandardWebhooks("{_KEY}", headers="svix")',
    ),
    Preset(
        "github",
        "HMACBody.github",
        HMACBody.github,
        ("x-hub-signature-256", "x-github-delivery"),
        event_header="X-GitHub-Event",
    ),
    Preset("stripe", "HMACBody.stripe", HMACBody.stripe, ("stripe-signature",)),
    Preset("slack", "HMACBody.slack", HMACBody.slack, ("x-slack-signature", "x-slack-request-timestamp")),
    Preset(
        "shopify",
        "HMACBody.shopify",
        HMACBody.shopify,
        ("x-shopify-hmac-sha256", "x-shopify-webhook-id"),
        event_header="X-Shopify-Topic",
    ),
    Preset(
        "rfc9421",
        "HTTPMessageSignature",
        _message,
        ("signature-input", "signature"),
        code='HTTPMessageSignature({"key-1": "a-secret-for-tests"})',
        of=_message_of,
    ),
)
"""In the order in which they are tried: the first whose headers these are is the one."""


def known_as(make: Make) -> Preset | None:
    """Return the scheme that is made so, maybe with options; None if it is no known one."""
    for way in (make, getattr(make, "func", None)):
        for known in PRESETS:
            if known.make == way:
                return known
    return None


def recognised(headers: Headers) -> Preset | None:
    """Return the scheme whose headers these are, None if no known one's."""
    return next((known for known in PRESETS if known.fits(headers)), None)
