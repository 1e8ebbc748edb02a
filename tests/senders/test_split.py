"""The parts of a body: where the events are, and what stands in for them where they are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver import ConfigurationError, NotAnEvent
from webhook_receiver.senders.split import MOST_PARTS, Split

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", ""]), inner, max_size=3),
    max_leaves=12,
)


def parts(place: str, document: Any, **members: str) -> list[Any]:
    """Return the parts of a document, parsed."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return [json.loads(part) for part in Split(place, members).parts(body)]


A, B, C = {"id": "a"}, {"id": "b", "n": [1, {"x": "]}"}]}, {"id": "c"}
RECORDS = json.dumps({"Records": [A, B]})


@pytest.mark.parametrize(
    ("place", "document", "found"),
    [
        ("*", [A, B], [A, B]),
        ("*", [A], [A]),
        ("*", A, [A]),  # one event, not in an array
        ("*", [], []),
        ("*", [1, "x", None, [A]], [1, "x", None, [A]]),
        ("*", "text", ["text"]),
        ("events.*", {"meta": {"events": [C]}, "events": [A, B], "more": []}, [A, B]),
        ("events.*", {"events": []}, []),
        ("events.*", {"events": A}, [A]),
        ("events.*", {"events": None, "id": 1}, [{"events": None, "id": 1}]),
        ("events.*", {"events": "none", "id": 1}, [{"events": "none", "id": 1}]),
        ("events.*", {"other": 1}, [{"other": 1}]),
        ("events.*", {}, [{}]),
        ("events.*", [A, B], [[A, B]]),
        ("data.events.*", {"data": {"events": [A]}}, [A]),
        ("data.events.*", {"data": {"id": 7}}, [{"id": 7}]),
        ("*.*", [[A], [], [B, C]], [A, B, C]),
        ("*.*", [[], []], []),
        ("entry.*.changes.*", {"entry": [{"changes": [A, B]}, {"changes": []}, {"changes": [C]}]}, [A, B, C]),
        ("entry.*.changes.*", {"entry": [{"changes": [A]}, {"messaging": [B]}, 3]}, [A, {"messaging": [B]}, 3]),
        ("entry.*.a|b.*", {"entry": [{"a": [A], "b": [B]}, {"b": [C]}, {"a": []}, {"c": 1}]}, [A, B, C, {"c": 1}]),
        ("a|b.*", {"b": [B], "a": [A]}, [B, A]),
        ("a|b.*", {"b": None, "a": [A]}, [A]),
        ("a|b.*", {"b": None, "a": 1}, [{"b": None, "a": 1}]),
        ("a|b.*", {"b": [], "a": []}, []),
        ("a|b.*", {"b": json.dumps([B]), "a": [A]}, [B, A]),
        ("a|b.*", b'{"a": [{"id": "x"}], "b": [{"id": "c"}], "a": [{"id": "a"}]}', [C, A]),
        ("a|b.*", b'{"a": [], "b": [{"id": "c"}], "a": [{"id": "a"}]}', [C, A]),
        ("a|b.*", b'{"b": [{"id": "x"}, 1], "a": [{"id": "a"}], "b": 1}', [A]),
        ("a|b|c.*", b'{"a": [1], "b": [2, 3], "c": [4], "b": [], "a": [5]}', [4, 5]),
        ("Message", {"Type": "Notification", "Message": json.dumps(A)}, [A]),
        ("Message", {"Type": "Notification", "Message": "hello"}, [{"Type": "Notification", "Message": "hello"}]),
        ("Message", {"Message": "{no json}"}, [{"Message": "{no json}"}]),
        ("Message.Records.*", {"Message": RECORDS}, [A, B]),
        ("Message.Records.*", {"Message": json.dumps(A)}, [A]),
        ("*", json.dumps([A, B]), [A, B]),
        ("*", [json.dumps(A), json.dumps([B]), "[", '[{"a":1},'], [A, [B], "[", '[{"a":1},']),
        ("*", b'\xef\xbb\xbf [ {"id": "a"} ]\r\n', [A]),
        ("*", json.dumps([A, C]).encode("utf-16"), [A, C]),
        ("*", b'[{"id": "\\ud83d"}]', [{"id": "\\ud83d"}]),
        ("*", b'[{"id": "a\tb"}]', [{"id": "a\tb"}]),
        ("events.*", b'{"events": [{"id": "b"}], "events": [{"id": "a"}]}', [A]),  # the last one counts
        ("events.*", b'{"events": [{"id": "b"}], "events": 1}', [{"events": 1}]),
    ],
)
def test_each_part_is_what_is_at_the_place_or_what_was_reached(place: str, document: Any, found: list[Any]) -> None:
    if isinstance(document, bytes) and b"\t" in document:
        assert [json.loads(part, strict=False) for part in Split(place).parts(document)] == found
    elif isinstance(document, bytes) and b"ud83d" in document:
        assert Split(place).parts(document) == [b'{"id": "\\ud83d"}']  # which the registry of events repairs
    else:
        assert parts(place, document) == found


@pytest.mark.parametrize(
    "body", [b"", b"[", b'[{"a": 1},]', b'{"events": [1}', b"[1] [2]", b"a=1&b=2", b"\xff[", b"[1"]
)
@pytest.mark.parametrize("place", ["*", "events.*"])
def test_what_is_no_json_is_one_part(body: bytes, place: str) -> None:
    assert Split(place).parts(body) == [body]


def test_numbers_and_texts_stay_as_they_are_spelt() -> None:
    assert Split("*").parts(b'[{"price": 12.500000000000000000001, "n": 1e400}, {"x": "\\u00e9"}]') == [
        b'{"price": 12.500000000000000000001, "n": 1e400}',
        b'{"x": "\\u00e9"}',
    ]


@given(st.lists(ANY_JSON, max_size=5), st.sampled_from([None, 1]))
def test_the_elements_of_any_array_are_its_parts(elements: list[Any], indent: int | None) -> None:
    found = Split("a.*").parts(json.dumps({"b": elements, "a": elements}, indent=indent).encode())
    assert [json.loads(each) for each in found] == elements


@given(ANY_JSON, st.sampled_from(["*", "a.*", "a.*.b.*", "a", "*.a"]))
def test_each_part_of_any_document_is_a_value_in_it(document: Any, place: str) -> None:
    text = json.dumps(document)
    assert all(json.dumps(part) in text for part in parts(place, document))


def test_an_event_gets_members_from_around_it_and_keeps_its_own() -> None:
    page = {"object": "page", "entry": [{"id": 1, "changes": [A, {"f": 2}]}, {"id": 2, "changes": [{}, 5]}]}
    assert parts("entry.*.changes.*", page, object="object", page="entry.*.id", id="entry.*.id", no="entry.*.no") == [
        {"object": "page", "page": 1, "id": "a"},
        {"object": "page", "page": 1, "id": 1, "f": 2},
        {"object": "page", "page": 2, "id": 2},
        5,
    ]
    envelope = {"MessageId": "m-1", "Message": RECORDS}
    assert parts("Message.Records.*", envelope, message="MessageId") == [A | {"message": "m-1"}, B | {"message": "m-1"}]
    assert parts("Message", {"MessageId": "m-1"}, message="MessageId") == [{"MessageId": "m-1"}]


@pytest.mark.parametrize("body", [b"[" * 500_000, b"[" * 4000 + b"]" * 4000, b'{"a":' * 150_000, b'[{"a":' * 2000])
def test_what_is_nested_too_deep_is_one_part(body: bytes) -> None:
    assert Split("*").parts(body) == [body]


def test_a_body_with_too_many_parts_is_none() -> None:
    assert len(Split("*").parts(b"[" + b"1," * (MOST_PARTS - 1) + b"1]")) == MOST_PARTS
    for body in (b"[" + b"[]," * 340_000 + b"1]", json.dumps([list(range(9000))] * 2).encode()):
        with pytest.raises(NotAnEvent, match="more than 10000 events"):
            Split("*.*" if body.startswith(b"[[0") else "*").parts(body)


def test_what_the_parts_get_from_around_them_is_bounded() -> None:
    body = json.dumps({"account": "x" * 100_000, "events": [{}] * 100}).encode()
    with pytest.raises(NotAnEvent, match="from around them is too large"):
        Split("events.*", {"account": "account"}).parts(body)
    assert len(Split("events.*", {"id": "id"}).parts(body)) == 100


@pytest.mark.parametrize("place", ["", ".", "a..b", "a.", ".".join("a" * 17), None, ["*"], b"*"])
def test_a_place_that_is_none_is_rejected(place: Any) -> None:
    with pytest.raises(ConfigurationError, match="the place of events is"):
        Split(place)


@pytest.mark.parametrize(
    "members",
    [
        {"a": "entry.*"},
        {"a": "other.*.id"},
        {"a": "entry.*.changes.*"},
        {"a": "b|c"},
        {"a": ""},
        {"": "a"},
        ["a"],
        {"a": 1},
    ],
)
def test_a_member_that_is_not_around_the_events_is_rejected(members: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"member|place"):
        Split("entry.*.changes.*", members)


def test_a_text_around_the_events_is_read_once_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[str]()

    def noted(text: str, **options: Any) -> Any:
        read.append(text)
        return loads(text, **options)

    inner = json.dumps([{"id": number, "changes": [1, 2]} for number in range(50)])
    document = json.dumps({"object": "page", "entry": inner}).encode()
    split = Split("entry.*.changes", {"object": "object", "entry_id": "entry.*.id"})
    loads = json.loads
    monkeypatch.setattr(json, "loads", noted)
    assert len(split.parts(document)) == 50
    assert read.count(inner) <= 2


@pytest.mark.parametrize("most", [0, -1, True, 1.5, "10"])
def test_the_most_events_are_a_number_from_one(most: Any) -> None:
    with pytest.raises(ConfigurationError, match="most is a number of events"):
        Split("*", most=most)
