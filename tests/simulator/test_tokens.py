"""Tokens: who gets one, for how long, and what is rejected without."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.simulator.playing import HOOKS, WORKSPACE, playing, token
from tests.working import Clock
from webhook_receiver.senders.up42.models import ASSETS, ORDERS, USER_INFO


def test_anybody_gets_a_token_and_user_info_tells_the_workspace() -> None:
    with playing() as played:
        told = token(played.client).json()
        assert {name: told[name] for name in ("expires_in", "refresh_expires_in", "token_type")} == {
            "expires_in": 300,
            "refresh_expires_in": 1800,
            "token_type": "Bearer",
        }
        assert {"not-before-policy", "session_state", "scope", "refresh_token", "access_token"} < {*told}
        assert played.ask("GET", USER_INFO)["sub"] == WORKSPACE


@pytest.mark.parametrize(
    "form",
    [{}, {"username": "me", "password": "wrong"}, {"username": "you", "password": "right"}, {"password": "é" * 9}],
)
def test_with_a_user_and_a_password_nobody_else_gets_one(form: dict[str, str]) -> None:
    with playing(user="me", password=SecretStr("right")) as played:
        rejected = token(played.client, **form)
        assert (rejected.status_code, rejected.json()["error"]) == (401, "invalid_grant")
        assert token(played.client, username="me", password="right").status_code == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"client_id": None}, "invalid_request"),
        ({"username": ""}, "invalid_request"),
        ({"password": None}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "refresh/99999999999/x/y"}, "invalid_grant"),
    ],
)
def test_what_is_no_request_for_a_token_is_rejected(form: dict[str, str | None], error: str) -> None:
    with playing() as played:
        rejected = token(played.client, **form)
        assert (rejected.status_code, rejected.json()["error"]) == (400, error)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Basic dTpw", "Bearer nonsense", "Bearer access/9e9/x/é", "Bearer ///"]
)
def test_nothing_is_told_without_a_token(header: str | None) -> None:
    headers: Any = {} if header is None else {"authorization": header.encode()}
    with playing() as played, httpx.Client(base_url=played.url, trust_env=False, headers=headers) as stranger:
        for method, path in (("GET", HOOKS), ("POST", HOOKS), ("GET", ORDERS), ("GET", ASSETS), ("GET", USER_INFO)):
            answer = stranger.request(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")
            assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_expires_and_is_renewed_by_the_other_one_until_that_expires_too() -> None:
    clock = Clock()
    with playing(clock=clock, expires_in=10, refresh_expires_in=20) as played:
        given = token(played.client).json()
        clock.move(9.9)
        played.ask("GET", HOOKS)
        clock.move(0.2)
        assert "has expired" in played.ask("GET", HOOKS, status=401)["error"]["message"]
        renewed = token(played.client, grant_type="refresh_token", refresh_token=given["refresh_token"]).json()
        played.client.headers["authorization"] = f"Bearer {renewed['access_token']}"
        played.ask("GET", HOOKS)
        clock.move(10)
        late = token(played.client, grant_type="refresh_token", refresh_token=given["refresh_token"])
        assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")


def test_a_token_is_not_taken_for_what_it_is_not() -> None:
    with playing() as played:
        given = token(played.client).json()
        played.client.headers["authorization"] = f"Bearer {given['refresh_token']}"
        played.ask("GET", HOOKS, status=401)
        rejected = token(played.client, grant_type="refresh_token", refresh_token=given["access_token"])
        assert rejected.status_code == 400


def test_the_tokens_of_another_simulator_are_rejected() -> None:
    with playing() as one, playing() as other:
        other.client.headers["authorization"] = one.client.headers["authorization"]
        other.ask("GET", HOOKS, status=401)
