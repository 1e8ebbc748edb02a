"""Senders of CloudEvents 1.0.2: structured, batched and, where the headers are proven, binary."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from email.message import Message
from functools import partial
from urllib.parse import unquote_to_bytes

from ..delivery import Headers
from ..errors import ConfigurationError
from ..json_repair import parsed, repaired
from ..signatures import Scheme
from ..signatures.scheme import covered_headers
from .base import Sender
from .challenges import cloudevents as handshake
from .split import Split
from .text import text_of

_ATTRIBUTE = re.compile(rb"ce-([a-z0-9]+)")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_REQUIRED = (b"ce-specversion", b"ce-id", b"ce-source", b"ce-type", b"content-type")


def cloudevents(
    scheme: Scheme, *, name: str = "cloudevents", origins: tuple[str, ...] = (), binary: bool = False
) -> Sender:
    """Return a sender of CloudEvents, one in a request or a batch, with any charset of texts.

    JSON is in UTF-8, UTF-16 or UTF-32 whatever its Content-Type says, and in the charset of that otherwise. Without
    `binary`, nobody may have proven the Content-Type, so that is then Latin-1.

    In the binary mode an event's attributes are in headers. Few signatures cover these: who has seen a delivery could
    send its body again as another event. So it is read only if asked for, from a scheme that covers what makes an event
    of a request, or that covers nothing and proves the request as a whole, such as `BasicAuth`. Of a scheme that covers
    headers, the attributes in these are read, and no others. Without `binary`, the body alone is the event.

    Args:
        scheme: how the deliveries prove themselves; CloudEvents itself has no way.
        name: the sender's name.
        origins: the origins that may deliver, for the challenge by OPTIONS; none to answer none.
        binary: whether to read the binary mode.

    Raises:
        ConfigurationError: `binary`, and the signature covers the body, but not the headers Content-Type,
            ce-specversion, ce-id, ce-source and ce-type; or a part cannot work.
    """
    return Sender(
        name=name,
        scheme=scheme,
        facts=(
            "CloudEvents 1.0.2: HTTP Protocol Binding, sections 3.1 to 3.3; JSON Event Format; HTTP 1.1 Web Hooks",
            "cloudevents 2.2.0 (PyPI): headers are percent-decoded; a missing time is made up there, and not here",
        ),
        decode=None if binary else _in_utf,
        envelope=partial(binary_event, covered=_covered(scheme)) if binary else None,
        split=Split("*"),
        event_name="type",
        delivery_id_path=("source", "id"),  # together they are unique (CloudEvents 1.0.2, section "id")
        challenges=(handshake(*origins),) if origins else (),
    )


def binary_event(document: bytes, headers: Headers, covered: frozenset[bytes] | None = None) -> bytes:
    """Return the JSON of a CloudEvent in the binary mode (HTTP Protocol Binding, section 3.1); any other one as it is.

    One in the structured mode that is in no UTF is read by the charset of its Content-Type.

    An attribute whose header an inbox does not store, since its name suggests a secret, is left out.

    Args:
        document: the body, as received.
        headers: the headers of the request.
        covered: the names of the headers that are read; None for all.
    """
    content_type = next((value.decode("latin-1") for name, value in headers if name == b"content-type"), "")
    found = {
        match[1].decode(): _attribute(value.decode("latin-1"))
        for name, value in reversed(headers)  # of two the first counts
        if (match := _ATTRIBUTE.fullmatch(name)) and match[1] != b"data" and (covered is None or name in covered)
    }
    if content_type.lower().startswith("application/cloudevents"):
        return _in_utf(document, _kind(content_type)[1] or "latin-1")
    if "specversion" not in found:
        return document
    if content_type:
        found["datacontenttype"] = content_type
    attributes = json.dumps(found)[:-1].encode()
    return attributes + b"}" if not document else b"%b, %b}" % (attributes, _data(document, content_type))


def _data(body: bytes, content_type: str) -> bytes:
    """Return the member that has the data of an event: JSON as it is, else a text, else base64."""
    kind, charset = _kind(content_type or "application/json")
    if kind.endswith(("/json", "+json")):
        text = repaired(body) if charset in (None, "utf-8") else text_of(body, charset).encode()
        if text.strip() == b"null" or parsed(text) is not None:
            return b'"data": ' + text
    is_text = kind.startswith("text/") or kind.endswith(("/json", "+json", "/xml", "+xml", "/x-www-form-urlencoded"))
    if is_text:
        return b'"data": ' + json.dumps(text_of(body, charset)).encode()
    return b'"data_base64": "' + b64encode(body) + b'"'


def _kind(content_type: str) -> tuple[str, str | None]:
    """Return the media type of a Content-Type, and its charset, if it has one."""
    message = Message()
    message["content-type"] = content_type
    return message.get_content_type(), message.get_content_charset()


def _in_utf(document: bytes, charset: str = "latin-1") -> bytes:
    """Return JSON that is in no UTF in UTF-8, read by a charset; any other one unchanged."""
    try:
        document.decode()
    except UnicodeDecodeError:
        # UTF-16 and UTF-32 have zero bytes or a byte order mark, and are repaired where JSON is read.
        if b"\0" not in document and not document.startswith((b"\xff\xfe", b"\xfe\xff")):
            return text_of(document, charset).encode()
    return document


def _attribute(value: str) -> str:
    """Return the value of an attribute in a header (HTTP Protocol Binding, section 3.1.3.2)."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _QUOTED_PAIR.sub(r"\1", value[1:-1])
    found = unquote_to_bytes(value.encode("latin-1", "replace"))
    try:
        return found.decode()
    except UnicodeDecodeError:
        return found.decode("latin-1")


def _covered(scheme: Scheme) -> frozenset[bytes] | None:
    """Return the headers of which a scheme proves the attributes; None for one that covers nothing.

    Raises:
        ConfigurationError: it covers the body, or may, but not all headers that make an event of a request.
    """
    covered = covered_headers(scheme)
    if covered is None:
        return None
    lacking = [name.decode() for name in _REQUIRED if name not in covered]
    if lacking:
        raise ConfigurationError(
            f"binary=True needs a signature over {', '.join(lacking)}, or nobody knows who wrote it: have "
            f"{type(scheme).__name__} cover it; or have the sender use the structured mode. A scheme of your own says "
            "what it covers as covered_headers, None for nothing; SecretsByRequest(example=...) is given a secret"
        )
    return covered
