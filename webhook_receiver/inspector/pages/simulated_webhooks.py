"""The webhooks of the simulator of the local loop: create, edit, test and delete them."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from ...senders.up42.models import Webhook
from ...simulator import webhooks_api
from ...simulator.simulator import Simulator
from ...simulator.urls import without_secret
from ...simulator.webhooks_api import KNOWN_EVENTS, GivenWebhook
from ..site import View
from ..wording import counted


async def form(simulator: Simulator, view: View) -> Response:
    """Show the form of a webhook, a new one or one that there is."""
    return await _form(view, _asked_for(simulator, view))


async def put(simulator: Simulator, view: View) -> Response | None:
    """Create a webhook, or replace one. A secret, or a URL with one in it, that is left empty stays as it is."""
    old = _asked_for(simulator, view)
    given: dict[str, Any] = {name: view.sent(name).strip() for name in ("name", "url")}
    given |= {
        "events": [each.name for each in KNOWN_EVENTS if view.sent(f"event {each.name}")],
        "secret": view.sent("secret") or None,
        "active": bool(view.sent("active")),
    }
    if old is not None:
        given["url"] = given["url"] or (old.url if _hides(old) else "")
        if given["secret"] is None and not view.sent("unsigned"):
            given["secret"] = old.secret
    try:
        webhooks_api.put(simulator, GivenWebhook.model_validate(given), old)
    except ValidationError as error:
        return await _form(view, old, given, error)
    return None


async def test(simulator: Simulator, view: View) -> None:
    """Deliver each event of a webhook once; they are in the list of deliveries."""
    webhook = simulator.webhook(view.request.path_params["id"])
    await simulator.scheduler.test(webhook, webhook.events)


async def confirm_delete(simulator: Simulator, view: View) -> Response:
    """Ask whether a webhook is to be deleted."""
    webhook = simulator.webhook(view.request.path_params["id"])
    waiting = sum(each.webhook_id == webhook.id and not each.ended for each in simulator.store.outgoing)
    here = f"/simulator/webhooks/{webhook.id}"
    return await view.page(
        "sure.html",
        verb="Delete",
        what=webhook.name,
        lead=f"{counted(waiting, 'delivery', 'deliveries')} that {'waits' if waiting == 1 else 'wait'} for it "
        f"{'is' if waiting == 1 else 'are'} dropped.",
        path=f"{here}/delete",
        back=here,
    )


async def delete(simulator: Simulator, view: View) -> None:
    """Delete a webhook; deliveries that still wait for it are dropped."""
    simulator.store.webhooks.remove(simulator.webhook(view.request.path_params["id"]).id)


async def _form(
    view: View, old: Webhook | None, given: dict[str, Any] | None = None, error: ValidationError | None = None
) -> Response:
    """Return the form, with what was given if something of it is wrong."""
    if given is None:
        given = {"name": "", "url": "", "events": [KNOWN_EVENTS[0].name], "active": True}
        if old is not None:
            url = "" if _hides(old) else old.url
            given = {"name": old.name, "url": url, "events": old.events, "active": old.active}
    wrong = {} if error is None else {f"{each['loc'][0]}": each["msg"] for each in error.errors(include_input=False)}
    return await view.page(
        "webhook.html",
        status=400 if wrong else 200,
        old=old,
        given=given,
        hides_url=old is not None and _hides(old),
        has_secret=old is not None and old.secret is not None,
        events=KNOWN_EVENTS,
        wrong={name: said.removeprefix("Value error, ") for name, said in wrong.items()},
    )


def _asked_for(simulator: Simulator, view: View) -> Webhook | None:
    id = view.request.path_params.get("id")
    return None if id is None else simulator.webhook(id)


def _hides(webhook: Webhook) -> bool:
    """Return whether there may be a secret in the URL of a webhook, which then is on no page."""
    return without_secret(webhook.url) != webhook.url
