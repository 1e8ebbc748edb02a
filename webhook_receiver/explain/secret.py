"""Mistakes in secrets and schemes that do not verify, and the secret or scheme as it should have been given."""

from __future__ import annotations

from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote

from ..senders.registry import preset_of
from ..signatures.hmac_body import HMACBody
from ..signatures.jwks import JWKS
from ..signatures.keys_by_id import KeysById
from ..signatures.secrets import Secret, masked
from .trial import Case, Cause, Suspicion

_PREFIX = "whsec_"
_LONGEST_TEXT = 512  # characters of a secret that is no key of RSA
EXPIRED = Cause(
    "secret-expired",
    "the request is signed with a secret that has expired (until=...)",
    "let the sender sign with the new secret, or give the old one more time",
)


def secret_suspicions(case: Case) -> Iterator[Suspicion]:
    """Yield each mistake that a secret may have, with the request as it would be without the mistake."""
    given = [] if isinstance(case.secrets, JWKS | KeysById) else masked(case.secrets)
    seen = {each.get_secret_value() for each in given}
    for each in given:
        if each.until is not None:
            lasting = Secret(each.get_secret_value())
            yield EXPIRED, replace(case, secrets=[lasting])
        for cause, secret in _instead(each.get_secret_value()):
            if secret and secret not in seen:
                seen.add(secret)
                yield cause, replace(case, secrets=[Secret.verbatim(secret)])


def key_suspicions(case: Case) -> Iterator[Suspicion]:
    """Yield the request with the key in another form, where the scheme is an `HMACBody` with options."""
    make: Any = case.make
    if isinstance(make, partial) and make.func is HMACBody:
        for form in ("text", "hex", "base64"):
            cause = Cause(
                "key-form", f"the key is the secret as {form}, which the scheme was not told", f'say key="{form}"'
            )
            yield cause, replace(case, make=partial[HMACBody](make, key=form))


def scheme_suspicions(case: Case) -> Iterator[Suspicion]:
    """Yield the request with each other scheme that its headers fit, the likeliest first, and with the given scheme
    without its options."""
    given = preset_of(case.make)
    for known, _ in case.findings.likely(case.head, case.body):
        if known.make != case.make and known.fits(case.headers):
            cause = Cause(
                "wrong-scheme",
                f"the request is signed as {known.title} does it, not by the given scheme",
                f"give the receiver sender={known.function}(...)",
            )
            if known is given:
                cause = Cause(
                    "scheme-options",
                    f"it verifies by {known.title} with its defaults: an option of the given scheme rejects it",
                    "look at what the scheme was given: components, headers, limits of time",
                )
            yield cause, replace(case, make=known.make_for(case.headers))


def _instead(secret: str) -> Iterator[tuple[Cause, str]]:
    more = Cause(
        "secret-newline",
        "the sender's secret has a newline or a space at its end, and this one has none",
        "set the sender's secret again, without it: no receiver can be given such a secret",
    )
    yield from ((more, secret + end) for end in ("\n", "\r\n", " "))
    quotes = Cause("secret-quotes", "the secret is within quotes", "give it without them; a .env file may keep them")
    yield quotes, secret.strip("\"'`").strip()
    if len(secret) > _LONGEST_TEXT:
        return  # a private key, which nobody writes down in another way, and which takes long to read
    prefix = Cause("secret-prefix", f"the secret's {_PREFIX} is too much or missing", "give it as the sender uses it")
    yield from ((prefix, secret.removeprefix(_PREFIX)), (prefix, _PREFIX + secret))
    decoded = Cause(
        "secret-encoded",
        "the secret is given in base64 or hex, and the sender signs with what that decodes to",
        "give it decoded; in Kubernetes, `kubectl get secret` shows base64",
    )
    yield from ((decoded, text) for text in _decoded(secret.removeprefix(_PREFIX)))
    encoded = Cause(
        "secret-decoded",
        "the secret is given decoded, and the sender signs with its base64 or hex form",
        "give it as the sender shows it, undecoded",
    )
    yield from ((encoded, text) for text in _encoded(secret))
    percent = Cause("secret-percent", "the secret has percent escapes, as in a URL", "give it unescaped")
    yield percent, unquote(secret)
    case = Cause("secret-case", "the secret's upper and lower case were changed", "copy it as the sender shows it")
    yield from ((case, secret.lower()), (case, secret.upper()))


def _decoded(secret: str) -> Iterator[str]:
    with suppress(ValueError):
        yield bytes.fromhex(secret).decode()
    for alphabet in (None, b"-_"):
        try:
            text = b64decode(secret + "=" * (-len(secret) % 4), alphabet, validate=True).decode()
        except ValueError:
            continue
        yield from (text, text.strip())


def _encoded(secret: str) -> Iterator[str]:
    raw = secret.encode()
    for text in (b64encode(raw).decode(), urlsafe_b64encode(raw).decode(), raw.hex(), raw.hex().upper()):
        yield from (text, text.rstrip("="))
    yield b64encode(raw + b"\n").decode()
