"""The system's clock of a process that is tormented: off by the seconds in the file `shift` of FAULTS_FOLDER.

It has to be imported before anything takes `time.time`, as the receiver does for its clock.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

FOLDER = Path(os.environ.get("FAULTS_FOLDER", "."))
SYSTEM = time.time


def shifted() -> float:
    """Return the time as a system says whose clock was set."""
    try:
        return SYSTEM() + float(FOLDER.joinpath("shift").read_text(encoding="ascii"))
    except FileNotFoundError:
        return SYSTEM()


time.time = shifted
