"""Planet's APIs of orders, subscriptions, their results, and tasking orders, as sources.

Read in the package planet 3.7.0 (`clients/orders.py`, `clients/subscriptions.py`, `models.py`: addresses, filters,
sorting, `_links.next`) and its tests (documents), and in docs.planet.com (states, notifications). The form of a
tasking order, its filters and `ordering` are those of third parties: the package has no client for it. Nothing says how
many orders a page has, whether a filter by an interval includes its ends, or whether links to pages end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, cast

from ...errors import ApiError, ConfigurationError
from ...options import is_name
from .access import KeyAccess
from .api import Api, Connection, Query, part_of_path
from .api_source import ApiSource
from .entries import all_of
from .listings import ByChange, ByStart, Item, Page, document_of, ends_with, item_of, items_of, member
from .planet import COUNT
from .times import text_of

URL = "https://api.planet.com"
_ORDERS = "/compute/ops/orders/v2"
_SUBSCRIPTIONS = "/subscriptions/v1"
_TASKING = "/tasking/v2/orders"

_ITEMS = 200  # of a document, which has some 300 KB then

_WITH_RESULTS = frozenset({"success", "partial"})
_TASKING_ENDS = ends_with("FULFILLED", "FAILED", "EXPIRED", "REJECTED", "CANCELLED")  # third parties


def planet_orders_source(api_key: str, *, url: str = URL, whole_orders: bool = False) -> ApiSource:
    """Return the source that tells the orders of Planet's Orders API whose state changed.

    A document is the notification of an order, `{"order_id", "items"}`, with the order's `state` and the order without
    its results as `order`; of an order with many items there are several. The items of an order that is ready have
    links that end, at their `expires_at`. An order in the state partial is told twice, with its items and without,
    since a notification of items tells no state.

    Args:
        api_key: the API key.
        url: the address of the API.
        whole_orders: True to tell the number of items as well, for `Router.on(..., whole_order=True)`: an order in the
            state success is told twice then, too, the second time without items and as no more than progress.

    Raises:
        ConfigurationError: the key cannot be in a header, or the address is none of https.
    """
    tell = partial(_tell_order, whole_orders=whole_orders)
    listing = ByChange(read=_read_orders, one=_order, is_sorted=True, tell=tell)
    return replace(_source("planet-orders", api_key, url, listing), tells_item_count=whole_orders)


def planet_subscriptions_source(api_key: str, *, url: str = URL) -> ApiSource:
    """Return the source that tells the subscriptions of Planet's Subscriptions API whose status changed.

    A document is the subscription as the API has it: the payload of a notification is not published. Which items were
    delivered is not in it: see `planet_subscription_results_source`.

    Args:
        api_key: the API key.
        url: the address of the API.

    Raises:
        ConfigurationError: the key cannot be in a header, or the address is none of https.
    """
    return _source(
        "planet-subscriptions", api_key, url, ByChange(read=_read_subscriptions, one=_subscription, is_sorted=True)
    )


def planet_subscription_results_source(api_key: str, subscription_id: str, *, url: str = URL) -> ApiSource:
    """Return the source that tells the results of one subscription whose status changed: the items that it delivers.

    A document is `{"subscription_id", "result"}`, with the result as the API has it.

    Args:
        api_key: the API key.
        subscription_id: the subscription's id.
        url: the address of the API.

    Raises:
        ConfigurationError: the key cannot be in a header, the id is none, or the address is none of https.
    """
    if not isinstance(subscription_id, str) or not is_name(subscription_id):
        raise ConfigurationError(f"subscription_id is the id of a subscription, not {subscription_id!r}")
    read, tell = partial(_read_results, subscription_id), partial(_tell, subscription_id)
    listing = ByChange(read=read, one=_result, is_sorted=False, tell=tell)
    return _source(f"planet-subscription-{subscription_id}", api_key, url, listing)


def planet_tasking_source(api_key: str, *, url: str = URL) -> ApiSource:
    """Return the source that tells the orders of Planet's Tasking API whose status changed; it has no notifications.

    A document is the order as the API has it.

    Args:
        api_key: the API key.
        url: the address of the API.

    Raises:
        ConfigurationError: the key cannot be in a header, or the address is none of https.
    """
    listing = ByStart(read=_read_tasking, one=_tasking_order, has_ended=_TASKING_ENDS, newest_first=True)
    return _source("planet-tasking", api_key, url, listing)


def _source(name: str, api_key: str, url: str, listing: ByChange | ByStart) -> ApiSource:
    access = KeyAccess(api_key, scheme="api-key", name="api_key")
    return ApiSource(name=name, api=Api(url=url, access=access), listing=listing)


async def _read_orders(connection: Connection, begin: datetime, after: str | None) -> Page:
    query: Query = {"source_type": "all", "last_modified": f"{text_of(begin)}/..", "sort_by": "last_modified"}
    page = await (connection.get(after) if after else connection.get(_ORDERS, query))
    return Page(all_of(_order_item, items_of(page, "orders")), _next(connection, page))


def _order_item(whole: object) -> Item:
    return item_of(whole, id="id", status="state", at="last_modified")


async def _order(connection: Connection, id: str) -> Item:
    return _order_item(await connection.get(f"{_ORDERS}/{part_of_path(id)}"))


async def _tell_order(connection: Connection, item: Item, *, whole_orders: bool) -> Sequence[bytes]:
    results: object = member(item.whole, "_links", "results")
    if item.status in _WITH_RESULTS and results is None:  # a listing leaves them out
        try:
            item = await _order(connection, item.id)
        except ApiError as error:
            if error.status != 404:
                raise
        results = member(item.whole, "_links", "results")
    items = cast("list[object]", results) if isinstance(results, list) else []
    links: object = item.whole.get("_links")
    others = cast("dict[str, Any]", links) if isinstance(links, dict) else {}
    order = {**item.whole, "_links": {**others, "results": None}}
    document: dict[str, Any] = {"order_id": item.id, "items": [], "state": item.status, "order": order}
    parts = [items[at : at + _ITEMS] for at in range(0, len(items), _ITEMS)] or [[]]
    documents = [document_of({**document, "items": part}) for part in parts]
    if items and (whole_orders or item.status == "partial"):
        names = {name for each in items if isinstance(name := member(each, "name"), str)}
        told = {COUNT: len(names)} if whole_orders else {}
        documents.append(document_of({**document, "items": [], **told}))
    return documents


async def _read_subscriptions(connection: Connection, begin: datetime, after: str | None) -> Page:
    query: Query = {"updated": f"{text_of(begin)}/..", "sort_by": "updated", "page_size": 100}
    page = await (connection.get(after) if after else connection.get(_SUBSCRIPTIONS, query))
    return Page(all_of(_subscription_item, items_of(page, "subscriptions")), _next(connection, page))


def _subscription_item(whole: object) -> Item:
    return item_of(whole, id="id", status="status", at="updated")


async def _subscription(connection: Connection, id: str) -> Item:
    return _subscription_item(await connection.get(f"{_SUBSCRIPTIONS}/{part_of_path(id)}"))


async def _read_results(subscription_id: str, connection: Connection, begin: datetime, after: str | None) -> Page:
    query: Query = {"updated": f"{text_of(begin)}/.."}
    place = f"{_SUBSCRIPTIONS}/{part_of_path(subscription_id)}/results"
    page = await (connection.get(after) if after else connection.get(place, query))
    return Page(all_of(_subscription_item, items_of(page, "results")), _next(connection, page))


async def _result(connection: Connection, id: str) -> Item:
    raise ApiError(f"Planet has no resource of one result, such as {id!r}: its links are in the bucket", status=404)


async def _tell(subscription_id: str, connection: Connection, item: Item) -> Sequence[bytes]:
    return [document_of({"subscription_id": subscription_id, "result": item.whole})]


async def _read_tasking(connection: Connection, begin: datetime, after: str | None) -> Page:
    query: Query = {"ordering": "-created_time", "limit": 100}
    page = await (connection.get(after) if after else connection.get(f"{_TASKING}/", query))
    items = all_of(_tasking_item, items_of(page, "results"))
    return Page(items, connection.same_host(member(page, "next")))


def _tasking_item(whole: object) -> Item:
    return item_of(whole, id="id", status="status", at="created_time")


async def _tasking_order(connection: Connection, id: str) -> Item:
    return _tasking_item(await connection.get(f"{_TASKING}/{part_of_path(id)}"))


def _next(connection: Connection, page: Any) -> str | None:
    return connection.same_host(member(page, "_links", "next"))
