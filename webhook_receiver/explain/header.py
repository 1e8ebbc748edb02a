"""Changes that headers suffer between sender and receiver, and the headers as they were before each change."""

from __future__ import annotations

import itertools
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from hashlib import sha256, sha512
from urllib.parse import unquote_to_bytes, urlsplit

from ..senders.registry import preset_of
from .proxy import EMPTY, HOST, habit
from .trial import Case, Cause, Suspicion, covers_url, fields, listed_names, printable, stated_times

_MAX_COMBINATIONS = 200  # of values of lost headers that are tried
_TYPES = (
    b"application/json",
    b"application/json; charset=utf-8",
    b"application/json;charset=utf-8",
    b"application/json; charset=UTF-8",
    b"application/json;charset=UTF-8",
    b"text/plain",
    b"application/x-www-form-urlencoded",
)
_FORWARDED_HOST = (b"x-forwarded-host", b"x-original-host", b"x-forwarded-server")
_LABELS = (b"sha256=", b"v1,", b"v0=", b"up42-sig=")
_LABELLED = re.compile(rb"(.*?[=,])?(:?[A-Za-z0-9+/_ -][^=,]*=*:?)", re.DOTALL)
_PREFIXES = re.compile(rb"^(?:http-|x-amzn-remapped-|x-original-|x-forwarded-|x-)")
_PROXY = "tell the proxy to hand it on as it came"


def header_suspicions(case: Case) -> Iterator[Suspicion]:
    """Yield each change that the headers may have suffered, with the request as it was before."""
    for suspicions in (_renamed, _lost, _repeated, _content_type, _host, _url, _replaced, _spelt, _respelt):
        yield from suspicions(case)


def _renamed(case: Case) -> Iterator[Suspicion]:
    present = fields(case.headers)
    known = preset_of(case.make)
    expected = [name.encode() for name in known.headers] if known else []
    absent = [name for name in (*expected, *listed_names(case.headers)) if name not in present]
    new = {other: name for name in absent for other in present if name in (_dashed(other), _bare(other))}
    if new:
        renamed = " and ".join(f"{printable(name)} to {printable(to)}" for to, name in new.items())
        cause = Cause(
            "header-renamed",
            f"a proxy or framework renamed {renamed}",
            "hand it on under its own name; a gateway's mapping or a WSGI environ has to be mapped back",
        )
        yield cause, case.with_headers([(new.get(name, name), value) for name, value in case.headers])


def _dashed(name: bytes) -> bytes:
    return name.replace(b"_", b"-")


def _bare(name: bytes) -> bytes:
    return _PREFIXES.sub(b"", _dashed(name), count=1)


def _lost(case: Case) -> Iterator[Suspicion]:
    present = fields(case.headers)
    absent = [name for name in listed_names(case.headers) if name not in present]
    if not 0 < len(absent) <= 3:
        return
    names = " and ".join(map(printable, absent))
    for values in itertools.islice(itertools.product(*(_likely(case, name) for name in absent)), _MAX_COMBINATIONS):
        habits = [habit(name, absent=True) if value else EMPTY for name, value in zip(absent, values, strict=True)]
        advice = "; ".join(dict.fromkeys(map(str, habits)))
        cause = Cause("header-lost", f"the header {names} was signed, and was lost on the way", advice)
        yield cause, case.with_headers([*case.headers, *zip(absent, values, strict=True)])


def _likely(case: Case, name: bytes) -> list[bytes]:
    """Return the values that a lost header may have had, the likely ones first."""
    if name == b"content-type":
        return [*_TYPES]
    if name == b"content-length":
        return [b"%d" % len(case.body)]
    if name in (b"digest", b"content-digest"):
        hashes = {b"256": b2a_base64(sha256(case.body).digest(), newline=False)}
        hashes[b"512"] = b2a_base64(sha512(case.body).digest(), newline=False)
        form = b"sha-%b=:%b:" if name == b"content-digest" else b"SHA-%b=%b"
        return [form % each for each in hashes.items()]
    if name == b"date":
        times = [time for time in stated_times(case.headers) if time < 1e11]
        return [formatdate(time + off, usegmt=True).encode() for time in times for off in (0, -1, 1, -2, 2)]
    if name == b"content-encoding":
        return [b"identity", b"gzip"]
    if name == b"host":
        return list(_hosts(case))
    if name in _OF_ONE_HOP:
        return _OF_ONE_HOP[name]
    return [b"*/*"] if name == b"accept" else [b""]


def _repeated(case: Case) -> Iterator[Suspicion]:
    names = [name for name, _ in case.headers[:64]]
    for name in dict.fromkeys(each for each in names if names.count(each) > 1):
        values = [value for each, value in case.headers if each == name][:8]
        cause = Cause("header-repeated", f"the header {printable(name)} is there more than once", _advice(name))
        others = [pair for pair in case.headers if pair[0] != name]
        for value in values:
            yield cause, case.with_headers([*others, (name, value)])
    for name, value in fields(case.headers).items():
        parts = value.split(b",")
        if 1 < len(parts) <= 8:
            cause = Cause(
                "header-joined",
                f"the header {printable(name)} has several values, joined by a comma: it came more than once, or one "
                "was appended",
                _advice(name),
            )
            for part in (*parts, value.rpartition(b",")[0]):
                yield cause, case.with_header(name, part.strip())


def _advice(name: bytes) -> str:
    """Return the cure of a header that was changed."""
    known = habit(name, absent=False)
    return f"{_PROXY}, and add none" if known is None else str(known)


def _content_type(case: Case) -> Iterator[Suspicion]:
    value = fields(case.headers).get(b"content-type")
    if value is None:
        return
    kind = value.partition(b";")[0].strip()
    added = Cause("charset-added", "a charset was added to the content-type", f"content-type: {_PROXY}")
    yield added, case.with_header(b"content-type", kind)
    changed = Cause("content-type-changed", "the content-type was rewritten", f"content-type: {_PROXY}")
    for other in (value.lower(), kind.lower(), *_TYPES):
        yield changed, case.with_header(b"content-type", other)


def _host(case: Case) -> Iterator[Suspicion]:
    present = fields(case.headers).get(b"host")
    if present is None:
        return
    changed = Cause("host-changed", "the host was replaced: the sender signed another", str(HOST))
    port = Cause("host-port", "the port was taken off the host, or added, or is another", str(HOST))
    letters = Cause("host-case", "the upper and lower case of the host were changed", str(HOST))
    for host in _hosts(case):
        if _without_port(host).lower() != _without_port(present).lower():
            yield changed, case.with_header(b"host", host)
        else:
            yield letters if host.lower() == present.lower() else port, case.with_header(b"host", host)


def _url(case: Case) -> Iterator[Suspicion]:
    """Yield the request with another spelling of the URL that the sender posts to, where the signature covers it."""
    url = case.head.url
    if url is None or not covers_url(case):
        return
    parts = urlsplit(url)
    other = "http" if parts.scheme == "https" else "https"
    path, host = parts.path, parts.netloc
    bare = _without_port(host.encode()).decode()
    slash = path.removesuffix("/") if path.endswith("/") else path + "/"
    hosts = {"with a port": f"{bare}:{443 if parts.scheme == 'https' else 80}", "without a port": bare}
    query = case.head.target.partition(b"?")[2].decode("latin-1")
    spelt = {
        f"with {other}": parts._replace(scheme=other),
        "with a slash at its end" if slash.endswith("/") else "without the slash at its end": parts._replace(
            path=slash
        ),
        **{how: parts._replace(netloc=each) for how, each in hosts.items() if each != host},
        "without its query": parts._replace(query=""),
        "with the query of the request": parts._replace(query=query),
    }
    for how, each in spelt.items():
        if each != parts:
            cause = Cause(
                "url",
                f"the sender signed the URL {how}, and the receiver was given another",
                "say public_url as the sender has it: https or http, port, slash at the end and query count",
            )
            yield cause, replace(case, head=case.head._replace(url=each.geturl()))


def _without_port(host: bytes) -> bytes:
    return re.sub(rb":\d+$", b"", host)


def _hosts(case: Case) -> Iterator[bytes]:
    """Yield the hosts that may have been signed: those that headers or the public URL name, in several spellings."""
    present = fields(case.headers)
    given = [present[name].split(b",")[0].strip() for name in _FORWARDED_HOST if name in present]
    given += re.findall(rb'host="?([^";,\s]+)', present.get(b"forwarded", b""), re.IGNORECASE)[:1]
    if case.head.url is not None:
        given.append(urlsplit(case.head.url).netloc.rpartition("@")[2].encode())
    if b"host" in present:
        given.append(present[b"host"])
    for host in dict.fromkeys(given):
        bare = _without_port(host)
        for spelt in dict.fromkeys((bare, bare.lower(), bare.capitalize(), bare.title(), bare.upper())):
            yield from (host, spelt, *(b"%b:%b" % (spelt, port) for port in (b"443", b"80", b"8000", b"8443")))


_OF_ONE_HOP = {
    b"connection": [b"keep-alive", b"close", b"Keep-Alive", b"Close"],
    b"keep-alive": [b"timeout=5", b"timeout=60", b"timeout=5, max=1000"],
    b"te": [b"trailers"],
    b"transfer-encoding": [b"chunked"],
    b"expect": [b"100-continue"],
}
"""The values that headers for one hop mostly have."""


def _replaced(case: Case) -> Iterator[Suspicion]:
    """Yield the values that a proxy has put another value in place of, where few are possible."""
    for name, value in fields(case.headers).items():
        others = _OF_ONE_HOP.get(name, [])
        if name == b"x-forwarded-proto":
            others = [b"https", b"http"]
        elif name == b"max-forwards" and value.isdigit() and len(value) < 5:
            others = [b"%d" % (int(value) + more) for more in (1, 2, 3)]
        cause = Cause("header-replaced", f"the value of the header {printable(name)} was replaced", _advice(name))
        for other in others:
            if other != value:
                yield cause, case.with_header(name, other)


def _spelt(case: Case) -> Iterator[Suspicion]:
    """Yield the changes that proxies make to the values of all kinds of headers."""
    for name, value in fields(case.headers).items():
        for kind, change, others in _spellings(value):
            cause = Cause(kind, f"the value of the header {printable(name)} {change}", _PROXY)
            for other in others:
                if other != value:
                    yield cause, case.with_header(name, other)


def _spellings(value: bytes) -> Iterator[tuple[str, str, Iterable[bytes]]]:
    yield "header-folded", "was broken into lines", [re.sub(rb"\s*[\r\n]+\s*", by, value) for by in (b" ", b"")]
    runs = re.sub(rb"[ \t]+", b" ", value)
    spaces = [value.strip(), runs, runs.replace(b"; ", b";"), runs.replace(b";", b"; "), runs.replace(b", ", b",")]
    yield "header-space", "has other white space", [*spaces, runs.replace(b",", b", "), value + b" ", b" " + value]
    key, sign, rest = value.partition(b"=")
    cases = [value.lower(), value.upper(), key.swapcase() + sign + rest, value.title()]
    yield "header-case", "has other upper and lower case", cases
    yield "header-charset", "was decoded in one charset and encoded in another", _charsets(value)
    quoted = [value.replace(b'\\"', b'"'), value.replace(b"&quot;", b'"'), unquote_to_bytes(value), value.strip(b"\"'")]
    yield "header-quoted", "was escaped or put into quotes", quoted


def _charsets(value: bytes) -> Iterator[bytes]:
    if value.isascii():
        return
    yield value.decode("latin-1").encode()
    try:
        yield value.decode().encode("latin-1")
    except UnicodeError:
        return


def _respelt(case: Case) -> Iterator[Suspicion]:
    """Yield the request with its signature in the encoding that the scheme reads."""
    cause = Cause(
        "signature-encoding",
        "the signature is right, but in another encoding than the scheme reads (hex, base64, label, colons, padding)",
        "let the sender, or what is in between, write it as the scheme does",
    )
    for name, value in fields(case.headers).items():
        found = _LABELLED.fullmatch(value[:1024])
        if found is None or not re.search(rb"signature|hmac", name) or name == b"signature-input":
            continue
        for before in (b"", *_LABELS) if found[1] is None else (found[1], b""):
            for other in _encodings(found[2]):
                if before + other != value:
                    yield cause, case.with_header(name, before + other)


def _encodings(text: bytes) -> Iterator[bytes]:
    bare = text.strip(b":")
    plain = bare.replace(b" ", b"+").translate(bytes.maketrans(b"-_", b"+/"))
    padded = plain.rstrip(b"=") + b"=" * (-len(plain.rstrip(b"=")) % 4)
    yield from (bare, b":%b:" % bare, plain, padded, *_variants(padded), bare.lower())
    with suppress(ValueError):
        raw = b2a_base64(bytes.fromhex(bare.decode("ascii")), newline=False)
        yield from (raw, b":%b:" % raw, *_variants(raw))
    with suppress(Base64Error):
        yield a2b_base64(padded, strict_mode=True).hex().encode()


def _variants(base64: bytes) -> Iterator[bytes]:
    """Yield base64 without its padding, and as base64url with and without."""
    url = base64.translate(bytes.maketrans(b"+/", b"-_"))
    yield from (base64.rstrip(b"="), url, url.rstrip(b"="))
