from __future__ import annotations

import hashlib
from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st

from webhook_receiver.inbox.dedup_key import digester, line

ANY = st.text(st.characters(exclude_categories=()))
"""Texts of all characters, halves of some among them: classes of the user's can bring those."""

PLAIN = st.text("ABCXYZabcxyz0189_.-~")


def spelt_out(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@given(st.lists(PLAIN | ANY | st.text(" /%+\n:é")))
@example([])
@example(["o-1", "FULFILLED"])
@example(["a b", ""])
@example(["plain", "\ud800"])
@example(["a line\n"])
def test_a_line_is_its_parts_quoted_each_and_a_space_between_them(parts: list[str]) -> None:
    assert line(parts) == " ".join(quote(spelt_out(part), safe="") for part in parts)


@given(ANY, st.lists(ANY | st.binary()))
def test_a_digest_is_that_of_the_source_and_of_each_part_behind_its_length(
    source: str, parts: list[str | bytes]
) -> None:
    everything = source.encode("utf-8", "surrogatepass")
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        everything += b"\0" + str(len(data)).encode() + b"\0" + data
    digest = digester(source)
    assert digest(*parts) == hashlib.sha256(everything).digest() == digest(*parts)
