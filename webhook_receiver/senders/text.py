"""Bodies that are text, such as XML: the JSON document that stands for one, as `Sender.decode` returns it."""

from __future__ import annotations

import codecs
import json
import re

from pydantic_core import from_json

from ..json_repair import parsed

_ENCODING = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
"""The encoding that an XML declaration names (XML 1.0, section 4.3.3)."""
_CHARSET = re.compile(
    r"(us-?)?ascii|utf-?(8|16|32)(-?(le|be))?|(iso-?8859|latin)-?[0-9]{1,2}|"
    r"(windows|cp)-?125[0-8]|koi8-?[ru]|shift-?jis|sjis|windows-?31j|cp932|euc-?(jp|kr)|gb-?(2312|k|18030)|big5(-?hkscs)?"
)
"""The names of encodings that are read, in lower case: those of texts. Python has others, such as punycode, by which a
text of one kind would become one of another."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def text_document(body: bytes) -> bytes:
    """Return the JSON document of a text: an object with the whole text as its `body`. XML is not parsed.

    A body that is JSON is returned unchanged. The body alone tells its encoding, as by XML's declaration, since few
    signatures cover a header.

    Args:
        body: the bytes of the body.
    """
    if _is_json(body):
        return body
    return json.dumps({"body": text_of(body)}).encode()


def text_of(body: bytes, charset: str | None = None) -> str:
    """Return a text: by its byte order mark, else by the encoding that is known, else in UTF-8, else in Latin-1.

    Args:
        body: the bytes.
        charset: the name of the encoding; None for the one in an XML declaration, if there is one. One that is no
            usual encoding of texts does not count.
    """
    mark = next((each for each in _MARKS if body.startswith(each[0])), None)
    if mark is not None:
        return body[len(mark[0]) :].decode(mark[1], "replace")
    declared = _ENCODING.match(body)
    for name in (charset, None if declared is None else declared[1].decode(), "utf-8"):
        try:
            if name is not None and _CHARSET.fullmatch(name.lower().replace("_", "-")):
                return body.decode(name)
        except (LookupError, ValueError):
            continue
    return body.decode("latin-1")


def _is_json(body: bytes) -> bool:
    try:
        from_json(body)
    except ValueError:
        return parsed(body) is not None
    return True
