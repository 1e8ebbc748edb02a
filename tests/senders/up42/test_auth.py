"""Tokens: got once for many requests, renewed in time, got anew when rejected, and shown to nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response

from tests.api import PASSWORD, Api, Got, noting, token
from tests.helpers import serving
from tests.working import Clock
from webhook_receiver import ApiError, ConfigurationError
from webhook_receiver.senders.up42.auth import PasswordAccess, TokenAccess
from webhook_receiver.senders.up42.models import TOKEN


@asynccontextmanager
async def accessing(api: Api, clock: Clock | None = None) -> AsyncGenerator[httpx.AsyncClient]:
    """Yield a client that has access to the API's things."""
    with serving(api.app) as url:
        async with httpx.AsyncClient(trust_env=False, base_url=url) as http:
            access = PasswordAccess(http, url + TOKEN, "me", SecretStr(PASSWORD), noting([]), clock or Clock())
            assert PASSWORD not in repr(access)
            http.auth = access
            yield http


def bearing(*good: str) -> Api:
    """Return an API that lets in whoever bears one of these tokens."""

    def let_in(got: Got) -> Response:
        return JSONResponse({}, 200 if got.authorization in [f"Bearer {each}" for each in good] else 401)

    api = Api()
    api.on("GET", "/thing", let_in)
    return api


async def test_a_token_is_got_with_the_password_and_used_again() -> None:
    api = bearing("t-1")
    async with accessing(api) as http:
        for _ in range(3):
            assert (await http.get("/thing")).status_code == 200
    (asked,) = api.at(TOKEN)
    assert asked.form == {"grant_type": "password", "client_id": "up42-api", "username": "me", "password": PASSWORD}
    assert asked.authorization is None


@pytest.mark.parametrize(("life", "until"), [(300, 270), (20, 10)])
async def test_a_token_is_renewed_before_it_ends(life: float, until: float) -> None:
    clock = Clock()
    api = bearing("t-1", "t-2")
    api.on("POST", TOKEN, lambda got: token(f"t-{len(api.at(TOKEN))}", life))
    async with accessing(api, clock) as http:
        await http.get("/thing")
        clock.move(until - 1)
        await http.get("/thing")
        assert len(api.at(TOKEN)) == 1
        clock.move(1)
        await http.get("/thing")
    assert [got.authorization for got in api.at("/thing")] == ["Bearer t-1", "Bearer t-1", "Bearer t-2"]


async def test_many_requests_at_once_ask_for_one_token_and_do_not_hold_up_the_loop() -> None:
    api = bearing("t-1")
    free = threading.Event()

    def slow(got: Got) -> Response:
        assert free.wait(30)  # until the client's loop was seen going on
        return token("t-1")

    api.on("POST", TOKEN, slow)
    async with accessing(api) as http, asyncio.TaskGroup() as group:
        tasks = [group.create_task(http.get("/thing")) for _ in range(20)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        free.set()
    assert [task.result().status_code for task in tasks] == [200] * 20
    assert len(api.at(TOKEN)) == 1


async def test_a_token_that_is_rejected_in_the_middle_is_got_anew_once_for_all() -> None:
    api = bearing("t-2")
    async with accessing(api) as http:
        answers = await asyncio.gather(*(http.get("/thing") for _ in range(150)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(api.at(TOKEN)) == 2


async def test_what_is_rejected_with_a_new_token_is_not_asked_a_third_time() -> None:
    api = bearing()
    async with accessing(api) as http:
        assert (await http.get("/thing")).status_code == 401
    assert len(api.at("/thing")) == 2


async def test_a_wrong_password_is_tried_once_however_many_wait_for_it() -> None:
    api = bearing()
    wrong = {"error": "invalid_grant", "error_description": f"wrong: {PASSWORD}"}
    api.on("POST", TOKEN, JSONResponse(wrong, 401), lambda got: token("t-9"))
    async with accessing(api) as http:
        results = await asyncio.gather(*(http.get("/thing") for _ in range(5)), return_exceptions=True)
        assert len(api.at(TOKEN)) == 1
        assert (await http.get("/thing")).status_code == 401  # and asked for again by who comes later
        assert len(api.at(TOKEN)) > 1
    for each in results:
        assert isinstance(each, ApiError)
        assert (each.status, each.code) == (401, "invalid_grant")
        assert "wrong: ***" in str(each)
        assert "UP42_PASSWORD" in str(each)
        assert PASSWORD not in str(each) + repr(each)


async def test_a_request_that_is_given_up_leaves_the_others_their_token() -> None:
    api = bearing("t-2")
    free = threading.Event()

    def slow(got: Got) -> Response:
        free.wait(30)
        return token("t-1")

    api.on("POST", TOKEN, slow, lambda got: token("t-2"))
    async with accessing(api) as http:
        first = asyncio.create_task(http.get("/thing"))
        async with asyncio.timeout(30):
            while not api.at(TOKEN):
                await asyncio.to_thread(int)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        free.set()
        assert (await http.get("/thing")).status_code == 200


async def test_a_request_for_a_token_is_repeated_when_the_server_is_busy() -> None:
    api = bearing("t-2")
    api.on("POST", TOKEN, JSONResponse({}, 503), lambda got: token("t-2"))
    async with accessing(api) as http:
        assert (await http.get("/thing")).status_code == 200


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"token": "hush"}, "access_token: Field required"),
        ({"access_token": "hush\nx: y"}, "a token has no spaces"),
        ({"access_token": "hush", "expires_in": float("inf")}, "expires_in: "),
        ({"access_token": "hush", "expires_in": -1}, "expires_in: "),
        (["hush"], "the response is not as expected"),
    ],
)
async def test_what_is_no_token_is_not_taken_for_one(answer: object, complaint: str) -> None:
    import json

    api = bearing()
    api.on("POST", TOKEN, Response(json.dumps(answer), media_type="application/json"))
    async with accessing(api) as http:
        with pytest.raises(ApiError) as rejected:
            await http.get("/thing")
    assert complaint in str(rejected.value)
    assert "hush" not in str(rejected.value)


async def test_a_ready_token_is_used_and_not_renewed() -> None:
    api = bearing("ready")
    with serving(api.app) as url:
        async with httpx.AsyncClient(trust_env=False, base_url=url, auth=TokenAccess(SecretStr("ready"))) as http:
            assert (await http.get("/thing")).status_code == 200
            http.auth = TokenAccess(SecretStr("stale"))
            assert (await http.get("/thing")).status_code == 401
    assert api.at(TOKEN) == []


def test_what_cannot_be_in_a_header_is_no_token() -> None:
    with pytest.raises(ConfigurationError, match="UP42_TOKEN: a token has no spaces") as rejected:
        TokenAccess(SecretStr("hush\n"))
    assert "hush" not in str(rejected.value)
