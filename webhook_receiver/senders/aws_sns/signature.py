"""The signatures of AWS SNS, in the body itself, by the key of a certificate that only AWS can publish.

The signed content is that of Amazon Simple Notification Service, "Verifying the signatures of Amazon SNS messages": the
names and values of some members, each with a newline behind it, in an order that the type says. No value but that of
`Message` may have a newline, or a stranger with a copy could move the border between two of them.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeGuard, cast
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

from ...delivery import RequestHead
from ...errors import BadSignature, ConfigurationError, KeysUnavailable, MalformedSignature, MissingSignature, needs
from ...signatures import BodyCheck, Verified, http_get
from ...signatures.fetching import FetchCache
from ...signatures.http_get import Fetch
from ...signatures.secrets import Secret, Secrets, masked

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIPTION = "UnsubscribeConfirmation"

_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Mapping[str, tuple[str, ...]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: _CONFIRMATION,
    UNSUBSCRIPTION: _CONFIRMATION,
}
"""The signed members of a message, in their order, by its type. A `Subject` is left out where there is none."""
_PROOF = {"SignatureVersion", "Signature", "SigningCertURL"}
_HASHES = {"1": "SHA1", "2": "SHA256"}
"""The hash functions of the signature (RSA, PKCS 1 v1.5), by its version."""

_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}):[0-9]{12}:[A-Za-z0-9_.-]{1,256}")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{32}\.pem")
_MOST_FETCHES = 16  # of certificates of one host, within half a minute: AWS changes its own once in months
_DAY = 86_400.0  # seconds
_MOST_OF_A_VALUE = 2048  # characters, of all but `Message`


def host_of(topic: str) -> str:
    """Return the host of AWS that signs the messages of a topic: the only one that is ever asked for them.

    Raises:
        ConfigurationError: the text is no ARN of a topic.
    """
    found = _ARN.fullmatch(topic)
    if found is None:
        raise ConfigurationError("a topic is an ARN such as arn:aws:sns:eu-central-1:123456789012:orders")
    return f"sns.{found[2]}.amazonaws.com{'.cn' if found[1] == 'aws-cn' else ''}"


def is_of_host(url: object, host: str) -> TypeGuard[str]:
    """Return whether a URL is one of https at a host, and nothing else: no port, no user, nothing to be read twice."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or not url.startswith(f"https://{host}/"):
        return False
    return not set(url) & set(' \\"<>^`{|}#') and urlsplit(url).netloc == host


def is_certificate(url: object, host: str) -> TypeGuard[str]:
    """Return whether a URL is that of a certificate for signatures at a host of AWS."""
    return is_of_host(url, host) and _CERTIFICATE.fullmatch(url.removeprefix(f"https://{host}")) is not None


class Certificates:
    """The certificates of AWS, fetched when a message is signed by one that is not known yet. Needs `[ed25519]`.

    Args:
        fetch: an async function of a URL that returns the document there, or raises KeysUnavailable; by httpx, bounded
            and without redirects, if None.
        known: certificates that are at hand, in PEM by their URLs, which are not fetched.

    Raises:
        ConfigurationError: an extra is missing, or a certificate that is known cannot be read.
    """

    def __init__(self, fetch: Fetch | None = None, *, known: Mapping[str, bytes] | None = None) -> None:
        if find_spec("cryptography") is None:
            raise ConfigurationError(needs("the sender AWS SNS", "an extra", "ed25519"))
        if fetch is None:
            http_get.check_client()
        self._fetch = fetch or http_get.get
        try:
            self._known = {url: _read(document) for url, document in (known or {}).items()}
        except KeysUnavailable as error:
            raise ConfigurationError(str(error)) from None
        self._caches: dict[str, FetchCache[str, _Certificate]] = {}
        """The caches of the hosts, of which each has bounds of its own: who knows one topic keeps out no other."""

    def get(self, url: str, now: float) -> _Certificate:
        """Return a certificate.

        Args:
            url: its URL, which was found to be one of AWS.
            now: the time in Unix seconds.

        Raises:
            KeysNeeded: it has to be fetched first.
        """
        found = self._known.get(url) or self._cache(urlsplit(url).netloc).get(url, now)
        assert found is not None, "a certificate is fetched, or that fails"  # noqa: S101 - for the type checkers
        return found

    def _cache(self, host: str) -> FetchCache[str, _Certificate]:
        if host not in self._caches:
            self._caches[host] = FetchCache(
                self._load,
                what="a certificate of AWS SNS",
                lifetime=_DAY,
                max_stale=30 * _DAY,
                size=32,
                most_fetches=_MOST_FETCHES,
            )
        return self._caches[host]

    async def _load(self, url: str) -> _Certificate:
        return _read(await self._fetch(url))


class _Certificate(NamedTuple):
    """The key of a certificate, and the Unix times between which it is valid."""

    key: Any
    begin: float
    end: float


def _read(document: bytes) -> _Certificate:
    """Return a certificate.

    Raises:
        KeysUnavailable: the document is none in PEM, or one without a safe key of RSA.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    try:
        certificate = x509.load_pem_x509_certificate(document)
        key = certificate.public_key()
    except Exception:  # whatever the library stumbles over
        raise KeysUnavailable("a certificate of AWS SNS cannot be read") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < 2048:
        raise KeysUnavailable("a certificate of AWS SNS has no key of RSA with 2048 bits or more")
    begin, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    return _Certificate(key, begin, end)


class OwnCertificate:
    """A private key, and a certificate of it that was made just now, in place of AWS's for tests and `send`.

    Args:
        key: the key of RSA, in PEM; a new one if None.

    Raises:
        ConfigurationError: it is no such key.
    """

    def __init__(self, key: Secret | None = None) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        from ...signatures.public_keys import private_key

        self.key: Any = rsa.generate_private_key(65537, 2048) if key is None else private_key(key)
        if not isinstance(self.key, rsa.RSAPrivateKey):
            raise ConfigurationError("AWS SNS signs with a private key of RSA, and this is none")
        name, begin, end = x509.Name([]), datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
        made = x509.CertificateBuilder(name, name, self.key.public_key(), 1, begin, end).sign(self.key, hashes.SHA256())
        self.pem = made.public_bytes(serialization.Encoding.PEM)
        """The certificate, in PEM."""
        self.certificate = _read(self.pem)
        form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        self._name = sha256(self.key.public_key().public_bytes(*form)).hexdigest()[:32]

    def url(self, host: str) -> str:
        """Return the URL of the certificate at a host of AWS, where there is none: no other certificate has it."""
        return f"https://{host}/SimpleNotificationService-{self._name}.pem"


_shared: list[Certificates] = []
"""The certificates of all receivers, once one was made."""


class SNSSignature:
    """A scheme that verifies the messages of topics of AWS SNS, by their own signature. Needs `[ed25519]`.

    A message is verified by the certificate at its `SigningCertURL`, which has to be one of the host that AWS has for
    the region of the topic. It is fetched once a day, within bounds; no other host is asked. `Verified.body` is False
    for a message with members that AWS does not sign, such as `MessageAttributes`. The time is that of publication, so
    it does not limit how late a message may come.

    Args:
        topics: the ARN of the topic, or several: messages of all others are rejected.
        certificates: the certificates; those that all receivers share if None.
        key: a private key of RSA to sign with in place of AWS, for tests and `send`: this scheme alone verifies what it
            signs. None to make one when there is something to sign.

    Raises:
        ConfigurationError: a topic is none, the key is none, or an extra is missing.
    """

    secret_count = 1
    """The proof is by AWS's keys, whichever topic a message is of. See `Scheme`."""
    proves_id = True
    """A message has an id. See `Scheme`."""
    covered_headers = frozenset[bytes]()
    """No header: a signature covers members of the body. See `Scheme`."""

    def __init__(self, topics: Secrets, *, certificates: Certificates | None = None, key: Secret | None = None) -> None:
        self._hosts = {topic: host_of(topic) for topic in (each.get_secret_value() for each in masked(topics))}
        if certificates is None:
            if not _shared:
                _shared.append(Certificates())
            certificates = _shared[0]
        self._certificates = certificates
        self._own = None if key is None else OwnCertificate(key)

    def sign_with(self, key: Secret) -> None:
        """Sign with a private key of RSA in place of AWS, and verify what it signs, as `key` does.

        Raises:
            ConfigurationError: it is no such key.
        """
        self._own = OwnCertificate(key)

    @property
    def to_trust(self) -> list[str]:
        """What another receiver needs to verify what this scheme signs, in lines of Python; nothing without a key."""
        if self._own is None:
            return []
        urls = dict.fromkeys(map(self._own.url, self._hosts.values()))
        pem = self._own.pem.decode().strip()
        return [
            f'certificate = b"""{pem}\n"""',
            *(f'aws_sns(topic, certificates=Certificates(known={{"{url}": certificate}}))' for url in urls),
        ]

    def sign_body(self, body: bytes, now: float) -> bytes:
        """Return the body of a message, signed as AWS does it, but by a key of our own. See `Scheme`.

        Args:
            body: a JSON object with members of the message. One that is missing is made up; a topic of nobody becomes
                the receiver's, and `id` the id of the message.
            now: the time of publication, in Unix seconds.

        Raises:
            ConfigurationError: the body is no JSON object, or its `Type` none that SNS has.
        """
        try:
            given: object = json.loads(body)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise ConfigurationError("cannot sign: a message of AWS SNS is a JSON object")
        message = {name: value for name, value in cast("dict[str, Any]", given).items() if name not in _PROOF}
        if message.setdefault("Type", NOTIFICATION) not in _SIGNED:
            raise ConfigurationError(f"the Type of a message of AWS SNS is one of {', '.join(_SIGNED)}")
        message["MessageId"] = str(message.pop("id", None) or message.get("MessageId") or uuid4())
        if message.get("TopicArn") not in self._hosts:
            message["TopicArn"] = next(iter(self._hosts))
        message.setdefault("Message", "{}")
        stated = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        message.setdefault("Timestamp", stated.replace("+00:00", "Z"))
        host = self._hosts[message["TopicArn"]]
        if message["Type"] in (SUBSCRIPTION, UNSUBSCRIPTION):
            token = message.setdefault("Token", uuid4().hex)
            query = urlencode({"Action": "ConfirmSubscription", "TopicArn": message["TopicArn"], "Token": token})
            message.setdefault("SubscribeURL", f"https://{host}/?{query}")
        self._own = self._own or OwnCertificate()
        return signed_message(message, self._own.key, self._own.url(host))

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head with the headers of SNS, if the body is a message with a signature. AWS alone signs.

        Raises:
            ConfigurationError: the body is no signed message of a topic; `signed_message` makes one for tests.
        """
        try:
            message = message_of(body)
            self._host(message)
        except (MissingSignature, MalformedSignature, BadSignature) as error:
            raise ConfigurationError(
                f"cannot sign: AWS signs in the body, which signed_message(...) does: {error}"
            ) from None
        headers = (("type", "Type"), ("id", "MessageId"), ("topic-arn", "TopicArn"))
        return head.with_headers(
            *(
                (f"x-amz-sns-{'message-' * (name != 'topic-arn')}{name}".encode(), message[member].encode())
                for name, member in headers
            )
        )

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Return the check of the body; the head proves nothing. See `Scheme.verify`."""
        return partial(self._check, now)

    def _check(self, now: float, body: bytes) -> Verified:
        message = message_of(body)
        host = self._host(message)
        certificate_url, version = message.get("SigningCertURL"), message.get("SignatureVersion")
        if not isinstance(version, str) or version not in _HASHES:
            raise MalformedSignature('the SignatureVersion of the message is neither "1" nor "2"')
        signature = _signature(message.get("Signature"))
        if not is_certificate(certificate_url, host):
            raise BadSignature(
                f"the SigningCertURL of the message is none of a certificate at {host}: AWS did not send it"
            )
        if self._own is not None and certificate_url == self._own.url(host):
            certificate = self._own.certificate
        else:
            certificate = self._certificates.get(certificate_url, now)
        if not _is_right(certificate.key, signature, content_of(message), _HASHES[version]):
            raise BadSignature(
                "the certificate of AWS does not give this signature: the message was changed on the way, or is forged"
            )
        if not certificate.begin <= now <= certificate.end:
            raise BadSignature("the certificate of AWS is not valid at this time, by our clock")
        unsigned = message.keys() - {*_SIGNED[message["Type"]], *_PROOF}
        is_whole = not unsigned or (unsigned == {"UnsubscribeURL"} and _is_unsubscription(message, host))
        return Verified(0, body=is_whole, id=message["MessageId"])

    def _host(self, message: Mapping[str, Any]) -> str:
        """Return the host of the topic of a message.

        Raises:
            BadSignature: it is of another topic.
        """
        host = self._hosts.get(message["TopicArn"])
        if host is None:
            raise BadSignature("the message is of another topic than the receiver's: give it the ARN of each")
        return host


def _is_unsubscription(message: Mapping[str, Any], host: str) -> bool:
    """Return whether the UnsubscribeURL of a message, which is not signed, ends a subscription to its topic alone."""
    url = message["UnsubscribeURL"]
    if not is_of_host(url, host):
        return False
    parts = urlsplit(url)
    asked = parse_qsl(parts.query, keep_blank_values=True)
    names = dict(asked)
    return (
        (parts.path, len(asked)) == ("/", 2)
        and names.get("Action") == "Unsubscribe"
        and names.get("SubscriptionArn", "").startswith(f"{message['TopicArn']}:")
    )


def content_of(message: Mapping[str, Any]) -> bytes:
    """Return the signed content of a message."""
    names = [name for name in _SIGNED[message["Type"]] if message.get(name) is not None]
    return "".join(f"{name}\n{message[name]}\n" for name in names).encode("utf-8", "surrogatepass")


def signed_message(members: Mapping[str, Any], key: Any, certificate_url: str, version: str = "2") -> bytes:
    """Return the body of a message that is signed as AWS does it, for tests with a key of their own.

    Args:
        members: the members of the message without its proof.
        key: the private key of RSA, an object of `cryptography`.
        certificate_url: the URL of its certificate, which the `fetch` of `Certificates` has to know.
        version: the version of the signature, "1" or "2".
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    signature = key.sign(content_of(members), PKCS1v15(), getattr(hashes, _HASHES[version])())
    proof = {
        "SignatureVersion": version,
        "Signature": b64encode(signature).decode(),
        "SigningCertURL": certificate_url,
    }
    return json.dumps({**members, **proof}).encode()


def message_of(body: bytes) -> dict[str, Any]:
    """Return a message whose signed members are texts that cannot be taken for one another.

    Raises:
        MissingSignature: the body is no message with a signature.
        MalformedSignature: a member is not as SNS has it.
    """
    try:
        found: object = json.loads(body, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):  # whose texts quote the body
        found = None
    message = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    kind = message.get("Type")
    if "Signature" not in message or not isinstance(kind, str):
        raise MissingSignature("the body is no message of AWS SNS with a signature; a raw one has none")
    if kind not in _SIGNED:
        raise MalformedSignature("the Type of the message is none that AWS SNS has")
    for name in _SIGNED[kind]:
        value: object = message.get(name)
        if value is None and name == "Subject":
            continue
        if not isinstance(value, str) or (name != "Message" and ("\n" in value or len(value) > _MOST_OF_A_VALUE)):
            raise MalformedSignature(f"the message has no {name}, or one that AWS SNS would not send")
    return message


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose members have names of their own: of two, another reader may take the other."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member is there more than once")
    return found


def _signature(text: object) -> bytes:
    try:
        signature = b64decode(text if isinstance(text, str) else "", validate=True)
    except ValueError:
        signature = b""
    if not signature or b64encode(signature).decode() != text:
        raise MalformedSignature("the Signature of the message is not base64")
    return signature


def _is_right(key: Any, signature: bytes, content: bytes, hash: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    try:
        key.verify(signature, content, PKCS1v15(), getattr(hashes, hash)())
    except InvalidSignature:
        return False
    return True
