"""The simulator of the local loop: orders to fulfil and fail, what can go wrong with deliveries, and their attempts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from ...errors import ApiError
from ...events import OrderStatus
from ...inbox.records import DeliverySummary, Filter
from ...simulator.factories import NewOrders
from ...simulator.faults import NONE, FaultPlan
from ...simulator.simulator import Simulator
from ...simulator.store import Outgoing
from ...simulator.urls import without_secret
from ..site import Problem, SitePage, View
from ..summaries import HandlerOf, handlers_of, told
from ..wording import counted, span
from . import simulated_webhooks

HERE = "/simulator"
MOST_OF_A_BURST = 1000
"""Orders that are fulfilled at once by a button."""
_ORDERS, _DELIVERIES, _STORED = 12, 30, 100  # that are looked at, the newest


class Fault(NamedTuple):
    """A button that fulfils new orders and has their deliveries go wrong."""

    name: str
    title: str
    note: str
    """What the receiver should do."""
    plan: Mapping[str, Any]
    """The fields of the fault plan."""
    orders: int = 1
    """Number of orders."""


FAULTS = (
    Fault("duplicate", "Duplicate", "sent twice: the second is answered 200", {"copies": 2}),
    Fault("late", "Late", "signed an hour ago: rejected as stale", {"late": 3600}),
    Fault("secret", "Forged secret", "signed with another secret: rejected", {"wrong_secret": True}),
    Fault("body", "Forged body", "another body under a genuine signature: rejected", {"forged": True}),
    Fault("order", "Out of order", "three orders, the last one first", {"reorder": 3}, 3),
    Fault("slow", "Slow", "the body comes over three seconds", {"drip": 3}),
    Fault("lost", "Lost", "never sent: a backfill finds it", {"lose": 1}),
)
"""What can go wrong with a delivery, by the fault plan of the simulator."""


class Sent(NamedTuple):
    """A delivery of the simulator, as a list shows it."""

    outgoing: Outgoing
    about: str
    """The order and its status."""
    webhook: str
    """The name of its webhook."""
    faults: Sequence[str]
    kind: str
    """The class of its badge."""
    said: str
    """How it ended, or what it waits for."""
    summary: DeliverySummary | None
    """What the inbox has of it; None if nothing."""
    told: str
    """Its state in the inbox, in words."""
    handlers: Sequence[HandlerOf]
    url: str
    """The address of its page."""
    is_rejected: bool
    """Whether the receiver did not let it in at the last attempt."""


def simulator_pages(simulator: Simulator, note: str = "", broken: Callable[[], str] = lambda: "") -> Sequence[SitePage]:
    """Return the pages of a simulator; they run in its event loop.

    Args:
        simulator: the simulator, which is entered.
        note: a sentence about its deliveries that stands above them.
        broken: returns why the app does not start; empty if it does.
    """

    def page(path: str, show: Any, title: str = "", *, posts: bool = False, writes: bool = False) -> SitePage:
        return SitePage(HERE + path, partial(_answered, show, simulator), title, writes=writes, posts=posts)

    return (
        page("", partial(_show, note, broken), "Simulator"),
        page("/orders", _create, posts=True),
        page("/orders/{id}", _move, posts=True),
        page("/faults/{name}", _try, posts=True),
        page("/faults", _fault_form, writes=True),
        page("/faults", _set_faults, posts=True),
        page("/deliveries/{id}", _replay, posts=True),
        page("/webhooks", simulated_webhooks.form, writes=True),
        page("/webhooks", simulated_webhooks.put, posts=True),
        page("/webhooks/{id}", simulated_webhooks.form, writes=True),
        page("/webhooks/{id}", simulated_webhooks.put, posts=True),
        page("/webhooks/{id}/test", simulated_webhooks.test, posts=True),
        page("/webhooks/{id}/delete", simulated_webhooks.confirm_delete, writes=True),
        page("/webhooks/{id}/delete", simulated_webhooks.delete, posts=True),
    )


def version(simulator: Simulator) -> object:
    """Return a value that changes with what is shown of a simulator."""
    store = simulator.store
    return (
        [(each.id, each.updated_at) for each in store.webhooks],
        [(each.id, each.order.status) for each in [*store.orders][-_ORDERS:]],
        [(each.id, len(each.attempts), each.ended, each.due) for each in [*store.outgoing][-_DELIVERIES:]],
        store.faults,
    )


async def _answered(show: Any, simulator: Simulator, view: View) -> Response:
    """Return the response of a page. After a change it leads to the first one, of which htmx takes the part that it
    replaces."""
    try:
        found: Response | None = await show(simulator, view)
    except ApiError as error:
        raise Problem(error.status or 400, "The simulator did not take this", f"{error}.") from None
    except ValidationError as error:
        raise Problem(400, "The simulator did not take this", first_of(error)) from None
    return RedirectResponse(view.url(HERE), 303) if found is None else found


def first_of(error: ValidationError) -> str:
    """Return the first thing that is wrong in a form."""
    said = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(map(str, said["loc"]))
    return f"{where}: {said['msg'].removeprefix('Value error, ')}." if where else f"{said['msg']}."


async def _show(note: str, broken: Callable[[], str], simulator: Simulator, view: View) -> Response:
    """Show orders, deliveries and webhooks, the newest first."""
    store = simulator.store
    sent = [*store.outgoing]
    stored = await _stored(view)
    return await view.page(
        "simulator.html",
        faults=FAULTS,
        most_of_a_burst=MOST_OF_A_BURST,
        plan=plan_told(simulator.faults),
        note=note,
        broken=broken(),
        orders=[each.order for each in store.orders][: -_ORDERS - 1 : -1],
        order_count=len(store.orders),
        sent=[_sent(simulator, view, each, stored) for each in sent[: -_DELIVERIES - 1 : -1]],
        sent_count=len(sent),
        has_several=len({each.id for each in store.webhooks} | {each.webhook_id for each in sent}) > 1,
        webhooks=[(each, without_secret(each.url), _signs(simulator, each.id)) for each in store.webhooks],
        OrderStatus=OrderStatus,
    )


async def _create(simulator: Simulator, view: View) -> None:
    """Create an order, or a burst of fulfilled ones."""
    count = view.sent("count", "1").strip()
    if not re.fullmatch("[0-9]{1,6}", count) or not 1 <= int(count) <= MOST_OF_A_BURST:
        raise Problem(400, "No order was made", f"A burst has from 1 to {MOST_OF_A_BURST:,} orders.")
    simulator.create(NewOrders(count=int(count), status=_status(view)))


async def _move(simulator: Simulator, view: View) -> None:
    """Set the status of an order."""
    simulator.move(view.request.path_params["id"], _status(view))


def _status(view: View) -> OrderStatus:
    """Return the status that a button sends."""
    given = view.sent("status")
    if given not in {*OrderStatus}:
        raise Problem(400, "There is no such status")
    return OrderStatus(given)


async def _try(simulator: Simulator, view: View) -> None:
    """Fulfil new orders with a fault for their deliveries alone."""
    fault = next((each for each in FAULTS if each.name == view.request.path_params["name"]), None)
    if fault is None:
        raise Problem(404, "There is no such fault")
    before = simulator.faults
    simulator.faults = FaultPlan.model_validate(fault.plan)
    try:
        simulator.create(NewOrders(count=fault.orders, status=OrderStatus.FULFILLED))
    finally:
        simulator.faults = before


async def _replay(simulator: Simulator, view: View) -> None:
    """Deliver the same body again."""
    simulator.replay(view.request.path_params["id"])


async def _fault_form(simulator: Simulator, view: View) -> Response:
    """Ask for the faults of all deliveries from now on."""
    return await view.page("faults.html", plan=simulator.faults, wrong="")


async def _set_faults(simulator: Simulator, view: View) -> Response | None:
    """Set the faults of all deliveries from now on; a change of the secret that was planned goes with them."""
    if view.sent("none"):
        simulator.faults = NONE
        return None
    numbers = {name: view.sent(name).strip() or "0" for name in ("reorder", "late", "drip")}
    try:
        simulator.faults = FaultPlan.model_validate(
            {
                **numbers,
                "copies": view.sent("copies").strip() or "1",
                "lose": _share(view.sent("lose")),
                "wrong_secret": bool(view.sent("wrong_secret")),
                "forged": bool(view.sent("forged")),
            }
        )
    except ValidationError as error:
        return await view.page("faults.html", status=400, plan=simulator.faults, wrong=first_of(error))
    return None


def _share(per_cent: str) -> object:
    """Return a share that is given in per cent; what is no number is for the model to reject."""
    try:
        return float(per_cent.strip() or "0") / 100
    except ValueError:
        return per_cent


def plan_told(plan: FaultPlan) -> Sequence[str]:
    """Return the faults of a plan in words, without a secret."""
    said = [
        (plan.copies > 1, f"{plan.copies} copies"),
        (plan.reorder > 0, f"out of order, {plan.reorder} at a time"),
        (plan.late > 0, f"signed {span(plan.late)} late"),
        (plan.wrong_secret, "signed with another secret"),
        (plan.forged, "another body"),
        (plan.drip > 0, f"slow, over {span(plan.drip)}"),
        (plan.lose > 0, "lost" if plan.lose == 1 else f"{plan.lose:.0%} lost"),
        (plan.rotate_after > 0, f"a new secret after {counted(plan.rotate_after, 'delivery', 'deliveries')}"),
    ]
    return [text for holds, text in said if holds]


def _signs(simulator: Simulator, webhook_id: str) -> str:
    webhook = simulator.webhook(webhook_id)
    if webhook.secret is not None:
        return "with its secret"
    return "as the receiver's own scheme does" if webhook_id in simulator.scheduler.schemes else "not signed"


async def _stored(view: View) -> Mapping[str, tuple[DeliverySummary, str]]:
    """Return the newest deliveries in the inboxes by what they tell of, each with the address of its page."""
    found: dict[str, tuple[DeliverySummary, str]] = {}
    for number, each in enumerate(view.site.inspected, 1):
        await each.open()
        below = view.base if number == 1 else f"{view.base}/inbox/{number}"
        for summary in await each.inbox.find(Filter(), limit=_STORED):
            found.setdefault(summary.identity or summary.id, (summary, f"{below}/deliveries/{summary.id}"))
    return found


def _sent(
    simulator: Simulator, view: View, outgoing: Outgoing, stored: Mapping[str, tuple[DeliverySummary, str]]
) -> Sent:
    body: Any = json.loads(outgoing.body).get("body", {})
    order, status = f"{body.get('orderId', '')}", f"{body.get('status', '')}"
    kept = simulator.store.orders.get(outgoing.order_id or "")
    webhook = simulator.store.webhooks.get(outgoing.webhook_id)
    # Else what the inbox has of the order came by another delivery.
    is_genuine = not (outgoing.faults.forged or outgoing.faults.wrong_secret)
    is_taken = is_genuine and any(200 <= (each.status or 0) <= 299 for each in outgoing.attempts)
    summary, url = stored.get(f"{order} {status}", (None, "")) if is_taken else (None, "")
    kind = {"delivered": "good", "failed": "bad", "lost": "warn", "dropped": "warn"}.get(outgoing.ended, "info")
    wait = 0.0 if outgoing.due is None else outgoing.due - view.now
    waits = f"again in {span(wait)}" if outgoing.attempts and wait > 0 else "under way"
    dropped = "its webhook was deleted" if webhook is None else "its webhook is off"
    return Sent(
        outgoing,
        f"{'test' if outgoing.test else kept.order.display_name if kept else order} {status}",
        "deleted" if webhook is None else webhook.name,
        plan_told(outgoing.faults),
        kind,
        dropped if outgoing.ended == "dropped" else outgoing.ended or waits,
        summary,
        "" if summary is None else told(view, summary),
        () if summary is None else handlers_of(summary),
        url,
        400 <= (outgoing.attempts[-1].status or 0 if outgoing.attempts else 0) < 500,
    )
