"""The habits of proxies and servers with headers, and the line of configuration that cures each.

Each was measured with the program that it names: nginx 1.22 and 1.26, HAProxy 2.6 to 3.0, Apache 2.4, Caddy 2.6 and
2.11, Traefik 3.7, Envoy 1.40, lighttpd 1.4, Varnish 7.1, Squid 6, Traffic Server 9.2, h2o 2.2, mitmproxy 11, proxies of
Node, daphne 4.2, gunicorn 27, waitress 3.0, a2wsgi 1.10.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Habit(NamedTuple):
    """A habit of proxies, and its cure."""

    what: str
    """The habit, as a clause."""
    cure: str
    """The cure, as a clause with the line of configuration; one line for each of several proxies."""

    def __str__(self) -> str:
        return (":\n" if "\n" in self.cure else "; ").join((self.what, self.cure))


HOP_BY_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
        *(b"proxy-authenticate", b"proxy-authorization", b"expect"),
    )
)
"""The headers that are for one hop (RFC 9110, section 7.6.1), and those that proxies take for such."""
FORWARDED = frozenset(
    (
        *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-server"),
        *(b"x-real-ip", b"forwarded", b"via"),
    )
)
"""The headers by which proxies tell of themselves and of the client."""

HOST = Habit(
    "nginx, Apache, h2o, Traffic Server, mitmproxy and proxies of Node put the upstream's in its place; nginx's $host "
    "has no port and no capitals; lighttpd, Varnish and Squid take capitals away; HAProxy takes :443 off over HTTP/2",
    "nginx: proxy_set_header Host $http_host; (over HTTP/3 that is empty in nginx 1.26: $host there)\n"
    "Apache: ProxyPreserveHost On\n"
    "h2o: proxy.preserve-host: ON\n"
    "Traffic Server: pristine_host_hdr 1\n"
    "mitmproxy: --set keep_host_header=true\n"
    "http-proxy-middleware: no changeOrigin\n"
    "express-http-proxy: preserveHostHdr: true\n"
    "lighttpd, Varnish, Squid: let the sender post to a host in small letters\n"
    "HAProxy: let the sender post to a URL without :443",
)
_NO_HOST = Habit(
    "nginx 1.26 has an empty $http_host for requests that come by HTTP/3",
    "nginx: proxy_set_header Host $host; or no QUIC",
)
_ONE_HOP = Habit(
    "it is for one hop, so proxies drop it or put one of their own in its place (RFC 9110, section 7.6.1)",
    "no proxy can be told to keep it: the sender has to leave it out of what it signs",
)
_ODD_NAME = Habit(
    "nginx and Caddy drop names with _ or ., and daphne, gunicorn and waitress those with _",
    "nginx: underscores_in_headers on; ignore_invalid_headers off; gunicorn -k asgi: --header-map dangerous; Caddy "
    "cannot keep it: the sender has to name it with hyphens",
)
_UNTRUSTED = Habit(
    "waitress drops it from a proxy that it was not told to trust", "waitress: --no-clear-untrusted-proxy-headers"
)
_OF_ENDS = Habit(
    "Squid drops it",
    "Squid: cache_peer ... login=PASSTHRU keeps authorization; else the sender has to leave it out of what it signs",
)
_COUNTED_DOWN = Habit(
    "Apache counts it down (RFC 9110, section 7.6.2)", "the sender has to leave it out of what it signs"
)
_ENCODINGS = Habit("Traffic Server normalises it", "Traffic Server: proxy.config.http.normalize_ae 0")
_LOST = Habit("something on the way dropped it", "tell the proxy to hand it on as it came")
EMPTY = Habit("lighttpd drops a header without a value", "give it a value, or leave it out of what is signed")
NO_BODY = Habit(
    "a2wsgi under gunicorn hands on no body that comes in chunks, Varnish none whose chunks have extensions",
    "a2wsgi: waitress in place of gunicorn, or nginx in front, which sends a Content-Length",
)


def _telling(name: bytes) -> Habit:
    header = "-".join(part.capitalize() for part in name.decode("latin-1").split("-"))
    return Habit(
        "proxies append to it, replace it, or add another",
        f"nginx: no proxy_set_header {header}\n"
        "HAProxy: no option forwardfor\n"
        "Apache: ProxyAddHeaders Off\n"
        "Traefik: forwardedHeaders: { insecure: true, notAppendXForwardedFor: true }\n"
        f"Caddy: header_up {header} {{http.request.header.{header}}}\n"
        "lighttpd, Envoy: leave it out of what is signed",
    )


def habit(name: bytes, *, absent: bool) -> Habit | None:
    """Return what proxies do to a header, and its cure; None if nothing is known.

    Args:
        name: the name of the header, in lower case.
        absent: whether the header did not come at all.
    """
    if name in HOP_BY_HOP:
        return _ONE_HOP
    if absent and re.search(rb"[^a-z0-9-]", name):
        return _ODD_NAME
    if name == b"host":
        return _NO_HOST if absent else HOST
    if name in FORWARDED:
        return _UNTRUSTED if absent else _telling(name)
    if name == b"max-forwards" and not absent:
        return _COUNTED_DOWN
    if name == b"accept-encoding" and not absent:
        return _ENCODINGS
    if absent:
        return _OF_ENDS if name in (b"authorization", b"range", b"max-forwards") else _LOST
    return None
