"""Tokens for providers' APIs: got once, renewed in time, got anew when rejected, and shown to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.working import Clock
from webhook_receiver import ApiError, ConfigurationError
from webhook_receiver.senders.imagery.access import EARLY, OAuth2
from webhook_receiver.senders.imagery.api import Api
from webhook_receiver.simulator.providers.base import Got

from .stage import Stage, at
from .standins.iceye import Iceye

SECRET = "a-client-secret"


class Granting(Iceye):
    """Tasks for whoever has one of these tokens, and the token endpoint."""

    def __init__(self, *good: str) -> None:
        super().__init__()
        self.good = [f"Bearer {each}" for each in good]
        self.asked: list[Got] = []
        self.granted: Response | None = None
        self.expires_in: float = 600
        self.put("j-1", "DONE", at(-1))

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        return headers.get("authorization") in self.good

    def _token(self, got: Got) -> Response:
        self.asked.append(got)
        granted = {"access_token": f"t-{len(self.asked)}", "expires_in": self.expires_in}
        return self.granted or JSONResponse(granted)


class Asking:
    """An API with access to a stand-in."""

    def __init__(self, stage: Stage, there: Granting, clock: Clock | None = None, **form: Any) -> None:
        stage.plays = there
        access = OAuth2(f"{stage.url}/token", "me", SECRET, form=form, clock=clock or Clock())
        self.api = Api(url=stage.url, access=access)

    async def ask(self) -> None:
        async with self.api.connected() as connection:
            await connection.get("/tasking/v2/tasks")


async def test_a_token_is_got_once_for_many_connections(stage: Stage) -> None:
    there = Granting("t-1")
    asking = Asking(stage, there)
    for _ in range(3):
        await asking.ask()
    (asked,) = there.asked
    assert asked.body == b"grant_type=client_credentials"
    assert asked.headers["authorization"] == "Basic bWU6YS1jbGllbnQtc2VjcmV0"


async def test_a_public_client_says_its_id_in_the_form(stage: Stage) -> None:
    there = Granting("t-1")
    stage.plays = there
    form = {"grant_type": "password", "username": "me", "password": "my password"}
    access = OAuth2(f"{stage.url}/token", "cdse-public", form=form)
    async with Api(url=stage.url, access=access).connected() as connection:
        await connection.get("/tasking/v2/tasks")
    (asked,) = there.asked
    assert asked.body == b"grant_type=password&username=me&password=my+password&client_id=cdse-public"
    assert "authorization" not in asked.headers


@pytest.mark.parametrize(("life", "until"), [(600, 600 - EARLY), (20, 10)])
async def test_a_token_is_renewed_before_it_ends(stage: Stage, life: float, until: float) -> None:
    clock = Clock()
    there = Granting("t-1", "t-2")
    there.expires_in = life
    asking = Asking(stage, there, clock)
    await asking.ask()
    clock.now += until - 1
    await asking.ask()
    assert len(there.asked) == 1
    clock.now += 1
    await asking.ask()
    assert len(there.asked) == 2


async def test_a_rejected_token_is_got_anew_once(stage: Stage) -> None:
    there = Granting("t-2")
    asking = Asking(stage, there)
    await asking.ask()
    assert len(there.asked) == 2
    there.good = []
    with pytest.raises(ApiError, match="401"):
        await asking.ask()
    assert len(there.asked) == 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (JSONResponse({"error": "invalid_client", "error_description": SECRET}, 401), "answered 401: the credentials"),
        (JSONResponse({"error": "invalid_grant"}, 400), "answered 400: the credentials were rejected"),
        (PlainTextResponse("down", 503), "answered 503"),
        (JSONResponse({}), "no token that can be sent"),
        (JSONResponse({"access_token": "two words"}), "no token that can be sent"),
        (JSONResponse({"access_token": "t", "expires_in": -1}), "no token that can be sent"),
        (PlainTextResponse("<html>"), "no token that can be sent"),
        (Response(status_code=302, headers={"location": "https://example.com"}), "answered 302"),
    ],
)
async def test_without_a_token_nothing_is_asked(stage: Stage, answer: Response, said: str) -> None:
    there = Granting("t-1")
    there.granted = answer
    with pytest.raises(ApiError, match=said) as caught:
        await Asking(stage, there).ask()
    assert SECRET not in str(caught.value)
    assert there.got == []


@pytest.mark.parametrize("url", ["", "http://auth.example.com/token", "https://me:pw@example.com/token"])
def test_the_token_endpoint_is_one_of_https(url: str) -> None:
    with pytest.raises(ConfigurationError, match="token_url"):
        OAuth2(url, "me", SECRET)
