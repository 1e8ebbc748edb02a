"""Bodies that are forms: the JSON document in one, as `Sender.decode` returns it."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl

_FORM = re.compile(rb"[A-Za-z0-9*._%+-]+=")
"""The begin of a form: a name and "=" (URL Living Standard, section 5, application/x-www-form-urlencoded)."""

_MOST_FIELDS = 1000


def form_document(body: bytes, field: str = "payload") -> bytes:
    """Return the JSON document in a form: the text of one field, or else an object of all fields.

    A body that is no form is returned unchanged. That is decided by the body, not by its Content-Type, which few
    signatures cover: no JSON document begins like a form.

    Args:
        body: the bytes of the body.
        field: the name of the field that holds JSON. For another one: `functools.partial(form_document, field="data")`.
    """
    if _FORM.match(body) is None:
        return body
    try:
        fields = dict(
            parse_qsl(
                body.decode("latin-1"), keep_blank_values=True, errors="surrogateescape", max_num_fields=_MOST_FIELDS
            )
        )
    except ValueError:  # too many fields
        return body
    if field in fields:
        return fields[field].encode(errors="surrogateescape")
    return json.dumps(fields).encode()
