"""Which rows a bounded look reads: all that may match, in order, and no more than the time allows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver.inbox import look as looking
from webhook_receiver.inbox.look import Batch, Look
from webhook_receiver.inbox.records import OUT_OF_ORDER, Filter, State


class Given:
    """Rows, with their times of receipt. Fulfils `Rows`."""

    def __init__(self, rows: dict[int, float], undone: set[int] | None = None, named: list[int] | None = None) -> None:
        self.rows = rows
        self.asked = 0
        self._seqs = sorted(rows)
        self._undone = sorted(undone or ())
        self._named = named

    def next(self, low: int, high: int, newest_first: bool) -> tuple[int, float] | None:
        """See `Rows`."""
        self.asked += 1
        among = self._seqs[bisect_left(self._seqs, low) : bisect_right(self._seqs, high)]
        if not among:
            return None
        seq = among[-1] if newest_first else among[0]
        return seq, self.rows[seq]

    def named(self, which: Filter, most: int) -> list[int] | None:
        """See `Rows`."""
        return self._named

    def undone(self, which: Filter, low: int, high: int, newest_first: bool, size: int) -> list[int]:
        """See `Rows`."""
        among = self._undone[bisect_left(self._undone, low) : bisect_right(self._undone, high)]
        return among[-size:] if newest_first else among[:size]


def in_batch(rows: Given, batch: Batch) -> list[int]:
    return [seq for seq in rows.rows if batch.low <= seq <= batch.high and (batch.seqs is None or seq in batch.seqs)]


def looked_at(rows: Given, look: Look, *, newest_first: bool) -> list[int]:
    """Return the rows that a look reads, in its order."""
    return [seq for batch in look for seq in sorted(in_batch(rows, batch), reverse=newest_first)]


def pages_of(rows: Given, which: Filter, *, newest_first: bool) -> Iterator[list[int]]:
    """Yield the rows that each of some looks without time reads, which go on from each other."""
    after: str | None = None
    for _ in range(10_000):
        look = Look(rows, which, 0, newest_first=newest_first, after=after)
        yield looked_at(rows, look, newest_first=newest_first)
        if look.is_complete or look.last is None:
            assert look.reached() is None
            return
        assert look.reached() is not None
        after = str(look.last)
    raise AssertionError("it comes to no end")


seqs = st.sets(st.integers(-(2**63), 2**63 - 1) | st.integers(-3000, 3000), max_size=60)


@given(seqs, st.booleans())
def test_looks_that_go_on_from_each_other_read_every_row_once_in_order(seqs: set[int], newest_first: bool) -> None:
    rows = Given(dict.fromkeys(seqs, 0.0))
    found = [seq for page in pages_of(rows, Filter(), newest_first=newest_first) for seq in page]
    assert found == sorted(seqs, reverse=newest_first)
    whole = Look(rows, Filter(), 60, newest_first=newest_first)
    assert looked_at(rows, whole, newest_first=newest_first) == found
    assert whole.is_complete
    assert whole.reached() is None


@given(seqs, seqs, st.booleans(), st.booleans())
def test_where_an_index_has_the_rows_no_others_are_read(
    seqs: set[int], others: set[int], by_state: bool, newest_first: bool
) -> None:
    all_rows = dict.fromkeys(seqs | others, 0.0)
    rows = Given(all_rows, undone=seqs) if by_state else Given(all_rows, named=[*seqs])
    which = Filter(states=[State.DEAD]) if by_state else Filter(id_begins="a")
    found = [seq for page in pages_of(rows, which, newest_first=newest_first) for seq in page]
    assert found == sorted(seqs, reverse=newest_first)


@given(
    st.lists(st.floats(0, 50_000), max_size=80),
    st.lists(st.floats(0, 100_000), max_size=5),
    st.data(),
    st.booleans(),
)
def test_a_span_of_time_leaves_out_nothing_that_is_out_of_order_by_less_than_it_may(
    put: list[float], loaded: list[float], data: st.DataObject, newest_first: bool
) -> None:
    times = dict(enumerate(sorted(put), 1))
    for number in times:
        times[number] += data.draw(st.sampled_from([0.0, -OUT_OF_ORDER / 2, OUT_OF_ORDER / 2]))
    times |= {-number: at for number, at in enumerate(loaded, 1)}
    since, before = data.draw(st.none() | st.floats(0, 60_000)), data.draw(st.none() | st.floats(0, 60_000))
    rows = Given(times)
    look = Look(rows, Filter(since=since, before=before), 60, newest_first=newest_first)
    found = looked_at(rows, look, newest_first=newest_first)
    wanted = {seq for seq, at in times.items() if (since is None or at >= since) and (before is None or at < before)}
    assert wanted <= {*found}
    assert found == sorted(found, reverse=newest_first)
    assert len({*found}) == len(found)


def test_a_span_of_time_is_found_in_a_few_steps_however_many_rows_there_are() -> None:
    rows = Given({seq: seq * 60.0 for seq in range(1, 100_000)})
    look = Look(rows, Filter(since=3_000_000.0, before=3_000_600.0), 60)
    found = looked_at(rows, look, newest_first=True)
    assert {*range(50_000, 50_010)} <= {*found}
    assert len(found) < 10 + 2 * OUT_OF_ORDER / 60 + 2
    assert rows.asked < 60


def test_where_the_time_is_up_the_batch_under_way_is_the_last_one() -> None:
    rows = Given(dict.fromkeys(range(1, 100_000), 0.0))
    look = Look(rows, Filter(), 0)
    (batch,) = look
    assert (look.is_complete, look.last, look.first) == (False, batch.low, 99_999)
    assert 1 < batch.high - batch.low < 10_000


class Endless(Given):
    """Rows without end, each of which there is."""

    def next(self, low: int, high: int, newest_first: bool) -> tuple[int, float] | None:
        """See `Rows`."""
        return (high if newest_first else low), 0.0


def test_batches_grow_while_they_are_fast_and_not_beyond_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(looking, "perf_counter", lambda: now)
    sizes: list[int] = []
    for batch in Look(Endless({}), Filter(), 0.05):
        sizes.append(batch.high - batch.low + 1)
        now += sizes[-1] * 1e-6  # each row takes a microsecond
    assert sizes[0] < 1000
    assert sizes[1] == 2 * sizes[0]
    assert 0.05 <= now <= 0.051
