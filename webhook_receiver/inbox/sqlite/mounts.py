"""Mounts: whether a file is one by itself, and whether it is on a file system of the network."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_NETWORK = re.compile(
    r"(?:fuse\.)?(?:nfs4?|cifs|smb[23]?|smbfs|sshfs|ceph|ceph-fuse|glusterfs|lustre|beegfs|gpfs|afs|davfs2?|s3fs|"
    r"mountpoint-s3|gcsfuse|blobfuse2?|rclone|juicefs|efs|orangefs|ocfs2|gfs2)"
)
"""The names of file systems that are reached over a network, or that several machines write to, as Linux has them."""
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


class Mount(NamedTuple):
    """A mount, as a path is in it."""

    kind: str
    """The kind of its file system, such as "ext4"; empty where the system does not tell."""
    is_alone: bool
    """Whether it is mounted at the very path."""

    @property
    def is_network(self) -> bool:
        """Whether it is a file system of the network."""
        return _NETWORK.fullmatch(self.kind) is not None


class _Line(NamedTuple):
    id: bytes
    kind: str


_Mounts = Mapping[tuple[bytes | None, str], _Line]
"""Each mount, by the id of the one that it is mounted in, and its place; None for what is out of sight."""


def mounts() -> _Mounts:
    """Return what is mounted, file systems, folders and files; nothing where the system does not tell as Linux does.

    The first field of each line is the id, the second that of the mount around it, and the fifth the place, with octal
    numbers for what would break the line; behind a "-" is the kind
    (man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html).
    """
    try:
        lines = [line.split() for line in Path("/proc/self/mountinfo").read_bytes().splitlines()]
    except OSError:
        return {}
    ids = {line[0] for line in lines}
    return {
        (
            around if around in ids and around != id else None,
            os.fsdecode(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), place)),
        ): _Line(id, rest[rest.index(b"-") + 1].decode("ascii", "replace"))
        for id, around, _, _, place, *rest in lines
    }


def mount_of(mounts: _Mounts, name: str) -> Mount:
    """Return the mount that an absolute path is in: that which no later mount of a folder above it covers."""
    path = Path(name)
    mount: bytes | None = None
    kind, is_crossed = "", False
    for place in (*reversed(path.parents), path):
        is_crossed = False
        while (inner := mounts.get((mount, str(place)))) is not None:
            (mount, kind), is_crossed = inner, True
    return Mount(kind, is_crossed)
