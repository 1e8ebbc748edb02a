"""The envelopes and errors that the simulator's API returns, and the bodies and queries that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, TypeVar, get_origin

from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..errors import ApiError
from ..senders.up42.models import Page, Resource

LONGEST_BODY = 1 << 20  # bytes

Input = TypeVar("Input", bound=BaseModel)
R = TypeVar("R", bound=Resource)


def data(value: Resource | Sequence[Resource] | None) -> Response:
    """Return a response in the envelope of the paths without a version (SDK)."""
    return JSONResponse({"data": None if value is None else plain(value), "error": None})


def plain(value: Resource | Sequence[Resource]) -> Any:
    """Return one resource, or a list of them, as JSON can hold it."""
    return value.as_json() if isinstance(value, Resource) else [each.as_json() for each in value]


async def error_response(request: Request, error: Exception) -> Response:
    """Return the response to a request that failed, in the envelope even where a success has none (modelled)."""
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(error, HTTPException):
        error = ApiError(error.detail, status=error.status_code)
    if not isinstance(error, ApiError):
        raise error
    status = error.status or HTTPStatus.BAD_REQUEST
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    code = error.code or HTTPStatus(status).name
    problem = {"code": code, "message": error.message, "details": error.details}
    return JSONResponse({"data": None, "error": problem}, status, headers)


async def read(request: Request, model: type[Input], *, empty: bytes = b"") -> Input:
    """Return the request's body, read as a model.

    Args:
        request: the request.
        model: the model of the body.
        empty: the JSON that an empty body stands for.

    Raises:
        ApiError: the body does not fit the model; the message names the fields.
    """
    body = await read_bytes(request)
    try:
        return model.model_validate_json(body or empty)
    except ValidationError as error:
        raise ApiError(_wrong(error), status=400) from None


async def read_bytes(request: Request) -> bytes:
    """Return the request's body.

    Raises:
        ApiError: the body has more than `LONGEST_BODY` bytes.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            raise ApiError(f"a body may have {LONGEST_BODY} bytes, and this one has more", status=413)
    return body


def query(request: Request, model: type[Input]) -> Input:
    """Return the request's query, read as a model; a field that is a tuple takes all values of its name.

    Raises:
        ApiError: a value does not fit the model; the message names it.
    """
    given = request.query_params
    lists = {field.alias for field in model.model_fields.values() if get_origin(field.annotation) is tuple}
    try:
        return model.model_validate({name: given.getlist(name) if name in lists else given[name] for name in given})
    except ValidationError as error:
        raise ApiError(_wrong(error), status=400) from None


class Paging(Resource):
    """The query for one page of a sorted list (docs); the limit of `size` is modelled."""

    size: Annotated[int, Field(ge=1, le=1000)] = 20
    page: Annotated[int, Field(ge=0)] = 0
    sort: str = "createdAt,desc"


def paged(found: Sequence[R], paging: Paging, keys: Mapping[str, Callable[[R], Any]]) -> Response:
    """Return one page of a list, sorted by one of `keys`.

    Raises:
        ApiError: the list cannot be sorted by that key.
    """
    name, _, direction = paging.sort.partition(",")
    if name not in keys or direction.lower() not in ("", "asc", "desc"):
        raise ApiError(f"sort: it is one of {', '.join(keys)}, followed by ,asc or ,desc", status=400)
    ordered = sorted(found, key=keys[name], reverse=direction.lower() == "desc")
    start = paging.page * paging.size
    page = Page[Any](
        content=tuple(plain(ordered[start : start + paging.size])),
        total_pages=-(-len(found) // paging.size),
        total_elements=len(found),
        size=paging.size,
        number=paging.page,
    )
    return JSONResponse(page.as_json())


def _wrong(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    said = [
        f"{'.'.join(str(key)[:64] for key in each['loc']) or 'body'}: {each['msg'].removeprefix('Value error, ')}"
        for each in found[:5]
    ]
    return "; ".join(said + ([f"and {len(found) - 5} more"] if len(found) > 5 else []))
