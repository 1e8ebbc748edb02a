"""Rejected requests of the local loop: which came lately, and why each was rejected, the likely cause first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from starlette.responses import Response

from ...capture.rejected_request import RejectedRequest
from ...receiver import WebhookReceiver
from ..bodies import asked_form
from ..rejections import MOST, Rejection, Rejections
from ..secrecy import shown_headers, shown_target
from ..site import Problem, SitePage, View
from ..wording import counted

_LISTED = 50  # of a page


def rejected_pages(rejections: Rejections, broken: Callable[[], str] = lambda: "") -> Sequence[SitePage]:
    """Return the pages about rejected requests.

    Args:
        rejections: the requests.
        broken: returns why the app does not start; empty if it does.
    """
    return (
        SitePage("/rejected", partial(_show, rejections, broken), "Rejected"),
        SitePage("/rejected/{number:int}", partial(_show_one, rejections)),
        SitePage("/rejected/forget", partial(_confirm, rejections), writes=True),
        SitePage("/rejected", partial(_clear, rejections), posts=True),
    )


async def _show(rejections: Rejections, broken: Callable[[], str], view: View) -> Response:
    """Show the latest ones, the newest first."""
    rejections.explain_newest()
    kept = rejections.newest()
    rows = [(each, _target(each.request, rejections.receiver(each.request)), _cause(each)) for each in kept[:_LISTED]]
    return await view.page(
        "rejected.html", rows=rows, kept=len(kept), count=rejections.count, most=MOST, broken=broken()
    )


async def _show_one(rejections: Rejections, view: View) -> Response:
    """Show one: its causes and what to do, the steps of its verification, its headers and its body."""
    number: int = view.request.path_params["number"]
    found = rejections.get(number)
    if found is None:
        raise Problem(404, f"Rejected request {number} is not kept", f"The last {MOST} are, until dev ends.")
    await rejections.explain(found)
    request, hooks = found.request, rejections.receiver(found.request)
    scheme = None if hooks is None else hooks.sender.scheme
    kind = dict(request.headers).get(b"content-type", b"").decode("latin-1")
    return await view.page(
        "rejected_request.html",
        number=number,
        request=request,
        target=_target(request, hooks),
        is_known=hooks is not None,
        headers=shown_headers(request.headers, scheme),
        explanation=found.explanation,
        **await asked_form(view, request.body, kind, scheme),
    )


async def _confirm(rejections: Rejections, view: View) -> Response:
    """Ask whether all that are kept are to be forgotten."""
    return await view.page(
        "sure.html",
        verb="Forget",
        what=counted(len(rejections.newest()), "rejected request"),
        lead="They are nowhere else.",
        path="/rejected",
        back="/rejected",
    )


async def _clear(rejections: Rejections, view: View) -> Response:
    """Forget all that are kept."""
    rejections.clear()
    return view.redirect("/rejected")


def _target(request: RejectedRequest, hooks: WebhookReceiver | None) -> str:
    """Return a target as it may be shown: of a receiver that is not at hand nobody knows what of it is secret."""
    return "" if hooks is None else shown_target(request.target, hooks.sender.scheme)


def _cause(rejection: Rejection) -> str:
    """Return the likeliest cause in a sentence; what the receiver has said where none was found."""
    explanation = rejection.explanation
    if explanation is not None and explanation.causes:
        return explanation.causes[0].what
    return rejection.request.said
