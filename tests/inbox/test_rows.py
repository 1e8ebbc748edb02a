from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver import Delivery
from webhook_receiver.errors import InboxDamaged
from webhook_receiver.inbox import rows
from webhook_receiver.inbox.records import Entry, HandlerState, State
from webhook_receiver.testing.inbox_suite import NOW, entry

TEXT = st.text(max_size=20)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=10).map(str.encode)
HEADERS = st.lists(st.tuples(NAMES, st.binary(max_size=20).filter(lambda value: b"\n" not in value)), max_size=5).map(
    tuple
)
TIMES = st.floats(allow_nan=False, allow_infinity=False)
DELIVERIES = st.builds(
    Delivery,
    id=TEXT,
    receiver=TEXT,
    headers=HEADERS,
    body=st.binary(max_size=50),
    received=TIMES,
    verified_by=st.none() | st.integers(0, 5),
    body_verified=st.booleans(),
    via=TEXT,
    part=st.integers(0, 9),
    context=st.none() | TEXT,
)
ENTRIES = st.builds(
    Entry,
    delivery=DELIVERIES,
    event=st.none() | TEXT,
    key=st.none() | st.binary(max_size=32),
    identity=st.none() | TEXT,
    ordering_key=st.none() | TEXT,
)
PROGRESS = st.builds(
    HandlerState,
    state=st.sampled_from([State.WAITING, State.DONE, State.DEAD]),
    attempts=st.integers(0, 99),
    since_replay=st.integers(0, 99),
    due=TIMES,
    running=st.booleans(),
    expected_dead=st.none() | TIMES,
)


@given(ENTRIES)
def test_a_delivery_comes_back_from_its_row_as_it_was(entry: Entry) -> None:
    row = rows.delivery_row(entry)
    assert len(row) == len(rows.COLUMNS)
    assert rows.delivery(row) == entry.delivery
    assert (row[3], row[4], row[5], row[6]) == (entry.event, entry.key, entry.identity, entry.ordering_key)


@given(ENTRIES, st.data())
def test_another_value_in_any_column_is_noticed(entry: Entry, data: st.DataObject) -> None:
    row = rows.delivery_row(entry)
    column = data.draw(st.integers(0, len(row) - 2))
    like: dict[int, st.SearchStrategy[Any]] = {
        4: st.none() | st.binary(max_size=32),
        7: TIMES,
        8: st.binary(max_size=20),
        9: st.binary(max_size=50),
        10: st.none() | st.integers(0, 9),
        11: st.integers(0, 1),
        12: st.integers(0, 9),
    }
    other = data.draw(like.get(column, (st.none() | TEXT)).filter(lambda value: repr(value) != repr(row[column])))
    with pytest.raises(InboxDamaged, match="not what was put"):
        rows.delivery((*row[:column], other, *row[column + 1 :]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (entry("d-1", event=None), entry("d-1", event="None")),
        (entry("d-1", key=None), entry("d-1", key=b"")),
        (entry("a\x00b", receiver="c"), entry("a", receiver="b\x00c")),
    ],
)
def test_rows_that_look_alike_have_other_checksums(one: Entry, other: Entry) -> None:
    assert rows.delivery_row(one)[-1] != rows.delivery_row(other)[-1]


def test_a_byte_that_moves_from_the_headers_to_the_body_is_noticed() -> None:
    row = rows.delivery_row(entry("d-1"))
    with pytest.raises(InboxDamaged):
        rows.delivery((*row[:8], row[8][:-1], row[8][-1:] + row[9], *row[10:]))


def test_a_checksum_never_changes_since_files_are_read_by_later_versions() -> None:
    fixed = entry("d-1", key=b"k", identity="o-1 \u9375\U0001fae8", ordering_key="o-1", received=NOW + 0.1)
    assert rows.delivery_row(fixed)[-1] == 1_510_977_268


def test_damage_is_reported_without_what_is_damaged() -> None:
    row = rows.delivery_row(entry("d-1", body=b"a body"))
    with pytest.raises(InboxDamaged) as raised:
        rows.delivery((*row[:9], b"a bodY", *row[10:]))
    assert "d-1" in str(raised.value)
    assert "bod" not in str(raised.value)


def test_a_line_break_in_a_header_cannot_become_another_header() -> None:
    packed = rows.encode_headers([(b"x-a", b"1\nx-b:2"), (b"x-c", b"")])
    assert rows.decode_headers(packed) == ((b"x-a", b"1 x-b:2"), (b"x-c", b""))


@given(st.dictionaries(TEXT, PROGRESS, max_size=4))
def test_progress_comes_back_as_it_was(handlers: dict[str, HandlerState]) -> None:
    assert rows.progress(rows.progress_json(handlers)) == handlers


def test_no_progress_is_nothing_at_all() -> None:
    assert rows.progress_json({}) is None
    assert rows.progress(None) == {}


def test_progress_of_an_older_version_that_knew_fewer_parts_is_read() -> None:
    assert rows.progress(json.dumps({"h": ["dead", 3]})) == {"h": HandlerState(State.DEAD, 3)}


@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=2, max_size=2, unique=True).filter(
        lambda two: "\0" not in "".join(map("".join, two))
    )
)
def test_other_receivers_and_ordering_keys_have_other_hashes(two: list[tuple[str, str]]) -> None:
    first, second = two
    assert rows.order_key_hash(*first) != rows.order_key_hash(*second)
    assert rows.order_key_hash(*first) == rows.order_key_hash(*first)


def test_a_duplicate_is_looked_up_by_its_identity_or_else_by_its_key() -> None:
    by_identity = rows.dedup_hash("hooks", "order.status", None, "o-1")
    assert by_identity == rows.dedup_hash("hooks", "order.status", b"k", "o-1")
    by_key = rows.dedup_hash("hooks", "order.status", b"k", None)
    others = [
        rows.dedup_hash("others", "order.status", b"k", None),
        rows.dedup_hash("hooks", "order.status", b"j", None),
    ]
    assert len({by_identity, by_key, *others}) == 4
    assert rows.dedup_hash("hooks", "order.status", None, None) is None
    assert rows.order_key_hash("hooks", None) is None


def test_tables_are_written_as_sql() -> None:
    assert rows.values([(1, 2), (3, 4)]) == "VALUES (?,?),(?,?)"
    assert rows.as_table(("a", "b"), [(1, 2)]) == "(SELECT column1 AS a, column2 AS b FROM (VALUES (?,?)))"
    assert rows.flat([(1, 2), (3, 4)]) == [1, 2, 3, 4]
    assert rows.placeholders("abc") == "?,?,?"
    assert rows.placeholders([]) == ""


@given(st.lists(st.tuples(st.sampled_from([b"", b"body" * 9, b"x" * 70_000]), st.text(max_size=9)), max_size=8))
def test_rows_that_share_a_body_have_the_checksums_that_they_have_alone(parts: list[tuple[bytes, str]]) -> None:
    found = [
        rows.values_of(Entry(Delivery(id, "a", ((b"a", b"b"),), body, 1.0, None, True, part=number)))
        for number, (body, id) in enumerate(parts)
    ]
    checksum = rows.Checksums().of
    assert [checksum(row) for row in found] == [rows.checksum_of(row) for row in found]
