from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from webhook_receiver.json_repair import parsed, repaired


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "é"}'.encode("utf-16"), {"a": "é"}),
        ('{"a": "é"}'.encode("utf-16-be"), {"a": "é"}),
        ('{"a": "é"}'.encode("utf-32-le"), {"a": "é"}),
        (rb'{"a": "cut \ud83d"}', {"a": r"cut \ud83d"}),
        (rb'{"a": "cut \uDE00 and \ud83d\ude00"}', {"a": r"cut \uDE00 and 😀"}),
        (rb'{"a": "\ud83d\ud83d\ude00"}', {"a": r"\ud83d😀"}),
        (rb'{"\ud83d": 1}', {r"\ud83d": 1}),
        (rb'{"a": "no half: \\ud83d, \" \\"}', {"a": 'no half: \\ud83d, " \\'}),
        ('{"a": "\ud83d"}'.encode("utf-8", "surrogatepass"), {"a": r"\udced\udca0\udcbd"}),
        ('{"a": "\ud83d"}'.encode("utf-16-le", "surrogatepass"), {"a": r"\ud83d"}),
        ('{"a": "Müller"}'.encode("latin-1"), {"a": r"M\udcfcller"}),
        (b'{"a": "two\nlines\tand a \x00"}', {"a": "two\nlines\tand a \x00"}),
        (b'{"a": -' + b"9" * 5000 + b', "b": "' + b"9" * 5000 + b'"}', {"a": "-" + "9" * 5000, "b": "9" * 5000}),
        (b"[" + b"9" * 5000 + b".5e-7]", ["9" * 5000 + ".5e-7"]),
        (b"[0." + b"0" * 5000 + b'1, "\\ud83d"]', [0.0, r"\ud83d"]),
    ],
)
def test_what_other_parsers_read_is_read(body: bytes, value: Any) -> None:
    assert from_json(repaired(body)) == value
    assert parsed(body) == value


@pytest.mark.parametrize("body", [b"", b"<xml/>", b"\xff\xfe{", b"{'a': 1}", b'{"a": "', b"\xfc", b"[" * 500_000])
def test_what_is_no_json_does_not_become_any(body: bytes) -> None:
    assert parsed(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"' + b'\\"' * 250_000,  # the square of its length takes half an hour
        b'{"a":"' + b'\\"' * 250_000 + b"\\",
        b"[" + b",".join([b"9" * 4300] * 2500),  # the square of each number's length takes minutes
    ],
)
def test_a_text_that_is_cut_off_or_many_long_numbers_do_not_take_the_square_of_their_length(body: bytes) -> None:
    assert repaired(body) == body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be"]))
def test_what_is_json_keeps_its_value(value: object, escape: bool, encoding: str) -> None:
    assert parsed(json.dumps(value, ensure_ascii=escape).encode(encoding)) == value


@given(st.binary())
def test_any_bytes_can_be_tried(body: bytes) -> None:
    assert isinstance(repaired(body), bytes)


def test_two_texts_that_differ_in_what_is_repaired_still_differ() -> None:
    halves = {parsed(b'"%b"' % half) for half in (rb"\ud83d", rb"\ud83e", b"\xfc", b"\xfd")}
    assert len(halves) == 4
