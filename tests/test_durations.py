from __future__ import annotations

import pytest

from webhook_receiver.options import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45", 45),
        ("45s", 45),
        ("0", 0),
        ("1.5h", 5400),
        ("15m", 900),
        ("2h", 7200),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        (" 7 D ", 604_800),
        ("0.25s", 0.25),
    ],
)
def test_a_span_of_time_is_read_as_people_write_it(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1y", "1h30m", "1e3", "inf", "nan", "1.", ".5", "1 000", "9999999999999", "٣d"]
)
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is not a span of time such as 45s, 15m, 2h or 30d"):
        seconds(text)
