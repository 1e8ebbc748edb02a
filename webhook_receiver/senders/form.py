"""Bodies that are forms: the JSON document in one, as `Sender.decode` returns it."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl

_FORM = re.compile(rb"""[^\x00-\x20"<=[{][^\x00-\x20"<>=]*=""")
"""The begin of a form: names and "=" (URL Living Standard, section 5, application/x-www-form-urlencoded), also such as
are not escaped. JSON has "=" inside of texts alone, behind a quotation mark, which no form has in its first names."""

MOST_FIELDS = 1000
"""Fields of a form that is read; one with more is no form."""


def form_document(body: bytes, field: str = "payload") -> bytes:
    """Return the JSON document in a form: the text of one field, or else an object of all fields.

    The value of a field is a text; a list of texts if the name comes more than once. So it is with the field that holds
    JSON: where it comes more than once, the document is the object of all fields, and none is lost. A name or value
    that is not in UTF-8, such as `M%FCller`, is read as Latin-1.

    A body that is no form is returned unchanged. That is decided by the body, not by its Content-Type, which few
    signatures cover: no JSON document begins like a form.

    Args:
        body: the bytes of the body.
        field: the name of the field that holds JSON. For another one: `functools.partial(form_document, field="data")`.
    """
    if _FORM.match(body) is None:
        return body
    text = body.decode("utf-8", "surrogateescape")  # escaped or not, and in UTF-8 or not
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MOST_FIELDS)
    except ValueError:  # too many fields
        return body
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(_text(name), []).append(value)
    if len(fields.get(field, ())) == 1:
        (value,) = fields[field]
        # JSON in UTF-16 or UTF-32 has zero bytes; it is repaired where it is read.
        return value.encode(errors="surrogateescape") if "\0" in value else _text(value).encode()
    texts = {name: [*map(_text, values)] for name, values in fields.items()}
    return json.dumps({name: values if len(values) > 1 else values[0] for name, values in texts.items()}).encode()


def _text(found: str) -> str:
    """Return a text; one with bytes that are not UTF-8, which are half surrogates in it, as that of Latin-1."""
    try:
        found.encode()
    except UnicodeEncodeError:
        return found.encode("utf-8", "surrogateescape").decode("latin-1")
    return found
