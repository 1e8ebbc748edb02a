"""The app behind the proxies: its answers tell whether a request came as it was sent, and nothing else.

It needs no more than the package's own dependencies, since servers run it in environments of their own.
"""

from __future__ import annotations

import hmac
import os

from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webhook_receiver import BadSignature, Event, MalformedSignature, MissingSignature, UP42Signature, WebhookReceiver
from webhook_receiver.delivery import RequestHead
from webhook_receiver.signatures import BodyCheck, Verified

SECRET = "KbsDE5kGZoDiPCFd"
SMALL = 32 * 1024
"""The largest body at `/small`, in bytes: the rest of a larger one can be read before the response."""
MARK = b"x-answered-by"
"""The header of each response of the app, by which it is told from a response of a proxy or of a server."""


class WholeRequest:
    """A scheme whose signature covers the method, the target, the headers that it lists, and the body.

    The header `signature` is an id, the names of the headers, and an HMAC, with ";" between them. Equal names are
    one field, its values joined as RFC 9110, section 5.3, has it.
    """

    secret_count = 1

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        names = b" ".join(dict.fromkeys(name for name, _ in head.headers))
        id = os.urandom(8).hex().encode()
        return head.with_headers((b"signature", b";".join((id, names, _mac(id, names, head, body)))))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        values = [value for name, value in head.headers if name == b"signature"]
        if not values:
            raise MissingSignature("there is no header signature")
        id, _, rest = values[0].partition(b";")
        names, _, claimed = rest.partition(b";")
        if not {name for name, _ in head.headers}.issuperset(names.split()):
            raise MalformedSignature("the signature lists a header that is absent")

        def check(body: bytes) -> Verified:
            if not hmac.compare_digest(_mac(id, names, head, body), claimed):
                raise BadSignature("the request is not as it was signed")
            return Verified(0, body=True, id=id.decode("latin-1"))

        return check


def _mac(id: bytes, names: bytes, head: RequestHead, body: bytes) -> bytes:
    lines = [id, head.method.encode(), head.target, names]
    for name in names.split():
        lines.append(b", ".join(value for each, value in head.headers if each == name))
    content = b"\n".join([*lines, body])
    return hmac.new(SECRET.encode(), content, "sha256").hexdigest().encode()


def make_app() -> ASGIApp:
    """Return the app: `/small` and `/up42` have receivers of their own, and any other path the same one."""
    hooks = WebhookReceiver(scheme=WholeRequest(), inbox="memory://", work=False)
    small = WebhookReceiver(scheme=WholeRequest(), max_body=SMALL)
    up42 = WebhookReceiver(scheme=UP42Signature(SECRET))
    up42.on(Event)(lambda event: None)
    small.on(Event)(lambda event: None)
    receivers = {"/small": small, "/up42": up42}
    health = hooks.health_route("/healthz")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (MARK, b"the receiver")]
            await send(message)

        if scope["type"] != "http":
            await hooks(scope, receive, send)
        elif health.matches(scope)[0] is Match.FULL:
            await health.app(scope, receive, send)
        else:
            await receivers.get(scope["path"], hooks)(scope, receive, marked)

    return app


app = make_app()
