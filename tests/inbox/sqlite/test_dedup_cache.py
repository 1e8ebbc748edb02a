from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver.inbox.sqlite.connection import connect
from webhook_receiver.inbox.sqlite.dedup_cache import DedupCache, grouped

FEW_HASHES = st.sampled_from([-(2**63), -1, 0, 1, 2**58, 2**63 - 1])
TRANSACTIONS = st.lists(st.tuples(st.lists(FEW_HASHES, max_size=4), st.booleans()), max_size=12)


def found(cache: DedupCache) -> dict[int, list[int]]:
    hashes = (-(2**63), -1, 0, 1, 2**58, 2**63 - 1)
    return {hash: sorted(seqs) for hash in hashes if (seqs := [seq for _, seq in cache.find([hash])])}


@given(TRANSACTIONS)
def test_what_was_committed_is_found_and_what_was_rolled_back_is_not(
    transactions: list[tuple[list[int], bool]],
) -> None:
    connection, cache = connect(":memory:"), DedupCache(0)
    expected: dict[int, list[int]] = {}
    for hashes, commits in transactions:
        new = [(hash, cache.seen + number) for number, hash in enumerate(hashes, 1)]
        connection.undo += (cache.snapshot(), partial(cache.remove, grouped(new)))
        cache.add(grouped(new))
        cache.seen += len(new)
        if commits:
            connection.committed()
            for hash, seq in new:
                expected.setdefault(hash, []).append(seq)
        else:
            connection.rolled_back()
    assert found(cache) == expected
    assert cache.seen == sum(map(len, expected.values()))
    connection.close()


@given(st.lists(st.tuples(FEW_HASHES, st.integers(1, 20)), unique=True), st.integers(0, 20))
def test_what_the_file_has_is_forgotten(new: list[tuple[int, int]], until: int) -> None:
    cache = DedupCache(0)
    cache.add(grouped(new))
    cache.forget(until)
    assert sum(map(len, found(cache).values())) == sum(seq > until for _, seq in new)
    assert all(seq > until for seqs in found(cache).values() for seq in seqs)


def test_what_was_removed_is_found_no_more_unless_that_is_taken_back() -> None:
    cache = DedupCache(0)
    cache.add({7: [1, 2], 8: [3]})
    undo = cache.remove({7: [1, 2], 8: [3, 4], 9: [5]})
    assert cache.find([7, 8]) == []
    undo()
    assert cache.find([7, 8, 9]) == [(7, 1), (7, 2), (8, 3)]
