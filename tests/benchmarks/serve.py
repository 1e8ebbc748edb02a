"""Serve one of the apps on a socket that listens already: `python -m benchmarks.serve FD FACTORY`."""

from __future__ import annotations

import socket
import sys

import uvicorn

from . import apps


def main(fd: str, factory: str) -> None:
    config = uvicorn.Config(
        getattr(apps, factory),
        factory=True,
        http="httptools",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(fd))])


if __name__ == "__main__":
    main(*sys.argv[1:])
