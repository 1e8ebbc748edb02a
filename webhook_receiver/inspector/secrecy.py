"""What is never on a page: headers that may hold a credential, and members of a body that do."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import quote_plus, unquote_plus

from ..delivery import Headers, kept_headers
from ..signatures.scheme import Scheme, secret_headers, secret_members, secret_places
from ..signatures.strength import without_secrets
from .wording import MASK

_CREDENTIAL = re.compile(
    r"(?:(?:^|[\W_])(?i:token|secret|passwd|password|passphrase|signature|authorization|credentials?)"
    r"|[a-z0-9](?:Token|Secret|Password|Signature|ApiKey|AccessKey)"
    r"|(?i:(?:api|access|private|signing|secret)[_\-]?key|(?:access|refresh|auth|id)token|clientsecret|pwd|response_url))\]?$"
)
"""The end of a name that tells of a credential. Who has Slack's `response_url` may write to the channel."""
_SEVERAL = re.compile(
    r"(?:(?:^|[\W_])(?i:token|secret|password)|[a-z0-9](?:Token|Secret|Password|Key)|(?i:[_\-]key))s$"
)
"""The end of a name that tells of several: a number of that name is their count."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)  # also one that does not end, so that it is read once
_MEMBER = re.compile(rf"({_STRING.pattern})(\s*:\s*)?", re.DOTALL)
_NUMBER = re.compile(r"-?\d[\d.eE+\-]*")
_BRACKET = re.compile(rf"{_STRING.pattern}|[\[\]{{}}]", re.DOTALL)
_PAIR = re.compile("([^&=]*)=([^&]*)")
_BLANK = "\ufeff \t\r\n"
_LONGEST = 100  # characters at the end of a name that are looked at
_LONG = 22  # characters of a part of a path that may be a secret, see `Unsigned`
_USER = re.compile(r"://[^\s/?#\"'<>]*@")
"""The user and the password of a URL (RFC 3986, section 3.2.1)."""
_PASSWORD = re.compile(r"(:\\?/\\?/)[^\s/?#\"'<>\\:@]*:[^\s/?#\"'<>\\]*@")
"""The user and the password of a URL in a body, also in one of JSON whose slashes are escaped."""
_PARAMETER = re.compile(r"([?&;])([^\s=&;?#\"'<>]+)=([^\s&;#\"'<>]+)")
_KEYS = ("key", "sig", "code")
"""Parameters of a URL that are a credential, such as those of signed addresses, whatever else is called so."""


class Header(NamedTuple):
    """A header as it is shown."""

    name: str
    value: str
    is_masked: bool


def shown_headers(headers: Headers, scheme: Scheme | None) -> list[Header]:
    """Return headers as they are shown, with the values masked of those that may hold a secret.

    An inbox stores no such header; what was imported, or written by an older version, may have some.

    Args:
        headers: the headers of a delivery, or of a request.
        scheme: the scheme of its receiver, if that is at hand.
    """
    found: list[Header] = []
    secret = secret_headers(scheme)
    for pair in headers:
        if _is_note(pair[0]):
            continue
        is_kept = bool(kept_headers([pair], secret))
        value = masked_text(pair[1].decode("utf-8", "backslashreplace"), [scheme])
        found.append(Header(pair[0].decode("latin-1"), value if is_kept else MASK, not is_kept))
    return found


def shown_target(target: str, scheme: Scheme | None) -> str:
    """Return a request's target with what may be a secret masked: where its scheme has one, and what is like one.

    Args:
        target: the path, with the query behind `?` where there is one, as sent.
        scheme: the scheme of its receiver, if that is at hand.
    """
    path, mark, query = target.partition("?")
    parts = [MASK if len(each) >= _LONG else each for each in path.split("/")]
    for at in _path_places(scheme, parts):
        parts[at] = MASK
    query = _PAIR.sub(lambda pair: pair[0] if len(pair[2]) < _LONG else f"{pair[1]}={MASK}", query)
    return "/".join(parts) + mark + _shown_query(query, scheme, MASK)


def shown_url(url: str, scheme: Scheme | None, mask: str = MASK) -> str:
    """Return the URL of a receiver with its user, its password and what is a secret in its target masked.

    Args:
        url: the URL, of the form http://host/path.
        scheme: the scheme of the receiver, if that is at hand.
        mask: what stands in the place of a secret.
    """
    url = _USER.sub(f"://{mask}@", url if scheme is None else without_secrets(scheme, url, mask))
    before, mark, query = url.partition("?")
    host = before.find("/", before.find("://") + 3)
    if host >= 0:
        parts = before[host:].split("/")
        for at in _path_places(scheme, parts):
            parts[at] = mask if len(parts[at]) >= _LONG else parts[at]
        before = before[:host] + "/".join(parts)
    return before + mark + _shown_query(query, scheme, mask)


def _path_places(scheme: Scheme | None, parts: Sequence[str]) -> Iterator[int]:
    """Yield the indexes of the parts of a path that hold a secret of a scheme."""
    for place in secret_places(scheme):
        kind, _, where = place.partition(":")
        if kind == "path" and re.fullmatch("-?[0-9]{1,4}", where) and -len(parts) <= int(where) < len(parts):
            yield int(where)


def _shown_query(query: str, scheme: Scheme | None, mask: str) -> str:
    names = {place.partition(":")[2] for place in secret_places(scheme) if place.startswith("query:")}

    def masked(pair: re.Match[str]) -> str:
        name = unquote_plus(pair[1])
        return f"{pair[1]}={mask}" if pair[2] and (name in names or _is_parameter(name)) else pair[0]

    return _PAIR.sub(masked, query)


def harmless(headers: Headers, scheme: Scheme | None) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request without those that tell a secret, such as a Referer with one in its URL."""
    texts = [(pair, pair[1].decode("latin-1")) for pair in headers if not _is_note(pair[0])]
    return [pair for pair, text in texts if masked_text(text, [scheme]) == text]


def _is_note(name: bytes) -> bool:
    """Return whether a header is a note of ours, which no request can have: `Delivery.tenant` and the like."""
    return b"=" in name


def masked_text(text: str, schemes: Iterable[Scheme | None]) -> str:
    """Return an error, a reason or a traceback with the secrets masked that it may tell.

    These are those of schemes, and of URLs the user, the password and the parameters whose names tell of a credential.

    Args:
        text: the text.
        schemes: the schemes of the receivers that are at hand.
    """
    for scheme in schemes:
        if scheme is not None:
            text = without_secrets(scheme, text, MASK)

    def masked(found: re.Match[str]) -> str:
        name = unquote_plus(found[2])
        return f"{found[1]}{found[2]}={MASK}" if _is_parameter(name) else found[0]

    return _PARAMETER.sub(masked, _USER.sub(f"://{MASK}@", text))


def masked_body(body: bytes, kind: str, scheme: Scheme | None) -> bytes:
    """Return a body with the values masked of members whose names tell of a credential, and passwords of URLs.

    Args:
        body: the bytes of the body.
        kind: the value of Content-Type.
        scheme: the scheme of its receiver, if that is at hand.
    """
    members = secret_members(scheme)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        if members:
            return MASK.encode()
        text = body.decode("utf-8", "surrogateescape")
    if members:
        try:
            secrets = {each for place in members for each in _values(json.loads(text), place.split("."))}
        except (ValueError, RecursionError):  # in a form, or in what is no JSON: who knows where
            return MASK.encode()
        text = _STRING.sub(lambda found: f'"{MASK}"' if _is_one(found[0], secrets) else found[0], text)
    if _begins_as_json(text):
        text = _masked_json(text)
    elif kind.strip().lower().startswith("application/x-www-form-urlencoded"):
        text = _PAIR.sub(_masked_field, text)
    return _without_passwords(text).encode("utf-8", "surrogateescape")


def _is_credential(name: str) -> bool:
    return _CREDENTIAL.search(name[-_LONGEST:]) is not None


def _is_parameter(name: str) -> bool:
    """Return whether a parameter of a URL is a credential, by its name."""
    return name in _KEYS or _is_credential(name)


def _begins_as_json(text: str) -> bool:
    return text.lstrip(_BLANK)[:1] in ("{", "[")


def _masked_field(found: re.Match[str]) -> str:
    """Return a field of a form with its value masked, or what is in that, as in `payload=%7B...%7D`."""
    name, value = found.groups()
    if value and _is_credential(unquote_plus(name)):
        return f"{name}={MASK}"
    text = unquote_plus(value, errors="surrogateescape")
    if (masked := _without_passwords(_masked_json(text) if _begins_as_json(text) else text)) != text:
        return f"{name}={quote_plus(masked, errors='surrogateescape')}"
    return found[0]


def _without_passwords(text: str) -> str:
    return _PASSWORD.sub(rf"\1{MASK}@", text)


def _masked_json(text: str) -> str:
    """Return a text of JSON, which may be broken, with the values masked of members that tell of a credential."""
    parts: list[str] = []
    done = 0
    for found in _MEMBER.finditer(text):
        if found.start() < done or found[2] is None:  # in what is masked, or no name
            continue
        if (end := _end_of_credential(text, _string(found[1]), found.end())) is not None:
            parts += [text[done : found.end()], f'"{MASK}"']
            done = end
    return "".join([*parts, text[done:]])


def _end_of_credential(text: str, name: str, at: int) -> int | None:
    """Return where the value of a member ends, if it has to be masked; else None."""
    is_several = _SEVERAL.search(name[-_LONGEST:]) is not None
    first = text[at : at + 1]
    if not is_several and not _is_credential(name):
        return None
    if first in ("{", "["):
        depth = 0
        for bracket in _BRACKET.finditer(text, at):
            depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(bracket[0], 0)
            if depth == 0:
                return bracket.end() if text[at + 1 : bracket.end() - 1].strip() else None
        return len(text)
    if is_several:
        return None
    value = _STRING.match(text, at) if first == '"' else _NUMBER.match(text, at)
    return None if value is None or value[0] == '""' else value.end()


def _string(written: str) -> str:
    """Return the text of a string of JSON; as it is written if it is none."""
    if "\\" not in written:
        return written.strip('"')
    try:
        return str(json.loads(written, strict=False))
    except ValueError:
        return written.strip('"')


def _values(value: Any, names: Sequence[str]) -> Iterator[str]:
    """Yield the texts at a place of a document; of an array, those of all items."""
    if isinstance(value, list):
        yield from (found for each in cast("Sequence[Any]", value) for found in _values(each, names))
    elif not names:
        if isinstance(value, str):
            yield value
    elif isinstance(value, dict):
        yield from _values(cast("dict[str, Any]", value).get(names[0].removesuffix("[]")), names[1:])


def _is_one(written: str, secrets: Collection[str]) -> bool:
    """Return whether a string of JSON is one of these."""
    try:
        return json.loads(written) in secrets
    except ValueError:
        return False
