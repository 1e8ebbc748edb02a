"""The command line in processes of its own, forked off one that has imported it: imports are most of a command's time.

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

COMMAND = [sys.executable, "-m", "webhook_receiver"]
PATIENCE = 60.0  # seconds for a command to end

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [f"webhook_receiver.cli.{name}" for name in ("commands", "send", "order", "inbox", "backfill", "serve", "dev_loop")]
)


def run(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, input: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `python -m webhook_receiver` with these arguments, as `subprocess.run` does."""
    with TemporaryDirectory(prefix="command-") as folder:
        stdin, stdout, stderr = (Path(folder, name) for name in ("stdin", "stdout", "stderr"))
        stdin.write_text(input, encoding="utf-8")
        streams = (stdin, stdout, stderr)
        process = _forks.Process(target=_main, args=(arguments, cwd or Path.cwd(), dict(env or os.environ), streams))
        process.start()
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([*COMMAND, *arguments], PATIENCE)
        code = process.exitcode
        process.close()
        return subprocess.CompletedProcess(
            [*COMMAND, *arguments], code, stdout.read_text(encoding="utf-8"), stderr.read_text(encoding="utf-8")
        )


def _main(arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], streams: tuple[Path, Path, Path]) -> None:
    """Be what `python -m webhook_receiver` is, in the process that was forked."""
    from webhook_receiver.cli import main

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
