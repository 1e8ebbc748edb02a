"""The report of `explain`: each step of a verification, its causes, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import typer

from ..capture.request_files import SavedRequest
from ..delivery import RequestHead
from ..errors import AddressNotAllowed, ConfigurationError, StaleSignature
from ..explain import Explanation
from ..explain import explain as explained
from ..explain.content import AskedFor, Part, challenge_in, parts_of
from ..explain.trial import MAYBE_CHALLENGE
from ..inbox import StoredDelivery
from ..inspector.secrecy import shown_target, shown_url
from ..receiver import MAX_BODY, WebhookReceiver
from ..senders import Sender
from ..signatures import Scheme, Secret
from ..signatures.allow_from import AllowFrom
from ..signatures.any_of import AnyOf
from ..signatures.scheme import has_networks
from . import output
from .app_loader import load
from .inbox_option import InboxTarget, run
from .output import fail, listed
from .request import ITS_OWN, Chosen, chosen_sender, clock, read_secrets, sender_of
from .secret_option import token_of

_LONGEST = 200  # characters of an answer that are shown
_STYLES = {"passed": "green", "failed": "red", "not reached": "dim"}
_MARKS = {"passed": "\N{CHECK MARK}", "failed": "\N{BALLOT X}", "not reached": "\N{MIDDLE DOT}"}
_UNKNOWN = (
    "it is not known whose it is: its headers and body are no known sender's. Say --sender NAME (`webhook-receiver "
    "senders` lists all), or --hooks MODULE:HOOKS for the sender of your own receiver"
)
_NO_URL = "say the URL that the sender posts to, which it signs: --url https://example.com/webhooks"
_NO_ADDRESS = (
    "the receiver lets in its networks alone, and a saved request does not tell which address it came from: that was "
    "not checked"
)
_KEPT = (
    "stored headers are without signatures, so nothing can be verified again. What is known is the result at "
    "receipt; rejected requests are never stored: save them with  webhook-receiver capture"
)


class Against(NamedTuple):
    """What a request is verified against."""

    chosen: Chosen
    """The sender, and what it was chosen by."""
    sender: Sender
    """The sender, with its challenges."""
    secrets: list[Secret]
    """The secrets; one that counts for nothing where the sender is a receiver's own."""
    url: str | None = None
    """The URL that the receiver knows to be its own."""
    shows_token: bool = False
    """Whether the token of the sender's challenges is known."""
    receiver: WebhookReceiver | None = None
    """The receiver; None where only a secret is given."""


def against(
    request: SavedRequest,
    hooks: str | None,
    secret: list[str] | None,
    secret_file: list[Path] | None,
    name: str | None,
    token: str | None,
) -> Against:
    """Return what a saved request is verified against.

    Args:
        request: the request.
        hooks: the receiver, as MODULE:HOOKS; None if there is none.
        secret: the secrets, as texts.
        secret_file: files with secrets.
        name: the sender's name; None to find it.
        token: the token that the sender shows with its challenges.

    Raises:
        typer.BadParameter: there is no secret, or it or the token cannot be used.
    """
    if hooks is not None:
        receiver = load(hooks)
        mine = sender_of(receiver)
        return Against(mine, receiver.sender, [ITS_OWN], receiver.public_url, shows_token=True, receiver=receiver)
    secrets = read_secrets(secret, secret_file)
    if not secrets:
        raise typer.BadParameter("give the receiver's secret: --secret, --secret-file or WEBHOOK_SECRET")
    chosen = chosen_sender(name, request, secrets)
    shown = None if token is None else token_of(chosen.preset, token)
    try:
        sender = chosen.preset.registering(secrets, shown)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint="the secret") from None
    return Against(chosen, sender, secrets, shows_token=shown is not None)


def of_request(found: SavedRequest, against: Against, now: str | None, url: str | None, *, as_json: bool) -> int:
    """Print the report of a saved request; return the exit code. The others are arguments of the command."""
    chosen, of = against.chosen, against.sender
    if chosen.by == "default":
        return _show_unknown(found, as_json=as_json)
    posted_to = url or against.url or found.url
    try:
        tried = [_explained(found, against, clock(now), posted_to, each) for each in _clients(against)]
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint="the secret") from None
    client, result = max(tried, key=lambda each: (each[1].ok, each[1].authentic))
    head = RequestHead(found.method, found.target.encode("latin-1", "replace"), found.headers, posted_to, client)
    asked = challenge_in(of, head, found.body, result.now)
    if asked is not None and (asked.status is not None or found.method != "POST"):
        return _show_challenge(found, against, asked, as_json=as_json)
    if asked is not None:  # it is said what it is
        result = replace(result, hints=tuple(each for each in result.hints if not each.startswith(MAYBE_CHALLENGE)))
    if posted_to is None and getattr(of.scheme, "needs_url", False):
        result = replace(result, hints=(_NO_URL,))
    if has_networks(of.scheme):
        result = replace(result, hints=(*result.hints, _NO_ADDRESS))
    parts = parts_of(of, head, found.body, against.receiver) if result.authentic and asked is None else []
    if as_json:
        about: dict[str, Any] = {
            "challenge": None if asked is None else asked.as_json(),
            "events": [each.as_json() for each in parts],
        }
        output.say_json(_document(found, against, result) | about)
    else:
        _show(found, against, result, parts, is_challenge=asked is not None)
    return 0 if result.ok else 1


def _clients(against: Against) -> list[str | None]:
    """Return addresses that a receiver lets in, one of each of its lists of networks: a saved request tells none."""

    def within(scheme: Scheme) -> Iterator[str]:
        if isinstance(scheme, AllowFrom):
            yield str(scheme.networks[0].network_address)
        elif isinstance(scheme, AnyOf):
            for each in scheme.schemes:
                yield from within(each)

    return [*within(against.sender.scheme)] or [None]


def _explained(
    found: SavedRequest, against: Against, now: float | None, url: str | None, client: str | None
) -> tuple[str | None, Explanation]:
    """Return the explanation of a saved request, as if it had come from an address; and that."""
    result = explained(
        found.headers,
        found.body,
        against.secrets,
        make=against.chosen.preset.make_for(found.headers),
        now=now,
        method=found.method,
        target=found.target,
        url=url,
        client=client,
        max_body=MAX_BODY if against.receiver is None else against.receiver.max_body,
        content_encodings=against.sender.content_encodings,
    )
    if result.error == AddressNotAllowed.__name__:  # as of networks that are each tenant's own
        first = replace(result.steps[0], said=_NO_ADDRESS)
        result = replace(result, steps=(first, *result.steps[1:]), causes=(), hints=())
    return client, result


def _show_unknown(request: SavedRequest, *, as_json: bool) -> int:
    """Print that a request is no known sender's, so that nothing is verified; return the exit code."""
    if as_json:
        about = _about_request(request, None) | {"scheme": None, "chosen_by": "default", "likely": list[str]()}
        verdict: dict[str, Any] = {"ok": False, "authentic": False, "error": None, "verified_by": None}
        output.say_json(about | verdict | {"steps": [], "causes": [], "hints": [_UNKNOWN]})
        return 1
    _say_request(request, None, _UNKNOWN)
    return 1


def _show_challenge(request: SavedRequest, against: Against, asked: AskedFor, *, as_json: bool) -> int:
    """Print that a request is a challenge, and what is answered; return the exit code."""
    chosen = against.chosen
    ok = asked.status is not None
    if as_json:
        output.say_json(_about(request, against) | {"ok": ok, "challenge": asked.as_json(), "events": list[object]()})
        return 0 if ok else 1
    _say_head(request, against)
    if not ok:
        _say_unproven(against)
        return 1
    answer = output.printable(asked.answer[:_LONGEST]) or "an empty body"
    kind = f" ({asked.content_type})" if asked.content_type else ""
    output.say(f"it is a challenge, by which {chosen.preset.title} asks whether the URL is yours", "bold green")
    output.say(f"a receiver answers {asked.status}, {answer}{kind}; nothing is stored, and no handler runs")
    if chosen.preset.tells is not None:
        output.say("it does so while it waits for the secret that is told: see LearntSecret.open", "yellow")
    return 0


def _shown(request: SavedRequest, scheme: Scheme | None) -> str:
    """Return the target of a request, or its URL, with what may be a secret masked."""
    if request.target.startswith("/"):
        return shown_target(request.target, scheme)
    before = "" if request.url else "://"  # curl takes an address without a scheme
    return shown_url(before + request.target, scheme).removeprefix(before)


def _about_request(request: SavedRequest, scheme: Scheme | None) -> dict[str, Any]:
    about = {"method": request.method, "target": _shown(request, scheme), "size": len(request.body)}
    return {**about, "notes": [*request.notes]}


def _about(request: SavedRequest, against: Against) -> dict[str, Any]:
    chosen = against.chosen
    whose = {"scheme": chosen.preset.name, "chosen_by": chosen.by, "likely": [each.name for each in chosen.likely]}
    return {**_about_request(request, against.sender.scheme), **whose}


def _document(request: SavedRequest, against: Against, result: Explanation) -> dict[str, Any]:
    return _about(request, against) | result.as_json()


def _say_head(request: SavedRequest, against: Against) -> None:
    _say_request(request, against.sender.scheme, _whose(against.chosen))


def _say_request(request: SavedRequest, scheme: Scheme | None, whose: str) -> None:
    target, count = _shown(request, scheme), len(request.headers)
    head = f"{request.method} {target}, {count} headers, {len(request.body)} bytes of body"
    output.say(output.printable(head), "bold")
    output.say(whose)
    for note in request.notes:
        output.say(f"note: {output.printable(note)}", "yellow")


def _say_unproven(against: Against) -> None:
    """Print that a request is a challenge that has not the proof by which it is answered."""
    preset = against.chosen.preset
    said = f"it is a challenge of {preset.title}"
    if preset.asking is None:
        output.say(f"{said}, and would be answered if it were proven", "bold yellow")
    elif against.shows_token:
        output.say(f"{said}, and its token is not the receiver's own", "bold yellow")
    else:
        output.say(f"{said}, which is answered if its token is the receiver's own", "bold yellow")
        output.say("say that by --verify-token", "yellow")


def _show(
    request: SavedRequest, against: Against, result: Explanation, parts: Sequence[Part], *, is_challenge: bool
) -> None:
    _say_head(request, against)
    if is_challenge:
        _say_unproven(against)
    for step in result.steps:
        # In a pipe the word, for a program that looks for it; on a terminal the mark.
        mark = _MARKS[step.state] if output.is_terminal() else f"{step.state}:"
        output.say(f"{mark} {step.what}{f' - {step.said}' if step.said else ''}", _STYLES[step.state])
    output.say(_verdict(result), "bold green" if result.ok else "bold red")
    for number, part in enumerate(parts):
        which = f"event {number} of {len(parts)}" if len(parts) > 1 else "event"
        id = "" if part.id is None else f", id {part.id}"
        output.say(output.printable(f"{which}: {part.event or 'without a name'}{id}"))
        if part.handlers is not None:
            handled = (
                f"handled by {', '.join(part.handlers)}" if part.handlers else "no handler of the receiver takes it"
            )
            output.say(f"  {handled}", "" if part.handlers else "yellow")
    for cause in result.causes:
        output.say(f"cause: {cause.what}", "yellow")
        output.say(f"  what to do: {_indented(cause.advice)}")
    for hint in result.hints:
        output.say(f"note: {_indented(hint)}", "yellow")
    if result.error == StaleSignature.__name__:
        output.say("for a saved request, verify as of the time it was signed: --now signed")


def _whose(chosen: Chosen) -> str:
    """Return the sentence that says whose request it was taken for, and why."""
    title = chosen.preset.title
    likely = listed([each.title for each in chosen.likely if each is not chosen.preset])
    match chosen.by:
        case "name":
            others = f"; it looks like a delivery of {likely}" if likely and chosen.preset not in chosen.likely else ""
            return f"checked as {title}, as you say{others}"
        case "secret":
            return f"taken for {title}, since the secret verifies it so"
        case "request":
            others = f"; {likely} would send the same: --sender NAME says whose it is" if likely else ""
            return f"taken for {title}, by its headers and body{others}"
        case "receiver":
            return f"checked as {title}, the sender of your receiver"
        case "default":
            return _UNKNOWN


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")


def _verdict(result: Explanation) -> str:
    by = "" if result.verified_by is None else f", by secret {result.verified_by} (counted from 0)"
    if result.ok:
        return f"it verifies{by}"
    if not result.authentic:
        return f"it does not verify: {result.error}"
    if result.error == StaleSignature.__name__:
        return f"it is authentic{by}, but stale"
    return f"it is authentic{by}, but a receiver rejects it before it verifies: {result.error}"


def of_delivery(where: str, id: str, *, as_json: bool) -> int:
    """Print what is known of the verification of a stored delivery; return the exit code."""

    async def work(target: InboxTarget) -> StoredDelivery | None:
        return await target.inbox.get(id)

    stored = run(where, work)
    if stored is None:
        raise fail(f"there is no delivery {id!r}")
    delivery, reason = stored.delivery, stored.summary.reason
    verified = delivery.verified_by is not None
    if as_json:
        about = {"id": delivery.id, "via": delivery.via, "verified_by": delivery.verified_by}
        output.say_json({**about, "body_verified": delivery.body_verified, "reason": reason, "hints": [_KEPT]})
        return 0 if verified else 1
    output.say(f"{delivery.id}, received at {delivery.received_at:%Y-%m-%d %H:%M:%S} UTC by {delivery.via}", "bold")
    if verified:
        covered = "covers" if delivery.body_verified else "does not cover"
        output.say(
            f"it was verified when it came, by secret {delivery.verified_by} (counted from 0); the signature {covered} "
            "the body",
            "green",
        )
    else:
        output.say("it was not verified: it was unsigned, or did not come from the sender", "yellow")
    if reason:
        output.say(f"it is {stored.summary.state}: {output.printable(reason)}", "yellow")
    output.say(f"note: {_KEPT}")
    return 0 if verified else 1
