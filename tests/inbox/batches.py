"""Random courses of requests with parts, of which some are known, and a model of what an inbox has of them then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from webhook_receiver.inbox.base import Inbox
from webhook_receiver.inbox.records import Duplicate, Filter, State, Stored
from webhook_receiver.testing.inbox_suite import DAY, NOW, batch, claim, dumped, kept, settle

KEEP_BODY = DAY
NAMES = st.sampled_from("abcdefgh")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(NAMES, min_size=1, max_size=6)),
        st.tuples(st.sampled_from(["purge", "finish", "replay"]), st.lists(NAMES, max_size=4)),
        st.tuples(st.just("expire"), st.just([])),
    ),
    max_size=12,
)
"""What is done one after the other, and with which happenings."""


@dataclass
class Course:
    """A course, and a model of what the inbox has: each happening is stored once, under the id of its first part.

    Args:
        inbox: an empty inbox that keeps the bodies of what is done for KEEP_BODY.
        bodies: returns the bodies that are on its disk.
    """

    inbox: Inbox
    bodies: Callable[[], list[bytes]]
    now: float = NOW
    puts: int = 0
    ids: dict[str, str] = field(default_factory=dict[str, str])
    """The ids of all happenings that ever were stored, by name."""
    stored: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """The bodies of what is stored, by name, in order of receipt; none of what was removed."""
    done: set[str] = field(default_factory=set[str])

    async def run(self, steps: Sequence[tuple[str, list[str]]]) -> None:
        for what, names in steps:
            await getattr(self, what)([*dict.fromkeys(names)] if what != "put" else names)
            await self.check()

    async def check(self) -> None:
        found = await dumped(self.inbox)
        assert [(each.summary.id, each.delivery.body) for each in found] == [
            (self.ids[name], body) for name, body in self.stored.items()
        ]
        for name, body in self.stored.items():
            assert (await kept(self.inbox, self.ids[name])).summary.body_removed is (not body)
        assert sorted(self.bodies()) == sorted({*self.stored.values()} - {b""}), "each is there once"

    async def put(self, names: list[str]) -> None:
        self.puts += 1
        id, body = f"d-{self.puts}", b"body %d" % self.puts
        known = {n: Duplicate(self.ids[name]) for n, name in enumerate(names) if name in self.ids}
        for n, name in enumerate(names):
            if name in self.ids:
                known[n] = Duplicate(self.ids[name])
            else:
                self.ids[name] = f"{id}.{n}" if n else id
                self.stored[name] = body
        new = [self.ids[name] for n, name in enumerate(names) if n not in known]
        result = await self.inbox.put(batch(id, *names, body=body, received=self.now), self.now)
        assert result == (Stored(new[0], known=known if len(names) > 1 else {}) if new else known[0])

    async def purge(self, names: list[str]) -> None:
        ids = [self.ids[name] for name in names if name in self.stored]
        assert await self.inbox.purge(Filter(ids=ids), self.now, limit=9) == len(ids)
        self.stored = {name: body for name, body in self.stored.items() if name not in names}
        self.done.difference_update(names)

    async def finish(self, names: list[str]) -> None:
        claims = await claim(self.inbox, now=self.now)
        ids = {self.ids[name]: name for name in self.stored if name in names}
        for id, each in claims.items():
            assert each.delivery.body
            if id in ids:
                await settle(self.inbox, each, State.DONE, now=self.now)
                self.done.add(ids[id])
        await self.inbox.release([each for id, each in claims.items() if id not in ids], self.now)

    async def replay(self, names: list[str]) -> None:
        may_be = [name for name in names if self.stored.get(name)]
        ids = [self.ids[name] for name in names if name in self.ids]
        assert await self.inbox.replay(ids, self.now) == len(may_be)
        self.done.difference_update(may_be)

    async def expire(self, names: list[str]) -> None:
        self.now += KEEP_BODY + 1
        while await self.inbox.expire(self.now):
            pass
        self.stored = {name: b"" if name in self.done else body for name, body in self.stored.items()}
