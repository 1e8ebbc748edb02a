"""Reading responses of UP42's API into models; failures become an ApiError that holds no secret."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, TypeVar, cast

import httpx
from pydantic import TypeAdapter, ValidationError

from ...errors import ApiError
from ..source import retry_after
from .models import Problem

T = TypeVar("T")

_HTML = "the response is HTML and not JSON; is there a proxy in between?"
LONGEST = 1000
"""Characters of the API's error message in an ApiError, since the API may repeat what it was sent."""

_HINTS = {
    401: "the credentials or the token were rejected: check UP42_USERNAME and UP42_PASSWORD, or UP42_TOKEN",
    403: "this user may not do that in this workspace",
    404: "check the id, and the workspace",
    429: "too many requests",
}


def read(response: httpx.Response, shape: TypeAdapter[T], *, enveloped: bool, secrets: Collection[str] = ()) -> T:
    """Return the content of a response.

    Args:
        response: the response, read to its end.
        shape: the type of the content.
        enveloped: whether the content is in `data` of `{data, error}`.
        secrets: texts that no error's message may repeat.

    Raises:
        ApiError: the response is not a success, not JSON, or of another type.
    """
    check(response, secrets)
    try:
        document = _document(response)
    except ValueError as error:
        raise _failed(response, str(error)) from None
    if enveloped:
        fields = _fields(document)
        if fields is None or "data" not in fields:
            raise _failed(response, "the response has no `data`: is this UP42's API? check UP42_URL")
        if fields.get("error"):
            raise _problem_of(response, secrets)
        document = fields["data"]
    try:
        return shape.validate_python(document)
    except ValidationError as error:
        reasons = reasons_of(error)
    raise _failed(response, f"the response is not as expected: {reasons}")


def reasons_of(error: ValidationError) -> str:
    """Return why a document is not as expected, without what it says."""
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])


def check(response: httpx.Response, secrets: Collection[str] = ()) -> None:
    """Check that a response is a success and not an HTML page, which is a proxy's whatever its status.

    Raises:
        ApiError: the response is no success, or an HTML page.
    """
    if 300 <= response.status_code <= 399:
        raise _failed(response, f"it redirects to {_target(response)}, which is not followed: check UP42_URL")
    if not response.is_success:
        raise _problem_of(response, secrets)
    if _is_html(response) and response.content.strip():
        raise _failed(response, _HTML)


def no_response(method: str, url: str, error: httpx.HTTPError) -> ApiError:
    """Return the error for a request without a complete response.

    Args:
        method: the request's method.
        url: the request's URL.
        error: the error of httpx.
    """
    asked = httpx.URL(url)
    where = f"{method} {asked.path} at {asked.netloc.decode('ascii')}"
    if isinstance(error, httpx.TimeoutException):
        return ApiError(f"{where}: no response within the time-out")
    return ApiError(f"{where}: {str(error).rstrip('.') or type(error).__name__}: is it up, and is UP42_URL right?")


def _failed(response: httpx.Response, why: str, problem: Problem | None = None) -> ApiError:
    status = response.status_code
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    request = response.request
    message = f"{request.method} {request.url.path}: {status} {phrase}".rstrip() + f": {why}"
    wait = retry_after(response.headers.get("retry-after"), time.time())
    if problem is None:
        return ApiError(message, status=status, retry_after=wait)
    return ApiError(message, status=status, code=problem.code or None, details=problem.details, retry_after=wait)


def _problem_of(response: httpx.Response, secrets: Collection[str]) -> ApiError:
    """Return the error that a response describes in one of the known formats."""
    status = response.status_code
    tries = getattr(response.extensions.get("retry"), "attempts_made", 0)
    notes = [_HINTS[status]] if status in _HINTS else []
    if tries:
        notes.append(f"tried {tries + 1} times")
    if "retry-after" in response.headers:
        notes.append(f"it asks to try again after {response.headers['retry-after'][:40]}")
    try:
        problem = _problem(_without(_document(response), secrets))
    except ValueError as error:
        return _failed(response, "; ".join([*notes, str(error)]))
    except RecursionError:
        return _failed(response, "; ".join([*notes, "the response is nested too deeply to be read"]))
    said = problem.message[:LONGEST] + ("…" if len(problem.message) > LONGEST else "")
    return _failed(response, "; ".join([part for part in (said, *notes) if part] or ["it does not say why"]), problem)


def _document(response: httpx.Response) -> object:
    """Return the JSON of a response.

    Raises:
        ValueError: the response is not JSON; the message says what it is.
    """
    if not response.content.strip():
        raise ValueError("the response is empty")
    try:
        return json.loads(response.content)
    except json.JSONDecodeError as error:
        where = f" at character {error.pos}, maybe cut off"
    except (ValueError, RecursionError):
        where = ""
    if "json" in response.headers.get("content-type", ""):
        raise ValueError(f"the response is broken JSON{where}")
    if _is_html(response):
        raise ValueError(_HTML)
    raise ValueError("the response is not JSON")


def _is_html(response: httpx.Response) -> bool:
    return "html" in response.headers.get("content-type", "")


def _problem(document: object) -> Problem:
    """Return the problem in `{error: {code, message, details}}`, or in the formats of RFC 9457, OAuth and Spring."""
    top = _fields(document) or {}
    fields = _fields(top.get("error")) or top
    code = next((fields[key] for key in ("code", "error") if isinstance(fields.get(key), int | str)), "")
    texts = [str(fields[key]) for key in ("message", "error_description", "title", "detail") if fields.get(key)]
    return Problem(code=code, message=": ".join(texts) or str(code), details=fields.get("details"))


def _fields(document: object) -> dict[str, Any] | None:
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _without(value: object, secrets: Collection[str]) -> object:
    """Return a document without secrets, which the API may repeat, and with lone surrogates escaped."""
    if isinstance(value, str):
        for secret in secrets:
            if len(secret) > 3:  # a shorter one is in any text, and would be given away by the gaps
                for form in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
                    value = value.replace(form, "***")  # it may repeat the JSON that it was sent
        return value.encode("utf-8", "backslashreplace").decode()  # lone surrogates cannot be printed
    if isinstance(value, list):
        return [_without(each, secrets) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        return {_without(k, secrets): _without(v, secrets) for k, v in cast("dict[object, object]", value).items()}
    return value


def _target(response: httpx.Response) -> str:
    """Return the target of a redirect, without user name and query, which may hold secrets."""
    try:
        target = response.request.url.join(response.headers.get("location", ""))
    except (httpx.InvalidURL, UnicodeError):
        return "an invalid URL"
    return f"{target.scheme}://{target.netloc.decode('ascii', 'replace').rpartition('@')[2]}{target.path}"
