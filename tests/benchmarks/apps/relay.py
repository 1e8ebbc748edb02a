"""hookrelay's FastAPI endpoint and worker in one process, on a SQLite file: `python -m apps.relay FILE`.

It has no schemes of signatures: the check is the HMAC of the body that its documentation names.
"""

# pyright: reportMissingImports=false
# It runs in an environment of its own.

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import count

from fastapi import FastAPI
from hookrelay import Worker
from hookrelay.backends.sqlite import SQLiteBackend
from hookrelay.fastapi import create_webhook_router
from hookrelay.models import WebhookEvent
from sqlalchemy.ext.asyncio import create_async_engine

from .serving import SECRET, Ran, padded, request, serve

ran = Ran()


async def handle(event: WebhookEvent) -> None:
    ran.count += 1


def sign(body: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def verify(body: bytes, headers: Mapping[str, str]) -> bool:
    return hmac.compare_digest(headers.get("x-signature", ""), sign(body))


def requests() -> Iterator[bytes]:
    for number in count():
        body = padded({"id": f"o-{number}"})
        yield request("/webhooks/", [("content-type", "application/json"), ("x-signature", sign(body))], body)


def main(file: str) -> None:
    backend = SQLiteBackend(create_async_engine(f"sqlite+aiosqlite:///{file}"))
    # The settings that were the fastest of those tried.
    worker = Worker(backend, handle, batch_size=100, concurrency=10, poll_interval=0.05)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        await backend.init_schema()
        working = asyncio.create_task(worker.run_forever())
        yield
        worker.stop()
        await working

    app = FastAPI(lifespan=lifespan)
    app.include_router(
        create_webhook_router(
            backend=backend,
            source="benchmark",
            verify_signature=verify,
            idempotency_key=lambda payload: str(payload["id"]),
        ),
        prefix="/webhooks",
    )
    serve(app, requests(), ran, lifespan="on")


if __name__ == "__main__":
    main(*sys.argv[1:])
