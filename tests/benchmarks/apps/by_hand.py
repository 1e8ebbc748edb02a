"""FastAPI and procrastinate by hand: a row of one's own with a unique key and a job, in one transaction, and the worker
in the same process. `python -m apps.by_hand URL` of an empty PostgreSQL database."""

# procrastinate is in an environment of its own, where the type checker does not look.
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import count

import procrastinate
from fastapi import FastAPI, HTTPException, Request, Response
from standardwebhooks import Webhook, WebhookVerificationError

from .serving import SECRET, Ran, padded, request, serve

ran = Ran()
webhook = Webhook("whsec_" + b64encode(SECRET.encode()).decode())
TABLE = "CREATE TABLE kept (id text PRIMARY KEY, body bytea NOT NULL)"
KEEP = "INSERT INTO kept VALUES (%s, %s) ON CONFLICT DO NOTHING"


def requests() -> Iterator[bytes]:
    for number in count():
        id, now = f"msg_{number}", datetime.now(UTC)
        body = padded({"type": "order.fulfilled", "id": id})
        given = [
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", str(int(now.timestamp()))),
            ("webhook-signature", webhook.sign(id, now, body.decode())),
        ]
        yield request("/webhooks", given, body)


def main(url: str) -> None:
    connector = procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=32)
    jobs = procrastinate.App(connector=connector)

    async def handle(id: str) -> None:
        async with connector.pool.connection() as connection:
            rows = await connection.execute("SELECT body FROM kept WHERE id = %s", (id,))
            row = await rows.fetchone()
        assert row is not None
        json.loads(row[0])
        ran.count += 1

    task = jobs.task(name="handle")(handle)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with jobs.open_async():
            await jobs.schema_manager.apply_schema_async()
            async with connector.pool.connection() as connection:
                await connection.execute(TABLE)
            working = asyncio.create_task(jobs.run_worker_async(concurrency=16, install_signal_handlers=False))
            yield
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working

    app = FastAPI(lifespan=lifespan)

    @app.post("/webhooks", status_code=202)
    async def receive(request: Request) -> Response:
        body = await request.body()
        try:
            webhook.verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            raise HTTPException(401) from error
        id = request.headers["webhook-id"]
        async with connector.pool.connection() as connection, connection.transaction():
            kept = await connection.execute(KEEP, (id, body))
            if kept.rowcount:
                await task.configure(connection=connection).defer_async(id=id)
        return Response(status_code=202)

    serve(app, requests(), ran, lifespan="on")


if __name__ == "__main__":
    main(*sys.argv[1:])
