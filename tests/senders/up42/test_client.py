"""The client against a real server: each call as UP42 has it, and each way in which it can fail."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from tests.api import AT, ORDER, PASSWORD, WEBHOOK, Answer, Api, Got, data, failed, noting, page
from tests.helpers import serving
from tests.working import PATIENCE, durable
from webhook_receiver import ApiError, ConfigurationError, OrderStatus
from webhook_receiver.senders.up42.client import WebhooksClient
from webhook_receiver.senders.up42.models import TOKEN, USER_INFO

WEBHOOKS = "/workspaces/w-1/webhooks"
ONE = f"{WEBHOOKS}/wh-1"
SECRET = str(WEBHOOK["secret"])

Call = Callable[[WebhooksClient], Coroutine[Any, Any, Any]]


@asynccontextmanager
async def client_of(api: Api, waits: list[float] | None = None, **options: Any) -> AsyncGenerator[WebhooksClient]:
    with serving(api.app) as url:
        given: dict[str, Any] = {"url": url, "retry": noting([] if waits is None else waits), **options}
        if "token" not in given:
            given |= {"username": "me", "password": PASSWORD}
        async with WebhooksClient(**given) as client:
            yield client


async def test_the_events_are_listed() -> None:
    api = Api()
    api.on("GET", "/webhooks/events", data([{"name": "order.status", "category": "order", "new": 1}]))
    async with client_of(api) as client:
        (event,) = await client.event_types()
    assert (event.name, event.category, event.model_extra) == ("order.status", "order", {"new": 1})
    assert api.at("/webhooks/events")[0].authorization == "Bearer t-1"


async def test_a_webhook_is_created_active_unless_said_otherwise() -> None:
    api = Api()
    api.on("POST", WEBHOOKS, data(WEBHOOK))
    async with client_of(api) as client:
        made = await client.create("images", "https://example.com/webhooks", ["order.status"], secret=SECRET)
        await client.create("quiet", "https://example.com/", ["a", "b"], secret=SecretStr("x\n"), active=False)
        await client.create("open", "https://example.com/", ("a",))
    assert made.id == "wh-1"
    assert [got.json for got in api.at(WEBHOOKS)] == [
        {key: WEBHOOK[key] for key in ("name", "url", "events", "secret", "active")},
        {"name": "quiet", "url": "https://example.com/", "events": ["a", "b"], "secret": "x", "active": False},
        {"name": "open", "url": "https://example.com/", "events": ["a"], "secret": None, "active": True},
    ]


async def test_webhooks_are_listed_read_and_deleted() -> None:
    api = Api()
    api.on("GET", WEBHOOKS, data([WEBHOOK, WEBHOOK | {"id": "wh-2", "secret": ""}]))
    api.on("GET", ONE, data(WEBHOOK))
    api.on("DELETE", ONE, Response(status_code=204))
    async with client_of(api) as client:
        assert [(each.id, each.secret is None) for each in await client.list()] == [("wh-1", False), ("wh-2", True)]
        assert (await client.get("wh-1")).as_json() == WEBHOOK
        await client.delete("wh-1")
        api.on("DELETE", ONE, broken(b"gone", "text/plain"))  # whatever it says, it was a success
        await client.delete("wh-1")


async def test_the_workspace_is_the_users_own_and_asked_for_once() -> None:
    api = Api()
    api.on("GET", WEBHOOKS, data([]))
    async with client_of(api) as client:
        await asyncio.gather(*(client.list() for _ in range(5)))
    (asked,) = api.at(USER_INFO)
    assert asked.authorization == "Bearer t-1"


async def test_a_workspace_that_is_given_is_not_asked_for() -> None:
    api = Api()
    api.on("GET", "/workspaces/w%20%2F9/webhooks", data([]))
    api.on("GET", "/workspaces/w /9/webhooks", data([]))
    async with client_of(api, workspace_id="w /9") as client:
        assert await client.list() == ()
    assert api.at(USER_INFO) == []


async def test_an_update_sends_all_of_it_back_what_is_not_known_included() -> None:
    api = Api()
    there = WEBHOOK | {"retryPolicy": {"tries": 3}}
    api.on("GET", ONE, data(there))
    api.on("PUT", ONE, lambda got: data(there | got.json))
    async with client_of(api) as client:
        updated = await client.update("wh-1", name="pictures", active=False)
        await client.update("wh-1", secret=None)
        await client.update("wh-1", secret=SecretStr(" new"), events=("a", "b"))
    sent = [got.json for got in api.at(ONE) if got.method == "PUT"]
    kept = {key: there[key] for key in ("name", "url", "events", "secret", "active", "retryPolicy")}
    assert sent == [
        kept | {"name": "pictures", "active": False},
        kept | {"secret": None},
        kept | {"secret": "new", "events": ["a", "b"]},
    ]
    assert (updated.name, updated.model_extra) == ("pictures", {"retryPolicy": {"tries": 3}})


async def test_a_test_tells_what_came_of_it() -> None:
    api = Api()
    api.on("POST", f"{ONE}/tests", data({"startedAt": AT, "testsRun": 2, "testsSucceeded": 1}))
    async with client_of(api) as client:
        tests = await client.test("wh-1")
        await client.test("wh-1", "order.status")
    assert (tests.tests_run, tests.tests_failed) == (2, 1)
    first, second = api.at(f"{ONE}/tests")
    assert (first.body, first.query, second.query) == (b"", [], [("event", "order.status")])


def replaced(there: dict[str, Any], got: Got) -> Response:
    return data(there | got.json)


async def test_an_update_of_a_webhook_as_the_documentation_shows_it_sends_it_as_the_api_takes_it() -> None:
    api = Api()
    there = WEBHOOK | {"events": "job.status, order.status", "secret": ""}
    api.on("GET", ONE, data(there))
    api.on("PUT", ONE, lambda got: data(there | got.json))
    async with client_of(api) as client:
        updated = await client.update("wh-1", name="pictures")
    (sent,) = [got.json for got in api.at(ONE) if got.method == "PUT"]
    assert (sent["name"], sent["events"], sent["secret"]) == ("pictures", ["job.status", "order.status"], None)
    assert (updated.events, updated.secret) == (("job.status", "order.status"), None)


def holding(*webhooks: dict[str, Any]) -> Api:
    """Return an API with these webhooks, which makes and replaces them as it is told."""
    api = Api()
    api.on("GET", WEBHOOKS, data([*webhooks]))
    api.on("POST", WEBHOOKS, lambda got: data(WEBHOOK | got.json))
    for webhook in webhooks:
        there = dict(webhook)
        api.on("PUT", f"{WEBHOOKS}/{webhook['id']}", partial(replaced, there))
    return api


WANTED: dict[str, Any] = {"name": "images", "url": "https://example.com/webhooks", "events": ["order.status"]}


@pytest.mark.parametrize(
    ("there", "wanted", "done", "called"),
    [
        ([], {}, "created", [("GET", WEBHOOKS), ("POST", WEBHOOKS)]),
        ([WEBHOOK | {"name": "other"}], {}, "created", [("GET", WEBHOOKS), ("POST", WEBHOOKS)]),
        ([WEBHOOK], {}, "unchanged", [("GET", WEBHOOKS)]),
        ([WEBHOOK], {"secret": SECRET}, "unchanged", [("GET", WEBHOOKS)]),
        ([WEBHOOK], {"secret": "another"}, "updated", [("GET", WEBHOOKS), ("PUT", ONE)]),
        ([WEBHOOK], {"url": "https://moved.example.com/"}, "updated", [("GET", WEBHOOKS), ("PUT", ONE)]),
        ([WEBHOOK], {"active": False}, "updated", [("GET", WEBHOOKS), ("PUT", ONE)]),
        ([WEBHOOK | {"active": False}], {}, "updated", [("GET", WEBHOOKS), ("PUT", ONE)]),
        ([WEBHOOK], {"events": ["order.status", "job.status"]}, "updated", [("GET", WEBHOOKS), ("PUT", ONE)]),
        ([WEBHOOK | {"events": ["b", "a"]}], {"events": ["a", "b"]}, "unchanged", [("GET", WEBHOOKS)]),
        ([WEBHOOK | {"events": "b, a"}], {"events": ["a", "b"]}, "unchanged", [("GET", WEBHOOKS)]),
        ([WEBHOOK | {"events": ["a", "b, a"]}], {"events": ["b", "a", "b"]}, "unchanged", [("GET", WEBHOOKS)]),
        ([WEBHOOK | {"events": "order.status", "secret": ""}], {}, "unchanged", [("GET", WEBHOOKS)]),
        ([WEBHOOK, WEBHOOK | {"id": "wh-2", "url": "https://b.example.com/"}], {}, "unchanged", [("GET", WEBHOOKS)]),
    ],
)
async def test_ensure_does_what_is_needed_and_no_more(
    there: list[dict[str, Any]], wanted: dict[str, Any], done: str, called: list[tuple[str, str]]
) -> None:
    api = holding(*there)
    async with client_of(api) as client:
        ensured = await client.ensure(**(WANTED | wanted))
    assert ensured.done == done
    assert api.called == called
    told = ensured.webhook.as_json()
    expected: dict[str, Any] = WANTED | {"active": True} | wanted
    assert {name: told[name] for name in expected} | {"events": {*told["events"]}} == expected | {
        "events": {*expected["events"]}
    }
    if done == "updated" and "secret" not in wanted:
        assert told["secret"] == SECRET


@pytest.mark.parametrize("url", ["https://third.example.com/", "https://example.com/webhooks"])
async def test_ensure_touches_nothing_when_it_cannot_tell_which_one_is_meant(url: str) -> None:
    twins = [WEBHOOK, WEBHOOK | {"id": "wh-2"}]
    api = holding(*twins)
    async with client_of(api) as client:
        with pytest.raises(
            ConfigurationError, match="2 webhooks are called 'images': delete or rename all but one of wh-1, wh-2"
        ):
            await client.ensure(name="images", url=url, events=["order.status"])
    assert api.called == [("GET", WEBHOOKS)]


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda c: c.create("a", "http://example.com/?key=hush", ["e"]), "has to be https; http is only for"),
        (lambda c: c.create("a", "ftp://example.com/", ["e"]), "has the form https://host/path"),
        (lambda c: c.create("a", "https://[hush/", ["e"]), "has the form https://host/path"),
        (lambda c: c.create("a", "https://", ["e"]), "has the form https://host/path"),
        (lambda c: c.create("a", "https://e.com/", ["a,b"]), "'a,b' is one text; events are a list"),
        (lambda c: c.create("a", "https://e.com/", "order.status"), "events: Input should be a valid tuple"),
        (lambda c: c.create("a", "https://e.com/", [{"name": "a"}]), "events.0: Input should be a valid string"),
        (lambda c: c.create("a", "https://e.com/", ["e"], secret=["hush"]), "secret: Input should be a valid string"),
        (lambda c: c.create("\ud800", "https://e.com/", ["e"]), "name has lone surrogates"),
        (lambda c: c.create("a", "https://e.com/", ["e"], secret="\ud800hush"), "secret has lone surrogates"),
        (lambda c: c.create("a", "https://e.com/", ["e"], secret=""), "the webhook's secret is empty: leave it out"),
        (lambda c: c.create("a", "https://e.com/", ["e"], secret=SecretStr("")), "the webhook's secret is empty"),
        (lambda c: c.create("a", "https://e.com/", ["e"], secret="\n"), "a secret must not be empty or blank"),
        (lambda c: c.ensure(name="a", url="http://e.com/", events=["e"]), "has to be https"),
        (lambda c: c.get(""), "'' is not an id"),
        (lambda c: c.delete(".."), "'..' is not an id"),
        (lambda c: c.order("."), "'.' is not an id"),
        (lambda c: c.order("\ud800"), "is not an id"),
    ],
)
async def test_what_cannot_be_is_rejected_before_it_is_sent(call: Call, complaint: str) -> None:
    api = Api()
    async with client_of(api) as client:
        with pytest.raises(ConfigurationError) as rejected:
            await call(client)
    assert complaint in str(rejected.value)
    assert "hush" not in str(rejected.value) + repr(rejected.value.__context__)
    assert api.called == []


async def test_a_change_of_what_a_webhook_has_not_is_rejected() -> None:
    api = holding(WEBHOOK)
    api.on("GET", ONE, data(WEBHOOK))
    async with client_of(api) as client:
        with pytest.raises(ConfigurationError, match="a webhook has no event that can be changed"):
            await client.update("wh-1", event=["a"])  # type: ignore[call-arg]
        with pytest.raises(ConfigurationError, match="has to be https"):
            await client.update("wh-1", url="http://example.com/")
    assert ("PUT", ONE) not in api.called


async def test_http_is_for_trying_out_on_this_machine() -> None:
    api = holding()
    async with client_of(api) as client:
        await client.create("a", "http://127.0.0.1:8000/webhooks", ["e"])
    assert api.called == [("POST", WEBHOOKS)]
    async with WebhooksClient(token="t", url="https://api.example.com", workspace_id="w") as client:
        with pytest.raises(ConfigurationError, match="to this machine, where the sender's API is on it, too"):
            await client.create("a", "http://127.0.0.1:8000/webhooks", ["e"])


async def test_an_id_leads_nowhere_else() -> None:
    api = Api()
    async with client_of(api) as client:
        with pytest.raises(ApiError):
            await client.delete("../../../v2/orders")
    assert api.called == [("DELETE", f"{WEBHOOKS}/../../../v2/orders")]  # as one part of the path, decoded


async def test_an_order_is_read() -> None:
    api = Api()
    api.on("GET", "/v2/orders/o-1", JSONResponse(ORDER | {"orderDetails": {"subStatus": None}}))
    async with client_of(api) as client:
        order = await client.order("o-1")
    assert (order.id, order.status, order.is_terminal) == ("o-1", OrderStatus.FULFILLED, True)
    assert api.at(USER_INFO) == []


def orders(first: int, count: int, **more: Any) -> list[dict[str, Any]]:
    return [ORDER | {"id": f"o-{n}"} | more for n in range(first, first + count)]


async def ids(listed: AsyncGenerator[Any]) -> list[str]:
    return [each.id async for each in listed]


async def test_all_pages_of_orders_are_read_with_the_filters() -> None:
    api = Api()
    api.on("GET", "/v2/orders", *(page(orders(n, 3), total_pages=3) for n in (0, 3)), page(orders(6, 1), total_pages=3))
    async with client_of(api) as client:
        found = await ids(
            client.orders(
                status=[OrderStatus.FULFILLED, "CANCELED"],
                type="TASKING",
                sub_status="QUOTATION_ACCEPTED",
                display_name="harbour",
                tags="a",
                workspace_id="w-2",
                sort="updatedAt,asc",
                size=3,
            )
        )
    assert found == [f"o-{n}" for n in range(7)]
    assert [dict(got.query)["page"] for got in api.at("/v2/orders")] == ["0", "1", "2"]
    query = api.at("/v2/orders")[0].query
    assert [value for name, value in query if name == "status"] == ["FULFILLED", "CANCELED"]
    assert dict(query) | {"status": ""} == {
        "status": "",
        "type": "TASKING",
        "subStatus": "QUOTATION_ACCEPTED",
        "displayName": "harbour",
        "tags": "a",
        "workspaceId": "w-2",
        "sort": "updatedAt,asc",
        "size": "3",
        "page": "0",
    }


async def test_a_page_is_read_when_it_is_needed() -> None:
    api = Api()
    api.on("GET", "/v2/orders", page(orders(0, 20), total_pages=9))
    async with client_of(api) as client:
        async for order in client.orders():
            assert order.id == "o-0"
            break
    assert [got.query for got in api.at("/v2/orders")] == [[("page", "0"), ("size", "20")]]


@pytest.mark.parametrize("total_pages", [0, 1, 2, 10**9])
async def test_no_number_of_pages_leads_astray(total_pages: int) -> None:
    full = [page(orders(n, 20), total_pages=total_pages) for n in (0, 20)]
    for last in (page([], total_pages=total_pages), page(orders(20, 20), total_pages=total_pages)):
        api = Api()
        api.on("GET", "/v2/orders", *full, last)
        async with client_of(api) as client, asyncio.timeout(PATIENCE):
            assert await ids(client.orders()) == [f"o-{n}" for n in range(40)]
        assert len(api.at("/v2/orders")) == 3


async def test_orders_that_move_while_they_are_read_come_once_and_again_only_if_they_changed() -> None:
    later = orders(1, 1, updatedAt="2022-06-20T05:00:00Z", status="CANCELED")
    api = Api()
    api.on("GET", "/v2/orders", page(orders(0, 20), total_pages=2), page([*orders(19, 2), *later], total_pages=2))
    async with client_of(api) as client:
        found = [(order.id, order.status) async for order in client.orders()]
    assert found[20:] == [("o-20", "FULFILLED"), ("o-1", "CANCELED")]
    assert found[:20] == [(f"o-{n}", "FULFILLED") for n in range(20)]


ODD: list[Any] = [None, 7, [], {}, {"id": "odd"}, ORDER | {"status": None}, ORDER | {"updatedAt": "soon"}]


@pytest.mark.parametrize("odd", ODD, ids=repr)
async def test_an_order_that_cannot_be_read_is_left_out_and_logged_once(
    odd: Any, caplog: pytest.LogCaptureFixture
) -> None:
    api = Api()
    first = page([*orders(0, 2), odd, *orders(2, 2)], total_pages=2)
    api.on("GET", "/v2/orders", *[first, page([odd], total_pages=2)] * 2)
    async with client_of(api) as client:
        with caplog.at_level(logging.WARNING, "webhook_receiver"):
            assert await ids(client.orders(size=5)) == ["o-0", "o-1", "o-2", "o-3"]
            assert await ids(client.orders(size=5)) == ["o-0", "o-1", "o-2", "o-3"]
    assert [record.getMessage().count("is left out, which is not as expected") for record in caplog.records] == [1]


async def test_a_page_of_orders_that_cannot_be_read_is_not_the_last_one() -> None:
    api = Api()
    api.on("GET", "/v2/orders", page([{"id": "odd"}], total_pages=2), page(orders(0, 1), total_pages=2))
    async with client_of(api) as client:
        assert await ids(client.orders()) == ["o-0"]


async def test_orders_none_of_which_can_be_read_are_an_error() -> None:
    api = Api()
    api.on("GET", "/v2/orders", page([{"id": "odd", "status": "FULFILLED"}]))
    async with client_of(api) as client:
        with pytest.raises(ApiError, match="'odd' is left out, which is not as expected: updatedAt: Field required"):
            await ids(client.orders())


async def test_an_odd_order_keeps_no_other_back_from_a_poll_or_a_backfill() -> None:
    api = Api()
    changed = datetime.now(UTC).isoformat()
    listed = orders(0, 3, updatedAt=changed, createdAt=changed)
    listed[1] |= {"displayName": None, "type": None, "accountId": None, "tags": [None], "orderDetails": []}
    api.on("GET", "/v2/orders", *[page([*listed, {"id": "odd"}])] * 6)
    hooks = durable(work=False)
    async with client_of(api) as client, hooks:
        documents = (await hooks.orders(client)(None)).documents
        assert [json.loads(each)["body"]["order"]["id"] for each in documents] == ["o-0", "o-1", "o-2"]
        assert await hooks.backfill(client, since=timedelta(days=1)) == (3, 3, 0, 0)


async def test_the_assets_of_an_order_are_found_among_all() -> None:
    def asset(id: str, order_id: str | None) -> dict[str, Any]:
        return {"id": id, "orderId": order_id, "size": 7, "createdAt": AT, "updatedAt": AT}

    api = Api()
    first = [asset("a-1", "o-1"), asset("a-2", "o-2"), asset("a-3", None)]
    api.on("GET", "/v2/assets", page(first, total_pages=2), page([asset("a-4", "o-1")], total_pages=2))
    after = datetime(2022, 6, 20, tzinfo=UTC)
    async with client_of(api) as client:
        assert await ids(client.assets("o-1", workspace_id="w-2", created_after=after, search="harbour")) == [
            "a-1",
            "a-4",
        ]
    query = dict(api.at("/v2/assets")[0].query)
    assert query["createdAfter"] == "2022-06-20T00:00:00+00:00"
    assert (query["workspaceId"], query["search"]) == ("w-2", "harbour")


async def test_an_asset_has_a_url_to_download_it_from() -> None:
    api = Api()
    api.on("POST", "/v2/assets/a-1/download-url", JSONResponse({"url": "https://storage.example.com/x?signed=1"}))
    async with client_of(api) as client:
        assert await client.download_url("a-1") == "https://storage.example.com/x?signed=1"


def broken(content: bytes, media_type: str = "application/json", status: int = 200) -> Response:
    return Response(content, status, media_type=media_type)


@pytest.mark.parametrize(
    ("answer", "status", "complaint"),
    [
        (failed(400, "name is too long"), 400, f"GET {ONE}: 400 Bad Request: name is too long"),
        (failed(401, "expired"), 401, "UP42_USERNAME and UP42_PASSWORD, or UP42_TOKEN"),
        (failed(403, "not yours"), 403, "not yours; this user may not do that"),
        (failed(404, ""), 404, "404 Not Found: NO; check the id, and the workspace"),
        (failed(400, "\x1b[31m" + "n" * 20_000), 400, "n" * 900),
        (JSONResponse({"data": None, "error": {"code": 7, "message": "well"}}), 200, "200 OK: well"),
        (JSONResponse({"title": "Bad", "status": 422, "detail": "no"}, 422), 422, "Bad: no"),
        (JSONResponse({"error": "Not Found", "message": "No route", "status": 404}, 404), 404, "No route"),
        (JSONResponse(["odd"], 418), 418, "it does not say why"),
        (broken(b'{"error": %s1%s}' % (b"[" * 900, b"]" * 900), status=400), 400, "is nested too deeply to be read"),
        (broken(b'{"error": {"message": "half \\ud83d"}}', status=400), 400, "400 Bad Request: half \\ud83d"),
        (broken(b"", status=400), 400, "400 Bad Request: the response is empty"),
        (broken(b""), 200, "the response is empty"),
        (HTMLResponse("<h1>Sign in</h1>"), 200, "the response is HTML and not JSON; is there a proxy in between?"),
        (HTMLResponse("<h1>Bad Gateway</h1>", 502), 502, "tried 4 times; the response is HTML and not JSON"),
        (broken(b"plain", "text/plain"), 200, "200 OK: the response is not JSON"),
        (broken(b'{"data": {"id": "wh'), 200, "the response is broken JSON at character 16, maybe cut off"),
        (broken(b"\xff{}"), 200, "the response is broken JSON"),
        (broken(b"[" * 100_000), 200, "the response is broken JSON"),
        (JSONResponse({"content": []}), 200, "the response has no `data`: is this UP42's API?"),
        (data(None), 200, "the response is not as expected"),
        (data({k: v for k, v in WEBHOOK.items() if k != "url"}), 200, "the response is not as expected: url: Field"),
        (data([WEBHOOK]), 200, "the response is not as expected"),
        (RedirectResponse("/sign-in?session=hush"), 307, "/sign-in, which is not followed: check UP42_URL"),
        (RedirectResponse("https://me:hush@other.example.com/a"), 307, "redirects to https://other.example.com/a,"),
        (Response(status_code=300, headers={"location": "http://a:port/"}), 300, "redirects to an invalid URL"),
        (Response(status_code=304), 304, "not followed"),
        (Response(status_code=599, headers={"retry-after": "soon"}), 599, "it asks to try again after soon"),
    ],
)
async def test_every_bad_answer_is_told(answer: Answer, status: int, complaint: str) -> None:
    api = Api()
    api.on("GET", ONE, answer)
    async with client_of(api) as client:
        with pytest.raises(ApiError) as rejected:
            await client.get("wh-1")
    error = rejected.value
    assert complaint in str(error)
    assert error.status == status
    assert len(str(error)) < 1500
    assert SECRET not in str(error)
    assert "hush" not in str(error)


@pytest.mark.parametrize("status", [200, 400])
async def test_a_page_of_a_proxy_is_not_taken_for_a_deletion(status: int) -> None:
    api = Api()
    api.on("DELETE", ONE, HTMLResponse("<h1>Sign in</h1>", status), HTMLResponse(""))
    async with client_of(api) as client:
        with pytest.raises(ApiError, match="the response is HTML and not JSON; is there a proxy in between"):
            await client.delete("wh-1")
        await client.delete("wh-1")


async def test_an_error_has_the_senders_code_and_details() -> None:
    api = Api()
    api.on("POST", WEBHOOKS, failed(400, "name is too long"))
    async with client_of(api) as client:
        with pytest.raises(ApiError) as rejected:
            await client.create("n" * 20_000, "https://example.com/", ["order.status"])
    error = rejected.value
    assert (error.status, error.code, error.details) == (400, "NO", {"field": "name"})
    assert error.message == f"POST {WEBHOOKS}: 400 Bad Request: name is too long"


async def test_an_answer_that_ends_too_early_is_told() -> None:
    api = Api()
    api.on("GET", ONE, Response(b'{"data"', headers={"content-length": "100", "content-type": "application/json"}))
    async with client_of(api) as client:
        with pytest.raises(ApiError, match="peer closed connection without sending complete message body") as rejected:
            await client.get("wh-1")
    assert rejected.value.status is None


async def test_a_redirect_to_nowhere_is_told() -> None:
    api = Api()
    api.on("GET", ONE, Response(status_code=302, headers={"location": "http://a:port/"}))
    async with client_of(api) as client:
        with pytest.raises(ApiError, match="Invalid URL in location header"):
            await client.get("wh-1")


async def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    waits: list[float] = []
    async with WebhooksClient(url=f"http://127.0.0.1:{port}", token="t", retry=noting(waits)) as client:
        with pytest.raises(
            ApiError, match=rf"GET /webhooks/events at 127\.0\.0\.1:{port}: .*: is it up, and is UP42_URL"
        ):
            await client.event_types()
    assert waits == [2, 4, 8]


async def test_an_answer_that_does_not_come_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with WebhooksClient(url=url, token="t", timeout=0.05, retry=noting([])) as client:
            with pytest.raises(ApiError, match=r"GET /webhooks/events at .*: no response within the time-out"):
                await client.event_types()


@pytest.mark.parametrize(
    ("given", "waited"),
    [
        ("7", 7),
        (format_datetime(datetime.now(UTC) + timedelta(days=1)), 60),  # no longer than that
        (format_datetime(datetime.now(UTC) - timedelta(days=1)), 2),
        ("soon", 2),
        ("86400", 60),
    ],
    ids=["seconds", "a date", "a date that is over", "neither", "a day"],
)
async def test_a_call_is_repeated_when_the_server_says(given: str, waited: float) -> None:
    api, waits = Api(), list[float]()
    api.on("GET", ONE, failed(429, "slow down", retry_after=given), data(WEBHOOK))
    async with client_of(api, waits) as client:
        assert (await client.get("wh-1")).id == "wh-1"
    assert waits == [waited]


async def test_a_date_to_try_again_at_is_waited_for() -> None:
    api, waits = Api(), list[float]()
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30))
    api.on("GET", ONE, failed(429, "slow down", retry_after=soon), data(WEBHOOK))
    async with client_of(api, waits) as client:
        await client.get("wh-1")
    assert 0 < waits[0] <= 30


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_what_can_be_repeated_is_and_no_more_than_three_times(status: int) -> None:
    api, waits = Api(), list[float]()
    api.on("GET", ONE, data(WEBHOOK))
    api.on("PUT", ONE, failed(status, "not now"), data(WEBHOOK))
    api.on("DELETE", ONE, failed(status, "not now"))
    async with client_of(api, waits) as client:
        await client.update("wh-1", name="b")
        with pytest.raises(ApiError, match=r"not now.*tried 4 times") as rejected:
            await client.delete("wh-1")
    assert rejected.value.status == status
    assert [method for method, _ in api.called] == ["GET", "PUT", "PUT", "DELETE", "DELETE", "DELETE", "DELETE"]
    assert waits == [2, 2, 4, 8]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_post_is_sent_once(status: int) -> None:
    api = Api()
    api.on("POST", WEBHOOKS, failed(status, "not now"))
    async with client_of(api) as client:
        with pytest.raises(ApiError):
            await client.create("a", "https://example.com/", ["e"])
    assert api.called == [("POST", WEBHOOKS)]


async def test_a_token_that_ends_in_the_middle_is_noticed_by_nobody() -> None:
    api = Api()
    api.on("POST", WEBHOOKS, failed(401, "expired"), data(WEBHOOK))
    async with client_of(api) as client:
        assert (await client.create("a", "https://example.com/", ["e"])).id == "wh-1"
    assert [got.authorization for got in api.at(WEBHOOKS)] == ["Bearer t-1", "Bearer t-2"]
    assert len({got.body for got in api.at(WEBHOOKS)}) == 1


async def test_a_ready_token_is_enough() -> None:
    api = Api()
    api.on("GET", WEBHOOKS, data([]), failed(401, "expired"))
    async with client_of(api, token="ready") as client:
        await client.list()
        with pytest.raises(ApiError, match="expired; the credentials or the token were rejected"):
            await client.list()
    assert {got.authorization for got in api.at(WEBHOOKS)} == {"Bearer ready"}
    assert api.at(TOKEN) == []


async def test_another_host_hears_nothing_of_a_redirect() -> None:
    api, other = Api(), Api()
    with serving(other.app) as there:
        for method, path in (("GET", ONE), ("POST", WEBHOOKS), ("DELETE", ONE)):
            api.on(method, path, RedirectResponse(f"{there}{path}", 302 if method == "GET" else 308))
        async with client_of(api) as client:
            for call in (
                client.get("wh-1"),
                client.create("a", "https://example.com/", ["e"]),
                client.delete("wh-1"),
            ):
                with pytest.raises(ApiError, match=r"it redirects to http://127\.0\.0\.1:.*, which is not followed"):
                    await call
    assert other.got == []


@pytest.mark.parametrize("status", [400, 200])
async def test_nothing_confidential_is_told_or_logged(caplog: pytest.LogCaptureFixture, status: int) -> None:
    def repeated(got: Got) -> Response:
        return failed(status, f"not good: {got.authorization} {got.body.decode()}")

    api = Api()
    api.on("GET", ONE, data(WEBHOOK))
    for method, path in (("POST", WEBHOOKS), ("PUT", ONE), ("DELETE", ONE)):
        api.on(method, path, repeated)
    api.on("POST", TOKEN, JSONResponse({"access_token": "confidential-token"}))
    told = ""
    with caplog.at_level(logging.DEBUG):
        async with client_of(api) as client:
            told += repr(client) + repr(await client.get("wh-1"))
            for call in (
                client.create("a", "https://example.com/", ["e"], secret="new-secret"),
                client.update("wh-1", name="b"),
                client.update("wh-1", secret=SecretStr("new-secret")),
                *([client.delete("wh-1")] if status == 400 else []),  # of whose success nothing is read
            ):
                with pytest.raises(ApiError) as rejected:
                    await call
                assert "not good: Bearer ***" in str(rejected.value)
                told += str(rejected.value) + repr(rejected.value) + repr(rejected.value.details)
    assert "HTTP Request" in caplog.text  # httpx's own log is among them
    assert "httpcore" in {record.name.partition(".")[0] for record in caplog.records}
    for confidential in (SECRET, "new-secret", PASSWORD, "confidential-token"):
        assert confidential not in told
        assert confidential not in caplog.text


@pytest.mark.parametrize("ascii", [True, False])
async def test_a_secret_is_not_told_as_json_either(ascii: bool) -> None:
    api = Api()
    api.on("POST", WEBHOOKS, lambda got: failed(400, json.dumps(got.json, ensure_ascii=ascii)))
    async with client_of(api) as client:
        with pytest.raises(ApiError) as rejected:
            await client.create("a", "https://example.com/", ["e"], secret='hush"hüsh')
    assert '"secret": "***"' in str(rejected.value)


async def test_a_password_of_a_letter_makes_no_gaps_in_what_is_told() -> None:
    api = Api()
    api.on("GET", ONE, failed(400, "nobody knows it"))
    async with client_of(api, username="me", password="b") as client:
        with pytest.raises(ApiError, match="nobody knows it"):
            await client.get("wh-1")


async def test_an_argument_that_no_url_can_hold_is_rejected() -> None:
    async with client_of(Api()) as client:
        for text in ("x" * 100_000, "\ud800"):
            with pytest.raises(ConfigurationError, match="GET /v2/orders: an argument cannot be in a URL"):
                await ids(client.orders(display_name=text))


@contextmanager
def environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Generator[None]:
    with monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


async def test_it_is_all_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    api.on("GET", "/workspaces/w-7/webhooks", data([]))
    with serving(api.app) as url:
        variables = {"UP42_URL": url, "UP42_USERNAME": "me", "UP42_PASSWORD": PASSWORD, "UP42_WORKSPACE_ID": "w-7"}
        with environment(monkeypatch, **variables):
            client = WebhooksClient()
        async with client:
            assert await client.list() == ()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "set UP42_USERNAME and UP42_PASSWORD, or UP42_TOKEN"),
        ({"token": "hush hush"}, "UP42_TOKEN: a token has no spaces"),
        ({"token": "hush", "url": "https://a\x7fb"}, "UP42_URL is not a URL"),
        ({"token": "hush", "url": ""}, "UP42_URL: is not of the form https://host"),
        ({"token": "hush", "timeout": 0}, "timeout is a number of seconds above 0, not 0"),
        ({"token": "hush", "timeout": None}, "timeout is a number of seconds above 0, not None"),
    ],
)
def test_a_client_that_could_not_work_is_not_made(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(complaint)) as rejected:
        WebhooksClient(**options)
    assert "hush" not in str(rejected.value)


def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        environment(monkeypatch, HTTPS_PROXY="nonsense://proxy"),
        pytest.raises(ConfigurationError, match="the environment's proxy or certificates cannot be used"),
    ):
        WebhooksClient(token="t")


@pytest.mark.parametrize("missing", ["httpx", "httpx_retries", "pydantic_settings"])
def test_a_missing_extra_is_named(missing: str) -> None:
    code = f"import sys; sys.modules['{missing}'] = None; import webhook_receiver.senders.up42.client"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (
        f"the client of UP42's API needs {missing}: install it with  pip install 'asgi-webhook-receiver[standard]'"
        in done.stderr
    )


def test_the_package_itself_does_not_import_it() -> None:
    code = "import webhook_receiver, sys; sys.exit('httpx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
