"""Bodies as people read them: indented, as they came, as hexadecimal digits, and as a tree; each within bounds."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Sequence, Sized
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl

from markupsafe import Markup, escape

from ..signatures import Scheme
from .secrecy import masked_body
from .site import View
from .wording import counted, visible

FIRST = 32 * 1024
"""Characters of a body that are shown at first."""
ALL = 2 * 1024 * 1024
"""Characters that are shown at most, when all is asked for; the rest is in the download."""
_COLOURED = 256 * 1024  # characters up to which the parts of JSON are told apart
_PARSED = 128 * 1024  # characters up to which JSON is parsed to show it; more of it takes long
_MOST_NODES = 1500  # of a tree
_MOST_OF_A_VALUE = 2000  # characters in a tree
_OPEN = 2  # levels of a tree that are open at first
_ROW = 16  # bytes in a row of hexadecimal digits

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_INDENT = "  "


class Shown(NamedTuple):
    """A body in one of its forms."""

    forms: Sequence[str]
    """The forms that it has, the first by default: "pretty", "tree", "fields", "raw", "hex"."""
    form: str
    """The form that is shown."""
    html: Markup
    """What is shown, as HTML."""
    is_cut: bool
    """Whether there is more than is shown."""


async def asked_form(view: View, given: bytes, kind: str, scheme: Scheme | None) -> dict[str, Any]:
    """Return what a page shows of a body: the form that its request asks for, without credentials.

    Args:
        view: the request.
        given: the bytes of the body.
        kind: the value of Content-Type.
        scheme: the scheme of its receiver, if that is at hand.
    """
    whole = view.asked("all") == "1"
    body = await asyncio.to_thread(masked_body, given, kind, scheme)  # in a thread, since both may take long
    form = await asyncio.to_thread(shown, body, kind, view.asked("form"), whole=whole)
    return {"kind": kind, "form": form, "whole": whole, "is_masked": given != body}


def shown(body: bytes, kind: str, wanted: str = "", *, whole: bool = False) -> Shown:
    """Return a body in one of its forms.

    Args:
        body: the bytes.
        kind: the value of Content-Type.
        wanted: the form that is asked for; the first that it has if that is none of them.
        whole: whether all of it is asked for.
    """
    text = text_of(body)
    forms: list[str] = []
    document: Any = None
    fields: list[tuple[str, str]] = []
    if text is not None:
        is_json, document = _document(text, whole=wanted == "tree")
        if is_json:
            forms += ["pretty", *(["tree"] if isinstance(document, dict | list) and document else [])]
        elif fields := _fields(text, kind):
            forms.append("fields")
        forms.append("raw")
    forms += ["hex"] if text is not None else ["hex", "raw"]
    form = wanted if wanted in forms else forms[0]
    most = ALL if whole else FIRST
    if form == "tree":
        return Shown(forms, form, *_tree(document, _MOST_NODES * (20 if whole else 1)))
    if form == "fields":
        return Shown(forms, form, *_fields_html(fields, most))
    if form == "hex":
        rows = list(_rows(body[: most // 4]))
        return Shown(forms, form, escape("\n".join(rows)), len(body) > most // 4)
    if form == "pretty" and text is not None:
        return Shown(forms, form, *_pretty(text, most))
    raw = text if text is not None else body[: most + 4].decode("utf-8", "backslashreplace")
    return Shown(forms, form, _value(raw, most), len(raw) > most)


def text_of(body: bytes) -> str | None:
    """Return the text of a body; None if it is no text in UTF-8, or has a zero byte, as no text has."""
    try:
        return None if b"\0" in body else body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _document(text: str, *, whole: bool = False) -> tuple[bool, Any]:
    """Return whether a text is JSON, and the document; numbers stay as they are written.

    A long text is read only if `whole` says so: else what begins as an object or an array is taken for one.
    """
    if len(text) > _PARSED and not whole:
        begin = text[:64].lstrip()[:1]
        return begin in ("{", "["), {"": ""}
    if not text.strip():
        return False, None
    try:
        return True, json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
    except (ValueError, RecursionError):
        return False, None


class _Number(str):
    """A number of a JSON document, as it is written there."""

    __slots__ = ()


def _fields(text: str, kind: str) -> list[tuple[str, str]]:
    if not kind.lower().startswith("application/x-www-form-urlencoded"):
        return []
    try:
        return parse_qsl(text, keep_blank_values=True, errors="backslashreplace", max_num_fields=1000)
    except ValueError:
        return []


def _fields_html(fields: Sequence[tuple[str, str]], most: int) -> tuple[Markup, bool]:
    """Return the fields of a form as a list, with JSON in one indented."""
    parts: list[str] = []
    is_cut, left = False, most
    for name, value in fields:
        html: Markup
        is_json = value[:1] in ("{", "[") and _document(value)[0]
        html, more = _pretty(value, left) if is_json else (_value(value, left), len(value) > left)
        is_cut = is_cut or more
        left = max(0, left - len(value))
        parts.append(f"<dt>{escape(visible(name[:_MOST_OF_A_VALUE]))}</dt><dd><pre>{html}</pre></dd>")
    return Markup(f'<dl class="form-fields">{"".join(parts)}</dl>'), is_cut  # noqa: S704 - each part is escaped


def _value(text: str, most: int) -> Markup:
    return escape(visible(text[:most], lines=True))


def _pretty(text: str, most: int) -> tuple[Markup, bool]:
    """Return a JSON text indented, with its parts told apart, and whether it was cut."""
    parts: list[str] = []
    count = 0
    coloured = len(text) <= _COLOURED
    for kind, part in _indented(text):
        left = most - count
        if left <= 0:
            return Markup("".join(parts)), True  # noqa: S704 - each part is escaped
        count += len(part)
        said = escape(visible(part[:left], lines=True))
        parts.append(f'<span class="{kind}">{said}</span>' if kind and coloured else said)
    return Markup("".join(parts)), count > most  # noqa: S704


def _indented(text: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a JSON text with the white space that indents them; each with its class, or none."""
    depth = 0
    before = ""
    tokens = _TOKEN.finditer(text)
    token = next(tokens, None)
    while token is not None:
        following = next(tokens, None)
        part, then = token[0], "" if following is None else following[0]
        if part in "}]":
            depth = max(0, depth - 1)
            yield "", part if before in ("{", "[") else f"\n{_INDENT * depth}{part}"
        elif part == ",":
            yield "", f",\n{_INDENT * depth}"
        elif part == ":":
            yield "", ": "
        elif part in "{[":
            depth += 1
            yield "", part if then in ("}", "]") else f"{part}\n{_INDENT * depth}"
        elif part.startswith('"'):
            yield "k" if then == ":" else "s", _string(part)
        else:
            yield "n", part
        before, token = part, following


def _string(part: str) -> str:
    """Return a string of JSON with its escapes read, but for those of what nobody could see."""
    if "\\" not in part:
        return part
    try:
        return json.dumps(json.loads(part), ensure_ascii=False)
    except ValueError:
        return part


def _rows(body: bytes) -> Iterator[str]:
    for begin in range(0, len(body), _ROW):
        row = body[begin : begin + _ROW]
        digits = f"{row[:8].hex(' ')}  {row[8:].hex(' ')}"
        said = "".join(chr(each) if 0x20 <= each < 0x7F else "·" for each in row)
        yield f"{begin:08x}  {digits:<48}  {said}"


def _tree(document: Any, most: int) -> tuple[Markup, bool]:
    """Return a document as nested lists that open and close, and whether some of it is left out."""
    parts: list[str] = []
    left = [most]
    _branch(parts, None, document, 0, left)
    return Markup(f'<div class="tree">{"".join(parts)}</div>'), left[0] < 0  # noqa: S704 - each part is escaped


def _branch(parts: list[str], name: str | None, value: Any, depth: int, left: list[int]) -> None:
    left[0] -= 1
    if left[0] < 0:
        return
    label = "" if name is None else f'<span class="k">{escape(visible(name[:_MOST_OF_A_VALUE]))}</span>: '
    if not isinstance(value, dict | list) or not value:
        parts.append(f'<div class="leaf">{label}{_leaf(value)}</div>')
        return
    count = counted(len(cast("Sized", value)), "member" if isinstance(value, dict) else "item")
    parts.append(
        f'<details{" open" if depth < _OPEN else ""}><summary>{label}<span class="quiet">{count}</span></summary>'
    )
    for member, each in _members(cast("dict[str, Any] | list[Any]", value)):
        if left[0] <= 0:
            left[0] = -1
            parts.append('<div class="leaf quiet">… more, in the raw form</div>')
            break
        _branch(parts, member, each, depth + 1, left)
    parts.append("</details>")


def _members(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    else:
        yield from ((f"{index}", each) for index, each in enumerate(value))


def _leaf(value: Any) -> str:
    if isinstance(value, _Number) or value is None or isinstance(value, bool):
        written = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        return f'<span class="n">{escape(visible(written[:_MOST_OF_A_VALUE]))}</span>'
    if isinstance(value, str):
        more = f"… ({len(value) - _MOST_OF_A_VALUE:,} more)" if len(value) > _MOST_OF_A_VALUE else ""
        return f'<span class="s"><bdi>{escape(visible(value[:_MOST_OF_A_VALUE]))}</bdi></span>{more}'
    return f'<span class="n">{"{}" if isinstance(value, dict) else "[]"}</span>'
