"""What the sender's API answers: read into a model, or told as an ApiError that holds no secret."""

from __future__ import annotations

import json
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, TypeVar, cast

import httpx
from pydantic import TypeAdapter, ValidationError

from ...errors import ApiError
from .models import Problem

T = TypeVar("T")

_HTML = "the answer is HTML and not JSON; does a proxy stand in between?"
LONGEST = 1000  # characters of what the sender says, for it may repeat what it was sent

_HINTS = {
    401: "the credentials or the token are refused: check UP42_USERNAME and UP42_PASSWORD, or UP42_TOKEN",
    403: "this user may not do that in this workspace",
    404: "check the id, and the workspace",
    429: "too many requests",
}


def read(response: httpx.Response, shape: TypeAdapter[T], *, enveloped: bool, secrets: Collection[str] = ()) -> T:
    """Return what an answer says.

    Args:
        response: the answer, read to its end.
        shape: what it says, if all went well.
        enveloped: whether that is in `data` of `{data, error}`.
        secrets: what must not be repeated in an error's message.

    Raises:
        ApiError: it is no success, no JSON, or of another shape.
    """
    check(response, secrets)
    try:
        document = _document(response)
    except ValueError as error:
        raise _failed(response, str(error)) from None
    if enveloped:
        fields = _fields(document)
        if fields is None or "data" not in fields:
            raise _failed(response, "the answer has no `data`: is this UP42's API? check UP42_URL")
        if fields.get("error"):
            raise _problem_of(response, secrets)
        document = fields["data"]
    try:
        return shape.validate_python(document)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
    raise _failed(response, f"the answer is not as expected: {told}")


def check(response: httpx.Response, secrets: Collection[str] = ()) -> None:
    """Refuse an answer that is no success, or is a page: that is a proxy's, whatever its status says.

    Raises:
        ApiError: it is one of the two.
    """
    if 300 <= response.status_code <= 399:
        raise _failed(response, f"it points to {_target(response)}, which is not followed: check UP42_URL")
    if not response.is_success:
        raise _problem_of(response, secrets)
    if _is_html(response) and response.content.strip():
        raise _failed(response, _HTML)


def no_answer(method: str, url: str, error: httpx.HTTPError) -> ApiError:
    """Return what tells that there was no answer, or no whole one."""
    asked = httpx.URL(url)
    where = f"{method} {asked.path} at {asked.netloc.decode('ascii')}"
    if isinstance(error, httpx.TimeoutException):
        return ApiError(f"{where}: no answer within the time-out")
    return ApiError(f"{where}: {str(error).rstrip('.') or type(error).__name__}: is it up, and is UP42_URL right?")


def _failed(response: httpx.Response, why: str, problem: Problem | None = None) -> ApiError:
    status = response.status_code
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    request = response.request
    message = f"{request.method} {request.url.path}: {status} {phrase}".rstrip() + f": {why}"
    if problem is None:
        return ApiError(message, status=status)
    return ApiError(message, status=status, code=problem.code or None, details=problem.details)


def _problem_of(response: httpx.Response, secrets: Collection[str]) -> ApiError:
    """Return the error that an answer tells of, in whichever of the known forms."""
    status = response.status_code
    tries = getattr(response.extensions.get("retry"), "attempts_made", 0)
    notes = [_HINTS[status]] if status in _HINTS else []
    if tries:
        notes.append(f"tried {tries + 1} times")
    if "retry-after" in response.headers:
        notes.append(f"it says to try again after {response.headers['retry-after'][:40]}")
    try:
        problem = _problem(_without(_document(response), secrets))
    except ValueError as error:
        return _failed(response, "; ".join([*notes, str(error)]))
    except RecursionError:
        return _failed(response, "; ".join([*notes, "the answer is nested too deeply to be read"]))
    said = problem.message[:LONGEST] + ("…" if len(problem.message) > LONGEST else "")
    return _failed(response, "; ".join([part for part in (said, *notes) if part] or ["it does not say why"]), problem)


def _document(response: httpx.Response) -> object:
    """Return the JSON of an answer; a ValueError says what else it is."""
    if not response.content.strip():
        raise ValueError("nothing is in the answer")
    try:
        return json.loads(response.content)
    except json.JSONDecodeError as error:
        where = f" at character {error.pos}, maybe cut off"
    except (ValueError, RecursionError):
        where = ""
    if "json" in response.headers.get("content-type", ""):
        raise ValueError(f"the answer is broken JSON{where}")
    if _is_html(response):
        raise ValueError(_HTML)
    raise ValueError("the answer is no JSON")


def _is_html(response: httpx.Response) -> bool:
    return "html" in response.headers.get("content-type", "")


def _problem(document: object) -> Problem:
    """Read `{error: {code, message, details}}`, and the forms of RFC 9457, OAuth and Spring."""
    top = _fields(document) or {}
    fields = _fields(top.get("error")) or top
    code = next((fields[key] for key in ("code", "error") if isinstance(fields.get(key), int | str)), "")
    texts = [str(fields[key]) for key in ("message", "error_description", "title", "detail") if fields.get(key)]
    return Problem(code=code, message=": ".join(texts) or str(code), details=fields.get("details"))


def _fields(document: object) -> dict[str, Any] | None:
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _without(value: object, secrets: Collection[str]) -> object:
    """Return a document without the secrets, as a sender may repeat what it refuses; and such as can be printed."""
    if isinstance(value, str):
        for secret in secrets:
            if len(secret) > 3:  # a shorter one is in any text, and would be told by the gaps
                for form in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
                    value = value.replace(form, "***")  # it may repeat the JSON that it was sent
        return value.encode("utf-8", "backslashreplace").decode()  # half characters cannot be
    if isinstance(value, list):
        return [_without(each, secrets) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        return {_without(k, secrets): _without(v, secrets) for k, v in cast("dict[object, object]", value).items()}
    return value


def _target(response: httpx.Response) -> str:
    """Return where a redirect leads, without what its query may hold."""
    try:
        target = response.request.url.join(response.headers.get("location", ""))
    except (httpx.InvalidURL, UnicodeError):
        return "no URL"
    return f"{target.scheme}://{target.netloc.decode('ascii', 'replace').rpartition('@')[2]}{target.path}"
