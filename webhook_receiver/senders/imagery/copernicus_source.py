"""The Copernicus Data Space Ecosystem's PULL subscriptions and its on-demand production, as sources.

Read in eu-cdse/documentation at f65bac2: APIs/Subscriptions.qmd (Read, Ack, the queue), APIs/On-Demand Production
API.qmd (ProductionOrders), and the token that both need. What an Ack of notifications that are acknowledged already
answers is not documented; nor are the pages and the order of ProductionOrders, or the status of a canceled one.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, cast

from ...errors import ApiError, ConfigurationError
from ...options import is_name
from ..source import Changes
from .access import Access, OAuth2
from .api import Api, Connection, part_of_path
from .api_source import ApiSource
from .entries import OddEntry, all_of
from .listings import ByStart, Item, Page, document_of, ends_with, item_of, items_of, member

CATALOGUE = "https://catalogue.dataspace.copernicus.eu/odata/v1"
PRODUCTION = "https://odp.dataspace.copernicus.eu/odata/v1"
TOKEN = "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"  # noqa: S105
_SIZE = 20  # of a Read, at most


def copernicus_access(username: str, password: str, *, token_url: str = TOKEN) -> OAuth2:
    """Return the access of a user of the Copernicus Data Space Ecosystem, by the grant `password`.

    Args:
        username: the user's name.
        password: the user's password.
        token_url: the URL of the token endpoint.

    Raises:
        ConfigurationError: the URL is none of https.
    """
    form = {"grant_type": "password", "username": username, "password": password}
    return OAuth2(token_url, "cdse-public", form=form)


def copernicus_queue_source(access: Access, subscription_id: str, *, url: str = CATALOGUE) -> ApiSource:
    """Return the source that empties the queue of a PULL subscription.

    A document is the notification as a PUSH subscription sends it. Notifications are acknowledged by the next call,
    when they are stored; until then they stay in the queue. After three days there they have no `value` any more.

    Args:
        access: the access, see `copernicus_access`.
        subscription_id: the subscription's id.
        url: the address of the catalogue.

    Raises:
        ConfigurationError: the address is none of https, or the id is none.
    """
    if not isinstance(subscription_id, str) or not is_name(subscription_id) or not subscription_id.strip("."):
        raise ConfigurationError(f"subscription_id is the id of a subscription, not {subscription_id!r}")
    return ApiSource(name="copernicus-queue", api=Api(url=url, access=access), listing=_Queue(subscription_id))


def copernicus_production_source(access: Access, *, url: str = PRODUCTION) -> ApiSource:
    """Return the source that tells the production orders whose status changed; the service sends no notifications.

    A document is the order as the API has it. Its product is kept for 14 days.

    Args:
        access: the access, see `copernicus_access`.
        url: the address of the on-demand production.

    Raises:
        ConfigurationError: the address is none of https.
    """
    ends = ends_with("completed", "failed", "cancelled", "canceled")
    listing = ByStart(read=_read_orders, one=_order, has_ended=ends, newest_first=False)
    return ApiSource(name="copernicus-production", api=Api(url=url, access=access), listing=listing)


class _Queue:
    """The queue of a PULL subscription. The cursor is the id by which what was read last is acknowledged.

    Args:
        id: the subscription's id.
    """

    def __init__(self, id: str) -> None:
        self._place = f"/Subscriptions({part_of_path(id)})"

    async def changes(self, connection: Connection, cursor: str, now: datetime) -> Changes:
        last = _ack_of(cursor)
        refused: ApiError | None = None
        if last:
            try:
                await connection.post(f"{self._place}/Ack", {"$ackid": last})
            except ApiError as error:
                if error.status not in (400, 404, 409, 410, 422):
                    raise
                refused = error  # it may be acknowledged already: if the queue has moved on, all is well
        found = items_of(await connection.get(f"{self._place}/Read", {"$top": _SIZE}), "", "value")
        read = all_of(_notification, found)
        ids = [id for id, _ in read]
        if refused and last in ids:
            raise refused
        documents = [document for _, document in read]
        return Changes(documents, json.dumps({"ack": ids[-1] if ids else ""}), more=len(found) >= _SIZE)


def _notification(whole: object) -> tuple[str, bytes]:
    """Return the id by which a notification is acknowledged, and its document.

    Raises:
        OddEntry: it has no such id.
    """
    id = member(whole, "AckId")
    if not isinstance(id, str) or not isinstance(whole, dict):
        raise OddEntry("the API told a notification without an AckId")
    fields = cast("dict[str, Any]", whole)
    return id, document_of({name: value for name, value in fields.items() if name != "AckId"})


def _ack_of(cursor: str) -> str:
    """Return the id to acknowledge by; "" in a cursor of `cursor_at`, since a queue begins where it begins.

    Raises:
        ConfigurationError: the cursor is of another source.
    """
    try:
        state: Any = json.loads(cursor)
        return "" if "from" in state else str(state["ack"])
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError("the cursor is of another source: give this source a name that was not used") from None


async def _read_orders(connection: Connection, begin: datetime, after: str | None) -> Page:
    page = await connection.get(after or "/ProductionOrders")
    items = all_of(_order_item, items_of(page, "value", ""))
    return Page(items, connection.same_host(member(page, "@odata.nextLink")))


async def _order(connection: Connection, id: str) -> Item:
    document = await connection.get(f"/ProductionOrders({part_of_path(id)})")
    return _order_item(member(document, "value") or document)


def _order_item(whole: object) -> Item:
    return item_of(whole, id="Id", status="Status", at="SubmissionDate")
