"""The addresses that servers listen on: their checks, before anything is said to be served there, and their URLs."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import closing
from pathlib import Path

from .output import fail


def base_url(host: str, port: int, scheme: str = "http") -> str:
    """Return the URL of a server, without a path; an IPv6 address stands in brackets there."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def check_address(host: str, port: int, *, prefix: str = "--") -> None:
    """Listen on an address for a moment, as a server will.

    Args:
        host: the name or address of a host.
        port: the port; 0 for any.
        prefix: what the names of the options begin with, before "host" and "port".

    Raises:
        typer.Exit: it is none of this machine's, another process has it, or this user may not listen on it; the message
            was printed.
    """
    none = f"give {prefix}host an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise fail(f"cannot listen on {host}: no address has this name; {none}") from None
    heard = [_listening(family, address) for family, _, _, _, address in found]
    for error in heard:
        if error is not None and error.errno in (errno.EADDRINUSE, errno.EACCES):
            why = os.strerror(error.errno)
            raise fail(f"cannot listen on port {port} of {host}: {why}; take another {prefix}port")
    if None not in heard:  # a server listens on those that there are
        raise fail(f"cannot listen on {host}: it is no address of this machine; {none}")


def _listening(family: int, address: tuple[object, ...]) -> OSError | None:
    """Return why it cannot be listened on an address of `getaddrinfo`; None if it can."""
    try:
        with closing(socket.socket(family, socket.SOCK_STREAM)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            listener.listen()
    except OSError as error:
        return error
    return None


def check_socket(path: str) -> None:
    """Listen on a Unix socket for a moment; a server would remove whatever else is at its path.

    Raises:
        typer.Exit: another file is there, another process listens on it, or there cannot be a socket; the message was
            printed.
    """
    place = Path(path)
    try:
        if place.is_symlink() and not place.exists():
            raise fail(
                f"cannot listen on {path}: it is a link to {place.readlink()}, where nothing is; remove the link, or "
                "give --uds the path itself"
            )
        if place.exists() and not stat.S_ISSOCK(place.stat().st_mode):
            raise fail(f"cannot listen on {path}: it is there, and no socket; give --uds a path where nothing is")
        with closing(socket.socket(socket.AF_UNIX)) as listener:
            if not place.exists():
                listener.bind(path)
                place.unlink()
            elif listener.connect_ex(path) == 0:
                raise fail(f"cannot listen on {path}: another process does; give --uds another path")
    except OSError as error:
        raise fail(f"cannot listen on {path}: {_reason(error, place)}") from None


def check_descriptor(fd: int) -> None:
    """Check that a file descriptor is a socket that listens, as systemd and others pass it.

    Raises:
        typer.Exit: it is not; the message was printed.
    """
    try:
        with closing(socket.fromfd(fd, socket.AF_UNIX, socket.SOCK_STREAM)) as passed:
            listens = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:  # it is not open, or no socket
        listens = 0
    if not listens:
        raise fail(
            f"cannot listen on the file descriptor {fd}: it is no socket that listens; whoever starts this passes one, "
            "such as systemd by a .socket unit, whose first one is 3"
        )


def _reason(error: OSError, place: Path) -> str:
    if error.errno == errno.ENOENT:
        return f"there is no folder {place.absolute().parent}: create it, or give --uds another path"
    if error.errno in (None, errno.ENAMETOOLONG):  # Python's own check of the length has no number
        return f"a socket's path has about 100 characters at most, not {len(str(place))}; give --uds a shorter one"
    return error.strerror or str(error)
