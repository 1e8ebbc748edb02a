from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver.inbox.sqlite.connection import connect
from webhook_receiver.inbox.sqlite.dedup_cache import DedupCache, grouped

FEW_HASHES = st.sampled_from([-(2**63), -1, 0, 1, 2**58, 2**63 - 1])
TRANSACTIONS = st.lists(st.tuples(st.lists(FEW_HASHES, max_size=4), st.booleans()), max_size=12)


def found(recent: DedupCache) -> dict[int, list[int]]:
    hashes = (-(2**63), -1, 0, 1, 2**58, 2**63 - 1)
    return {hash: sorted(seqs) for hash in hashes if (seqs := [seq for _, seq in recent.find([hash])])}


@given(TRANSACTIONS)
def test_what_was_committed_is_found_and_what_was_rolled_back_is_not(
    transactions: list[tuple[list[int], bool]],
) -> None:
    connection, recent = connect(":memory:"), DedupCache(0)
    expected: dict[int, list[int]] = {}
    for hashes, commits in transactions:
        new = [(hash, recent.seen + number) for number, hash in enumerate(hashes, 1)]
        connection.undo += (recent.snapshot(), partial(recent.remove, grouped(new)))
        recent.add(grouped(new))
        recent.seen += len(new)
        if commits:
            connection.committed()
            for hash, seq in new:
                expected.setdefault(hash, []).append(seq)
        else:
            connection.rolled_back()
    assert found(recent) == expected
    assert recent.seen == sum(map(len, expected.values()))
    connection.close()


@given(st.lists(st.tuples(FEW_HASHES, st.integers(1, 20)), unique=True), st.integers(0, 20))
def test_what_the_file_has_is_forgotten(new: list[tuple[int, int]], until: int) -> None:
    recent = DedupCache(0)
    recent.add(grouped(new))
    recent.forget(until)
    assert sum(map(len, found(recent).values())) == sum(seq > until for _, seq in new)
    assert all(seq > until for seqs in found(recent).values() for seq in seqs)


def test_what_was_removed_is_found_no_more_unless_that_is_taken_back() -> None:
    recent = DedupCache(0)
    recent.add({7: [1, 2], 8: [3]})
    undo = recent.remove({7: [1, 2], 8: [3, 4], 9: [5]})
    assert recent.find([7, 8]) == []
    undo()
    assert recent.find([7, 8, 9]) == [(7, 1), (7, 2), (8, 3)]


def test_an_id_is_known_until_it_has_left_the_journal() -> None:
    recent = DedupCache(0)
    recent.add_ids(["d-1", "d-2"], 2)
    recent.add_ids(["d-3"], 3)
    assert recent.may_be_in_journal(["d-9", "d-2"])
    recent.unpacked = 1
    recent.forget_ids()
    assert recent.may_be_in_journal(["d-1"]), "part of what shared a commit is still there"
    recent.unpacked = 2
    recent.forget_ids()
    assert not recent.may_be_in_journal(["d-1", "d-2"])
    assert recent.may_be_in_journal(["d-3"])


def test_an_id_that_is_put_again_stays_known_when_that_is_taken_back() -> None:
    recent = DedupCache(0)
    recent.add_ids(["d-1", "d-2"], 2)
    undo = recent.add_ids(["d-2", "d-3"], 4)
    undo()
    assert [recent.may_be_in_journal([id]) for id in ("d-1", "d-2", "d-3")] == [True, True, False]
    recent.unpacked = 2
    recent.forget_ids()
    assert recent.ids == {}
