"""The sender Atlassian Connect: a token (JWT) that states method, path and query, and nothing of the body."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from urllib.parse import parse_qsl, quote

from ..delivery import RequestHead
from ..errors import ConfigurationError
from ..signatures.bearer_jwt import BearerJWT
from ..signatures.secrets import Secrets
from .base import Sender
from .page import Page
from .preset import Preset


def signature(secrets: Secrets, *, base_path: str = "") -> BearerJWT:
    """Return Atlassian Connect's scheme (developer.atlassian.com/cloud/bitbucket/query-string-hash).

    Args:
        secrets: the sharedSecret of an installation, or several while it is changed.
        base_path: the path of the baseUrl in the app's descriptor. See `atlassian_connect`.

    Raises:
        ConfigurationError: a secret or the path cannot work, or the extra is missing.
    """
    given: object = base_path
    if not isinstance(given, str) or not given.isascii() or not given.isprintable() or given[:1] not in ("", "/"):
        raise ConfigurationError(
            f'base_path is the path of the baseUrl in the descriptor, such as "/jira-connector", not {given!r}'
        )
    stated = partial(_query_hash, base_path.rstrip("/").encode())
    return BearerJWT(secrets, algorithm="HS256", prefix="JWT ", claims={"qsh": stated})


def _query_hash(base_path: bytes, head: RequestHead) -> str:
    """Return the hash of a request's method, path and query, sorted and encoded anew: the claim `qsh`."""
    path, _, query = head.target.partition(b"?")
    if (path + b"/").startswith(base_path + b"/"):
        path = path[len(base_path) :]
    path = path.rstrip(b"/").replace(b"&", b"%26") or b"/"
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        fields.setdefault(quote(name, safe=""), []).append(quote(value, safe=""))
    fields.pop("jwt", None)
    sorted_query = "&".join(f"{name}={','.join(sorted(values))}" for name, values in sorted(fields.items()))
    return sha256(b"%b&%b&%b" % (head.method.upper().encode(), path, sorted_query.encode())).hexdigest()


def atlassian_connect(secret: Secrets, *, base_path: str = "") -> Sender:
    """Return the sender Atlassian Connect, for the webhooks of an app.

    Args:
        secret: the sharedSecret of an installation, or several while it is changed.
        base_path: the path of the baseUrl in the app's descriptor, such as "/jira-connector", which the token leaves
            out. A path that does not begin with it, as behind a proxy that takes it off, counts as it is.

    Raises:
        ConfigurationError: a secret or the path cannot work, or the extra is missing.
    """
    return Sender(
        name="atlassian-connect",
        scheme=signature(secret, base_path=base_path),
        facts=(
            "atlassian-jwt 2.0.3 for Node, run in November 2026; atlassian-jwt 3.0.0 for Python, read",
            "developer.atlassian.com/cloud/bitbucket/query-string-hash, read in November 2026: the baseUrl is left out",
        ),
        event_name=("webhookEvent", "event", "eventType"),
    )


PRESETS = (
    Preset(
        "atlassian-connect",
        "Atlassian Connect",
        atlassian_connect,
        signature,
        shape=("webhookEvent", "timestamp"),
        body=b'{"timestamp": 1764000188000, "webhookEvent": "jira:issue_created", "issue": {"id": "10002"}}',
        page=Page(
            trade="code hosts",
            docs="developer.atlassian.com/cloud/jira/platform/understanding-jwt-for-connect-apps",
            setup=(
                "Name the URL in the app's descriptor, at webhooks. The secret is the sharedSecret that the lifecycle "
                "event installed tells: each installation has its own, by the claim iss."
            ),
            traps=(
                "The token states the method, the path and the query as they reach us: behind a proxy they have to "
                "stay.",
                "Of the path it leaves out that of the baseUrl in the descriptor: with https://example.com/jira say "
                'base_path="/jira", or all deliveries are rejected.',
                "The lifecycle event installed, which tells the secret, is not signed so: receive it elsewhere.",
            ),
        ),
    ),
)
