"""The environments that apps run in: this one, those of other revisions of this repository, and those of peers.

They are made once, in a folder of the cache, by the ordinary clients: git, pip, npm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Unavailable(Exception):
    """What is missing here for something to be measured, in a sentence."""


@dataclass(frozen=True)
class Environment:
    """What apps are started by.

    Args:
        command: the beginning of the command; the name of an app in `apps` comes next.
        folder: where it is started; None for where the apps are.
    """

    command: tuple[str, ...]
    folder: Path = HERE


def of_python(interpreter: str | Path) -> Environment:
    return Environment((str(interpreter), "-m"))


THIS = of_python(sys.executable)


def cache() -> Path:
    """Return the folder of the cache, by the rules of the XDG Base Directory Specification 0.8."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "webhook-receiver-benchmarks"


def of_packages(requirements: Sequence[str], name: str, folder: Path) -> Environment:
    """Return a virtual environment with these packages."""

    def make(made: Path) -> None:
        _venv(made, requirements)

    return of_python(_once(folder / name, "\n".join([sys.version, *requirements]), make) / "bin/python")


def of_revision(revision: str, folder: Path) -> Environment:
    """Return a virtual environment with this repository as of a revision, and the dependencies that are used here."""
    commit = _run("git", "-C", ROOT, "rev-parse", "--verify", f"{revision}^{{commit}}").strip()
    used = _run(sys.executable, "-m", "pip", "freeze", "--exclude-editable", "--disable-pip-version-check")

    def make(made: Path) -> None:
        source, constraints = made / "source", made / "constraints.txt"
        source.mkdir()
        archive = made / "archive.tar"
        _run("git", "-C", ROOT, "archive", "--output", archive, commit)
        _run("tar", "-xf", archive, "-C", source)
        constraints.write_text("".join(line for line in used.splitlines(keepends=True) if "==" in line))
        _venv(made, ["--constraint", str(constraints), f"{source}[standard,postgres]"])

    return of_python(_once(folder / f"revision-{commit[:12]}", sys.version + used, make) / "bin/python")


def of_node(app: str, packages: Sequence[str], folder: Path) -> Environment:
    """Return a folder with an app for Node and these packages: modules are looked for beside the app."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unavailable("there is no Node here: apt-get install nodejs npm")

    def make(made: Path) -> None:
        _run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", made, *packages)

    made = _once(folder / app, "\n".join(packages), make)
    shutil.copy(HERE / "apps" / f"{app}.mjs", made)
    return Environment(("node",), made)


def _venv(folder: Path, requirements: Sequence[str]) -> None:
    _run(sys.executable, "-m", "venv", folder)
    _run(folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)


def _once(folder: Path, recipe: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that was made by this recipe, now or before."""
    note = folder / "recipe.txt"
    if not note.exists() or note.read_text() != recipe:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        note.write_text(recipe)
    return folder


def _run(*command: str | Path) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if line.strip()] or ["it said nothing"]
        what = " ".join(Path(part).name for part in map(str, command[:4]))
        raise Unavailable(f"{what} ended with {error.returncode}: {said[-1].strip()[:200]}") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{Path(command[0]).name} took more than ten minutes") from error
