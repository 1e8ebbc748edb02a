"""`send`: deliver one notification or many, and print the responses."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import typer

from ..delivery import RequestHead
from ..errors import ConfigurationError
from ..senders.preset import Preset
from ..senders.registry import presets
from ..signatures import Secret
from ..simulator.payloads import Result, post, url_of
from . import output
from .app_loader import load
from .key_pair import kept_key, signs_with_key
from .notification import UP42, Notifier
from .rich_output import progress_bar
from .secret_option import file_in_environment, read_secret, token_of, typed

MakeDelivery = Callable[[], tuple[RequestHead, bytes]]
"""Returns the signed head of a request, and its body."""

_ELSEWHERE = "is the receiver at this path? `serve` puts it at /webhooks"
HINTS = {
    307: "the path ends, or does not end, in a slash; senders follow no redirect: mount with hooks.route(path)",
    308: "the path ends, or does not end, in a slash; senders follow no redirect: mount with hooks.route(path)",
    404: _ELSEWHERE,
    405: _ELSEWHERE,
}

BARE = (
    "the event has only a name and an id, and a handler may need more: --set KEY=VALUE or --data FILE gives it, and "
    "--hooks MODULE:HOOKS makes all that a handler's event class asks for"
)
"""What is said of an event that was made of nothing but its name."""


@dataclass
class Summary:
    """The responses to all deliveries sent."""

    responses: Counter[str] = field(default_factory=Counter[str])
    """The number of responses by status, or by the reason why there was none."""
    seconds: list[float] = field(default_factory=list[float])
    """Seconds that each response took."""
    rejected: int = 0
    """The number of deliveries without a 2xx response."""
    elapsed: float = 0
    """Seconds since the start."""
    last: Result | None = None
    last_rejected: Result | None = None

    def add(self, result: Result) -> None:
        """Count the result of a delivery."""
        self.responses[result.label] += 1
        if not result.ok:
            self.rejected += 1
            self.last_rejected = result
        if result.status is not None:
            self.seconds.append(result.seconds)
        self.last = result

    def latencies(self) -> dict[str, float]:
        """Return the minimum, percentiles and maximum of the latencies in ms; empty without a response."""
        ordered = sorted(self.seconds)
        if not ordered:
            return {}
        shares = {"min": 0.0, "p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
        return {name: round(ordered[int(share * (len(ordered) - 1))] * 1000, 2) for name, share in shares.items()}

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON can hold it."""
        return {
            "sent": self.responses.total(),
            "rejected": self.rejected,
            "responses": dict(self.responses),
            "latency_ms": self.latencies(),
            "seconds": round(self.elapsed, 3),
        }


def notifier(
    hooks: str | None,
    sender: str | None,
    secret: str | None,
    secret_file: Path | None,
    headers: Mapping[str, str],
    *,
    key: Path | None = None,
    token: str | None = None,
) -> Notifier:
    """Return the notifier that the options of the command ask for.

    Args:
        hooks: the receiver, as MODULE:HOOKS.
        sender: the sender's name.
        secret: the secret.
        secret_file: the file with it.
        headers: more headers of each request.
        key: the file with the private key of a sender that has one beside the secret.
        token: the token that the sender shows with its challenges.

    Raises:
        typer.BadParameter: they do not go together, or cannot be used.
    """
    if hooks is None:
        name = sender or UP42
        if secret_file is not None and signs_with_key(presets()[name]) and kept_key(presets()[name], secret_file):
            output.warn(f"a new private key is in {secret_file}")
        return Notifier.of_preset(
            name,
            read_secret(secret, secret_file or (None if typed(secret) else file_in_environment())),
            headers,
            key=None if key is None else _key(presets()[name], key),
            token=None if token is None else token_of(presets()[name], token),
        )
    if any(each is not None for each in (sender, secret_file, token)) or typed(secret):
        raise typer.BadParameter("a receiver has its own sender and secret", param_hint="--hooks")
    receiver = load(hooks)
    if key is not None:
        preset = presets().get(receiver.sender.name)
        given = _key(preset, key)
        if (sign_with := getattr(receiver.sender.scheme, "sign_with", None)) is not None:
            sign_with(given)
    return Notifier.of_receiver(receiver, headers)


def _key(preset: Preset | None, file: Path) -> Secret:
    """Return the private key in a file, which is made there if it is missing.

    Raises:
        BadParameter: the sender has no key beside the secret, or the file cannot be used.
    """
    if preset is None or preset.played is None:
        raise typer.BadParameter("the sender has no key beside the secret: see --secret-file", param_hint="--key")
    if kept_key(preset, file, "--key"):
        output.warn(f"a new private key is in {file}")
    try:
        return Secret.from_file(file)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint="--key") from None


def headers_of(given: Sequence[str]) -> dict[str, str]:
    """Return headers that are given as texts such as "X-Trace: 7".

    Raises:
        typer.BadParameter: a text is none, or no header can be such.
    """
    found: dict[str, str] = {}
    for each in given:
        name, colon, value = each.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not value.isprintable():
            raise typer.BadParameter(f"{each!r} is not of the form NAME: VALUE", param_hint="--header")
        found[name.lower()] = value.strip()
    return found


def show_what_to_trust(notifier: Notifier) -> None:
    """Print the key or certificate of the sender, which the receiver has to be given."""
    if notifier.to_trust:
        output.warn("\n".join(notifier.to_trust))


def client(url: str, seconds: float, connections: int, *, check_tls: bool) -> httpx.AsyncClient:
    """Return a client that uses the environment's proxy unless `url` is local.

    Args:
        url: the URL to post to.
        seconds: the time-out.
        connections: the number of connections at once.
        check_tls: whether the certificate is checked.

    Raises:
        typer.BadParameter: the environment names a proxy or certificates that cannot be used.
    """
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    local = httpx.URL(url).host in ("localhost", "127.0.0.1", "::1")
    try:
        verify = ssl.create_default_context() if local and check_tls else check_tls  # it knows SSL_CERT_FILE
        return httpx.AsyncClient(timeout=seconds, limits=limits, verify=verify, trust_env=not local)
    except (ImportError, OSError, ValueError) as error:
        raise typer.BadParameter(f"the environment's proxy or certificates cannot be used: {error}") from None


async def send(
    summary: Summary, client: httpx.AsyncClient, url: str, make: MakeDelivery, *, count: int, concurrency: int
) -> None:
    """Send `count` deliveries, at most `concurrency` at once; `summary` holds the answers so far.

    Each is posted to the target that its head has, at the host of `url`: a scheme may prove a delivery by its path.
    """
    start = time.perf_counter()
    deliveries = iter(range(count))
    with progress_bar() as bar:
        task = bar.add_task("sending", total=count, visible=count > 1)

        async def work() -> None:
            for _ in deliveries:
                head, body = make()
                summary.add(await post(client, url_of(head, url), head.headers, body))
                summary.elapsed = time.perf_counter() - start
                bar.advance(task)

        async with client:
            await asyncio.gather(*(work() for _ in range(min(concurrency, count))))


def show(summary: Summary, *, unauthorized: str | None, forged: bool = False) -> None:
    """Print the responses, and advice on the last one that was not 2xx.

    Args:
        summary: the responses.
        unauthorized: the advice on a 401; None if it was expected.
        forged: whether they were signed with a wrong secret.
    """
    if summary.responses.total() == 1 and summary.last is not None:
        style = "green" if summary.last.ok else "red"
        output.say(f"{summary.last.label} in {summary.last.seconds * 1000:.1f} ms", style)
    else:
        output.table(("response", "deliveries"), [(label, f"{n}") for label, n in summary.responses.most_common()])
        latencies = summary.latencies()
        if latencies:
            output.say("  ".join(f"{name} {value:g} ms" for name, value in latencies.items()))
        rate = summary.responses.total() / summary.elapsed if summary.elapsed else 0
        output.say(f"{summary.responses.total()} sent in {summary.elapsed:.2f} s, {rate:,.0f} a second")
    if summary.last_rejected is not None and (unauthorized or summary.last_rejected.status != HTTPStatus.UNAUTHORIZED):
        for line in _advice(summary.last_rejected, unauthorized, forged=forged):
            output.say(line, "yellow")


def _advice(rejected: Result, unauthorized: str | None, *, forged: bool) -> Iterator[str]:
    if rejected.status is None:
        certificate = "CERTIFICATE" in rejected.reason
        yield (
            "trust its certificate with SSL_CERT_FILE=..., or use --insecure"
            if certificate
            else "is the receiver running, and is this its address?"
        )
        return
    if rejected.reason:
        yield f"the receiver says: {rejected.reason}"
    if rejected.location:
        yield f"it redirects to {rejected.location}"
    if rejected.status == HTTPStatus.UNAUTHORIZED and unauthorized:
        yield unauthorized
    elif forged and rejected.status == HTTPStatus.SERVICE_UNAVAILABLE:
        yield (
            "a receiver that fetches its secrets or keys says so to a wrong signature within 30 s of fetching them, "
            "since they may be others by now: send it again after that, and it is 401"
        )
    elif rejected.status in HINTS:
        yield HINTS[rejected.status]
    elif rejected.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        yield "the receiver's log says what went wrong"
