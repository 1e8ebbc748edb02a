"""The report of `explain`: each step of a verification, its causes, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ..capture.request_files import SavedRequest
from ..errors import ConfigurationError, StaleSignature
from ..explain import Explanation
from ..explain import explain as explained
from ..inbox import StoredDelivery
from . import output
from .inbox_option import InboxTarget, run
from .output import fail, listed
from .request import Chosen, chosen_sender, clock, read_request, read_secrets

_STYLES = {"passed": "green", "failed": "red", "not reached": "dim"}
_MARKS = {"passed": "\N{CHECK MARK}", "failed": "\N{BALLOT X}", "not reached": "\N{MIDDLE DOT}"}
_KEPT = (
    "stored headers are without signatures, so nothing can be verified again. What is known is the result at "
    "receipt; rejected requests are never stored: save them with  webhook-receiver capture"
)


def of_request(
    request: str,
    secret: list[str] | None,
    secret_file: list[Path] | None,
    sender: str | None,
    now: str | None,
    url: str | None,
    entry: int | None,
    *,
    as_json: bool,
) -> int:
    """Print the report of a saved request; return the exit code. The arguments are those of the command."""
    secrets = read_secrets(secret, secret_file)
    if not secrets:
        raise typer.BadParameter("give the receiver's secret: --secret, --secret-file or WEBHOOK_SECRET")
    found = read_request(request, entry)
    chosen = chosen_sender(sender, found, secrets)
    known = chosen.preset
    try:
        result = explained(
            found.headers,
            found.body,
            secrets,
            make=known.make_for(found.headers),
            now=clock(now),
            method=found.method,
            target=found.target,
            url=url or found.url,
        )
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint="--secret") from None
    if as_json:
        output.say_json(_document(found, chosen, result))
    else:
        _show(found, chosen, result)
    return 0 if result.ok else 1


def _document(request: SavedRequest, chosen: Chosen, result: Explanation) -> dict[str, Any]:
    about = {"method": request.method, "target": request.target, "size": len(request.body)}
    whose = {"scheme": chosen.preset.name, "chosen_by": chosen.by, "likely": [each.name for each in chosen.likely]}
    return {**about, "notes": [*request.notes], **whose, **result.as_json()}


def _show(request: SavedRequest, chosen: Chosen, result: Explanation) -> None:
    head = f"{request.method} {request.target}, {len(request.headers)} headers, {len(request.body)} bytes of body"
    output.say(output.printable(head), "bold")
    output.say(_whose(chosen))
    for note in request.notes:
        output.say(f"note: {output.printable(note)}", "yellow")
    for step in result.steps:
        # In a pipe the word, for a program that looks for it; on a terminal the mark.
        mark = _MARKS[step.state] if output.is_terminal() else f"{step.state}:"
        output.say(f"{mark} {step.what}{f' - {step.said}' if step.said else ''}", _STYLES[step.state])
    output.say(_verdict(result), "bold green" if result.ok else "bold red")
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
        case "default":
            return f"checked as {title}: its headers and body are no known sender's; --sender NAME says whose it is"


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
