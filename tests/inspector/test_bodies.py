"""Bodies as people read them, within bounds, and texts in which nothing hides."""

from __future__ import annotations

import json
import time
import unicodedata
from html import unescape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver.inspector.bodies import ALL, FIRST, shown
from webhook_receiver.inspector.wording import at, counted, exact, iso, size, span, visible

JSON = "application/json"


def text(html: str) -> str:
    import re

    return unescape(re.sub(r"<[^>]*>", "", html))


def test_json_is_indented_and_its_numbers_stay_as_they_are_written() -> None:
    body = b'{"a":1.50,"b":[1,{"c":12345678901234567890123,"d":1E400}],"e":[],"f":{},"g":null,"h":"x"}'
    found = shown(body, JSON)
    assert (found.form, found.forms, found.is_cut) == ("pretty", ["pretty", "tree", "raw", "hex"], False)
    assert text(found.html).splitlines() == [
        "{",
        '  "a": 1.50,',
        '  "b": [',
        "    1,",
        "    {",
        '      "c": 12345678901234567890123,',
        '      "d": 1E400',
        "    }",
        "  ],",
        '  "e": [],',
        '  "f": {},',
        '  "g": null,',
        '  "h": "x"',
        "}",
    ]
    assert "1.50" in shown(body, JSON, "tree").html


def test_escapes_are_read_where_they_hide_nothing() -> None:
    found = text(shown(rb'{"city": "M\u00fcnchen \ud83d\ude00", "evil": "\u202e\u001b[2J\u0000"}', JSON).html)
    assert "München 😀" in found
    assert "⟨U+202E⟩" in found
    assert "\u202e" not in found
    assert "\\u001b[2J\\u0000" in found, "as JSON writes it"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
        max_leaves=20,
    )
)
def test_what_is_indented_is_the_same_document(document: Any) -> None:
    body = json.dumps(document).encode()
    for form in ("pretty", "tree", "raw", "hex"):
        found = shown(body, JSON, form)
        assert not any(unicodedata.category(each) in ("Cc", "Cf", "Cs") for each in text(found.html).replace("\n", ""))
    assert shown(body, JSON, "raw").html == shown(body, "text/plain", "raw").html


@pytest.mark.parametrize(
    ("body", "kind", "forms"),
    [
        (b"", JSON, ["raw", "hex"]),
        (b"  ", JSON, ["raw", "hex"]),
        (b"plain text", "text/plain", ["raw", "hex"]),
        (b"<a/>", "application/xml", ["raw", "hex"]),
        (b'"only a text"', JSON, ["pretty", "raw", "hex"]),
        (b"{}", JSON, ["pretty", "raw", "hex"]),
        (b'{"a": 1}', "", ["pretty", "tree", "raw", "hex"]),
        (b'{"a": 1', JSON, ["raw", "hex"]),
        (b"[" * 100_000, JSON, ["raw", "hex"]),
        (b"a=1&b=%7B%22c%22%3A2%7D", "application/x-www-form-urlencoded; charset=utf-8", ["fields", "raw", "hex"]),
        (b"\xff\xfe{", JSON, ["hex", "raw"]),
        (b'{"a": "\x00"}', JSON, ["hex", "raw"]),
        (b"\x89PNG\r\n\x1a\n\x00", "image/png", ["hex", "raw"]),
    ],
)
def test_a_body_has_the_forms_that_fit_it(body: bytes, kind: str, forms: list[str]) -> None:
    found = shown(body, kind)
    assert (found.forms, found.form) == (forms, forms[0])
    for form in (*forms, "nonsense"):
        assert shown(body, kind, form).form in forms


def test_what_is_no_text_is_shown_in_hexadecimal_digits() -> None:
    found = shown(b"\xff\x00ABC<b>" + bytes(range(12)), "")
    assert text(found.html).splitlines() == [
        "00000000  ff 00 41 42 43 3c 62 3e  00 01 02 03 04 05 06 07  ··ABC<b>········",
        "00000010  08 09 0a 0b                                       ····",
    ]
    assert "\\xff␀ABC&lt;b&gt;" in shown(b"\xff\x00ABC<b>", "", "raw").html


def test_the_fields_of_a_form_are_listed_with_json_in_them_indented() -> None:
    found = shown(b"a=1+2&payload=%7B%22c%22%3A%5B2%5D%7D&%3Cb%3E=%1b", "application/x-www-form-urlencoded")
    assert "<dt>a</dt><dd><pre>1 2</pre></dd>" in found.html
    assert '{\n  "c": [\n    2\n  ]\n}' in text(found.html)
    assert "<dt>&lt;b&gt;</dt><dd><pre>␛</pre></dd>" in found.html


@pytest.mark.parametrize("form", ["pretty", "tree", "raw", "hex"])
def test_a_large_body_is_shown_in_part_at_first_and_quickly(form: str) -> None:
    body = json.dumps({"items": [{"number": each, "text": "x" * 80} for each in range(9500)]}).encode()
    assert len(body) > 1_000_000
    began = time.thread_time()
    found = shown(body, JSON, form)
    assert time.thread_time() - began < 3
    assert found.is_cut
    assert len(text(found.html)) < 4 * FIRST
    whole = shown(body, JSON, form, whole=True)
    assert len(whole.html) > len(found.html)


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b"x" * 1_000_000 + b'"',
        b'{"' + b"k" * 1_000_000 + b'": 1}',
        b'"' + "\u202e".encode() * 300_000 + b'"',
        b"[" + b"[]," * 300_000 + b"1]",
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"1" * 1_000_000,
        b"\x1b" * 1_000_000,
        b"\xff" * 1_000_000,
        b"<" * 1_000_000,
        b'"\\' * 400_000,
    ],
    ids=["text", "name", "marks", "lists", "deep", "number", "escapes", "bytes", "tags", "backslashes"],
)
def test_no_body_makes_a_page_slow_or_long(body: bytes) -> None:
    began = time.thread_time()
    for form in shown(body, JSON).forms:
        found = shown(body, JSON, form)
        assert len(found.html) < 20 * FIRST
    assert time.thread_time() - began < 10  # where the square of a length counts, it is minutes


def test_all_of_a_body_is_shown_up_to_a_bound() -> None:
    found = shown(b"x" * (ALL + 1), "", whole=True)
    assert (len(found.html), found.is_cut) == (ALL, True)


HOSTILE = {
    "\x1b]0;title\x07": "␛]0;title␇",
    "a\u202eb": "a⟨U+202E⟩b",
    "a\u2066b\u2069": "a⟨U+2066⟩b⟨U+2069⟩",
    "zero\u200bwidth": "zero⟨U+200B⟩width",
    "\ufeffmark": "⟨U+FEFF⟩mark",
    "line\u2028end": "line⟨U+2028⟩end",
    "\x7f\x85\xad": "␡⟨U+0085⟩⟨U+00AD⟩",
    "tag\U000e0041": "tag⟨U+E0041⟩",
    "\ud800": "⟨U+D800⟩",
    "a\nb\tc": "a␊b␉c",
    "a\r\nb": "a␍␊b",
}


@pytest.mark.parametrize("given_text", HOSTILE)
def test_what_hides_or_turns_a_line_round_is_written_as_a_mark(given_text: str) -> None:
    assert visible(given_text) == HOSTILE[given_text]
    assert visible("a\nb\tc\r", lines=True) == "a\nb\tc␍"


@pytest.mark.parametrize(
    "kept",
    [
        "plain",
        "Grüße",
        "日本語",
        "שלום",
        "مرحبا",
        "👨\u200d👩\u200d👧",
        "\u0645\u06cc\u200c\u062e",
        "नमस्ते",
        "",
    ],
)
def test_the_writing_of_people_stays_as_it_is(kept: str) -> None:
    assert visible(kept) == kept


@given(st.text())
def test_nothing_hides_in_any_text(given_text: str) -> None:
    found = visible(given_text)
    left = [each for each in found if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert {*left} <= {"\u200c", "\u200d"} | {each for each in left if each not in given_text}


def test_times_and_numbers_are_said_as_people_do() -> None:
    assert [span(each) for each in (None, 0, 0.0123, 1.26, 12.4, 61, 7300, 200_000)] == [
        "\u2013",
        "0 s",
        "12 ms",
        "1.3 s",
        "12 s",
        "1 min",
        "2 h",
        "2 d",
    ]
    assert span(-61) == "-1 min"
    assert [exact(each) for each in (0.5, 59, 60, 125, 7500, 90_061)] == [
        "500 ms",
        "59 s",
        "1 min",
        "2 min 5 s",
        "2 h 5 min",
        "1 d 1 h",
    ]
    assert [size(each) for each in (0, 1, 1023, 1536, 5 * 1024**2, 3 * 1024**3)] == [
        "0 bytes",
        "1 byte",
        "1,023 bytes",
        "1.5 KiB",
        "5.0 MiB",
        "3.0 GiB",
    ]
    assert [counted(1, "delivery", "deliveries"), counted(2000, "attempt")] == ["1 delivery", "2,000 attempts"]
    assert (at(0), at(None), iso(0)) == ("1970-01-01 00:00:00", "\u2013", "1970-01-01T00:00:00.000+00:00")
    assert [at(each) for each in (1e20, float("inf"))] == ["1e+20 s", "inf s"]
    assert iso(float("nan")) == ""
