"""A clock that jumps by hours and days: everything is handled, nothing twice, no retry waits for longer."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.faults.harness import Answer, Server, ask, delivery, moment, runs, states

HOUR = 3600.0


def test_a_clock_that_jumps_back_and_forth_delays_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    shift = tmp_path / "shift"
    # The lease is long, since at a jump ahead another process might well take a delivery for abandoned.
    with Server(tmp_path, worker={"lease": 5.0, "poll": 0.1}) as server:
        count = 0
        for hours in (0, 1, -1, 48, -72, 0, *(chosen.choice([-30, -2, 3, 50]) for _ in range(6))):
            shift.with_name("next").write_text(str(hours * HOUR), encoding="utf-8")
            shift.with_name("next").rename(shift)
            for _ in range(5):
                count += 1
                request = delivery(f"o-{count % 3}", count, now=time.time() + hours * HOUR)
                assert ask(server.port, request) == Answer(202, False)
            moment(chosen.uniform(0, 0.2))
        server.wait_for(lambda: states(server.inbox) == {"done": count}, "the end of it all", 60)
        server.stop()
        under_way: set[tuple[str, int]] = set()
        for run in runs(tmp_path):
            which = (run.handler, run.number)
            if run.what == "begin":
                assert which not in under_way or run.handler == "at_second_try", "it runs twice at once"
                under_way.add(which)
            else:
                under_way.discard(which)
