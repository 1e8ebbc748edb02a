"""A file that gets its name only when all of it is on the disk, readable for its owner only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(file: Path) -> Generator[Path]:
    """Yield a new file beside `file` to write to; afterwards it takes that name, in place of what has it already.

    If anything is raised meanwhile, nothing is left of it, and `file` is as it was.

    Args:
        file: the file; its folder has to be there.

    Raises:
        OSError: the file cannot be written.
    """
    folder = file.absolute().parent
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=folder)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush(folder)  # which has the name


def _flush(path: Path) -> None:
    if os.name != "posix" and path.is_dir():
        return  # only POSIX opens folders
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
