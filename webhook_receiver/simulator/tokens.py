"""Access to the simulator's API: tokens, user info, and the check of bearer tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ..errors import ApiError
from ..senders.up42.models import TOKEN, USER_INFO
from .envelope import read_bytes
from .simulator import Simulator

Endpoint = Callable[[Simulator, Request], Awaitable[Response]]


def routes(simulator: Simulator) -> list[BaseRoute]:
    """Return the routes of the token endpoint and of user info."""
    return [
        Route(TOKEN, partial(token, simulator), methods=["POST"]),
        guarded(simulator, USER_INFO, user_info),
    ]


def guarded(simulator: Simulator, path: str, endpoint: Endpoint, method: str = "GET") -> BaseRoute:
    """Return a route that requires a valid bearer token."""
    return Route(path, partial(_checked, simulator, endpoint), methods=[method])


async def _checked(simulator: Simulator, endpoint: Endpoint, request: Request) -> Response:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise ApiError(f"there is no bearer token: get one at {TOKEN}", status=401)
    if not _valid(simulator, "access", credential.strip()):
        raise ApiError(f"the token has expired, or is not one of ours: get a new one at {TOKEN}", status=401)
    return await endpoint(simulator, request)


async def token(simulator: Simulator, request: Request) -> Response:
    """Return a token for a user name and password, or for a refresh token, as UP42's identity server does (docs)."""
    form = dict(parse_qsl((await read_bytes(request)).decode("utf-8", "replace"), keep_blank_values=True))
    grant = form.get("grant_type")
    if grant not in ("password", "refresh_token"):
        return _oauth_error(400, "unsupported_grant_type", "grant_type is password or refresh_token")
    if not form.get("client_id"):
        return _oauth_error(400, "invalid_request", "client_id is missing; up42-api will do")
    if grant == "refresh_token":
        if not _valid(simulator, "refresh", form.get("refresh_token", "")):
            return _oauth_error(400, "invalid_grant", "the refresh token has expired, or is not one of ours")
    elif not (form.get("username") and form.get("password")):
        return _oauth_error(400, "invalid_request", "username or password is missing")
    elif not _is_user(simulator, form["username"], form["password"]):
        return _oauth_error(401, "invalid_grant", "Invalid user credentials")
    options = simulator.options
    granted = {
        "access_token": _made(simulator, "access", options.expires_in),
        "expires_in": options.expires_in if options.expires_in % 1 else int(options.expires_in),
        "refresh_token": _made(simulator, "refresh", options.refresh_expires_in),
        "refresh_expires_in": int(options.refresh_expires_in),
        "token_type": "Bearer",
        "not-before-policy": 0,
        "session_state": secrets.token_hex(16),
        "scope": form.get("scope", "openid"),
    }
    return JSONResponse(granted, headers={"cache-control": "no-store"})


async def user_info(simulator: Simulator, request: Request) -> Response:
    """Return the user that a token is for; the SDK takes `sub` for the workspace."""
    user = simulator.options.user or "user@example.com"
    return JSONResponse({"sub": simulator.options.workspace_id, "preferred_username": user, "email": user})


def _is_user(simulator: Simulator, user: str, password: str) -> bool:
    options = simulator.options
    known = options.password
    return (options.user is None or hmac.compare_digest(options.user.encode(), user.encode())) and (
        known is None or hmac.compare_digest(known.get_secret_value().encode(), password.encode())
    )


def _made(simulator: Simulator, kind: str, seconds: float) -> str:
    """Return a token that states its own end of validity, so that none has to be stored."""
    claim = f"{kind}/{simulator.clock() + seconds:.3f}/{secrets.token_urlsafe(12)}"
    return f"{claim}/{stamp(simulator, claim)}"


def _valid(simulator: Simulator, kind: str, token: str) -> bool:
    claim, _, mark = token.rpartition("/")
    if not hmac.compare_digest(stamp(simulator, claim).encode(), mark.encode("utf-8", "replace")):
        return False
    made_as, until, _ = claim.split("/")
    return made_as == kind and simulator.clock() < float(until)


def stamp(simulator: Simulator, claim: str) -> str:
    """Return the signature of a claim, made with the store's key."""
    return hmac.new(simulator.store.key, claim.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _oauth_error(status: int, error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status)
