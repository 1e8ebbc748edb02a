"""Changes that bodies suffer between sender and receiver, and the body as it was before each change."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256

from .form import FORM_AS_JSON, FORM_RESERIALISED, FORM_UNWRAPPED, form_around, form_before, form_of_json
from .trial import Case, Cause, Suspicion, fields

_MAX_DECOMPRESSED = 10_000_000  # bytes
_MOST_TRIED = 250_000_000  # bytes of all bodies: all changes of some megabyte, which take some seconds
_BOM = b"\xef\xbb\xbf"
_RAW = "verify the bytes as they came (request.body(), hooks.receive), before anything parses them"

NEWLINE_LOST = Cause(
    "newline-lost", "a newline at the end of the body was lost", "keep the body's last byte: do not strip or trim it"
)
NEWLINE_ADDED = Cause(
    "newline-added",
    "a newline was added at the end of the body",
    "look for an editor, echo or print in between: use printf or --data-binary @file",
)
TRIMMED = Cause("space-added", "white space was added around the body", _RAW)
LINE_ENDINGS = Cause(
    "line-endings",
    "the body's line endings were changed between LF and CRLF",
    "read and write it as bytes, never in text mode; in git, mark such files as binary",
)
BOM_LOST = Cause("bom-lost", "a byte order mark at the body's start was lost", "decode nothing before it is verified")
BOM_ADDED = Cause("bom-added", "a byte order mark was added at the body's start", "save it as UTF-8 without BOM")
CHARSET = Cause(
    "charset",
    "the body was decoded in one charset and encoded in another (latin-1 and UTF-8)",
    f"{_RAW}; a proxy must not convert charsets",
)
RESERIALISED = Cause(
    "json-reserialised",
    "the JSON was parsed and written again: its spaces, key order or escapes are others",
    f"{_RAW}; a proxy or framework must hand the body on unparsed",
)
QUOTED = Cause("json-quoted", "the body was put into a JSON string as a whole", "hand it on as it is, undumped")
UNQUOTED = Cause("json-unquoted", "the body was taken out of the JSON string that was signed", _RAW)
BASE64 = Cause(
    "base64-body",
    "the body is in base64: a gateway does so with what it takes for binary",
    "decode it first (an event of AWS Lambda says isBase64Encoded)",
)
COMPRESSED = Cause(
    "compressed",
    "the body is compressed, but was signed uncompressed",
    "let nothing on the way compress requests, or decompress before verifying",
)
DECOMPRESSED = Cause(
    "decompressed",
    "the body was signed compressed, and decompressed on the way",
    "turn off the decompression of requests in the proxy, or verify in front of it",
)
TOO_LONG = Cause(
    "bytes-added",
    "there are more bytes than the Content-Length says",
    "cut the body at its Content-Length; look where the rest was appended",
)


def body_suspicions(case: Case) -> Iterator[Suspicion]:
    """Yield each change that the body may have suffered, with the request as it was before; of a long one, not all."""
    seen = {sha256(case.body).digest()}  # not the bodies: there may be hundreds of some megabytes
    left = _MOST_TRIED
    for cause, bodies in _BEFORE:
        for body in bodies(case):
            left -= len(body)
            if left < 0:
                return
            if (digest := sha256(body).digest()) not in seen:
                seen.add(digest)
                yield cause, replace(case, body=body)


def _cut(case: Case) -> Iterable[bytes]:
    length = fields(case.headers).get(b"content-length", b"")
    return [case.body[: int(length)]] if length.isdigit() and len(length) < 20 else []


def _newline_lost(case: Case) -> Iterable[bytes]:
    return [case.body + b"\n", case.body + b"\r\n"]


def _newline_added(case: Case) -> Iterable[bytes]:
    return [case.body.removesuffix(b"\n"), case.body.removesuffix(b"\r\n"), case.body.rstrip(b"\r\n")]


def _trimmed(case: Case) -> Iterable[bytes]:
    return [case.body.rstrip(), case.body.lstrip(), case.body.strip()]


def _line_endings(case: Case) -> Iterable[bytes]:
    unix = case.body.replace(b"\r\n", b"\n")
    return [unix, unix.replace(b"\n", b"\r\n"), unix.replace(b"\r", b"\n")]


def _bom_lost(case: Case) -> Iterable[bytes]:
    return [_BOM + case.body]


def _bom_added(case: Case) -> Iterable[bytes]:
    return [case.body.removeprefix(_BOM)]


def _charset(case: Case) -> Iterator[bytes]:
    for came, was in itertools.permutations(("utf-8", "latin-1", "cp1252", "utf-16-le", "utf-16"), 2):
        try:
            yield case.body.decode(came).encode(was)
        except UnicodeError:
            continue


def _reserialised(case: Case) -> Iterator[bytes]:
    try:
        document: object = json.loads(case.body)
        for indent, ascii_only, sort in itertools.product((None, 2, 4, "\t"), (True, False), (False, True)):
            styles = [(",", ":"), (", ", ": "), (", ", ":"), (",", ": ")] if indent is None else [(",", ": ")]
            for separators in styles:
                text = json.dumps(
                    document, indent=indent, ensure_ascii=ascii_only, sort_keys=sort, separators=separators
                )
                for spelt in _escapes(text):
                    body = spelt.encode("utf-8", "surrogatepass")
                    yield from (body, body + b"\n", body + b"\r\n")
    except (ValueError, RecursionError):
        return


def _escapes(text: str) -> Iterable[str]:
    """Return JSON with the escapes of other languages: PHP escapes slashes, Go what is special in HTML."""
    html = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return dict.fromkeys((text, text.replace("/", "\\/"), html))


def _quoted(case: Case) -> Iterator[bytes]:
    try:
        text: object = json.loads(case.body)
    except (ValueError, RecursionError):
        return
    if isinstance(text, str):
        yield text.encode("utf-8", "surrogatepass")


def _unquoted(case: Case) -> Iterator[bytes]:
    try:
        yield json.dumps(case.body.decode()).encode()
    except UnicodeError:
        return


def _base64(case: Case) -> Iterator[bytes]:
    try:
        yield b64decode(case.body.strip(), validate=True)
    except ValueError:
        return


def _decompressed(case: Case) -> Iterator[bytes]:
    for form in (47, -15):  # gzip and zlib, and deflate without a head
        try:
            yield zlib.decompressobj(form).decompress(case.body, _MAX_DECOMPRESSED)
        except zlib.error:
            continue


def _compressed(case: Case) -> Iterator[bytes]:
    # Only where it was written by zlib itself, at its usual levels, can the very bytes be made again.
    for level in (6, 9, 1):
        yield gzip.compress(case.body, level, mtime=0)
        yield zlib.compress(case.body, level)


_BEFORE = (
    (TOO_LONG, _cut),
    (NEWLINE_LOST, _newline_lost),
    (NEWLINE_ADDED, _newline_added),
    (TRIMMED, _trimmed),
    (LINE_ENDINGS, _line_endings),
    (BOM_LOST, _bom_lost),
    (BOM_ADDED, _bom_added),
    (CHARSET, _charset),  # before what parses JSON, which may be in UTF-16
    (RESERIALISED, _reserialised),
    (FORM_RESERIALISED, form_before),
    (FORM_UNWRAPPED, form_around),
    (FORM_AS_JSON, form_of_json),
    (QUOTED, _quoted),
    (UNQUOTED, _unquoted),
    (BASE64, _base64),
    (COMPRESSED, _decompressed),
    (DECOMPRESSED, _compressed),
)
