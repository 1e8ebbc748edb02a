"""procrastinate by itself: jobs that are deferred one by one, then run: `python -m apps.procrastinate_alone URL N`."""

# procrastinate is in an environment of its own, where the type checker does not look.
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
import json
import sys
import time

import procrastinate

from .jobs import CALLERS, Figures, Stopwatch, together


async def main(url: str, number: str) -> Figures:
    jobs = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=32))

    async def empty(number: int) -> None:
        pass

    task = jobs.task(name="empty")(empty)
    many = int(number)
    async with jobs.open_async():
        await jobs.schema_manager.apply_schema_async()
        start = time.perf_counter()
        await together(CALLERS, range(many), lambda each: task.defer_async(number=each))
        deferred = many / (time.perf_counter() - start)
        watch = Stopwatch()
        await jobs.run_worker_async(wait=False, concurrency=16, install_signal_handlers=False)
        return {"handled/s": many / watch.seconds, **watch.cpu(many), "puts/s": deferred}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
