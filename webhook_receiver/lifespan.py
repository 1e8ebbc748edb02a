"""ASGI's lifespan protocol, for a receiver that is the server's whole app (asgi.readthedocs.io, "Lifespan")."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from starlette.types import Receive, Send


async def live(app: AbstractAsyncContextManager[object], name: str, receive: Receive, send: Send) -> None:
    """Enter `app` when the server starts and leave it when it stops; tell the server why that cannot be."""
    await receive()
    try:
        await app.__aenter__()
    except Exception as error:
        await send({"type": "lifespan.startup.failed", "message": f"{name} cannot start: {error}"})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    try:
        await app.__aexit__(None, None, None)
    except Exception as error:
        await send({"type": "lifespan.shutdown.failed", "message": f"{name} cannot stop: {error}"})
        return
    await send({"type": "lifespan.shutdown.complete"})
