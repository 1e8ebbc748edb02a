"""The command line in processes of its own, forked off one that has imported it.

Only what is about a start itself, a terminal or a signal runs `COMMAND`.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import webhook_receiver
from tests.forks import close, code_of, fork

COMMAND = [sys.executable, "-m", "webhook_receiver"]
PATIENCE = 60.0  # seconds for a command to end


def run(
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: str = "",
    kill_after: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m webhook_receiver` with these arguments, as `subprocess.run` does.

    Args:
        kill_after: the seconds after which it is killed, if it has not ended.
    """
    with TemporaryDirectory(prefix="command-") as folder:
        stdin, stdout, stderr = (Path(folder, name) for name in ("stdin", "stdout", "stderr"))
        stdin.write_text(input, encoding="utf-8")
        streams = (stdin, stdout, stderr)
        for each in (stdout, stderr):
            each.touch()  # it may be killed before it opens them
        process = fork(_main, arguments, cwd or Path.cwd(), dict(env or os.environ), streams)
        if kill_after is not None and code_of(process, kill_after) is None:
            process.kill()
        code = code_of(process, PATIENCE)
        if code is None:
            process.kill()
            code_of(process, PATIENCE)
            raise subprocess.TimeoutExpired([*COMMAND, *arguments], PATIENCE)
        close(process)
        return subprocess.CompletedProcess(
            [*COMMAND, *arguments], code, stdout.read_text(encoding="utf-8"), stderr.read_text(encoding="utf-8")
        )


def _main(arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], streams: tuple[Path, Path, Path]) -> None:
    """Be what `python -m webhook_receiver` is, in the process that was forked."""
    from webhook_receiver.cli import main

    vars(multiprocessing.current_process())["_config"]["daemon"] = False  # a command may start processes
    for number, (path, mode) in enumerate(zip(streams, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        opened = os.open(path, mode | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - until the end; multiprocessing closes it
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path[:0] = [str(cwd), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [str(Path(webhook_receiver.__file__).with_name("__main__.py")), *arguments]
    main()
