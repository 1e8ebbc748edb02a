"""An adapter of the library http-message-signatures, which implements RFC 9421 and is imported in this module only.

Its errors become the errors of this package here, since its texts may quote a request.
"""
# The library's types are partial, and it exports without saying so.
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import cryptography.exceptions
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from http_message_signatures import (
    ContentDigest,
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    HTTPSignatureComponentResolver,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    VerifyResult,
    algorithms,
)

from ..delivery import Headers, RequestHead
from ..errors import BadSignature, BodyMismatch, ConfigurationError, MalformedSignature, VerificationError
from .secrets import Secret

_ALGORITHMS: dict[str, type[HTTPSignatureAlgorithm]] = {
    each.algorithm_id: each
    for each in (
        algorithms.HMAC_SHA256,
        algorithms.ED25519,
        algorithms.ECDSA_P256_SHA256,
        algorithms.ECDSA_P384_SHA384,
        algorithms.RSA_PSS_SHA512,
        algorithms.RSA_V1_5_SHA256,
    )
}


_NO_URL = "https://not.known/"
"""A URL for the library, which wants one, where no component is taken from it."""


def algorithm_of(name: str) -> type[HTTPSignatureAlgorithm]:
    """Return the library's algorithm of a name in RFC 9421, section 6.2.

    Raises:
        ConfigurationError: no supported algorithm has this name.
    """
    if name not in _ALGORITHMS:
        raise ConfigurationError(f"algorithm is one of {', '.join(_ALGORITHMS)}, not {name!r}")
    return _ALGORITHMS[name]


def key_of(algorithm: type[HTTPSignatureAlgorithm], secret: Secret) -> tuple[Any, Any]:
    """Return the public and the private key that a secret holds; for an HMAC, its bytes twice.

    Returns:
        The public key, and the private key or None where the secret is a public key.

    Raises:
        ConfigurationError: the secret holds no key of this algorithm.
    """
    if algorithm is algorithms.HMAC_SHA256:
        return secret.get_secret_value().encode(), secret.get_secret_value().encode()
    try:
        if "PRIVATE KEY-----" in secret.get_secret_value():
            private: Any = load_pem_private_key(secret.get_secret_value().encode(), None)
            public: Any = private.public_key()
        else:
            private, public = None, load_pem_public_key(secret.get_secret_value().encode())
        algorithm(public_key=public, private_key=private)
    except (ValueError, TypeError, UnsupportedAlgorithm, HTTPMessageSignaturesException):
        raise ConfigurationError(f"a key for {algorithm.algorithm_id} is PEM of that kind, and not encrypted") from None
    return public, private


class _AllComponents(HTTPSignatureComponentResolver):
    """The components of a request whose URL is known."""


def _is_of_url(component: str) -> bool:
    return component.startswith("@") and component != "@method"


class _ComponentsOfSomeUrl(_AllComponents):
    """The components of a request whose URL is not known yet, for a trial of their names."""

    def resolve(self, component_node: Any) -> str:
        if str(component_node.value) == "@query-param":
            return ""  # the URL has the parameter, and is not known yet
        value: str = super().resolve(component_node)
        return value


class _OnlyHeaders(HTTPSignatureComponentResolver):
    """The components of a request whose URL is not known."""

    def resolve(self, component_node: Any) -> str:
        if _is_of_url(str(component_node.value)):
            raise MalformedSignature(
                "the signature covers a part of the URL (@target-uri, @authority, @path or the like): say which URL "
                "the sender posts to, HTTPMessageSignature(url=...) or WebhookReceiver(public_url=...)"
            )
        value: str = super().resolve(component_node)
        return value


class _Verifier(HTTPMessageVerifier):
    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """Require `created`, and leave the comparison of times to the scheme, which knows the present time."""
        if "created" not in sig_input.params:
            raise MalformedSignature("the signature does not say when it was created")


class Keys(HTTPSignatureKeyResolver):
    """The keys by their names, hidden from tracebacks that show local variables."""

    def __init__(self, keys: Mapping[str, Any]) -> None:
        self._keys = keys

    def resolve_public_key(self, key_id: str) -> Any:
        if key_id not in self._keys:
            raise BadSignature("the signature names a key that the receiver does not have, or that has expired")
        return self._keys[key_id]

    def resolve_private_key(self, key_id: str) -> Any:
        return self._keys[key_id]


class Messages:
    """A signer and verifier of requests with one algorithm.

    Args:
        algorithm: the library's algorithm; see `algorithm_of`.
        components: the names of the components that a signature has to cover; `sign` covers these.
        url: the absolute URL that the requests are posted to; None for the URL in each head.
        tag: the tag that signatures have to have; None for any or none.

    Raises:
        ConfigurationError: a component cannot exist, or the URL is invalid.
    """

    def __init__(
        self,
        algorithm: type[HTTPSignatureAlgorithm],
        components: Sequence[str],
        url: str | None,
        tag: str | None,
    ) -> None:
        self._algorithm = algorithm
        self._components = [each if each.startswith('"') else f'"{each.lower()}"' for each in components]
        self._url = url
        self._tag = tag
        self.needs_url = url is None and any(_is_of_url(each.split('"')[1]) for each in self._components)
        """Whether a component is a part of the URL, so that each head has to have the URL."""
        self._try_out()

    def sign(self, head: RequestHead, body: bytes, key: tuple[str, Any], now: float, nonce: str | None) -> Headers:
        """Return the headers that a signature adds to a head.

        Args:
            head: the head of the request as it would be sent unsigned.
            body: the body's bytes.
            key: the key's name, and the private key.
            now: the time of signing, in Unix seconds.
            nonce: the nonce of the signature; None for none.

        Raises:
            ConfigurationError: a component that has to be covered is absent, or cannot be signed.
        """
        fields: dict[str, str] = {}
        for name, value in ((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers):
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        given = {*fields}
        signer = HTTPMessageSigner(
            signature_algorithm=self._algorithm,
            key_resolver=Keys({key[0]: key[1]}),
            component_resolver_class=self._resolver(head),
        )
        try:
            signer.sign(
                self._message(head, fields),
                key_id=key[0],
                created=datetime.fromtimestamp(int(now), UTC),
                nonce=nonce,
                tag=self._tag,
                label="sig1",
                covered_component_ids=self._components,
                body=body,
                use_existing_digest=True,
            )
        except (HTTPMessageSignaturesException, VerificationError) as error:
            raise ConfigurationError(f"cannot sign: {error}") from None
        return [(name.lower().encode(), value.encode()) for name, value in fields.items() if name not in given]

    def verify(self, head: RequestHead, keys: Keys) -> VerifyResult:
        """Return the parameters of a head's one signature, and the components that it covers.

        Raises:
            VerificationError: the head has no signature or several, the key gives another one, or a required component
                is not covered.
        """
        verifier = _Verifier(
            signature_algorithm=self._algorithm, key_resolver=keys, component_resolver_class=self._resolver(head)
        )
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
        error: VerificationError | None
        try:
            found = verifier.verify(
                self._message(head, SimpleNamespace(items=lambda: pairs)), max_age=None, expect_tag=self._tag
            )
        except Exception as raised:  # whatever the library stumbles over came from a stranger
            error = _translated(raised)
        else:
            error = self._incomplete(found)
            if error is None:
                return found[0]
        raise error  # out here, where no error with the stranger's words in it is its context

    def _resolver(self, head: RequestHead) -> type[HTTPSignatureComponentResolver]:
        return _OnlyHeaders if self._url is None and head.url is None else _AllComponents

    def _message(self, head: RequestHead, headers: Any) -> Any:
        return SimpleNamespace(method=head.method, url=self._url or head.url or _NO_URL, headers=headers)

    def _incomplete(self, found: Sequence[VerifyResult]) -> VerificationError | None:
        if len(found) != 1:
            return MalformedSignature("there is more than one signature: say by tag=... which one counts")
        absent = [each for each in self._components if each not in found[0].covered_components]
        if '"content-digest"' in absent:
            return BodyMismatch(
                "the signature does not cover content-digest, so anyone could put another body under it"
            )
        if absent:
            return MalformedSignature(
                f"the signature does not cover {', '.join(absent)}, which components=... asks for"
            )
        return None

    def _try_out(self) -> None:
        """Prepare a signature, so that a component that cannot exist is an error of configuration."""
        names = [each.split('"')[1] for each in self._components]
        headers = [(each.encode(), b"x") for each in names if not each.startswith("@") and each != "content-digest"]
        try:
            HTTPMessageSigner(
                signature_algorithm=self._algorithm,
                key_resolver=None,
                component_resolver_class=_ComponentsOfSomeUrl if self._url is None else _AllComponents,
            ).prepare(
                self._message(RequestHead.of(()), {name.decode(): value.decode() for name, value in headers}),
                key_id="",
                covered_component_ids=self._components,
                body=b"",
            )
        except (HTTPMessageSignaturesException, VerificationError, ValueError) as error:
            raise ConfigurationError(f"components=... and url=... cannot work: {error}") from None


def reject_other_body(found: VerifyResult, body: bytes) -> None:
    """Reject a body whose digest is not the one that the signature covers.

    Raises:
        BodyMismatch: the digest is of other bytes, or of a hash function that is not supported.
    """
    try:
        is_right = ContentDigest.verify_components(found.covered_components, body)
    except Exception:
        is_right = False
    if not is_right:
        raise BodyMismatch(
            "the body is not the one that was signed, or its content-digest is not of SHA-256 or SHA-512"
        )


def _translated(raised: Exception) -> VerificationError:
    """Return an error of this package for one of the library, whose text may quote the request."""
    for each in (raised, raised.__cause__):
        if isinstance(each, VerificationError):
            return each.with_traceback(None)
        if isinstance(each, cryptography.exceptions.InvalidSignature):
            return BadSignature(
                "the key gives another signature: another key, or what it covers was changed on the way"
            )
    if isinstance(raised, InvalidSignature) and "Multiple signatures" in str(raised):
        return MalformedSignature("there is more than one signature: say by tag=... which one counts")
    return MalformedSignature("signature-input and signature are not one signature of RFC 9421 that we can verify")
